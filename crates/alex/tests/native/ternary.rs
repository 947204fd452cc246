use crate::support::{Kernels, Memory, bits, floats, numbers};
use alex::Options;
use alex::cpu::ternary::{self, Shape};
use alex::cpu::{Isa, export, math::Function};
use axes::TritLayout;
use engine::kernels::math;
use engine::kernels::packed::{PackedMatrix, matmul, pack_weights};
use engine::pool::Pool;

/// What a product is given.
struct Given {
    shape: Shape,
    x: Vec<i8>,
    trits: Vec<i8>,
    bytes: Vec<u8>,
    scale_x: Vec<f32>,
    scale_w: f32,
}

impl Given {
    fn new(tokens: usize, rows: usize, columns: usize, seed: u64) -> Given {
        let trits: Vec<i8> = numbers(rows * columns, seed).map(|n| (n % 3) as i8 - 1).collect();
        let shape = Shape::new(tokens, rows, columns);
        let mut bytes = vec![0; shape.bytes()];
        let floats_of: Vec<f32> = trits.iter().map(|t| f32::from(*t)).collect();
        pack_weights(&Pool::single(), &floats_of, rows, columns, 1.0, &mut bytes);
        let x = numbers(tokens * columns, seed + 1).map(|n| n as i8).collect();
        let scale_x = floats(tokens, seed + 2, 1.0).iter().map(|s| s.abs() + 0.5).collect();
        Given { shape, x, trits, bytes, scale_x, scale_w: 1.7 }
    }

    fn sums(&self) -> Vec<i32> {
        let Shape { tokens, rows, columns, .. } = self.shape;
        let dot = |t: usize, r: usize| -> i32 {
            let (x, w) = (&self.x[t * columns..][..columns], &self.trits[r * columns..][..columns]);
            x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum()
        };
        (0..tokens * rows).map(|i| dot(i / rows, i % rows)).collect()
    }

    fn engine(&self) -> Vec<f32> {
        let Shape { tokens, rows, columns, .. } = self.shape;
        let w = PackedMatrix::new(self.shape.layout, rows, columns, &self.bytes).expect("its bytes");
        let mut y = vec![0.0; tokens * rows];
        matmul(&Pool::single(), &self.x, &self.scale_x, w, self.scale_w, &mut y);
        y
    }

    fn scratch(&self, isa: Isa) -> Memory {
        Memory::zeros(ternary::scratch(isa, self.shape))
    }
}

/// Sizes with every kind of tail: (N, M, K).
const SIZES: [(usize, usize, usize); 12] = [
    (1, 8, 256),
    (1, 7, 300),
    (1, 1, 5),
    (1, 37, 1029),
    (2, 6, 511),
    (3, 5, 64),
    (5, 9, 772),
    (8, 10, 260),
    (9, 33, 512),
    (13, 50, 700),
    (25, 31, 1),
    (30, 67, 259),
];

/// How code for a family is made and run here: the processor to name, or `None` where this one lacks it.
fn options(isa: Isa) -> Option<Options> {
    let cpu = match (isa, Isa::host()) {
        (isa, host) if isa == host => "native",
        (Isa::Avx2, Isa::Avx512 | Isa::AvxVnni) => "x86-64-v3",
        (Isa::AvxVnni, Isa::Avx512) if has_vnni() => "alderlake",
        (Isa::Portable, _) => return Some(Options { cpu: base().into(), ..Options::default() }),
        _ => return None,
    };
    Some(Options { cpu: cpu.into(), ..Options::default() })
}

fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn base() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "riscv64" => "generic-rv64",
        _ => "generic",
    }
}

#[test]
fn sums_are_exact() {
    for isa in Isa::ALL {
        let Some(options) = options(isa) else { continue };
        let given: Vec<Given> =
            SIZES.into_iter().enumerate().map(|(k, (n, m, c))| Given::new(n, m, c, 10 + k as u64)).collect();
        let kernels = Kernels::new(options, |m| {
            for (k, g) in given.iter().enumerate() {
                let kernel = ternary::sums(m, isa, g.shape);
                export(m, &format!("run{k}"), &kernel);
            }
        });
        let Some(kernels) = kernels else { return };
        for (k, g) in given.iter().enumerate() {
            let y = Memory::zeros(4 * g.shape.tokens * g.shape.rows);
            kernels
                .call(&format!("run{k}"), &[&Memory::of(&g.x), &Memory::of(&g.bytes), &y, &g.scratch(isa)]);
            assert_eq!(y.read::<i32>(), g.sums(), "{isa:?} {:?}", g.shape);
        }
    }
}

#[test]
fn scaled_products_have_the_engines_bits() {
    let isa = Isa::host();
    let given: Vec<[Given; 2]> = SIZES
        .into_iter()
        .enumerate()
        .map(|(k, (n, m, c))| {
            let [gate, up] = [40, 70].map(|seed| Given::new(n, m, c, seed + k as u64));
            let up = Given { x: gate.x.clone(), scale_x: gate.scale_x.clone(), scale_w: 0.6, ..up };
            [gate, up]
        })
        .collect();
    let kernels = Kernels::new(Options::default(), |m| {
        for (k, [g, _]) in given.iter().enumerate() {
            let kernel = ternary::linear(m, isa, g.shape);
            export(m, &format!("plain{k}"), &kernel);
            let kernel = ternary::linear_add(m, isa, g.shape);
            export(m, &format!("add{k}"), &kernel);
            let kernel = ternary::linear_gated(m, isa, g.shape, Function::Silu);
            export(m, &format!("gated{k}"), &kernel);
        }
    });
    let Some(kernels) = kernels else { return };
    for (k, [g, up]) in given.iter().enumerate() {
        let len = g.shape.tokens * g.shape.rows;
        let (x, w, y) = (Memory::of(&g.x), Memory::of(&g.bytes), Memory::zeros(4 * len));
        let (scale_x, scale_w) = (Memory::of(&g.scale_x), Memory::of(&[g.scale_w]));
        let (engine, scratch) = (g.engine(), g.scratch(isa));
        kernels.call(&format!("plain{k}"), &[&x, &scale_x, &w, &scale_w, &y, &scratch]);
        assert_eq!(bits(&y.read()), bits(&engine), "{:?}", g.shape);

        let term = floats(len, 3, 2.0);
        kernels.call(&format!("add{k}"), &[&x, &scale_x, &w, &scale_w, &Memory::of(&term), &y, &scratch]);
        let plus: Vec<f32> = engine.iter().zip(&term).map(|(y, t)| y + t).collect();
        assert_eq!(bits(&y.read()), bits(&plus), "{:?}", g.shape);

        let (up_bytes, up_scale) = (Memory::of(&up.bytes), Memory::of(&[up.scale_w]));
        let arguments = [&x, &scale_x, &w, &scale_w, &up_bytes, &up_scale, &y, &scratch];
        kernels.call(&format!("gated{k}"), &arguments);
        let mut gate = vec![0.0; len];
        math::silu_slice(&engine, &mut gate);
        let gated: Vec<f32> = gate.iter().zip(up.engine()).map(|(g, u)| g * u).collect();
        assert_eq!(bits(&y.read()), bits(&gated), "{:?}", g.shape);
    }
}

#[test]
fn products_of_floats_are_close_to_the_plain_loop() {
    for isa in Isa::ALL {
        let Some(options) = options(isa) else { continue };
        let given: Vec<Given> =
            SIZES.into_iter().enumerate().map(|(k, (n, m, c))| Given::new(n, m, c, 90 + k as u64)).collect();
        let kernels = Kernels::new(options, |m| {
            for (k, g) in given.iter().enumerate() {
                let kernel = ternary::linear_float(m, isa, g.shape);
                export(m, &format!("run{k}"), &kernel);
            }
        });
        let Some(kernels) = kernels else { return };
        for (k, g) in given.iter().enumerate() {
            let Shape { tokens, rows, columns, .. } = g.shape;
            let (x, y) = (floats(tokens * columns, 5, 1.0), Memory::zeros(4 * tokens * rows));
            kernels.call(
                &format!("run{k}"),
                &[&Memory::of(&x), &Memory::of(&g.bytes), &Memory::of(&[g.scale_w]), &y],
            );
            for (at, found) in y.read::<f32>().into_iter().enumerate() {
                let (x, w) =
                    (&x[at / rows * columns..][..columns], &g.trits[at % rows * columns..][..columns]);
                let exact: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                let size: f64 = x.iter().zip(w).map(|(x, w)| (f64::from(*x) * f64::from(*w)).abs()).sum();
                let exact = exact / f64::from(g.scale_w);
                assert!((f64::from(found) - exact).abs() <= 1e-6 * size + 1e-9, "{isa:?} {:?}", g.shape);
            }
        }
    }
}

/// Trits, row after row, in a layout whose rows are bytes of their own.
fn packed(layout: TritLayout, trits: &[i8], columns: usize) -> Vec<u8> {
    let byte = |part: &[i8]| match layout {
        TritLayout::Storage => {
            let digit = |(i, t): (usize, &i8)| (t + 1) as u8 * 3_u8.pow(i as u32);
            let padding: u8 = (part.len()..5).map(|i| 3_u8.pow(i as u32)).sum();
            part.iter().enumerate().map(digit).sum::<u8>() + padding
        }
        _ => part.iter().enumerate().map(|(i, t)| [1, 0, 2][(t + 1) as usize] << (2 * i)).sum(),
    };
    let trits_of_a_byte = if layout == TritLayout::Storage { 5 } else { 4 };
    trits.chunks(columns).flat_map(|row| row.chunks(trits_of_a_byte).map(byte)).collect()
}

#[test]
fn storage_and_interchange_are_multiplied_as_they_lie() {
    // Blocks of storage have 320 columns.
    let more = [(1, 5, 320), (2, 9, 645), (12, 40, 960), (4, 3, 1601)];
    for isa in Isa::ALL {
        let Some(options) = options(isa) else { continue };
        let mut given = vec![];
        for layout in [TritLayout::Storage, TritLayout::Interchange] {
            for (k, (n, m, c)) in SIZES.into_iter().step_by(3).chain(more).enumerate() {
                let g = Given::new(n, m, c, 10 + k as u64);
                let bytes = packed(layout, &g.trits, c);
                given.push(Given { shape: Shape { layout, ..g.shape }, bytes, ..g });
            }
        }
        let kernels = Kernels::new(options, |m| {
            for (k, g) in given.iter().enumerate() {
                let kernel = ternary::sums(m, isa, g.shape);
                export(m, &format!("sums{k}"), &kernel);
                if k % 4 == 0 {
                    let kernel = ternary::linear_gated(m, isa, g.shape, Function::Silu);
                    export(m, &format!("gated{k}"), &kernel);
                }
            }
        });
        let Some(kernels) = kernels else { return };
        for (k, g) in given.iter().enumerate() {
            assert_eq!(g.bytes.len(), g.shape.bytes());
            let (len, scratch) = (4 * g.shape.tokens * g.shape.rows, g.scratch(isa));
            let (x, w, y) = (Memory::of(&g.x), Memory::of(&g.bytes), Memory::zeros(len));
            kernels.call(&format!("sums{k}"), &[&x, &w, &y, &scratch]);
            assert_eq!(y.read::<i32>(), g.sums(), "{isa:?} {:?}", g.shape);
            if k % 4 == 0 {
                let (scale_x, scale_w) = (Memory::of(&g.scale_x), Memory::of(&[g.scale_w]));
                let arguments = [&x, &scale_x, &w, &scale_w, &w, &scale_w, &y, &scratch];
                kernels.call(&format!("gated{k}"), &arguments);
                let engine = g.engine();
                let mut gate = vec![0.0; engine.len()];
                math::silu_slice(&engine, &mut gate);
                let gated: Vec<f32> = gate.iter().zip(&engine).map(|(g, u)| g * u).collect();
                assert_eq!(bits(&y.read()), bits(&gated), "{isa:?} {:?}", g.shape);
            }
        }
    }
}
