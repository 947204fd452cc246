//! The text of a run, found, split and tokenised.

use std::path::Path;
use std::sync::Arc;

use models::tokenizer::Tokenizer;

use crate::config::{DataConfig, SplitKind, TrainConfig};
use crate::error::{Result, TrainError};

use super::cache;
use super::sampler::Sampler;
use super::source::{Discovered, discover};
use super::split::{Documents, split};
use super::tokens::TokenSet;

/// Both sides of the text as token ids.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// What the samplers draw from.
    pub train: Arc<TokenSet>,
    /// What the loss is measured on; empty if nothing is held back.
    pub validation: Arc<TokenSet>,
    /// The tokenizer, with the end token that separates documents.
    pub tokenizer: Tokenizer,
    /// How many files were read.
    pub files: usize,
    /// What the user should know: files passed over, how the split was made, a cache that was rebuilt.
    pub notes: Vec<String>,
    /// Whether the tokens came from the cache.
    pub cached: bool,
}

/// The tokenizer that `data.tokenizer` names, with the end token of `data.eos_token_id`.
pub fn load_tokenizer(config: &DataConfig) -> Result<Tokenizer> {
    let path = Path::new(&config.tokenizer);
    let tokenizer = if config.tokenizer == "bytes" {
        Tokenizer::bytes()
    } else if path.is_dir() {
        Tokenizer::from_folder(path)?
    } else if path.exists() {
        // The end token is said by the files next to it, if by any.
        match path.parent().filter(|_| path.file_name().is_some_and(|name| name == "tokenizer.json")) {
            Some(folder) => Tokenizer::from_folder(folder)?,
            None => Tokenizer::from_file(path)?,
        }
    } else {
        return Err(TrainError::Missing {
            what: "the tokenizer",
            path: path.into(),
            remedy: "set `data.tokenizer` to \"bytes\", to a tokenizer.json, or to a folder that holds one",
        });
    };
    match u32::try_from(config.eos_token_id) {
        Ok(id) => Ok(tokenizer.with_eos(Some(id))),
        Err(_) => Ok(tokenizer), // −1: the tokenizer's own
    }
}

impl Corpus {
    /// Reads, splits and tokenises the text of a configuration, or takes it from the cache.
    ///
    /// # Errors
    /// Whatever is wrong with the sources, the split or the tokenizer: each says what to do.
    pub fn load(config: &TrainConfig) -> Result<Self> {
        let data = &config.data;
        let tokenizer = load_tokenizer(data)?;
        let sources = discover(&data.train, &data.extensions)?;
        let held_back = match data.validation.kind {
            SplitKind::Files => discover(&data.validation.files, &data.extensions)?,
            _ => Discovered::default(),
        };
        let mut notes = Vec::new();
        if sources.other_endings > 0 {
            notes.push(format!(
                "{} file(s) have endings that are not in `data.extensions` and were left out",
                sources.other_endings
            ));
        }
        let cache_file = config.cache_dir().map(|dir| {
            let key = cache::key(data, &tokenizer, &sources, &held_back);
            (cache::path(&dir, &key), key)
        });
        if let Some((path, key)) = &cache_file {
            match cache::read(path, key) {
                Ok(Some(cached)) => {
                    notes.extend(cached.notes);
                    return Ok(Corpus {
                        train: Arc::new(cached.train),
                        validation: Arc::new(cached.validation),
                        tokenizer,
                        files: sources.files.len() + held_back.files.len(),
                        notes,
                        cached: true,
                    });
                }
                Ok(None) => {}
                Err(problem) => {
                    notes.push(format!(
                        "the cache `{}` is damaged ({problem}) and was rebuilt",
                        path.display()
                    ));
                }
            }
        }

        let mut text_notes = Vec::new();
        let documents = read_documents(&sources, &data.document_separator, data.max_bytes, &mut text_notes)?;
        let validation = read_documents(&held_back, &data.document_separator, 0, &mut text_notes)?;
        let sides = split(documents, validation, &data.validation, !tokenizer.is_bytes())?;
        text_notes.push(sides.note);
        let mut replaced = 0;
        let train = tokenise("training", &sides.train, &tokenizer, &mut replaced)?;
        let validation = tokenise("validation", &sides.validation, &tokenizer, &mut replaced)?;
        if replaced > 0 {
            text_notes.push(format!(
                "{replaced} document(s) are not UTF-8: what could not be read became U+FFFD (`data.tokenizer = \
                 \"bytes\"` keeps every byte)"
            ));
        }
        if train.is_empty() {
            return Err(TrainError::EmptyText { part: "training", files: sources.files.len() });
        }
        if validation.is_empty() && data.validation.kind == SplitKind::Files {
            return Err(TrainError::EmptyText { part: "validation", files: held_back.files.len() });
        }
        if let Some((path, key)) = &cache_file {
            // A cache is a convenience: a full disk must not stop a run that has its text in memory.
            if let Err(error) = cache::write(path, key, &train, &validation, &text_notes) {
                notes.push(format!("the tokenised text was not cached: {error}"));
            }
        }
        notes.extend(text_notes);
        Ok(Corpus {
            train: Arc::new(train),
            validation: Arc::new(validation),
            tokenizer,
            files: sources.files.len() + held_back.files.len(),
            notes,
            cached: false,
        })
    }

    /// No text: what a run on a task has.
    pub fn none() -> Self {
        let empty = |part| Arc::new(TokenSet::empty(part, 0));
        Corpus {
            train: empty("training"),
            validation: empty("validation"),
            tokenizer: Tokenizer::bytes(),
            files: 0,
            notes: vec![],
            cached: false,
        }
    }

    /// Checks both sides against the model's vocabulary.
    pub fn check_vocab(&self, vocab: usize) -> Result<()> {
        self.train.check_vocab(vocab)?;
        self.validation.check_vocab(vocab)
    }

    /// The sampler that the configuration asks for, at the start of the run.
    pub fn sampler(&self, config: &DataConfig) -> Result<Sampler> {
        Sampler::new(config.sampler, Arc::clone(&self.train), config.seq_len, config.seed)
    }
}

/// Reads files and cuts them into documents. What was found in a folder and is no text is counted in a note;
/// what was named and cannot be read is an error.
fn read_documents(
    sources: &Discovered,
    separator: &str,
    max_bytes: usize,
    notes: &mut Vec<String>,
) -> Result<Documents> {
    let mut documents = Documents::new();
    let mut room = if max_bytes == 0 { usize::MAX } else { max_bytes };
    let (mut binary, mut unreadable) = (Vec::new(), Vec::new());
    for (path, named) in &sources.files {
        if room == 0 {
            notes.push(format!("`data.max_bytes` leaves out `{}` and what follows", path.display()));
            break;
        }
        let mut bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) if *named => return Err(TrainError::read(path, source)),
            Err(_) => {
                unreadable.push(path);
                continue;
            }
        };
        if !named && is_binary(&bytes) {
            binary.push(path);
            continue;
        }
        let mut keep = bytes.len().min(room);
        // Back to the beginning of a character, if it is text of several bytes each.
        while keep > 0 && keep < bytes.len() && bytes[keep] & 0xC0 == 0x80 {
            keep -= 1;
        }
        if keep < bytes.len() {
            notes.push(format!("`data.max_bytes` cuts `{}` after {keep} bytes", path.display()));
            bytes.truncate(keep);
            room = keep; // what a character's remaining bytes would have taken is not for the next file
        }
        room -= keep;
        if separator.is_empty() {
            documents.push(bytes);
        } else {
            documents.extend(cut(&bytes, separator.as_bytes()));
        }
    }
    documents.retain(|document| !document.is_empty());
    for (what, paths) in [("are not text", binary), ("cannot be read", unreadable)] {
        if let Some(first) = paths.first() {
            notes.push(format!(
                "{} file(s) {what} and were passed over, `{}` first",
                paths.len(),
                first.display()
            ));
        }
    }
    Ok(documents)
}

/// The usual test (git's, grep's): text has no zero byte near its beginning.
fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(8192)].contains(&0)
}

fn cut(bytes: &[u8], separator: &[u8]) -> Documents {
    let mut documents = Documents::new();
    let mut start = 0;
    let mut at = 0;
    while at + separator.len() <= bytes.len() {
        if bytes[at..].starts_with(separator) {
            documents.push(bytes[start..at].to_vec());
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    documents.push(bytes[start..].to_vec());
    documents
}

fn tokenise(
    part: &'static str,
    documents: &[Vec<u8>],
    tokenizer: &Tokenizer,
    replaced: &mut usize,
) -> Result<TokenSet> {
    let mut set = TokenSet::empty(part, tokenizer.vocab_size());
    for document in documents.iter().filter(|document| !document.is_empty()) {
        let ids = if tokenizer.is_bytes() {
            tokenizer.encode_bytes(document)?
        } else {
            let text = String::from_utf8_lossy(document);
            *replaced += usize::from(matches!(text, std::borrow::Cow::Owned(_)));
            tokenizer.encode(&text)?
        };
        set.starts.push(set.ids.len());
        set.bytes += document.len() as u64;
        set.ids.extend(&ids);
        if let Some(eos) = tokenizer.eos() {
            set.ids.extend(&[eos]);
        }
    }
    Ok(set)
}
