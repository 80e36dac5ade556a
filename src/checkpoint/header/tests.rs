use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};

use super::*;

/// A file with that header and so many bytes of data.
fn file(header: &str, data_len: usize) -> Vec<u8> {
    let len = (header.len() as u64).to_le_bytes();
    [&len, header.as_bytes(), &vec![0; data_len]].concat()
}

fn read(file: &[u8]) -> Result<Vec<Tensor>, Defect> {
    let file_len = file.len() as u64;
    let prefix = file[..8].try_into().expect("8 bytes");
    let header_len = header_len(prefix, file_len)?;
    parse(&file[8..8 + header_len], file_len - 8 - header_len as u64)
}

#[test]
fn a_written_file_is_read_back_in_the_order_of_its_data() {
    let data = [0; 48];
    let view =
        |dtype, shape: &[usize], len| TensorView::new(dtype, shape.to_vec(), &data[..len]).expect("a view");
    let views = [
        ("b", view(Dtype::F16, &[2, 3], 12)),
        ("a", view(Dtype::F64, &[], 8)),
        ("empty", view(Dtype::F32, &[0, 7], 0)),
        ("c", view(Dtype::F32, &[12], 48)),
    ];
    let file = serialize(views, Some([("format".to_owned(), "pt".to_owned())].into())).expect("written");
    let tensors = read(&file).expect("read");
    let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "empty", "b"]);
    assert_eq!(tensors[3].shape, [2, 3]);
    assert_eq!(tensors[3].bytes, file.len() as u64 - 12..file.len() as u64);
}

#[test]
fn every_defect_is_named() {
    let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(read(&file(one, 8)).is_ok());
    for (header, data_len, message) in [
        (one, 7, r#"tensor "a" must end within the 7 bytes of data that the file holds, got 8"#),
        (one, 9, "expected 8 bytes of data, as the header says, got 9"),
        ("{}", 3, "expected 0 bytes of data, as the header says, got 3"),
        (
            "[]",
            0,
            "expected a header that is a JSON object, got invalid type: sequence, expected an object at line 1 column 0",
        ),
        ("{} x", 0, "expected a header that is a JSON object, got trailing characters at line 1 column 4"),
        (r#"{"a":1}"#, 0, r#"tensor "a" must have a dtype, a shape and two data_offsets of whole numbers"#),
        (
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            8,
            r#"tensor "a" must have a dtype, a shape and two data_offsets of whole numbers"#,
        ),
        (
            r#"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#,
            8,
            r#"tensor "a" must have a known dtype, got "F33""#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            8,
            r#"tensor "a" must span the 12 bytes of its shape and dtype, got offsets 0 to 8"#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            8,
            r#"tensor "a" must span the 8 bytes of its shape and dtype, got offsets 8 to 0"#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
            0,
            r#"tensor "a" must fill whole bytes, fewer than 2**61 of them"#,
        ),
        (
            r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#,
            1,
            r#"tensor "a" must fill whole bytes, fewer than 2**61 of them"#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
            r#"tensor "b" must begin where the one before it ends, at offset 8, got 4"#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}"#,
            20,
            r#"tensor "b" must begin where the one before it ends, at offset 8, got 12"#,
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
            r#"tensor "a" must be listed once, got it twice"#,
        ),
        (r#"{"__metadata__":{"a":1}}"#, 0, "__metadata__ must map strings to strings"),
    ] {
        let defect = read(&file(header, data_len)).expect_err(header);
        assert_eq!(defect.to_string(), message);
    }
}

#[test]
fn a_header_that_is_no_text_is_refused() {
    let mut file = file("{} ", 0);
    file[10] = 0xff;
    assert!(matches!(read(&file), Err(Defect::NotUtf8(_))));
}

#[test]
fn header_lengths_stay_within_the_file_and_the_format() {
    for (got, file_len, limit) in [(0, 8, 0), (1, 100, 92), (93, 100, 92), (u64::MAX, u64::MAX, MAX_HEADER)] {
        let defect = header_len(got.to_le_bytes(), file_len).expect_err("refused");
        assert_eq!(defect.to_string(), format!("header length must be 2 to {limit}, got {got}"));
    }
    assert_eq!(header_len(92_u64.to_le_bytes(), 100).expect("a length"), 92);
}

/// Tensors one behind the other, sometimes an offset, a format or the end a little wrong.
fn files() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let tag = prop::sample::select(vec![("F32", 32), ("F4", 4), ("BOOL", 8), ("F6_E2M3", 6), ("BF16", 16)]);
    let slip = || prop_oneof![9 => Just(0_usize), 1 => 1..3_usize];
    let tensors = prop::collection::vec((tag, prop::collection::vec(0..5_usize, 0..3), slip(), slip()), 0..4);
    (tensors, slip()).prop_map(|(tensors, rest)| {
        let mut end = 0;
        let entries = tensors.into_iter().enumerate().map(|(at, ((tag, bits), shape, hole, excess))| {
            let begin = end + hole;
            end = begin + shape.iter().product::<usize>() * bits / 8 + excess;
            format!(r#""{at}":{{"dtype":"{tag}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
        });
        let header = entries.collect::<Vec<_>>().join(",");
        file(&format!("{{{header}}}"), end + rest)
    })
}

proptest::proptest! {
    #[test]
    fn what_is_accepted_is_what_the_safetensors_library_accepts(file in files()) {
        proptest::prop_assert_eq!(read(&file).is_ok(), SafeTensors::deserialize(&file).is_ok());
    }
}
