//! What goes in comes out, in place; what is asked for wrongly is told.

use axes::{DType, TritLayout};
use barewire::{Bundle, BundleWriter, Spec, WireError, trits};

use crate::support::{CONFIG, FLOATS, small, values};

#[test]
fn sections_come_back_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.fid");
    std::fs::write(&path, small()).unwrap();
    for bundle in [Bundle::open(&path).unwrap(), Bundle::from_bytes(small()).unwrap()] {
        assert_eq!(bundle.bytes("config.json").unwrap(), CONFIG);
        assert_eq!(bundle.bytes("empty").unwrap(), b"");
        assert_eq!(bundle.file_length(), small().len() as u64);
        let floats = bundle.tensor("floats").unwrap();
        assert_eq!((floats.dtype, floats.shape, floats.layout), (DType::F32, &[2, 3][..], None));
        assert_eq!(floats.f32s().unwrap(), FLOATS);
        assert_eq!(floats.i32s(), None);
        assert_eq!(bundle.tensor("number").unwrap().i64s().unwrap(), [-7]);
        assert_eq!(bundle.tensor("number").unwrap().len(), 1);
        for layout in TritLayout::ALL {
            let view = bundle.tensor(layout.name()).unwrap();
            assert_eq!((view.dtype, view.layout, view.scale), (DType::Trit, Some(layout), Some(0.75)));
            assert_eq!(trits::decode(layout, 5, 7, view.bytes).unwrap(), values(35));
            assert_eq!(view.packed().unwrap().get(4, 6), values(35)[34]);
            assert_eq!(view.bytes.as_ptr() as usize % 512, 0);
        }
        assert_eq!(floats.bytes.as_ptr() as usize % 64, 0);
        assert_eq!(bundle.tensors().count(), 7);
        assert_eq!(bundle.entries().len(), 9);
    }
}

#[test]
fn handles_outlive_the_bundle_and_share_its_bytes() {
    let bundle = Bundle::from_bytes(small()).unwrap();
    let section = bundle.section("floats").unwrap();
    let clone = bundle.clone();
    assert_eq!(section.as_ptr(), bundle.tensor("floats").unwrap().bytes.as_ptr());
    drop((bundle, clone));
    let again = section.clone();
    let sum = std::thread::spawn(move || again.iter().map(|b| u32::from(*b)).sum::<u32>()).join().unwrap();
    assert_eq!(sum, section.iter().map(|b| u32::from(*b)).sum::<u32>());
}

#[test]
fn what_is_not_there_is_told() {
    let bundle = Bundle::from_bytes(small()).unwrap();
    let told = |error: WireError, parts: &[&str]| {
        let text = error.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));
    };
    told(bundle.tensor("none").unwrap_err(), &["`none`", "9 others"]);
    told(bundle.tensor("config.json").unwrap_err(), &["a tensor", "bytes"]);
    told(bundle.bytes("floats").unwrap_err(), &["bytes", "a tensor"]);
    told(bundle.section("none").unwrap_err(), &["`none`"]);
    told(Bundle::open("/nowhere/x.fid").unwrap_err(), &["/nowhere/x.fid", "check the path"]);
    told(Bundle::open("/").unwrap_err(), &["regular file"]);
}

#[test]
fn a_writer_is_held_to_its_declaration() {
    let specs = [
        Spec::bytes("a", 3),
        Spec::trits("t", TritLayout::Storage, 1, 5),
        Spec::tensor("f", DType::F32, &[1]),
    ];
    let writer = || BundleWriter::new(Vec::new(), &specs).unwrap();
    let told = |error: WireError, parts: &[&str]| {
        let text = error.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));
    };
    told(writer().section("b", b"123").unwrap_err(), &["`a`", "`b`", "order"]);
    told(writer().section("a", b"12").unwrap_err(), &["3 bytes", "found 2"]);
    told(writer().section("a", b"1234").unwrap_err(), &["3 bytes", "more"]);
    told(writer().trits("a", 1.0, b"123").unwrap_err(), &["no scale"]);
    told(writer().finish().unwrap_err(), &["`a`", "declared"]);
    let mut one = writer();
    one.section("a", b"123").unwrap();
    told(one.section("t", &[121]).unwrap_err(), &["`trits`"]);
    told(one.trits("t", f32::NAN, &[121]).unwrap_err(), &["positive finite", "NaN"]);
    told(one.trits("t", 0.0, &[121]).unwrap_err(), &["positive finite"]);
    told(one.trits("t", 1.0, &[243]).unwrap_err(), &["242"]);
    told(one.trits("t", 1.0, &[121, 121]).unwrap_err(), &["1 bytes"]);
    let declared = |specs: &[Spec]| BundleWriter::new(Vec::new(), specs).unwrap_err();
    told(declared(&[Spec::bytes("", 1)]), &["1 to 1024 bytes"]);
    told(declared(&[Spec::bytes("a\n", 1)]), &["control"]);
    told(declared(&[Spec::bytes("a", 1), Spec::bytes("a", 1)]), &["once", "twice"]);
    told(declared(&[Spec::tensor("a", DType::F32, &[2, 0])]), &["at least 1"]);
    told(declared(&[Spec::tensor("a", DType::F32, &[1; 9])]), &["at most 8"]);
    told(declared(&[Spec::tensor("a", DType::Trit, &[4])]), &["sizes"]);
    told(declared(&[Spec::tensor("a", DType::F64, &[1 << 62])]), &["address space"]);
    told(declared(&[Spec::trits("a", TritLayout::Bytes, 1 << 40, 1 << 40)]), &["address space"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let error = BundleWriter::new(full, &[Spec::bytes("a", 1)]).unwrap_err();
    assert!(error.remedy().contains("space"), "{error}");
}

/// The bars, whole files counted: header, padding, table with names and scales.
#[test]
fn bits_per_weight() {
    for (rows, columns) in
        [(1024, 1024), (1000, 1003), (5632, 1024), (2560, 6912), (32000, 64), (1, 1_000_001)]
    {
        for (layout, bar) in
            [(TritLayout::Compute, 2.05), (TritLayout::Interchange, 2.05), (TritLayout::Storage, 1.65)]
        {
            let zeros = vec![0; rows * columns];
            let specs = [Spec::trits("model.layers.0.mlp.gate_proj.weight", layout, rows, columns)];
            let mut writer = BundleWriter::new(Vec::new(), &specs).unwrap();
            writer
                .trits_with(&specs[0].name, 1.0, |out| {
                    trits::encode_to(layout, rows, columns, &zeros, out).map_err(WireError::into_io)
                })
                .unwrap();
            let bytes = writer.finish().unwrap().len();
            let bits = 8.0 * bytes as f64 / (rows * columns) as f64;
            assert!(bits <= bar, "{layout} {rows} × {columns}: {bits}");
        }
    }
}
