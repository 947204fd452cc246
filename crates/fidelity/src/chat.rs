//! Conversations: a model's chat template and the tokens of what it makes of messages.

use crate::error::fault;
use crate::loaded::Loaded;
use anyhow::Result;
use models::chat::{ChatTemplate, Message};
use std::path::Path;

/// The chat template of an open model, from the folder or file `path` that it was opened from.
///
/// # Errors
/// A template that cannot be read; nothing where the model has none.
pub fn template(path: &Path, model: &Loaded) -> Result<Option<ChatTemplate>> {
    if let Some(gguf) = model.gguf() {
        return Ok(ChatTemplate::from_gguf(gguf, model.tokenizer.as_ref())?);
    }
    if let Some(bundle) = model.bundle() {
        let files: Vec<(&str, &[u8])> = bundle.companions().collect();
        let get =
            |name: &str| files.iter().find(|(found, _)| *found == name).map(|(_, bytes)| bytes.to_vec());
        return Ok(ChatTemplate::from_files(get)?);
    }
    Ok(ChatTemplate::from_files(|name| std::fs::read(path.join(name)).ok())?)
}

/// The tokens of a conversation up to where the model's answer begins.
///
/// # Errors
/// A model without template or tokenizer, and messages that its template does not take.
pub fn prompt(path: &Path, model: &Loaded, messages: &[Message]) -> Result<Vec<u32>> {
    let Some(template) = template(path, model)? else {
        return fault(
            format!("{}: the model has no chat template", path.display()),
            "give the text as a PROMPT, or put the model's chat_template.jinja or tokenizer_config.json into its folder",
        );
    };
    let Some(tokenizer) = &model.tokenizer else {
        return fault(
            format!("{}: the model has no tokenizer, so a message cannot be read", path.display()),
            "put its tokenizer.json into the folder, or give token ids with `--tokens 1,2,3`",
        );
    };
    // The template spells the first token out.
    Ok(tokenizer.encode(&template.render(messages, true)?)?)
}

/// A question with what the model is told before it.
pub fn question(system: Option<&str>, message: &str) -> Vec<Message> {
    let system = system.map(|text| Message::new("system", text));
    system.into_iter().chain([Message::new("user", message)]).collect()
}
