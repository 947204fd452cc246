//! A small bundle with a section of every kind, and the parts of its bytes.

use axes::{DType, TritLayout};
use barewire::{Bundle, BundleWriter, Spec, trits};

pub const CONFIG: &[u8] = br#"{"a": 1}"#;
pub const FLOATS: [f32; 6] = [1.0, -2.5, 0.0, 3.25, f32::MIN_POSITIVE, 1e30];

pub fn values(count: usize) -> Vec<i8> {
    (0..count).map(|i| [1, 0, -1, -1, 0, 1, 1][(i * i + i / 3) % 7]).collect()
}

/// Bytes, numbers with rank 0 and 2, truth values, and a matrix in each layout.
pub fn small() -> Vec<u8> {
    let mut specs = vec![
        Spec::bytes("config.json", CONFIG.len()),
        Spec::bytes("empty", 0),
        Spec::tensor("floats", DType::F32, &[2, 3]),
        Spec::tensor("number", DType::I64, &[]),
        Spec::tensor("flags", DType::Bool, &[3]),
    ];
    specs.extend(TritLayout::ALL.map(|layout| Spec::trits(layout.name(), layout, 5, 7)));
    let mut writer = BundleWriter::new(Vec::new(), &specs).unwrap();
    writer.section("config.json", CONFIG).unwrap();
    writer.section("empty", b"").unwrap();
    let floats: Vec<u8> = FLOATS.iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.section("floats", &floats).unwrap();
    writer.section("number", &(-7_i64).to_le_bytes()).unwrap();
    writer.section("flags", &[1, 0, 1]).unwrap();
    for layout in TritLayout::ALL {
        let packed = trits::encode(layout, 5, 7, &values(35)).unwrap();
        writer.trits(layout.name(), 0.75, &packed).unwrap();
    }
    writer.finish().unwrap()
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where the table starts, from the header.
pub fn table(bytes: &[u8]) -> usize {
    u64_at(bytes, 24) as usize
}

/// Where each entry of the table starts in the file.
pub fn entries(bytes: &[u8]) -> Vec<usize> {
    let mut at = table(bytes);
    let mut list = vec![];
    for entry in Bundle::from_bytes(bytes).unwrap().entries() {
        list.push(at);
        at += 32 + 8 * entry.content.shape().len() + entry.name.len().next_multiple_of(8);
    }
    list
}

/// Puts right the checksums of header and table, as a forger would.
pub fn reseal(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    let (start, length) = (u64_at(bytes, 24), u64_at(bytes, 32));
    // A forged place may lie anywhere; then there is no table to seal.
    let Some(end) = start.checked_add(length).filter(|end| *end <= bytes.len() as u64 && length >= 8) else {
        return;
    };
    let (start, end) = (start as usize, end as usize - 8);
    let crc = crc32c::crc32c(&bytes[start..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}
