//! Runs plans on the CPU: the executor, the kernels, the thread pool and the aligned memory they work in.
//!
//! The only home of SIMD and of most `unsafe` in the workspace. Every fast form is tested against the plain
//! loop that specifies it, and no result depends on the number of threads.
//!
//! ```
//! use axes::DType;
//! use engine::{Tensor, pool::Pool, run_once};
//! use graph::{Cx, Type};
//! let cx = Cx::abstract_();
//! let x = cx.input("x", Type::new(DType::F32, [2, 3]));
//! let y = x.silu().sum(&[1]);
//! let g = cx.finish(&[("y", &y)])?;
//! let x = Tensor::from_f32([2, 3], &[0.0, 1.0, 2.0, -1.0, 0.5, 0.25]);
//! let out = run_once(&g, &[&x], &Default::default(), Pool::single().into())?;
//! assert!((out[0].1.f32()[0] - (0.7310586 + 1.7615942)).abs() < 1e-6);
//! # Ok::<(), engine::EngineError>(())
//! ```

pub mod arena;
mod blame;
mod cached;
mod chain;
mod code;
mod convolve;
mod copy;
mod dequantized;
mod dot;
mod error;
mod exec;
mod group;
mod instr;
pub mod kernels;
pub mod measure;
mod memories;
mod moves;
pub mod pages;
pub mod pool;
mod reduce;
mod selective;
mod state_matrix;
mod tensor;
mod windows;

pub use code::{Code, Compile, Dealt, Entry, Runner, Task};
pub use error::{Blame, EngineError, Result};
pub use exec::{Executable, Io, run_once, target};
pub use tensor::Tensor;
