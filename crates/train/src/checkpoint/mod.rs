//! Checkpoints: files that are whole or absent, and a folder of them that a run can always go back to.
//!
//! A checkpoint is one safetensors file, `step-000400.ckpt`. It is independent of the model: named f32 tensors
//! (parameters and both moments of the optimiser, bit for bit), named bytes (the trits of the last look) and a JSON
//! value ([`RunState`]).

mod atomic;
mod file;
mod state;
mod store;

pub use atomic::{FolderLock, atomic_write, create_folder, remove_temporaries};
pub use file::{Checkpoint, NamedTensor, TensorRef, read_checkpoint, write_checkpoint};
pub use state::{Best, EarlyStopping, RunState, Verdict};
pub use store::{CheckpointStore, Restored};

#[cfg(test)]
mod tests;
