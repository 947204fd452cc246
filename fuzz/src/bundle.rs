//! Bundles, as they are and with their checksums put right, and the decoders of packed trits by themselves.

use std::hint::black_box;

use axes::TritLayout;
use barewire::{Bundle, BundleWriter, Content, Spec, TensorView, trits};
use models::bundle::ModelBundle;

/// Bytes of the header, and of a table entry before its sizes and its name.
const HEADER: usize = 64;
const FIXED: usize = 32;

/// Reads `data` as a bundle; as one whose checksums and lengths were forged to fit, since a mutation would hardly ever
/// come past them; and as packed trits with sizes before them.
pub fn check(data: &[u8]) {
    read(data);
    let mut forged = data.to_vec();
    stretch(&mut forged);
    reseal(&mut forged);
    read(&forged);
    trits_of_any_size(data);
}

/// What is accepted is read in full, and is the one bundle that a writer makes of its contents.
fn read(bytes: &[u8]) {
    let bundle = match Bundle::from_bytes(bytes) {
        Ok(bundle) => bundle,
        Err(error) => return drop(black_box((error.to_string(), error.remedy().len()))),
    };
    assert_eq!(bundle.file_length(), bytes.len() as u64);
    for entry in bundle.entries() {
        let name = &entry.name;
        assert_eq!(bundle.section(name).expect("a section of the list").len() as u64, entry.length, "{name}");
        if matches!(entry.content, Content::Bytes { .. }) {
            assert_eq!(bundle.bytes(name).expect("a section of bytes").len() as u64, entry.length, "{name}");
        } else {
            tensor(&bundle.tensor(name).expect("a tensor"));
        }
    }
    assert_eq!(written(&bundle), bytes, "two bundles of the same contents");
    match ModelBundle::new(bundle) {
        Ok(model) => {
            black_box((model.layout(), model.embedding_type(), model.companions().count()));
            black_box((model.embedding().is_ok(), model.tokenizer_json().is_ok()));
            black_box(model.generation_config().is_ok());
        }
        Err(error) => drop(black_box(error.to_string())),
    }
}

fn tensor(view: &TensorView<'_>) {
    let casts = (view.f32s(), view.f64s(), view.bf16s(), view.i8s(), view.i32s(), view.i64s());
    black_box(casts);
    let (Some(layout), Some(packed)) = (view.layout, view.packed()) else { return };
    assert!(view.scale.is_some_and(|scale| scale > 0.0 && scale.is_finite()), "{}", view.name);
    assert_eq!(view.len(), packed.rows() * packed.columns());
    matrix(layout, packed.rows(), packed.columns(), view.bytes).expect("codes that were checked");
}

/// Decodes a matrix; one that is accepted has one encoding, and is the same through every layout.
fn matrix(layout: TritLayout, rows: usize, columns: usize, bytes: &[u8]) -> barewire::Result<()> {
    let values = trits::decode(layout, rows, columns, bytes)?;
    trits::check(layout, rows, columns, bytes).expect("what is decoded is checked");
    assert_eq!(trits::encode(layout, rows, columns, &values).expect("trits"), bytes);
    let count = |value: i8| values.iter().filter(|t| **t == value).count() as u64;
    let histogram = trits::histogram(layout, rows, columns, bytes).expect("trits");
    assert_eq!(histogram, [count(-1), count(0), count(1)]);
    for other in TritLayout::ALL {
        let mut converted = Vec::new();
        trits::convert(layout, other, rows, columns, bytes, &mut converted).expect("trits");
        assert_eq!(trits::decode(other, rows, columns, &converted).expect("trits"), values);
    }
    Ok(())
}

/// Layout, rows and columns are the first bytes: two small sizes, or two hostile ones.
fn trits_of_any_size(data: &[u8]) {
    let Some((head, bytes)) = data.split_first_chunk::<4>() else { return };
    let layout = TritLayout::ALL[usize::from(head[0] & 3)];
    let (rows, columns) = (usize::from(head[1]), usize::from(u16::from_le_bytes([head[2], head[3]])));
    black_box(matrix(layout, rows, columns, bytes).map_err(|error| error.to_string()).err());
    if let Some((sizes, bytes)) = bytes.split_first_chunk::<16>() {
        let size = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| sizes[at + i])) as usize;
        black_box(matrix(layout, size(0), size(8), bytes).map_err(|error| error.to_string()).err());
    }
}

fn written(bundle: &Bundle) -> Vec<u8> {
    let specs: Vec<Spec> = bundle
        .entries()
        .iter()
        .map(|entry| match &entry.content {
            Content::Bytes { length } => Spec::bytes(&entry.name, *length as usize),
            Content::Tensor { dtype, shape } => Spec::tensor(&entry.name, *dtype, shape),
            Content::Trits { layout, shape: [rows, columns] } => {
                Spec::trits(&entry.name, *layout, *rows, *columns)
            }
        })
        .collect();
    let mut writer = BundleWriter::new(Vec::new(), &specs).expect("contents that were read");
    for entry in bundle.entries() {
        let bytes = bundle.section(&entry.name).expect("a section of the list");
        match entry.scale {
            Some(scale) => writer.trits(&entry.name, scale, &bytes),
            None => writer.section(&entry.name, &bytes),
        }
        .expect("contents that were read");
    }
    writer.finish().expect("a vector does not fail")
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Makes the header's lengths those of the file, where it says that the table fits.
fn stretch(bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    if bytes.len() < HEADER || u64_at(bytes, 24) > length {
        return;
    }
    let table = length - u64_at(bytes, 24);
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    bytes[32..40].copy_from_slice(&table.to_le_bytes());
}

/// Puts right the checksums of header, table and sections, as a forger would.
fn reseal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let crc = crc32c::crc32c(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
    let table = u64_at(bytes, 24);
    let Some(end) = bytes.len().checked_sub(8).filter(|end| table <= *end as u64) else { return };
    let mut at = table as usize;
    while at + FIXED <= end {
        let (offset, length) = (u64_at(bytes, at), u64_at(bytes, at + 8));
        let section = offset.checked_add(length).filter(|end| *end <= table);
        if section.is_some() {
            let crc = crc32c::crc32c(&bytes[offset as usize..][..length as usize]);
            bytes[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        }
        let name = usize::from(u16::from_le_bytes([bytes[at + 28], bytes[at + 29]]));
        at += FIXED + 8 * usize::from(bytes[at + 23]) + name.next_multiple_of(8);
    }
    let crc = crc32c::crc32c(&bytes[table as usize..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}
