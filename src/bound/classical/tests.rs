use super::*;
use crate::bound::testing::{assert_close, network};
use crate::bound::{Ball, Prepared, ball_bound};

#[test]
fn norms_match_the_reference() {
    assert_close(davidson_szarek(1024, 1024, 1.0 / 32.0, 0.01), 2.094_839_195_586_57);
    assert_close(matrix_bernstein(100, 50, 0.01, 0.3, 0.05), 4.881_537_925_818_71);
    assert_eq!(largest_row_count(64, 64, 409, 0.01), 18);
}

#[test]
fn theorem_one_is_below() {
    for family in [Family::Uniform, Family::Normal] {
        for ratio in [0.1, 0.5, 0.9] {
            for method in [Pruning::Magnitude, Pruning::Random] {
                let layers = network((64, 4, 64, 10), &family, ratio, method);
                let classical = classical_bound(&layers, 1.0, 0.05);
                let ours = ball_bound(&Prepared::all(&layers), Ball { radius: 1.0, dimension: None }, 0.05);
                assert!(ours.epsilon() < classical && classical.is_finite());
            }
        }
    }
}

#[test]
fn it_is_infinite_for_laws_without_a_textbook_norm() {
    let layers = network((64, 3, 64, 10), &Family::Laplace, 0.5, Pruning::Random);
    assert!(classical_bound(&layers, 1.0, 0.05) == f64::INFINITY);
    let layers = network((64, 3, 64, 10), &Family::Laplace, 0.0, Pruning::Random);
    assert!(classical_bound(&layers, 1.0, 0.05) == 0.0);
}
