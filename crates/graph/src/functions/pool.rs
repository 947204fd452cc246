//! Pools over the last axes.

use crate::dim::Dim;
use crate::ops::windows::Geometry;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

impl Var {
    /// Axes of the windows' elements in what [`Var::windows`] gives.
    fn window_axes(&self, g: &Geometry) -> Vec<usize> {
        let lead = self.ty().rank().saturating_sub(g.rank());
        (lead..lead + g.rank()).collect()
    }
    /// The elements around the last axes set to `value`, and the windows that need none around any more.
    #[track_caller]
    fn surrounded(&self, g: &Geometry, value: f64) -> (Var, Geometry) {
        let inside = Geometry { low: vec![0; g.rank()], high: vec![0; g.rank()], ..g.clone() };
        if g.low.iter().chain(&g.high).all(|n| *n == 0) || self.ty().rank() < g.rank() {
            return (self.clone(), inside);
        }
        let lead = vec![Dim::from(0); self.ty().rank() - g.rank()];
        let side =
            |n: &[usize]| lead.iter().cloned().chain(n.iter().map(|n| Dim::from(*n))).collect::<Vec<_>>();
        (self.pad(&side(&g.low), &side(&g.high), value), inside)
    }
    /// Σ over each window.
    #[track_caller]
    pub fn sum_pool(&self, g: &Geometry) -> Var {
        self.windows(g).sum(&self.window_axes(g))
    }
    /// The mean of each window; zeros around count where `around` is set.
    #[track_caller]
    pub fn avg_pool(&self, g: &Geometry, around: bool) -> Var {
        let sum = self.sum_pool(g);
        if around || g.low.iter().chain(&g.high).all(|n| *n == 0) {
            return sum / g.kernel.iter().product::<usize>() as f64;
        }
        let shape = self.shape();
        let space =
            Type { dtype: self.dtype(), shape: shape[shape.len().saturating_sub(g.rank())..].to_vec() };
        let counts = self.cx.full(&space, 1.0).sum_pool(g);
        let lead = shape.len().saturating_sub(g.rank());
        let counts = counts.broadcast(&sum.shape(), &(lead..shape.len()).collect::<Vec<_>>());
        sum / counts
    }
    /// The largest of each window; at a tie its derivative is the mean of theirs, as for [`Var::max_over`].
    #[track_caller]
    pub fn max_pool(&self, g: &Geometry) -> Var {
        let (x, inside) = self.surrounded(g, f64::NEG_INFINITY);
        x.windows(&inside).max_over(&self.window_axes(g))
    }
    /// The smallest of each window.
    #[track_caller]
    pub fn min_pool(&self, g: &Geometry) -> Var {
        -(-self).max_pool(g)
    }
    /// The largest of each window and where it stands, as row-major positions in the last axes, i64; the first at a tie.
    #[track_caller]
    pub fn max_pool_indices(&self, g: &Geometry) -> (Var, Var) {
        let shape = self.shape();
        let lead = shape.len().saturating_sub(g.rank());
        let fold = |d: &[Dim]| d.iter().fold(Dim::from(1), |n, d| &n * d);
        let (x, inside) = self.surrounded(g, f64::NEG_INFINITY);
        let laid = x.windows(&inside);
        let wide = laid.shape();
        let counts = wide[(lead + g.rank()).min(wide.len())..].to_vec();
        let flat = [wide[..lead].to_vec(), vec![fold(&wide[lead..lead + g.rank()])], counts.clone()].concat();
        let laid = laid.reshape(&flat);
        let best = laid.argmax(lead).unsqueeze(lead);
        let value = laid.take_along(&best, lead);
        // Where each window's elements stand, from positions in the space themselves.
        let space = Type { dtype: DType::I64, shape: vec![fold(&shape[lead..])] };
        let places = self.cx.iota(DType::I64, &space.shape).reshape(&shape[lead..]);
        let (places, inside) = places.surrounded(g, 0.0);
        let line: Vec<Dim> = flat[lead..].to_vec();
        let places = places.windows(&inside).reshape(&line);
        let places = places.broadcast(&flat, &(lead..flat.len()).collect::<Vec<_>>());
        let at = places.take_along(&best, lead);
        let out = [&wide[..lead], &counts[..]].concat();
        (value.reshape(&out), at.reshape(&out))
    }
    /// Zeros of `space` over the last axes, with each element put where `indices` (as [`Var::max_pool_indices`] gives them)
    /// says.
    #[track_caller]
    pub fn max_unpool(&self, indices: &Var, space: &[usize]) -> Var {
        let shape = self.shape();
        let lead = shape.len().saturating_sub(space.len());
        let fold = |d: &[Dim]| d.iter().fold(Dim::from(1), |n, d| &n * d);
        let flat = [shape[..lead].to_vec(), vec![fold(&shape[lead..])]].concat();
        let all = Dim::from(space.iter().product::<usize>());
        let y = indices.reshape(&flat).scatter_add_along(&self.reshape(&flat), lead, &all);
        let dims: Vec<Dim> =
            shape[..lead].iter().cloned().chain(space.iter().map(|n| Dim::from(*n))).collect();
        y.reshape(&dims)
    }
}
