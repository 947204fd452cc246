//! Decimals as text.

/// `text`, a decimal as the scalars print it, with at most `digits` significant digits, rounded half up.
pub(super) fn shorten(text: &str, digits: usize) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let (Some(first), Ok(mut exponent)) =
        (mantissa.find(|c: char| c.is_ascii_digit()), exponent.parse::<i64>())
    else {
        return text.to_string();
    };
    let point = mantissa.find('.').unwrap_or(mantissa.len()) as i64;
    let mut all: Vec<u8> = mantissa[first..].bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    let zeros = all.iter().take_while(|d| **d == 0).count();
    if zeros == all.len() {
        return format!("{sign}0");
    }
    all.drain(..zeros);
    exponent += point - 1 - zeros as i64;
    if all.len() > digits.max(1) {
        let up = all[digits.max(1)] >= 5;
        all.truncate(digits.max(1));
        if up {
            let mut i = all.len();
            loop {
                if i == 0 {
                    all.insert(0, 1);
                    all.pop();
                    exponent += 1;
                    break;
                }
                i -= 1;
                all[i] += 1;
                if all[i] < 10 {
                    break;
                }
                all[i] = 0;
            }
        }
    }
    while all.len() > 1 && all.last() == Some(&0) {
        all.pop();
    }
    let text: String = all.iter().map(|d| char::from(b'0' + d)).collect();
    let (head, tail) = text.split_at(1);
    let point = if tail.is_empty() { "" } else { "." };
    match exponent {
        0 => format!("{sign}{head}{point}{tail}"),
        _ => format!("{sign}{head}{point}{tail}e{exponent}"),
    }
}

/// `text`, which is `x` in full, with as few digits as read as `x` again, from `least` to `most`.
pub(super) fn shortest<S: graph::Scalar>(x: &S, text: &str, least: usize, most: usize) -> String {
    let mut short = shorten(text, most);
    for digits in least..most {
        let candidate = shorten(text, digits);
        if S::from_decimal(&candidate).is_some_and(|y| y == *x) {
            short = candidate;
            break;
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn rounding_of_text() {
        assert_eq!(shorten("-1.9996e-3", 4), "-2e-3");
        assert_eq!(shorten("9.996", 3), "1e1");
        assert_eq!(shorten("123.456", 4), "1.235e2");
        assert_eq!(shorten("0.00123", 5), "1.23e-3");
        assert_eq!(shorten("0", 5), "0");
        assert_eq!(shorten("inf", 5), "inf");
    }
}
