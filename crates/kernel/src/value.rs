//! Numbers and arrays of the interpreter.

use axes::{Axes, Axis, Element, Tensor, TernaryMatrix, TritStorage, Unit};
use kernel_syntax::Scalar;

/// A number with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `f32`.
    F32(f32),
    /// `f64`.
    F64(f64),
    /// An integer of that type.
    Int(i128, Scalar),
    /// A truth value.
    Bool(bool),
}

impl Value {
    /// Its type.
    pub fn scalar(self) -> Scalar {
        match self {
            Value::F32(_) => Scalar::F32,
            Value::F64(_) => Scalar::F64,
            Value::Int(_, s) => s,
            Value::Bool(_) => Scalar::Bool,
        }
    }

    /// As a double; truth is 1.
    pub fn to_f64(self) -> f64 {
        match self {
            Value::F32(x) => f64::from(x),
            Value::F64(x) => x,
            Value::Int(i, _) => i as f64,
            Value::Bool(b) => f64::from(u8::from(b)),
        }
    }

    /// A small number in a type.
    pub fn of(x: f64, s: Scalar) -> Value {
        match s {
            Scalar::F32 => Value::F32(x as f32),
            Scalar::F64 => Value::F64(x),
            Scalar::Bool => Value::Bool(x != 0.0),
            s => Value::Int(x as i128, s),
        }
    }

    /// Conversion by `as`.
    pub fn cast(self, to: Scalar) -> Value {
        let wrap = |i: i128, s: Scalar| match s {
            Scalar::I8 => i128::from(i as i8),
            Scalar::I16 => i128::from(i as i16),
            Scalar::I32 => i128::from(i as i32),
            Scalar::U8 => i128::from(i as u8),
            Scalar::U16 => i128::from(i as u16),
            Scalar::U32 => i128::from(i as u32),
            Scalar::U64 | Scalar::Usize => i128::from(i as u64),
            _ => i128::from(i as i64),
        };
        // From a float it saturates, from an integer it wraps.
        let from_float = |x: f64| match to.range() {
            Some((low, high)) if x.is_nan() => Value::Int(0.clamp(low, high), to),
            Some((low, high)) => Value::Int((x.trunc() as i128).clamp(low, high), to),
            None => Value::of(x, to),
        };
        match (self, to) {
            (Value::F32(x), Scalar::F32) => Value::F32(x),
            (Value::F32(x), _) => from_float(f64::from(x)),
            (Value::F64(x), _) => from_float(x),
            (Value::Int(i, _), Scalar::F32) => Value::F32(i as f32),
            (Value::Int(i, _), Scalar::F64) => Value::F64(i as f64),
            (Value::Int(i, _), s) => Value::Int(wrap(i, s), s),
            (Value::Bool(b), s) => Value::of(f64::from(u8::from(b)), s),
        }
    }
}

/// A dense array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayValue {
    /// The element type.
    pub element: Scalar,
    /// Sizes, outermost first.
    pub dims: Vec<usize>,
    /// Elements: floats as they are, integers as `i64` (of `u64` the same bits).
    pub data: Elements,
}

/// The elements of an [`ArrayValue`].
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// `f32`.
    F32(Vec<f32>),
    /// `f64`.
    F64(Vec<f64>),
    /// Integers and truth values.
    Int(Vec<i64>),
}

impl ArrayValue {
    /// Every element is the value.
    pub fn filled(dims: Vec<usize>, value: Value) -> ArrayValue {
        let n = dims.iter().product();
        let data = match value {
            Value::F32(x) => Elements::F32(vec![x; n]),
            Value::F64(x) => Elements::F64(vec![x; n]),
            Value::Int(i, _) => Elements::Int(vec![i as i64; n]),
            Value::Bool(b) => Elements::Int(vec![i64::from(b); n]),
        };
        ArrayValue { element: value.scalar(), dims, data }
    }

    /// From doubles.
    pub fn from_f64(element: Scalar, dims: Vec<usize>, values: &[f64]) -> ArrayValue {
        let data = match element {
            Scalar::F32 => Elements::F32(values.iter().map(|x| *x as f32).collect()),
            Scalar::F64 => Elements::F64(values.to_vec()),
            _ => Elements::Int(values.iter().map(|x| *x as i64).collect()),
        };
        ArrayValue { element, dims, data }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Elements::F32(v) => v.len(),
            Elements::F64(v) => v.len(),
            Elements::Int(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i`.
    pub fn get(&self, i: usize) -> Option<Value> {
        Some(match &self.data {
            Elements::F32(v) => Value::F32(*v.get(i)?),
            Elements::F64(v) => Value::F64(*v.get(i)?),
            Elements::Int(v) if self.element == Scalar::Bool => Value::Bool(*v.get(i)? != 0),
            Elements::Int(v) if matches!(self.element, Scalar::U64 | Scalar::Usize) => {
                Value::Int(i128::from(*v.get(i)? as u64), self.element)
            }
            Elements::Int(v) => Value::Int((*v.get(i)?).into(), self.element),
        })
    }

    pub(crate) fn set(&mut self, i: usize, value: Value) {
        match (&mut self.data, value) {
            (Elements::F32(v), Value::F32(x)) => v[i] = x,
            (Elements::F64(v), Value::F64(x)) => v[i] = x,
            (Elements::Int(v), Value::Int(x, _)) => v[i] = x as i64,
            (Elements::Int(v), Value::Bool(b)) => v[i] = i64::from(b),
            _ => {}
        }
    }

    /// Every element as a double.
    pub fn to_f64(&self) -> Vec<f64> {
        (0..self.len()).filter_map(|i| self.get(i)).map(Value::to_f64).collect()
    }
}

/// A Rust type that the interpreter has a [`Scalar`] for.
pub trait Number: Copy {
    /// The type.
    const SCALAR: Scalar;
    /// The elements, in the interpreter's form.
    fn elements(list: &[Self]) -> Elements;
    /// One of them.
    fn value(self) -> Value;
}

macro_rules! numbers {
    ($($ty:ty: $scalar:ident $make:expr, $list:expr;)*) => { $(
        impl Number for $ty {
            const SCALAR: Scalar = Scalar::$scalar;
            fn elements(list: &[Self]) -> Elements {
                ($list)(list)
            }
            fn value(self) -> Value {
                ($make)(self)
            }
        }
    )* };
    (@int $($ty:ty: $scalar:ident),*) => { numbers! { $(
        $ty: $scalar |x: $ty| Value::Int(x as i128, Scalar::$scalar),
            |l: &[$ty]| Elements::Int(l.iter().map(|x| *x as i64).collect());
    )* } };
}
numbers! {
    f32: F32 Value::F32, |l: &[f32]| Elements::F32(l.to_vec());
    f64: F64 Value::F64, |l: &[f64]| Elements::F64(l.to_vec());
    bool: Bool Value::Bool, |l: &[bool]| Elements::Int(l.iter().map(|x| i64::from(*x)).collect());
}
numbers! { @int i8: I8, i16: I16, i32: I32, i64: I64, isize: Isize, u8: U8, u16: U16, u32: U32, u64: U64, usize: Usize }

/// What a kernel is given, and what it gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A number.
    Scalar(Value),
    /// A slice or a tensor.
    Array(ArrayValue),
    /// A ternary matrix: its trits (outputs, inputs) and its scale.
    Ternary(ArrayValue, f32),
}

impl Arg {
    /// Its elements as doubles.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Arg::Scalar(v) => vec![v.to_f64()],
            Arg::Array(a) | Arg::Ternary(a, _) => a.to_f64(),
        }
    }

    /// What it is, for errors.
    pub fn describe(&self) -> String {
        match self {
            Arg::Scalar(v) => v.scalar().name().to_string(),
            Arg::Array(a) => format!("{}{:?}", a.element.name(), a.dims),
            Arg::Ternary(a, _) => format!("trits {:?}", a.dims),
        }
    }
}

impl<T: Number> From<T> for Arg {
    fn from(x: T) -> Arg {
        Arg::Scalar(x.value())
    }
}

impl<T: Number> From<&[T]> for Arg {
    fn from(x: &[T]) -> Arg {
        Arg::Array(ArrayValue { element: T::SCALAR, dims: vec![x.len()], data: T::elements(x) })
    }
}

impl<T: Number> From<&Vec<T>> for Arg {
    fn from(x: &Vec<T>) -> Arg {
        x.as_slice().into()
    }
}

impl<T: Number, const N: usize> From<&[T; N]> for Arg {
    fn from(x: &[T; N]) -> Arg {
        x.as_slice().into()
    }
}

impl<A: Axes, T: Number + Element, U: Unit> From<&Tensor<A, T, U>> for Arg {
    fn from(x: &Tensor<A, T, U>) -> Arg {
        let dims = x.dims().as_ref().to_vec();
        Arg::Array(ArrayValue { element: T::SCALAR, dims, data: T::elements(x.as_slice()) })
    }
}

impl<I: Axis, O: Axis, S: TritStorage> From<&TernaryMatrix<I, O, S>> for Arg {
    fn from(x: &TernaryMatrix<I, O, S>) -> Arg {
        let n = x.outputs() * x.inputs();
        let data = Elements::Int((0..n).map(|i| x.trits().trit(i).into()).collect());
        let trits = ArrayValue { element: Scalar::I8, dims: vec![x.outputs(), x.inputs()], data };
        Arg::Ternary(trits, x.scale())
    }
}
