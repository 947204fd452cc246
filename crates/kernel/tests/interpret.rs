//! The interpreter against rustc: the functions themselves are the reference, bit for bit.

use axes::{Tensor, TernaryMatrix, axes};
use kernel::article::*;
use kernel::{Arg, Kernel, KernelError, Vector, kernel};

axes! { In = 7; Out = 5; State = 6; Seq = 4; Dim = 3; Value = 2; Hidden = 5; }

/// Numbers in (−2, 2) that no pattern fits.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    };
    std::iter::repeat_with(step).take(n).collect()
}

fn vector<A: axes::Axis>(n: usize, seed: u64) -> Vector<A> {
    Tensor::vector(noise(n, seed)).unwrap()
}

fn weights<I: axes::Axis, O: axes::Axis>(m: usize, k: usize, seed: u64) -> TernaryMatrix<I, O> {
    let trits = noise(m * k, seed).iter().map(|x| (x * 0.9).round() as i8).map(|t| t.clamp(-1, 1)).collect();
    TernaryMatrix::new([m, k], trits, 1.75).unwrap()
}

#[test]
fn the_articles_kernels_give_the_functions_bits() {
    let w = weights::<In, Out>(5, 7, 1);
    let x = vector::<In>(7, 2);
    let y = ternary_matvec(&w, &x).unwrap();
    let made = ternary_matvec::kernel().interpret(&[(&w).into(), (&x).into()]).unwrap();
    assert_eq!(made.results, [Arg::from(&y)]);

    let q = Tensor::<(In,), i8>::vector(vec![3, -128, 127, 0, 5, -7, 1]).unwrap();
    let mut total = Tensor::<(Out,), i32>::vector(vec![1, 2, 3, 4, 5]).unwrap();
    let made = ternary_accumulate::kernel().interpret(&[(&w).into(), (&q).into(), (&total).into()]).unwrap();
    ternary_accumulate(&w, &q, &mut total);
    assert_eq!(made.args[2], Arg::from(&total));

    let (s, a, b, c) = (vector::<State>(6, 3), vector(6, 4), vector(6, 5), vector(6, 6));
    let (next, y) = ssm_step(&s, 0.7, &a, &b, &c).unwrap();
    let args = [(&s).into(), 0.7f32.into(), (&a).into(), (&b).into(), (&c).into()];
    let made = ssm_step::kernel().interpret(&args).unwrap();
    assert_eq!(made.results, [Arg::from(&next), Arg::from(y)]);

    let matrix = |n: usize, seed| noise(n, seed);
    let qs = Tensor::<(Seq, Dim)>::from_vec([4, 3], matrix(12, 7)).unwrap();
    let ks = Tensor::<(Seq, Dim)>::from_vec([4, 3], matrix(12, 8)).unwrap();
    let vs = Tensor::<(Seq, Value)>::from_vec([4, 2], matrix(8, 9)).unwrap();
    let y = linear_attention(&qs, &ks, &vs).unwrap();
    let made = linear_attention::kernel().interpret(&[(&qs).into(), (&ks).into(), (&vs).into()]).unwrap();
    assert_eq!(made.results, [Arg::from(&y)]);

    let (mut h, f, c, g) = (vector::<Hidden>(5, 10), vector(5, 11), vector(5, 12), vector(5, 13));
    let made = mlgru_step::kernel().interpret(&[(&h).into(), (&f).into(), (&c).into(), (&g).into()]).unwrap();
    let y = mlgru_step(&mut h, &f, &c, &g).unwrap();
    assert_eq!((&made.results[0], &made.args[0]), (&Arg::from(&y), &Arg::from(&h)));

    let (x, h) = (vector::<In>(7, 14), vector::<Hidden>(5, 15));
    let (wf, wc, wg) = (weights(5, 7, 16), weights(5, 7, 17), weights(5, 7, 18));
    let (y, next) = mlgru_forward(&x, &h, &wf, &wc, &wg).unwrap();
    let args = [(&x).into(), (&h).into(), (&wf).into(), (&wc).into(), (&wg).into()];
    let made = mlgru_forward::kernel().interpret(&args).unwrap();
    assert_eq!(made.results, [Arg::from(&y), Arg::from(&next)]);
}

const SCALE: f32 = 0.5;

#[kernel]
fn helper(x: f32, by: f32) -> f32 {
    x * by + SCALE
}

/// Every form of loop that is put into the plain one.
#[kernel]
fn forms(x: &[f32], w: &[i8], y: &mut [f32], n: usize) -> (f32, i32, f32) {
    let total: f32 = x.iter().zip(w).map(|(a, &t)| a * t as f32).sum();
    let mut count = 0;
    for (i, t) in w.iter().enumerate().rev() {
        if i % 2 == 0 {
            continue;
        }
        count += *t as i32;
    }
    for (row, out) in x.chunks(n).zip(y.iter_mut()) {
        *out = row.iter().fold(0.0, |m, v| if *v > m { *v } else { m });
    }
    let mut lanes = [0.0f32; 4];
    for part in x.chunks_exact(4) {
        for l in 0..4 {
            lanes[l] += part[l];
        }
    }
    y.iter_mut().skip(1).step_by(2).for_each(|v| *v = helper(*v, 2.0));
    let doubled: Vec<f32> = (0..x.len()).map(|i| 2.0 * x[i]).collect();
    let last = doubled[x.len() - 1..].iter().copied().map(f32::tanh).fold(f32::MIN, f32::max);
    let (mut low, mut high) = (lanes[0], lanes[1]);
    (low, high) = (high, low);
    let kind = match count {
        i32::MIN..=-1 => -1,
        0 | 1 => 0,
        c if c > 100 => 100,
        _ => 1,
    };
    (total + last + low - high, kind, lanes.iter().sum::<f32>())
}

#[test]
fn every_form_of_loop_gives_the_functions_bits() {
    for (n, part) in [(9, 4), (8, 3), (12, 5), (5, 5)] {
        let x = noise(n, n as u64);
        let w: Vec<i8> = noise(n, 3).iter().map(|x| x.round() as i8).collect();
        let mut y = noise(n.div_ceil(part), 4);
        let made = forms::kernel().interpret(&[(&x).into(), (&w).into(), (&y).into(), part.into()]).unwrap();
        let (a, b, c) = forms(&x, &w, &mut y, part);
        assert_eq!(made.results, [Arg::from(a), Arg::from(b), Arg::from(c)]);
        assert_eq!(made.args[2], Arg::from(&y));
    }
}

#[test]
fn where_rust_panics_there_is_an_error_with_the_line() {
    let run = |text: &str, args: &[Arg]| Kernel::parse_one(text, "f.rs", "f").unwrap().interpret(args);
    let problem = |text: &str, args: &[Arg]| run(text, args).unwrap_err().to_string();
    assert_eq!(
        problem("fn f(x: &[f32]) -> f32 {\n    x[3]\n}", &[(&[1.0f32; 3]).into()]),
        "f, line 2: index 3 is out of range for `x`, which has 3"
    );
    assert_eq!(problem("fn f(x: i8) -> i8 {\n    x + 1\n}", &[127i8.into()]), "f, line 2: `+` overflows i8");
    assert_eq!(problem("fn f(x: i32) -> i32 { x / (x - x) }", &[7.into()]), "f, line 1: division by zero");
    assert!(matches!(run("fn f(x: f32) -> f32 { x }", &[7.into()]), Err(KernelError::Argument { .. })));
    assert_eq!(
        problem("fn f(x: f32, n: i32) -> f32 { x * n }", &[1.0f32.into(), 1.into()]),
        "f, line 1: expected f32, found i32"
    );
    assert_eq!(
        problem("fn f(x: f32) -> f32 { f(x) }", &[1.0f32.into()]),
        "f, line 1: `f` calls itself, in the end: kernels have loops, not recursion"
    );
}
