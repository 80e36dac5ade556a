use super::*;
use crate::bound::testing::assert_close;

fn recursion(rows: usize, cols: usize, p: usize) -> f64 {
    GaussianTrace::new(rows, cols).ln_recursion(p)
}

#[test]
fn the_recursion_gives_the_exact_integers() {
    let rows: [((usize, usize), [f64; 8]); 4] = [
        ((2, 2), [2.0, 4.0, 20.0, 144.0, 1328.0, 14_880.0, 196_128.0, 2_976_672.0]),
        ((2, 3), [2.0, 6.0, 36.0, 300.0, 3120.0, 38_640.0, 554_400.0, 9_050_040.0]),
        ((3, 3), [3.0, 9.0, 63.0, 603.0, 7065.0, 96_885.0, 1_517_355.0, 26_720_703.0]),
        ((5, 7), [5.0, 35.0, 455.0, 7665.0, 150_465.0, 3_297_315.0, 78_970_815.0, 2_042_745_705.0]),
    ];
    for ((n, m), moments) in rows {
        for (p, moment) in moments.into_iter().enumerate() {
            assert_close(recursion(n, m, p).exp(), moment);
            assert_close(recursion(m, n, p).exp(), moment);
        }
    }
}

#[test]
fn the_recursion_matches_the_reference() {
    assert_close(recursion(1, 1, 5), 6.851_184_927_493_74);
    assert_close(recursion(2, 2, 7), 14.906_316_455_896_3);
    assert_close(recursion(3, 4, 5), 12.210_462_993_831_5);
    assert_close(recursion(16, 16, 10), 40.968_880_472_327_9);
    assert_close(recursion(64, 64, 32), 177.239_206_741_264);
    assert_close(recursion(256, 1024, 128), 991.203_836_852_039);
    assert_close(recursion(1024, 1024, 256), 2_131.747_736_950_55);
}

#[test]
fn the_recursion_is_infinite_where_it_overflows() {
    assert!(recursion(1, 1, 512) == f64::INFINITY);
    assert!(GaussianTrace::new(1, 1).ln_moment(512).is_finite());
}

#[test]
fn one_row_has_the_moments_of_a_chi_squared() {
    // Equality up to p = 6, a bound from there on.
    for m in [1, 2, 9, 300] {
        for p in 1..=12 {
            let exact: f64 = (0..p).map(|j| ((m + 2 * j) as f64).ln()).sum();
            let bound = recursion(1, m, p);
            assert!(bound >= exact - 1e-12 * exact.abs(), "{m} {p}");
            if p <= 6 {
                assert!((bound - exact).abs() <= 1e-12 * exact.abs().max(1.0), "{m} {p}");
            }
        }
    }
}

#[test]
fn the_sup_moment_matches_the_reference() {
    assert_close(ln_gaussian_sup_moment(16.0, 8), 44.833_052_660_772_5);
    assert_close(ln_gaussian_sup_moment(64.0, 100), 836.438_630_510_091);
}

#[test]
fn the_effective_length_matches_the_reference() {
    assert_eq!(effective_len(0.5, 100, 10, 0), 53);
    assert_eq!(effective_len(0.5, 100, 10, 1), 53);
    assert_eq!(effective_len(0.05, 1024, 40, 0), 72);
    assert_eq!(effective_len(0.01, 64, 6, 1), 6);
    assert_eq!(effective_len(1.0, 37, 5, 0), 37);
}

#[test]
fn the_effective_length_is_the_smallest_that_holds() {
    // Also where a difference of log-gammas would be short: up to 10^12 entries.
    for share in [1e-9, 1e-3, 0.05, 0.3, 0.5, 0.999, 1.0 - 1e-12] {
        for len in [1_usize, 2, 3, 10, 37, 1000, 1_000_000_000, 1_000_000_000_000] {
            for p in [1_usize, 2, 3, 8, 40, 512] {
                for start in [0, 1] {
                    let r = effective_len(share, len, p, start);
                    let last = p.min(len) - 1;
                    let holds = |r: usize| {
                        let factor = |j: usize| ((r - j) as f64 / (share * (len - j) as f64)).ln();
                        (start..=last).map(factor).sum::<f64>()
                    };
                    assert!(
                        r > last && r <= len && (last < start || holds(r) >= 0.0),
                        "{share} {len} {p} {start} {r}"
                    );
                    assert!(r == last + 1 || r == 1 || holds(r - 1) < 1e-10, "{share} {len} {p} {start} {r}");
                }
            }
        }
    }
}

#[test]
fn the_effective_size_is_the_smallest_that_holds() {
    for size in [1e-12, 0.5, 1.0, 3.7, 100.0, 1e9] {
        for p in [1_usize, 2, 5, 64, 512] {
            for start in [0, 1] {
                let r = effective_size(size, p, start);
                let holds = |r: usize| (start..p).map(|j| ((r - j) as f64 / size).ln()).sum::<f64>();
                assert!(r >= p && holds(r) >= 0.0, "{size} {p} {start} {r}");
                assert!(r == p || holds(r - 1) < 1e-10, "{size} {p} {start} {r}");
            }
        }
    }
}

#[test]
fn the_comparison_matches_the_reference() {
    let trace = |share, n, m, p| ln_trace(share, &GaussianTrace::new(n, m), p);
    assert_close(trace(0.25, 64, 64, 12), 53.712_446_580_497_6);
    assert_close(trace(0.6, 128, 256, 24), 147.851_866_213_884);
    assert_close(trace(1.0, 64, 64, 32), 177.239_206_741_264);
}

#[test]
fn the_comparison_is_symmetric_and_rises_with_the_share() {
    for (n, m) in [(1, 1), (1, 50), (7, 300), (64, 64)] {
        for p in [1, 2, 7, 40] {
            let mut last = f64::NEG_INFINITY;
            for share in [1e-6, 0.01, 0.3, 0.9, 1.0] {
                let one = ln_trace(share, &GaussianTrace::new(n, m), p);
                let other = ln_trace(share, &GaussianTrace::new(m, n), p);
                assert!((one - other).abs() <= 1e-12 * one.abs().max(1.0));
                assert!(one >= last - 1e-9, "{n} {m} {p} {share}");
                last = one;
            }
        }
    }
}

#[test]
fn chi_norms_are_exact_at_one() {
    assert_close(chi_norm(7, 1), 7_f64.sqrt());
    assert_close(chi_norm(7, 2), 63_f64.powf(0.25));
    assert_close(gaussian_norm(2), 3_f64.powf(0.25));
}
