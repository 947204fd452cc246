//! A slice lent to the tasks of a round in parts.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A slice borrowed for writing, of which tasks take disjoint parts.
pub(crate) struct Split<'a, T> {
    start: *mut T,
    len: usize,
    size: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: only the unsafe methods reach the elements, and their callers promise that parts do not overlap.
unsafe impl<T: Send> Sync for Split<'_, T> {}

impl<'a, T> Split<'a, T> {
    /// Chunks of `size` elements.
    pub(crate) fn new(data: &'a mut [T], size: usize) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), size, life: PhantomData }
    }

    pub(super) fn of(count: usize, data: &'a mut [T], size: usize) -> Self {
        assert_eq!(
            data.len().div_ceil(size.max(1)),
            count,
            "an array of {} is not {count} chunks of {size}",
            data.len()
        );
        Self::new(data, size)
    }

    /// Chunk `index`.
    ///
    /// # Safety
    /// No two live parts may overlap.
    pub(super) unsafe fn chunk(&self, index: usize) -> &'a mut [T] {
        let from = (index * self.size).min(self.len);
        // SAFETY: handed on to the caller.
        unsafe { self.part(from, self.size.min(self.len - from)) }
    }

    /// Elements `from .. from + len`.
    ///
    /// # Safety
    /// No two live parts may overlap.
    #[inline(always)]
    pub(crate) unsafe fn part(&self, from: usize, len: usize) -> &'a mut [T] {
        assert!(from <= self.len && len <= self.len - from, "part {from}+{len} of a slice of {}", self.len);
        // SAFETY: in bounds (checked), and not otherwise borrowed (caller).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}
