//! Rounding to shorter floats.

use super::super::simd::{Isa, multiversion};
use super::ELEMENTS_PER_TASK;
use crate::pool::Pool;

/// `y` = `x` in bf16, to nearest, ties to even; NaN stays NaN. `y` holds the bits.
///
/// # Panics
/// Where the lengths differ.
///
/// ```
/// use engine::{kernels::rows::to_bf16, pool::Pool};
/// let mut y = [0; 3];
/// to_bf16(&Pool::single(), &[1.0, -2.5, 1.00390625], &mut y);
/// assert_eq!(y, [0x3f80, 0xc020, 0x3f80]); // the last lies halfway, and 1 is even
/// ```
pub fn to_bf16(pool: &Pool, x: &[f32], y: &mut [u16]) {
    assert_eq!(x.len(), y.len(), "x and y have one length");
    pool.chunks(y, ELEMENTS_PER_TASK, |task, y| {
        round(&x[task * ELEMENTS_PER_TASK..][..y.len()], y);
    });
}

multiversion! {
    fn round(x: &[f32], y: &mut [u16]) = round_body
}

#[inline(always)]
fn round_body<I: Isa>(x: &[f32], y: &mut [u16]) {
    for (y, x) in y.iter_mut().zip(x) {
        let bits = x.to_bits();
        // Half of the last kept bit, less one where that bit is even: ties go to even.
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        *y = if x.is_nan() { (bits >> 16 | 0x40) as u16 } else { rounded as u16 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_rounding_of_half() {
        // Every exponent with the mantissas around ties, and all of both signs' specials.
        let tails = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1_7fff, 0x1_8000, 0x1_8001, 0x7f_ffff];
        let x: Vec<f32> =
            (0..512u32).flat_map(|high| tails.map(|low| f32::from_bits(high << 23 | low))).collect();
        let mut y = vec![0; x.len()];
        to_bf16(&Pool::new(2), &x, &mut y);
        for (x, y) in x.iter().zip(y) {
            let expected = half::bf16::from_f32(*x);
            let same = y == expected.to_bits() || (x.is_nan() && half::bf16::from_bits(y).is_nan());
            assert!(same, "{x:e}: {y:#x}, expected {:#x}", expected.to_bits());
        }
    }
}
