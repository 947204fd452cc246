//! The bundle file: what a writer writes is read back, and nothing else is accepted.
#![allow(missing_docs, unreachable_pub)]

mod hostile;
mod round_trip;
mod support;
mod worked_example;
