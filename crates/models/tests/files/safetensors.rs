//! Tensor files: what goes in comes out, and no damaged file does more than give an error.

use half::{bf16, f16};
use models::safetensors::{Dtype, FloatType, NamedTensor, TensorFile, Values, write};
use proptest::prelude::*;

fn sample() -> Vec<NamedTensor<'static>> {
    let half = |values: &[f32]| Values::F16(values.iter().map(|x| f16::from_f32(*x)).collect());
    let brain = |values: &[f32]| Values::Bf16(values.iter().map(|x| bf16::from_f32(*x)).collect());
    vec![
        NamedTensor::f32("a.weight", &[2, 3], vec![1.0, -2.5, 3.0, f32::MIN_POSITIVE, -0.0, 1e30]),
        NamedTensor::f64("b", &[1], vec![std::f64::consts::PI]),
        NamedTensor::i64("ids", &[2, 2], vec![1, -100, i64::MAX, i64::MIN]),
        NamedTensor::i8("trits", &[3], vec![-1, 0, 1]),
        NamedTensor { name: "h".into(), shape: vec![2], values: half(&[65504.0, 2.0_f32.powi(-24)]) },
        NamedTensor { name: "bf".into(), shape: vec![2], values: brain(&[3.0e38, 1.0078125]) },
        NamedTensor::f32("empty", &[0, 4], vec![]),
    ]
}

fn bytes(tensors: &[NamedTensor<'_>]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    write(&path, tensors, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
    std::fs::read(path).unwrap()
}

/// A file with this header text and so many bytes of data.
fn forged(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

fn refused(bytes: Vec<u8>, parts: &[&str]) {
    let error = TensorFile::from_bytes("bad.safetensors", bytes).unwrap_err();
    let text = error.to_string();
    assert!(!error.remedy().is_empty());
    for part in parts.iter().chain(&["bad.safetensors"]) {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn values_and_metadata_come_back() {
    let file = TensorFile::from_bytes("t", bytes(&sample())).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a.weight", "b", "bf", "empty", "h", "ids", "trits"]);
    assert_eq!(file.metadata()["format"], "pt");
    let a = file.to_f32("a.weight").unwrap();
    assert_eq!(a, [1.0, -2.5, 3.0, f32::MIN_POSITIVE, 0.0, 1e30]);
    assert!(a[4].is_sign_negative());
    assert_eq!(file.to_f64("b").unwrap(), [std::f64::consts::PI]);
    assert_eq!(file.to_i64("ids").unwrap(), [1, -100, i64::MAX, i64::MIN]);
    assert_eq!(file.to_i64("trits").unwrap(), [-1, 0, 1]);
    assert_eq!(file.to_f64("h").unwrap(), [65504.0, 2.0_f64.powi(-24)]);
    assert_eq!(file.to_f32("bf").unwrap()[1], 1.0078125);
    assert_eq!(file.tensor("empty").unwrap().shape, [0, 4]);
}

#[test]
fn every_half_and_bfloat_converts_exactly() {
    let all = (0..=u16::MAX).map(f16::from_bits).collect::<Vec<_>>();
    let brain = (0..=u16::MAX).map(bf16::from_bits).collect::<Vec<_>>();
    let tensors = [
        NamedTensor { name: "h".into(), shape: vec![65536], values: Values::F16(all.clone().into()) },
        NamedTensor { name: "b".into(), shape: vec![65536], values: Values::Bf16(brain.clone().into()) },
    ];
    let file = TensorFile::from_bytes("t", bytes(&tensors)).unwrap();
    for (bits, value) in all.iter().zip(file.to_f32("h").unwrap()) {
        assert!(f16::from_f32(value).to_bits() == bits.to_bits() || value.is_nan() && bits.is_nan());
    }
    for (bits, value) in brain.iter().zip(file.to_f32("b").unwrap()) {
        assert!(value.to_bits() == u32::from(bits.to_bits()) << 16 || value.is_nan() && bits.is_nan());
    }
}

#[test]
fn a_mapped_file_is_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    write(&path, &sample(), &Default::default()).unwrap();
    let file = TensorFile::open(&path).unwrap();
    let view = file.tensor("a.weight").unwrap();
    let values = view.as_f32().unwrap();
    assert!(matches!(values, std::borrow::Cow::Borrowed(_)));
    assert_eq!(values.as_ptr().cast(), view.bytes.as_ptr());
}

#[test]
fn the_same_tensors_give_the_same_bytes_in_any_order() {
    let mut turned = sample();
    turned.reverse();
    assert_eq!(bytes(&sample()), bytes(&turned));
}

#[test]
fn wrong_dtype_shape_and_name_are_named() {
    let file = TensorFile::from_bytes("t", bytes(&sample())).unwrap();
    let text = file.to_f32("ids").unwrap_err().to_string();
    assert!(text.contains("`ids`") && text.contains("I64") && text.contains("F32"), "{text}");
    let text = file.to_i64("a.weight").unwrap_err().to_string();
    assert!(text.contains("`a.weight`") && text.contains("F32"), "{text}");
    let text = file.tensor("a.weight").unwrap().expect_shape(&[3, 2]).unwrap_err().to_string();
    assert!(text.contains("[3, 2]") && text.contains("[2, 3]"), "{text}");
    let text = file.tensor("model.a.weight").unwrap_err().to_string();
    assert!(text.contains("`model.a.weight`") && text.contains("`a.weight`"), "{text}");
    assert_eq!(file.tensor("h").unwrap().dtype, Dtype::F16);
}

#[test]
fn hostile_headers_are_refused() {
    let entry = |name: &str, shape: &str, start: u64, end: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}")
    };
    let a = entry("a", "[2]", 0, 8);
    refused(vec![], &["header length", "0 bytes"]);
    refused(vec![1, 2, 3], &["header length"]);
    refused(1000_u64.to_le_bytes().to_vec(), &["header length", "1000"]);
    refused(u64::MAX.to_le_bytes().to_vec(), &["header length", "at most"]);
    refused(forged("nonsense", 0), &["header", "JSON"]);
    refused(forged("[1,2]", 0), &["header", "an object"]);
    refused(forged(&"[".repeat(100_000), 0), &["header"]);
    refused([2_u64.to_le_bytes().as_slice(), &[0xFF, 0xFE]].concat(), &["UTF-8"]);
    refused(forged(&format!("{{{a}}}"), 4), &["`a`", "within the 4 bytes"]);
    refused(forged(&format!("{{{a}}}"), 9), &["data", "9 bytes", "1 of them"]);
    refused(forged(&format!("{{{a},{a}}}"), 8), &["`a`", "two"]);
    refused(forged(&format!("{{{a},{}}}", entry("b", "[2]", 4, 12)), 12), &["`b`", "overlaps"]);
    refused(forged(&format!("{{{a},{}}}", entry("b", "[2]", 9, 17)), 17), &["`b`", "gap"]);
    refused(forged(&format!("{{{}}}", entry("a", "[3]", 0, 8)), 8), &["`a`", "12 bytes", "[3]"]);
    refused(forged(&format!("{{{}}}", entry("a", "[2]", 8, 0)), 8), &["`a`", "[8, 0]"]);
    let huge = entry("a", "[4294967296,4294967296,4294967296]", 0, 8);
    refused(forged(&format!("{{{huge}}}"), 8), &["`a`", "address space"]);
    refused(forged(&format!("{{{}}}", entry("a", "[-2]", 0, 8)), 8), &["`a`", "-2"]);
    refused(forged(&format!("{{{}}}", a.replace("F32", "F31")), 8), &["`a`", "F31"]);
    refused(forged(&format!("{{\"__metadata__\":{{\"n\":1}},{a}}}"), 8), &["__metadata__"]);
}

#[test]
fn tensors_that_cannot_be_written_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let one = NamedTensor::f32("w", &[2], vec![1.0, 2.0]);
    let none = Default::default();
    assert!(write(&path, &[one.clone(), one.clone()], &none).unwrap_err().to_string().contains("`w`"));
    let wrong = NamedTensor::f32("w", &[3], vec![1.0]);
    assert!(write(&path, &[wrong], &none).unwrap_err().to_string().contains("[3]"));
    let reserved = NamedTensor::f32("__metadata__", &[0], vec![]);
    assert!(write(&path, &[reserved], &none).is_err());
    assert!(!path.exists());
    let nowhere = folder.path().join("no/such/t.safetensors");
    let text = write(&nowhere, &[one], &none).unwrap_err().to_string();
    assert!(text.contains("no/such"), "{text}");
}

#[test]
fn casts_round_to_nearest_and_say_what_does_not_fit() {
    let values = Values::F32(vec![1.0, 70000.0].into());
    assert_eq!(values.cast(FloatType::F16), Err(1));
    assert!(values.cast(FloatType::Bf16).is_ok());
    let tie = Values::F32(vec![1.0 + 2.0_f32.powi(-11), f32::INFINITY].into());
    assert_eq!(tie.cast(FloatType::F16).unwrap(), Values::F16(vec![f16::ONE, f16::INFINITY].into()));
}

/// Reads everything a file offers; only a panic can fail it.
fn exercise(bytes: Vec<u8>) {
    let Ok(file) = TensorFile::from_bytes("fuzz", bytes) else { return };
    for name in file.names() {
        let view = file.tensor(name).unwrap();
        let _ = (view.to_f32(), view.to_f64(), view.to_i64(), view.as_f32());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut damaged = bytes_of_sample().to_vec();
        for (at, value) in flips {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        exercise(damaged);
    }

    #[test]
    fn every_truncation_is_an_error(at in any::<prop::sample::Index>()) {
        let whole = bytes_of_sample();
        let cut = whole[..at.index(whole.len())].to_vec();
        prop_assert!(TensorFile::from_bytes("cut", cut).is_err());
    }

    #[test]
    fn random_headers_never_panic(
        header in "[\\[\\]{}\":,0-9a-z_]{0,80}|\\{\"a\":\\{\"dtype\":\"[FI](8|16|32|64)\",\"shape\":\\[[0-9]{0,22}\\],\"data_offsets\":\\[[0-9]{1,21},[0-9]{1,21}\\]\\}\\}",
        data in 0_usize..40,
    ) {
        exercise(forged(&header, data));
    }
}

fn bytes_of_sample() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| bytes(&sample()))
}
