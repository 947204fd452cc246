//! Strided copies: what transposes, broadcasts, slices, pads and joins come down to.
#![allow(unsafe_code)]

/// One side of a copy: the first element's address and a stride per axis, in elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// First element.
    pub offset: usize,
    /// Stride of each axis; 0 repeats.
    pub strides: Vec<isize>,
}

/// A copy of `dims` elements between two layouts, with the axes that run on joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    dims: Vec<usize>,
    from: Layout,
    to: Layout,
}

/// Side of the square that a transposition moves at a time: rows of both sides stay in the first-level cache.
const TILE: usize = 16;

impl Copy {
    pub(crate) fn new(dims: &[usize], from: Layout, to: Layout) -> Copy {
        let mut joined: Vec<(usize, isize, isize)> = vec![];
        for ((n, f), t) in dims.iter().zip(&from.strides).zip(&to.strides) {
            match joined.last_mut() {
                _ if *n == 1 => {}
                Some((m, g, u)) if *g == f * *n as isize && *u == t * *n as isize => {
                    (*m, *g, *u) = (*m * n, *f, *t)
                }
                _ => joined.push((*n, *f, *t)),
            }
        }
        // Where the last axis jumps on the reading side and another one runs on there, the two are moved in squares.
        if let Some(at) = joined.iter().position(|(_, f, _)| *f == 1).filter(|at| at + 2 < joined.len()) {
            let axis = joined.remove(at);
            joined.insert(joined.len() - 1, axis);
        }
        Copy {
            dims: joined.iter().map(|j| j.0).collect(),
            from: Layout { offset: from.offset, strides: joined.iter().map(|j| j.1).collect() },
            to: Layout { offset: to.offset, strides: joined.iter().map(|j| j.2).collect() },
        }
    }

    /// Copies elements of `size` bytes.
    ///
    /// # Safety
    /// Both sides must be valid for every element that their layout reaches, aligned for `size` (1, 2, 4 or 8), and must
    /// not overlap.
    pub(crate) unsafe fn run(&self, size: usize, from: *const u8, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe {
            match size {
                1 => self.typed::<u8>(from, to),
                2 => self.typed::<u16>(from.cast(), to.cast()),
                4 => self.typed::<u32>(from.cast(), to.cast()),
                _ => self.typed::<u64>(from.cast(), to.cast()),
            }
        }
    }

    /// # Safety
    /// As [`Copy::run`].
    unsafe fn typed<T: std::marker::Copy>(&self, from: *const T, to: *mut T) {
        if self.dims.contains(&0) {
            return;
        }
        // SAFETY: as the caller promises; the recursion visits exactly the elements of `dims`.
        unsafe {
            walk(
                &self.dims,
                from.add(self.from.offset),
                &self.from.strides,
                to.add(self.to.offset),
                &self.to.strides,
            );
        }
    }
}

/// # Safety
/// As [`Copy::run`], with the addresses of the first elements.
unsafe fn walk<T: std::marker::Copy>(dims: &[usize], from: *const T, fs: &[isize], to: *mut T, ts: &[isize]) {
    // SAFETY: every offset stays within what the strides reach over `dims` (caller).
    unsafe {
        match (dims, fs, ts) {
            ([], ..) => *to = *from,
            ([n], [1], [1]) => std::ptr::copy_nonoverlapping(from, to, *n),
            ([n], [0], [1]) => std::slice::from_raw_parts_mut(to, *n).fill(*from),
            ([n], [f], [1]) => {
                for (i, x) in std::slice::from_raw_parts_mut(to, *n).iter_mut().enumerate() {
                    *x = *from.offset(i as isize * f);
                }
            }
            ([n], [f], [t]) => {
                for i in 0..*n as isize {
                    *to.offset(i * t) = *from.offset(i * f);
                }
            }
            #[cfg(target_arch = "x86_64")]
            ([m, n], [1, f], [t, 1])
                if size_of::<T>() == 4 && *m >= 8 && *n >= 8 && crate::kernels::simd::level().has_avx2() =>
            {
                squares(*m, *n, from.cast(), *f, to.cast(), *t)
            }
            ([m, n], [1, f], [t, u]) if *f != 1 => {
                for i0 in (0..*m).step_by(TILE) {
                    for j0 in (0..*n).step_by(TILE) {
                        for i in i0..(i0 + TILE).min(*m) {
                            let (from, to) = (from.add(i), to.offset(i as isize * t));
                            for j in j0..(j0 + TILE).min(*n) {
                                *to.offset(j as isize * u) = *from.offset(j as isize * f);
                            }
                        }
                    }
                }
            }
            ([n, rest @ ..], [f, fs @ ..], [t, ts @ ..]) => {
                for i in 0..*n as isize {
                    walk(rest, from.offset(i * f), fs, to.offset(i * t), ts);
                }
            }
            _ => {}
        }
    }
}

/// to\[i, j\] = from\[j, i\] for m x n elements of four bytes, rows `f` and `t` apart, in squares of eight: a fifth of
/// the time of the plain loop.
///
/// # Safety
/// As [`Copy::run`], on a machine with AVX2, and both sides have at least eight elements.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn squares(m: usize, n: usize, from: *const f32, f: isize, to: *mut f32, t: isize) {
    use std::arch::x86_64::*;
    // The last square of a side begins where it ends with the side: some elements are written twice, with one value.
    let starts = |len: usize| (0..len).step_by(8).map(move |at| at.min(len - 8));
    // Two squares make a line of the cache whole before the next rows, which may lie in the same sets, push it out.
    for pair in (0..n).step_by(16) {
        for (i, j) in starts(m).flat_map(|i| [0, 8].map(|j| (i, (pair + j).min(n - 8)))) {
            // SAFETY: rows j .. j + 8 from element i on, eight of each, are within what the caller promises.
            unsafe {
                let row = |k: isize| _mm256_loadu_ps(from.add(i).offset((j as isize + k) * f));
                let r = [0, 1, 2, 3, 4, 5, 6, 7].map(row);
                let low = [0, 2, 4, 6].map(|k| _mm256_unpacklo_ps(r[k], r[k + 1]));
                let high = [0, 2, 4, 6].map(|k| _mm256_unpackhi_ps(r[k], r[k + 1]));
                let q = [
                    _mm256_shuffle_ps::<0x44>(low[0], low[1]),
                    _mm256_shuffle_ps::<0xEE>(low[0], low[1]),
                    _mm256_shuffle_ps::<0x44>(high[0], high[1]),
                    _mm256_shuffle_ps::<0xEE>(high[0], high[1]),
                    _mm256_shuffle_ps::<0x44>(low[2], low[3]),
                    _mm256_shuffle_ps::<0xEE>(low[2], low[3]),
                    _mm256_shuffle_ps::<0x44>(high[2], high[3]),
                    _mm256_shuffle_ps::<0xEE>(high[2], high[3]),
                ];
                for k in 0..4 {
                    let put = |row: usize, v| _mm256_storeu_ps(to.offset((i + row) as isize * t).add(j), v);
                    put(k, _mm256_permute2f128_ps::<0x20>(q[k], q[k + 4]));
                    put(k + 4, _mm256_permute2f128_ps::<0x31>(q[k], q[k + 4]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(strides: &[isize]) -> Layout {
        Layout { offset: 0, strides: strides.to_vec() }
    }

    #[test]
    fn a_transpose_and_a_repetition() {
        let from: Vec<u32> = (0..6).collect();
        let mut to = vec![0u32; 6];
        let turned = Copy::new(&[3, 2], layout(&[1, 3]), layout(&[2, 1]));
        // SAFETY: both layouts stay within six elements.
        unsafe { turned.run(4, from.as_ptr().cast(), to.as_mut_ptr().cast()) };
        assert_eq!(to, [0, 3, 1, 4, 2, 5]);
        let again = Copy::new(&[3, 2], Layout { offset: 1, strides: vec![0, 1] }, layout(&[2, 1]));
        // SAFETY: as above.
        unsafe { again.run(4, from.as_ptr().cast(), to.as_mut_ptr().cast()) };
        assert_eq!(to, [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn matrices_are_turned_whatever_their_sides() {
        for (m, n) in [(8, 8), (9, 8), (16, 23), (31, 40), (7, 64), (64, 7), (100, 131)] {
            let from: Vec<u32> = (0..(m * n) as u32).map(|k| k.wrapping_mul(2_654_435_761)).collect();
            let mut to = vec![0u32; m * n];
            let turned = Copy::new(&[m, n], layout(&[1, m as isize]), layout(&[n as isize, 1]));
            // SAFETY: both layouts stay within m n elements.
            unsafe { turned.run(4, from.as_ptr().cast(), to.as_mut_ptr().cast()) };
            for i in 0..m {
                (0..n).for_each(|j| assert_eq!(to[i * n + j], from[j * m + i], "{m} x {n} at {i}, {j}"));
            }
        }
    }

    #[test]
    fn axes_that_run_on_are_one() {
        let whole = Copy::new(&[2, 1, 3, 4], layout(&[12, 99, 4, 1]), layout(&[12, 7, 4, 1]));
        assert_eq!(whole, Copy { dims: vec![24], from: layout(&[1]), to: layout(&[1]) });
        let rows = Copy::new(&[2, 3, 4], layout(&[24, 8, 1]), layout(&[12, 4, 1]));
        assert_eq!(rows.dims, [6, 4]);
        // Heads to the front: the axis that runs on stays last.
        assert_eq!(Copy::new(&[3, 5, 4], layout(&[4, 12, 1]), layout(&[20, 4, 1])).dims, [3, 5, 4]);
        // Three axes turned: the one that runs on is moved next to the last one.
        assert_eq!(Copy::new(&[4, 3, 5], layout(&[1, 4, 24]), layout(&[15, 5, 1])).dims, [3, 4, 5]);
    }
}
