//! Which processors the calling thread may use, and keeping it on one.
#![allow(unsafe_code)]

/// The processors that the calling thread may use, ascending; none where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn allowed() -> Vec<usize> {
    // SAFETY: a set of bits, for which zeros are a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the set is ours and has the size that is named; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut set) } != 0 {
        return vec![];
    }
    // SAFETY: the index is below the number of bits of the set.
    (0..8 * size).filter(|processor| unsafe { libc::CPU_ISSET(*processor, &set) }).collect()
}

/// Keeps the calling thread on `processor`; whether that worked.
#[cfg(target_os = "linux")]
pub(super) fn pin(processor: usize) -> bool {
    let size = size_of::<libc::cpu_set_t>();
    if processor >= 8 * size {
        return false;
    }
    // SAFETY: a set of bits, for which zeros are a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is below the number of bits of the set, which is ours; 0 is the calling thread.
    unsafe {
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size, &raw const set) == 0
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn allowed() -> Vec<usize> {
    vec![]
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_processor: usize) -> bool {
    false
}
