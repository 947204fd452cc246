//! Decimal texts and the doubles beside them.
//!
//! A number that a person writes is a decimal; one tenth has no double. A constant therefore keeps the text where the
//! double is not equal to it, and an arithmetic that knows better than a double reads the text.

/// The double nearest to a decimal of digits, at most one point and an exponent; `None` for other texts and where the
/// double would be infinite.
///
/// ```
/// use graph::decimal::nearest;
/// assert_eq!(nearest("-2.5e-3"), Some(-0.0025));
/// assert_eq!(nearest("inf"), None);
/// assert_eq!(nearest("1e999"), None);
/// ```
pub fn nearest(text: &str) -> Option<f64> {
    parts(text)?;
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

/// Whether a decimal and a double are the same number. The sign of zero counts.
///
/// ```
/// use graph::decimal::is_exact;
/// assert!(is_exact("0.5", 0.5) && is_exact("1e2", 100.0));
/// assert!(!is_exact("0.1", 0.1));
/// ```
pub fn is_exact(text: &str, x: f64) -> bool {
    parts(text).is_some_and(|p| parts(&exact(x)).is_some_and(|q| p == q))
}

/// All digits of a finite double.
///
/// ```
/// assert_eq!(graph::decimal::exact(0.1), "1.000000000000000055511151231257827021181583404541015625e-1");
/// ```
pub fn exact(x: f64) -> String {
    // A double has at most 767 significant digits; the formatter is exact at any length.
    let text = format!("{x:.770e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    if power == "0" { digits.to_string() } else { format!("{digits}e{power}") }
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
pub fn parts(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, power) = match rest.split_once(['e', 'E']) {
        Some((m, p)) => (m, p.parse::<i32>().ok()? as i64),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut power = power - fraction.len() as i64;
    let kept = digits.trim_end_matches('0');
    power += (digits.len() - kept.len()) as i64;
    let kept = kept.trim_start_matches('0');
    Some((negative, kept.to_string(), if kept.is_empty() { 0 } else { power }))
}
