use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::*;
use crate::parallel::Switches;
use crate::plan::{Method, Rule};
use crate::ratio::Amount;
use crate::select::{Nan, Scope, Score};

/// Entries of a target: more than one piece, in rows that are no whole bytes.
const SHAPE: [usize; 2] = [101, 1301];

fn weight(entry: usize) -> f32 {
    [0.5, -2.0, 1.0, -0.25, 3.0][entry * entry % 5]
}

/// Two shards of two tensors, one of them a target, and their targets.
fn shards(directory: &Path) -> Vec<Shard> {
    let weights: Vec<u8> = (0..SHAPE[0] * SHAPE[1]).flat_map(|entry| weight(entry).to_le_bytes()).collect();
    let write = |number: usize| {
        let view =
            |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).expect("a view");
        let (weight, other) = (format!("{number}.weight"), format!("{number}.other"));
        let tensors = [
            (weight.as_str(), view(Dtype::F32, &SHAPE, &weights)),
            (other.as_str(), view(Dtype::U8, &[5], b"other")),
        ];
        let path = directory.join(format!("{number}.safetensors"));
        fs::write(&path, serialize(tensors, None).expect("a file")).expect("written");
        Shard::open(&path).expect("opened")
    };
    (0..2).map(write).collect()
}

fn request(count: u64) -> Request {
    let rule = Rule::Amount(Amount::Count(count), Scope::Global);
    Request { method: Method::Top(Score::Magnitude, Nan::Raise), rule }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn the_least_entries_are_zero_and_every_other_byte_is_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let shards = shards(directory.path());
    let targets = Targets::new(&shards, &[(0, 0), (1, 0)]).expect("float formats");
    let entries = SHAPE[0] * SHAPE[1];
    // Of all entries of both tensors the quarters and the halves of the second, but one.
    let least = |value: f32| (0..entries).filter(move |&entry| weight(entry).to_bits() == value.to_bits());
    let count = 2 * least(-0.25).count() + least(0.5).count() - 1;
    let paths = [directory.path().join("a"), directory.path().join("b")];
    let masks = directory.path().join("masks");
    let notes = BTreeMap::from([("method".to_owned(), "magnitude".to_owned())]);
    let outputs = Outputs { shards: &paths, masks: Some(MaskFile { path: &masks, notes: &notes }) };
    let switches = Switches::default();
    let summaries =
        prune(&targets, &request(count as u64), Some(outputs), &switches.context()).expect("pruned");
    assert_eq!(summaries.iter().map(|summary| summary.num_pruned).sum::<u64>(), count as u64);

    let first = least(0.5).next().expect("a half");
    for (number, (shard, path)) in shards.iter().zip(&paths).enumerate() {
        let mut expected = fs::read(shard.path()).expect("read");
        let begin = usize::try_from(shard.tensors()[0].bytes.start).expect("small");
        let halves = least(0.5).filter(|&entry| number == 1 && entry != first);
        for entry in least(-0.25).chain(halves) {
            expected[begin + 4 * entry..][..4].fill(0);
        }
        assert!(fs::read(path).expect("read") == expected, "shard {number}");
    }
    let masks = fs::read(masks).expect("read");
    let masks = SafeTensors::deserialize(&masks).expect("a safetensors file");
    assert_eq!(masks.tensor("0.weight").expect("a mask").shape(), [101, 163]);
    let ones =
        |name| masks.tensor(name).expect("a mask").data().iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(u64::from(ones("1.weight")), summaries[1].num_entries - summaries[1].num_pruned);
    assert_eq!(names(directory.path()), ["0.safetensors", "1.safetensors", "a", "b", "masks"]);
}

#[test]
fn an_error_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let shards = shards(directory.path());
    let targets = Targets::new(&shards, &[(0, 0), (1, 0)]).expect("float formats");
    let before = names(directory.path());
    let switches = Switches::default();
    let nowhere = [directory.path().join("a"), directory.path().join("none/b")];
    let outputs = Outputs { shards: &nowhere, masks: None };
    let error = prune(&targets, &request(1), Some(outputs), &switches.context()).expect_err("no directory");
    assert!(matches!(error, Error::Io { path, .. } if path == nowhere[1]));
    assert_eq!(names(directory.path()), before);

    switches.cancel.store(true, Ordering::Relaxed);
    let paths = [directory.path().join("a"), directory.path().join("b")];
    let outputs = Outputs { shards: &paths, masks: None };
    let error = prune(&targets, &request(1), Some(outputs), &switches.context()).expect_err("stopped");
    assert!(matches!(error, Error::Interrupted));
    assert_eq!(names(directory.path()), before);
}

#[test]
fn a_shard_that_changes_meanwhile_is_not_published() {
    let directory = tempfile::tempdir().expect("a directory");
    let shards = shards(directory.path());
    let targets = Targets::new(&shards, &[(0, 0)]).expect("float formats");
    let path = shards[0].path();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(path).expect("opened").set_modified(later).expect("touched");
    let paths = [directory.path().join("a"), directory.path().join("b")];
    let outputs = Outputs { shards: &paths, masks: None };
    let error =
        prune(&targets, &request(1), Some(outputs), &Switches::default().context()).expect_err("changed");
    assert!(matches!(error, Error::Changed { path: changed } if changed == path));
    assert_eq!(names(directory.path()), ["0.safetensors", "1.safetensors"]);
}
