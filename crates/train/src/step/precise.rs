//! A step in another arithmetic than f32: the same graph in the reference interpreter.
//!
//! Forward pass, gradients, norm, clipping and the optimiser's update are done in the scalar. Weights and states between
//! steps are f32, as tensors and checkpoints hold them, so that a run can be resumed to the bit; so are a step's rates. A
//! step takes hundreds of times as long as the engine's in f64 and double-double, tens of thousands of times in f80,
//! f128 and digits, and more memory: a measure of what f32 costs in accuracy, not a way to train large models.

use engine::Tensor;
use furnace::precision::{Precision, Real, Task};
use graph::{EvalCx, Graph, interp};

use crate::error::{Result, TrainError};

/// A step's graph, and its arithmetic.
pub(super) struct Precise {
    pub(super) graph: Graph,
    scalar: Precision,
}

impl Precise {
    pub(super) fn new(graph: Graph, scalar: Precision) -> Precise {
        Precise { graph, scalar }
    }

    /// All outputs, in the graph's order.
    pub(super) fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let made = self.scalar.run(Once { graph: &self.graph, inputs });
        made.map_err(|e| TrainError::Arithmetic { scalar: self.scalar.to_string(), problem: e.to_string() })
    }
}

struct Once<'a> {
    graph: &'a Graph,
    inputs: &'a [&'a Tensor],
}

impl Task for Once<'_> {
    type Out = Vec<Tensor>;
    fn run<S: Real>(self) -> furnace::Result<Vec<Tensor>> {
        let inputs = self.inputs.iter().map(|t| t.to_array::<S>()).collect();
        let made = interp::run_in(self.graph, inputs, EvalCx::default())?;
        Ok(made.outputs.iter().map(|(_, a)| Tensor::from_array(a)).collect())
    }
}
