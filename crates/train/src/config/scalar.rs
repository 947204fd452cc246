//! `precision.scalar`: in which arithmetic a training step is done.

use std::fmt;
use std::str::FromStr;

use furnace::precision::Precision;
use serde::{Deserialize, Serialize};

/// A scalar for training steps: any [`Precision`] that is one arithmetic of plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScalarKind(Precision);

impl ScalarKind {
    /// The arithmetic; `None` for f32, which is the engine's.
    pub fn wider(self) -> Option<Precision> {
        (self.0 != Precision::F32).then_some(self.0)
    }
}

impl Default for ScalarKind {
    fn default() -> ScalarKind {
        ScalarKind(Precision::F32)
    }
}

impl FromStr for ScalarKind {
    type Err = String;

    /// ```
    /// use train::config::ScalarKind;
    /// assert!("f32".parse::<ScalarKind>().unwrap().wider().is_none());
    /// assert_eq!("digits:30".parse::<ScalarKind>().unwrap().to_string(), "digits:30");
    /// assert!("adaptive:1e-9".parse::<ScalarKind>().unwrap_err().contains("digits:N"));
    /// ```
    fn from_str(text: &str) -> Result<ScalarKind, String> {
        const CHOICES: &str = "write f32, f64, f80, dd, f128 or digits:N";
        let refused = |why: &str| Err(format!("`{text}` is no arithmetic for training: {why}; {CHOICES}"));
        match text.parse::<Precision>().map_err(|e| format!("{e} (for training {CHOICES})"))? {
            Precision::Interval | Precision::IntervalDigits(_) => refused(
                "bounds grow from step to step until they say nothing, and a rounding to trits within them has no value",
            ),
            Precision::Adaptive { .. } => refused(
                "a tolerance is met by evaluating again with more digits, and a step would need others each time",
            ),
            plain => Ok(ScalarKind(plain)),
        }
    }
}

impl TryFrom<String> for ScalarKind {
    type Error = String;
    fn try_from(text: String) -> Result<ScalarKind, String> {
        text.parse()
    }
}

impl From<ScalarKind> for String {
    fn from(kind: ScalarKind) -> String {
        kind.to_string()
    }
}

impl fmt::Display for ScalarKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
