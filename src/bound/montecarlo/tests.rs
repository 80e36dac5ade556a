use super::*;
use crate::bound::testing::assert_close;

#[test]
fn statistics_match_the_reference() {
    assert_close(chance_upper(3, 100, 0.05), 0.075_710_793_749_83);
    assert_close(chance_lower(3, 100, 0.05), 0.008_225_829_107_652_69);
    assert_eq!(quantile_rank(1000, 0.95, 0.05), Some(962));
    assert_close(samples_for_quantile(0.95, 0.05), 59.0);
    assert_close(samples_for_quantile(0.99, 0.01), 459.0);
    assert_eq!(samples_for_distribution(0.05, 0.05, true), Some(738.0));
}

#[test]
fn no_success_has_a_closed_form() {
    assert_close(chance_upper(0, 10, 0.05), 1.0 - 0.05_f64.powf(0.1));
    assert_close(chance_lower(1, 1_000_000, 0.05), -(0.95_f64.ln() / 1e6).exp_m1());
    assert!(chance_upper(10, 10, 0.05) >= 1.0 && chance_lower(0, 10, 0.05) <= 0.0);
}

#[test]
fn a_rank_exists_from_the_smallest_sample_on() {
    assert_eq!(quantile_rank(58, 0.95, 0.05), None);
    assert_eq!(quantile_rank(59, 0.95, 0.05), Some(59));
    assert_eq!(quantile_rank(0, 0.95, 0.05), None);
}

#[test]
fn the_one_sided_distribution_bound_needs_confidence() {
    assert!(distribution_error(100.0, 0.6, false).is_none());
    assert_close(distribution_error(100.0, 0.5, false).unwrap_or(0.0), (2_f64.ln() / 200.0).sqrt());
}

#[test]
fn looks_spend_all_of_beta() {
    let spent: f64 = (1..100_000).map(|look| share_at_look(0.05, look)).sum();
    assert!(spent < 0.05 && spent > 0.0499);
}
