//! `--set a.b=c`, and the search for the key that was meant.

use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{Result, TrainError};

use super::{TrainConfig, inline};

/// The section whose keys are the architecture's.
const OPEN: &str = "model.options";

/// Other names of keys, as people look for them; printed configurations have the second.
const ALIASES: [(&str, &str); 1] = [("optimizer.name", "optimizer.kind")];

impl TrainConfig {
    /// Applies `section.key=value` texts in order. A value is TOML; where the key holds a text, quotes may be
    /// left out, and where it holds a list, a single text stands for a list of one.
    ///
    /// # Errors
    /// [`TrainError::UnknownKey`] with the near matches, [`TrainError::Config`] for a value of the wrong type.
    pub fn apply_overrides(&mut self, overrides: &[String]) -> Result<()> {
        for given in overrides {
            *self = self.with_override(given)?;
        }
        Ok(())
    }

    fn with_override(&self, given: &str) -> Result<TrainConfig> {
        let place = format!("--set {given}");
        let problem = |problem: String| TrainError::Config { place: place.clone(), problem };
        let Some((key, text)) = given.split_once('=') else {
            return Err(problem("expected `section.key=value`, found no `=`".to_owned()));
        };
        let (key, text) = (key.trim(), text.trim());
        let key = ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, key)| key);
        let mut table = Table::try_from(self).map_err(|e| problem(e.to_string()))?;
        if let Some(option) = key.strip_prefix(OPEN).and_then(|rest| rest.strip_prefix('.')) {
            let value = parse(text).unwrap_or_else(|| text.into());
            let options = lookup(&mut table, OPEN).and_then(Value::as_table_mut);
            options.into_iter().for_each(|options| {
                options.insert(option.to_owned(), value.clone());
            });
            return TrainConfig::deserialize(table).map_err(|e| problem(e.to_string()));
        }
        let Some(slot) = lookup(&mut table, key) else {
            return Err(unknown(&place, key));
        };
        let parsed = parse(text);
        *slot = match (&*slot, parsed) {
            (Value::Table(section), _) => {
                let keys: Vec<&str> = section.keys().map(String::as_str).collect();
                return Err(problem(format!(
                    "`{key}` is a section; set one of its keys, such as `{key}.{}`",
                    keys.first().unwrap_or(&"…")
                )));
            }
            (Value::String(_), Some(Value::String(value))) => Value::String(value),
            (Value::String(_), _) => Value::String(text.to_owned()),
            (Value::Array(_), Some(value @ Value::Array(_))) => value,
            (Value::Array(_), Some(value)) => Value::Array(vec![value]),
            (Value::Array(_), None) if !text.starts_with('[') => Value::Array(vec![text.into()]),
            (_, Some(value)) => value,
            (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Datetime(_), None)
            | (Value::Array(_), None) => {
                return Err(problem(format!(
                    "`{text}` is not a TOML value; write a number, true, false or [list]"
                )));
            }
        };
        TrainConfig::deserialize(table).map_err(|e| problem(e.to_string().trim_end().replace('\n', " ")))
    }
}

/// One TOML value and nothing else.
fn parse(text: &str) -> Option<Value> {
    let mut table: Table = toml::from_str(&format!("v = {text}")).ok()?;
    if table.len() == 1 { table.remove("v") } else { None }
}

fn lookup<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((section, rest)) => lookup(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// Every key of a configuration with its value as TOML text.
pub(super) fn flatten(config: &TrainConfig) -> Vec<(String, String)> {
    fn walk(prefix: &str, table: &Table, out: &mut Vec<(String, String)>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) => walk(&key, inner, out),
                leaf => out.push((key, inline::value(leaf))),
            }
        }
    }
    let mut out = Vec::new();
    walk("", &Table::try_from(config).unwrap_or_default(), &mut out);
    out
}

/// Refuses keys that the configuration does not have.
pub(super) fn check_keys(table: &Table, place: &str) -> Result<()> {
    fn walk(prefix: &str, given: &Table, known: &Table, place: &str) -> Result<()> {
        for (key, value) in given {
            let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match (known.get(key), value) {
                (None, _) if ALIASES.iter().any(|(alias, _)| *alias == full) => {}
                (None, _) => return Err(unknown(place, &full)),
                _ if full == OPEN => {}
                (Some(Value::Table(known)), Value::Table(given)) => walk(&full, given, known, place)?,
                _ => {} // a wrong type, which the typed parser reports with its line
            }
        }
        Ok(())
    }
    let known = Table::try_from(TrainConfig::default()).unwrap_or_default();
    walk("", table, &known, place)
}

fn unknown(place: &str, key: &str) -> TrainError {
    let near = near_matches(key);
    let hint = if near.is_empty() {
        "`fidelity train --print-config` shows every key".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    TrainError::UnknownKey { place: place.to_owned(), key: key.to_owned(), hint }
}

/// The keys that look most like `key`: the same last part in another section, or few letters changed.
fn near_matches(key: &str) -> Vec<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = last(key);
    let mut scored: Vec<(usize, String)> = flatten(&TrainConfig::default())
        .into_iter()
        .filter_map(|(known, _)| {
            let name = last(&known);
            let distance = edits(&wanted, &name);
            let contained = wanted.len() >= 3 && (name.contains(&wanted) || wanted.contains(&name));
            let same_section = key.rsplit_once('.').map(|x| x.0) == known.rsplit_once('.').map(|x| x.0);
            let close = distance <= (wanted.len() / 3).max(1);
            (close || contained).then(|| (2 * distance + usize::from(!same_section), format!("`{known}`")))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(3).map(|(_, known)| known).collect()
}

/// Levenshtein's distance: insertions, deletions and changes of one letter.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
