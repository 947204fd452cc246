//! GGUF files: one of another writer is read to the last value, ours read back, and nothing else is accepted.
#![allow(missing_docs, unreachable_pub)]

mod golden;
mod hostile;
mod round_trip;
