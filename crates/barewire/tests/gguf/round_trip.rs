//! What a writer declares it writes, and a reader finds.

use barewire::WireError;
use barewire::gguf::{Array, GgmlType, Gguf, GgufWriter, TensorSpec, Value};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value<'static>> {
    let text = "[a-zü\\x00 ]{0,9}";
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        (-1e9f32..1e9).prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        text.prop_map(Value::text),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        (-1e9f64..1e9).prop_map(Value::F64),
        prop::collection::vec(any::<u64>(), 0..5).prop_map(|v| Value::Array(Array::u64s(&v))),
        prop::collection::vec(text, 0..5).prop_map(|v| Value::Array(Array::texts(v))),
        prop::collection::vec(prop::collection::vec(text, 0..3), 0..3)
            .prop_map(|v| Value::Array(Array::arrays(v.into_iter().map(Array::texts)))),
    ]
}

fn tensor() -> impl Strategy<Value = (GgmlType, Vec<usize>)> {
    let kinds = [0, 1, 2, 8, 12, 14, 23, 28, 30, 34, 35, 36, 41, 42].map(|n| GgmlType::new(n).unwrap());
    (prop::sample::select(kinds.to_vec()), 1usize..4, 1usize..3).prop_map(|(kind, rows, blocks)| {
        let columns = (1..=256).find(|n| kind.bytes(&[1, *n]).is_some()).unwrap();
        (kind, vec![rows, columns * blocks])
    })
}

proptest! {
    #[test]
    fn anything_reads_back(
        values in prop::collection::vec(value(), 0..8),
        tensors in prop::collection::vec(tensor(), 0..6),
        alignment in prop::option::of(0u32..9),
    ) {
        let mut metadata: Vec<(String, Value<'_>)> =
            values.into_iter().enumerate().map(|(n, v)| (format!("key.{n}"), v)).collect();
        metadata.extend(alignment.map(|n| ("general.alignment".into(), Value::U32(1 << n))));
        let specs: Vec<TensorSpec> = tensors.iter().enumerate()
            .map(|(n, (kind, shape))| TensorSpec::new(format!("t{n}"), *kind, shape)).collect();
        let mut writer = GgufWriter::new(Vec::new(), &metadata, &specs).unwrap();
        let data: Vec<Vec<u8>> = specs.iter().enumerate()
            .map(|(n, s)| vec![n as u8 + 1; s.kind.bytes(&s.shape).unwrap() as usize]).collect();
        for (spec, bytes) in specs.iter().zip(&data) {
            writer.tensor(&spec.name, bytes).unwrap();
        }
        let file = Gguf::from_bytes(writer.finish().unwrap()).unwrap();
        let read: Vec<(String, Value<'_>)> = file.metadata().map(|(k, v)| (k.to_owned(), v)).collect();
        prop_assert_eq!(read, metadata);
        prop_assert_eq!(file.tensors().len(), specs.len());
        for (spec, bytes) in specs.iter().zip(&data) {
            let tensor = file.tensor(&spec.name).unwrap();
            prop_assert_eq!((tensor.kind, tensor.shape, tensor.bytes), (spec.kind, &spec.shape[..], &bytes[..]));
        }
    }
}

fn refused(metadata: &[(String, Value<'_>)], specs: &[TensorSpec]) -> String {
    GgufWriter::new(Vec::new(), metadata, specs).unwrap_err().to_string()
}

#[test]
fn a_writer_holds_to_what_it_declared() {
    let spec = |name: &str, shape: &[usize]| TensorSpec::new(name, GgmlType::TQ2_0, shape);
    let key = |key: &str, value| (key.to_owned(), value);
    let text = refused(&[], &[spec("w", &[2, 100])]);
    assert!(text.contains("`w`") && text.contains("blocks of 256") && text.contains("[2, 100]"), "{text}");
    assert!(refused(&[], &[spec("w", &[1, 256]), spec("w", &[1, 256])]).contains("twice"));
    assert!(refused(&[], &[spec(&"w".repeat(64), &[1, 256])]).contains("rename"));
    assert!(refused(&[key("a", Value::U8(1)), key("a", Value::U8(2))], &[]).contains("twice"));
    assert!(refused(&[key("general.alignment", Value::U32(48))], &[]).contains("power of two"));
    let mut writer = GgufWriter::new(Vec::new(), &[], &[spec("w", &[1, 256]), spec("v", &[1, 256])]).unwrap();
    assert!(matches!(writer.tensor("v", &[0; 66]), Err(WireError::Write { .. })));
    assert!(writer.tensor("w", &[0; 65]).unwrap_err().to_string().contains("66 bytes"));
    assert!(writer.tensor("w", &[0; 67]).unwrap_err().to_string().contains("more"));
    assert!(writer.finish().unwrap_err().to_string().contains("declared"));
}

#[test]
fn a_file_is_mapped_and_sections_outlive_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let mut writer = GgufWriter::new(Vec::new(), &[], &[TensorSpec::new("w", GgmlType::F32, &[3])]).unwrap();
    writer.tensor("w", &[7; 12]).unwrap();
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    let file = Gguf::open(&path).unwrap();
    let section = file.section("w").unwrap();
    assert_eq!(section.as_ptr(), file.tensor("w").unwrap().bytes.as_ptr());
    drop(file);
    assert_eq!(&section[..], [7; 12]);
    assert!(Gguf::open(dir.path()).unwrap_err().to_string().contains("regular file"));
    assert!(Gguf::open(dir.path().join("x")).unwrap_err().to_string().contains("check the path"));
}

#[test]
fn copies_on_huge_pages_are_lent_in_place_of_the_map() {
    let specs: Vec<TensorSpec> =
        (0..40).map(|n| TensorSpec::new(format!("t{n}"), GgmlType::F32, &[n + 1, 8191])).collect();
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let mut writer = GgufWriter::new(std::fs::File::create(&path).unwrap(), &[], &specs).unwrap();
    let data: Vec<Vec<u8>> = specs
        .iter()
        .enumerate()
        .map(|(n, spec)| (0..4 * spec.shape[0] * 8191).map(|i| (i * 7 + i / 251 + n) as u8).collect())
        .collect();
    for (spec, bytes) in specs.iter().zip(&data) {
        writer.tensor(&spec.name, bytes).unwrap();
    }
    writer.finish().unwrap();
    let plain = Gguf::open(&path).unwrap();
    let mut copied = plain.clone();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    copied.copy_to_huge_pages(&[names[39], names[3], names[3], names[17]]).unwrap();
    copied.copy_to_huge_pages(&[names[3], names[4]]).unwrap();
    assert!(copied.huge_bytes().is_none_or(|[huge, all]| huge <= all && all == 4 * 8191 * (40 + 4 + 18 + 5)));
    assert!(copied.copy_to_huge_pages(&["x"]).is_err());
    for (name, bytes) in names.iter().zip(&data) {
        plain.release(name);
        assert!(plain.tensor(name).unwrap().bytes == bytes && copied.tensor(name).unwrap().bytes == bytes);
        assert!(copied.section(name).unwrap()[..] == bytes[..]);
    }
    for n in [3, 4, 17, 39] {
        assert_ne!(
            copied.tensor(names[n]).unwrap().bytes.as_ptr(),
            plain.tensor(names[n]).unwrap().bytes.as_ptr()
        );
    }
    plain.release("x");
}
