//! NEON: the plain form with its unpacking and its products written out.
//!
//! `sdot` where the machine has it; elsewhere `smull`, whose products of two int8 fit 16 bits, and `sadalp`, which adds them
//! to 32 bits at once, so no sum can overflow on the way.

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use axes::BlockFormat;

use super::super::packed::neon::sdot;
use super::portable::{Kind, Machine, Plain, STRETCH, Stretch, rows_of};
use super::{Activations, BlockMatrix, Out};

/// `DOT`: with `sdot`.
struct Neon<const DOT: bool>;

/// The outputs of a task.
pub(super) fn rows(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    match is_aarch64_feature_detected!("dotprod") {
        // SAFETY: the extension was just looked for.
        true => unsafe { rows_dot(w, x, n, out) },
        false => rows_of::<Neon<false>>(w, x, n, out),
    }
}

#[target_feature(enable = "neon,dotprod")]
fn rows_dot(w: &BlockMatrix<'_>, x: &Activations<'_>, n: usize, out: &mut Out<'_>) {
    rows_of::<Neon<true>>(w, x, n, out);
}

/// 16 bytes from `at` on.
#[inline(always)]
fn load(b: &[u8], at: usize) -> uint8x16_t {
    let b = &b[at..][..16];
    // SAFETY: 16 bytes, any alignment; every aarch64 machine that this program is compiled for has NEON.
    unsafe { vld1q_u8(b.as_ptr()) }
}

/// Stores codes, less `offset` each.
#[inline(always)]
fn store(codes: &mut [i8], at: usize, x: uint8x16_t, offset: i8) {
    let codes = &mut codes[at..][..16];
    // SAFETY: 16 bytes, any alignment; NEON, as above.
    unsafe { vst1q_s8(codes.as_mut_ptr(), vsubq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(offset))) }
}

/// Bits 0 and 1, 2 and 3, 4 and 5, 6 and 7.
#[inline(always)]
fn planes(b: uint8x16_t) -> [uint8x16_t; 4] {
    // SAFETY: NEON, as above.
    unsafe {
        let three = vdupq_n_u8(3);
        [
            vandq_u8(b, three),
            vandq_u8(vshrq_n_u8::<2>(b), three),
            vandq_u8(vshrq_n_u8::<4>(b), three),
            vshrq_n_u8::<6>(b),
        ]
    }
}

/// The low and the high halves of bytes.
#[inline(always)]
fn halves(b: uint8x16_t) -> [uint8x16_t; 2] {
    // SAFETY: NEON, as above.
    unsafe { [vandq_u8(b, vdupq_n_u8(15)), vshrq_n_u8::<4>(b)] }
}

/// Adds 16 products.
#[inline(always)]
fn add<const DOT: bool>(sum: int32x4_t, q: &[i8; 16], x: &[i8; 16]) -> int32x4_t {
    // SAFETY: 16 bytes each; NEON, as above; `rows` chooses DOT where the machine has it.
    unsafe {
        let (q, x) = (vld1q_s8(q.as_ptr()), vld1q_s8(x.as_ptr()));
        if DOT {
            return sdot(sum, q, x);
        }
        let sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(q), vget_low_s8(x)));
        vpadalq_s16(sum, vmull_high_s8(q, x))
    }
}

impl<const DOT: bool> Machine for Neon<DOT> {
    #[inline(always)]
    fn block<K: Kind>(to: &mut Stretch, b: &[u8], from: usize) {
        let codes = &mut to.codes;
        match K::FORMAT {
            BlockFormat::Q8_0 => {
                store(codes, from, load(b, 2), 0);
                store(codes, from + 16, load(b, 18), 0);
            }
            BlockFormat::Q4_0 => {
                let [low, high] = halves(load(b, 2));
                store(codes, from, low, 8);
                store(codes, from + 16, high, 8);
            }
            BlockFormat::Q4K => {
                for i in 0..8 {
                    let [low, high] = halves(load(b, 16 + 16 * i));
                    let at = 64 * (i / 2) + 16 * (i % 2);
                    store(codes, at, low, 0);
                    store(codes, at + 32, high, 0);
                }
                to.four_bit_scales(b);
            }
            BlockFormat::Q6K => {
                to.s = std::array::from_fn(|g| b[192 + g] as i8);
                for i in 0..4 {
                    let (h, rest) = (i / 2, 16 * (i % 2));
                    let [one, third] = halves(load(b, 64 * h + rest));
                    let [two, fourth] = halves(load(b, 64 * h + rest + 32));
                    let high = planes(load(b, 128 + 32 * h + rest));
                    for (p, low) in [one, two, third, fourth].into_iter().enumerate() {
                        // SAFETY: NEON, as above.
                        let six = unsafe { vorrq_u8(low, vshlq_n_u8::<4>(high[p])) };
                        store(codes, 128 * h + 32 * p + rest, six, 32);
                    }
                }
            }
            BlockFormat::Q2_0 => {
                let [p, q, r, s] = planes(load(b, 2));
                let codes = &mut codes[from..][..64];
                // SAFETY: 64 bytes; NEON, as above.
                unsafe {
                    let one = vdupq_n_s8(1);
                    let less = |x| vsubq_s8(vreinterpretq_s8_u8(x), one);
                    vst4q_s8(codes.as_mut_ptr(), int8x16x4_t(less(p), less(q), less(r), less(s)));
                }
            }
            BlockFormat::Tq2_0 => {
                for i in 0..4 {
                    for (p, plane) in planes(load(b, 16 * i)).into_iter().enumerate() {
                        store(codes, 128 * (i / 2) + 32 * p + 16 * (i % 2), plane, 1);
                    }
                }
            }
            _ => to.block(K::FORMAT, b, from),
        }
    }

    #[inline(always)]
    fn dots<K: Kind, const N: usize>(q: &[i8; STRETCH], x: &[i8], sums: &mut [i32; 8]) {
        for ((sum, q), x) in sums.iter_mut().zip(q.as_chunks::<N>().0).zip(x.as_chunks::<N>().0) {
            // SAFETY: NEON, as above.
            unsafe {
                let mut four = [vdupq_n_s32(0); 2];
                for (i, (q, x)) in q.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0).enumerate() {
                    four[i % 2] = add::<DOT>(four[i % 2], q, x);
                }
                *sum = vaddvq_s32(vaddq_s32(four[0], four[1]));
            }
        }
    }

    #[inline(always)]
    fn scaled<const N: usize>(q: &[i8], x: &[i8], s: &[i8; 16]) -> i32 {
        // SAFETY: NEON, as above.
        unsafe {
            let mut sum = vdupq_n_s32(0);
            for ((q, x), s) in q.as_chunks::<N>().0.iter().zip(x.as_chunks::<N>().0).zip(s) {
                let mut group = vdupq_n_s32(0);
                for (q, x) in q.as_chunks::<16>().0.iter().zip(x.as_chunks::<16>().0) {
                    group = add::<DOT>(group, q, x);
                }
                sum = vmlaq_n_s32(sum, group, i32::from(*s));
            }
            vaddvq_s32(sum)
        }
    }

    #[inline(always)]
    fn floats<const BF16: bool>(partials: &mut [f32; 32], b: &[u8; 64], x: &[f32; 32]) {
        Plain::floats::<BF16>(partials, b, x);
    }
}
