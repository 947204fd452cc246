//! Conversations as text: the templates that models come with.
//!
//! A template is Jinja as the `transformers` library runs it: blocks trimmed, Python's methods on strings, lists and
//! mappings, `raise_exception` and `strftime_now`. It is found in a folder's `chat_template.jinja` or under `chat_template` of
//! `tokenizer_config.json`, and in a GGUF file under `tokenizer.chat_template`. The `minijinja` crate runs it, with a limit
//! on its steps, since a template comes from whoever made the file.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::Value as Jinja;
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;
use serde_json::Value;

use crate::error::{ModelError, Result};
use crate::gguf::GgufModel;
use crate::tokenizer::Tokenizer;

/// Steps that a template may take: the published ones take some hundred for each message.
const FUEL: u64 = 5_000_000;

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A model's template, with the texts of its first and last token.
///
/// ```
/// use models::chat::{ChatTemplate, Message};
/// let text = "{% for m in messages %}[{{ m.role }}] {{ m.content.strip() }}\n{% endfor %}\
///             {% if add_generation_prompt %}[assistant]{% endif %}";
/// let template = ChatTemplate::new(text, None, None)?;
/// assert_eq!(template.render(&[Message::new("user", " hi ")], true)?, "[user] hi\n[assistant]");
/// # Ok::<(), models::ModelError>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: Option<String>,
    eos: Option<String>,
}

impl ChatTemplate {
    /// A template from its text.
    ///
    /// # Errors
    /// [`ModelError::Value`] for a text that is no template, with the line.
    pub fn new(text: impl Into<String>, bos: Option<String>, eos: Option<String>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_filter("tojson", |value: Jinja| python_json(&value));
        environment.add_function("strftime_now", |format: String| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            date(&format, now)
        });
        environment
            .add_template_owned("chat", text.into())
            .map_err(|error| wrong("a Jinja template", &error))?;
        Ok(Self { environment, bos, eos })
    }

    /// The template of a model's files: `get` gives the content of one by its name. Nothing where they have none.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_files(get: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Option<Self>> {
        let text = |name: &str| get(name).and_then(|bytes| String::from_utf8(bytes).ok());
        let (jinja, config) = (text("chat_template.jinja"), text("tokenizer_config.json"));
        let Some(template) = template_of(jinja.as_deref(), config.as_deref()) else { return Ok(None) };
        let config = config.and_then(|config| serde_json::from_str::<Value>(&config).ok());
        let token = |key: &str| {
            let value = config.as_ref()?.get(key)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        Self::new(template, token("bos_token"), token("eos_token")).map(Some)
    }

    /// The template of a GGUF file; nothing where it has none.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_gguf(model: &GgufModel, tokenizer: Option<&Tokenizer>) -> Result<Option<Self>> {
        let Some(text) = model.chat_template() else { return Ok(None) };
        let token = |id: Option<&u32>| tokenizer?.token(*id?);
        let config = model.config();
        Self::new(text, token(config.bos_token_id().as_ref()), token(config.eos_token_id().first())).map(Some)
    }

    /// The text of a conversation; with `answer`, up to where the model's answer begins.
    ///
    /// Its special tokens are spelled in it: encode it without others ([`Tokenizer::encode`]).
    ///
    /// # Errors
    /// [`ModelError::Value`] with what the template says of these messages.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String> {
        let template = self.environment.get_template("chat").map_err(|error| wrong("a template", &error))?;
        let text = |token: &Option<String>| Jinja::from(token.clone().unwrap_or_default());
        let made = template.render(context! {
            messages => messages,
            add_generation_prompt => answer,
            bos_token => text(&self.bos),
            eos_token => text(&self.eos),
        });
        made.map_err(|error| wrong("messages that the template takes", &error))
    }
}

fn wrong(expected: &str, error: &minijinja::Error) -> ModelError {
    let mut found = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(line) = error.line() {
        found += &format!(" (line {line})");
    }
    ModelError::Value {
        what: "chat template".into(),
        expected: expected.into(),
        found,
        remedy:
            "change the messages (some templates take no system message), or give the text as a plain prompt"
                .into(),
    }
}

/// The template of a folder's two files that may hold it: the newer file first. Of several, the one called "default".
pub fn template_of(jinja: Option<&str>, config: Option<&str>) -> Option<String> {
    if let Some(text) = jinja {
        return Some(text.to_owned());
    }
    let config: Value = serde_json::from_str(config?).ok()?;
    match config.get("chat_template")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
            list.iter().find(named).or(list.first())?.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// JSON as Python's `json.dumps` spaces it, which models have learnt to see.
fn python_json(value: &Jinja) -> Result<String, minijinja::Error> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { out.write_all(b", ") }
        }

        fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { out.write_all(b", ") }
        }

        fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
            out.write_all(b": ")
        }
    }
    let mut text = vec![];
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Spaced);
    value
        .serialize(&mut serializer)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A moment (seconds since 1970, UTC) in the letters of `strftime` that templates use.
fn date(format: &str, seconds: u64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Years of 365 or 366 days one after the other: fast enough, and plain.
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('Y') => text += &year.to_string(),
            Some('m') => text += &format!("{:02}", month + 1),
            Some('d') => text += &format!("{:02}", day + 1),
            Some('B') => text += MONTHS[month],
            Some('b') => text += &MONTHS[month][..3],
            Some('A') => text += DAYS[(days % 7) as usize],
            Some('a') => text += &DAYS[(days % 7) as usize][..3],
            Some('H') => text += &format!("{:02}", rest / 3600),
            Some('M') => text += &format!("{:02}", rest / 60 % 60),
            Some('S') => text += &format!("{:02}", rest % 60),
            Some(other) => text.extend(['%', other]),
            None => text.push('%'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of the templates that Llama 3's descendants have.
    const HEADERS: &str = "{{- bos_token }}\n{%- for message in messages %}\n    {%- set content = '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' %}\n    {{- content }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start|>assistant<|end|>\\n\\n' }}\n{%- endif %}\n";

    #[test]
    fn whitespace_is_that_of_the_reference() {
        let template = ChatTemplate::new(HEADERS, Some("<s>".into()), None).unwrap();
        let messages = [Message::new("system", "Be brief."), Message::new("user", " Hi ")];
        let text = template.render(&messages, true).unwrap();
        let expected = "<s><|start|>system<|end|>\n\nBe brief.<|eot|><|start|>user<|end|>\n\nHi<|eot|><|start|>assistant<|end|>\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_template_says_what_it_does_not_take() {
        let text =
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}x";
        let template = ChatTemplate::new(text, None, None).unwrap();
        let error = template.render(&[Message::new("system", "x")], true).unwrap_err().to_string();
        assert!(error.contains("no system message") && error.contains("plain prompt"), "{error}");
        let error = ChatTemplate::new("{% for %}", None, None).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        let endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
        assert!(ChatTemplate::new(endless, None, None).unwrap().render(&[], false).is_err());
    }

    #[test]
    fn pythons_methods_are_there() {
        let text = "{{ messages[0]['content'].split(' ')[-1].upper().startswith('B') }} {{ {'a': 1}.items() | list | length }} {% for m in messages %}{{ loop.index0 }}{% if not loop.last %},{% endif %}{% endfor %}{{ messages | tojson }}";
        let template = ChatTemplate::new(text, None, None).unwrap();
        let text = template.render(&[Message::new("user", "a b")], false).unwrap();
        assert_eq!(text, "True 1 0[{\"role\": \"user\", \"content\": \"a b\"}]");
    }

    #[test]
    fn templates_are_found_where_they_lie() {
        let config = r#"{"bos_token": {"content": "<s>"}, "chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "{{ bos_token }}d"}]}"#;
        let get = |name: &str| (name == "tokenizer_config.json").then(|| config.as_bytes().to_vec());
        let template = ChatTemplate::from_files(get).unwrap().unwrap();
        assert_eq!(template.render(&[], true).unwrap(), "<s>d");
        assert_eq!(template_of(Some("new"), Some(config)).as_deref(), Some("new"));
        assert!(ChatTemplate::from_files(|_| None).unwrap().is_none());
    }

    #[test]
    fn dates() {
        assert_eq!(date("%d %b %Y %H:%M:%S %A", 951_782_400 + 3661), "29 Feb 2000 01:01:01 Tuesday");
        assert_eq!(date("%Y-%m-%d %B %%", 0), "1970-01-01 January %%");
    }
}
