//! Rotary position embedding in configurations (Su et al. 2021, "RoFormer", arXiv 2104.09864).
//!
//! Writers have put the base at the top (`rope_theta`) and, newer ones, into `rope_parameters`; scaled variants stand in
//! `rope_scaling` or in `rope_parameters` too. Only the plain form is computed here, so any other kind is an error: its
//! weights would load and give other numbers.

use serde_json::Value;

use crate::error::Result;
use crate::json::{Fields, number};

/// The keys that [`theta`] reads.
pub const KEYS: &[&str] = &["partial_rotary_factor", "rope_parameters", "rope_scaling", "rope_theta"];

/// The base of the rotation's frequencies, of a configuration whose rotation is the plain one.
///
/// # Errors
/// [`crate::ModelError::Field`] for a scaled or partial rotation and for a base that is no positive number.
pub fn theta(fields: &Fields<'_>, default: f64) -> Result<f64> {
    let mut theta = fields.real("rope_theta", default, 0.0, 1e12)?;
    if fields.get("partial_rotary_factor").is_some_and(|factor| number(factor) != Some(1.0)) {
        return Err(fields.fault("partial_rotary_factor", "1, the whole head being rotated"));
    }
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(value) = fields.get(key) else { continue };
        let Some(map) = value.as_object() else { return Err(fields.fault(key, "an object or null")) };
        for (name, content) in map {
            let plain = match name.as_str() {
                "rope_type" | "type" => content == "default",
                "rope_theta" => {
                    theta = number(content).filter(|x| *x > 0.0 && *x <= 1e12).unwrap_or(0.0);
                    theta > 0.0
                }
                "partial_rotary_factor" | "factor" | "attention_factor" => number(content) == Some(1.0),
                _ => content.is_null(),
            };
            if !plain {
                let expected = "the plain rotation: \"rope_type\": \"default\" with a positive rope_theta";
                return Err(fields.fault(key, expected));
            }
        }
    }
    Ok(theta)
}

/// True for a `rope_…` key that [`theta`] has checked.
pub(crate) fn is_read(key: &str, _: &Value) -> bool {
    KEYS.contains(&key)
}
