//! Training: data, schedules, checkpoints and metrics around the compiled step.
//!
//! - [`config`]: the TOML file, every default, `--set` overrides;
//! - [`data`]: text to token sequences, reproducible and resumable;
//! - [`schedule`]: learning rate and weight decay as functions of the step;
//! - [`checkpoint`]: files that are whole or absent;
//! - [`metrics`] and [`plot`]: JSON lines, TensorBoard events, the loss curve, progress;
//! - [`report`]: the page of a run; [`trits`]: which ternary weights still move;
//! - [`optimizers`]: the rules of an update, as graph; [`quantizer`]: how gradients pass the quantiser;
//! - [`step`]: forward, backward, clipping and update as one plan; [`mod@run`]: the loop around it;
//! - [`tasks`]: what shows whether an architecture can copy, recall, count;
//! - [`random`]: generators whose state a checkpoint holds.

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod memory;
pub mod metrics;
mod micro;
pub mod optimizers;
pub mod plot;
pub mod quantizer;
pub mod random;
pub mod report;
pub mod run;
pub mod schedule;
pub mod step;
pub mod tasks;
pub mod trits;

pub use config::TrainConfig;
pub use error::{Result, TrainError};
pub use run::{RunOptions, Summary, run};
