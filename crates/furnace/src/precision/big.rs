//! What the wide arithmetics share: numbers of the crate `astro-float` read from and written to decimals, and rounded
//! once to a format of any width.
//!
//! A number of that crate is ±0.m × 2^e with a mantissa of whole words. Its sums, products, quotients and roots are
//! correctly rounded, to whole words only; [`Rounded`] is what makes 113, 64, 53 or 24 bits of it without rounding twice.

use astro_float::{BigFloat, Consts, EXPONENT_MAX, Exponent, Radix, RoundingMode, Sign, WORD_BIT_SIZE, Word};
use std::cell::RefCell;

/// Nearest, ties to even.
pub(super) const EVEN: RoundingMode = RoundingMode::ToEven;

thread_local! {
    static CONSTS: RefCell<Option<Consts>> = const { RefCell::new(None) };
}

/// Runs `f` with this thread's cache of π, ln 2 and the like; NaN where there is no memory for one.
pub(super) fn with_consts(f: impl FnOnce(&mut Consts) -> BigFloat) -> BigFloat {
    CONSTS.with(|c| {
        let mut slot = c.borrow_mut();
        if slot.is_none() {
            *slot = Consts::new().ok();
        }
        match slot.as_mut() {
            Some(consts) => f(consts),
            None => BigFloat::nan(None),
        }
    })
}

/// A double, exactly (64 bits hold it).
pub(super) fn from_f64(x: f64, bits: usize) -> BigFloat {
    let mut made = BigFloat::from_f64(x, bits);
    if x.is_subnormal() {
        // The crate (0.9.6) reads subnormals as half of what they are.
        const UP: i32 = 200;
        made = BigFloat::from_f64(x * 2f64.powi(UP), bits);
        made.set_exponent(made.exponent().unwrap_or(0) - UP as Exponent);
    }
    if x == 0.0 && x.is_sign_negative() {
        made.set_sign(Sign::Neg);
    }
    made
}

/// A decimal such as `-2.5e-3`, to `bits`; `None` where the text is none.
pub(super) fn parse(text: &str, bits: usize) -> Option<BigFloat> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "inf" | "infinity" => {
            let sign = lower.starts_with('-');
            return Some(if sign { astro_float::INF_NEG } else { astro_float::INF_POS });
        }
        "nan" => return Some(BigFloat::nan(None)),
        _ => {}
    }
    if !is_decimal(&lower) {
        return None;
    }
    let made = with_consts(|c| BigFloat::parse(&lower, Radix::Dec, bits, EVEN, c));
    if made.is_nan() { None } else { Some(made) }
}

/// `[+-] digits [. digits] [e [+-] digits]` with a digit before the exponent, which is small enough to be meant.
fn is_decimal(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once('e') {
        Some((m, e)) => (m, Some(e)),
        None => (body, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let points = mantissa.bytes().filter(|b| *b == b'.').count();
    let exponent_fits = exponent.is_none_or(|e| e.parse::<i32>().is_ok_and(|e| e.abs() <= 100_000_000));
    digits > 0 && points <= 1 && digits + points == mantissa.len() && exponent_fits
}

/// All decimal digits that the mantissa is worth, as `-d.ddde-n`.
pub(super) fn format(x: &BigFloat) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_inf() {
        return if x.is_inf_neg() { "-inf".into() } else { "inf".into() };
    }
    if x.is_zero() {
        return if x.is_negative() { "-0".into() } else { "0".into() };
    }
    let text = CONSTS.with(|c| {
        let mut slot = c.borrow_mut();
        if slot.is_none() {
            *slot = Consts::new().ok();
        }
        slot.as_mut().and_then(|c| x.format(Radix::Dec, RoundingMode::None, c).ok())
    });
    tidy(&text.unwrap_or_else(|| "NaN".into()))
}

/// Without trailing zeros of the mantissa and without `e+0`.
fn tidy(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    match exponent.trim_start_matches('+') {
        "0" => mantissa.to_string(),
        e => format!("{mantissa}e{e}"),
    }
}

/// A magnitude rounded once, to nearest with ties to even: `mantissa` × 2^`quantum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    /// At most as many bits as were asked for.
    pub(super) mantissa: u128,
    /// The exponent of the last bit.
    pub(super) quantum: i64,
}

impl Rounded {
    /// Rounds a finite number to `bits` (at most 126), or to fewer where the last bit would fall below `lowest`.
    pub(super) fn new(x: &BigFloat, bits: u32, lowest: i64) -> Rounded {
        let Some((words, _, _, exponent, _)) = x.as_raw_parts() else {
            return Rounded { mantissa: 0, quantum: lowest };
        };
        let zeros = leading_zeros(words);
        let width = (words.len() * WORD_BIT_SIZE) as i64;
        if zeros == width {
            return Rounded { mantissa: 0, quantum: lowest };
        }
        // The leading bit is worth 2^(top - 1).
        let top = i64::from(exponent) - zeros;
        let quantum = (top - i64::from(bits)).max(lowest);
        let keep = top - quantum;
        if keep < 0 {
            return Rounded { mantissa: 0, quantum };
        }
        let (head, more) = head(words, zeros);
        // At most 126 bits are kept, so the next bit is in the head as well.
        let kept = if keep == 0 { 0 } else { head >> (128 - keep) };
        let half = head >> (127 - keep) & 1 == 1;
        let rest = more || head << (keep + 1) != 0;
        let up = half && (rest || kept & 1 == 1);
        Rounded { mantissa: kept + u128::from(up), quantum }
    }

    /// As a double, when rounded to one: exact.
    fn to_f64(self) -> f64 {
        // Two steps, so that neither factor leaves the range of doubles.
        let m = self.mantissa as f64;
        if self.quantum > 1100 {
            return if self.mantissa == 0 { 0.0 } else { f64::INFINITY };
        }
        let half = self.quantum / 2;
        m * 2f64.powi(half as i32) * 2f64.powi((self.quantum - half) as i32)
    }
}

/// The first 128 bits of the mantissa after its leading zeros, and whether a bit is set below them.
fn head(words: &[Word], zeros: i64) -> (u128, bool) {
    let (mut head, mut left, mut more) = (0u128, 128i64, false);
    let mut skip = zeros;
    for w in words.iter().rev() {
        let width = WORD_BIT_SIZE as i64;
        if skip >= width {
            skip -= width;
            continue;
        }
        let (w, n) = (u128::from(*w) & (u128::MAX >> (128 - (width - skip))), width - skip);
        skip = 0;
        if left >= n {
            left -= n;
            head |= w << left;
        } else {
            let low = n - left;
            head |= w >> low;
            more |= w & ((1 << low) - 1) != 0;
            left = 0;
        }
    }
    (head, more)
}

fn leading_zeros(words: &[Word]) -> i64 {
    let mut n = 0;
    for w in words.iter().rev() {
        n += i64::from(w.leading_zeros());
        if *w != 0 {
            break;
        }
    }
    n
}

/// The nearest number of a binary format with `bits` of precision and the given exponent of the smallest subnormal,
/// as a double; formats up to f64.
pub(super) fn to_format(x: &BigFloat, bits: u32, lowest: i64, largest: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    let sign = if x.is_negative() { -1.0 } else { 1.0 };
    if x.is_inf() {
        return sign * f64::INFINITY;
    }
    let y = Rounded::new(x, bits, lowest).to_f64();
    sign * if y > largest { f64::INFINITY } else { y }
}

/// The nearest double.
pub(super) fn to_f64(x: &BigFloat) -> f64 {
    to_format(x, 53, -1074, f64::MAX)
}

/// Rounded once to an element type, as a double; `None` for types that are no narrower than f64.
pub(super) fn round_to(x: &BigFloat, dtype: axes::DType) -> Option<f64> {
    Some(match dtype {
        axes::DType::F32 => to_format(x, 24, -149, f64::from(f32::MAX)),
        axes::DType::F16 => to_format(x, 11, -24, 65504.0),
        axes::DType::BF16 => to_format(x, 8, -133, 3.389_531_389_251_535_5e38),
        _ => return None,
    })
}

/// The number `mantissa` × 2^`quantum`, exactly.
pub(super) fn from_integer(mantissa: u128, quantum: i64, negative: bool) -> BigFloat {
    if mantissa == 0 {
        let mut zero = BigFloat::new(128);
        zero.set_sign(if negative { Sign::Neg } else { Sign::Pos });
        return zero;
    }
    let shift = mantissa.leading_zeros();
    let top = mantissa << shift;
    let words: [Word; 128 / WORD_BIT_SIZE] = std::array::from_fn(|i| (top >> (i * WORD_BIT_SIZE)) as Word);
    let exponent = quantum + 128 - i64::from(shift);
    let exponent = exponent.clamp(-i64::from(EXPONENT_MAX), i64::from(EXPONENT_MAX)) as Exponent;
    BigFloat::from_words(&words, if negative { Sign::Neg } else { Sign::Pos }, exponent)
}

/// Nearest integer, ties to even.
pub(super) fn round_half_even(x: &BigFloat) -> BigFloat {
    if x.is_inf() || x.is_nan() { x.clone() } else { x.round(0, EVEN) }
}

/// x to the power y, to `bits`, with the values that C's `pow` has where the crate has others.
pub(super) fn pow(x: &BigFloat, y: &BigFloat, bits: usize) -> BigFloat {
    let one = BigFloat::from_word(1, bits);
    if y.is_zero() || x.cmp(&one) == Some(0) {
        return one;
    }
    let half = |v: &BigFloat| v.mul(&from_f64(0.5, 64), 64 + v.mantissa_max_bit_len().unwrap_or(0), EVEN);
    let odd = |v: &BigFloat| v.is_int() && !half(v).is_int();
    if x.is_zero() {
        let infinite = y.is_negative();
        let negative = x.is_negative() && odd(y);
        return match (infinite, negative) {
            (true, false) => astro_float::INF_POS,
            (true, true) => astro_float::INF_NEG,
            (false, _) => {
                let mut zero = BigFloat::new(bits);
                zero.set_sign(if negative { Sign::Neg } else { Sign::Pos });
                zero
            }
        };
    }
    if y.is_inf() && !x.is_nan() {
        let grows = x.abs().cmp(&one).is_some_and(|c| c > 0) == y.is_inf_pos();
        return match x.abs().cmp(&one) {
            Some(0) => one,
            _ if grows => astro_float::INF_POS,
            _ => BigFloat::new(bits),
        };
    }
    if x.is_negative() && !x.is_inf() {
        if !y.is_int() {
            return BigFloat::nan(None);
        }
        let size = power(&x.abs(), y, bits);
        return if odd(y) { size.neg() } else { size };
    }
    power(x, y, bits)
}

/// x^y for x > 0. The crate's own rounding raises the precision until the result is not half way between two numbers, and
/// never ends where the power is a number of few bits, such as 2.5² or 4^0.5; so a word more is computed, and rounded once.
fn power(x: &BigFloat, y: &BigFloat, bits: usize) -> BigFloat {
    let mut wide = with_consts(|c| x.pow(y, bits + 64, RoundingMode::None, c));
    // Fails only where there is no mantissa, for infinities and NaN, which need no rounding.
    let _ = wide.set_precision(bits, EVEN);
    wide
}
