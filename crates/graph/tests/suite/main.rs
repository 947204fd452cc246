//! The tests of the crate that go through its public interface, in one binary.

mod accumulate;
mod decimals;
mod draw;
mod dual;
mod functions;
mod generate;
mod model;
mod passes;
mod symbolic;
mod table;
mod table_more;
mod text;
mod tracer;
mod verify;
