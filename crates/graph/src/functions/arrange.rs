//! Rearranging: joining along new axes, repeating, spacing out, parts of matrices.

use crate::attrs;
use crate::dim::Dim;
use crate::op::Op;
use crate::types::Type;
use crate::var::Var;
use axes::DType;

impl Var {
    /// With an axis of size one before axis `at`.
    #[track_caller]
    pub fn unsqueeze(&self, at: usize) -> Var {
        let mut shape = self.shape();
        if at > shape.len() {
            return self.refuse("unsqueeze", format!("no axis can stand before axis {at} of {}", self.ty()));
        }
        shape.insert(at, Dim::from(1));
        self.reshape(&shape)
    }
    /// Without an axis of size one.
    #[track_caller]
    pub fn squeeze(&self, axis: usize) -> Var {
        let mut shape = self.shape();
        if shape.get(axis).and_then(Dim::fixed) != Some(1) {
            return self.refuse("squeeze", format!("axis {axis} of {} does not have size 1", self.ty()));
        }
        shape.remove(axis);
        self.reshape(&shape)
    }
    /// Values of one type joined along a new axis.
    #[track_caller]
    pub fn stack(parts: &[&Var], axis: usize) -> Var {
        let parts: Vec<Var> = parts.iter().map(|p| p.unsqueeze(axis)).collect();
        Var::concatenate(&parts.iter().collect::<Vec<_>>(), axis)
    }
    /// The slices along an axis, which disappears.
    #[track_caller]
    pub fn unstack(&self, axis: usize) -> Vec<Var> {
        let mut shape = self.shape();
        let Some(n) = shape.get(axis).and_then(Dim::fixed) else {
            return vec![self.refuse("unstack", format!("axis {axis} of {} has no fixed size", self.ty()))];
        };
        shape.remove(axis);
        (0..n).map(|i| self.slice_axis(axis, i, i + 1).reshape(&shape)).collect()
    }
    /// Parts of these sizes along an axis.
    #[track_caller]
    pub fn split(&self, sizes: &[usize], axis: usize) -> Vec<Var> {
        let mut at = 0;
        sizes
            .iter()
            .map(|n| {
                at += n;
                self.slice_axis(axis, at - n, at)
            })
            .collect()
    }
    /// The order of elements turned round along each of the axes.
    #[track_caller]
    pub fn flip(&self, axes: &[usize]) -> Var {
        axes.iter().fold(self.clone(), |x, a| x.reverse(*a))
    }
    /// The whole value `times` times in a row along an axis.
    #[track_caller]
    pub fn tile(&self, times: usize, axis: usize) -> Var {
        self.copies(times, axis, 0)
    }
    /// Each element `times` times in a row along an axis.
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: usize) -> Var {
        self.copies(times, axis, 1)
    }
    #[track_caller]
    fn copies(&self, times: usize, axis: usize, after: usize) -> Var {
        let mut shape = self.shape();
        if axis >= shape.len() {
            return self.refuse("repeat", format!("axis {axis} of {}", self.ty()));
        }
        let long = &shape[axis] * &Dim::from(times);
        shape.insert(axis + after, Dim::from(times));
        let map: Vec<usize> = (0..shape.len()).filter(|a| *a != axis + after).collect();
        let wide = self.broadcast(&shape, &map);
        shape.remove(axis + after);
        shape[axis] = long;
        wide.reshape(&shape)
    }
    /// Rolled along an axis: element i goes to i + `by`, around the end.
    #[track_caller]
    pub fn roll(&self, by: usize, axis: usize) -> Var {
        let Some(n) = self.shape().get(axis).and_then(Dim::fixed).filter(|n| *n > 0) else {
            return self.refuse("roll", format!("axis {axis} of {} has no fixed size above 0", self.ty()));
        };
        let cut = n - by % n;
        Var::concatenate(&[&self.slice_axis(axis, cut, n), &self.slice_axis(axis, 0, cut)], axis)
    }
    /// With `step - 1` zeros between neighbours along an axis.
    #[track_caller]
    pub fn dilate(&self, step: usize, axis: usize) -> Var {
        let mut shape = self.shape();
        if axis >= shape.len() || step == 0 {
            return self.refuse("dilate", format!("step {step} along axis {axis} of {}", self.ty()));
        }
        if step == 1 || shape[axis].fixed() == Some(0) {
            return self.clone();
        }
        let (n, rank) = (shape[axis].clone(), shape.len());
        shape.insert(axis + 1, Dim::from(1));
        let mut high = vec![Dim::from(0); rank + 1];
        high[axis + 1] = Dim::from(step - 1);
        let spaced = self.reshape(&shape).pad(&vec![Dim::from(0); rank + 1], &high, 0.0);
        shape.remove(axis + 1);
        shape[axis] = &n * &Dim::from(step);
        let end = &shape[axis] - &Dim::from(step - 1);
        spaced.reshape(&shape).slice_axis(axis, 0, end)
    }
    /// Every `step`-th element along an axis, beginning with the first: what [`Var::dilate`] spaced out.
    #[track_caller]
    pub fn undilate(&self, step: usize, axis: usize) -> Var {
        let mut shape = self.shape();
        let Some(n) = shape.get(axis).and_then(Dim::fixed).filter(|_| step > 0) else {
            let problem =
                format!("step {step} along axis {axis} of {}, which must have a fixed size", self.ty());
            return self.refuse("undilate", problem);
        };
        if step == 1 {
            return self.clone();
        }
        let (count, rank) = (n.div_ceil(step), shape.len());
        let mut high = vec![Dim::from(0); rank];
        high[axis] = Dim::from(count * step - n);
        let whole = self.pad(&vec![Dim::from(0); rank], &high, 0.0);
        shape[axis] = Dim::from(count);
        shape.insert(axis + 1, Dim::from(step));
        let first = whole.reshape(&shape).slice_axis(axis + 1, 0, 1);
        shape.remove(axis + 1);
        first.reshape(&shape)
    }
    /// This value with `part` added to the elements that begin at `start`.
    #[track_caller]
    pub fn add_slice(&self, start: &[usize], part: &Var) -> Var {
        let low: Vec<Dim> = start.iter().map(|s| Dim::from(*s)).collect();
        if low.len() != self.ty().rank() || part.ty().rank() != low.len() {
            return self.refuse("add_slice", format!("start {start:?} of {} in {}", part.ty(), self.ty()));
        }
        let ends = self.shape().into_iter().zip(part.shape()).zip(&low);
        let high: Vec<Dim> = ends.map(|((n, m), l)| &(&n - l) - &m).collect();
        self + &part.pad(&low, &high, 0.0)
    }

    /// The last two axes exchanged.
    #[track_caller]
    pub fn t(&self) -> Var {
        let rank = self.ty().rank();
        if rank < 2 {
            return self.refuse("t", format!("{} is no matrix", self.ty()));
        }
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        self.transpose(&perm)
    }
    /// 1 where the entry (i, j) of the last two axes fulfils `how` (`ge` is the lower triangle, `eq` the diagonal), else 0,
    /// in the shape of this value.
    #[track_caller]
    pub(crate) fn entries(&self, how: &str) -> Var {
        let shape = self.shape();
        let rank = shape.len() as i64;
        let ids = |axis: i64| {
            let attrs = attrs! { dtype: DType(DType::I64), dims: Dims(shape[shape.len() - 2..].to_vec()), axis: Int(axis) };
            self.cx.push1(Op::Iota, attrs, &[])
        };
        let holds = self.cx.push1(Op::Compare, attrs! { how: Str(how.to_string()) }, &[&ids(0), &ids(1)]);
        let map = [rank as usize - 2, rank as usize - 1];
        holds.broadcast(&shape, &map)
    }
    #[track_caller]
    fn masked(&self, op: &'static str, how: &str) -> Var {
        match self.ty().rank() {
            0 | 1 => self.refuse(op, format!("{} is no matrix", self.ty())),
            _ => self.entries(how).select(self, &self.full_like(0.0)),
        }
    }
    /// The lower triangle of the last two axes, diagonal included; zero above.
    #[track_caller]
    pub fn tril(&self) -> Var {
        self.masked("tril", "ge")
    }
    /// The upper triangle of the last two axes, diagonal included; zero below.
    #[track_caller]
    pub fn triu(&self) -> Var {
        self.masked("triu", "le")
    }
    /// The diagonal of the last two axes.
    #[track_caller]
    pub fn diagonal(&self) -> Var {
        let shape = self.shape();
        let rank = shape.len();
        match rank {
            0 | 1 => self.refuse("diagonal", format!("{} is no matrix", self.ty())),
            _ if shape[rank - 2] != shape[rank - 1] => {
                self.refuse("diagonal", format!("{} is not square", self.ty()))
            }
            _ => self.masked("diagonal", "eq").sum(&[rank - 1]),
        }
    }
    /// Square matrices with this value's last axis on the diagonal.
    #[track_caller]
    pub fn diagonal_matrix(&self) -> Var {
        match self.shape().last() {
            Some(n) => self.broadcast_last(n).masked("diagonal_matrix", "eq"),
            None => self.refuse("diagonal_matrix", format!("{} has no axis", self.ty())),
        }
    }
    /// The sum of the diagonal of the last two axes.
    #[track_caller]
    pub fn trace(&self) -> Var {
        self.diagonal().sum(&[self.ty().rank().saturating_sub(2)])
    }
}

impl crate::Cx {
    /// The identity matrix.
    #[track_caller]
    pub fn eye(&self, n: &Dim, dtype: DType) -> Var {
        let ones = self.full(&Type { dtype, shape: vec![n.clone()] }, 1.0);
        ones.diagonal_matrix()
    }
}
