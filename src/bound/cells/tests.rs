use super::*;
use crate::bound::testing::assert_close;

#[test]
fn cells_match_the_reference() {
    let cells = threshold_cells(2048, 4096);
    // Those of 64 deviations and more end at one.
    assert_eq!(cells.len(), 22);
    let Side::Below(v) = cells[10].pruned else { unreachable!() };
    assert_close(v, 0.531_364_412_985_111);
    assert_close(cells[10].ln_tail.exp(), 3.124_331_800_777_87e-5);
}

#[test]
fn the_threshold_level_matches_the_reference() {
    assert_close(threshold_level(409, 4096, 0.01), 0.111_263_458_914_3);
    assert_close(threshold_level(9, 9, 0.01), 1.0);
}

#[test]
fn cells_rise_and_their_tails_fall() {
    for (k, len) in [(0, 1), (0, 2), (1, 2), (1, 4), (3, 4), (7, 100), (0, 1 << 40), (1 << 39, 1 << 40)] {
        let cells = threshold_cells(k, len);
        assert!(!cells.is_empty());
        for pair in cells.windows(2) {
            let (Side::Below(one), Side::Below(other)) = (pair[0].pruned, pair[1].pruned) else {
                unreachable!()
            };
            assert!(one < other && other <= 1.0, "{k} {len}");
            assert!(pair[0].ln_tail >= pair[1].ln_tail, "{k} {len}");
        }
        assert!(cells.iter().all(|cell| cell.ln_tail <= 0.0 && !cell.ln_tail.is_nan()));
    }
}

#[test]
fn averages_are_above_the_exact_moment() {
    // f(v) = v^{2p}: exact by Proposition 2.9.
    for (k, len) in [(0, 1), (0, 5), (4, 5), (1, 9), (50, 100), (2048, 4096), (10, 1_000_000)] {
        for p in [1, 3, 8, 40] {
            let ln_f = |_: usize, cell: &Cell| {
                let Side::Below(v) = cell.pruned else { unreachable!() };
                2.0 * p as f64 * v.ln()
            };
            let got = ln_average(&threshold_cells(k, len), Rest::Bounded(0.0), ln_f);
            let exact = super::super::law::ln_threshold_moment(k, len, p);
            assert!(got >= exact - 1e-12, "{k} {len} {p}: {got} {exact}");
        }
    }
}

#[test]
fn an_infinite_value_ends_the_cells() {
    let cells = threshold_cells(2, 4);
    let value = |index: usize, _: &Cell| if index < 3 { index as f64 } else { f64::INFINITY };
    let got = ln_average(&cells, Rest::Beyond(&|ln_tail| ln_tail + 5.0), value);
    assert!(got.is_finite());
    let none = ln_average(&cells, Rest::Beyond(&|ln_tail| ln_tail + 5.0), |_, _| f64::INFINITY);
    assert!((none - 5.0).abs() < 1e-12);
}

#[test]
fn tails_are_those_of_the_binomial_law() {
    for (k, len) in [
        (0, 1),
        (0, 2),
        (3, 4),
        (0, 1000),
        (7, 100),
        (99, 100),
        (2048, 4096),
        (500_000, 1_000_000),
        (1 << 33, 1 << 35),
    ] {
        for cell in threshold_cells(k, len) {
            let Side::Below(v) = cell.pruned else { unreachable!() };
            let exact = binomial_cdf(k, len, v);
            // Never below; at most the slack above where not tiny.
            assert!(cell.ln_tail.exp() >= exact * (1.0 - 1e-11), "{k} {len} {v}");
            if exact > 2.0 * SMALL_TAIL {
                assert!(cell.ln_tail.exp() <= exact * (1.0 + 2.0 * TAIL_SLACK), "{k} {len} {v}");
            }
        }
    }
}

#[test]
fn averages_at_once_end_at_the_same_cell() {
    use std::cell::RefCell;

    let cells = threshold_cells(500, 1000);
    let seen = RefCell::new(Vec::new());
    let beyond = |ln_tail: f64| {
        seen.borrow_mut().push(ln_tail);
        f64::midpoint(ln_tail, 40.0)
    };
    // The first is flat and large, so that alone it ends cells before the second.
    let f = |_: usize, cell: &Cell| match cell.pruned {
        Side::Below(v) => [30.0, 20.0 * v],
        Side::Above(_) => unreachable!(),
    };
    let last = |which: &[usize]| {
        seen.borrow_mut().clear();
        let rest = Rest::Beyond(&beyond);
        if let &[one] = which {
            ln_average(&cells, rest, |index, cell| f(index, cell)[one]);
        } else {
            ln_averages(&cells, &[rest; 2], f);
        }
        seen.borrow().iter().rev().take(which.len()).copied().collect::<Vec<_>>()
    };
    let (first, second, both) = (last(&[0])[0], last(&[1])[0], last(&[0, 1]));
    assert!(first > second, "the functions end at different cells: {first} {second}");
    assert!(both == [second, second], "{both:?}");
}
