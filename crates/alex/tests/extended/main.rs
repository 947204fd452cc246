//! Extended precision in generated code against furnace's scalars: + − × ÷ √ bit for bit, functions to 2 units in the last
//! place of the correctly rounded value.
#![allow(missing_docs)]

mod arithmetic;
#[allow(dead_code, reason = "shared with suites that use more of it")]
#[path = "../../../engine/tests/conformance/cases.rs"]
mod cases;
#[path = "../../../engine/tests/conformance/composites.rs"]
mod composites;
#[path = "../../../engine/tests/conformance/differentiable.rs"]
mod differentiable;
mod functions;
mod graphs;
mod number;
#[path = "../../../engine/tests/conformance/regions.rs"]
mod regions;
mod sums;

use alex::extended::{Format, Kernels};
use alex::toolchain::Toolchain;
use alex::{Compiler, Options};
use std::sync::OnceLock;

/// The compiled functions of a format, or a note that the test is left out.
fn kernels(format: Format) -> Option<&'static Kernels> {
    static MADE: [OnceLock<Option<Kernels>>; 2] = [OnceLock::new(), OnceLock::new()];
    let made = MADE[format as usize].get_or_init(|| {
        if let Err(e) = Toolchain::find().map(|_| ()).and_then(|()| format.check(None)) {
            println!("skipped: {e}");
            return None;
        }
        let compiler = Compiler::new(Options::default()).unwrap().with_cache(None);
        Some(Kernels::build(&compiler, format).unwrap())
    });
    made.as_ref()
}
