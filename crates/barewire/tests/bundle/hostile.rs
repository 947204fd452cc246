//! Damage and forgery, exhaustively over a small bundle.

use barewire::{Bundle, Content, WireError, trits};

use crate::support::{entries, reseal, small, table, u64_at};

#[track_caller]
fn refused(bytes: &[u8], what: &str) {
    match Bundle::from_bytes(bytes) {
        Ok(_) => panic!("accepted: {what}"),
        Err(error) => {
            let WireError::Format { part, expected, found, remedy, .. } = &error else {
                panic!("{what}: {error}")
            };
            for text in [part, expected, found, remedy] {
                assert!(!text.is_empty(), "{what}: {error}");
            }
            assert_ne!(expected, found, "{what}: {error}");
        }
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let good = small();
    let mut bytes = good.clone();
    for at in 0..good.len() {
        let flips = (0..8).map(|bit| good[at] ^ 1 << bit);
        let whole = [0x00, 0xFF, !good[at], good[at].wrapping_add(1), good[at].wrapping_sub(1), 0x55, 0xAA];
        for byte in flips.chain(whole).filter(|byte| *byte != good[at]) {
            bytes[at] = byte;
            refused(&bytes, &format!("byte {at} is {byte:02x} in place of {:02x}", good[at]));
        }
        bytes[at] = good[at];
    }
    Bundle::from_bytes(&bytes).unwrap();
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let good = small();
    for length in 0..good.len() {
        refused(&good[..length], &format!("{length} bytes"));
    }
    for more in [1, 7, 8, 63, 64, 512, 4096] {
        for byte in [0x00, 0xFF] {
            let mut bytes = good.clone();
            bytes.resize(good.len() + more, byte);
            refused(&bytes, &format!("{more} more bytes {byte:02x}"));
        }
    }
    let mut twice = good.clone();
    twice.extend(&good);
    refused(&twice, "two in one");
}

/// Values that a length or offset might be forged to.
fn forgeries(true_value: u64, file: u64) -> Vec<u64> {
    let mut list = vec![0, 1, 2, 7, 8, 31, 63, 64, 65, 512, file - 1, file, file + 1];
    for step in [1, 2, 4, 8, 16, 64, 512, 4096] {
        list.extend([true_value.wrapping_add(step), true_value.wrapping_sub(step)]);
    }
    for bits in [15, 16, 31, 32, 33, 47, 52, 56, 60, 61, 62, 63] {
        list.extend([1_u64 << bits, (1_u64 << bits) - 1, true_value ^ 1 << bits, true_value | 1 << bits]);
    }
    list.extend([
        u64::MAX,
        u64::MAX - 7,
        u64::MAX - 63,
        u64::MAX - 511,
        true_value.wrapping_mul(2),
        true_value / 2,
    ]);
    list.retain(|value| *value != true_value);
    list
}

/// A little-endian number of `width` bytes at a place is forged, and the checksums of header and table put right.
fn forge(good: &[u8], at: usize, width: usize, what: &str) {
    let true_value = u64_at(good, at) & (u64::MAX >> (64 - 8 * width));
    for value in forgeries(true_value, good.len() as u64) {
        let cut = value & (u64::MAX >> (64 - 8 * width));
        if cut == true_value {
            continue;
        }
        let mut bytes = good.to_vec();
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        reseal(&mut bytes);
        refused(&bytes, &format!("{what} {cut} in place of {true_value}"));
    }
}

#[test]
fn every_forged_length_and_offset_is_refused() {
    let good = small();
    for (at, width, what) in
        [(16, 8, "file length"), (24, 8, "table offset"), (32, 8, "table length"), (40, 4, "sections")]
    {
        forge(&good, at, width, what);
    }
    let bundle = Bundle::from_bytes(&good).unwrap();
    for (start, entry) in entries(&good).into_iter().zip(bundle.entries()) {
        let name = &entry.name;
        forge(&good, start, 8, &format!("{name}: offset"));
        forge(&good, start + 8, 8, &format!("{name}: length"));
        forge(&good, start + 23, 1, &format!("{name}: rank"));
        forge(&good, start + 28, 2, &format!("{name}: name length"));
        for number in 0..entry.content.shape().len() {
            if entry.scale.is_none() || number == 0 {
                forge(&good, start + 32 + 8 * number, 8, &format!("{name}: size {number}"));
            }
        }
    }
}

/// A matrix may be made wider by as many columns as its padding has trits: that is the matrix with zeros there, written
/// by whoever can write checksums. Everything else is refused.
#[test]
fn forged_widths_are_refused_or_within_the_padding() {
    let good = small();
    let bundle = Bundle::from_bytes(&good).unwrap();
    for (start, entry) in entries(&good).into_iter().zip(bundle.entries()) {
        let Content::Trits { layout, shape: [rows, columns] } = entry.content else { continue };
        let here = &good[entry.offset as usize..][..entry.length as usize];
        for value in forgeries(columns as u64, good.len() as u64).into_iter().chain(1..40) {
            let mut bytes = good.clone();
            bytes[start + 40..start + 48].copy_from_slice(&value.to_le_bytes());
            reseal(&mut bytes);
            let wider = (value as usize) > columns && value < 40;
            let mut zeros = trits::decode(layout, rows, columns, here).unwrap();
            if wider {
                let row = |row: usize| (0..value as usize).map(move |c| (row, c));
                let at = |(r, c): (usize, usize)| if c < columns { zeros[r * columns + c] } else { 0 };
                zeros = (0..rows).flat_map(row).map(at).collect();
                // In the compute layout the places of all columns depend on their number.
                if trits::encode(layout, rows, value as usize, &zeros).unwrap() == here {
                    Bundle::from_bytes(&bytes).unwrap();
                    continue;
                }
            }
            if value != columns as u64 {
                refused(&bytes, &format!("{layout}: {value} columns in place of {columns}"));
            }
        }
    }
}

#[test]
fn forged_versions_flags_types_and_reserved_bytes_are_refused() {
    let good = small();
    let forged = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        reseal(&mut bytes);
        bytes
    };
    for version in [0, 2, 3, 255] {
        let error = Bundle::from_bytes(forged(8, version)).unwrap_err();
        assert!(error.to_string().contains("version") && error.remedy().contains("newer version"), "{error}");
    }
    for at in 12..16 {
        for bit in 0..8 {
            let error = Bundle::from_bytes(forged(at, 1 << bit)).unwrap_err();
            assert!(
                error.to_string().contains("flags") && error.remedy().contains("newer version"),
                "{error}"
            );
        }
    }
    for at in 44..60 {
        refused(&forged(at, 1), "reserved header byte");
    }
    for start in entries(&good) {
        for byte in 2..=255 {
            refused(&forged(start + 20, byte), "kind");
        }
        for byte in 11..=255 {
            refused(&forged(start + 21, byte), "dtype");
        }
        for byte in 5..=255 {
            refused(&forged(start + 22, byte), "layout");
        }
        for at in [30, 31] {
            refused(&forged(start + at, 1), "reserved byte of an entry");
        }
    }
}

#[test]
fn forged_scales_names_and_trits_are_refused() {
    let good = small();
    let starts = entries(&good);
    let bundle = Bundle::from_bytes(&good).unwrap();
    for (start, entry) in starts.iter().zip(bundle.entries()) {
        let scales = [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let wrong: &[f32] = if entry.scale.is_some() { &scales } else { &[1.0, -0.0] };
        for scale in wrong {
            let mut bytes = good.clone();
            bytes[start + 24..start + 28].copy_from_slice(&scale.to_bits().to_le_bytes());
            reseal(&mut bytes);
            refused(&bytes, &format!("{}: scale {scale}", entry.name));
        }
        let name = start + 32 + 8 * entry.content.shape().len();
        for byte in [0x00, b'\n', 0x7F, 0xFF, 0xC3] {
            let mut bytes = good.clone();
            bytes[name] = byte;
            reseal(&mut bytes);
            refused(&bytes, &format!("{}: name with {byte:02x}", entry.name));
        }
        if entry.scale.is_some() {
            // As a byte, 0xFF is −1.
            for byte in [0xFF, 0x80, 0x03, 0xF3].into_iter().filter(|b| entry.name != "bytes" || *b != 0xFF) {
                let at = entry.offset as usize + entry.length as usize - 1;
                let mut bytes = good.clone();
                bytes[at] = byte;
                let crc = crc32c::crc32c(&bytes[entry.offset as usize..=at]);
                bytes[start + 16..start + 20].copy_from_slice(&crc.to_le_bytes());
                reseal(&mut bytes);
                refused(&bytes, &format!("{}: last packed byte {byte:02x}", entry.name));
            }
        }
    }
    // One name for two sections: "floats" becomes "number".
    let place = |name: &str| {
        let at = bundle.entries().iter().position(|e| e.name == name).unwrap();
        starts[at] + 32 + 8 * bundle.entries()[at].content.shape().len()
    };
    let mut bytes = good.clone();
    bytes[place("floats")..][..6].copy_from_slice(b"number");
    reseal(&mut bytes);
    refused(&bytes, "a name given twice");
    let mut bytes = good.clone();
    let flags = bundle.entry("flags").unwrap();
    let at = flags.offset as usize;
    bytes[at + 2] = 2;
    let crc = crc32c::crc32c(&bytes[at..at + 3]);
    let start = starts[bundle.entries().iter().position(|e| e.name == "flags").unwrap()];
    bytes[start + 16..start + 20].copy_from_slice(&crc.to_le_bytes());
    reseal(&mut bytes);
    refused(&bytes, "a truth value of 2");
}

#[test]
fn forged_padding_is_refused() {
    let good = small();
    let bundle = Bundle::from_bytes(&good).unwrap();
    let mut covered = vec![false; good.len()];
    covered[..64].fill(true);
    covered[table(&good)..].fill(true);
    for entry in bundle.entries() {
        covered[entry.offset as usize..][..entry.length as usize].fill(true);
    }
    let padding: Vec<usize> = (0..good.len()).filter(|at| !covered[*at]).collect();
    assert!(padding.len() > 1000);
    for at in padding {
        let mut bytes = good.clone();
        bytes[at] = 1;
        refused(&bytes, &format!("padding byte {at}"));
    }
}

/// Random damage of header and table with checksums put right: an error or a bundle that can be read, never a panic.
#[test]
fn random_forgeries_do_not_panic() {
    let good = small();
    let table = table(&good);
    let mut state = 1_u64;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=random(3) {
            let at = if random(4) == 0 { 8 + random(52) } else { table + random(good.len() - table) };
            bytes[at] = if random(2) == 0 { random(256) as u8 } else { bytes[at] ^ 1 << random(8) };
        }
        reseal(&mut bytes);
        if let Ok(bundle) = Bundle::from_bytes(&bytes) {
            accepted += 1;
            for entry in bundle.entries() {
                assert!(bundle.section(&entry.name).unwrap().len() == entry.length as usize);
            }
            for view in bundle.tensors() {
                assert!(view.len() <= bytes.len() * 5);
            }
        }
    }
    // Other scales, other names, other types of one size.
    assert!(accepted > 0 && accepted < 10_000, "{accepted}");
}

#[test]
fn other_files_are_told_apart() {
    let remedy = |bytes: &[u8]| Bundle::from_bytes(bytes).unwrap_err().remedy().to_owned();
    assert!(remedy(b"GGUF\x03\0\0\0").contains("GGUF"));
    assert!(remedy(b"{\"model_type\": 1}").contains("fidelity pack"));
    assert!(remedy(b"").contains("damaged"));
    // Line ends changed on the way, as by a transfer in text mode.
    let text_mode: Vec<u8> = small().into_iter().filter(|b| *b != b'\r').collect();
    assert!(remedy(&text_mode).contains("damaged"));
}
