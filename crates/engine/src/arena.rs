//! Memory for plans: one aligned allocation, viewed as slices of the dtypes that tensors have.
//!
//! Buffers start on 64-byte boundaries, a cache line and the widest vector, so that no aligned block of a
//! kernel straddles lines.
//!
//! A large one is a mapping of its own where the system has those: pages cost memory from their first use on, not from
//! the allocation, and go back to the system when the arena is dropped or [released](Arena::release). An allocator keeps
//! freed memory, and an aligned zeroed piece it writes at once.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Alignment of every buffer, in bytes.
pub const ALIGN: usize = 64;

/// From this size on, in bytes, an arena is a mapping of its own.
const MAPPED: usize = 128 << 10;

mod sealed {
    pub trait Sealed {}
}

/// Plain numbers: every bit pattern is a value, and there is no padding.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {}

macro_rules! elements {
    ($($t:ty),*) => { $(impl sealed::Sealed for $t {} impl Element for $t {})* };
}
elements!(f32, f64, half::bf16, half::f16, i64, i32, i8, u8, u16, u32, u64);

/// Rounds a size in bytes up to the next multiple of [`ALIGN`].
pub const fn align_up(bytes: usize) -> usize {
    bytes.div_ceil(ALIGN) * ALIGN
}

/// A fixed, zero-initialised, 64-byte aligned piece of memory.
///
/// ```
/// let mut arena = engine::arena::Arena::new(1024);
/// arena.slice_mut::<f32>(64, 4).copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(arena.slice::<f32>(64, 4)[2], 3.0);
/// ```
pub struct Arena {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: an arena owns its memory, and shared access reads only.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Allocates `bytes` zeroed bytes, rounded up to a multiple of [`ALIGN`].
    pub fn new(bytes: usize) -> Self {
        let bytes = align_up(bytes);
        if bytes == 0 {
            // A dangling pointer that still honours the alignment.
            let start = NonNull::new(std::ptr::without_provenance_mut(ALIGN)).unwrap_or(NonNull::dangling());
            return Self { start, bytes };
        }
        let layout = Self::layout(bytes);
        let raw = match Self::is_mapped(bytes) {
            true => map(bytes),
            // SAFETY: the layout's size is not zero.
            false => unsafe { alloc_zeroed(layout) },
        };
        let Some(start) = NonNull::new(raw) else { handle_alloc_error(layout) };
        Self { start, bytes }
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, ALIGN).expect("an arena is smaller than the address space")
    }

    /// Whether an arena of this size is a mapping.
    fn is_mapped(bytes: usize) -> bool {
        cfg!(target_os = "linux") && bytes >= MAPPED
    }

    /// Forgets what the arena holds, zeros instead, and gives the system back the memory of a large one until it is
    /// written again.
    ///
    /// ```
    /// let mut arena = engine::arena::Arena::new(1 << 20);
    /// arena.slice_mut::<u8>(0, 1 << 20).fill(7);
    /// arena.release();
    /// assert!(arena.slice::<u8>(0, 1 << 20).iter().all(|byte| *byte == 0));
    /// ```
    pub fn release(&mut self) {
        if !(Self::is_mapped(self.bytes) && give_back(self.start, self.bytes)) {
            self.slice_mut::<u8>(0, self.bytes).fill(0);
        }
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the arena holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn check<T: Element>(&self, offset: usize, len: usize) {
        let size = len.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(offset));
        assert!(
            size.is_some_and(|end| end <= self.bytes),
            "slice {offset}+{len} leaves the arena of {} bytes",
            self.bytes
        );
        assert!(offset.is_multiple_of(align_of::<T>()), "offset {offset} is not aligned for the dtype");
    }

    /// `len` elements that start `offset` bytes into the arena.
    ///
    /// # Panics
    /// Where the range leaves the arena or the offset is not aligned for `T`.
    pub fn slice<T: Element>(&self, offset: usize, len: usize) -> &[T] {
        self.check::<T>(offset, len);
        // SAFETY: in bounds and aligned (checked), initialised (zeroed at allocation), any bits are a `T`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), len) }
    }

    /// As [`Arena::slice`], for writing.
    pub fn slice_mut<T: Element>(&mut self, offset: usize, len: usize) -> &mut [T] {
        self.check::<T>(offset, len);
        // SAFETY: as in `slice`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset).cast(), len) }
    }

    /// The first byte, for a caller that hands out places of its own.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// A handle from which disjoint slices are taken while others are in use; it borrows the arena for writing.
    pub fn parts(&mut self) -> Parts<'_> {
        Parts { start: self.start, bytes: self.bytes, life: PhantomData }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if Self::is_mapped(self.bytes) {
            unmap(self.start, self.bytes);
        } else if self.bytes != 0 {
            // SAFETY: allocated in `new` with this same layout.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) }
        }
    }
}

/// A new mapping of zeros, or null where the system has none.
#[cfg(target_os = "linux")]
fn map(bytes: usize) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new private mapping at a place that the system chooses touches no memory of ours.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
    if at == libc::MAP_FAILED { std::ptr::null_mut() } else { at.cast() }
}

/// Gives the pages of an arena's mapping back; they read as zeros then. False where the system does not.
#[cfg(target_os = "linux")]
fn give_back(start: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the range is a private anonymous mapping of ours, borrowed by nobody else while the arena is borrowed mutably.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) == 0 }
}

/// Ends an arena's mapping.
#[cfg(target_os = "linux")]
fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: made by `map` with this length, and nobody borrows it any more.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// No mappings on this system: [`Arena::is_mapped`] says so.
#[cfg(not(target_os = "linux"))]
fn map(_bytes: usize) -> *mut u8 {
    std::ptr::null_mut()
}

#[cfg(not(target_os = "linux"))]
fn give_back(_start: NonNull<u8>, _bytes: usize) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn unmap(_start: NonNull<u8>, _bytes: usize) {}

/// The first byte of every buffer of a plan.
pub(crate) struct Bases(pub Vec<*mut u8>);

// SAFETY: addresses alone; whoever uses them says why that holds.
unsafe impl Send for Bases {}
// SAFETY: as above.
unsafe impl Sync for Bases {}

/// An arena borrowed for writing, whose slices may be taken several at a time.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    start: NonNull<u8>,
    bytes: usize,
    life: PhantomData<&'a mut [u8]>,
}

// SAFETY: only the unsafe methods reach the memory, and their callers promise that uses do not conflict.
unsafe impl Send for Parts<'_> {}
// SAFETY: as above.
unsafe impl Sync for Parts<'_> {}

impl<'a> Parts<'a> {
    fn pointer<T: Element>(&self, offset: usize, len: usize) -> *mut T {
        let size = len.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(offset));
        assert!(
            size.is_some_and(|end| end <= self.bytes),
            "slice {offset}+{len} leaves the arena of {} bytes",
            self.bytes
        );
        assert!(offset.is_multiple_of(align_of::<T>()), "offset {offset} is not aligned for the dtype");
        // SAFETY: `offset` is within the allocation.
        unsafe { self.start.as_ptr().add(offset).cast() }
    }

    /// `len` elements at byte `offset`, for reading.
    ///
    /// # Safety
    /// While the slice lives, no slice from [`Parts::slice_mut`] may overlap it.
    pub unsafe fn slice<T: Element>(&self, offset: usize, len: usize) -> &'a [T] {
        // SAFETY: in bounds and aligned (checked by `pointer`), initialised; not written meanwhile (caller).
        unsafe { std::slice::from_raw_parts(self.pointer(offset, len), len) }
    }

    /// `len` elements at byte `offset`, for writing.
    ///
    /// # Safety
    /// While the slice lives, no other slice of these parts may overlap it.
    pub unsafe fn slice_mut<T: Element>(&self, offset: usize, len: usize) -> &'a mut [T] {
        // SAFETY: as in `slice`; not otherwise used meanwhile (caller).
        unsafe { std::slice::from_raw_parts_mut(self.pointer(offset, len), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGN, Arena};

    #[test]
    fn any_size_is_aligned_zeroed_and_can_be_released() {
        for bytes in [1, 64, 4096, (128 << 10) - 64, 128 << 10, (3 << 20) + 1] {
            let mut arena = Arena::new(bytes);
            assert!(arena.start().addr().is_multiple_of(ALIGN) && arena.len() >= bytes);
            for _ in 0..2 {
                let all = arena.slice_mut::<u8>(0, bytes);
                assert!(all.iter().all(|byte| *byte == 0));
                all.fill(9);
                arena.release();
            }
        }
    }
}
