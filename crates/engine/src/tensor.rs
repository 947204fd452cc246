//! Dense tensors on the host: aligned memory, a dtype and sizes.

use crate::arena::Arena;
use axes::DType;
use graph::{Array, Data, Scalar, Type};

/// A dense row-major tensor that the engine reads and writes.
///
/// ```
/// use axes::DType;
/// let t = engine::Tensor::from_f32([2, 2], &[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!((t.dtype(), t.f32()[3]), (DType::F32, 4.0));
/// ```
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Arena,
}

impl Tensor {
    /// Zeros.
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Tensor {
        let shape = shape.into();
        let bytes = shape.iter().product::<usize>() * premap::memory::element(dtype);
        Tensor { dtype, shape, data: Arena::new(bytes.max(1)) }
    }

    /// Zeros of a type whose sizes are fixed (a symbolic size counts as 0).
    pub fn of(ty: &Type) -> Tensor {
        Tensor::zeros(ty.dtype, ty.fixed_shape().unwrap_or_else(|| vec![0]))
    }

    /// Floats.
    pub fn from_f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Tensor {
        let mut t = Tensor::zeros(DType::F32, shape);
        t.f32_mut().copy_from_slice(values);
        t
    }

    /// Integers, such as token ids.
    pub fn from_i64(shape: impl Into<Vec<usize>>, values: &[i64]) -> Tensor {
        let mut t = Tensor::zeros(DType::I64, shape);
        t.i64_mut().copy_from_slice(values);
        t
    }

    /// Signed bytes: int8 activations or unpacked trits.
    pub fn from_i8(dtype: DType, shape: impl Into<Vec<usize>>, values: &[i8]) -> Tensor {
        let mut t = Tensor::zeros(dtype, shape);
        t.i8_mut().copy_from_slice(values);
        t
    }

    /// Elements as they lie in memory (little-endian; booleans and trits one byte each).
    ///
    /// # Panics
    /// When there are more or fewer bytes than the type has.
    pub fn from_bytes(dtype: DType, shape: impl Into<Vec<usize>>, bytes: &[u8]) -> Tensor {
        let mut t = Tensor::zeros(dtype, shape);
        t.bytes_mut().copy_from_slice(bytes);
        t
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype, self.shape.iter().copied())
    }

    /// Whether this is the type.
    pub(crate) fn is(&self, ty: &Type) -> bool {
        self.dtype == ty.dtype
            && self.shape.len() == ty.rank()
            && self.shape.iter().zip(&ty.shape).all(|(n, d)| d.fixed() == Some(*n))
    }

    fn expect(&self, ok: bool, wanted: &str) {
        assert!(ok, "the tensor holds {}, not {wanted}", self.dtype.name());
    }

    /// The elements as f32.
    ///
    /// # Panics
    /// When the dtype is another.
    pub fn f32(&self) -> &[f32] {
        self.expect(self.dtype == DType::F32, "f32");
        self.data.slice(0, self.len())
    }

    /// The elements as f32, to write.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        self.expect(self.dtype == DType::F32, "f32");
        let n = self.len();
        self.data.slice_mut(0, n)
    }

    /// The elements as i64.
    pub fn i64(&self) -> &[i64] {
        self.expect(self.dtype == DType::I64, "i64");
        self.data.slice(0, self.len())
    }

    /// The elements as i64, to write.
    pub fn i64_mut(&mut self) -> &mut [i64] {
        self.expect(self.dtype == DType::I64, "i64");
        let n = self.len();
        self.data.slice_mut(0, n)
    }

    /// The elements as i8 (int8 or trits).
    pub fn i8(&self) -> &[i8] {
        self.expect(matches!(self.dtype, DType::I8 | DType::Trit), "i8");
        self.data.slice(0, self.len())
    }

    /// The elements as i8, to write.
    pub fn i8_mut(&mut self) -> &mut [i8] {
        self.expect(matches!(self.dtype, DType::I8 | DType::Trit), "i8");
        let n = self.len();
        self.data.slice_mut(0, n)
    }

    pub(crate) fn pointer(&self) -> *const u8 {
        self.data.slice::<u8>(0, self.data.len()).as_ptr()
    }

    pub(crate) fn pointer_mut(&mut self) -> *mut u8 {
        let n = self.data.len();
        self.data.slice_mut::<u8>(0, n).as_mut_ptr()
    }

    /// The bytes of the elements.
    pub fn bytes(&self) -> &[u8] {
        self.data.slice(0, self.len() * premap::memory::element(self.dtype))
    }

    /// The elements as bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let n = self.len() * premap::memory::element(self.dtype);
        self.data.slice_mut(0, n)
    }

    /// Copies to the interpreter's form.
    pub fn to_array<S: Scalar>(&self) -> Array<S> {
        decode(self.dtype, &self.shape, self.bytes())
    }

    /// Copies from the interpreter's form.
    pub fn from_array<S: Scalar>(a: &Array<S>) -> Tensor {
        let mut t = Tensor::zeros(a.dtype, a.shape.clone());
        encode(a, t.bytes_mut());
        t
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        let mut t = Tensor::zeros(self.dtype, self.shape.clone());
        t.bytes_mut().copy_from_slice(self.bytes());
        t
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({})", self.ty())
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Bytes as an array of the interpreter.
pub(crate) fn decode<S: Scalar>(dtype: DType, shape: &[usize], bytes: &[u8]) -> Array<S> {
    let float = |v: Vec<f64>| Array::float(dtype, shape, v.into_iter().map(S::from_f64).collect());
    let int = |v: Vec<i64>| Array::int(dtype, shape, v);
    match dtype {
        DType::F32 => float(chunks(bytes).map(|b| f32::from_le_bytes(b) as f64).collect()),
        DType::F64 => float(chunks(bytes).map(f64::from_le_bytes).collect()),
        DType::BF16 => float(chunks(bytes).map(|b| half::bf16::from_le_bytes(b).to_f64()).collect()),
        DType::F16 => float(chunks(bytes).map(|b| half::f16::from_le_bytes(b).to_f64()).collect()),
        DType::I64 => int(chunks(bytes).map(i64::from_le_bytes).collect()),
        DType::I32 => int(chunks(bytes).map(|b| i32::from_le_bytes(b) as i64).collect()),
        DType::I8 | DType::Trit => int(bytes.iter().map(|b| *b as i8 as i64).collect()),
        DType::U8 | DType::Bool => int(bytes.iter().map(|b| *b as i64).collect()),
    }
}

/// An array of the interpreter as bytes.
pub(crate) fn encode<S: Scalar>(a: &Array<S>, out: &mut [u8]) {
    fn put<const N: usize>(out: &mut [u8], values: impl Iterator<Item = [u8; N]>) {
        out.as_chunks_mut::<N>().0.iter_mut().zip(values).for_each(|(o, v)| *o = v);
    }
    let floats = || -> Box<dyn Iterator<Item = f64> + '_> {
        match &a.data {
            Data::Float(v) => Box::new(v.iter().map(S::to_f64)),
            Data::Int(v) => Box::new(v.iter().map(|x| *x as f64)),
        }
    };
    let ints = || a.ints().iter().copied();
    match a.dtype {
        DType::F32 => put(out, floats().map(|x| (x as f32).to_le_bytes())),
        DType::F64 => put(out, floats().map(f64::to_le_bytes)),
        DType::BF16 => put(out, floats().map(|x| half::bf16::from_f64(x).to_le_bytes())),
        DType::F16 => put(out, floats().map(|x| half::f16::from_f64(x).to_le_bytes())),
        DType::I64 => put(out, ints().map(i64::to_le_bytes)),
        DType::I32 => put(out, ints().map(|x| (x as i32).to_le_bytes())),
        DType::I8 | DType::Trit => put(out, ints().map(|x| (x as i8).to_le_bytes())),
        DType::U8 | DType::Bool => put(out, ints().map(|x| [x as u8])),
    }
}
