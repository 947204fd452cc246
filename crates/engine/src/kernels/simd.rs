//! Choice of the instruction set at run time, and the macro that instantiates one body for each.
//!
//! A kernel is written once as an `#[inline(always)]` body generic over [`Isa`]; `multiversion!` wraps it in a
//! `#[target_feature]` function where LLVM vectorises it eight lanes wide, and in a plain function for every
//! other machine. Rejected: a vector type with hand-written intrinsics for each kernel (three times the code,
//! same speed where the loops are simple), and `-C target-cpu=native` (a binary that dies on older machines).

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction set that the kernels run with.
///
/// The kernels of packed trits have a form for each; all others run their AVX2 form at [`Level::AvxVnni`] and
/// [`Level::Avx512`] too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Level {
    /// What the compile target guarantees, in plain loops: SSE2 on x86-64, NEON on aarch64.
    Portable = 1,
    /// aarch64: NEON written out, with the dot-product instruction where there is one.
    Neon = 2,
    /// x86-64: AVX2 and FMA, eight f32 lanes.
    Avx2 = 3,
    /// x86-64: AVX-512 with VNNI, VBMI and GFNI (Ice Lake, Zen 4 and later), 64 int8 products an instruction.
    Avx512 = 4,
    /// x86-64: AVX2, FMA and AVX-VNNI (Alder Lake and later without AVX-512), 32 int8 products an instruction.
    AvxVnni = 5,
    /// WebAssembly: vectors of 128 bits, where the program was compiled for them.
    Simd128 = 6,
}

impl Level {
    /// Every level, the best one last.
    pub const ALL: [Level; 6] =
        [Level::Portable, Level::Neon, Level::Simd128, Level::Avx2, Level::AvxVnni, Level::Avx512];

    /// The name that `FIDELITY_SIMD` knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Neon => "neon",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::AvxVnni => "avxvnni",
            Level::Simd128 => "simd128",
        }
    }

    /// Whether the bodies of `multiversion!` run compiled for AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const fn has_avx2(self) -> bool {
        matches!(self, Level::Avx2 | Level::AvxVnni | Level::Avx512)
    }
}

/// What `FIDELITY_SIMD` asks for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("FIDELITY_SIMD: expected {expected}, found `{found}`; {remedy}")]
pub struct SimdError {
    /// The levels that this machine has.
    pub expected: String,
    /// What was set.
    pub found: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// 0 until the first use.
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use: the best one this machine has, unless [`force`] or the environment variable
/// `FIDELITY_SIMD` names another. A name that cannot be had is ignored here; [`requested`] says what is wrong
/// with it, and the command asks it before anything else.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Neon,
        3 => Level::Avx2,
        4 => Level::Avx512,
        5 => Level::AvxVnni,
        6 => Level::Simd128,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let found = requested().ok().flatten().unwrap_or_else(best);
    LEVEL.store(found as u8, Ordering::Relaxed);
    found
}

/// The best level of this machine.
pub fn best() -> Level {
    Level::ALL.into_iter().rev().find(|level| available(*level)).unwrap_or(Level::Portable)
}

/// The level that the environment variable `FIDELITY_SIMD` names, `None` where it is unset or empty.
///
/// # Errors
/// Where the name is unknown, or this machine lacks the instruction set.
pub fn requested() -> Result<Option<Level>, SimdError> {
    let Some(value) = std::env::var_os("FIDELITY_SIMD").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let wanted = Level::ALL.into_iter().find(|level| value == level.name());
    wanted.filter(|level| available(*level)).map(Some).ok_or_else(|| {
        let names = Level::ALL.into_iter().filter(|level| available(*level)).map(Level::name);
        SimdError {
            expected: format!(
                "an instruction set of this machine ({})",
                names.collect::<Vec<_>>().join(", ")
            ),
            found: value.to_string_lossy().into_owned(),
            remedy: "set it to one of them, or unset it to let the program choose",
        }
    })
}

/// Whether this machine can run `level`.
pub fn available(level: Level) -> bool {
    match level {
        Level::Portable => true,
        Level::Neon => cfg!(target_arch = "aarch64"),
        Level::Simd128 => cfg!(all(target_arch = "wasm32", target_feature = "simd128")),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        }
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => available(Level::Avx2) && std::arch::is_x86_feature_detected!("avxvnni"),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            available(Level::Avx2)
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vnni")
                && std::arch::is_x86_feature_detected!("avx512vbmi")
                && std::arch::is_x86_feature_detected!("f16c")
                && std::arch::is_x86_feature_detected!("gfni")
        }
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::AvxVnni | Level::Avx512 => false,
    }
}

/// Makes all kernels of the process use `level`; `false`, and no change, where the machine lacks it. For tests
/// and benchmarks that compare the forms.
pub fn force(level: Level) -> bool {
    let possible = available(level);
    if possible {
        LEVEL.store(level as u8, Ordering::Relaxed);
    }
    possible
}

/// The scalar operations whose best form depends on the instruction set.
pub trait Isa: Copy {
    /// `a * b + c` with one rounding.
    fn fma(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c` in f64, of factors whose product is exact there.
    fn fma64(a: f64, b: f64, c: f64) -> f64;
    /// Largest integer not above `x`; keeps NaN, infinities and the sign of zero.
    fn floor(x: f32) -> f32;
    /// Nearest integer, ties to even.
    fn round_even(x: f32) -> f32;
}

/// Fused multiply-add and rounding in hardware: AVX2 + FMA, aarch64.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// No fused multiply-add, so it is emulated, exactly; rounding by arithmetic, because baseline x86-64 would call libm for each element.
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
        // The product is exact in f64, and the sum is rounded to odd there: rounding that to f32 rounds once (Boldo and
        // Melquiond 2008, "Emulation of FMA and correctly rounded sums"). So this machine gives the bits of the others.
        let (p, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let sum = p + c;
        let of_c = sum - p;
        let error = (p - (sum - of_c)) + (c - of_c);
        let bits = sum.to_bits();
        // One step towards the exact sum, from an even neighbour; an infinite sum has the error NaN.
        let step = if (error > 0.0) == (sum > 0.0) { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
        let odd = if (error.abs() > 0.0) & (bits & 1 == 0) { step } else { bits };
        f64::from_bits(odd) as f32
    }
    #[inline(always)]
    fn fma64(a: f64, b: f64, c: f64) -> f64 {
        // Used on factors that were f32, whose product is exact.
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
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn wider($($arg: $ty),*) $(-> $ret)? {
                    $body::<$crate::kernels::simd::Fused>($($arg),*)
                }
                if $crate::kernels::simd::level() == $crate::kernels::simd::Level::Avx512 {
                    // SAFETY: the level is Avx512 only where `available` found these on this machine.
                    return unsafe { wider($($arg),*) };
                }
                if $crate::kernels::simd::level().has_avx2() {
                    // SAFETY: the level has AVX2 only where `available` found AVX2 and FMA on this machine.
                    return unsafe { wide($($arg),*) };
                }
            }
            $body::<$crate::kernels::simd::Base>($($arg),*)
        }
    };
}
pub(crate) use multiversion;
