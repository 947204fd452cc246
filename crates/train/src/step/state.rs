//! Weights and the optimiser's state: what a step overwrites and a checkpoint holds.

use axes::DType;
use engine::Tensor;

use crate::optimizers::{Init, Optimizer};

/// A state of the optimiser: its name in a checkpoint, and its values.
pub type NamedSlot = (String, Tensor);

/// Weights and the optimiser's state under the parameters' names.
pub struct TrainState {
    /// Names in the graph's order.
    pub names: Vec<String>,
    /// The weights.
    pub parameters: Vec<Tensor>,
    /// The optimiser's state of each weight.
    pub slots: Vec<Vec<NamedSlot>>,
}

impl TrainState {
    /// These weights with the state that the optimiser begins with.
    pub fn new(parameters: Vec<(String, Tensor)>, optimizer: &Optimizer) -> TrainState {
        let mut state = TrainState::bare(parameters);
        for ((name, p), slots) in state.names.iter().zip(&state.parameters).zip(&mut state.slots) {
            *slots = optimizer
                .slots(name)
                .into_iter()
                .map(|slot| {
                    let values = match slot.init {
                        Init::Zeros => Tensor::zeros(DType::F32, p.shape().to_vec()),
                        Init::Copy => Tensor::from_f32(p.shape().to_vec(), p.f32()),
                        Init::Number(x) => Tensor::from_f32([], &[x as f32]),
                    };
                    (format!("{}{name}", slot.prefix), values)
                })
                .collect();
        }
        state
    }

    /// These weights without an optimiser.
    pub fn bare(parameters: Vec<(String, Tensor)>) -> TrainState {
        let (names, parameters): (Vec<String>, Vec<Tensor>) = parameters.into_iter().unzip();
        let slots = names.iter().map(|_| vec![]).collect();
        TrainState { names, parameters, slots }
    }

    /// Number of parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(Tensor::len).sum()
    }

    /// Bytes of weights and optimiser state.
    pub fn bytes(&self) -> usize {
        4 * self.tensors().map(|(_, t)| t.len()).sum::<usize>()
    }

    /// Every tensor with its name: each weight, followed by its states.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let rows = self.names.iter().zip(&self.parameters).zip(&self.slots);
        rows.flat_map(|((name, p), slots)| {
            std::iter::once((name.as_str(), p)).chain(slots.iter().map(|(name, t)| (name.as_str(), t)))
        })
    }

    /// As [`TrainState::tensors`], to be written.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        let rows = self.names.iter().zip(&mut self.parameters).zip(&mut self.slots);
        rows.flat_map(|((name, p), slots)| {
            std::iter::once((name.as_str(), p)).chain(slots.iter_mut().map(|(name, t)| (name.as_str(), t)))
        })
    }
}
