//! The plain Rust loops that compiled code is compared with.
#![allow(unsafe_code)]

/// y = Σ x t over packed bytes in the compute layout, for whole groups of four rows and whole blocks, compiled for AVX-512 with VNNI
/// where this machine has them.
pub(crate) fn packed(w: &[u8], x: &[i8], columns: usize, y: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
        fn wide(w: &[u8], x: &[i8], columns: usize, y: &mut [i32]) {
            packed_body(w, x, columns, y);
        }
        if alex::cpu::Isa::host() == alex::cpu::Isa::Avx512 {
            // SAFETY: the host's family is AVX-512 only where all of these were found.
            return unsafe { wide(w, x, columns, y) };
        }
    }
    packed_body(w, x, columns, y);
}

#[inline(always)]
fn packed_body(w: &[u8], x: &[i8], columns: usize, y: &mut [i32]) {
    let total: i32 = x.iter().map(|x| i32::from(*x)).sum();
    for (group, y) in w.chunks_exact(columns).zip(y.chunks_exact_mut(4)) {
        y.fill(-total);
        for (block, x) in group.chunks_exact(256).zip(x.chunks_exact(256)) {
            for (bytes, y) in block.chunks_exact(64).zip(y.iter_mut()) {
                let mut sum = 0;
                for (plane, x) in x.chunks_exact(64).enumerate() {
                    for (byte, x) in bytes.iter().zip(x) {
                        sum += i32::from((byte >> (2 * plane)) & 3) * i32::from(*x);
                    }
                }
                *y += sum;
            }
        }
    }
}

/// y = Σ x t over trits of one byte: the naive loop, with nothing said of the machine.
pub(crate) fn naive(trits: &[i8], x: &[f32], y: &mut [f32]) {
    for (trits, y) in trits.chunks_exact(x.len()).zip(y) {
        *y = trits.iter().zip(x).map(|(t, x)| f32::from(*t) * x).sum();
    }
}
