//! Statistics, norms and cumulative operations along axes.

use crate::attrs;
use crate::dim::Dim;
use crate::op::Op;
use crate::var::Var;
use axes::DType;

impl Var {
    /// The value repeated along the axes that a reduction of `like` over `axes` removed.
    #[track_caller]
    pub fn spread(&self, like: &Var, axes: &[usize]) -> Var {
        let shape = like.shape();
        let map: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        self.broadcast(&shape, &map)
    }
    /// The value with axes of size one where a reduction over `axes` removed them.
    #[track_caller]
    pub fn keep_axes(&self, axes: &[usize]) -> Var {
        let mut shape = self.shape();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        sorted.into_iter().for_each(|a| shape.insert(a.min(shape.len()), Dim::from(1)));
        self.reshape(&shape)
    }
    /// How many elements of this value fold into one when `axes` are reduced, as a number of its dtype.
    #[track_caller]
    fn count(&self, axes: &[usize]) -> Var {
        let shape = self.shape();
        let n: Dim = axes.iter().filter_map(|a| shape.get(*a)).fold(Dim::from(1), |n, d| &n * d);
        self.cx.size_of(&n, self.dtype())
    }
    /// Mean over axes, which disappear.
    #[track_caller]
    pub fn mean(&self, axes: &[usize]) -> Var {
        self.sum(axes) / self.count(axes)
    }
    /// Σ (x - mean)² / (n - `less`) over axes, which disappear: `less` is 1 for the unbiased estimate, 0 for the mean
    /// square.
    #[track_caller]
    pub fn variance(&self, axes: &[usize], less: usize) -> Var {
        let centred = self - &self.mean(axes).spread(self, axes);
        centred.square().sum(axes) / (self.count(axes) - less as f64)
    }
    /// The root of [`Var::variance`]; where all elements are equal its derivative is 0.
    #[track_caller]
    pub fn std(&self, axes: &[usize], less: usize) -> Var {
        self.variance(axes, less).sqrt_or_zero()
    }
    /// √Σ x² over axes, which disappear; 0 at the origin, where its derivative is 0.
    #[track_caller]
    pub fn norm(&self, axes: &[usize]) -> Var {
        self.square().sum(axes).sqrt_or_zero()
    }
    /// Σ |x| over axes, which disappear.
    #[track_caller]
    pub fn norm1(&self, axes: &[usize]) -> Var {
        self.abs().sum(axes)
    }
    /// ln Σ e^x over axes, which disappear, without overflow.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[usize]) -> Var {
        let peak = self.max_over(axes).stop_gradient();
        // The peak of nothing but -∞ is not subtracted: -∞ - -∞ is not a number.
        let peak = peak.equal(&peak.full_like(f64::NEG_INFINITY)).select(&peak.full_like(0.0), &peak);
        (self - &peak.spread(self, axes)).exp().sum(axes).log() + peak
    }
    /// e^x / Σ e^x along axes.
    #[track_caller]
    pub fn softmax(&self, axes: &[usize]) -> Var {
        let e = (self - &self.max_over(axes).stop_gradient().spread(self, axes)).exp();
        let total = e.sum(axes).spread(self, axes);
        e / total
    }
    /// The logarithm of [`Var::softmax`], without underflow.
    #[track_caller]
    pub fn log_softmax(&self, axes: &[usize]) -> Var {
        let centred = self - &self.max_over(axes).stop_gradient().spread(self, axes);
        &centred - &centred.exp().sum(axes).log().spread(self, axes)
    }
    /// Position of the (first) minimum along an axis, i64.
    #[track_caller]
    pub fn argmin(&self, axis: usize) -> Var {
        match self.dtype().is_float() {
            true => (-self).argmax(axis),
            false => (-self.convert(DType::I64)).argmax(axis),
        }
    }
    /// Product over axes, which disappear. Its derivative holds at zeros too.
    #[track_caller]
    pub fn product(&self, axes: &[usize]) -> Var {
        // One axis after another: the last of the running products.
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        sorted.into_iter().rev().fold(self.clone(), |x, axis| {
            let mut shape = x.shape();
            if axis >= shape.len() {
                return x.refuse("product", format!("axis {axis} of {}", x.ty()));
            }
            let n = shape.remove(axis);
            match n.fixed() {
                Some(0) => x.cx.full(&crate::Type { dtype: x.dtype(), shape }, 1.0),
                _ => x.cumulative_product(axis).slice_axis(axis, &n - &Dim::from(1), n).reshape(&shape),
            }
        })
    }
    /// Running sums along an axis: element i is the sum of the elements up to i.
    #[track_caller]
    pub fn cumulative_sum(&self, axis: usize) -> Var {
        self.recurrence(axis, |x, start| x.full_like(1.0).linear_scan(x, &start.full_like(0.0), false))
    }
    /// Running products along an axis: element i is the product of the elements up to i.
    #[track_caller]
    pub fn cumulative_product(&self, axis: usize) -> Var {
        self.recurrence(axis, |x, start| x.linear_scan(&x.full_like(0.0), &start.full_like(1.0), false))
    }
    /// `f` on this value laid out as (before, along, after) the axis, and on its first slice (before, after).
    #[track_caller]
    fn recurrence(&self, axis: usize, f: impl Fn(&Var, &Var) -> Var) -> Var {
        let shape = self.shape();
        if axis >= shape.len() {
            return self.refuse("cumulative", format!("axis {axis} of {}", self.ty()));
        }
        let fold = |d: &[Dim]| d.iter().fold(Dim::from(1), |n, d| &n * d);
        let (before, after) = (fold(&shape[..axis]), fold(&shape[axis + 1..]));
        let x = self.reshape(&[before.clone(), shape[axis].clone(), after.clone()]);
        let start = self.cx.full(&crate::Type { dtype: self.dtype(), shape: vec![before, after] }, 0.0);
        f(&x, &start).reshape(&shape)
    }
    /// Running maxima along an axis; the derivative is that of the element taken, the first at a tie.
    #[track_caller]
    pub fn cumulative_max(&self, axis: usize) -> Var {
        self.take_along(&self.cumulative_argmax(axis), axis)
    }
    /// Running minima along an axis; the derivative is that of the element taken, the first at a tie.
    #[track_caller]
    pub fn cumulative_min(&self, axis: usize) -> Var {
        self.take_along(&(-self).cumulative_argmax(axis), axis)
    }
    /// For each element the position along the axis of the (first) largest element up to it, i64.
    #[track_caller]
    pub fn cumulative_argmax(&self, axis: usize) -> Var {
        self.cx.push1(Op::CumulativeArgMax, attrs! { axis: Int(axis as i64) }, &[self])
    }
    /// √x with derivative 0 where x is 0.
    #[track_caller]
    pub fn sqrt_or_zero(&self) -> Var {
        let zero = self.full_like(0.0);
        let none = self.equal(&zero);
        none.select(&zero, &none.select(&self.full_like(1.0), self).sqrt())
    }
}
