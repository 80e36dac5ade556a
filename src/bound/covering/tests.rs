use super::*;
use crate::bound::testing::{assert_close, reference_networks};

#[test]
fn the_bound_matches_the_reference() {
    let ball = Ball { radius: 1.0, dimension: None };
    assert_close(covering_bound(&reference_networks()[3], ball, 0.01).epsilon(), 0.676_596_859_349_032);
}
