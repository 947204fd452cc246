//! The fast codecs against plain loops that follow the specification in `axes::TritLayout` to the letter.
#![allow(missing_docs)]

use axes::{TritLayout, TritStorage};
use barewire::{PackedTrits, WireError, trits};
use proptest::prelude::*;

/// The encoder that the specification describes, trit by trit.
fn plain(layout: TritLayout, rows: usize, columns: usize, trits: &[i8]) -> Vec<u8> {
    let at = |row: usize, column: usize| if column < columns { trits[row * columns + column] } else { 0 };
    let mut out = vec![];
    match layout {
        TritLayout::Bytes => out.extend(trits.iter().map(|t| *t as u8)),
        TritLayout::Interchange => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(4) {
                    let code = |i: usize| match at(row, 4 * byte + i) {
                        0 => 0b00,
                        -1 => 0b01,
                        _ => 0b10,
                    };
                    out.push((0..4).map(|i| code(i) << (2 * i)).sum());
                }
            }
        }
        TritLayout::Storage => {
            for row in 0..rows {
                for byte in 0..columns.div_ceil(5) {
                    out.push((0..5).map(|i| (at(row, 5 * byte + i) + 1) as u8 * 3_u8.pow(i as u32)).sum());
                }
            }
        }
        TritLayout::Compute => {
            for group in (0..rows).step_by(4) {
                let group = group..rows.min(group + 4);
                let mut block = |start: usize, n: usize| {
                    for row in group.clone() {
                        for j in 0..n {
                            let code = |p: usize| (at(row, start + p * n + j) + 1) as u8;
                            out.push((0..4).map(|p| code(p) << (2 * p)).sum());
                        }
                    }
                };
                for whole in 0..columns / 256 {
                    block(256 * whole, 64);
                }
                block(columns / 256 * 256, (columns % 256).div_ceil(4));
            }
        }
    }
    out
}

fn matrix() -> impl Strategy<Value = (usize, usize, Vec<i8>)> {
    (1..11_usize, prop_oneof![1..20_usize, 250..262_usize, 500..800_usize]).prop_flat_map(
        |(rows, columns)| (Just(rows), Just(columns), prop::collection::vec(-1..=1_i8, rows * columns)),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_fast_forms_are_the_plain_ones((rows, columns, values) in matrix()) {
        for layout in TritLayout::ALL {
            let packed = trits::encode(layout, rows, columns, &values).unwrap();
            prop_assert_eq!(&packed, &plain(layout, rows, columns, &values), "{}", layout);
            prop_assert_eq!(packed.len(), layout.bytes(rows, columns).unwrap());
            let mut streamed = vec![];
            trits::encode_to(layout, rows, columns, &values, &mut streamed).unwrap();
            prop_assert_eq!(&streamed, &packed);
            let mut into = vec![0xAA; packed.len()];
            trits::encode_into(layout, rows, columns, &values, &mut into).unwrap();
            prop_assert_eq!(&into, &packed);

            prop_assert_eq!(&trits::decode(layout, rows, columns, &packed).unwrap(), &values);
            let view = PackedTrits::new(layout, rows, columns, &packed).unwrap();
            let read: Vec<i8> = (0..view.len()).map(|i| view.trit(i)).collect();
            prop_assert_eq!(&read, &values, "{}", layout);
            prop_assert!(TritStorage::check(&view).is_ok());

            let count = |wanted: i8| values.iter().filter(|t| **t == wanted).count() as u64;
            let expected = [count(-1), count(0), count(1)];
            prop_assert_eq!(trits::histogram(layout, rows, columns, &packed).unwrap(), expected, "{}", layout);

            for other in TritLayout::ALL {
                let mut converted = vec![];
                trits::convert(layout, other, rows, columns, &packed, &mut converted).unwrap();
                prop_assert_eq!(&converted, &plain(other, rows, columns, &values), "{} to {}", layout, other);
            }
            let mut gathered = vec![];
            trits::for_each_rows(layout, rows, columns, &packed, |first, rows| {
                assert_eq!(first * columns, gathered.len());
                gathered.extend_from_slice(rows);
                Ok(())
            }).unwrap();
            prop_assert_eq!(&gathered, &values);
        }
    }

    /// One encoding each: any other byte anywhere is another matrix or none.
    #[test]
    fn bytes_are_an_encoding_or_are_refused(
        (rows, columns, values) in matrix(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for layout in TritLayout::ALL {
            let mut packed = trits::encode(layout, rows, columns, &values).unwrap();
            let at = place.index(packed.len());
            packed[at] = byte;
            match trits::decode(layout, rows, columns, &packed) {
                Ok(read) => prop_assert_eq!(plain(layout, rows, columns, &read), packed, "{}", layout),
                Err(error) => {
                    prop_assert!(!error.remedy().is_empty());
                    // The plain reading agrees: a trit is illegal, or the bytes are not what its trits encode to.
                    let sound = trits::encode(layout, rows, columns, &values).unwrap();
                    let view = PackedTrits::new(layout, rows, columns, &sound).unwrap();
                    prop_assert!(view.bytes() != &packed[..]);
                    prop_assert!(trits::check(layout, rows, columns, &packed).is_err());
                    prop_assert!(trits::histogram(layout, rows, columns, &packed).is_err());
                    prop_assert!(trits::convert(layout, layout, rows, columns, &packed, &mut vec![]).is_err());
                }
            }
        }
    }
}

#[test]
fn every_byte_of_every_layout_is_read_as_specified() {
    for byte in 0..=255_u8 {
        let digits = |base: u8, n: u32| (0..n).map(move |i| byte / base.pow(i) % base);
        let interchange = digits(4, 4).map(|c| [Some(0), Some(-1), Some(1), None][usize::from(c)]).collect();
        let compute = digits(4, 4).map(|c| (c < 3).then_some(c as i8 - 1)).collect();
        let storage: Option<Vec<i8>> = (byte < 243).then(|| digits(3, 5).map(|c| c as i8 - 1).collect());
        for (layout, columns, expected) in [
            (TritLayout::Interchange, 4, interchange),
            (TritLayout::Compute, 4, compute),
            (TritLayout::Storage, 5, storage),
        ] {
            let found = trits::decode(layout, 1, columns, &[byte]).ok();
            assert_eq!(found, expected, "{layout} {byte}");
        }
    }
}

#[test]
fn padding_other_than_zero_trits_is_refused() {
    for layout in [TritLayout::Compute, TritLayout::Interchange, TritLayout::Storage] {
        for columns in (1..15).chain(255..268) {
            let values = vec![1; 6 * columns];
            let good = trits::encode(layout, 6, columns, &values).unwrap();
            let mut refused = 0;
            for at in 0..good.len() {
                for byte in 0..=255_u8 {
                    let mut bad = good.clone();
                    bad[at] = byte;
                    match trits::decode(layout, 6, columns, &bad) {
                        Ok(read) => assert_eq!(trits::encode(layout, 6, columns, &read).unwrap(), bad),
                        Err(_) => refused += 1,
                    }
                }
            }
            // All bytes are free where nothing is padding: 81 of 256 codes are legal, or 243.
            let legal: usize = if layout == TritLayout::Storage { 243 } else { 81 };
            let padded = layout.row_bytes(columns) * if legal == 243 { 5 } else { 4 } != columns;
            assert_eq!(refused > (256 - legal) * good.len(), padded, "{layout} {columns}");
        }
    }
}

#[test]
fn wrong_arguments_are_told_apart() {
    let told = |error: WireError, parts: &[&str]| {
        let text = error.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));
        assert!(text.ends_with(error.remedy()), "{text}");
    };
    let layout = TritLayout::Compute;
    told(trits::encode(layout, 2, 3, &[0; 5]).unwrap_err(), &["compute", "2 × 3", "6 trits", "found 5"]);
    told(trits::encode(layout, 2, 3, &[0, 0, 0, 0, 2, 0]).unwrap_err(), &["row 1, column 1", "found 2"]);
    told(trits::encode(layout, 0, 3, &[]).unwrap_err(), &["at least one row"]);
    told(trits::encode(layout, usize::MAX, 3, &[]).unwrap_err(), &["address space"]);
    told(trits::decode(layout, 2, 3, &[0; 3]).unwrap_err(), &["2 bytes", "found 3"]);
    told(trits::decode(layout, 1, 4, &[3]).unwrap_err(), &["packed byte 0", "00000011"]);
    told(trits::decode(TritLayout::Storage, 1, 5, &[250]).unwrap_err(), &["up to 242", "250"]);
    told(trits::decode(TritLayout::Interchange, 2, 3, &[0, 64]).unwrap_err(), &["row 1", "column 2", "zero"]);
    told(trits::decode_into(layout, 1, 4, &[85], &mut [0; 5]).unwrap_err(), &["4 trits"]);
    told(trits::encode_into(layout, 1, 4, &[0; 4], &mut [0; 2]).unwrap_err(), &["1 bytes"]);
    let view = PackedTrits::new(layout, 1, 4, &[85]).unwrap();
    assert_eq!((view.rows(), view.columns(), view.layout(), view.len()), (1, 4, layout, 4));
    assert!(std::panic::catch_unwind(|| view.get(1, 0)).is_err());
}
