use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};

use super::*;
use crate::checkpoint::shard::Shard;
use crate::parallel::Switches;

/// The statistics of tensors written to a file, in the order of their names, and in total.
fn inspect_file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> (Vec<Statistics>, Statistics) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.safetensors");
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), data).expect("a view"))
    });
    serialize_to_file(views, None, &path).expect("written");
    inspect_shard(&path)
}

fn inspect_shard(path: &Path) -> (Vec<Statistics>, Statistics) {
    let shards = [Shard::open(path).expect("opened")];
    let mut places: Vec<_> = (0..shards[0].tensors().len()).map(|at| (0, at)).collect();
    places.sort_by_key(|&(_, at)| shards[0].tensors()[at].name.clone());
    let targets = Targets::new(&shards, &places).expect("float formats");
    let switches = Switches::default();
    let found = inspect(&targets, &switches.context()).expect("inspected");
    let passed = switches.done.load(std::sync::atomic::Ordering::Relaxed);
    let expected = if found.1.num_nan == 0 { passed..=passed } else { passed..=u64::MAX };
    assert!(expected.contains(&num_passed(&targets)), "progress ends where it said it would");
    found
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Magnitudes at the ranks of [`PERCENTS`], by sorting.
fn sorted_quantiles(values: impl Iterator<Item = f64>) -> Option<[f64; 7]> {
    let mut magnitudes: Vec<_> = values.map(f64::abs).filter(|value| !value.is_nan()).collect();
    magnitudes.sort_by(f64::total_cmp);
    let last = magnitudes.len().checked_sub(1)?;
    Some(PERCENTS.map(|percent| magnitudes[usize::from(percent) * last / 100]))
}

#[test]
fn quantiles_are_those_of_the_sorted_magnitudes() {
    let values: Vec<_> =
        (0..70_000_u32).map(|at| (f64::from(at.wrapping_mul(2_654_435_761)) - 2e9) * 1e-30).collect();
    let singles: Vec<_> =
        (0..60_000_u16).map(|at| f32::from(at.wrapping_mul(40_503)) * 1e-30 - 3e-26).collect();
    let doubles = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let (all, total) = inspect_file(&[
        ("double", Dtype::F64, &[values.len()], doubles),
        ("single", Dtype::F32, &[singles.len()], f32s(&singles)),
    ]);
    let singles = || singles.iter().map(|&value| f64::from(value));
    assert_eq!(all[0].quantiles, sorted_quantiles(values.iter().copied()));
    assert_eq!(all[1].quantiles, sorted_quantiles(singles()));
    assert_eq!(total.quantiles, sorted_quantiles(values.iter().copied().chain(singles())));
}

#[test]
fn both_zeros_are_counted_and_nan_is_no_magnitude() {
    let (all, total) =
        inspect_file(&[("a", Dtype::F32, &[6], f32s(&[0.0, -0.0, f32::NAN, -2.0, f32::INFINITY, 1.0]))]);
    assert_eq!((all[0].num_entries, all[0].num_zeros, all[0].num_nan), (6, 2, 1));
    assert_eq!(all[0].quantiles, Some([0.0, 0.0, 0.0, 1.0, 2.0, 2.0, f64::INFINITY]));
    assert_eq!(total, all[0]);
}

#[test]
fn tensors_without_a_magnitude_have_no_quantiles() {
    let (all, total) = inspect_file(&[
        ("empty", Dtype::F32, &[0, 4], Vec::new()),
        ("nan", Dtype::F32, &[1], f32s(&[f32::NAN])),
    ]);
    assert_eq!([&all[0], &all[1], &total].map(|one| one.quantiles), [None, None, None]);
}

#[test]
fn groups_conform_where_few_enough_entries_are_not_zero() {
    let rows = [[0., 0., 0., 1., 0., 0., 0., 0.], [1., 1., 1., 0., 1., 0., 0., 0.], [1.; 8]].concat();
    let (all, _) = inspect_file(&[("a", Dtype::F32, &[3, 8], f32s(&rows))]);
    assert_eq!(all[0].groups, [(3, 6), (3, 6), (2, 3)]);
}

#[test]
fn groups_of_convolutions_lie_along_the_second_axis() {
    // Entry (o, i, k) is nonzero for i in 0..2 where k is 0, else for every i: 2:4 in a third of the groups.
    let entries: Vec<_> = (0..2 * 4 * 3).map(|at| f32::from(at % 3 != 0 || at / 3 % 4 < 2)).collect();
    let (all, _) = inspect_file(&[("a", Dtype::F32, &[2, 4, 3], f32s(&entries))]);
    assert_eq!(all[0].groups, [(0, 6), (2, 6), (0, 0)]);
}

#[test]
fn groups_that_do_not_divide_the_axis_are_not_counted() {
    let (all, _) = inspect_file(&[("a", Dtype::F32, &[4, 6], f32s(&[0.0; 24]))]);
    assert_eq!(all[0].groups, [(0, 0); 3]);
}
