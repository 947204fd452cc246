//! Packed products against plain loops where there are neither threads nor caught panics: what WebAssembly runs, and
//! every other machine too.

mod packing;

use axes::TritLayout;
use engine::kernels::packed::{Gate, PackedMatrix, Product, matmul, matmul_gated, matmul_i32, matmul_many};
use engine::kernels::simd::{Level, available, best, force};
use engine::pool::Pool;
use packing::{naive, pack};

/// Numbers that vary.
fn numbers(seed: usize, len: usize) -> Vec<i8> {
    let mut state = seed as u64 * 2 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as i8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn check(x: &[i8], t: &[i8], n: usize, m: usize, k: usize) {
    // On one thread or as many as there are: without threads a pool is its caller.
    let pool = Pool::new(2);
    let expected = naive(x, t, n, m, k);
    let scale_x: Vec<f32> = (0..n).map(|i| 1.5 + i as f32).collect();
    for layout in TritLayout::ALL {
        let bytes = pack(layout, t, m, k);
        let w = PackedMatrix::new(layout, m, k, &bytes).expect("the size of the layout");
        let mut acc = vec![i32::MIN; n * m];
        matmul_i32(&pool, x, n, w, &mut acc);
        assert!(acc == expected, "{layout} ({n}, {m}, {k})");
        let (mut y, mut first, mut gated) = (vec![0.0; n * m], vec![0.0; n * m], vec![0.0; n * m]);
        matmul(&pool, x, &scale_x, w, 3.5, &mut y);
        let scaled = |i: usize| acc[i] as f32 / scale_x[i / m] / 3.5;
        assert!((0..n * m).all(|i| y[i].to_bits() == scaled(i).to_bits()), "scaled {layout} ({n}, {m}, {k})");
        let mut second = vec![0.0; n * m];
        let mut both =
            [Product { w, scale_w: 3.5, y: &mut first }, Product { w, scale_w: 3.5, y: &mut second }];
        matmul_many(&pool, x, &scale_x, &mut both);
        assert!(first == y && second == y, "joint {layout} ({n}, {m}, {k})");
        matmul_gated(&pool, x, &scale_x, (w, 3.5), (w, 3.5), Gate::SquaredRelu, &mut gated);
        let gate = |y: f32| y.max(0.0) * y.max(0.0) * y;
        assert!((0..n * m).all(|i| gated[i] == gate(y[i])), "gated {layout} ({n}, {m}, {k})");
    }
}

/// One test, so that nothing else changes the level meanwhile.
#[test]
fn products_equal_the_plain_loops_at_every_level() {
    for level in Level::ALL.into_iter().filter(|level| available(*level)) {
        assert!(force(level));
        println!("{}", level.name());
        for k in [1, 4, 5, 63, 64, 65, 255, 256, 257, 319, 320, 321, 645, 4200] {
            for m in [1, 3, 4, 5, 33] {
                for n in [1, 2, 3, 4, 7, 9] {
                    check(&numbers(n * k, n * k), &trits(m * k), n, m, k);
                }
            }
        }
        for (n, m, k) in [(1, 700, 1000), (40, 129, 600), (300, 5, 90)] {
            check(&numbers(n, n * k), &trits(m * k), n, m, k);
        }
        for (value, trit) in [(-128, -1), (-128, 1), (127, 1), (127, -1)] {
            let k = 70_001;
            for n in [1, 10] {
                check(&vec![value; n * k], &vec![trit; 2 * k], n, 2, k);
            }
        }
    }
    force(best());
}

fn trits(len: usize) -> Vec<i8> {
    numbers(len, len).into_iter().map(|x| (x as u8 % 3) as i8 - 1).collect()
}
