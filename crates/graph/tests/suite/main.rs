//! The tests of the crate that go through its public interface, in one binary.

mod decimals;
mod draw;
mod dual;
mod generate;
mod model;
mod passes;
mod symbolic;
mod table;
mod text;
mod tracer;
mod verify;
