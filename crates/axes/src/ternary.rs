//! Ternary weight matrices: −1, 0 and +1 with one scale, so that a product needs additions and subtractions only.
//!
//! Quantisation is the absmean rule of BitNet b1.58 (Ma et al. 2024, arXiv:2402.17764), also used by the
//! MatMul-free language model (Zhu et al. 2024, arXiv:2406.02528): s = 1/max(mean|W|, 1e-5),
//! t = clamp(round_half_even(W s), −1, 1), and the weight that a trit stands for is t / s.

use std::fmt;
use std::marker::PhantomData;

use crate::axis::Axis;
use crate::buffer::{Buffer, Host, HostMut};
use crate::dims::{Dims, check_declared, named};
use crate::dtype::Real;
use crate::error::{AxesError, expect};
use crate::tensor::Tensor;
use crate::unit::{Unit, Unitless};

/// Something that holds trits in a known order: plain bytes here, packed layouts elsewhere.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hold trits",
    label = "not a trit storage",
    note = "`Vec<i8>`, `&[i8]` and the packed layouts hold trits"
)]
pub trait TritStorage {
    /// The number of trits.
    fn len(&self) -> usize;

    /// Trit `i`: −1, 0 or +1.
    ///
    /// # Panics
    /// If `i` is not less than [`len`](Self::len).
    fn trit(&self, i: usize) -> i8;

    /// Whether there are no trits.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks every trit; a packed layout may look for illegal codes instead.
    ///
    /// # Errors
    /// [`AxesError::IllegalTrit`] for the first illegal one.
    fn check(&self) -> Result<(), AxesError> {
        match (0..self.len()).map(|i| (i, self.trit(i))).find(|&(_, trit)| !(-1..=1).contains(&trit)) {
            Some((index, found)) => Err(AxesError::IllegalTrit { index, found }),
            None => Ok(()),
        }
    }
}

impl TritStorage for [i8] {
    #[inline]
    fn len(&self) -> usize {
        <[i8]>::len(self)
    }

    #[inline]
    fn trit(&self, i: usize) -> i8 {
        self[i]
    }
}

impl TritStorage for Vec<i8> {
    #[inline]
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[inline]
    fn trit(&self, i: usize) -> i8 {
        self[i]
    }
}

impl<S: TritStorage + ?Sized> TritStorage for &S {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }

    #[inline]
    fn trit(&self, i: usize) -> i8 {
        (**self).trit(i)
    }

    fn check(&self) -> Result<(), AxesError> {
        (**self).check()
    }
}

/// The absmean scale of `weights`: s = 1/max(mean|W|, 1e-5). The mean accumulates in f64.
pub fn absmean_scale(weights: &[f32]) -> f32 {
    let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
    // `max` also turns the NaN of an empty mean into the floor.
    1.0 / ((sum / weights.len() as f64) as f32).max(1e-5)
}

/// The trit of one weight: clamp(round_half_even(w s), −1, 1).
#[inline]
pub fn quantize(weight: f32, scale: f32) -> i8 {
    (weight * scale).round_ties_even().clamp(-1.0, 1.0) as i8
}

/// A matrix of trits from `In` to `Out` with one scale; out-major, row `o` holding the `In` trits of output `o`.
///
/// The weight is trit / [`scale`](Self::scale): the scale is the `s` of the quantiser. The multiplier that some
/// formats store is its reciprocal, [`scale_factor`](Self::scale_factor).
///
/// ```
/// use axes::{Tensor, TernaryMatrix, axes};
///
/// axes! { In = 3; Out = 2; }
///
/// let weights = TernaryMatrix::<In, Out>::new([2, 3], vec![1, 0, -1, 1, 1, 1], 2.0)?;
/// let x = Tensor::<(In,)>::vector(vec![5.0, 7.0, 1.0])?;
/// assert_eq!(weights.multiply_vector(&x).as_slice(), [2.0, 6.5]);
/// # Ok::<(), axes::AxesError>(())
/// ```
///
/// The direction is part of the type:
///
/// ```compile_fail,E0308
/// use axes::{Tensor, TernaryMatrix, axes};
/// axes! { In = 64; Out = 64; }
/// fn wrong(weights: &TernaryMatrix<Out, In>, x: &Tensor<(In,)>) {
///     weights.multiply_vector(x);
/// }
/// ```
pub struct TernaryMatrix<In, Out, S = Vec<i8>> {
    trits: S,
    scale: f32,
    inputs: usize,
    outputs: usize,
    axes: PhantomData<fn() -> (In, Out)>,
}

impl<In: Axis, Out: Axis, S: TritStorage> TernaryMatrix<In, Out, S> {
    /// A matrix of `[outputs, inputs]` trits.
    ///
    /// # Errors
    /// [`AxesError::DeclaredSize`] where an axis declares another size, [`AxesError::Length`] for another number of
    /// trits, [`AxesError::IllegalTrit`] for a value other than −1, 0 and 1, [`AxesError::IllegalScale`] for a scale
    /// that is not positive and finite.
    pub fn new([outputs, inputs]: [usize; 2], trits: S, scale: f32) -> Result<Self, AxesError> {
        const OP: &str = "ternary matrix";
        check_declared::<(Out, In)>(OP, &[outputs, inputs])?;
        let dims = Dims::of::<(Out, In)>(&[outputs, inputs]);
        let (expected, found) = (dims.elements(OP)?, trits.len());
        if expected != found {
            let axes = named(&[Out::NAME, In::NAME], &dims);
            return Err(AxesError::Length { op: OP, axes, expected, found });
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(AxesError::IllegalScale { found: scale });
        }
        trits.check()?;
        Ok(Self { trits, scale, inputs, outputs, axes: PhantomData })
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The scale `s`, by which sums are divided.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The multiplier 1/s of formats that store it so.
    pub fn scale_factor(&self) -> f32 {
        1.0 / self.scale
    }

    /// The trits, out-major.
    pub fn trits(&self) -> &S {
        &self.trits
    }

    /// The trit that takes `input` to `output`.
    ///
    /// # Panics
    /// If either is out of range.
    #[track_caller]
    pub fn trit(&self, output: usize, input: usize) -> i8 {
        assert!(output < self.outputs && input < self.inputs, "trit ({output}, {input}) is out of range");
        self.trits.trit(output * self.inputs + input)
    }

    /// Borrows the trits.
    pub fn view(&self) -> TernaryMatrix<In, Out, &S> {
        let Self { ref trits, scale, inputs, outputs, axes } = *self;
        TernaryMatrix { trits, scale, inputs, outputs, axes }
    }

    /// The weights that the trits stand for, t / s, out-major.
    pub fn dequantize(&self) -> Tensor<(Out, In)> {
        let data = (0..self.trits.len()).map(|i| f32::from(self.trits.trit(i)) / self.scale).collect();
        let dims = Dims::of::<(Out, In)>(&[self.outputs, self.inputs]);
        Tensor::from_storage_unchecked(Buffer::new_unchecked(dims, data))
    }

    /// Writes the product of each row of `x` (rows × inputs) into `y` (rows × outputs).
    ///
    /// Inputs with trit zero are skipped, so an infinity there does not spread as it would through 0 · ∞.
    #[inline]
    fn multiply_rows<T: Real>(&self, x: &[T], y: &mut [T], rows: usize) {
        let scale = T::from_f64(f64::from(self.scale));
        for row in 0..rows {
            let x = &x[row * self.inputs..][..self.inputs];
            let y = &mut y[row * self.outputs..][..self.outputs];
            for (o, y) in y.iter_mut().enumerate() {
                let mut sum = T::ZERO;
                for (i, &x) in x.iter().enumerate() {
                    match self.trits.trit(o * self.inputs + i) {
                        1 => sum = sum + x,
                        -1 => sum = sum - x,
                        _ => {}
                    }
                }
                *y = sum / scale;
            }
        }
    }

    #[inline]
    fn check_inputs(&self, op: &'static str, dims: &Dims) -> Result<(), AxesError> {
        // A declared size was checked when the matrix and the tensor were made.
        if In::SIZE.is_some() {
            return Ok(());
        }
        match dims.last() {
            Some(&found) if found != self.inputs => {
                let axis = In::NAME.to_owned();
                Err(AxesError::SizeMismatch { op, axis, expected: self.inputs, found })
            }
            _ => Ok(()),
        }
    }

    /// (In,) → (Out,): the additions and subtractions of each row, then one division by the scale.
    ///
    /// # Panics
    /// Where the run-time sizes of `In` differ, with the text of
    /// [`try_multiply_vector`](Self::try_multiply_vector).
    #[track_caller]
    pub fn multiply_vector<T: Real, U: Unit, H: Host<T>>(
        &self,
        x: &Tensor<(In,), T, U, H>,
    ) -> Tensor<(Out,), T, U> {
        expect(self.try_multiply_vector(x))
    }

    /// [`multiply_vector`](Self::multiply_vector) for sizes that may differ at run time.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`].
    pub fn try_multiply_vector<T: Real, U: Unit, H: Host<T>>(
        &self,
        x: &Tensor<(In,), T, U, H>,
    ) -> Result<Tensor<(Out,), T, U>, AxesError> {
        self.check_inputs("multiply_vector", x.storage().dims())?;
        let mut y = vec![T::ZERO; self.outputs];
        self.multiply_rows(x.as_slice(), &mut y, 1);
        let dims = Dims::of::<(Out,)>(&[self.outputs]);
        Ok(Tensor::from_storage_unchecked(Buffer::new_unchecked(dims, y)))
    }

    /// [`multiply_vector`](Self::multiply_vector) into given memory.
    ///
    /// # Panics
    /// Where run-time sizes differ.
    #[track_caller]
    #[inline]
    pub fn multiply_vector_into<T: Real, U: Unit, H: Host<T>, M: HostMut<T>>(
        &self,
        x: &Tensor<(In,), T, U, H>,
        y: &mut Tensor<(Out,), T, U, M>,
    ) {
        expect(self.check_inputs("multiply_vector", x.storage().dims()));
        if Out::SIZE.is_none() {
            let dims = Dims::of::<(Out,)>(&[self.outputs]);
            dims.expect_equal("multiply_vector", &[Out::NAME], y.storage().dims());
        }
        self.multiply_rows(x.as_slice(), y.as_mut_slice(), 1);
    }

    /// (B, In) → (B, Out): [`multiply_vector`](Self::multiply_vector) of each row.
    ///
    /// # Panics
    /// Where the run-time sizes of `In` differ, with the text of [`try_multiply_batch`](Self::try_multiply_batch).
    #[track_caller]
    pub fn multiply_batch<B: Axis, T: Real, U: Unit, H: Host<T>>(
        &self,
        x: &Tensor<(B, In), T, U, H>,
    ) -> Tensor<(B, Out), T, U> {
        expect(self.try_multiply_batch(x))
    }

    /// [`multiply_batch`](Self::multiply_batch) for sizes that may differ at run time.
    ///
    /// # Errors
    /// [`AxesError::SizeMismatch`]; [`AxesError::TooLarge`] where the result does not fit.
    pub fn try_multiply_batch<B: Axis, T: Real, U: Unit, H: Host<T>>(
        &self,
        x: &Tensor<(B, In), T, U, H>,
    ) -> Result<Tensor<(B, Out), T, U>, AxesError> {
        const OP: &str = "multiply_batch";
        self.check_inputs(OP, x.storage().dims())?;
        let rows = x.storage().dims()[0];
        let dims = Dims::of::<(B, Out)>(&[rows, self.outputs]);
        let mut y = vec![T::ZERO; dims.elements(OP)?];
        self.multiply_rows(x.as_slice(), &mut y, rows);
        Ok(Tensor::from_storage_unchecked(Buffer::new_unchecked(dims, y)))
    }

    /// Σ t · x of int8 activations, unscaled: the integer path. Exact for up to 2²⁴ inputs.
    ///
    /// # Panics
    /// Where the run-time sizes of `In` differ.
    #[track_caller]
    pub fn accumulate<H: Host<i8>>(&self, x: &Tensor<(In,), i8, Unitless, H>) -> Tensor<(Out,), i32> {
        expect(self.check_inputs("accumulate", x.storage().dims()));
        let row = |o: usize| -> i32 {
            let terms = x.as_slice().iter().enumerate();
            terms.map(|(i, &x)| i32::from(self.trits.trit(o * self.inputs + i)) * i32::from(x)).sum()
        };
        let dims = Dims::of::<(Out,)>(&[self.outputs]);
        Tensor::from_storage_unchecked(Buffer::new_unchecked(dims, (0..self.outputs).map(row).collect()))
    }
}

impl<In: Axis, Out: Axis> TernaryMatrix<In, Out> {
    /// Quantises out-major weights by the absmean rule.
    ///
    /// # Errors
    /// [`AxesError::NotFinite`] for an infinite weight or NaN.
    pub fn from_weights<H: Host<f32>>(
        weights: &Tensor<(Out, In), f32, Unitless, H>,
    ) -> Result<Self, AxesError> {
        let values = weights.as_slice();
        if let Some(index) = values.iter().position(|w| !w.is_finite()) {
            return Err(AxesError::NotFinite { op: "from_weights", index, found: values[index] });
        }
        let scale = absmean_scale(values);
        Self::new(weights.dims(), values.iter().map(|&w| quantize(w, scale)).collect(), scale)
    }
}

// Written out: derives would put bounds on the axes.
impl<In, Out, S: Clone> Clone for TernaryMatrix<In, Out, S> {
    fn clone(&self) -> Self {
        let Self { ref trits, scale, inputs, outputs, axes } = *self;
        Self { trits: trits.clone(), scale, inputs, outputs, axes }
    }
}

impl<In: Axis, Out: Axis, S> fmt::Debug for TernaryMatrix<In, Out, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scale, inputs, outputs, .. } = self;
        write!(f, "TernaryMatrix({} = {inputs} -> {} = {outputs}, scale {scale})", In::NAME, Out::NAME)
    }
}

#[cfg(test)]
mod tests;
