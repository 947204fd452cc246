//! Matrix products, C = alpha * A * B + beta * C, over the `gemm` crate.
//!
//! The crate's AVX2 kernels reach 65 to 95 % of one Zen 3 core's peak at the sizes of small language models
//! (512 x 128 x 128 and up, see `benches/kernels.rs`), so there is no micro-kernel of our own. What is added here:
//! checked views, and a parallel form whose result does not depend on the number of threads. The crate's own
//! threading is not used, because it cuts the work by thread count, and its kernels for thin pieces sum in another
//! order; [`gemm_parallel`] cuts the output into tiles that depend on the shape only.
#![allow(unsafe_code)]

use ::gemm::{Parallelism, gemm as call};

use crate::pool::Pool;

/// Scalars with a matrix product.
pub trait Scalar: Copy + PartialEq + Send + Sync + 'static {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// A matrix to read: element (i, j) is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A matrix to write; elements do not share memory.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

fn check(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) {
    let need = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 };
    assert!(need <= len, "a {rows} x {cols} matrix of strides {row_stride}, {col_stride} in {len} elements");
}

impl<'a, T> MatRef<'a, T> {
    /// `(rows, cols)`, rows contiguous.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// Any strides, also 0.
    ///
    /// # Panics
    /// Where an element lies outside `data`.
    pub fn with_strides(
        data: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check(data.len(), rows, cols, row_stride, col_stride);
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

impl<'a, T> MatMut<'a, T> {
    /// `(rows, cols)`, rows contiguous.
    pub fn row_major(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// Strides under which no two elements share memory.
    ///
    /// # Panics
    /// Where an element lies outside `data`, or rows and columns interleave.
    pub fn with_strides(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check(data.len(), rows, cols, row_stride, col_stride);
        let thin = rows <= 1 || cols <= 1;
        let by_rows = col_stride > 0 && row_stride > (cols.max(1) - 1) * col_stride;
        let by_cols = row_stride > 0 && col_stride > (rows.max(1) - 1) * row_stride;
        let distinct = (rows <= 1 || row_stride > 0) && (cols <= 1 || col_stride > 0);
        assert!(distinct && (thin || by_rows || by_cols), "elements of an output share memory");
        Self { data, rows, cols, row_stride, col_stride }
    }
}

/// C = alpha * A * B + beta * C on the calling thread; with `beta` 0, C is not read. A is `(m, k)`, B is `(k, n)`, C
/// is `(m, n)`; transposed factors are [`MatRef::t`] views.
///
/// # Panics
/// Where the shapes do not fit.
///
/// ```
/// use engine::kernels::gemm::{MatMut, MatRef, gemm};
/// let (x, w) = ([1.0f32, 2.0], [3.0, 4.0, 5.0, 6.0]); // w is (out, in)
/// let mut y = [0.0; 2];
/// gemm(1.0, MatRef::row_major(&x, 1, 2), MatRef::row_major(&w, 2, 2).t(), 0.0, MatMut::row_major(&mut y, 1, 2));
/// assert_eq!(y, [11.0, 17.0]);
/// ```
pub fn gemm<T: Scalar>(alpha: T, a: MatRef<'_, T>, b: MatRef<'_, T>, beta: T, c: MatMut<'_, T>) {
    shapes(&a, &b, &c);
    let size = (c.rows, c.cols);
    let target = Target { start: c.data.as_mut_ptr(), row_stride: c.row_stride, col_stride: c.col_stride };
    // SAFETY: `c` is borrowed exclusively and spans the tile.
    unsafe { tile(alpha, a, b, beta, &target, (0, 0), size) }
}

/// [`gemm()`] with the threads of `pool`. The bits of the result are the same for any number of threads, and those
/// of [`gemm()`] where the product is too small to cut.
pub fn gemm_parallel<T: Scalar>(
    pool: &Pool,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: MatMut<'_, T>,
) {
    shapes(&a, &b, &c);
    let (m, n) = (c.rows, c.cols);
    let target = Target { start: c.data.as_mut_ptr(), row_stride: c.row_stride, col_stride: c.col_stride };
    let by_rows = m >= n;
    let long = m.max(n);
    let step = premap::cut::tile(long, m.min(n) * a.cols);
    pool.run(long.div_ceil(step), |index| {
        let from = index * step;
        let len = step.min(long - from);
        let (at, size) = if by_rows { ((from, 0), (len, n)) } else { ((0, from), (m, len)) };
        // SAFETY: `c` is borrowed exclusively, its elements are distinct (`MatMut`), and the tiles are disjoint.
        unsafe { tile(alpha, a, b, beta, &target, at, size) }
    });
}

fn shapes<T>(a: &MatRef<'_, T>, b: &MatRef<'_, T>, c: &MatMut<'_, T>) {
    let fit = a.cols == b.rows && a.rows == c.rows && b.cols == c.cols;
    assert!(fit, "({}, {}) x ({}, {}) -> ({}, {})", a.rows, a.cols, b.rows, b.cols, c.rows, c.cols);
}

/// The output of which the tasks write parts.
struct Target<T> {
    start: *mut T,
    row_stride: usize,
    col_stride: usize,
}

// SAFETY: the tasks write disjoint tiles.
unsafe impl<T: Send> Sync for Target<T> {}

/// Rows `at.0 ..` and columns `at.1 ..` of the product.
///
/// # Safety
/// The tile of `size` at `at` lies in the output and in the product, and nobody else uses it.
unsafe fn tile<T: Scalar>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    c: &Target<T>,
    at: (usize, usize),
    size: (usize, usize),
) {
    if size.0 == 0 || size.1 == 0 {
        return;
    }
    // The crate calls the factor of the product beta and that of the output alpha.
    // SAFETY: the offsets lie in the views (caller), which were checked against their slices.
    unsafe {
        call(
            size.0,
            size.1,
            a.cols,
            c.start.add(at.0 * c.row_stride + at.1 * c.col_stride),
            c.col_stride as isize,
            c.row_stride as isize,
            beta != T::ZERO,
            if a.cols == 0 { a.data.as_ptr() } else { a.data.as_ptr().add(at.0 * a.row_stride) },
            a.col_stride as isize,
            a.row_stride as isize,
            if a.cols == 0 { b.data.as_ptr() } else { b.data.as_ptr().add(at.1 * b.col_stride) },
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
