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

/// Copies `dims` elements of `size` bytes each.
///
/// # Safety
/// Both sides must be valid for every element that their layout reaches, and must not overlap.
pub(crate) unsafe fn strided(
    size: usize,
    dims: &[usize],
    from: (*const u8, &Layout),
    to: (*mut u8, &Layout),
) {
    if dims.contains(&0) {
        return;
    }
    // SAFETY: as the caller promises; the recursion visits exactly the elements of `dims`.
    unsafe {
        let source = from.0.add(from.1.offset * size);
        let target = to.0.add(to.1.offset * size);
        walk(size, dims, source, &from.1.strides, target, &to.1.strides);
    }
}

/// # Safety
/// As [`strided`], with the addresses of the first elements.
unsafe fn walk(size: usize, dims: &[usize], from: *const u8, fs: &[isize], to: *mut u8, ts: &[isize]) {
    // SAFETY: every offset stays within what the strides reach over `dims` (caller).
    unsafe {
        let Some((n, rest)) = dims.split_first() else {
            std::ptr::copy_nonoverlapping(from, to, size);
            return;
        };
        if contiguous(dims, fs) && contiguous(dims, ts) {
            std::ptr::copy_nonoverlapping(from, to, size * dims.iter().product::<usize>());
            return;
        }
        if rest.is_empty() && size == 4 {
            let (from, to) = (from.cast::<u32>(), to.cast::<u32>());
            for i in 0..*n as isize {
                *to.offset(i * ts[0]) = *from.offset(i * fs[0]);
            }
            return;
        }
        for i in 0..*n as isize {
            let bytes = size as isize;
            walk(size, rest, from.offset(i * fs[0] * bytes), &fs[1..], to.offset(i * ts[0] * bytes), &ts[1..]);
        }
    }
}

fn contiguous(dims: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1isize;
    for (n, s) in dims.iter().zip(strides).rev() {
        if *n != 1 && *s != expected {
            return false;
        }
        expected *= *n as isize;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_and_a_repetition() {
        let from: Vec<u32> = (0..6).collect();
        let mut to = vec![0u32; 6];
        let source = Layout { offset: 0, strides: vec![1, 3] };
        let target = Layout { offset: 0, strides: vec![2, 1] };
        // SAFETY: both layouts stay within six elements.
        unsafe { strided(4, &[3, 2], (from.as_ptr().cast(), &source), (to.as_mut_ptr().cast(), &target)) };
        assert_eq!(to, [0, 3, 1, 4, 2, 5]);
        let again = Layout { offset: 1, strides: vec![0, 1] };
        // SAFETY: as above.
        unsafe { strided(4, &[3, 2], (from.as_ptr().cast(), &again), (to.as_mut_ptr().cast(), &target)) };
        assert_eq!(to, [1, 2, 1, 2, 1, 2]);
    }
}
