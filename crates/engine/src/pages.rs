//! Large anonymous memory, on huge pages where asked for.
//!
//! A page of 4 KB needs an entry of the translation buffers for each 4 KB of weights; streaming hundreds of megabytes
//! a token then walks page tables all the time. Linux gives pages of 2 MB to memory that asks (`MADV_HUGEPAGE`), if it has
//! some left and its settings allow it (`/sys/kernel/mm/transparent_hugepage/enabled` says `madvise` or `always`). A
//! mapped file cannot ask, so weights of a file have to be copied, which costs their size in memory.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};

/// Zeroed bytes on whole pages.
///
/// ```
/// use engine::pages::Pages;
/// let mut pages = Pages::new(5000, true);
/// pages[4999] = 1;
/// assert_eq!((pages.len(), pages[0], pages[4999]), (5000, 0, 1));
/// ```
pub struct Pages {
    #[cfg(target_os = "linux")]
    start: std::ptr::NonNull<u8>,
    #[cfg(not(target_os = "linux"))]
    arena: crate::arena::Arena,
    len: usize,
}

// SAFETY: it owns its memory, and shared access reads only.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

/// Asks the allocator to give the system back what it holds and nobody uses. For after work that needed much memory for
/// a while, as planning does; nothing happens where the allocator is not glibc's.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it locks the allocator, frees what is free already and touches nothing else.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(target_os = "linux")]
impl Pages {
    /// `len` zeroed bytes. With `huge` they ask for huge pages, without they ask for none. Where the system has no such
    /// pages they are as usual; [`Pages::huge_bytes`] tells.
    ///
    /// # Panics
    /// Where the system has no memory left.
    pub fn new(len: usize, huge: bool) -> Pages {
        if len == 0 {
            return Pages { start: std::ptr::NonNull::dangling(), len };
        }
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new private mapping at a place that the system chooses touches no memory of ours.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
        assert!(at != libc::MAP_FAILED, "no memory for {len} bytes: {}", std::io::Error::last_os_error());
        let advice = if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // SAFETY: the range is the mapping made above. Advice that the system does not take changes nothing.
        unsafe { libc::madvise(at, len, advice) };
        let start = std::ptr::NonNull::new(at.cast()).expect("a mapping is not at address 0");
        Pages { start, len }
    }

    /// Bytes of this memory that lie on huge pages now, where the system tells; only memory that has been written to lies anywhere.
    pub fn huge_bytes(&self) -> Option<usize> {
        barewire::pages::huge_bytes(self).map(|bytes| bytes.min(self.len))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Pages {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the mapping is ours, whole, and nobody borrows it any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

#[cfg(target_os = "linux")]
impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has `len` readable bytes, all of them initialised by the system.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

#[cfg(target_os = "linux")]
impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only borrow.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(not(target_os = "linux"))]
impl Pages {
    /// `len` zeroed bytes on pages as usual: this system is not asked for huge ones.
    pub fn new(len: usize, _huge: bool) -> Pages {
        Pages { arena: crate::arena::Arena::new(len), len }
    }

    /// Not known here.
    pub fn huge_bytes(&self) -> Option<usize> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.arena.slice(0, self.len)
    }
}

#[cfg(not(target_os = "linux"))]
impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.arena.slice_mut(0, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn any_size_is_zeroed_and_writable() {
        for len in [0, 1, 4096, 5 << 20] {
            for huge in [false, true] {
                let mut pages = Pages::new(len, huge);
                assert!(pages.len() == len && pages.iter().all(|byte| *byte == 0));
                pages.fill(7);
                assert!(pages.iter().all(|byte| *byte == 7));
                let found = pages.huge_bytes();
                assert!(found.is_none_or(|bytes| bytes <= len && (huge || bytes == 0)), "{found:?} of {len}");
            }
        }
    }
}
