//! Inputs and outputs of the elementwise machine: dtypes, access patterns, conversion to and from f32.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use half::bf16;

/// Dtype of an input or output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// bfloat16; stores round to nearest, ties to even.
    Bf16,
    /// 8-bit integer; stores truncate and saturate, NaN becomes 0.
    I8,
    /// Unsigned 8-bit integer, as [`Dtype::I8`].
    U8,
    /// One byte, 0 or 1; stores write 1 where the value is not 0.
    Bool,
    /// 32-bit integer; loads round above 2^24, stores truncate and saturate.
    I32,
    /// 64-bit integer, as [`Dtype::I32`].
    I64,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::Bf16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I64 => 8,
        }
    }
}

/// Which element of an input belongs to element `(row, column)` of the group, whose shape is `(rows, cols)`.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// Element `row * cols + column`; the buffer has `rows * cols` elements.
    Full,
    /// Element `column`; the buffer has `cols` elements.
    Row,
    /// Element `row`; the buffer has `rows` elements.
    Col,
    /// Element 0.
    Scalar,
    /// Element `offset + row * stride + column`: whole rows of a wider matrix.
    Rows {
        /// From one row to the next.
        stride: usize,
        /// The first element.
        offset: usize,
    },
    /// Any broadcast or transposition: the flat index is split into coordinates of `dims` (row-major, product
    /// `rows * cols`), and the element is `offset + Σ coordinate * stride`. Slower than the other forms.
    Strided {
        /// Sizes, outermost first.
        dims: &'a [usize],
        /// Elements from one coordinate to the next; 0 broadcasts.
        strides: &'a [isize],
        /// Element of the coordinates 0.
        offset: usize,
    },
}

/// An input buffer and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub(super) start: *const u8,
    pub(super) len: usize,
    pub(super) dtype: Dtype,
    pub(super) access: Access<'a>,
}

// SAFETY: an input is a shared borrow of plain numbers (for `from_raw`, by its caller's promise).
unsafe impl Sync for Input<'_> {}
// SAFETY: as above.
unsafe impl Send for Input<'_> {}

/// An output buffer of `rows * cols` elements.
#[derive(Debug)]
pub struct Output<'a> {
    pub(super) start: *mut u8,
    pub(super) len: usize,
    pub(super) dtype: Dtype,
    life: PhantomData<&'a mut [u8]>,
}

// SAFETY: an output is an exclusive borrow of plain numbers; see `run` for how threads share it.
unsafe impl Sync for Output<'_> {}
// SAFETY: as above.
unsafe impl Send for Output<'_> {}

macro_rules! typed {
    ($($name:ident, $t:ty, $dtype:ident;)*) => {
        impl<'a> Input<'a> {
            $(
                #[doc = concat!("Reads a slice of `", stringify!($t), "`.")]
                pub fn $name(data: &'a [$t], access: Access<'a>) -> Self {
                    Self { start: data.as_ptr().cast(), len: data.len(), dtype: Dtype::$dtype, access }
                }
            )*
        }
        impl<'a> Output<'a> {
            $(
                #[doc = concat!("Writes a slice of `", stringify!($t), "`.")]
                pub fn $name(data: &'a mut [$t]) -> Self {
                    Self { start: data.as_mut_ptr().cast(), len: data.len(), dtype: Dtype::$dtype, life: PhantomData }
                }
            )*
        }
    };
}
typed! {
    f32, f32, F32;
    bf16, bf16, Bf16;
    i8, i8, I8;
    u8, u8, U8;
    mask, u8, Bool;
    i32, i32, I32;
    i64, i64, I64;
}

impl<'a> Input<'a> {
    /// A buffer by its address, for in-place groups.
    ///
    /// # Safety
    /// For as long as the input is used, `start` points to `len` initialised elements, aligned for `dtype`, that
    /// nobody writes, with one exception: an [`Output`] of the same call may be **exactly the same memory** (same
    /// start, same dtype size) where the access is [`Access::Full`]. Each block is loaded before it is stored.
    pub unsafe fn from_raw(start: *const u8, len: usize, dtype: Dtype, access: Access<'a>) -> Self {
        Self { start, len, dtype, access }
    }

    /// Checks that every element the access can reach lies in the buffer.
    pub(super) fn check(&self, rows: usize, cols: usize) {
        let need = match self.access {
            Access::Full => rows * cols,
            Access::Row => cols,
            Access::Col => rows,
            Access::Scalar => 1,
            Access::Rows { stride, offset } => offset + rows.saturating_sub(1) * stride + cols,
            Access::Strided { dims, strides, offset } => {
                assert_eq!(dims.len(), strides.len(), "one stride for each dimension");
                assert_eq!(dims.iter().product::<usize>(), rows * cols, "dimensions cover the group");
                let reach = |positive: bool| -> isize {
                    let steps = dims.iter().zip(strides).filter(|(_, stride)| (**stride > 0) == positive);
                    steps.map(|(&dim, &stride)| (dim.max(1) as isize - 1) * stride).sum()
                };
                assert!(offset as isize + reach(false) >= 0, "strides reach before the buffer");
                (offset as isize + reach(true)) as usize + 1
            }
        };
        assert!(rows * cols == 0 || self.len >= need, "input of {} elements, {need} are read", self.len);
    }

    /// Whether block after block reads the same values.
    pub(super) fn constant(&self, cols: usize, range_start: usize, block: usize) -> bool {
        match self.access {
            Access::Scalar => true,
            Access::Row => range_start.is_multiple_of(cols) && block.is_multiple_of(cols),
            _ => false,
        }
    }

    /// The elements `start .. start + n` in place, where they are contiguous f32.
    pub(super) fn direct(&self, start: usize, n: usize, cols: usize) -> Option<*const f32> {
        if self.dtype != Dtype::F32 {
            return None;
        }
        let first = match self.access {
            Access::Full => start,
            Access::Row if start % cols + n <= cols => start % cols,
            Access::Rows { stride, offset } if start % cols + n <= cols => {
                offset + start / cols * stride + start % cols
            }
            _ => return None,
        };
        // SAFETY: `first + n` elements lie in the buffer: `check`.
        Some(unsafe { self.start.cast::<f32>().add(first) })
    }

    /// Converts the elements `start .. start + out.len()` to f32.
    #[inline(always)]
    pub(super) fn fill(&self, out: &mut [f32], start: usize, cols: usize) {
        macro_rules! typed {
            ($t:ty, $convert:expr) => {{
                // With full access the slice is this block alone: in an in-place group other threads write other rows
                // of the same buffer at this time.
                let (first, len) = match self.access {
                    Access::Full => (start, out.len()),
                    _ => (0, self.len),
                };
                assert!(first + len <= self.len, "input of {} elements", self.len);
                // SAFETY: in bounds (checked), elements of this dtype, not written meanwhile (constructors).
                let data = unsafe { std::slice::from_raw_parts(self.start.cast::<$t>().add(first), len) };
                fill(out, data, self.access, start, cols, $convert)
            }};
        }
        match self.dtype {
            Dtype::F32 => typed!(f32, |x| x),
            Dtype::Bf16 => typed!(u16, |x| f32::from_bits(u32::from(x) << 16)),
            Dtype::I8 => typed!(i8, f32::from),
            Dtype::U8 => typed!(u8, f32::from),
            Dtype::Bool => typed!(u8, |x| if x != 0 { 1.0 } else { 0.0 }),
            Dtype::I32 => typed!(i32, |x| x as f32),
            Dtype::I64 => typed!(i64, |x| x as f32),
        }
    }
}

#[inline(always)]
fn fill<T: Copy>(
    out: &mut [f32],
    data: &[T],
    access: Access<'_>,
    start: usize,
    cols: usize,
    convert: impl Fn(T) -> f32,
) {
    let n = out.len();
    match access {
        // `data` is the block itself.
        Access::Full => {
            for (out, &x) in out.iter_mut().zip(data) {
                *out = convert(x);
            }
        }
        Access::Scalar => out.fill(convert(data[0])),
        Access::Row | Access::Col | Access::Rows { .. } => {
            let (mut row, mut column, mut at) = (start / cols, start % cols, 0);
            while at < n {
                let len = (cols - column).min(n - at);
                let part = &mut out[at..at + len];
                let from = match access {
                    Access::Rows { stride, offset } => offset + row * stride + column,
                    _ => column,
                };
                if matches!(access, Access::Col) {
                    part.fill(convert(data[row]));
                } else {
                    for (out, &x) in part.iter_mut().zip(&data[from..from + len]) {
                        *out = convert(x);
                    }
                }
                at += len;
                row += 1;
                column = 0;
            }
        }
        Access::Strided { dims, strides, offset } => {
            let (inner, inner_stride) = match (dims.last(), strides.last()) {
                (Some(&dim), Some(&stride)) => (dim, stride),
                _ => (1, 0),
            };
            let outer = dims.len().saturating_sub(1);
            let mut at = 0;
            while at < n {
                // One division chain for each run along the innermost dimension.
                let index = start + at;
                let column = index % inner;
                let mut rest = index / inner;
                let mut from = offset as isize + column as isize * inner_stride;
                for (&dim, &stride) in dims[..outer].iter().zip(&strides[..outer]).rev() {
                    from += (rest % dim) as isize * stride;
                    rest /= dim;
                }
                let len = (inner - column).min(n - at);
                if inner_stride == 1 {
                    let data = &data[from as usize..][..len];
                    out[at..at + len].iter_mut().zip(data).for_each(|(out, &x)| *out = convert(x));
                    at += len;
                    continue;
                }
                for (step, out) in out[at..at + len].iter_mut().enumerate() {
                    *out = convert(data[(from + step as isize * inner_stride) as usize]);
                }
                at += len;
            }
        }
    }
}

impl<'a> Output<'a> {
    /// A buffer by its address, for in-place groups; see [`Input::from_raw`].
    ///
    /// # Safety
    /// For as long as the output is used, `start` points to `len` elements, aligned for `dtype`, that nobody else
    /// uses, apart from an input of the same call as described there, and other threads that run other rows.
    pub unsafe fn from_raw(start: *mut u8, len: usize, dtype: Dtype) -> Self {
        Self { start, len, dtype, life: PhantomData }
    }

    /// Another handle to the same buffer, for tasks that write other rows.
    ///
    /// # Safety
    /// The two handles must not be used for the same rows at one time.
    pub unsafe fn share(&self) -> Output<'a> {
        Output { start: self.start, len: self.len, dtype: self.dtype, life: PhantomData }
    }

    pub(super) fn overlaps(&self, other: *const u8, bytes: usize) -> bool {
        let (a, b) = (self.start.addr(), other.addr());
        a < b + bytes && b < a + self.len * self.dtype.size()
    }

    /// Converts `values` and stores them from element `start` on.
    #[inline(always)]
    pub(super) fn store(&self, values: &[f32], start: usize) {
        macro_rules! typed {
            ($t:ty, $convert:expr) => {{
                assert!(start + values.len() <= self.len, "output of {} elements", self.len);
                // SAFETY: in bounds (checked); written by this call alone (constructors).
                let data = unsafe {
                    std::slice::from_raw_parts_mut(self.start.cast::<$t>().add(start), values.len())
                };
                for (out, &x) in data.iter_mut().zip(values) {
                    *out = $convert(x);
                }
            }};
        }
        match self.dtype {
            Dtype::F32 => typed!(f32, |x| x),
            Dtype::Bf16 => typed!(u16, bf16_bits),
            Dtype::I8 => typed!(i8, |x| x as i8),
            Dtype::U8 => typed!(u8, |x| x as u8),
            Dtype::Bool => typed!(u8, |x| u8::from(x != 0.0)),
            Dtype::I32 => typed!(i32, |x| x as i32),
            Dtype::I64 => typed!(i64, |x| x as i64),
        }
    }
}

/// Round to nearest, ties to even; NaN stays a (quiet) NaN.
#[inline(always)]
fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = (bits >> 16) | 0x40;
    (if x.is_nan() { nan } else { rounded }) as u16
}
