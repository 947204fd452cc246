//! e^x with half a mantissa to spare, and what is made of it: e^x − 1, the hyperbolic functions, the logistic function.
//!
//! glibc's expm1, sinh, cosh and tanh of the wide formats are wrong by up to 3 units in the last place (Zimmermann and others,
//! "Accuracy of Mathematical Functions", 2024). Here x = k ln 2 + r with ln 2 in three parts, of which k times the first two
//! is exact (Cody and Waite 1980); e^r − 1 = r + r²/2 + r³ q(r) with its first two terms as sums of two numbers; and what is
//! made of it stays such a sum until the last operation. Errors are 0.5 and a few hundredths.

use super::double::{Two, ordered, product, sum};
use super::format::{Wide, ln2, quotient};
use super::{guarded, libm, scaled, shared};
use crate::ir::{Builder, CmpF, CmpI, I1, I32, Value};

/// e^x = 2^k (1 + e).
struct Exponential<F> {
    k: Value<I32>,
    /// e^r − 1, relatively exact.
    e: Two<F>,
    /// e^r, between 0.7 and 1.42.
    u: Two<F>,
}

/// Above this, e^x is infinite; 16384 ln 2 is 11356.5.
const LARGEST: f64 = 11400.0;
/// The smallest subnormal of binary128 is 2^-16494, e^-11432.8.
const SMALLEST: f64 = -11500.0;

/// |x| is below the end of the range.
fn exponential<F: Wide>(b: &mut Builder, x: Value<F>) -> Exponential<F> {
    let x = Two::of(b, x);
    reduced(b, x)
}

fn reduced<F: Wide>(b: &mut Builder, x: Two<F>) -> Exponential<F> {
    let (x, low) = (x.hi, x.lo);
    let (ty, p) = (x.ty(), F::FORMAT.precision());
    // To the nearest whole number by adding 1.5 · 2^(p - 1).
    let inverse = b.float(ty, std::f64::consts::LOG2_E);
    let magic = b.float(ty, 1.5 * 2f64.powi(p as i32 - 1));
    let kf = b.mulf(x, inverse);
    let kf = b.addf(kf, magic);
    let kf = b.subf(kf, magic);
    let k = b.fptosi(kf, I32).any();
    let k = b.expect(k, I32);
    // k has 15 bits.
    let short = p - 16;
    let parts =
        [(0, short), (short, short), (2 * short, p)].map(|(from, n)| b.bits(ty, ln2(F::FORMAT, from, n)));
    let [first, second, third] = parts.map(|part| b.mulf(kf, part));
    let r = b.subf(x, first);
    let minus = b.negf(second);
    let r = sum(b, r, minus);
    let rl = b.subf(r.lo, third);
    let rl = b.addf(rl, low);
    let r = r.hi;

    // |r| is at most 0.347, so that r^degree / degree! is below 2^-(p + 4) r.
    let degree = if p == 64 { 18 } else { 26 };
    let factorial = |n: u128| (1..=n).product::<u128>();
    let mut q = quotient(b, ty, 1, factorial(degree));
    for n in (3..degree).rev() {
        q = b.mulf(q, r);
        let c = quotient(b, ty, 1, factorial(n));
        q = b.addf(q, c);
    }
    let half = b.float(ty, 0.5);
    let square = product(b, r, r);
    let (ph, pl) = (b.mulf(square.hi, half), b.mulf(square.lo, half));
    let s = ordered(b, r, ph);
    let cube = b.mulf(square.hi, r);
    let tail = b.mulf(cube, q);
    let tail = b.addf(tail, pl);
    let lo = b.addf(s.lo, tail);
    let e = ordered(b, s.hi, lo);
    let one = b.float(ty, 1.0);
    // The rest of the argument by the derivative, which is as large as 2^-100 in a power.
    let slope = b.addf(one, e.hi);
    let more = b.mulf(rl, slope);
    let e = e.and(b, more);
    let e = ordered(b, e.hi, e.lo);
    let u = ordered(b, one, e.hi).and(b, e.lo);
    Exponential { k, e, u }
}

impl<F: Wide> Exponential<F> {
    fn is_near(&self, b: &mut Builder) -> Value<I1> {
        let zero = b.int(I32, 0);
        b.cmpi(CmpI::Eq, self.k, zero)
    }

    /// 2^(n k).
    fn power(&self, b: &mut Builder, n: i64) -> Value<F> {
        let n = b.int(I32, n);
        let nk = b.muli(self.k, n);
        let one = b.float(self.e.hi.ty(), 1.0);
        scaled(b, one, nk)
    }

    /// 1 − e^-x, times e^r.
    fn without_one(&self, b: &mut Builder) -> Two<F> {
        let near = self.is_near(b);
        let (hi, lo) = b.if_(
            near,
            |_| (self.e.hi, self.e.lo),
            |b| {
                let m = self.power(b, -1);
                let m = b.negf(m);
                let s = sum(b, self.u.hi, m).and(b, self.u.lo);
                (s.hi, s.lo)
            },
        );
        Two { hi, lo }
    }
}

/// e^x where it is finite.
pub(super) fn exp<F: Wide>(b: &mut Builder, x: Two<F>) -> Value<F> {
    let e = reduced(b, x);
    let u = e.u.joined(b);
    scaled(b, u, e.k)
}

/// |x| is below 2^-n, or x is NaN.
fn tiny<F: Wide>(b: &mut Builder, x: Value<F>, n: u32) -> Value<I1> {
    let (size, limit) = (b.absf(x), b.float(x.ty(), 2f64.powi(-(n as i32))));
    let large = b.cmpf(CmpF::Oge, size, limit);
    b.not(large)
}

fn above<F: Wide>(b: &mut Builder, x: Value<F>, limit: f64) -> Value<I1> {
    let limit = b.float(x.ty(), limit);
    b.cmpf(CmpF::Ogt, x, limit)
}

/// e^x − 1.
pub(super) fn expm1<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "expm1", x, |b, x| {
        let p = F::FORMAT.precision();
        let small = tiny(b, x, p + 2);
        guarded(
            b,
            small,
            |_| x,
            |b| {
                let large = above(b, x, LARGEST);
                guarded(
                    b,
                    large,
                    |b| b.float(x.ty(), f64::INFINITY),
                    |b| {
                        let minus = b.negf(x);
                        let low = above(b, minus, f64::from(p + 4) * std::f64::consts::LN_2);
                        guarded(
                            b,
                            low,
                            |b| b.float(x.ty(), -1.0),
                            |b| {
                                let e = exponential(b, x);
                                let w = e.without_one(b).joined(b);
                                scaled(b, w, e.k)
                            },
                        )
                    },
                )
            },
        )
    })
}

/// tanh x = (e^2|x| − 1) / (e^2|x| + 1) with the sign of x.
pub(super) fn tanh<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "tanh", x, |b, x| {
        let p = F::FORMAT.precision();
        let small = tiny(b, x, p / 2 + 3);
        guarded(
            b,
            small,
            |_| x,
            |b| {
                let (size, one) = (b.absf(x), b.float(x.ty(), 1.0));
                let far = above(b, size, f64::from(p + 4) * std::f64::consts::LN_2 / 2.0);
                let made = guarded(
                    b,
                    far,
                    |_| one,
                    |b| {
                        let twice = b.addf(size, size);
                        let e = exponential(b, twice);
                        let n = e.without_one(b);
                        let m = e.power(b, -1);
                        let d = sum(b, e.u.hi, m).and(b, e.u.lo);
                        n.over(b, d).joined(b)
                    },
                );
                b.copysign(made, x)
            },
        )
    })
}

/// sinh x = (e^|x| − e^-|x|) / 2 with the sign of x.
pub(super) fn sinh<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "sinh", x, |b, x| {
        let small = tiny(b, x, F::FORMAT.precision() / 2 + 3);
        guarded(
            b,
            small,
            |_| x,
            |b| {
                let size = b.absf(x);
                let far = above(b, size, LARGEST + 1.0);
                let made = guarded(
                    b,
                    far,
                    |b| b.float(x.ty(), f64::INFINITY),
                    |b| {
                        let e = exponential(b, size);
                        let near = e.is_near(b);
                        guarded(
                            b,
                            near,
                            |b| {
                                // e + e / (1 + e)
                                let d = e.e.over(b, e.u);
                                let s = sum(b, e.e.hi, d.hi).and(b, e.e.lo).and(b, d.lo).joined(b);
                                let half = b.float(x.ty(), 0.5);
                                b.mulf(s, half)
                            },
                            |b| hyperbolic(b, &e, true),
                        )
                    },
                );
                b.copysign(made, x)
            },
        )
    })
}

/// cosh x = (e^|x| + e^-|x|) / 2.
pub(super) fn cosh<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "cosh", x, |b, x| {
        let size = b.absf(x);
        let limit = b.float(x.ty(), LARGEST + 1.0);
        let inside = b.cmpf(CmpF::Ole, size, limit);
        guarded(
            b,
            inside,
            |b| {
                let e = exponential(b, size);
                hyperbolic(b, &e, false)
            },
            // Infinite or NaN, or as good as infinite.
            |b| {
                let far = b.float(x.ty(), f64::INFINITY);
                b.mulf(size, far)
            },
        )
    })
}

/// (2^k u ± 2^-k / u) / 2.
fn hyperbolic<F: Wide>(b: &mut Builder, e: &Exponential<F>, minus: bool) -> Value<F> {
    let one = b.float(e.u.hi.ty(), 1.0);
    let v = Two::of(b, one).over(b, e.u);
    let m = e.power(b, -2);
    let m = if minus { b.negf(m) } else { m };
    let (vh, vl) = (b.mulf(v.hi, m), b.mulf(v.lo, m));
    let w = sum(b, e.u.hi, vh).and(b, e.u.lo).and(b, vl).joined(b);
    let minus_one = b.int(I32, -1);
    let k = b.addi(e.k, minus_one);
    scaled(b, w, k)
}

/// The logistic function as 2^k q: 1 / (1 + e^-x), or e^x / (1 + e^x) where x is negative. x is no NaN.
fn ratio<F: Wide>(b: &mut Builder, x: Value<F>) -> (Two<F>, Value<I32>) {
    let (size, end) = (b.absf(x), b.float(x.ty(), SMALLEST));
    let down = b.negf(size);
    let inside = b.cmpf(CmpF::Ogt, down, end);
    let down = b.select(inside, down, end);
    let e = exponential(b, down);
    let (one, zero) = (b.float(x.ty(), 1.0), b.float(x.ty(), 0.0));
    let m = e.power(b, 1);
    let (uh, ul) = (b.mulf(e.u.hi, m), b.mulf(e.u.lo, m));
    let d = ordered(b, one, uh).and(b, ul);
    let positive = b.cmpf(CmpF::Oge, x, zero);
    let n = Two { hi: b.select(positive, one, e.u.hi), lo: b.select(positive, zero, e.u.lo) };
    let none = b.int(I32, 0);
    (n.over(b, d), b.select(positive, none, e.k))
}

/// 1 / (1 + e^-x).
pub(super) fn sigmoid<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "sigmoid", x, |b, x| {
        let none = b.cmpf(CmpF::Uno, x, x);
        guarded(
            b,
            none,
            |_| x,
            |b| {
                let (q, k) = ratio(b, x);
                let q = q.joined(b);
                scaled(b, q, k)
            },
        )
    })
}

/// x / (1 + e^-x).
pub(super) fn silu<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "silu", x, |b, x| {
        let (end, zero) = (b.float(x.ty(), SMALLEST), b.float(x.ty(), 0.0));
        let size = b.absf(x);
        let down = b.negf(size);
        let inside = b.cmpf(CmpF::Ogt, down, end);
        guarded(
            b,
            inside,
            |b| {
                let (q, k) = ratio(b, x);
                let (hi, lo) = (b.mulf(x, q.hi), b.mulf(x, q.lo));
                let y = b.addf(hi, lo);
                scaled(b, y, k)
            },
            // x times 1 or times 0; minus infinity times 0 is NaN.
            |b| {
                let below = b.cmpf(CmpF::Olt, x, zero);
                let one = b.float(x.ty(), 1.0);
                let limit = b.select(below, zero, one);
                b.mulf(x, limit)
            },
        )
    })
}

/// ln(1 + x): the logarithm of the rounded sum, and what the rounding has cut off.
pub(super) fn log1p<F: Wide>(b: &mut Builder, x: Value<F>) -> Value<F> {
    shared(b, "log1p", x, |b, x| {
        let ty = x.ty();
        let (one, zero) = (b.float(ty, 1.0), b.float(ty, 0.0));
        let small = tiny(b, x, F::FORMAT.precision() / 2 + 2);
        guarded(
            b,
            small,
            |b| {
                // x − x²/2
                let half = b.float(ty, 0.5);
                let t = b.mulf(x, half);
                let t = b.mulf(t, x);
                b.subf(x, t)
            },
            |b| {
                let s = sum(b, one, x);
                let l = libm(b, "log", &[s.hi]);
                // Not where the sum is zero or infinite.
                let any = b.cmpf(CmpF::One, s.lo, zero);
                let more = b.divf(s.lo, s.hi);
                let more = b.select(any, more, zero);
                b.addf(l, more)
            },
        )
    })
}
