//! An amount of memory as people write it: `64MiB`, `1.5 GiB`, `500MB`, `0`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes; 0 stands for "no limit".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSize(usize);

/// Units, the largest first; a number without one counts bytes.
const UNITS: [(&str, f64); 7] = [
    ("GiB", 1073741824.0),
    ("MiB", 1048576.0),
    ("KiB", 1024.0),
    ("GB", 1e9),
    ("MB", 1e6),
    ("kB", 1e3),
    ("B", 1.0),
];

impl ByteSize {
    /// That many bytes.
    pub fn new(bytes: usize) -> ByteSize {
        ByteSize(bytes)
    }

    /// The number of bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    /// ```
    /// use train::config::ByteSize;
    /// assert_eq!("64MiB".parse::<ByteSize>().unwrap().bytes(), 64 << 20);
    /// assert_eq!("1.5 GB".parse::<ByteSize>().unwrap().bytes(), 1_500_000_000);
    /// assert!("lots".parse::<ByteSize>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<ByteSize, String> {
        let trimmed = text.trim();
        let split = UNITS.iter().find_map(|(unit, factor)| {
            let end = trimmed.len().checked_sub(unit.len())?;
            let (number, tail) = trimmed.split_at_checked(end)?;
            tail.eq_ignore_ascii_case(unit).then_some((number.trim_end(), *factor))
        });
        let (number, factor) = split.unwrap_or((trimmed, 1.0));
        let bytes = number.parse::<f64>().ok().map(|n| (n * factor).round());
        match bytes.filter(|b| b.is_finite() && (0.0..1e18).contains(b)) {
            Some(bytes) => Ok(ByteSize(bytes as usize)),
            None => Err(format!(
                "`{text}` is no amount of memory; write a number with KiB, MiB, GiB, kB, MB or GB, such as 64MiB, \
                 or 0 for no limit"
            )),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
            .into_iter()
            .find(|(_, shift)| self.0 >> shift > 0 && self.0.is_multiple_of(1 << shift));
        match whole {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ByteSize, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of memory such as \"64MiB\", or \"0\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<ByteSize, E> {
                usize::try_from(n).map(ByteSize).map_err(|_| E::custom("an amount of memory is not negative"))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<ByteSize, E> {
                usize::try_from(n).map(ByteSize).map_err(E::custom)
            }
        }
        d.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 64 << 20, 3 << 30, 5_000_000_007] {
            let size = ByteSize::new(bytes);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
    }

    #[test]
    fn units_and_spaces() {
        for (text, bytes) in
            [("64mib", 64 << 20), (" 2 GiB ", 2 << 30), ("0.5KiB", 512), ("7", 7), ("12 kB", 12_000)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "MiB", "-1MiB", "1e40GiB", "NaN", "64 parsecs"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.contains("such as 64MiB"), "{error}");
        }
    }
}
