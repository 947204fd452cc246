//! One time step of a selective scan for the states of 16 channels: forwards, computed again, and backwards. The loops
//! over plain arrays are what a step means; the AVX-512 form does the same operations in the same order and gives the
//! same bits. It is written out because the compiler keeps the sums over the states in memory, which makes every state
//! wait for the one before it (2 times the time).
#![allow(unsafe_code)]

use super::super::math::exp;
use super::super::simd::Isa;

/// Channels side by side.
pub(super) const LANES: usize = premap::cut::LANES;
pub(super) type Lanes = [f32; LANES];

/// The steps of a scan on an instruction set. Vectors are per state, all of one length.
pub(super) trait Steps: Copy {
    /// h = exp(dt a) h + dt x b for each state; the sum of c h.
    fn step(at: [&Lanes; 2], a: &[Lanes], h: &mut [Lanes], maps: [&[f32]; 2]) -> Lanes;

    /// The gates exp(dt a), and the states after the step from those before it.
    fn again(at: [&Lanes; 2], a: &[Lanes], b: &[f32], before: &[Lanes], out: [&mut [Lanes]; 2]);

    /// The cotangents of x and dt from dt, x and the cotangent of y; those of a, b and c are added to, those of the states
    /// replaced. `given` has a, the states before and after, the gates; `sums` has da, the states' cotangents, db, dc.
    fn back(at: [&Lanes; 3], maps: [&[f32]; 2], given: [&[Lanes]; 4], sums: [&mut [Lanes]; 4]) -> [Lanes; 2];
}

impl<I: Isa> Steps for I {
    #[inline(always)]
    fn step([dt, x]: [&Lanes; 2], a: &[Lanes], h: &mut [Lanes], [b, c]: [&[f32]; 2]) -> Lanes {
        let mut sum = [0.0; LANES];
        for (((a, h), &b), &c) in a.iter().zip(h).zip(b).zip(c) {
            for l in 0..LANES {
                let state = I::fma(exp::<I>(dt[l] * a[l]), h[l], dt[l] * x[l] * b);
                h[l] = state;
                sum[l] = I::fma(c, state, sum[l]);
            }
        }
        sum
    }

    #[inline(always)]
    fn again(
        [dt, x]: [&Lanes; 2],
        a: &[Lanes],
        b: &[f32],
        before: &[Lanes],
        [gates, after]: [&mut [Lanes]; 2],
    ) {
        for ((((a, before), after), gate), &b) in a.iter().zip(before).zip(after).zip(gates).zip(b) {
            for l in 0..LANES {
                let g = exp::<I>(dt[l] * a[l]);
                gate[l] = g;
                after[l] = I::fma(g, before[l], dt[l] * x[l] * b);
            }
        }
    }

    #[inline(always)]
    fn back(
        [dt, x, dy]: [&Lanes; 3],
        [b, c]: [&[f32]; 2],
        [a, before, after, gates]: [&[Lanes]; 4],
        [da, carry, db, dc]: [&mut [Lanes]; 4],
    ) -> [Lanes; 2] {
        let (mut into, mut exponent) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..a.len() {
            let (a, before, after, gate) = (&a[k], &before[k], &after[k], &gates[k]);
            let (da, carry, db, dc) = (&mut da[k], &mut carry[k], &mut db[k], &mut dc[k]);
            let (b, c) = (b[k], c[k]);
            for l in 0..LANES {
                let g = I::fma(c, dy[l], carry[l]);
                dc[l] = I::fma(dy[l], after[l], dc[l]);
                db[l] = I::fma(g, dt[l] * x[l], db[l]);
                into[l] = I::fma(g, b, into[l]);
                let carried = g * gate[l];
                let e = carried * before[l];
                exponent[l] = I::fma(e, a[l], exponent[l]);
                da[l] = I::fma(e, dt[l], da[l]);
                carry[l] = carried;
            }
        }
        for l in 0..LANES {
            exponent[l] = I::fma(into[l], x[l], exponent[l]);
            into[l] *= dt[l];
        }
        [into, exponent]
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use wide::{Avx512, transpose};

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{Lanes, Steps};
    use crate::kernels::math::exp_avx512;
    use std::arch::x86_64::*;

    /// Sixteen lanes in a register. Used only where the level is AVX-512.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512;

    impl Steps for Avx512 {
        #[inline(always)]
        fn step(at: [&Lanes; 2], a: &[Lanes], h: &mut [Lanes], maps: [&[f32]; 2]) -> Lanes {
            // SAFETY: the type is used only where the machine has AVX-512.
            unsafe { step(at, a, h, maps) }
        }
        #[inline(always)]
        fn again(at: [&Lanes; 2], a: &[Lanes], b: &[f32], before: &[Lanes], out: [&mut [Lanes]; 2]) {
            // SAFETY: as above.
            unsafe { again(at, a, b, before, out) }
        }
        #[inline(always)]
        fn back(
            at: [&Lanes; 3],
            maps: [&[f32]; 2],
            given: [&[Lanes]; 4],
            sums: [&mut [Lanes]; 4],
        ) -> [Lanes; 2] {
            // SAFETY: as above.
            unsafe { back(at, maps, given, sums) }
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load(lanes: &Lanes) -> __m512 {
        // SAFETY: sixteen floats are there.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn store(lanes: &mut Lanes, v: __m512) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), v) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn lanes(v: __m512) -> Lanes {
        let mut out = [0.0; 16];
        store(&mut out, v);
        out
    }

    /// Rows of 16 as columns: pairs, fours, eights and sixteens change places.
    ///
    /// # Panics
    /// Unless both are 16 rows of 16.
    #[target_feature(enable = "avx512f")]
    pub(in super::super) fn transpose(from: &[f32], to: &mut [f32]) {
        assert!(from.len() == 256 && to.len() == 256);
        // SAFETY: row k is within the 256 elements.
        let r: [__m512; 16] = std::array::from_fn(|k| unsafe { _mm512_loadu_ps(from.as_ptr().add(16 * k)) });
        let mut t = r;
        for k in 0..8 {
            t[2 * k] = _mm512_unpacklo_ps(r[2 * k], r[2 * k + 1]);
            t[2 * k + 1] = _mm512_unpackhi_ps(r[2 * k], r[2 * k + 1]);
        }
        let mut u = t;
        for k in 0..4 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| _mm512_castps_pd(t[4 * k + i]));
            u[4 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
            u[4 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
            u[4 * k + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
            u[4 * k + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
        }
        // u[4 k + i] holds columns i, 4 + i, 8 + i, 12 + i of rows 4 k to 4 k + 3.
        for i in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x88>(u[i], u[4 + i]);
            let high = _mm512_shuffle_f32x4::<0xdd>(u[i], u[4 + i]);
            let low2 = _mm512_shuffle_f32x4::<0x88>(u[8 + i], u[12 + i]);
            let high2 = _mm512_shuffle_f32x4::<0xdd>(u[8 + i], u[12 + i]);
            let columns = [
                (i, _mm512_shuffle_f32x4::<0x88>(low, low2)),
                (8 + i, _mm512_shuffle_f32x4::<0xdd>(low, low2)),
                (4 + i, _mm512_shuffle_f32x4::<0x88>(high, high2)),
                (12 + i, _mm512_shuffle_f32x4::<0xdd>(high, high2)),
            ];
            for (column, v) in columns {
                // SAFETY: as above.
                unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(16 * column), v) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn step([dt, x]: [&Lanes; 2], a: &[Lanes], h: &mut [Lanes], [b, c]: [&[f32]; 2]) -> Lanes {
        let dt = load(dt);
        let drive = _mm512_mul_ps(dt, load(x));
        let mut sum = _mm512_setzero_ps();
        for (((a, h), &b), &c) in a.iter().zip(h).zip(b).zip(c) {
            let gate = exp_avx512(_mm512_mul_ps(dt, load(a)));
            let state = _mm512_fmadd_ps(gate, load(h), _mm512_mul_ps(drive, _mm512_set1_ps(b)));
            store(h, state);
            sum = _mm512_fmadd_ps(_mm512_set1_ps(c), state, sum);
        }
        lanes(sum)
    }

    #[target_feature(enable = "avx512f")]
    fn again(
        [dt, x]: [&Lanes; 2],
        a: &[Lanes],
        b: &[f32],
        before: &[Lanes],
        [gates, after]: [&mut [Lanes]; 2],
    ) {
        let dt = load(dt);
        let drive = _mm512_mul_ps(dt, load(x));
        for ((((a, before), after), gate), &b) in a.iter().zip(before).zip(after).zip(gates).zip(b) {
            let g = exp_avx512(_mm512_mul_ps(dt, load(a)));
            store(gate, g);
            store(after, _mm512_fmadd_ps(g, load(before), _mm512_mul_ps(drive, _mm512_set1_ps(b))));
        }
    }

    #[target_feature(enable = "avx512f")]
    fn back(
        [dt, x, dy]: [&Lanes; 3],
        [b, c]: [&[f32]; 2],
        [a, before, after, gates]: [&[Lanes]; 4],
        [da, carry, db, dc]: [&mut [Lanes]; 4],
    ) -> [Lanes; 2] {
        let (dt, x, dy) = (load(dt), load(x), load(dy));
        let drive = _mm512_mul_ps(dt, x);
        let (mut into, mut exponent) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        let read = a.iter().zip(before).zip(after).zip(gates).zip(b).zip(c);
        let sums = da.iter_mut().zip(carry).zip(db).zip(dc);
        for ((((((a, before), after), gate), &b), &c), (((da, carry), db), dc)) in read.zip(sums) {
            let g = _mm512_fmadd_ps(_mm512_set1_ps(c), dy, load(carry));
            store(dc, _mm512_fmadd_ps(dy, load(after), load(dc)));
            store(db, _mm512_fmadd_ps(g, drive, load(db)));
            into = _mm512_fmadd_ps(g, _mm512_set1_ps(b), into);
            let carried = _mm512_mul_ps(g, load(gate));
            let e = _mm512_mul_ps(carried, load(before));
            exponent = _mm512_fmadd_ps(e, load(a), exponent);
            store(da, _mm512_fmadd_ps(e, dt, load(da)));
            store(carry, carried);
        }
        [lanes(_mm512_mul_ps(into, dt)), lanes(_mm512_fmadd_ps(into, x, exponent))]
    }
}
