//! Precision as a choice: the scalars that a graph can be evaluated in.

mod big;
mod decimal;
mod digits;
mod f128;

pub use digits::Digits;
pub use f128::F128;
