//! The values of functions that are composed of ops, against numbers found another way; what they and the newer ops refuse;
//! sizes that are symbols.

use crate::table::{dims, f};
use axes::DType;
use graph::ops::windows::Geometry;
use graph::{Array, Attrs, Complex, Cx, Dim, Op, Type, Var, attrs, interp};

fn eager() -> Cx {
    Cx::eager()
}

fn vector(cx: &Cx, x: &[f64]) -> Var {
    cx.array(DType::F64, &[x.len()], x)
}

fn matrix(cx: &Cx, rows: usize, x: &[f64]) -> Var {
    cx.array(DType::F64, &[rows, x.len() / rows], x)
}

/// Seeded numbers in -1..1.
fn noise(cx: &Cx, shape: &[usize], seed: u64) -> Var {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let n: usize = shape.iter().product();
    let x: Vec<f64> = (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect();
    cx.array(DType::F64, shape, &x)
}

#[track_caller]
fn is(found: &Var, expected: &[f64]) {
    let a = found.array().unwrap_or_else(|e| panic!("{e}")).to_f64();
    assert_eq!(a.len(), expected.len(), "{a:?}");
    for (x, y) in a.iter().zip(expected) {
        let near = (x - y).abs() <= 1e-13 * y.abs().max(1.0) || x == y || x.is_nan() && y.is_nan();
        assert!(near, "expected {expected:?}, found {a:?}");
    }
}

fn numbers(v: &Var) -> Vec<f64> {
    v.array().unwrap_or_else(|e| panic!("{e}")).to_f64()
}

#[test]
fn functions_of_one_element() {
    let cx = eager();
    let x = vector(&cx, &[-0.5, 0.0, 2.0]);
    type Pair = (fn(&Var) -> Var, fn(f64) -> f64);
    let pairs: [Pair; 16] = [
        (Var::tan, f64::tan),
        (Var::sinh, f64::sinh),
        (Var::cosh, f64::cosh),
        (Var::ceil, f64::ceil),
        (Var::expm1, f64::exp_m1),
        (Var::log1p, f64::ln_1p),
        (Var::cube, |x| x.powi(3)),
        (Var::softplus, |x| x.exp().ln_1p()),
        (Var::log_sigmoid, |x| -(-x).exp().ln_1p()),
        (Var::mish, |x| x * x.exp().ln_1p().tanh()),
        (Var::softsign, |x| x / (1.0 + x.abs())),
        (|x| x.leaky_relu(0.1), |x| if x > 0.0 { x } else { 0.1 * x }),
        (|x| x.elu(2.0), |x| if x > 0.0 { x } else { 2.0 * x.exp_m1() }),
        (|x| x.safe_log(0.25), |x| x.max(0.25).ln()),
        (|x| x.clamp(-0.25, 1.0), |x| x.clamp(-0.25, 1.0)),
        (
            |x| x.gelu_tanh(),
            |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        ),
    ];
    for (ours, theirs) in pairs {
        is(&ours(&x), &[-0.5, 0.0, 2.0].map(theirs));
    }
    // Φ(2) = 0.97724986805182079.
    is(&x.gelu().slice_axis(0, 2, 3), &[2.0 * 0.977_249_868_051_820_8]);
    // Digits that a composition would lose.
    let small = vector(&cx, &[1e-9, -1e-9]);
    is(&(small.sinh() / 1e-9), &[1.0, -1.0]);
    is(&(small.expm1() / 1e-9), &[1.000_000_000_5, -0.999_999_999_5]);
    let far = vector(&cx, &[800.0, -800.0]);
    is(&far.softplus(), &[800.0, 0.0]);
    is(&far.log_sigmoid(), &[0.0, -800.0]);
    for (y, x) in [(1.0, 2.0), (2.0, 1.0), (-1.0, -2.0), (3.0, -1.0), (-3.0, -1.0), (0.0, -1.0), (0.0, 1.0)] {
        is(&vector(&cx, &[y]).atan2(&vector(&cx, &[x])), &[f64::atan2(y, x)]);
        is(&vector(&cx, &[y]).hypot(&vector(&cx, &[x])), &[f64::hypot(y, x)]);
        is(&vector(&cx, &[y]).log_add_exp(&vector(&cx, &[x])), &[(y.exp() + x.exp()).ln()]);
    }
}

#[test]
fn reductions_and_running_reductions() {
    let cx = eager();
    let m = matrix(&cx, 2, &[1.0, 2.0, 6.0, -1.0, 0.5, 4.0]);
    is(&m.mean(&[1]), &[3.0, 3.5 / 3.0]);
    is(&m.variance(&[1], 1).slice_axis(0, 0, 1), &[7.0]);
    is(&m.variance(&[1], 0).slice_axis(0, 0, 1), &[14.0 / 3.0]);
    is(&m.std(&[1], 1).slice_axis(0, 0, 1), &[7f64.sqrt()]);
    is(&m.norm(&[0]).slice_axis(0, 0, 1), &[2f64.sqrt()]);
    is(&m.norm1(&[1]), &[9.0, 5.5]);
    is(&m.product(&[1]), &[12.0, -2.0]);
    is(&m.product(&[0, 1]), &[-24.0]);
    is(&m.argmin(1), &[0.0, 0.0]);
    is(&m.convert(DType::I64).argmin(0), &[1.0, 1.0, 1.0]);
    is(&m.cumulative_sum(1), &[1.0, 3.0, 9.0, -1.0, -0.5, 3.5]);
    is(&m.cumulative_product(0), &[1.0, 2.0, 6.0, -1.0, 1.0, 24.0]);
    is(&m.cumulative_max(1), &[1.0, 2.0, 6.0, -1.0, 0.5, 4.0]);
    is(&m.cumulative_min(1), &[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    is(&m.median(1), &[2.0, 0.5]);
    is(&vector(&cx, &[4.0, 1.0, 3.0, 9.0]).median(0), &[3.5]);
    let far = vector(&cx, &[1000.0, 1000.0, f64::NEG_INFINITY]);
    is(&far.logsumexp(&[0]), &[1000.0 + 2f64.ln()]);
    is(&vector(&cx, &[f64::NEG_INFINITY; 2]).logsumexp(&[0]), &[f64::NEG_INFINITY]);
    is(&far.softmax(&[0]), &[0.5, 0.5, 0.0]);
    is(&far.log_softmax(&[0]), &[-(2f64.ln()), -(2f64.ln()), f64::NEG_INFINITY]);
    is(&m.softmax(&[0]).sum(&[0]), &[1.0; 3]);
    assert_eq!(m.mean(&[0]).keep_axes(&[0]).ty(), Type::new(DType::F64, [1, 3]));
}

#[test]
fn indices_and_order() {
    let cx = eager();
    let m = matrix(&cx, 2, &[3.0, 1.0, 2.0, 4.0, 6.0, 5.0]);
    let ids = cx.array(DType::I64, &[2, 2], &[2.0, 0.0, 1.0, 1.0]);
    is(&m.take_along(&ids, 1), &[2.0, 3.0, 6.0, 6.0]);
    let updates = matrix(&cx, 2, &[10.0, 20.0, 30.0, 40.0]);
    is(&ids.scatter_add_along(&updates, 1, &3.into()), &[20.0, 0.0, 10.0, 0.0, 70.0, 0.0]);
    is(&m.scatter_set_along(&ids, &updates, 1), &[20.0, 1.0, 10.0, 4.0, 40.0, 5.0]);
    is(&m.sort(1, true), &[3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    let (top, at) = m.top_k(2, 1);
    is(&top, &[3.0, 2.0, 6.0, 5.0]);
    is(&at, &[0.0, 2.0, 1.0, 2.0]);
    is(&m.index_select(&cx.array(DType::I64, &[2], &[2.0, 0.0]), 1), &[2.0, 3.0, 5.0, 4.0]);
    is(&at.one_hot(&3.into(), DType::F64).sum(&[1]), &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
}

#[test]
fn arrangements() {
    let cx = eager();
    let x = vector(&cx, &[1.0, 2.0, 3.0]);
    is(&x.tile(2, 0), &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    is(&x.repeat(2, 0), &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    is(&x.roll(1, 0), &[3.0, 1.0, 2.0]);
    is(&x.roll(3, 0), &[1.0, 2.0, 3.0]);
    is(&x.dilate(3, 0), &[1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
    is(&x.dilate(3, 0).undilate(3, 0), &[1.0, 2.0, 3.0]);
    is(&vector(&cx, &[1.0, 2.0, 3.0, 4.0]).undilate(3, 0), &[1.0, 4.0]);
    is(&Var::stack(&[&x, &-&x], 1), &[1.0, -1.0, 2.0, -2.0, 3.0, -3.0]);
    is(&Var::stack(&[&x, &-&x], 0).unstack(0)[1], &[-1.0, -2.0, -3.0]);
    is(&x.split(&[1, 2], 0)[1], &[2.0, 3.0]);
    is(&x.diagonal_matrix(), &[1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]);
    let m = matrix(&cx, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    is(&m.flip(&[0, 1]), &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
    is(&m.tril(), &[1.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
    is(&m.triu(), &[1.0, 2.0, 3.0, 0.0, 5.0, 6.0]);
    is(&m.t(), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    is(&m.bmm(&m.t()).trace(), &[91.0]);
    is(&m.add_slice(&[1, 1], &matrix(&cx, 1, &[10.0, 20.0])), &[1.0, 2.0, 3.0, 4.0, 15.0, 26.0]);
    is(&cx.eye(&2.into(), DType::F64), &[1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn products_and_linear_algebra() {
    let cx = eager();
    let (a, b) = (noise(&cx, &[2, 3, 4], 1), noise(&cx, &[2, 4, 5], 2));
    let slow = |i: usize, n: usize, m: usize| -> f64 {
        let (a, b) = (numbers(&a), numbers(&b));
        (0..4).map(|k| a[i * 12 + n * 4 + k] * b[i * 20 + k * 5 + m]).sum()
    };
    let all: Vec<f64> = (0..30).map(|k| slow(k / 15, k / 5 % 3, k % 5)).collect();
    is(&a.bmm(&b), &all);
    is(&a.einsum(&b, "bnk, bkm -> bnm"), &all);
    let turned: Vec<f64> = (0..30).map(|k| slow(k / 3 % 2, k % 3, k / 6)).collect();
    is(&a.einsum(&b, "bnk,bkm->mbn"), &turned);
    let summed: Vec<f64> = (0..5).map(|m| (0..6).map(|k| slow(k / 3, k % 3, m)).sum()).collect();
    is(&a.einsum(&b, "bnk,bkm->m"), &summed);
    is(&vector(&cx, &[1.0, 2.0]).outer(&vector(&cx, &[3.0, 4.0, 5.0])), &[3.0, 4.0, 5.0, 6.0, 8.0, 10.0]);
    is(&vector(&cx, &[1.0, 2.0]).dot(&vector(&cx, &[3.0, 4.0])), &[11.0]);
    is(&matrix(&cx, 2, &[1.0, 2.0, 3.0, 4.0]).matvec(&vector(&cx, &[1.0, -1.0])), &[-1.0, -1.0]);

    let eye = cx.eye(&4.into(), DType::F64).broadcast(&dims(&[3, 4, 4]), &[1, 2]);
    let m = noise(&cx, &[3, 4, 4], 3) + &eye * 3.0;
    let one = numbers(&eye);
    is(&m.bmm(&m.inverse()), &one);
    is(&m.bmm(&m.solve(&m.t())), &numbers(&m.t()));
    let v = noise(&cx, &[3, 4], 4);
    is(&m.matvec(&m.solve(&v)), &numbers(&v));
    is(&m.matrix_power(5), &numbers(&m.bmm(&m).bmm(&m).bmm(&m).bmm(&m)));
    is(&m.matrix_power(0), &one);
    let spd = m.bmm(&m.t());
    let l = spd.cholesky();
    is(&l.bmm(&l.t()), &numbers(&spd));
    is(&spd.determinant(), &numbers(&m.determinant().square()));
    is(&l.diagonal().product(&[1]).square(), &numbers(&spd.determinant()));
    let (w, q) = spd.eigh();
    is(&q.bmm(&q.t()), &one);
    is(&q.bmm(&w.diagonal_matrix()).bmm(&q.t()), &numbers(&spd));
    is(&w.sum(&[1]), &numbers(&spd.trace()));
    is(&w.sort(1, false), &numbers(&w));
    // Equal eigenvalues, zeros, sizes of none and one.
    let (w, q) = cx.full(&Type::new(DType::F64, [3, 3]), 1.0).eigh();
    is(&w, &[0.0, 0.0, 3.0]);
    is(
        &q.t().bmm(&q),
        &one[..16]
            .iter()
            .enumerate()
            .filter(|(i, _)| i % 4 < 3 && i / 4 < 3)
            .map(|(_, x)| *x)
            .collect::<Vec<_>>(),
    );
    is(&cx.full(&Type::new(DType::F64, [2, 2]), 0.0).eigh().0, &[0.0, 0.0]);
    is(&cx.array(DType::F64, &[1, 1], &[-7.0]).eigh().1, &[1.0]);
    is(&cx.array(DType::F64, &[0, 2, 2], &[]).determinant(), &[]);
    // A singular matrix says so in its numbers.
    let flat = matrix(&cx, 2, &[1.0, 2.0, 2.0, 4.0]);
    assert!(numbers(&flat.solve(&vector(&cx, &[1.0, 1.0]))).iter().all(|x| !x.is_finite()));
    assert!(numbers(&(-&flat).cholesky()).iter().any(|x| x.is_nan()));
}

#[test]
fn pools() {
    let cx = eager();
    let x = cx.array(DType::F64, &[1, 5], &[1.0, 5.0, 2.0, -3.0, 4.0]);
    let g = Geometry::new(&[3]).stride(2).padding(1);
    is(&x.max_pool(&g), &[5.0, 5.0, 4.0]);
    is(&x.min_pool(&g), &[1.0, -3.0, -3.0]);
    is(&x.sum_pool(&g), &[6.0, 4.0, 1.0]);
    is(&x.avg_pool(&g, true), &[2.0, 4.0 / 3.0, 1.0 / 3.0]);
    is(&x.avg_pool(&g, false), &[3.0, 4.0 / 3.0, 0.5]);
    let (y, at) = x.max_pool_indices(&g);
    is(&y, &[5.0, 5.0, 4.0]);
    is(&at, &[1.0, 1.0, 4.0]);
    let apart = Geometry::new(&[2]).stride(2);
    let (y, at) = x.max_pool_indices(&apart);
    is(&y.max_unpool(&at, &[5]), &[0.0, 5.0, 2.0, 0.0, 0.0]);
    let plane = cx.array(DType::F64, &[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0]);
    let (y, at) = plane.max_pool_indices(&Geometry::new(&[2, 2]));
    is(&y, &[4.0, -1.0]);
    is(&at, &[3.0, 0.0]);
    assert_eq!(y.ty(), Type::new(DType::F64, [2, 1, 1]));
}

#[test]
fn a_transposed_convolution_is_the_transpose() {
    let cx = eager();
    // <conv(x), y> = <x, transposed(y)>, with the strides that leave elements unreached.
    for (g, groups, extra) in [
        (Geometry::new(&[3]), 1, 0),
        (Geometry::new(&[3]).stride(2).padding(1), 2, 1),
        (Geometry::new(&[2]).stride(3).dilation(2), 1, 2),
    ] {
        let x = noise(&cx, &[2, 4, 12 + extra], 5);
        let w = noise(&cx, &[6, 4 / groups, g.kernel[0]], 6);
        let y = x.convolution(&w, &g, groups);
        let back = noise(&cx, &y.ty().fixed_shape().unwrap(), 7);
        let space = x.shape()[2].fixed().unwrap();
        let reached =
            (y.shape()[2].fixed().unwrap() - 1) * g.stride[0] + g.dilation[0] * (g.kernel[0] - 1) + 1
                - 2 * g.low[0];
        let made = back.convolution_transposed(&w, &g, groups, space - reached);
        assert_eq!(made.ty(), x.ty());
        is(&(&y * &back).sum_all(), &numbers(&(&x * &made).sum_all()));
    }
}

#[test]
fn losses() {
    let cx = eager();
    let (p, y) = (vector(&cx, &[0.25, 0.5, 0.0]), vector(&cx, &[1.0, 0.0, 0.0]));
    is(&p.mse_loss(&y), &[(0.5625 + 0.25) / 3.0]);
    is(&p.l1_loss(&y), &[1.25 / 3.0]);
    is(&p.huber_loss(&y, 0.5), &[(0.5 * (0.75 - 0.25) + 0.125) / 3.0]);
    is(&p.bce_loss(&y), &[(4f64.ln() + 2f64.ln()) / 3.0]);
    // Kept above -100.
    is(&vector(&cx, &[0.0]).bce_loss(&vector(&cx, &[1.0])), &[100.0]);
    let logits = vector(&cx, &[0.3, -2.0, 1.0]);
    is(&logits.bce_with_logits_loss(&y), &numbers(&logits.sigmoid().bce_loss(&y)));
    let rows = noise(&cx, &[2, 3], 8);
    let labels = cx.array(DType::I64, &[2], &[2.0, 0.0]);
    is(&rows.log_softmax(&[1]).nll_loss(&labels), &numbers(&rows.cross_entropy(&labels)));
    let q = matrix(&cx, 1, &[0.5, 0.5, 0.0]);
    let p = matrix(&cx, 1, &[0.25, 0.5, 0.25]);
    is(&p.log().kl_loss(&q), &[0.5 * 2f64.ln()]);
}

#[test]
fn complex_numbers() {
    let cx = eager();
    let c = |re: f64, im: f64| Complex::new(&cx.scalar(re), &cx.scalar(im));
    let both = |z: &Complex| [z.re.val(), z.im.val()];
    let near = |z: &Complex, e: [f64; 2]| {
        both(z).iter().zip(e).for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} {b}"))
    };
    let (z, w) = (c(3.0, 4.0), c(1.0, -2.0));
    near(&(&z * &w), [11.0, -2.0]);
    near(&(&z / &w), [-1.0, 2.0]);
    near(&(&z - &w), [2.0, 6.0]);
    near(&(&z + &w), [4.0, 2.0]);
    near(&-&z, [-3.0, -4.0]);
    near(&z.conjugate(), [3.0, -4.0]);
    near(&z.log().exp(), [3.0, 4.0]);
    near(&c(0.0, std::f64::consts::PI).exp(), [-1.0, 0.0]);
    assert_eq!((z.abs().val(), z.abs_square().val()), (5.0, 25.0));
    // Transforms: there and back, and the sum of squares (Parseval).
    for n in [1, 2, 5, 8, 12, 67, 134] {
        let x = Complex::new(&noise(&cx, &[2, n], 9), &noise(&cx, &[2, n], 10));
        let f = x.fft();
        let back = f.ifft();
        is(&back.re, &numbers(&x.re));
        is(&back.im, &numbers(&x.im));
        is(&(f.abs_square().sum_all() / n as f64), &numbers(&x.abs_square().sum_all()));
        is(&x.re.rfft().irfft(n), &numbers(&x.re));
    }
    let two = Complex::real(&noise(&cx, &[3, 4], 11)).fft_axes(&[0, 1], false).fft_axes(&[1, 0], true);
    is(&two.re, &numbers(&noise(&cx, &[3, 4], 11)));
}

#[test]
fn state_space_models_two_ways() {
    // y as the convolution with the kernel Re Σ c e^(k a) b, and by the recurrence h_t = e^a h + b x_t, y_t = Re Σ c h_t.
    let cx = eager();
    let (states, n) = (3, 13);
    let a = Complex::new(&-noise(&cx, &[states], 12).abs(), &(noise(&cx, &[states], 13) * 3.0));
    let b = Complex::new(&noise(&cx, &[states], 14), &noise(&cx, &[states], 15));
    let c = Complex::new(&noise(&cx, &[states], 16), &noise(&cx, &[states], 17));
    let x = noise(&cx, &[n], 18);
    let both = &b * &c;
    let powers = cx.powers(&a, &n.into(), DType::F64);
    let kernel = both.dot_general(&powers, (&[0], &[0]), (&[], &[])).re;
    let y = x.fft_convolution(&kernel);
    let long = |z: &Complex| z.each(|v| v.broadcast(&dims(&[n, states]), &[1]));
    let drive = long(&b).scale(&x.broadcast(&dims(&[n, states]), &[0]));
    let start = a.each(|v| v.full_like(0.0));
    let h = long(&a.exp()).linear_scan(&drive, &start);
    is(&h.dot_general(&c, (&[1], &[0]), (&[], &[])).re, &numbers(&y));
    // The convolution as it is defined.
    let (k, v) = (numbers(&kernel), numbers(&x));
    let slow: Vec<f64> = (0..n).map(|t| (0..=t).map(|s| k[s] * v[t - s]).sum()).collect();
    is(&y, &slow);
}

#[test]
fn sizes_may_be_symbols() {
    let cx = Cx::abstract_();
    let x = cx.input(
        "x",
        Type { dtype: DType::F64, shape: vec![Dim::symbol("B"), Dim::from(2), Dim::symbol("T")] },
    );
    let w = cx.input("w", Type::new(DType::F64, [3, 2, 2]));
    let y = x.convolution(&w, &Geometry::new(&[2]).padding(1), 1);
    assert_eq!(y.ty().to_string(), "f64[B,3,T+1]");
    let outs = [
        y,
        x.cumulative_sum(2),
        x.variance(&[0, 2], 1),
        x.logsumexp(&[2]),
        x.sort(2, false),
        x.bmm(&x.t()),
        x.tile(2, 2).dilate(2, 0),
        x.bmm(&x.t()).solve(&x),
    ];
    let named: Vec<(String, &Var)> = outs.iter().enumerate().map(|(i, v)| (format!("y{i}"), v)).collect();
    let named: Vec<(&str, &Var)> = named.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let g = cx.finish(&named).unwrap();
    g.verify().unwrap();
    let text = g.to_string();
    assert_eq!(graph::Graph::parse(&text).unwrap().to_string(), text);
    let inputs = vec![f(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), f(&[3, 2, 2], &[1.0; 12])];
    let made = interp::run(&g, inputs, false).unwrap();
    let of = |k: usize| -> Vec<f64> { made.outputs[k].1.to_f64() };
    assert_eq!(of(0)[..4], [5.0, 12.0, 16.0, 9.0]);
    assert_eq!(of(1), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    assert_eq!(of(2), [1.0, 1.0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let t = |s: &[usize]| Type::new(DType::F64, s.iter().copied());
    let i = |s: &[usize]| Type::new(DType::I64, s.iter().copied());
    let fails = |op: Op, attrs: Attrs, inputs: &[Type], text: &str| {
        let error = op.infer(&attrs, inputs).unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    let axis = |a: i64| attrs! { axis: Int(a) };
    fails(Op::Asin, Attrs::new(), &[i(&[2])], "floating");
    fails(Op::ArgSort, axis(2), &[t(&[2, 3])], "axis 2 of f64[2,3]");
    fails(Op::ArgSort, axis(-1), &[t(&[2, 3])], "axis -1");
    fails(Op::TakeAlong, axis(1), &[t(&[2, 3]), t(&[2, 3])], "indices must be integers");
    fails(Op::TakeAlong, axis(1), &[t(&[2, 3]), i(&[3, 3])], "do not fit f64[2,3] off axis 1");
    fails(Op::ScatterAddAlong, axis(0), &[i(&[2]), t(&[2])], "needs the size");
    let size = attrs! { axis: Int(0), size: Dims(dims(&[2])) };
    fails(Op::ScatterAddAlong, size, &[i(&[2]), t(&[3])], "do not have the sizes of the indices");
    for (attrs, text) in [
        (Geometry { kernel: vec![0], ..Geometry::new(&[1]) }.attrs(), "at least 1"),
        (Geometry::new(&[2]).stride(0).attrs(), "at least 1"),
        (Geometry { low: vec![], ..Geometry::new(&[2]) }.attrs(), "one number per axis"),
        (Geometry { high: vec![usize::MAX], ..Geometry::new(&[2]) }.attrs(), "must be at least 1"),
        (Geometry::new(&[9]).attrs(), "does not fit an axis of 3"),
        (Geometry::new(&[2, 2, 2]).attrs(), "3 axes of f64[2,3]"),
    ] {
        fails(Op::Windows, attrs, &[t(&[2, 3])], text);
    }
    let symbolic = Type { dtype: DType::F64, shape: vec![Dim::symbol("T")] };
    fails(Op::Windows, Geometry::new(&[2]).stride(2).attrs(), &[symbolic], "needs a fixed size");
    let groups = |n: i64| Geometry::new(&[2]).attrs().with("groups", graph::Attr::Int(n));
    fails(Op::Convolution, groups(1), &[t(&[1, 2, 5]), t(&[3, 4, 2])], "do not fit the channels");
    fails(Op::Convolution, groups(2), &[t(&[1, 3, 5]), t(&[2, 1, 2])], "2 groups do not divide");
    fails(Op::Convolution, groups(0), &[t(&[1, 3, 5]), t(&[2, 1, 2])], "0 groups");
    fails(Op::Convolution, groups(-1), &[t(&[1, 3, 5]), t(&[2, 1, 2])], "groups");
    fails(Op::Convolution, groups(1), &[t(&[1, 3, 5]), t(&[2, 3, 4])], "kernel [2]");
    fails(Op::Cholesky, Attrs::new(), &[t(&[2, 3])], "square");
    fails(Op::Determinant, Attrs::new(), &[t(&[3])], "takes matrices");
    fails(Op::Solve, Attrs::new(), &[t(&[2, 3, 3]), t(&[3, 1])], "do not fit the matrices");
    fails(Op::Eigh, Attrs::new(), &[i(&[2, 2])], "floating");
    fails(Op::Fourier, Attrs::new(), &[t(&[]), t(&[])], "no axis");
    fails(Op::Fourier, Attrs::new(), &[t(&[2]), t(&[3])], "shapes differ");

    // Functions record what they refuse instead of panicking.
    let refused = |f: &dyn Fn(&Cx, &Var) -> Var, text: &str| {
        let cx = eager();
        let x = noise(&cx, &[2, 3], 1);
        let y = f(&cx, &x);
        assert!(y.is_poison());
        let error = cx.error().expect("an error").to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(&|_, x| x.product(&[2]), "axis 2");
    refused(&|_, x| x.cumulative_sum(7), "axis 7");
    refused(&|_, x| x.squeeze(0), "does not have size 1");
    refused(&|_, x| x.unsqueeze(3), "axis 3");
    refused(&|_, x| x.diagonal(), "not square");
    refused(&|_, x| x.sum(&[0]).tril(), "no matrix");
    refused(&|_, x| x.sum_all().diagonal_matrix(), "no axis");
    refused(&|_, x| x.bmm(&x.sum(&[0])), "both must be matrices");
    refused(&|_, x| x.einsum(x, "ij,jk->ik"), "paired");
    refused(&|_, x| x.einsum(x, "ij,ij"), "einsum");
    refused(&|_, x| x.einsum(x, "ij,ij->ik"), "einsum");
    refused(&|_, x| x.roll(1, 2), "axis 2");
    refused(&|_, x| x.dilate(0, 0), "step 0");
    refused(&|_, x| x.determinant(), "square");
    refused(&|_, x| x.rfft().irfft(9), "9 numbers have 5 coefficients");
    refused(&|_, x| x.median(4), "axis 4");
    refused(&|cx, x| x.take_along(&cx.array(DType::I64, &[2, 1], &[3.0, 0.0]), 1), "index 3 is outside");
    let outside: Result<Vec<Array<f64>>, String> = Op::LastWriter.eval(
        &Default::default(),
        &attrs! { axis: Int(0), size: Dims(dims(&[2])) },
        &[Array::int(DType::I64, [1], vec![5])],
        &[i(&[2])],
    );
    assert!(outside.unwrap_err().contains("index 5 is outside"));
}
