//! Ternary products: one token, a few, many; int8 and f32 activations.

use crate::support::{Kernels, Memory, floats as numbers_of, numbers};
use crate::{Race, loops};
use alex::Options;
use alex::cpu::ternary::{self, Shape};
use alex::cpu::{Isa, export};
use axes::TritLayout;
use engine::kernels::packed::{PackedMatrix, matmul, matmul_i32, pack_weights};
use engine::kernels::simd::level;
use engine::measure;
use engine::pages::Pages;
use engine::pool::Pool;
use std::hint::black_box;
use std::time::Duration;

struct Given {
    shape: Shape,
    x: Vec<i8>,
    trits: Vec<i8>,
    bytes: Vec<u8>,
    scale_x: Vec<f32>,
}

impl Given {
    fn new(tokens: usize, rows: usize, columns: usize) -> Given {
        let trits: Vec<i8> = numbers(rows * columns, 1).map(|n| (n % 3) as i8 - 1).collect();
        let wide: Vec<f32> = trits.iter().map(|t| f32::from(*t)).collect();
        let shape = Shape::new(tokens, rows, columns);
        let mut bytes = vec![0; shape.bytes()];
        pack_weights(&Pool::single(), &wide, rows, columns, 1.0, &mut bytes);
        let x = numbers(tokens * columns, 2).map(|n| n as i8).collect();
        let scale_x = numbers_of(tokens, 3, 1.0).iter().map(|s| s.abs() + 0.5).collect();
        Given { shape, x, trits, bytes, scale_x }
    }

    /// The matrix in the memory that the compiled kernel reads.
    fn matrix<'a>(&self, w: &'a Memory) -> PackedMatrix<'a> {
        let Shape { rows, columns, .. } = self.shape;
        PackedMatrix::new(self.shape.layout, rows, columns, w.bytes()).expect("its bytes")
    }

    fn work(&self) -> f64 {
        let Shape { tokens, rows, columns, .. } = self.shape;
        (tokens * rows * columns) as f64
    }
}

pub(crate) fn one_token(rounds: usize) {
    let isa = Isa::host();
    let mut memory = Pages::new(measure::cold_bytes(), true);
    // Pages that nobody has written to are all one page of zeros.
    memory.fill(1);
    let rate = measure::read_bandwidth(&Pool::single(), &memory, Duration::from_millis(300));
    println!("reads of memory: {:.1} GB/s best, {:.1} median", rate.best, rate.median);
    drop(memory);
    for (rows, columns) in
        [(4096, 4096), (1024, 1024), (2816, 1024), (1024, 2816), (4096, 11008), (11008, 4096), (16384, 4096)]
    {
        let g = Given::new(1, rows, columns);
        let kernels = Kernels::new(Options::default(), |m| {
            let kernel = ternary::sums(m, isa, g.shape);
            export(m, "run", &kernel);
        });
        let Some(kernels) = kernels else { return };
        let (x, w, y) = (Memory::of(&g.x), Memory::of(&g.bytes), Memory::zeros(4 * rows));
        let scratch = Memory::zeros(ternary::scratch(isa, g.shape));
        let (mut by_loop, mut by_engine, pool) = (vec![0; rows], vec![0; rows], Pool::single());
        let run = || kernels.call("run", &[&x, &w, &y, &scratch]);
        run();
        loops::packed(w.bytes(), &g.x, columns, &mut by_loop);
        matmul_i32(&pool, &g.x, 1, g.matrix(&w), &mut by_engine);
        assert_eq!((&y.read::<i32>(), &by_loop), (&by_engine, &by_engine), "all agree");
        let mut race = Race::new(format!("{rows} x {columns}, one token"), g.work(), "GMAC/s");
        race.add("packed Rust loop", || loops::packed(w.bytes(), black_box(&g.x), columns, &mut by_loop));
        race.add("engine", || matmul_i32(&pool, black_box(&g.x), 1, g.matrix(&w), &mut by_engine));
        race.add("compiled", run);
        race.add("the weights read, nothing computed", || {
            black_box(measure::read(level(), w.bytes()));
        });
        race.run(rounds);
    }
}

pub(crate) fn many_tokens(rounds: usize) {
    let isa = Isa::host();
    for (tokens, rows, columns) in [
        (2, 4096, 4096),
        (4, 4096, 4096),
        (8, 4096, 4096),
        (16, 4096, 4096),
        (64, 4096, 4096),
        (128, 4096, 4096),
        (128, 1024, 1024),
        (512, 512, 512),
        (100, 1000, 1000),
    ] {
        let g = Given::new(tokens, rows, columns);
        let kernels = Kernels::new(Options::default(), |m| {
            let kernel = ternary::linear(m, isa, g.shape);
            export(m, "run", &kernel);
        });
        let Some(kernels) = kernels else { return };
        let (x, w, y) = (Memory::of(&g.x), Memory::of(&g.bytes), Memory::zeros(4 * tokens * rows));
        let (scale_x, scale_w) = (Memory::of(&g.scale_x), Memory::of(&[1.7_f32]));
        let scratch = Memory::zeros(ternary::scratch(isa, g.shape));
        let (mut by_engine, pool) = (vec![0.0; tokens * rows], Pool::single());
        let run = || kernels.call("run", &[&x, &scale_x, &w, &scale_w, &y, &scratch]);
        run();
        matmul(&pool, &g.x, &g.scale_x, g.matrix(&w), 1.7, &mut by_engine);
        assert_eq!(y.read::<f32>(), by_engine, "the same bits");
        let mut race = Race::new(format!("{rows} x {columns}, {tokens} tokens"), g.work(), "GMAC/s");
        race.add("engine", || matmul(&pool, black_box(&g.x), &g.scale_x, g.matrix(&w), 1.7, &mut by_engine));
        race.add("compiled", run);
        race.run(rounds);
    }
}

/// The layouts that lie row after row; the bytes are whatever is legal, and equal bits are the check.
pub(crate) fn layouts(rounds: usize) {
    let isa = Isa::host();
    for layout in [TritLayout::Storage, TritLayout::Interchange] {
        for (tokens, rows, columns) in
            [(1, 1024, 1024), (1, 4096, 4096), (4, 1024, 1024), (19, 1024, 1024), (128, 1024, 1024)]
        {
            let mut g = Given::new(tokens, rows, columns);
            g.shape.layout = layout;
            let legal = |n: u64| match layout {
                TritLayout::Storage => (n % 243) as u8,
                _ => (0..4).map(|i| ((n >> (8 * i)) % 3) as u8 * (1 << (2 * i))).sum(),
            };
            g.bytes = numbers(g.shape.bytes(), 5).map(legal).collect();
            let kernels = Kernels::new(Options::default(), |m| {
                let kernel = ternary::linear(m, isa, g.shape);
                export(m, "run", &kernel);
            });
            let Some(kernels) = kernels else { return };
            let (x, w, y) = (Memory::of(&g.x), Memory::of(&g.bytes), Memory::zeros(4 * tokens * rows));
            let (scale_x, scale_w) = (Memory::of(&g.scale_x), Memory::of(&[1.7_f32]));
            let scratch = Memory::zeros(ternary::scratch(isa, g.shape));
            let (mut by_engine, pool) = (vec![0.0; tokens * rows], Pool::single());
            let run = || kernels.call("run", &[&x, &scale_x, &w, &scale_w, &y, &scratch]);
            run();
            matmul(&pool, &g.x, &g.scale_x, g.matrix(&w), 1.7, &mut by_engine);
            assert_eq!(y.read::<f32>(), by_engine, "the same bits");
            let title = format!("{rows} x {columns} in {layout}, {tokens} tokens");
            let mut race = Race::new(title, g.work(), "GMAC/s");
            race.add("engine", || {
                matmul(&pool, black_box(&g.x), &g.scale_x, g.matrix(&w), 1.7, &mut by_engine)
            });
            race.add("compiled", run);
            race.run(rounds);
        }
    }
}

pub(crate) fn floats(rounds: usize) {
    let g = Given::new(1, 4096, 4096);
    let kernels = Kernels::new(Options::default(), |m| {
        let kernel = ternary::linear_float(m, Isa::host(), g.shape);
        export(m, "run", &kernel);
    });
    let Some(kernels) = kernels else { return };
    let given = numbers_of(4096, 9, 1.0);
    let (x, w, y) = (Memory::of(&given), Memory::of(&g.bytes), Memory::zeros(4 * 4096));
    let scale = Memory::of(&[1.0_f32]);
    let mut by_loop = vec![0.0; 4096];
    let mut race = Race::new("4096 x 4096, one token of f32".into(), g.work(), "GMAC/s");
    race.add("naive Rust loop, trits of a byte", || loops::naive(&g.trits, black_box(&given), &mut by_loop));
    race.add("compiled", || kernels.call("run", &[&x, &w, &scale, &y]));
    race.run(rounds);
}
