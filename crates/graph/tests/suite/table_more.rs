//! Rows of the op table that came with differentiation: inverse functions, indices along an axis, windows and
//! convolutions, linear algebra, the Fourier transform.

use crate::table::{dims, f, ints};
use axes::DType;
use graph::{Array, Attrs, Op, attrs};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_3, FRAC_PI_4, FRAC_PI_6, LN_2, PI};

type Add<'a> = &'a mut dyn FnMut(Op, Attrs, &[Array<f64>], &[Array<f64>]);

fn v(x: &[f64]) -> Array<f64> {
    f(&[x.len()], x)
}

pub(crate) fn cases(case: Add) {
    functions(case);
    along(case);
    windows(case);
    convolutions(case);
    linear_algebra(case);
    fourier(case);
}

fn functions(case: Add) {
    let none = Attrs::new;
    case(Op::Asin, none(), &[v(&[0.0, 0.5, 1.0, -1.0])], &[v(&[0.0, FRAC_PI_6, FRAC_PI_2, -FRAC_PI_2])]);
    case(Op::Acos, none(), &[v(&[0.0, 0.5, 1.0, -1.0])], &[v(&[FRAC_PI_2, FRAC_PI_3, 0.0, PI])]);
    case(Op::Atan, none(), &[v(&[0.0, 1.0, -1.0])], &[v(&[0.0, FRAC_PI_4, -FRAC_PI_4])]);
    // Abramowitz and Stegun, table 7.1, and more digits of the same by a series of 40 digits.
    case(
        Op::Erf,
        none(),
        &[v(&[0.0, 0.5, 1.0, -2.0, 7.0])],
        &[v(&[0.0, 0.520_499_877_813_046_5, 0.842_700_792_949_714_9, -0.995_322_265_018_952_7, 1.0])],
    );
    case(
        Op::Log1p,
        none(),
        &[v(&[0.0, 1.0, 1e-10, -0.5, 1e-300, f64::INFINITY])],
        &[v(&[0.0, LN_2, 9.999_999_999_5e-11, -LN_2, 1e-300, f64::INFINITY])],
    );
    case(
        Op::Expm1,
        none(),
        &[v(&[0.0, LN_2, 1e-10, -100.0, 1000.0])],
        &[v(&[0.0, 1.0, 1.000_000_000_05e-10, -1.0, f64::INFINITY])],
    );
    case(Op::Softplus, none(), &[v(&[0.0, 1000.0, -1000.0, LN_2])], &[v(&[LN_2, 1000.0, 0.0, 3f64.ln()])]);
}

fn along(case: Add) {
    let axis = |a: i64| attrs! { axis: Int(a) };
    let order = |a: i64, down: bool| attrs! { axis: Int(a), descending: Bool(down) };
    let i64s = |s: &[usize], x: &[i64]| ints(DType::I64, s, x);
    let m = f(&[2, 3], &[3.0, 1.0, 1.0, -1.0, 5.0, 4.0]);
    let m1 = std::slice::from_ref(&m);
    case(Op::ArgSort, order(1, false), m1, &[i64s(&[2, 3], &[1, 2, 0, 0, 2, 1])]);
    case(Op::ArgSort, order(1, true), m1, &[i64s(&[2, 3], &[0, 1, 2, 1, 2, 0])]);
    case(Op::ArgSort, order(0, false), m1, &[i64s(&[2, 3], &[1, 0, 0, 0, 1, 1])]);
    case(Op::ArgSort, order(0, false), &[v(&[f64::NAN, 2.0, f64::INFINITY])], &[i64s(&[3], &[1, 2, 0])]);
    case(Op::ArgSort, order(0, true), &[i64s(&[3], &[4, 9, 4])], &[i64s(&[3], &[1, 0, 2])]);
    case(
        Op::CumulativeArgMax,
        axis(0),
        &[v(&[1.0, 1.0, 0.0, 3.0, f64::NAN, 9.0])],
        &[i64s(&[6], &[0, 0, 0, 3, 4, 4])],
    );
    case(Op::CumulativeArgMax, axis(1), m1, &[i64s(&[2, 3], &[0, 0, 0, 0, 1, 1])]);
    let at = i64s(&[2, 2], &[2, 0, 1, 1]);
    case(Op::TakeAlong, axis(1), &[m.clone(), at.clone()], &[f(&[2, 2], &[1.0, 3.0, 5.0, 5.0])]);
    case(Op::TakeAlong, axis(0), &[m.clone(), i64s(&[1, 3], &[1, 0, 1])], &[f(&[1, 3], &[-1.0, 1.0, 4.0])]);
    let size = |n: usize| attrs! { axis: Int(1), size: Dims(dims(&[n])) };
    case(
        Op::ScatterAddAlong,
        size(3),
        &[at.clone(), f(&[2, 2], &[1.0, 2.0, 4.0, 8.0])],
        &[f(&[2, 3], &[2.0, 0.0, 1.0, 0.0, 12.0, 0.0])],
    );
    case(Op::LastWriter, size(3), &[at], &[i64s(&[2, 3], &[1, -1, 0, -1, 1, -1])]);
}

/// kernel, stride, dilation, low, high of windows over one axis.
fn line(n: [i64; 5]) -> Attrs {
    let [k, s, d, low, high] = n.map(|n| vec![n]);
    attrs! { kernel: Ints(k), stride: Ints(s), dilation: Ints(d), low: Ints(low), high: Ints(high) }
}

/// The same along both of two axes.
fn plane(n: [i64; 5]) -> Attrs {
    let [k, s, d, low, high] = n.map(|n| vec![n, n]);
    attrs! { kernel: Ints(k), stride: Ints(s), dilation: Ints(d), low: Ints(low), high: Ints(high) }
}

fn windows(case: Add) {
    let x = f(&[1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
    // First elements of all windows, then second ones.
    case(
        Op::Windows,
        line([2, 2, 1, 0, 0]),
        std::slice::from_ref(&x),
        &[f(&[1, 2, 2], &[1.0, 3.0, 2.0, 4.0])],
    );
    case(
        Op::Windows,
        line([2, 1, 3, 1, 0]),
        std::slice::from_ref(&x),
        &[f(&[1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])],
    );
    let square = f(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let expected = [
        [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0],
        [0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0],
        [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0],
        [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
    ];
    case(Op::Windows, plane([2, 1, 1, 1, 1]), &[square], &[f(&[2, 2, 3, 3], expected.as_flattened())]);
    let add = |n: [i64; 5], size: usize| line(n).with("dims", graph::Attr::Dims(dims(&[size])));
    case(
        Op::WindowsAdd,
        add([2, 1, 1, 0, 0], 4),
        &[f(&[2, 3], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0])],
        &[v(&[1.0, 12.0, 23.0, 30.0])],
    );
    // What stood in the zeros around is lost, what no window reached stays zero.
    case(
        Op::WindowsAdd,
        add([2, 2, 1, 1, 0], 4),
        &[f(&[2, 2], &[1.0, 2.0, 10.0, 20.0])],
        &[v(&[10.0, 2.0, 20.0, 0.0])],
    );
}

fn convolutions(case: Add) {
    let groups = |a: Attrs, n: i64| a.with("groups", graph::Attr::Int(n));
    let x = f(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // 1·1 + 2·2 + 4·10 + 5·20, and one further.
    let w = f(&[1, 2, 2], &[1.0, 2.0, 10.0, 20.0]);
    case(
        Op::Convolution,
        groups(line([2, 1, 1, 0, 0]), 1),
        &[x.clone(), w.clone()],
        &[f(&[1, 1, 2], &[145.0, 178.0])],
    );
    case(
        Op::Convolution,
        groups(line([2, 2, 1, 1, 1]), 1),
        &[x.clone(), w.clone()],
        &[f(&[1, 1, 2], &[82.0, 178.0])],
    );
    let each = f(&[2, 1, 2], &[1.0, -1.0, 2.0, 0.5]);
    case(
        Op::Convolution,
        groups(line([2, 1, 1, 0, 0]), 2),
        &[x.clone(), each.clone()],
        &[f(&[1, 2, 2], &[-1.0, -1.0, 10.5, 13.0])],
    );
    let image = f(&[1, 1, 3, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let w2 = f(&[2, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, -1.0, 0.0]);
    case(
        Op::Convolution,
        groups(plane([2, 1, 1, 0, 0]), 1),
        &[image.clone(), w2.clone()],
        &[f(&[1, 2, 2, 2], &[6.0, 8.0, 12.0, 14.0, -2.0, -2.0, -2.0, -2.0])],
    );
    case(
        Op::Convolution,
        groups(plane([2, 1, 2, 0, 0]), 1),
        &[image, w2],
        &[f(&[1, 2, 1, 1], &[10.0, -4.0])],
    );
    let transposed = |a: Attrs, g: i64, n: usize| groups(a, g).with("dims", graph::Attr::Dims(dims(&[n])));
    // Channel 1 adds x (1, 2), channel 2 adds x (10, 20).
    let w = f(&[2, 1, 2], &[1.0, 2.0, 10.0, 20.0]);
    case(
        Op::ConvolutionTransposed,
        transposed(line([2, 1, 1, 0, 0]), 1, 4),
        &[x.clone(), w],
        &[f(&[1, 1, 4], &[41.0, 134.0, 167.0, 126.0])],
    );
    case(
        Op::ConvolutionTransposed,
        transposed(line([2, 2, 1, 0, 0]), 2, 7),
        &[x, each],
        &[f(&[1, 2, 7], &[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.0, 8.0, 2.0, 10.0, 2.5, 12.0, 3.0, 0.0])],
    );
}

fn linear_algebra(case: Add) {
    let turn = |t: bool| attrs! { transposed: Bool(t) };
    // A zero where the first pivot would be.
    let a = f(&[1, 2, 2], &[0.0, 2.0, 1.0, 1.0]);
    let b = f(&[1, 2, 1], &[4.0, 5.0]);
    case(Op::Solve, turn(false), &[a.clone(), b.clone()], &[f(&[1, 2, 1], &[3.0, 2.0])]);
    case(Op::Solve, turn(true), &[a.clone(), b], &[f(&[1, 2, 1], &[0.5, 4.0])]);
    let three = f(&[3, 3], &[2.0, 1.0, 1.0, 4.0, -6.0, 0.0, -2.0, 7.0, 2.0]);
    case(
        Op::Solve,
        turn(false),
        &[three.clone(), f(&[3, 1], &[5.0, -2.0, 9.0])],
        &[f(&[3, 1], &[1.0, 1.0, 2.0])],
    );
    let side = |l: bool, t: bool| attrs! { lower: Bool(l), transposed: Bool(t) };
    let t = f(&[2, 2], &[2.0, 9.0, 1.0, 4.0]);
    let b = f(&[2, 1], &[2.0, 9.0]);
    case(Op::TriangularSolve, side(true, false), &[t.clone(), b.clone()], &[f(&[2, 1], &[1.0, 2.0])]);
    case(Op::TriangularSolve, side(true, true), &[t.clone(), b.clone()], &[f(&[2, 1], &[-0.125, 2.25])]);
    case(Op::TriangularSolve, side(false, false), &[t.clone(), b.clone()], &[f(&[2, 1], &[-9.125, 2.25])]);
    case(Op::TriangularSolve, side(false, true), &[t, b], &[f(&[2, 1], &[1.0, 0.0])]);
    case(Op::Determinant, Attrs::new(), &[a], &[v(&[-2.0])]);
    case(Op::Determinant, Attrs::new(), &[three], &[f(&[], &[-16.0])]);
    case(Op::Determinant, Attrs::new(), &[f(&[2, 2], &[1.0, 2.0, 2.0, 4.0])], &[f(&[], &[0.0])]);
    // The upper triangle is not read.
    let spd = f(&[3, 3], &[4.0, 99.0, 99.0, 12.0, 37.0, 99.0, -16.0, -43.0, 98.0]);
    let l = f(&[3, 3], &[2.0, 0.0, 0.0, 6.0, 1.0, 0.0, -8.0, 5.0, 3.0]);
    case(Op::Cholesky, Attrs::new(), &[spd], &[l]);
    let r = std::f64::consts::FRAC_1_SQRT_2;
    case(
        Op::Eigh,
        Attrs::new(),
        &[f(&[2, 2, 2], &[2.0, 0.0, 1.0, 2.0, 5.0, 77.0, 0.0, -1.0])],
        &[f(&[2, 2], &[1.0, 3.0, -1.0, 5.0]), f(&[2, 2, 2], &[r, r, -r, r, 0.0, 1.0, 1.0, 0.0])],
    );
}

fn fourier(case: Add) {
    let way = |inverse: bool| attrs! { inverse: Bool(inverse) };
    let zero = |n: usize| v(&vec![0.0; n]);
    let x = v(&[1.0, 2.0, 3.0, 4.0]);
    let (re, im) = (v(&[10.0, -2.0, -2.0, -2.0]), v(&[0.0, 2.0, 0.0, -2.0]));
    case(Op::Fourier, way(false), &[x.clone(), zero(4)], &[re.clone(), im.clone()]);
    case(Op::Fourier, way(true), &[re, im], &[v(&[4.0, 8.0, 12.0, 16.0]), zero(4)]);
    // e^(-2πi/3) = -1/2 - i √3/2.
    let h = 3f64.sqrt() / 2.0;
    case(
        Op::Fourier,
        way(false),
        &[v(&[0.0, 1.0, 0.0]), v(&[0.0, 0.0, 1.0])],
        &[v(&[1.0, -0.5 - h, -0.5 + h]), v(&[1.0, -h - 0.5, h - 0.5])],
    );
    case(Op::Fourier, way(false), &[v(&[7.0]), v(&[3.0])], &[v(&[7.0]), v(&[3.0])]);
    // Six by factors, 67 by the chirp, against the sum itself.
    for n in [6, 67] {
        let x: Vec<f64> = (0..n).map(|k| ((k * k + 3) % 11) as f64 - 5.0).collect();
        let sum = |f: fn(f64) -> f64| -> Vec<f64> {
            let angle = |j: usize, k: usize| -2.0 * PI * ((j * k) % n) as f64 / n as f64;
            (0..n).map(|k| (0..n).map(|j| x[j] * f(angle(j, k))).sum()).collect()
        };
        case(Op::Fourier, way(false), &[v(&x), zero(n)], &[v(&sum(f64::cos)), v(&sum(f64::sin))]);
    }
}
