//! JSON as the Python ecosystem writes it, and the typed reading of configuration fields.
//!
//! Python prints infinities as bare words that JSON does not have, and newer writers print them as
//! `{"__float__": "Infinity"}`: [`parse`] and [`number`] accept both.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{ModelError, Result};

const FIX: &str = "correct the value, or use the configuration that was published with the weights";

/// Reads a JSON file; bare `Infinity`, `-Infinity` and `NaN` become `{"__float__": …}` objects.
///
/// # Errors
/// [`ModelError::Io`] or, for text that is not JSON, [`ModelError::File`] with line and column.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| ModelError::io("read", path, error))?;
    parse(path, &text)
}

/// [`read`] for text at hand; `path` is only named in errors.
///
/// # Errors
/// [`ModelError::File`] with line and column.
pub fn parse(path: &Path, text: &str) -> Result<Value> {
    let strict = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    serde_json::from_str(&quote_python_floats(text)).map_err(|_| {
        ModelError::file(
            path,
            "content",
            "JSON",
            strict.to_string(),
            "correct the file at that line and column",
        )
    })
}

/// Puts the three words Python prints outside strings into the form that JSON allows.
fn quote_python_floats(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str(&format!("{{\"__float__\": \"{word}\"}}"));
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = next.len_utf8();
        if in_string && next == '\\' {
            taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
        } else if next == '"' {
            in_string = !in_string;
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// A number, also in the form `{"__float__": "Infinity"}`.
///
/// # Examples
/// ```
/// use serde_json::json;
/// assert_eq!(models::json::number(&json!({"__float__": "-Infinity"})), Some(f64::NEG_INFINITY));
/// assert_eq!(models::json::number(&json!(1e-6)), Some(1e-6));
/// assert_eq!(models::json::number(&json!("1e-6")), None);
/// ```
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Object(map) if map.len() == 1 => match map.get("__float__")?.as_str()? {
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            "NaN" | "nan" => Some(f64::NAN),
            other => other.parse().ok(),
        },
        _ => None,
    }
}

/// Typed access to the keys of one configuration object; an absent key gives the default.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// [`ModelError::File`] if the value is not an object.
    pub fn new(path: &'a Path, value: &'a Value) -> Result<Self> {
        match value.as_object() {
            Some(map) => Ok(Self { path, map }),
            None => Err(ModelError::file(path, "content", "a JSON object", kind(value), FIX)),
        }
    }

    /// The file, for errors.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// All keys and values, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.map.iter()
    }

    /// The value of a key; `null` counts as absent.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// The error for a field.
    pub fn fault(&self, field: &str, expected: impl Into<String>) -> ModelError {
        let found = self.map.get(field).map_or("nothing".to_owned(), kind);
        ModelError::field(self.path, field, expected, found, FIX)
    }

    /// A whole number from 1 to `max`.
    ///
    /// # Errors
    /// [`ModelError::Field`] for any other value, also for `null`, which the reference would not survive.
    pub fn size(&self, field: &str, default: usize, max: usize) -> Result<usize> {
        if self.map.get(field).is_some_and(Value::is_null) {
            return Err(self.fault(field, format!("a whole number from 1 to {max}")));
        }
        Ok(self.optional_size(field, max)?.unwrap_or(default))
    }

    /// A whole number from 1 to `max`, or nothing for `null` and an absent key.
    ///
    /// # Errors
    /// [`ModelError::Field`] for any other value.
    pub fn optional_size(&self, field: &str, max: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match number(value) {
            Some(x) if x.fract() == 0.0 && x >= 1.0 && x <= max as f64 => Ok(Some(x as usize)),
            _ => Err(self.fault(field, format!("a whole number from 1 to {max}"))),
        }
    }

    /// A finite number above `low` (excluded) and up to `high`.
    ///
    /// # Errors
    /// [`ModelError::Field`] for any other value.
    pub fn real(&self, field: &str, default: f64, low: f64, high: f64) -> Result<f64> {
        let Some(value) = self.get(field) else { return Ok(default) };
        match number(value) {
            Some(x) if x > low && x <= high => Ok(x),
            _ => Err(self.fault(field, format!("a number above {low} and up to {high}"))),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`ModelError::Field`] for any other value.
    pub fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.fault(field, "true or false")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`ModelError::Field`] for any other value.
    pub fn text(&self, field: &str, default: &'a str) -> Result<&'a str> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.fault(field, "a text")),
        }
    }

    /// Token ids: one, a list, or none for `null`; an absent key gives `default`.
    ///
    /// # Errors
    /// [`ModelError::Field`] for anything else and for an id outside the vocabulary.
    pub fn tokens(&self, field: &str, default: &[u32], vocab_size: usize) -> Result<Vec<u32>> {
        let Some(value) = self.map.get(field) else { return Ok(default.to_vec()) };
        let ids = match value {
            Value::Null => &[],
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        ids.iter()
            .map(|id| match number(id) {
                Some(x) if x.fract() == 0.0 && x >= 0.0 && x < vocab_size as f64 => Ok(x as u32),
                _ => Err(self.fault(field, format!("token ids below vocab_size {vocab_size}"))),
            })
            .collect()
    }
}

/// A value for an error message, cut to a readable length.
fn kind(value: &Value) -> String {
    let text = value.to_string();
    let short = text.chars().take(60).collect::<String>();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_floats_are_read_outside_strings_only() {
        let text = r#"{"a": [0.0, Infinity], "b": -Infinity, "c": "NaN \" Infinity", "d": NaN}"#;
        let value = parse(Path::new("c.json"), text).unwrap();
        assert_eq!(number(&value["a"][1]), Some(f64::INFINITY));
        assert_eq!(number(&value["b"]), Some(f64::NEG_INFINITY));
        assert_eq!(value["c"], json!("NaN \" Infinity"));
        assert!(number(&value["d"]).unwrap().is_nan());
    }

    #[test]
    fn text_that_is_not_json_says_where() {
        let error = parse(Path::new("c.json"), "{\n  \"a\": }").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn fields_of_the_wrong_kind_are_named() {
        let value =
            json!({"n": -1, "z": 0, "half": 0.5, "s": "8", "inf": {"__float__": "Infinity"}, "whole": 4.0});
        let fields = Fields::new(Path::new("c.json"), &value).unwrap();
        for field in ["n", "z", "half", "s", "inf"] {
            let error = fields.size(field, 1, 100).unwrap_err().to_string();
            assert!(error.contains(&format!("`{field}`")), "{error}");
        }
        assert_eq!(fields.size("whole", 1, 100).unwrap(), 4);
        assert_eq!(fields.size("absent", 7, 100).unwrap(), 7);
    }
}
