//! TOML with one line for each key: what comments can be put above, and what messages can quote.
//!
//! The `toml` crate writes a text that holds a line feed over several lines, such as the usual
//! `document_separator`, the empty line.

use toml::{Table, Value};

/// Serialised TOML with every value on its key's line.
pub(super) fn single_lines(toml: &str) -> String {
    let mut out = String::new();
    let mut lines = toml.split_terminator('\n');
    while let Some(line) = lines.next() {
        let mut statement = line.to_owned();
        let mut table = toml::from_str::<Table>(&statement);
        while table.is_err() {
            let Some(next) = lines.next() else { break };
            statement = format!("{statement}\n{next}");
            table = toml::from_str(&statement);
        }
        match table {
            Ok(table) if statement.contains('\n') => {
                table.iter().for_each(|(key, v)| out.push_str(&format!("{key} = {}\n", value(v))));
            }
            _ => out.push_str(&format!("{statement}\n")),
        }
    }
    out
}

/// A value on one line, as a person would write it.
pub(super) fn value(v: &Value) -> String {
    match v {
        Value::String(text) => quoted(text),
        Value::Array(list) => format!("[{}]", list.iter().map(value).collect::<Vec<_>>().join(", ")),
        // 1e36 rather than its thirty-seven digits; both are TOML.
        Value::Float(x) if x.is_finite() => format!("{x:?}"),
        other => other.to_string(),
    }
}

/// A basic string: those are single lines, and every control character has an escape.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::TrainConfig;

    #[test]
    fn texts_with_line_feeds_survive_the_printed_configuration() {
        let mut config = TrainConfig::default();
        config.data.document_separator = "\n\n\t\"\\ = # \u{7f}\n\"\"\"".into();
        config.data.train = vec!["a\nb.txt".into(), "c = d".into()];
        let printed = config.to_commented_toml();
        assert_eq!(TrainConfig::from_toml(&printed, "printed").unwrap(), config, "{printed}");
        assert!(printed.contains(r#"document_separator = "\n\n\t\"\\ = # \u007F\n\"\"\"""#), "{printed}");
        let before = TrainConfig::default();
        assert!(
            config.differences(&before).contains(&r#"data.train: [] → ["a\nb.txt", "c = d"]"#.to_owned())
        );
    }
}
