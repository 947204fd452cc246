//! Training steps with each accumulator: the same gradients to rounding; with the exact one, the same bits for any order
//! of sequences in a batch and of batches in an update, and any number of threads.

use engine::pool::Pool;
use graph::Accumulator;
use std::sync::Arc;
use train::config::OptimizerConfig;
use train::data::Batch;
use train::optimizers::Optimizer;
use train::quantizer::Transform;
use train::step::{Rates, Step, StepOptions, TrainState};

const BATCH: usize = 3;
const LENGTH: usize = 6;

fn model() -> models::config::MatMulFreeConfig {
    models::config::MatMulFreeConfig {
        vocab_size: 19,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_heads: 1,
        intermediate_size: Some(24),
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    }
}

fn sequence(i: usize) -> Vec<u32> {
    (0..LENGTH).map(|t| ((i * 7 + t * t * 3 + 1) % 19) as u32).collect()
}

fn batch(sequences: [usize; BATCH]) -> Batch {
    let ids = sequences.iter().flat_map(|i| sequence(*i)).collect();
    Batch { ids, labels: None, batch_size: BATCH, seq_len: LENGTH }
}

/// First moments after one update, which are a tenth of the gradients, as bits; and the norm.
fn update(how: Option<Accumulator>, batches: &[Batch], threads: usize) -> (Vec<Vec<f32>>, f32) {
    let model = model();
    let tensors = model.init(0).into_iter().map(|t| {
        let models::safetensors::Values::F32(v) = &t.values else { unreachable!("initial weights are f32") };
        (t.name.clone(), engine::Tensor::from_f32(t.shape.clone(), v))
    });
    let optimizer = Optimizer::new(&OptimizerConfig::default(), Transform::default(), &model);
    let mut state = TrainState::new(tensors.collect(), &optimizer);
    let options =
        StepOptions { accumulate: batches.len(), accumulator: how, ..StepOptions::new(BATCH, LENGTH) };
    let mut step = Step::new(&model, &optimizer, &options, Arc::new(Pool::new(threads))).expect("a step");
    let made = step
        .run(&mut state, batches, Rates { step: 0, lr: 1e-3, weight_decay: 0.01, share: 1.0, knob: 1.0 })
        .expect("an update");
    (state.slots.iter().map(|slots| slots[0].1.f32().to_vec()).collect(), made.grad_norm)
}

fn bits(m: &[Vec<f32>]) -> Vec<Vec<u32>> {
    m.iter().map(|v| v.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn every_accumulator_gives_the_same_gradients_to_rounding() {
    for batches in [vec![batch([0, 1, 2])], vec![batch([0, 1, 2]), batch([3, 4, 5]), batch([6, 7, 8])]] {
        let (fast, norm) = update(None, &batches, 1);
        let size = fast.iter().flatten().fold(0f32, |m, x| m.max(x.abs()));
        for how in Accumulator::ALL {
            let (found, n) = update(Some(how), &batches, 1);
            let off = found
                .iter()
                .flatten()
                .zip(fast.iter().flatten())
                .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(off <= 2e-5 * size, "{how}, {} batches: {off:e} of {size:e}", batches.len());
            assert!((n - norm).abs() <= 1e-5 * norm, "{how}: {n}, {norm}");
            assert_eq!(bits(&found), bits(&update(Some(how), &batches, 3).0), "{how} on three threads");
        }
    }
}

#[test]
fn exact_gradients_do_not_depend_on_order() {
    let exact = Some(Accumulator::Exact);
    let first = bits(&update(exact, &[batch([0, 1, 2])], 1).0);
    assert_eq!(first, bits(&update(exact, &[batch([2, 0, 1])], 3).0));
    let (a, b, c) = (batch([0, 1, 2]), batch([3, 4, 5]), batch([6, 7, 8]));
    let first = bits(&update(exact, &[a, b, c], 1).0);
    let second = [batch([7, 8, 6]), batch([0, 1, 2]), batch([5, 4, 3])];
    assert_eq!(first, bits(&update(exact, &second, 2).0));
}
