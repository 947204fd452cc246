//! Choice of the instruction set at run time, and the macro that instantiates one body for each.
//!
//! A kernel is written once as an `#[inline(always)]` body generic over [`Isa`]; `multiversion!` wraps it in a
//! `#[target_feature]` function where LLVM vectorises it eight lanes wide, and in a plain function for every
//! other machine. Rejected: a vector type with hand-written intrinsics for each kernel (three times the code,
//! same speed where the loops are simple), and `-C target-cpu=native` (a binary that dies on older machines).

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction set that the kernels run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the compile target guarantees: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// AVX2 and FMA, eight f32 lanes.
    Avx2,
}

const UNKNOWN: u8 = 0;
const PORTABLE: u8 = 1;
const AVX2: u8 = 2;

static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The instruction set in use: the best one this machine has, unless [`force`] or the environment variable
/// `FIDELITY_SIMD=portable` says otherwise.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        AVX2 => Level::Avx2,
        PORTABLE => Level::Portable,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let wanted = std::env::var("FIDELITY_SIMD").map_or(true, |value| value != "portable");
    let found = if wanted && available(Level::Avx2) { Level::Avx2 } else { Level::Portable };
    LEVEL.store(if found == Level::Avx2 { AVX2 } else { PORTABLE }, Ordering::Relaxed);
    found
}

/// Whether this machine can run `level`.
pub fn available(level: Level) -> bool {
    match level {
        Level::Portable => true,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        }
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 => false,
    }
}

/// Makes all kernels of the process use `level`; `false`, and no change, where the machine lacks it. For tests
/// and benchmarks that compare the forms.
pub fn force(level: Level) -> bool {
    let possible = available(level);
    if possible {
        LEVEL.store(if level == Level::Avx2 { AVX2 } else { PORTABLE }, Ordering::Relaxed);
    }
    possible
}

/// The scalar operations whose best form depends on the instruction set.
pub trait Isa: Copy {
    /// `a * b + c`, with one rounding where the hardware fuses.
    fn fma(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c` in f64.
    fn fma64(a: f64, b: f64, c: f64) -> f64;
    /// Largest integer not above `x`; keeps NaN, infinities and the sign of zero.
    fn floor(x: f32) -> f32;
    /// Nearest integer, ties to even.
    fn round_even(x: f32) -> f32;
}

/// Fused multiply-add and rounding in hardware: AVX2 + FMA, aarch64.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// No fused multiply-add; rounding by arithmetic, because baseline x86-64 would call libm for each element.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Isa for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn floor(x: f32) -> f32 {
        x.floor()
    }
    #[inline(always)]
    fn round_even(x: f32) -> f32 {
        x.round_ties_even()
    }
}

/// From here on every f32 is an integer, and adding it to a smaller number rounds that number to one.
const TWO_23: f32 = 8_388_608.0;

impl Isa for Plain {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    #[inline(always)]
    fn floor(x: f32) -> f32 {
        let rounded = Self::round_even(x);
        let below = if rounded > x { rounded - 1.0 } else { rounded };
        below.copysign(x)
    }
    #[inline(always)]
    fn round_even(x: f32) -> f32 {
        let magnitude = x.abs();
        let rounded = (magnitude + TWO_23) - TWO_23;
        // NaN and large values fail the comparison and pass unchanged.
        let kept = if magnitude < TWO_23 { rounded } else { magnitude };
        kept.copysign(x)
    }
}

/// The form used where the run-time choice is [`Level::Portable`].
#[cfg(target_arch = "aarch64")]
pub type Base = Fused;
/// The form used where the run-time choice is [`Level::Portable`].
#[cfg(not(target_arch = "aarch64"))]
pub type Base = Plain;

/// Defines `fn name(args)` that runs `body::<I>(args)` compiled for the instruction set found at run time.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::kernels::simd::Fused>($($arg),*)
                }
                if $crate::kernels::simd::level() == $crate::kernels::simd::Level::Avx2 {
                    // SAFETY: the level is Avx2 only where `available` found AVX2 and FMA on this machine.
                    return unsafe { wide($($arg),*) };
                }
            }
            $body::<$crate::kernels::simd::Base>($($arg),*)
        }
    };
}
pub(crate) use multiversion;
