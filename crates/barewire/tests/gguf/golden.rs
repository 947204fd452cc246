//! `golden.gguf` was written by gguf-py 0.17 (MIT), the Python package of llama.cpp: every value type it can write, an
//! alignment of 64, tensors of eight types.

use barewire::gguf::{Array, GgmlType, Gguf, GgufWriter, TensorSpec, Value};

const GOLDEN: &[u8] = include_bytes!("golden.gguf");

#[test]
fn every_value_is_what_was_written() {
    let file = Gguf::from_bytes(GOLDEN).unwrap();
    assert_eq!((file.version(), file.alignment()), (3, 64));
    for (key, value) in [
        ("a.u8", Value::U8(200)),
        ("a.i8", Value::I8(-100)),
        ("a.u16", Value::U16(60000)),
        ("a.i16", Value::I16(-30000)),
        ("a.u32", Value::U32(4_000_000_000)),
        ("a.i32", Value::I32(-2_000_000_000)),
        ("a.f32", Value::F32(0.5)),
        ("a.bool", Value::Bool(true)),
        ("a.text", Value::text("ternär")),
        ("a.u64", Value::U64(1 << 63)),
        ("a.i64", Value::I64(-(1 << 62))),
        ("a.f64", Value::F64(1e-300)),
        ("a.texts", Value::Array(Array::texts(["a", "", "ü"]))),
        ("a.ints", Value::Array(Array::i32s(&[1, -2, 3]))),
        ("a.floats", Value::Array(Array::f32s(&[0.25, -1.0]))),
        ("a.nested", Value::Array(Array::arrays([Array::i32s(&[1, 2]), Array::i32s(&[3])]))),
    ] {
        assert_eq!(file.get(key), Some(value), "{key}");
    }
    let nested = file.get("a.nested").unwrap();
    let rows: Vec<_> =
        nested.as_array().unwrap().iter().map(|row| row.as_array().unwrap().integers()).collect();
    assert_eq!(rows, [Some(vec![1, 2]), Some(vec![3])]);
    let bools = file.get("a.bools").unwrap();
    let bools: Vec<_> = bools.as_array().unwrap().iter().map(|value| value.as_bool()).collect();
    assert_eq!(bools, [Some(true), Some(false)]);
}

#[test]
fn every_tensor_is_where_it_was_put() {
    let file = Gguf::from_bytes(GOLDEN).unwrap();
    let found: Vec<_> =
        file.tensors().map(|t| (t.name, t.kind.name(), t.shape.to_vec(), t.bytes.len())).collect();
    let expected = [
        ("f32", "F32", vec![2, 3], 24),
        ("f16", "F16", vec![3, 2], 12),
        ("bf16", "BF16", vec![1, 256], 512),
        ("q8_0", "Q8_0", vec![1, 256], 272),
        ("q4_0", "Q4_0", vec![1, 256], 144),
        ("tq1_0", "TQ1_0", vec![2, 512], 216),
        ("tq2_0", "TQ2_0", vec![2, 512], 264),
        ("i32", "I32", vec![3], 12),
    ];
    assert_eq!(found, expected);
    assert_eq!(file.tensor("f32").unwrap().f32s(), Some(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]));
    assert_eq!(file.section("i32").unwrap()[..4], 1i32.to_le_bytes());
    assert_eq!(file.tensor("tq2_0").unwrap().matrix(), [2, 512]);
}

#[test]
fn written_again_it_is_the_same_file() {
    let file = Gguf::from_bytes(GOLDEN).unwrap();
    let metadata: Vec<(String, Value<'_>)> = file.metadata().map(|(k, v)| (k.to_owned(), v)).collect();
    let specs: Vec<_> = file.tensors().map(|t| TensorSpec::new(t.name, t.kind, t.shape)).collect();
    let mut writer = GgufWriter::new(Vec::new(), &metadata, &specs).unwrap();
    for tensor in file.tensors() {
        writer.tensor(tensor.name, tensor.bytes).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), GOLDEN);
    assert_eq!(GgmlType::named("tq2_0"), Some(GgmlType::TQ2_0));
}
