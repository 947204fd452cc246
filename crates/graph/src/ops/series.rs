//! Arithmetic of truncated power series whose coefficients are graph values, for Taylor rules (`OpDef::jet`).
//!
//! Coefficient k of a function of t is its k-th derivative at t = 0 divided by k!. The recurrences are those of Griewank and
//! Walther, "Evaluating Derivatives" (2008), chapter 13: from y' = h x' follows k y_k = Σ j x_j h_{k-j}.

use crate::op::Tangent;
use crate::var::Var;

/// Coefficients 0, 1, 2, …; `None` is an exact zero.
pub(crate) type Series = Vec<Tangent>;

/// The series of operand `i`: its value, then what moves.
pub(crate) fn of(value: &Var, moving: &[Tangent]) -> Series {
    std::iter::once(Some(value.clone())).chain(moving.iter().cloned()).collect()
}

/// Coefficient k of a product of two series, by the given product of coefficients, from those with indices in `range` of the
/// first.
pub(crate) fn product(
    a: &[Tangent],
    b: &[Tangent],
    k: usize,
    range: std::ops::RangeInclusive<usize>,
    times: impl Fn(&Var, &Var) -> Var,
) -> Tangent {
    range.fold(None, |sum, j| {
        let (Some(Some(x)), Some(Some(y))) = (a.get(j), b.get(k - j)) else { return sum };
        super::plus(sum, Some(times(x, y)))
    })
}

fn scaled(x: Tangent, by: f64) -> Tangent {
    x.map(|x| if by == 1.0 { x } else { x * by })
}

/// Coefficient k ≥ 1 of y where y' = h x', from h_0 … h_{k-1}.
pub(crate) fn integral(h: &[Tangent], x: &[Tangent], k: usize) -> Tangent {
    let moving: Series = x.iter().enumerate().map(|(j, c)| scaled(c.clone(), j as f64)).collect();
    scaled(product(&moving, h, k, 1..=k, |a, b| a * b), 1.0 / k as f64)
}

/// The series of s^p, from its value: k s_0 h_k = Σ_{j=1}^{k} (p j - (k - j)) s_j h_{k-j}.
pub(crate) fn power(s: &[Tangent], value: Var, p: f64) -> Series {
    let Some(first) = s[0].clone() else { return vec![None; s.len()] };
    let mut h: Series = vec![Some(value)];
    for k in 1..s.len() {
        let sum = (1..=k).fold(None, |sum, j| {
            let weight = p * j as f64 - (k - j) as f64;
            let (Some(a), Some(b), true) = (&s[j], &h[k - j], weight != 0.0) else { return sum };
            super::plus(sum, scaled(Some(a * b), weight / k as f64))
        });
        h.push(sum.map(|x| x / &first));
    }
    h
}

/// The square of a series.
pub(crate) fn square(x: &[Tangent]) -> Series {
    (0..x.len()).map(|k| product(x, x, k, 0..=k, |a, b| a * b)).collect()
}

/// The same with another constant term.
pub(crate) fn with_value(mut s: Series, value: Var) -> Series {
    s[0] = Some(value);
    s
}

/// Every coefficient multiplied by a number.
pub(crate) fn scale(s: Series, by: f64) -> Series {
    s.into_iter().map(|c| scaled(c, by)).collect()
}
