//! The crate's one error type. Every message names what was expected, what was found and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong while a run was configured, fed, saved or resumed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file or folder named in the configuration does not exist.
    #[error("{what} `{}` does not exist; {remedy}", .path.display())]
    Missing {
        /// What the path was to be, such as "the text file".
        what: &'static str,
        /// The path as it was resolved.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file exists and cannot be read.
    #[error("cannot read `{}`: {source}; {remedy}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file cannot be written. What stood there before is untouched.
    #[error("cannot write `{}`: {source}; {remedy}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do about it, which depends on the cause (a full disk, a missing right).
        remedy: &'static str,
    },
    /// A pattern in `data.train` is not a valid glob.
    #[error(
        "`{pattern}` is not a valid file pattern: {problem}; write `**/*.txt`, or name files and folders"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the parser said.
        problem: String,
    },
    /// A pattern or a folder holds no text.
    #[error(
        "`{source_text}` matches no text file ({detail}); check the spelling, \
         or the list of endings in `data.extensions`"
    )]
    NoMatch {
        /// The entry of `data.train` or `data.validation.files`.
        source_text: String,
        /// What was looked at and left out.
        detail: String,
    },
    /// No source was named at all.
    #[error(
        "`data.train` is empty; name files, folders or patterns, for example \
         `--set 'data.train=[\"book.txt\", \"notes/\", \"src/**/*.rs\"]'`"
    )]
    NoSources,
    /// The sources hold no text.
    #[error(
        "the {part} text is empty: {files} file(s) with no byte of text between them; name files that hold text"
    )]
    EmptyText {
        /// "training" or "validation".
        part: &'static str,
        /// How many files were read.
        files: usize,
    },
    /// There is less text than one sequence needs.
    #[error(
        "the {part} text has {found} tokens, fewer than the {needed} that one sequence needs; \
         {remedy}"
    )]
    TooShort {
        /// "training" or "validation".
        part: &'static str,
        /// Tokens found.
        found: usize,
        /// Tokens needed.
        needed: usize,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The tokenizer and the model disagree.
    #[error(
        "token id {id} at position {position} of the {part} text is outside the vocabulary of {vocab} entries \
         (0..={}); use the tokenizer that belongs to the model, or set `model.vocab_size` to at least {}",
        .vocab.saturating_sub(1), .id + 1
    )]
    TokenRange {
        /// "training" or "validation".
        part: &'static str,
        /// The offending id.
        id: u32,
        /// Where it stands in the token stream.
        position: usize,
        /// The size of the model's vocabulary.
        vocab: usize,
    },
    /// A split that leaves one side without a document.
    #[error("the validation split by {by} leaves the {part} side empty ({detail}); {remedy}")]
    Split {
        /// How it was split.
        by: &'static str,
        /// The side that is empty.
        part: &'static str,
        /// How many documents or blocks there were.
        detail: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A memory limit below what weights and moments take.
    #[error(
        "`train.memory` allows {limit} bytes, and weights, moments and the kernels' scratch alone take {fixed}; allow \
         more, or make the model smaller"
    )]
    Memory {
        /// Bytes allowed.
        limit: usize,
        /// Bytes of weights, moments and scratch.
        fixed: usize,
    },
    /// A configuration file is not valid TOML, or a value has the wrong type.
    #[error("{place}: {problem}")]
    Config {
        /// The file, or the override as it was given.
        place: String,
        /// What was expected and found.
        problem: String,
    },
    /// A key that the configuration does not have.
    #[error("{place}: unknown key `{key}`; {hint}")]
    UnknownKey {
        /// The file, or the override as it was given.
        place: String,
        /// The key with its section.
        key: String,
        /// The keys that look like it, or where to find the list.
        hint: String,
    },
    /// A value that cannot be.
    #[error("`{key}` is {found}: expected {expected}")]
    Value {
        /// The key with its section.
        key: &'static str,
        /// The value.
        found: String,
        /// The values that are allowed.
        expected: String,
    },
    /// A step could not be done in the arithmetic that `precision.scalar` names.
    #[error("the step has no value in `{scalar}`: {problem}; try another `precision.scalar`, or f32")]
    Arithmetic {
        /// The arithmetic.
        scalar: String,
        /// What happened.
        problem: String,
    },
    /// A checkpoint does not hold what was written.
    #[error(
        "the checkpoint `{}` is damaged: {problem}; \
         resume from an earlier one in the same folder, or start anew without `--resume`", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// There is nothing to resume from.
    #[error(
        "no usable checkpoint in `{}`: {detail}; start without `--resume`, \
         or point `output.dir` at the folder of the run", .dir.display()
    )]
    NoCheckpoint {
        /// The folder that was searched.
        dir: PathBuf,
        /// What was found there.
        detail: String,
    },
    /// A checkpoint that belongs to another run.
    #[error("the checkpoint does not fit this run: {problem}; {remedy}")]
    Mismatch {
        /// What differs.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A number stopped being finite: the run stops before the update that would have spread it.
    #[error(
        "step {step}: the {quantity} is not finite: {blame}. Nothing of this step was kept, and \
         {checkpoint}; lower `optimizer.lr` or `optimizer.grad_clip`, lengthen \
         `schedule.warmup_steps`, or look at the weights the run started from"
    )]
    NotFinite {
        /// The step.
        step: u64,
        /// `loss` or `gradient norm`.
        quantity: &'static str,
        /// The op, the layer and the tensor where it first happened.
        blame: String,
        /// Which checkpoint is the last good one.
        checkpoint: String,
    },
    /// A model's files or sizes are at fault.
    #[error(transparent)]
    Model(#[from] models::ModelError),
    /// The compiled step could not be built or run.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The model's graph could not be built or differentiated.
    #[error(transparent)]
    Graph(#[from] graph::GraphError),
    /// Another process trains into the same folder.
    #[error(
        "another run is writing to `{}` (its lock is held); wait for it, \
         or give this run its own folder with `--set output.dir=…`", .dir.display()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The tokenizer could not be read or refused the text.
    #[error(transparent)]
    Tokenizer(#[from] models::tokenizer::TokenizerError),
}

/// The crate's result.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

impl TrainError {
    /// A failed read, with a remedy that fits its cause.
    pub fn read(path: &Path, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::NotFound => "check the path; it is taken from the current folder",
            io::ErrorKind::PermissionDenied => {
                "make it readable (`chmod +r`), or leave it out of the sources"
            }
            _ => "check the disk, or leave the file out of the sources",
        };
        TrainError::Read { path: path.into(), source, remedy }
    }

    /// A failed write, with a remedy that fits its cause.
    pub fn write(path: &Path, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::StorageFull => {
                "the disk is full: free some space or set `output.dir` to another disk, then go on with `--resume`; \
                 the previous checkpoint is intact"
            }
            io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                "the limit for this user or file is reached: raise it (`ulimit -f`, quota) or set `output.dir` \
                 elsewhere, then go on with `--resume`; the previous checkpoint is intact"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "set `output.dir` to a folder that you may write to"
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                "something else has this name: move it away, or set `output.dir` to another folder"
            }
            _ => {
                "check the disk and `output.dir`, then go on with `--resume`; the previous checkpoint is intact"
            }
        };
        TrainError::Write { path: path.into(), source, remedy }
    }

    /// Whether the cause is a disk, quota or file-size limit that has been reached.
    pub fn is_full_disk(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, TrainError::Write { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}
