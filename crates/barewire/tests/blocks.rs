//! Blocks against the reference library's (`golden/README.md`), against their own specification, and against bad lengths.

use axes::BlockFormat;
use barewire::blocks;
use proptest::prelude::*;

/// Numbers between −1 and 1, more of them near 0: cubes of what a linear congruential generator gives.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let u = ((state >> 40) as f64 / f64::from(1 << 23) - 1.0) as f32;
        u * u * u
    };
    (0..count).map(|_| next()).collect()
}

struct Golden {
    blocks: Vec<u8>,
    decoded: Vec<f32>,
    encoded: Vec<u8>,
}

fn golden(format: BlockFormat) -> Golden {
    let path = format!("{}/tests/golden/blocks/{format}.bin", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let size = format.row_bytes(256).unwrap();
    assert_eq!(bytes.len(), 2 * size + 1024);
    let decoded = bytes[size..size + 1024].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Golden { blocks: bytes[..size].to_vec(), decoded, encoded: bytes[size + 1024..].to_vec() }
}

fn error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn decoded_numbers_are_the_reference_s_to_the_bit() {
    for format in BlockFormat::ALL {
        let g = golden(format);
        let made = blocks::decode(format, 256, &g.blocks).unwrap();
        for (i, (a, b)) in made.iter().zip(&g.decoded).enumerate() {
            assert_eq!(a.to_bits(), b.to_bits(), "{format}, number {i}: {a}, expected {b}");
        }
        // Cut into rows of one block.
        assert_eq!(blocks::decode(format, format.block(), &g.blocks).unwrap(), made);
    }
}

#[test]
fn encoded_blocks_are_the_reference_s_or_better() {
    let x = numbers(256);
    for format in BlockFormat::ALL {
        let (g, made) = (golden(format), blocks::encode(format, 256, &x).unwrap());
        if !matches!(format, BlockFormat::Q4K | BlockFormat::Q6K) {
            assert_eq!(made, g.encoded, "{format}");
            continue;
        }
        let [ours, theirs] =
            [&made, &g.encoded].map(|bytes| error(&blocks::decode(format, 256, bytes).unwrap(), &x));
        println!("{format}: error {ours:.6}, the reference's {theirs:.6}");
        assert!(ours <= theirs, "{format}: {ours} is worse than {theirs}");
    }
}

#[test]
fn trits_come_back() {
    for format in [BlockFormat::Q2_0, BlockFormat::Tq1_0, BlockFormat::Tq2_0] {
        for scale in [1.0f32, 0.001, 37.5, 3.1e-5] {
            let trits: Vec<f32> = (0..1024).map(|i| ((i * i / 7 + i) % 3) as f32 - 1.0).collect();
            let x: Vec<f32> = trits.iter().map(|t| scale * t).collect();
            let made = blocks::decode(format, 512, &blocks::encode(format, 512, &x).unwrap()).unwrap();
            let rounded = half::f16::from_f32(scale).to_f32();
            assert!(made.iter().zip(&trits).all(|(y, t)| *y == rounded * t), "{format}, scale {scale}");
        }
    }
}

#[test]
fn extremes() {
    for format in BlockFormat::ALL {
        let columns = format.block();
        for x in [0.0, -0.0, 1e-30, 1e-8, -3e-5, 60000.0, f32::MIN_POSITIVE] {
            let row = vec![x; columns];
            let made =
                blocks::decode(format, columns, &blocks::encode(format, columns, &row).unwrap()).unwrap();
            // q1_0 has no zero, and a scale has the step of f16 near 0.
            let room = x.abs() * 0.01 + 1e-7;
            assert!(made.iter().all(|y| (y - x).abs() <= room), "{format}: {x} became {:?}", &made[..1]);
        }
        for (x, words) in [(f32::NAN, "finite"), (f32::INFINITY, "finite"), (3e38, "f16"), (-3e38, "f16")] {
            let mut row = vec![0.0; columns];
            row[columns - 1] = x;
            let made = blocks::encode(format, columns, &row);
            match (format, x.is_finite()) {
                (BlockFormat::Bf16, true) => assert!(made.is_ok()),
                _ => assert!(made.unwrap_err().to_string().contains(words), "{format}: {x}"),
            }
        }
    }
}

#[test]
fn many_rows_are_the_rows_one_by_one() {
    // So many that threads share them.
    for (format, rows) in [(BlockFormat::Q6K, 300), (BlockFormat::Q4K, 257), (BlockFormat::Q8_0, 9001)] {
        let mut x: Vec<f32> = (0..256 * rows).map(|i| ((i * 2_654_435_761 % 10_007) as f32).sin()).collect();
        let all = blocks::encode(format, 256, &x).unwrap();
        let one: Vec<u8> =
            x.chunks_exact(256).flat_map(|row| blocks::encode(format, 256, row).unwrap()).collect();
        assert!(all == one, "{format}");
        // The first of several faults is told.
        (x[256 * (rows - 1) + 3], x[256 * (rows / 3) + 7]) = (f32::NAN, f32::INFINITY);
        let told = blocks::encode(format, 256, &x).unwrap_err().to_string();
        assert!(told.contains(&format!("row {}, column 7", rows / 3)), "{told}");
    }
}

#[test]
fn wrong_lengths_are_refused() {
    for format in BlockFormat::ALL {
        let (block, bytes) = (format.block(), format.block_bytes());
        assert!(blocks::decode(format, 0, &[]).is_err());
        assert!(blocks::decode(format, usize::MAX / bytes / block * block, &[0; 3]).is_err());
        assert!(blocks::decode(format, block, &vec![0; bytes + 1]).is_err());
        assert!(blocks::decode(format, 2 * block, &vec![0; 3 * bytes]).is_err());
        assert!(blocks::decode_into(format, block, &vec![0; bytes], &mut vec![0.0; block + 1]).is_err());
        assert!(blocks::encode(format, 2 * block, &vec![0.0; block]).is_err());
        assert!(blocks::encode_into(format, block, &vec![0.0; block], &mut vec![0; bytes - 1]).is_err());
        if block > 1 {
            let refused = blocks::decode(format, block + 1, &[]).unwrap_err().to_string();
            assert!(refused.contains(&format!("a multiple of {block}")), "{refused}");
        }
        assert_eq!(blocks::decode(format, block, &[]).unwrap(), [] as [f32; 0]);
    }
}

/// How far a number may be from the number that its block stands for, as a part of the block's largest magnitude.
fn room(format: BlockFormat) -> Option<f32> {
    match format {
        BlockFormat::F16 => Some(0.0005),
        BlockFormat::Bf16 => Some(0.004),
        BlockFormat::Q8_0 => Some(0.0045),
        BlockFormat::Q4_0 => Some(0.126),
        BlockFormat::Q4K => Some(0.15),
        BlockFormat::Q6K => Some(0.05),
        _ => None,
    }
}

proptest! {
    #[test]
    fn round_trips(seed in prop::collection::vec(-1f32..1.0, 512), power in -2i32..3) {
        let x: Vec<f32> = seed.iter().map(|x| x * 10f32.powi(power)).collect();
        for format in BlockFormat::ALL {
            let bytes = blocks::encode(format, 256, &x).unwrap();
            let y = blocks::decode(format, 256, &bytes).unwrap();
            if let Some(room) = room(format) {
                for (x, y) in x.chunks(format.block()).zip(y.chunks(format.block())) {
                    let peak = x.iter().fold(0f32, |m, x| m.max(x.abs()));
                    let far = x.iter().zip(y).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
                    prop_assert!(far <= room * peak + 1e-6, "{format}: {far} of {peak}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_numbers(bytes in prop::collection::vec(any::<u8>(), 0..700), columns in 0usize..600) {
        for format in BlockFormat::ALL {
            if let Ok(made) = blocks::decode(format, columns, &bytes) {
                prop_assert_eq!(format.bytes(made.len() / columns, columns), Some(bytes.len()));
            }
        }
    }
}
