//! A generation set aside: the recurrent state, the sampler's random state and what else the next token depends on,
//! in a file that goes on as if nothing had happened.
//!
//! The file is a bundle (docs/bundle.md), so a changed or missing byte is refused:
//!
//! | section | content |
//! |---|---|
//! | `state.json` | format, version, model, position, pending token, sampling options, random state, type of caches |
//! | `state.N`, `conv_state.N.K` | the recurrent states, f32 |
//! | `key_cache.N`, `value_cache.N` (and `key_scale.N`, `value_scale.N`) | rows of the tokens so far, f32, whole numbers where they are cached as int8 |
//! | `logits` | of the last token read, f32 (V) |
//! | `seen` | the tokens that occurred, in the order of their first occurrence: ids, times read, times drawn, i32 (3, N); absent without any |
//!
//! But for caches its size does not grow with the position. A state belongs to one model: [`fingerprint`] tells, whichever form, layout
//! or folder the model is in.

use crate::error::{Fault, fault};
use crate::loaded::Loaded;
use crate::weights::Weight;
use anyhow::{Context, Result};
use axes::DType;
use barewire::{Bundle, BundleWriter, Spec};
use models::bundle::{EMBEDDING_SCALE, EmbeddingType, block_section};
use models::forms::CacheType;
use models::generation::{Occurrence, Sampling};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

/// The kind of file, in its header.
const FORMAT: &str = "fidelity generation state";
/// Version of the layout above. Version 1 knew no counts, 2 did not name the type of caches.
const VERSION: u32 = 3;

/// A generation between two tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The model's [`fingerprint`].
    pub model: String,
    /// Tokens read and drawn so far.
    pub position: u64,
    /// The last token, where it was drawn and has not been read yet.
    pub pending: Option<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// State of the random numbers.
    pub random: [u64; 4],
    /// The tokens that occurred, once each.
    pub seen: Vec<Occurrence>,
    /// Logits after the last token read, (V).
    pub logits: Vec<f32>,
    /// How keys and values were cached; none of a model without caches.
    pub cache: Option<CacheType>,
    /// The recurrent states: name, sizes, values.
    pub states: Vec<(String, Vec<usize>, Vec<f32>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    model: String,
    position: u64,
    pending: Option<u32>,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    repetition_penalty: f64,
    min_p: f64,
    typical_p: f64,
    frequency_penalty: f64,
    presence_penalty: f64,
    /// Tokens and what is added; `null` forbids one, since JSON has no -∞.
    logit_bias: Vec<(u32, Option<f64>)>,
    seed: u64,
    random: [u64; 4],
    /// `f32` or `int8`, `null` of a model without caches.
    cache: Option<String>,
}

impl Snapshot {
    /// Writes the file under a temporary name, synced, then renamed.
    ///
    /// # Errors
    /// A file that cannot be written; what was there before is then untouched.
    pub fn write(&self, path: &Path) -> Result<()> {
        let sampling = &self.sampling;
        let bias = |(id, bias): &(u32, f64)| (*id, Some(*bias).filter(|bias| bias.is_finite()));
        let header = serde_json::to_vec_pretty(&Header {
            format: FORMAT.into(),
            version: VERSION,
            model: self.model.clone(),
            position: self.position,
            pending: self.pending,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            repetition_penalty: sampling.repetition_penalty,
            min_p: sampling.min_p,
            typical_p: sampling.typical_p,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            logit_bias: sampling.logit_bias.iter().map(bias).collect(),
            seed: sampling.seed,
            random: self.random,
            cache: self.cache.map(|cache| cache.to_string()),
        })?;
        let f32s = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let mut sections = vec![(Spec::bytes("state.json", header.len()), header)];
        for (name, shape, values) in &self.states {
            sections.push((Spec::tensor(name, DType::F32, shape), f32s(values)));
        }
        sections.push((Spec::tensor("logits", DType::F32, &[self.logits.len()]), f32s(&self.logits)));
        if !self.seen.is_empty() {
            let of = |field: fn(&Occurrence) -> u32| self.seen.iter().map(field);
            let numbers = of(|t| t.id).chain(of(|t| t.read)).chain(of(|t| t.drawn));
            let bytes = numbers.flat_map(u32::to_le_bytes).collect();
            sections.push((Spec::tensor("seen", DType::I32, &[3, self.seen.len()]), bytes));
        }
        let specs: Vec<Spec> = sections.iter().map(|(spec, _)| spec.clone()).collect();
        let mut writer = BundleWriter::new(vec![], &specs)?;
        for (spec, bytes) in &sections {
            writer.section(&spec.name, bytes)?;
        }
        models::atomic::write_bytes(path, &writer.finish()?)?;
        Ok(())
    }

    /// Reads a file and checks what can be checked without the model; [`Generator::restore`](crate::generate::Generator::restore)
    /// checks the rest.
    ///
    /// # Errors
    /// A file that cannot be read, that is not as it was written, or that is something else.
    pub fn read(path: &Path) -> Result<Snapshot> {
        let bundle = Bundle::open(path)?;
        let wrong = |problem: String| {
            Fault::new(
                format!("{}: this is no state of a generation: {problem}", path.display()),
                "name a file that `fidelity generate --save-state` wrote",
            )
        };
        let text =
            bundle.bytes("state.json").map_err(|_| wrong("there is no section `state.json`".into()))?;
        let header: Header = serde_json::from_slice(text).map_err(|e| wrong(format!("state.json: {e}")))?;
        if header.format != FORMAT || header.version != VERSION {
            let (format, version) = (header.format, header.version);
            return Err(wrong(format!(
                "expected `{FORMAT}` version {VERSION}, found `{format}` version {version}"
            ))
            .into());
        }
        let cache = header.cache.as_deref().map(str::parse).transpose();
        let cache = cache.map_err(|e: String| wrong(format!("state.json: {e}")))?;
        let mut snapshot = Snapshot {
            cache,
            model: header.model,
            position: header.position,
            pending: header.pending,
            sampling: Sampling {
                temperature: header.temperature,
                top_k: header.top_k,
                top_p: header.top_p,
                repetition_penalty: header.repetition_penalty,
                min_p: header.min_p,
                typical_p: header.typical_p,
                frequency_penalty: header.frequency_penalty,
                presence_penalty: header.presence_penalty,
                logit_bias: header
                    .logit_bias
                    .into_iter()
                    .map(|(id, bias)| (id, bias.unwrap_or(f64::NEG_INFINITY)))
                    .collect(),
                seed: header.seed,
            },
            random: header.random,
            seen: vec![],
            logits: vec![],
            states: vec![],
        };
        for view in bundle.tensors() {
            let numbers = || {
                let values = view.bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
                values.collect::<Vec<f32>>()
            };
            match (view.name, view.dtype) {
                ("seen", DType::I32) => {
                    let &[3, count] = view.shape else {
                        return Err(
                            wrong(format!("expected `seen` of (3, N), found {:?}", view.shape)).into()
                        );
                    };
                    let numbers: Vec<u32> =
                        view.bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
                    let of = |row: usize| numbers[row * count..][..count].iter().copied();
                    let rows = of(0).zip(of(1)).zip(of(2));
                    snapshot.seen = rows.map(|((id, read), drawn)| Occurrence { id, read, drawn }).collect();
                }
                ("logits", DType::F32) => snapshot.logits = numbers(),
                (name, DType::F32) => snapshot.states.push((name.to_owned(), view.shape.to_vec(), numbers())),
                (name, dtype) => return Err(wrong(format!("section `{name}` of {dtype}")).into()),
            }
        }
        Ok(snapshot)
    }

    /// Checks that the snapshot fits a model and a type of caches: its fingerprint, the states' names and sizes, and that every number is
    /// one that the model could have left.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(
        &self,
        model: &Loaded,
        cache: Option<CacheType>,
        states: &[(String, Vec<usize>)],
    ) -> Result<()> {
        let own = fingerprint(model)?;
        if self.model != own {
            return fault(
                format!(
                    "the state belongs to another model: it was made by {}, and this is {own}",
                    self.model
                ),
                "load it with the model that made it, in any folder, layout or copy",
            );
        }
        if let (Some(found), Some(expected)) = (self.cache, cache)
            && found != expected
        {
            return fault(
                format!(
                    "the state has its keys and values cached as {found}, and this run caches {expected}"
                ),
                format!("cache them as it does: `--kv {found}`, or leave it out to follow the state"),
            );
        }
        let vocab = model.config.vocab_size();
        let damaged = |problem: String| {
            fault(format!("the state is not one of this model: {problem}"), "generate and save it again")
        };
        let found: Vec<(&str, &[usize])> =
            self.states.iter().map(|(n, s, _)| (n.as_str(), s.as_slice())).collect();
        let expected: Vec<(&str, &[usize])> =
            states.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
        if found != expected {
            return damaged(format!("expected the states {expected:?}, found {found:?}"));
        }
        if self.logits.len() != vocab {
            return damaged(format!("expected {vocab} logits, found {}", self.logits.len()));
        }
        let numbers = self.states.iter().flat_map(|(_, _, v)| v).chain(&self.logits);
        if let Some(x) = numbers.into_iter().find(|x| !x.is_finite()) {
            return damaged(format!("expected finite numbers, found {x}"));
        }
        if let Some(id) = self.seen.iter().map(|t| t.id).chain(self.pending).find(|id| *id as usize >= vocab)
        {
            return damaged(format!("expected token ids below {vocab}, found {id}"));
        }
        if self.seen.iter().map(|t| t.id).collect::<BTreeSet<_>>().len() != self.seen.len() {
            return damaged("expected every seen token once, found one twice".into());
        }
        if self.random == [0; 4] {
            return damaged("expected a random state that is not all zeros".into());
        }
        Ok(())
    }
}

/// What tells a model from others, in 32 hexadecimal digits: its configuration, the scale of every projection (a mean
/// over all its weights), and the bytes of everything that is not packed. A model has one in every layout and as a
/// folder; its embedding in another type makes it another model.
///
/// # Errors
/// A model that has not been prepared.
pub fn fingerprint(model: &Loaded) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(model.config.to_json().to_string());
    let ternary: BTreeSet<String> = model.config.projections().into_iter().collect();
    for name in &ternary {
        let scale = model.scalar(&format!("{name}.scale")).with_context(|| format!("no scale of {name}"))?;
        hash.update(name);
        hash.update(scale.to_bits().to_le_bytes());
    }
    let mut rest: Vec<String> = model.config.expected_tensors().into_iter().map(|(name, _)| name).collect();
    rest.retain(|name| !ternary.contains(name));
    rest.push(EMBEDDING_SCALE.into());
    if let EmbeddingType::Block(format) = model.embedding_type() {
        rest.extend(model.config.storable().iter().map(|name| block_section(name, format)));
    }
    rest.extend(model.config.formats().iter().map(|(name, format)| block_section(name, *format)));
    for name in rest {
        let checksum = match (model.bundle(), model.parameters.get(&name)) {
            (Some(bundle), _) => bundle.bundle().entry(&name).map(|entry| entry.checksum),
            (None, Some(tensor)) => Some(crc32c::crc32c(tensor.bytes())),
            (None, None) => {
                model.gguf().and_then(|gguf| Some(crc32c::crc32c(gguf.tensor(&name).ok()?.bytes)))
            }
        };
        if let Some(checksum) = checksum {
            hash.update(&name);
            hash.update(checksum.to_le_bytes());
        }
    }
    if let Weight::Mapped { dtype, .. } = model.weight(model.config.embedding())?
        && dtype != DType::F32
    {
        hash.update(dtype.name());
    }
    Ok(hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect())
}
