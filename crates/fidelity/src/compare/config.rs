//! The configuration of a comparison: a training configuration that all models share, and what differs.
//!
//! ```toml
//! [compare]
//! models = ["transformer", "mamba", "xlstm"]   # values of model.architecture
//! parameters = 1000000                         # of each; model.hidden_size is chosen for it
//! lengths = [256, 1024, 4096]                  # positions at which a token is timed
//!
//! [compare.set.xlstm]                          # overrides for one of them
//! "optimizer.lr" = 1e-3
//!
//! [data]                                       # from here on as for `fidelity train`
//! train = ["book.txt"]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use models::architecture::ModelConfig;
use serde::{Deserialize, Serialize};
use train::{TrainConfig, TrainError};

use crate::error::fault;

/// `[compare]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompareConfig {
    /// What is compared: values of `model.architecture`, or names of sections of `set` that choose one.
    pub models: Vec<String>,
    /// Parameters of each model; 0: the sizes of `[model]` are taken as they are.
    pub parameters: u64,
    /// Widths are multiples of this.
    pub multiple: usize,
    /// Positions at which a token is timed.
    pub lengths: Vec<usize>,
    /// Overrides of single models.
    pub set: BTreeMap<String, toml::Table>,
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            models: vec![],
            parameters: 1_000_000,
            multiple: 16,
            lengths: vec![64, 256, 1024, 4096],
            set: BTreeMap::new(),
        }
    }
}

/// One model of a comparison.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How it is trained.
    pub train: TrainConfig,
    /// The model for a vocabulary, whose size decides the last of its parameters.
    pub parameters: u64,
}

/// What is compared, and where it is written.
#[derive(Debug)]
pub struct Comparison {
    /// `[compare]`.
    pub config: CompareConfig,
    /// The models.
    pub entries: Vec<Entry>,
    /// The folder of the results.
    pub dir: std::path::PathBuf,
}

/// Reads a comparison; `overrides` are for all models.
///
/// # Errors
/// Wrong TOML, keys and values, models that are none, sizes that cannot be had.
pub fn load(path: &Path, overrides: &[String]) -> Result<Comparison> {
    let text = std::fs::read_to_string(path).map_err(|source| TrainError::read(path, source))?;
    let place = path.display().to_string();
    let wrong = |problem: String| TrainError::Config { place: place.clone(), problem };
    let mut table: toml::Table = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().into()))?;
    let config: CompareConfig = match table.remove("compare") {
        Some(section) => {
            section.try_into().map_err(|e| wrong(format!("[compare]: {}", e.to_string().trim_end())))?
        }
        None => CompareConfig::default(),
    };
    if config.models.is_empty() {
        return fault(
            format!("{place}: `compare.models` names no model"),
            "list values of `model.architecture`, such as models = [\"transformer\", \"mamba\"]",
        );
    }
    if let Some(name) = config.set.keys().find(|name| !config.models.contains(name)) {
        return fault(
            format!("{place}: [compare.set.{name}] is of a model that `compare.models` does not list"),
            "list it there, or leave the section out",
        );
    }
    let shared = toml::to_string(&table).map_err(|e| wrong(e.to_string()))?;
    let mut base = TrainConfig::from_toml(&shared, &place)?;
    base.apply_overrides(overrides)?;
    base.expand_paths(&|name| std::env::var(name).ok())?;
    let dir = match base.output.dir == TrainConfig::default().output.dir {
        true => "runs/compare".into(),
        false => base.output.dir.clone(),
    };
    let vocabulary = vocabulary(&base)?;
    let mut entries = vec![];
    for name in &config.models {
        let own = config.set.get(name);
        let mut train = base.clone();
        if own.is_none_or(|own| !own.contains_key("model.architecture")) {
            train.model.architecture.clone_from(name);
        }
        let own = own.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
        train.apply_overrides(&own.collect::<Vec<_>>())?;
        train.output.dir = dir.join(name);
        train.validate()?;
        let parameters = fit(&mut train, &config, vocabulary)?;
        entries.push(Entry { name: name.clone(), train, parameters });
    }
    Ok(Comparison { config, entries, dir })
}

/// Tokens of the vocabulary that a run will have, and how long its rows are.
fn vocabulary(config: &TrainConfig) -> Result<[usize; 2]> {
    Ok(match train::tasks::Task::of(&config.task, config.data.seed)? {
        Some(task) => [task.vocabulary(), task.row()],
        None => [train::data::load_tokenizer(&config.data)?.vocab_size(), config.data.seq_len],
    })
}

/// Chooses the width whose count of parameters is nearest to the one that is wanted; the count.
fn fit(train: &mut TrainConfig, config: &CompareConfig, [vocabulary, positions]: [usize; 2]) -> Result<u64> {
    let model = |train: &TrainConfig| -> train::Result<ModelConfig> {
        train::run::model_config(&train.model, vocabulary, positions, None)
    };
    let count =
        |train: &TrainConfig| Ok::<_, TrainError>(model(train)?.parameter_count().unwrap_or(u64::MAX));
    if config.parameters == 0 {
        return Ok(count(train)?);
    }
    let step = config.multiple.max(1).next_multiple_of(2 * train.model.num_heads.max(1));
    let mut best: Option<(u64, usize)> = None;
    let mut refused = None;
    for width in (1..=4096 / step.min(4096)).map(|k| k * step) {
        train.model.hidden_size = width;
        let found = match count(train) {
            Ok(found) => found,
            // Some widths do not go with the heads of an architecture.
            Err(error) => {
                refused.get_or_insert(error);
                continue;
            }
        };
        let better = |(before, _): &(u64, usize)| {
            found.abs_diff(config.parameters) < before.abs_diff(config.parameters)
        };
        if best.as_ref().is_none_or(better) {
            best = Some((found, width));
        } else if found > config.parameters {
            break;
        }
    }
    match (best, refused) {
        (Some((found, width)), _) => {
            train.model.hidden_size = width;
            Ok(found)
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => fault("no width fits", "choose a smaller `compare.multiple` or `model.num_heads`"),
    }
}
