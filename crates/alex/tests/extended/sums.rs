//! Sums that f64 gets wrong.

use super::kernels;
use super::number::{Number, Random, masked};
use alex::extended::{Format, Function, Kernels};
use furnace::precision::F128;

fn check<N: Number>(k: &Kernels) {
    let value = |bits: u128| N::of(masked(N::FORMAT, bits));
    // 1e16 and a thousand ones.
    let terms: Vec<f64> = std::iter::once(1e16).chain([1.0; 1000]).collect();
    assert_eq!(terms.iter().sum::<f64>(), 1e16);
    assert_eq!(value(k.sum_f64(&terms)), N::from_f64(1e16 + 1000.0));
    // 100000001² − 1e16.
    let x = k.from_f64(&[100000001.0]);
    let (mut square, mut difference) = ([0u128], [0u128]);
    k.apply(Function::Multiply, &[&x, &x], &mut square).unwrap();
    k.apply(Function::Subtract, &[&square, &k.from_f64(&[1e16])], &mut difference).unwrap();
    let number = std::hint::black_box(100000001.0f64);
    assert_eq!(number * 100000001.0 - 1e16, 200000000.0);
    assert_eq!(k.to_f64(&difference), [200000001.0]);
    assert_eq!(value(k.dot_f64(&[100000001.0, -1e8], &[100000001.0, 1e8])).to_f64(), 200000001.0);

    // The accumulation of a gradient: products of f32 of both signs, term by term as furnace adds them.
    let mut random = Random(1);
    let mut draw = || {
        let scale = 10f64.powi((random.next() % 12) as i32 - 6);
        ((random.unit() - 0.5) * scale) as f32
    };
    let (a, b): (Vec<f32>, Vec<f32>) = (0..5000).map(|_| (draw(), draw())).unzip();
    let mut sum = N::from_f64(0.0);
    for (a, b) in a.iter().zip(&b) {
        sum = sum + N::from_f64(f64::from(*a)) * N::from_f64(f64::from(*b));
    }
    assert_eq!(masked(N::FORMAT, k.dot_f32(&a, &b)), sum.bits());
    let sum = a.iter().fold(N::from_f64(0.0), |s, a| s + N::from_f64(f64::from(*a)));
    assert_eq!(masked(N::FORMAT, k.sum_f32(&a)), sum.bits());
    assert_eq!(value(k.sum_f32(&[])).to_f64(), 0.0);
}

#[test]
fn f128_keeps_what_doubles_lose() {
    let Some(k) = kernels(Format::F128) else { return };
    check::<F128>(k);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn f80_keeps_what_doubles_lose() {
    let Some(k) = kernels(Format::F80) else { return };
    check::<furnace::precision::F80>(k);
}
