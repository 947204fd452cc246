//! Numbers as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A whole number with thin spaces between thousands.
pub(super) fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value <= -0.5 { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A share in per cent with two digits that mean something.
pub(super) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    match value {
        v if !v.is_finite() => "–".into(),
        0.0 => "0 %".into(),
        v if v < 0.001 => "< 0.001 %".into(),
        v if v < 0.1 => format!("{v:.3} %"),
        v if v < 1.0 => format!("{v:.2} %"),
        v if v < 99.95 => format!("{v:.1} %"),
        v => format!("{v:.0} %"),
    }
}

/// A unit for the largest of some byte counts: its name and its bytes.
pub(super) fn byte_unit(largest: f64) -> (&'static str, f64) {
    match largest {
        v if v >= 2e9 => ("GB", 1e9),
        v if v >= 2e6 => ("MB", 1e6),
        _ => ("kB", 1e3),
    }
}

/// Bytes with three digits that mean something.
pub(super) fn bytes(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let (unit, size) = byte_unit(value);
    let amount = value / size;
    if amount >= 100.0 { format!("{} {unit}", grouped(amount)) } else { format!("{amount:.1} {unit}") }
}

/// A unit for the largest of some times: its name and its seconds.
pub(super) fn time_unit(largest: f64) -> (&'static str, f64) {
    match largest {
        v if v >= 3.0 * 86_400.0 => ("days", 86_400.0),
        v if v >= 3.0 * 3600.0 => ("hours", 3600.0),
        v if v >= 180.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    }
}

/// A time in its two largest units.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".into();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let total = seconds.min(1e12).round() as u64;
    match total {
        0..60 => format!("{total} s"),
        60..3600 => format!("{} min {} s", total / 60, total % 60),
        3600..86_400 => format!("{} h {} min", total / 3600, total / 60 % 60),
        _ => format!("{} d {} h", total / 86_400, total / 3600 % 24),
    }
}

/// A small number with four digits that mean something.
pub(super) fn significant(value: f64) -> String {
    match value {
        v if !v.is_finite() => "–".into(),
        0.0 => "0".into(),
        v if (1e-3..1e4).contains(&v.abs()) => {
            let decimals = (3 - v.abs().log10().floor() as i32).clamp(0, 6) as usize;
            format!("{v:.decimals$}")
        }
        v => format!("{v:.2e}"),
    }
}

/// The time of day, in UTC.
pub(super) fn now() -> String {
    utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()))
}

/// Seconds since 1970 as a date and a time: the days are counted in years that begin in March, so that the leap day is
/// the last of its year.
fn utc(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year}-{month:02}-{date:02} {:02}:{:02} UTC", seconds / 3600 % 24, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(1_234_567.0), "1\u{2009}234\u{2009}567");
        assert_eq!([grouped(0.0), grouped(999.0), grouped(-1000.0)], ["0", "999", "−1\u{2009}000"]);
        assert_eq!(
            [percent(0.0), percent(0.004_23), percent(0.316), percent(1.0)],
            ["0 %", "0.42 %", "31.6 %", "100 %"]
        );
        assert_eq!([percent(1e-7), percent(f64::NAN)], ["< 0.001 %", "–"]);
        assert_eq!([bytes(512.0), bytes(36_175_872.0), bytes(3.2e9)], ["0.5 kB", "36.2 MB", "3.2 GB"]);
        assert_eq!(
            [duration(2.34), duration(75.0), duration(7260.0), duration(1e6)],
            ["2.3 s", "1 min 15 s", "2 h 1 min", "11 d 13 h"]
        );
        assert_eq!(
            [significant(1.72534), significant(0.0), significant(2e-4), significant(157.52)],
            ["1.725", "0", "2.00e-4", "157.5"]
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(utc(1_767_225_599), "2025-12-31 23:59 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00 UTC");
    }
}
