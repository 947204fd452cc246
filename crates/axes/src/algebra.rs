//! [`Algebra`] for buffers of f32 and f64: each operation in a `try_` form that returns an error and a trait form
//! that panics with the same text.
//!
//! The loops are never inlined: their callers are the thin typed layer, and one copy of them is enough.

use crate::buffer::Buffer;
use crate::dims::Dims;
use crate::dtype::Real;
use crate::error::{AxesError, expect};
use crate::loops;
use crate::storage::{Algebra, Binary, Reduce, Unary};

impl<T: Real> Buffer<T> {
    /// Applies `op` to each pair of elements.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`] or [`AxesError::Rank`] where the shapes differ.
    #[inline(never)]
    pub fn try_binary(&self, op: Binary, other: &Self) -> Result<Self, AxesError> {
        self.dims().check_equal(op.name(), &[], other.dims())?;
        let pairs = self.as_slice().iter().zip(other.as_slice());
        Ok(Self::new_unchecked(*self.dims(), pairs.map(|(&a, &b)| loops::binary(op, a, b)).collect()))
    }

    /// Sums the products along `axis` of `self` and `other_axis` of `other`; the result has self's remaining axes,
    /// then other's.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`] where the two axes differ in size, [`AxesError::NoSuchAxis`], and
    /// [`AxesError::RankLimit`] where too many axes remain.
    #[inline(never)]
    pub fn try_contract(&self, axis: usize, other: &Self, other_axis: usize) -> Result<Self, AxesError> {
        const OP: &str = "contract";
        let (left, right) = (self.dims(), other.dims());
        let rest = (left.without(OP, axis)?, right.without(OP, other_axis)?);
        if left[axis] != right[other_axis] {
            let (expected, found) = (left[axis], right[other_axis]);
            return Err(AxesError::SizeMismatch { op: OP, axis: format!("#{axis}"), expected, found });
        }
        let dims = Dims::collect(OP, rest.0.iter().chain(rest.1.iter()).copied())?;
        let mut out = vec![T::ZERO; dims.elements(OP)?];
        loops::contract(
            self.as_slice(),
            other.as_slice(),
            &mut out,
            [left.span(0..axis), left[axis], left.span(axis + 1..left.len())],
            [right.span(0..other_axis), right.span(other_axis + 1..right.len())],
        );
        Ok(Self::new_unchecked(dims, out))
    }

    /// Reduces along `axis`, which is removed. Sums and means accumulate in f64.
    ///
    /// # Errors
    /// [`AxesError::NoSuchAxis`].
    #[inline(never)]
    pub fn try_reduce(&self, axis: usize, op: Reduce) -> Result<Self, AxesError> {
        let dims = self.dims().without(op.name(), axis)?;
        let all = self.dims();
        let shape = [all.span(0..axis), all[axis], all.span(axis + 1..all.len())];
        Ok(Self::new_unchecked(dims, loops::reduce(op, self.as_slice(), shape)))
    }

    /// Reorders the axes: axis `i` of the result is axis `perm[i]` of `self`.
    ///
    /// # Errors
    /// [`AxesError::Positions`] where `perm` is not a permutation of the axes.
    #[inline(never)]
    pub fn try_permute(&self, perm: &[usize]) -> Result<Self, AxesError> {
        const OP: &str = "permute";
        if perm.len() != self.dims().len() || !distinct_below(perm, self.dims().len()) {
            let expected = "a permutation of the axes";
            return Err(AxesError::Positions { op: OP, expected, found: perm.to_vec() });
        }
        let strides = loops::strides(self.dims());
        let strides: Vec<usize> = perm.iter().map(|&axis| strides[axis]).collect();
        let dims = Dims::collect(OP, perm.iter().map(|&axis| self.dims()[axis]))?;
        Ok(Self::new_unchecked(dims, loops::gather(self.as_slice(), &dims, &strides)))
    }

    /// Repeats `self` along new axes so that it gets the shape of `like`; axis `i` becomes axis `map[i]` of `like`.
    ///
    /// # Errors
    /// [`AxesError::Positions`] where `map` does not give each axis a different axis of `like`,
    /// [`AxesError::SizeMismatch`] where a shared axis differs in size.
    #[inline(never)]
    pub fn try_broadcast(&self, like: &Self, map: &[usize]) -> Result<Self, AxesError> {
        const OP: &str = "broadcast";
        let (dims, target) = (self.dims(), like.dims());
        if map.len() != dims.len() || !distinct_below(map, target.len()) {
            let expected = "one axis of the target for each axis of the operand";
            return Err(AxesError::Positions { op: OP, expected, found: map.to_vec() });
        }
        let own = loops::strides(dims);
        let mut strides = vec![0; target.len()];
        for (axis, &to) in map.iter().enumerate() {
            if dims[axis] != target[to] {
                let (expected, found) = (dims[axis], target[to]);
                return Err(AxesError::SizeMismatch { op: OP, axis: format!("#{to}"), expected, found });
            }
            strides[to] = own[axis];
        }
        Ok(Self::new_unchecked(*target, loops::gather(self.as_slice(), target, &strides)))
    }
}

fn distinct_below(positions: &[usize], limit: usize) -> bool {
    positions.iter().enumerate().all(|(i, &p)| p < limit && !positions[..i].contains(&p))
}

impl<T: Real> Algebra for Buffer<T> {
    #[inline(never)]
    fn unary(&self, op: Unary) -> Self {
        Self::new_unchecked(*self.dims(), self.as_slice().iter().map(|&x| loops::unary(op, x)).collect())
    }

    #[track_caller]
    fn binary(&self, op: Binary, other: &Self) -> Self {
        expect(self.try_binary(op, other))
    }

    #[inline(never)]
    fn affine(&self, scale: f64, offset: f64) -> Self {
        let (scale, offset) = (T::from_f64(scale), T::from_f64(offset));
        Self::new_unchecked(*self.dims(), self.as_slice().iter().map(|&x| x * scale + offset).collect())
    }

    #[track_caller]
    fn contract(&self, axis: usize, other: &Self, other_axis: usize) -> Self {
        expect(self.try_contract(axis, other, other_axis))
    }

    #[track_caller]
    fn reduce(&self, axis: usize, op: Reduce) -> Self {
        expect(self.try_reduce(axis, op))
    }

    #[track_caller]
    fn permute(&self, perm: &[usize]) -> Self {
        expect(self.try_permute(perm))
    }

    #[track_caller]
    fn broadcast(&self, like: &Self, map: &[usize]) -> Self {
        expect(self.try_broadcast(like, map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(sizes: &[usize]) -> Buffer<f64> {
        let n = sizes.iter().product::<usize>();
        Buffer::new(sizes, (0..n).map(|i| i as f64).collect()).unwrap()
    }

    #[test]
    fn contraction_over_any_pair_of_axes() {
        // a is (2, 3, 2), b is (2, 3): out[p, q, r] = Σₖ a[p, k, q] b[r, k].
        let (a, b) = (buffer(&[2, 3, 2]), buffer(&[2, 3]));
        let out = a.contract(1, &b, 1);
        assert_eq!(out.dims()[..], [2, 2, 2]);
        for (p, q, r) in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)] {
            let expected: f64 =
                (0..3).map(|k| a.as_slice()[(p * 3 + k) * 2 + q] * b.as_slice()[r * 3 + k]).sum();
            assert_eq!(out.as_slice()[(p * 2 + q) * 2 + r], expected);
        }
        let scalar = buffer(&[3]).contract(0, &buffer(&[3]), 0);
        assert_eq!((scalar.dims().len(), scalar.as_slice()), (0, &[5.0][..]));
    }

    #[test]
    fn reductions_remove_the_axis() {
        let a = buffer(&[2, 3]);
        assert_eq!(a.reduce(0, Reduce::Sum).as_slice(), [3.0, 5.0, 7.0]);
        assert_eq!(a.reduce(1, Reduce::Mean).as_slice(), [1.0, 4.0]);
        assert_eq!(a.reduce(1, Reduce::Max).as_slice(), [2.0, 5.0]);
        assert_eq!(a.reduce(1, Reduce::Min).as_slice(), [0.0, 3.0]);
        let empty = buffer(&[2, 0]);
        assert_eq!(empty.reduce(1, Reduce::Sum).as_slice(), [0.0, 0.0]);
        assert_eq!(empty.reduce(1, Reduce::Max).as_slice(), [f64::NEG_INFINITY; 2]);
        assert!(empty.reduce(1, Reduce::Mean).as_slice()[0].is_nan());
    }

    #[test]
    fn sums_of_f32_accumulate_in_f64() {
        // Sequential f32 addition stops growing at 2²⁴.
        let ones = Buffer::new(&[(1 << 24) + 2], vec![1.0f32; (1 << 24) + 2]).unwrap();
        assert_eq!(ones.reduce(0, Reduce::Sum).as_slice(), [16_777_218.0]);
    }

    #[test]
    fn permutation_and_broadcast_place_each_element() {
        let a = buffer(&[2, 3]);
        let t = a.permute(&[1, 0]);
        assert_eq!((t.dims()[..].to_vec(), t.as_slice()), (vec![3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..]));
        let cube = buffer(&[2, 3, 4]).permute(&[2, 0, 1]);
        assert_eq!((&cube.dims()[..], cube.as_slice()[7]), (&[4, 2, 3][..], 5.0));
        let bias = buffer(&[3]).broadcast(&a, &[1]);
        assert_eq!(bias.as_slice(), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        let rows = buffer(&[2]).broadcast(&a, &[0]);
        assert_eq!(rows.as_slice(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(a.broadcast(&t, &[1, 0]), t);
    }

    #[test]
    fn elementwise_functions_at_their_corners() {
        let x = Buffer::new(&[4], vec![-2.0f32, 0.0, 2.0, f32::NAN]).unwrap();
        let at = |op| x.unary(op).into_vec();
        assert_eq!(at(Unary::Sign)[..3], [-1.0, 0.0, 1.0]);
        assert_eq!(at(Unary::Relu)[..3], [0.0, 0.0, 2.0]);
        for op in [Unary::Sign, Unary::Relu, Unary::Sigmoid, Unary::Silu, Unary::Abs] {
            assert!(at(op)[3].is_nan(), "{} hides NaN", op.name());
        }
        let wide = Buffer::new(&[2], vec![-1000.0f32, 1000.0]).unwrap();
        assert_eq!(wide.unary(Unary::Sigmoid).as_slice(), [0.0, 1.0]);
        assert_eq!(wide.unary(Unary::Tanh).as_slice(), [-1.0, 1.0]);
        let y = Buffer::new(&[4], vec![1.0, f32::NAN, 1.0, 1.0]).unwrap();
        for op in [Binary::Max, Binary::Min] {
            let z = x.binary(op, &y).into_vec();
            assert!(z[1].is_nan() && z[3].is_nan(), "{} hides NaN", op.name());
        }
    }

    #[test]
    fn errors_name_operation_and_sizes() {
        let error = buffer(&[2, 3]).try_contract(1, &buffer(&[2, 2]), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "contract: axis `#1`: expected size 3 (left operand), found 2 (right operand)"
        );
        assert!(matches!(
            buffer(&[2]).try_contract(1, &buffer(&[2]), 0),
            Err(AxesError::NoSuchAxis { axis: 1, rank: 1, .. })
        ));
        assert!(matches!(buffer(&[2, 2]).try_permute(&[0, 0]), Err(AxesError::Positions { .. })));
        assert!(matches!(
            buffer(&[2]).try_broadcast(&buffer(&[3]), &[0]),
            Err(AxesError::SizeMismatch { .. })
        ));
    }

    #[test]
    #[should_panic = "add: axis `#0`: expected size 2 (left operand), found 3 (right operand)"]
    fn the_panicking_form_has_the_text_of_the_error() {
        buffer(&[2]).binary(Binary::Add, &buffer(&[3]));
    }
}
