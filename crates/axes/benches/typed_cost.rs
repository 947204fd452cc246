//! The cost of the typed layer: typed functions against untyped loops over the same memory.
//!
//! Prints the median time of both and their ratio, which is 1 up to noise (`tests/zero_cost.rs` compares the
//! instructions, exactly). Run it with `cargo bench -p axes`.

use std::hint::black_box;
use std::time::Instant;

use axes::{Algebra, AxesError, Tensor, TernaryMatrix, axes};

axes! { Batch; In = 512; Out = 512; }

/// The medians of `rounds` alternating runs, in microseconds.
fn compare(name: &str, mut typed: impl FnMut(), mut plain: impl FnMut()) {
    const ROUNDS: usize = 301;
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e6
    };
    // Alternating, so that a change of the clock frequency meets both.
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(time(&mut typed));
        b.push(time(&mut plain));
    }
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (a, b) = (a[ROUNDS / 2], b[ROUNDS / 2]);
    println!("{name:<16} {a:>12.2} {b:>12.2} {:>8.3}", a / b);
}

#[inline(never)]
fn add(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
        *o = x + y;
    }
}

#[inline(never)]
fn square_of_positive(x: &[f32], out: &mut [f32]) {
    for (o, &v) in out.iter_mut().zip(x) {
        *o = if v < 0.0 { 0.0 } else { v * v };
    }
}

#[inline(never)]
fn multiply(trits: &[i8], scale: f32, x: &[f32], y: &mut [f32]) {
    let inputs = x.len();
    for (o, y) in y.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (i, &x) in x.iter().enumerate() {
            match trits[o * inputs + i] {
                1 => sum += x,
                -1 => sum -= x,
                _ => {}
            }
        }
        *y = sum / scale;
    }
}

fn main() -> Result<(), AxesError> {
    let x = Tensor::<(Batch, In)>::from_fn([64, 512], |[b, i]| ((7 * b + i) as f32).sin())?;
    let y = Tensor::<(Batch, In)>::from_fn([64, 512], |[b, i]| ((3 * b + i) as f32).cos())?;
    let w = Tensor::<(Out, In)>::from_fn([512, 512], |[o, i]| ((5 * o + 3 * i) as f32).sin())?;
    let ternary = TernaryMatrix::from_weights(&w)?;
    let w = w.transpose();
    let row = x.row(0)?.to_owned();
    let (mut out, mut memory) = (x.clone(), vec![0.0; x.len()]);
    let (mut product, mut product_memory) = (Tensor::<(Out,)>::zeros([512])?, vec![0.0; 512]);

    println!("{:<16} {:>12} {:>12} {:>8}", "", "typed (us)", "plain (us)", "ratio");
    compare(
        "add",
        || black_box(&x).add_into(black_box(&y), black_box(&mut out)),
        || add(black_box(x.as_slice()), black_box(y.as_slice()), black_box(&mut memory)),
    );
    let mut out = x.clone();
    compare(
        "map",
        || black_box(&x).map_into(black_box(&mut out), |v| if v < 0.0 { 0.0 } else { v * v }),
        || square_of_positive(black_box(x.as_slice()), black_box(&mut memory)),
    );
    compare(
        "multiply_vector",
        || black_box(&ternary).multiply_vector_into(black_box(&row), black_box(&mut product)),
        || {
            let (trits, x) = (black_box(ternary.trits()), black_box(row.as_slice()));
            multiply(trits, ternary.scale(), x, black_box(&mut product_memory));
        },
    );
    compare(
        "apply",
        || drop(black_box(black_box(&x).apply(black_box(&w)))),
        || drop(black_box(black_box(x.storage()).contract(1, black_box(w.storage()), 0))),
    );
    assert_eq!(product.as_slice(), product_memory, "both calculate the same");
    Ok(())
}
