//! Arithmetic of truncated Taylor series, from which the `jet` rows of the ops are made.
//!
//! A series is its first value with the coefficients 1 … K beside it (coefficient k is the k-th derivative over k!);
//! `None` is an exact zero and costs no node. A function that satisfies y' = u(y, x) x' has the coefficients
//! k y_k = Σ_{j=1..k} j x_j u_{k-j}, so that an order costs O(K²) products in all (Griewank and Walther 2008, "Evaluating
//! Derivatives", chapter 13; Bettencourt, Johnson and Duvenaud 2019).

use super::plus;
use crate::op::{NodeCx, Tangent};
use crate::var::Var;

/// The tangent times a number.
fn scaled(v: Tangent, by: f64) -> Tangent {
    v.map(|v| if by == 1.0 { v } else { v * by })
}

/// Coefficient `k` of a series; coefficient 0 is the value.
fn at<'a>(first: &'a Var, series: &'a [Tangent], k: usize) -> Option<&'a Var> {
    match k {
        0 => Some(first),
        _ => series.get(k - 1)?.as_ref(),
    }
}

/// Σ a_i b_{k-i} over i in `range`, with equal series multiplied half as often where `times` commutes.
fn convolution(
    (a0, a): (&Var, &[Tangent]),
    (b0, b): (&Var, &[Tangent]),
    k: usize,
    range: std::ops::Range<usize>,
    times: Option<&dyn Fn(&Var, &Var) -> Var>,
) -> Tangent {
    let id = |t: &Tangent| t.as_ref().map(Var::id);
    let square = times.is_none()
        && a0.id() == b0.id()
        && a.len() == b.len()
        && a.iter().zip(b).all(|(x, y)| id(x) == id(y))
        && range.start + range.end == k + 1;
    let times = times.unwrap_or(&|a: &Var, b: &Var| a * b);
    let mut sum = None;
    for i in range {
        if square && 2 * i > k {
            break;
        }
        if let (Some(x), Some(y)) = (at(a0, a, i), at(b0, b, k - i)) {
            let twice = if square && 2 * i < k { 2.0 } else { 1.0 };
            sum = plus(sum, scaled(Some(times(x, y)), twice));
        }
    }
    sum
}

/// The coefficients of a product of two series, element by element.
pub(crate) fn product(a: (&Var, &[Tangent]), b: (&Var, &[Tangent])) -> Vec<Tangent> {
    (1..=a.1.len()).map(|k| convolution(a, b, k, 0..k + 1, None)).collect()
}

/// The coefficients of a product of two series under a bilinear `times` that need not commute.
pub(crate) fn bilinear(
    a: (&Var, &[Tangent]),
    b: (&Var, &[Tangent]),
    times: impl Fn(&Var, &Var) -> Var,
) -> Vec<Tangent> {
    (1..=a.1.len()).map(|k| convolution(a, b, k, 0..k + 1, Some(&times))).collect()
}

/// y from y' = u x': `u(k, y)` gives coefficient k of u, from the coefficients 1 … k of y.
pub(crate) fn integrate(
    x: &[Tangent],
    u0: &Var,
    mut u: impl FnMut(usize, &[Tangent]) -> Tangent,
) -> Vec<Tangent> {
    let slopes: Vec<Tangent> = x.iter().zip(1..).map(|(x, j)| scaled(x.clone(), f64::from(j))).collect();
    let (mut us, mut y): (Vec<Tangent>, Vec<Tangent>) = (vec![], vec![]);
    for k in 1..=x.len() {
        let mut sum = None;
        for j in 1..=k {
            if let (Some(s), Some(u)) = (&slopes[j - 1], at(u0, &us, k - j)) {
                sum = plus(sum, Some(s * u));
            }
        }
        y.push(scaled(sum, 1.0 / k as f64));
        // The last coefficient of u is not needed by any y.
        if k < x.len() {
            us.push(u(k, &y));
        }
    }
    y
}

/// e^x, whose value is `y0`.
pub(crate) fn exp(y0: &Var, x: &[Tangent]) -> Vec<Tangent> {
    integrate(x, y0, |k, y| y[k - 1].clone())
}

/// Natural logarithm of the series (x0, x).
pub(crate) fn log(x0: &Var, x: &[Tangent]) -> Vec<Tangent> {
    let mut y: Vec<Tangent> = vec![];
    for k in 1..=x.len() {
        let mut sum = None;
        for j in 1..k {
            if let (Some(a), Some(b)) = (&y[j - 1], &x[k - j - 1]) {
                sum = plus(sum, scaled(Some(a * b), -(j as f64) / k as f64));
            }
        }
        y.push(plus(x[k - 1].clone(), sum).map(|s| s / x0));
    }
    y
}

/// √x, whose value is `y0`.
pub(crate) fn sqrt(y0: &Var, x: &[Tangent]) -> Vec<Tangent> {
    let mut y: Vec<Tangent> = vec![];
    for k in 1..=x.len() {
        let inner = convolution((y0, &y), (y0, &y), k, 1..k, None).map(|s| -s);
        y.push(plus(x[k - 1].clone(), inner).map(|s| s / (y0 * 2.0)));
    }
    y
}

/// A function with y' = (a + b y + c y²) x' and value `y0`, where `slope` is the bracket at `y0`: tanh, the logistic
/// function.
pub(crate) fn riccati(y0: &Var, slope: &Var, x: &[Tangent], b: f64, c: f64) -> Vec<Tangent> {
    integrate(x, slope, |k, y| {
        let linear = if b == 0.0 { None } else { scaled(y[k - 1].clone(), b) };
        plus(linear, scaled(convolution((y0, y), (y0, y), k, 0..k + 1, None), c))
    })
}

/// Sine and cosine of the series of which they are the values `s0` and `c0`.
pub(crate) fn sine_cosine(s0: &Var, c0: &Var, x: &[Tangent]) -> (Vec<Tangent>, Vec<Tangent>) {
    let slopes: Vec<Tangent> = x.iter().zip(1..).map(|(x, j)| scaled(x.clone(), f64::from(j))).collect();
    let (mut s, mut c): (Vec<Tangent>, Vec<Tangent>) = (vec![], vec![]);
    for k in 1..=x.len() {
        let sum = |v0: &Var, v: &[Tangent]| {
            let terms = (1..=k).filter_map(|j| Some(slopes[j - 1].as_ref()? * at(v0, v, k - j)?));
            terms.fold(None, |a, b| plus(a, Some(b)))
        };
        let (a, b) = (sum(c0, &c), sum(s0, &s));
        s.push(scaled(a, 1.0 / k as f64));
        c.push(scaled(b, -1.0 / k as f64));
    }
    (s, c)
}

/// a / b, whose value is `y0`.
pub(crate) fn quotient(y0: &Var, a: &[Tangent], b0: &Var, b: &[Tangent]) -> Vec<Tangent> {
    let mut y: Vec<Tangent> = vec![];
    for k in 1..=a.len() {
        let mut sum: Tangent = None;
        for j in 1..=k {
            if let (Some(b), Some(y)) = (&b[j - 1], at(y0, &y, k - j)) {
                sum = plus(sum, Some(b * y));
            }
        }
        let top = match (a[k - 1].clone(), sum) {
            (Some(a), Some(s)) => Some(a - s),
            (None, Some(s)) => Some(-s),
            (a, None) => a,
        };
        y.push(top.map(|t| t / b0));
    }
    y
}

/// x^p for a number p. Whole powers are repeated products, which hold at x = 0 as well.
pub(crate) fn power(y0: &Var, x0: &Var, x: &[Tangent], p: f64) -> Vec<Tangent> {
    if p == 0.0 {
        return vec![None; x.len()];
    }
    if p.fract() == 0.0 && (1.0..=64.0).contains(&p) {
        let mut rest = p as u32;
        let (mut base0, mut base) = (x0.clone(), x.to_vec());
        let mut made: Option<(Var, Vec<Tangent>)> = None;
        loop {
            if rest & 1 == 1 {
                made = Some(match made {
                    None => (base0.clone(), base.clone()),
                    Some((v0, v)) => (&v0 * &base0, product((&v0, &v), (&base0, &base))),
                });
            }
            rest >>= 1;
            if rest == 0 {
                return made.map_or_else(|| vec![None; x.len()], |(_, v)| v);
            }
            let square = product((&base0, &base), (&base0, &base));
            (base0, base) = (base0.square(), square);
        }
    }
    let mut y: Vec<Tangent> = vec![];
    for k in 1..=x.len() {
        let mut sum = None;
        for j in 1..=k {
            let weight = (p * j as f64 - (k - j) as f64) / k as f64;
            if let (Some(x), Some(y), true) = (&x[j - 1], at(y0, &y, k - j), weight != 0.0) {
                sum = plus(sum, scaled(Some(x * y), weight));
            }
        }
        y.push(sum.map(|s| s / x0));
    }
    y
}

/// An op that is linear on each of its pieces: its jvp rule serves each coefficient.
pub(crate) fn by_coefficient(
    n: &NodeCx,
    series: &[Vec<Tangent>],
    jvp: fn(&NodeCx, &[Tangent]) -> Option<Vec<Tangent>>,
) -> Option<Vec<Vec<Tangent>>> {
    let order = series.iter().map(Vec::len).max().unwrap_or(0);
    let mut made: Vec<Vec<Tangent>> = vec![];
    for k in 0..order {
        let given: Vec<Tangent> = series.iter().map(|s| s[k].clone()).collect();
        let out = match given.iter().any(Option::is_some) {
            true => jvp(n, &given)?,
            false => vec![None; n.outputs.len()],
        };
        made.resize(out.len(), vec![]);
        made.iter_mut().zip(out).for_each(|(s, t)| s.push(t));
    }
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cx;

    /// The coefficients of `rule` at the scalar series 0.5 + t − 0.3 t² + 0.2 t³.
    fn made(rule: impl Fn(&Var, &[Tangent]) -> Vec<Tangent>) -> Vec<f64> {
        let cx = Cx::eager();
        let x: Vec<Tangent> = [1.0, -0.3, 0.2].iter().map(|c| Some(cx.scalar(*c))).collect();
        rule(&cx.scalar(0.5), &x).into_iter().map(|v| v.map_or(0.0, |v| v.val())).collect()
    }

    /// Coefficients 1 … 3 of f at that series, from a polynomial through samples.
    fn sampled(f: impl Fn(f64) -> f64) -> Vec<f64> {
        let h = 1e-2;
        let y: Vec<f64> = (-3..=3)
            .map(|i| {
                let t = f64::from(i) * h;
                f(0.5 + t - 0.3 * t * t + 0.2 * t * t * t)
            })
            .collect();
        let first = (y[6] - 9.0 * y[5] + 45.0 * y[4] - 45.0 * y[2] + 9.0 * y[1] - y[0]) / (60.0 * h);
        let second = (2.0 * (y[6] + y[0]) - 27.0 * (y[5] + y[1]) + 270.0 * (y[4] + y[2]) - 490.0 * y[3])
            / (180.0 * h * h);
        let third = (-y[6] + 8.0 * y[5] - 13.0 * y[4] + 13.0 * y[2] - 8.0 * y[1] + y[0]) / (8.0 * h.powi(3));
        vec![first, second / 2.0, third / 6.0]
    }

    fn close(a: Vec<f64>, b: Vec<f64>) {
        a.iter().zip(&b).for_each(|(x, y)| assert!((x - y).abs() < 1e-4 * (1.0 + y.abs()), "{a:?} {b:?}"));
    }

    #[test]
    fn recurrences_against_samples() {
        close(made(|x0, x| exp(&x0.exp(), x)), sampled(f64::exp));
        close(made(log), sampled(f64::ln));
        close(made(|x0, x| sqrt(&x0.sqrt(), x)), sampled(f64::sqrt));
        close(made(|x0, x| sine_cosine(&x0.sin(), &x0.cos(), x).0), sampled(f64::sin));
        close(made(|x0, x| sine_cosine(&x0.sin(), &x0.cos(), x).1), sampled(f64::cos));
        close(
            made(|x0, x| {
                let y = x0.tanh();
                riccati(&y, &(1.0 - y.square()), x, 0.0, -1.0)
            }),
            sampled(f64::tanh),
        );
        for p in [1.0, 2.0, 5.0, -1.0, 0.5, 2.7] {
            close(made(|x0, x| power(&x0.powf(p), x0, x, p)), sampled(|x| x.powf(p)));
        }
        let one = |x0: &Var| x0.full_like(1.0);
        close(
            made(|x0, x| quotient(&x0.reciprocal(), &[None, None, None], x0, x).into_iter().collect()),
            sampled(|x| 1.0 / x),
        );
        close(made(|x0, x| product((x0, x), (&one(x0), &[None, None, None]))), sampled(|x| x));
    }
}
