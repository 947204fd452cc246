//! Sums of two numbers of one format: what a function needs inside to be right in its last place.
//!
//! The sum without error is Knuth's, the product without error Dekker's (1971) with Veltkamp's halves, since neither format
//! has a fused product that is fast. Both hold in any binary format as long as nothing over- or underflows.

use super::format::Wide;
use crate::ir::{Builder, Value};

/// `hi` + `lo`, where `lo` is at most half a unit in the last place of `hi`.
#[derive(Clone, Copy)]
pub(super) struct Two<F> {
    pub(super) hi: Value<F>,
    pub(super) lo: Value<F>,
}

impl<F: Wide> Two<F> {
    /// A number alone.
    pub(super) fn of(b: &mut Builder, hi: Value<F>) -> Two<F> {
        Two { hi, lo: b.float(hi.ty(), 0.0) }
    }

    /// The nearest number.
    pub(super) fn joined(self, b: &mut Builder) -> Value<F> {
        b.addf(self.hi, self.lo)
    }

    /// With a number added to the lower half.
    pub(super) fn and(self, b: &mut Builder, more: Value<F>) -> Two<F> {
        Two { hi: self.hi, lo: b.addf(self.lo, more) }
    }

    /// x + y, with an error of a few units in the last place of the lower half, where |x| is not far below |y|.
    pub(super) fn plus(self, b: &mut Builder, y: Two<F>) -> Two<F> {
        let s = sum(b, self.hi, y.hi).and(b, self.lo).and(b, y.lo);
        ordered(b, s.hi, s.lo)
    }

    /// x · y, with an error of a few units in the last place of the lower half.
    pub(super) fn times(self, b: &mut Builder, y: Two<F>) -> Two<F> {
        let p = product(b, self.hi, y.hi);
        let (left, right) = (b.mulf(self.hi, y.lo), b.mulf(self.lo, y.hi));
        let more = b.addf(left, right);
        let p = p.and(b, more);
        ordered(b, p.hi, p.lo)
    }

    /// n / d, with an error of a few units in the last place of the lower half.
    pub(super) fn over(self, b: &mut Builder, d: Two<F>) -> Two<F> {
        let q = b.divf(self.hi, d.hi);
        let p = product(b, q, d.hi);
        let rest = b.subf(self.hi, p.hi);
        let rest = b.subf(rest, p.lo);
        let rest = b.addf(rest, self.lo);
        let low = b.mulf(q, d.lo);
        let rest = b.subf(rest, low);
        let more = b.divf(rest, d.hi);
        ordered(b, q, more)
    }
}

/// x + y.
pub(super) fn sum<F: Wide>(b: &mut Builder, x: Value<F>, y: Value<F>) -> Two<F> {
    let hi = b.addf(x, y);
    let t = b.subf(hi, x);
    let rest = b.subf(hi, t);
    let left = b.subf(x, rest);
    let right = b.subf(y, t);
    Two { hi, lo: b.addf(left, right) }
}

/// x + y where |x| ≥ |y|.
pub(super) fn ordered<F: Wide>(b: &mut Builder, x: Value<F>, y: Value<F>) -> Two<F> {
    let hi = b.addf(x, y);
    let t = b.subf(hi, x);
    Two { hi, lo: b.subf(y, t) }
}

/// A number cut in two of half its bits.
fn halves<F: Wide>(b: &mut Builder, x: Value<F>) -> (Value<F>, Value<F>) {
    let half = F::FORMAT.precision().div_ceil(2);
    let splitter = b.float(x.ty(), 2f64.powi(half as i32) + 1.0);
    let c = b.mulf(splitter, x);
    let d = b.subf(c, x);
    let hi = b.subf(c, d);
    (hi, b.subf(x, hi))
}

/// x · y.
pub(super) fn product<F: Wide>(b: &mut Builder, x: Value<F>, y: Value<F>) -> Two<F> {
    let hi = b.mulf(x, y);
    let ((xh, xl), (yh, yl)) = (halves(b, x), halves(b, y));
    let hh = b.mulf(xh, yh);
    let e = b.subf(hh, hi);
    let hl = b.mulf(xh, yl);
    let e = b.addf(e, hl);
    let lh = b.mulf(xl, yh);
    let e = b.addf(e, lh);
    let ll = b.mulf(xl, yl);
    Two { hi, lo: b.addf(e, ll) }
}
