//! The configuration of a run: one TOML file in which every key has a default.
//!
//! Unknown keys are errors, because a misspelt `weight_decai` that is silently ignored costs a training run.
//! "Off" and "derived" are spelled as values (`0`, `""`) rather than as missing keys, so that
//! [`TrainConfig::to_commented_toml`] can show every key there is. Relative paths are taken from the current
//! folder, as the shell does; `${NAME}` and `${NAME:-default}` in a path stand for environment variables.
//!
//! ```
//! use train::TrainConfig;
//!
//! let mut config = TrainConfig::default();
//! config.apply_overrides(&["train.steps=1000".into(), "data.train=[\"book.txt\"]".into()])?;
//! assert_eq!(config.train.steps, 1000);
//! let error = config.apply_overrides(&["train.step=1".into()]).unwrap_err();
//! assert!(error.to_string().contains("train.steps"));
//! # Ok::<(), train::TrainError>(())
//! ```

mod bytes;
mod comments;
mod inline;
mod overrides;
mod paths;
mod scalar;
mod sections;
mod validate;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, TrainError};

pub use bytes::ByteSize;
pub use scalar::ScalarKind;
pub use sections::{
    AccumulatorKind, Auto, DataConfig, EngineKind, GradientType, LoopConfig, MlgruForm, ModelConfig,
    OptimizerConfig, OptimizerKind, OutputConfig, PrecisionConfig, Products, QuantizerConfig, SamplerKind,
    ScheduleConfig, ScheduleKind, SplitConfig, SplitKind, TaskConfig,
};

/// Everything that `fidelity train` can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// What runs the plans.
    pub engine: EngineKind,
    /// What is trained.
    pub model: ModelConfig,
    /// A built-in task that it is trained on instead of text.
    pub task: TaskConfig,
    /// What it is trained on.
    pub data: DataConfig,
    /// How a gradient becomes an update.
    pub optimizer: OptimizerConfig,
    /// How gradients pass the quantiser of the weights.
    pub quantizer: QuantizerConfig,
    /// How the learning rate and the weight decay change over the run.
    pub schedule: ScheduleConfig,
    /// The loop.
    pub train: LoopConfig,
    /// In which arithmetic steps are done, and how sums are kept.
    pub precision: PrecisionConfig,
    /// Where results go.
    pub output: OutputConfig,
}

impl TrainConfig {
    /// Reads a file, applies `--set` overrides, fills in environment variables and checks every value.
    pub fn load(path: impl AsRef<Path>, overrides: &[String]) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::read(path, source))?;
        let mut config = Self::from_toml(&text, &path.display().to_string())?;
        config.apply_overrides(overrides)?;
        config.expand_paths(&|name| std::env::var(name).ok())?;
        config.validate()?;
        Ok(config)
    }

    /// Parses TOML text; `place` names it in errors. Values are not checked yet, see [`TrainConfig::validate`].
    pub fn from_toml(text: &str, place: &str) -> Result<Self> {
        let problem = |e: toml::de::Error| TrainError::Config {
            place: place.to_owned(),
            problem: format!("{}; `fidelity train --print-config` shows every key", e.to_string().trim_end()),
        };
        let table: toml::Table = toml::from_str(text).map_err(problem)?;
        overrides::check_keys(&table, place)?;
        // From the text once more, not from the table, so that a wrong type is reported with its line.
        toml::from_str(text).map_err(problem)
    }

    /// The configuration as TOML with a comment on every key: what `fidelity train --print-config` prints.
    pub fn to_commented_toml(&self) -> String {
        comments::write(&self.to_toml())
    }

    /// The configuration as plain TOML.
    pub fn to_toml(&self) -> String {
        // Fails only for integers above i64::MAX, which `validate` refuses.
        inline::single_lines(&toml::to_string(self).unwrap_or_default())
    }

    /// A hash of everything that decides the numbers of a run; where results go, how often they are written and
    /// how many threads compute them is left out, so that those may change when a run is resumed.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.essence().to_toml().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The keys that enter [`TrainConfig::fingerprint`] and differ, as `key: other → self`.
    pub fn differences(&self, other: &TrainConfig) -> Vec<String> {
        let mine = overrides::flatten(&self.essence());
        let theirs = overrides::flatten(&other.essence());
        mine.iter()
            .filter_map(|(key, value)| {
                let before = theirs.iter().find(|(k, _)| k == key).map(|(_, v)| v)?;
                (before != value).then(|| format!("{key}: {before} → {value}"))
            })
            .collect()
    }

    /// Every key with its section and its value, as the file spells them.
    pub fn flat(&self) -> Vec<(String, String)> {
        overrides::flatten(self)
    }

    fn essence(&self) -> TrainConfig {
        let defaults = TrainConfig::default();
        let mut essence = self.clone();
        essence.output = defaults.output;
        essence.data.cache = defaults.data.cache;
        essence.data.cache_dir = defaults.data.cache_dir;
        let TaskConfig { name, length, items, vocabulary, path, .. } = self.task.clone();
        essence.task = TaskConfig { name, length, items, vocabulary, path, ..defaults.task };
        let LoopConfig { steps, batch_size, accumulate, products, gradients, fuse, .. } = self.train.clone();
        essence.train =
            LoopConfig { steps, batch_size, accumulate, products, gradients, fuse, ..defaults.train };
        essence
    }
}

#[cfg(test)]
mod tests;
