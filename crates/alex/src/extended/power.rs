//! x to the power y, and the logarithm with half a mantissa to spare that it takes.
//!
//! glibc's `powf128` is wrong by up to 31 units in the last place (Zimmermann and others 2024): an error of y ln x is one of
//! the power's exponent, 14 bits larger. Here ln x = n ln 2 + 2 artanh((m − 1) / (m + 1)) is kept to 130 bits.

use super::double::{Two, product, sum};
use super::exponential::exp;
use super::format::{Wide, ln2, ratio};
use super::{guarded, libm, scaled, shared_of};
use crate::ir::{Builder, CmpF, F64, I32, Value};

/// n / d in two parts.
fn fraction<F: Wide>(b: &mut Builder, ty: F, d: u128) -> Two<F> {
    let hi = b.bits(ty, ratio(F::FORMAT, 1, d));
    // 1 − hi d is exact: hi is off by at most half a unit, and d is small.
    let (one, divisor) = (Two { hi: b.float(ty, 1.0), lo: b.float(ty, 0.0) }, b.float(ty, d as f64));
    let p = product(b, hi, divisor);
    let rest = b.subf(one.hi, p.hi);
    let rest = b.subf(rest, p.lo);
    Two { hi, lo: b.divf(rest, divisor) }
}

/// ln x for a finite x above 0, with an error of some 2^-17 units in the last place.
fn logarithm<F: Wide>(b: &mut Builder, x: Value<F>) -> Two<F> {
    let (ty, p) = (x.ty(), F::FORMAT.precision());
    // x = 2^n m with m between √½ and √2.
    let symbol = F::symbol("ilogb");
    if !b.module().has(&symbol) {
        b.module().declare(symbol.as_str(), ty, I32);
    }
    let n = b.call_symbol(&symbol, x, I32);
    let zero = b.int(I32, 0);
    let down = b.subi(zero, n);
    let m = scaled(b, x, down);
    let root = b.float(ty, std::f64::consts::SQRT_2);
    let large = b.cmpf(CmpF::Ogt, m, root);
    let (half, one) = (b.float(ty, 0.5), b.float(ty, 1.0));
    let halved = b.mulf(m, half);
    let m = b.select(large, halved, m);
    let next = b.int(I32, 1);
    let next = b.addi(n, next);
    let n = b.select(large, next, n);
    let n = b.sitofp(n, F64);
    let n = super::accumulate::converted(b, n, ty);

    let above = b.subf(m, one);
    let above = Two::of(b, above);
    let below = sum(b, m, one);
    let s = above.over(b, below);
    let t = s.times(b, s);
    // |t| is at most 0.0295: terms of t^5 on need no second part, and those beyond the last one are below 2^-(p + 24).
    let (split, last) = (5, if p == 64 { 17 } else { 27 });
    let mut q = b.bits(ty, ratio(F::FORMAT, 1, 2 * last + 1));
    for j in (split..last).rev() {
        q = b.mulf(q, t.hi);
        let c = b.bits(ty, ratio(F::FORMAT, 1, 2 * j + 1));
        q = b.addf(q, c);
    }
    let mut series = Two::of(b, q);
    for j in (1..split).rev() {
        let c = fraction(b, ty, 2 * j + 1);
        let more = t.times(b, series);
        series = c.plus(b, more);
    }
    let more = t.times(b, series);
    let series = Two { hi: one, lo: b.float(ty, 0.0) }.plus(b, more);
    let two = b.float(ty, 2.0);
    let s = Two { hi: b.mulf(s.hi, two), lo: b.mulf(s.lo, two) };
    let l = s.times(b, series);

    // n has 15 bits.
    let short = p - 16;
    let parts =
        [(0, short), (short, short), (2 * short, p)].map(|(from, k)| b.bits(ty, ln2(F::FORMAT, from, k)));
    let [first, second, third] = parts.map(|part| b.mulf(n, part));
    let whole = sum(b, first, second).and(b, third);
    whole.plus(b, l)
}

/// x to the power y.
pub(super) fn power<F: Wide>(b: &mut Builder, x: Value<F>, y: Value<F>) -> Value<F> {
    shared_of(b, "pow", vec![x, y], |b, v| {
        let (x, y, ty) = (v[0], v[1], v[0].ty());
        let (size, weight) = (b.absf(x), b.absf(y));
        let zero = b.float(ty, 0.0);
        let infinity = b.float(ty, f64::INFINITY);
        // Numbers that are no limit cases, and a power that is a real number.
        let inside = [
            b.cmpf(CmpF::Ogt, size, zero),
            b.cmpf(CmpF::Olt, size, infinity),
            b.cmpf(CmpF::Ogt, weight, zero),
            b.cmpf(CmpF::Olt, weight, infinity),
        ];
        let whole = b.floor(y);
        let whole = b.cmpf(CmpF::Oeq, whole, y);
        let positive = b.cmpf(CmpF::Ogt, x, zero);
        let real = b.ori(whole, positive);
        let plain = inside.into_iter().fold(real, |all, one| b.andi(all, one));
        guarded(
            b,
            plain,
            |b| {
                let l = logarithm(b, size);
                let rough = b.mulf(y, l.hi);
                let rough = b.absf(rough);
                let limit = b.float(ty, 11440.0);
                let finite = b.cmpf(CmpF::Olt, rough, limit);
                guarded(
                    b,
                    finite,
                    |b| {
                        let z = product(b, y, l.hi);
                        let more = b.mulf(y, l.lo);
                        let z = z.and(b, more);
                        let made = exp(b, z);
                        // Negative for an odd power of a negative number.
                        let half = b.float(ty, 0.5);
                        let half = b.mulf(y, half);
                        let even = b.floor(half);
                        let odd = b.cmpf(CmpF::One, even, half);
                        let minus = b.negf(made);
                        let signed = b.select(odd, minus, made);
                        b.select(positive, made, signed)
                    },
                    |b| libm(b, "pow", &[x, y]),
                )
            },
            |b| libm(b, "pow", &[x, y]),
        )
    })
}
