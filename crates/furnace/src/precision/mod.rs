//! Precision as a choice: the scalars that a graph can be evaluated in.

mod big;
mod decimal;
mod digits;
mod double_double;
mod double_functions;
mod f128;
#[cfg(target_arch = "x86_64")]
mod f80;

pub use digits::Digits;
pub use double_double::DoubleDouble;
#[cfg(target_arch = "x86_64")]
pub use f80::F80;
pub use f128::F128;
