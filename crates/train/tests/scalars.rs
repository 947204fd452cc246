//! Training steps in wider arithmetics: the f32 step to its rounding, and not the same numbers.

use engine::pool::Pool;
use furnace::precision::Precision;
use std::sync::Arc;
use train::config::{OptimizerConfig, Products, TrainConfig};
use train::data::Batch;
use train::optimizers::Optimizer;
use train::quantizer::Transform;
use train::step::{Rates, Step, StepOptions, TrainState};

const BATCH: usize = 2;
const LENGTH: usize = 5;

/// Loss, norm, every weight and every first moment (a tenth of the clipped gradient) after one update.
fn update(
    scalar: Option<Precision>,
    products: Products,
    accumulate: usize,
) -> (f32, f32, Vec<f32>, Vec<f32>) {
    let model = models::config::MatMulFreeConfig {
        vocab_size: 19,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_heads: 1,
        intermediate_size: Some(24),
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    };
    let tensors = model.init(0).into_iter().map(|t| {
        let models::safetensors::Values::F32(v) = &t.values else { unreachable!("initial weights are f32") };
        (t.name.clone(), engine::Tensor::from_f32(t.shape.clone(), v))
    });
    let optimizer = Optimizer::new(&OptimizerConfig::default(), Transform::default(), &model);
    let mut state = TrainState::new(tensors.collect(), &optimizer);
    let options = StepOptions { scalar, products, accumulate, ..StepOptions::new(BATCH, LENGTH) };
    let mut step = Step::new(&model, &optimizer, &options, Arc::new(Pool::new(1))).expect("a step");
    assert_eq!(step.plan_bytes() > 0, scalar.is_none());
    let batches: Vec<Batch> = (0..accumulate)
        .map(|b| Batch {
            ids: (0..BATCH * LENGTH).map(|i| ((i * i * 3 + 5 * i + 7 * b + 1) % 19) as u32).collect(),
            labels: None,
            batch_size: BATCH,
            seq_len: LENGTH,
        })
        .collect();
    let rates = Rates { step: 0, lr: 1e-3, weight_decay: 0.01, share: 1.0, knob: 1.0 };
    let made = step.run(&mut state, &batches, rates).expect("an update");
    let weights = state.parameters.iter().flat_map(|t| t.f32().to_vec()).collect();
    let moments = state.slots.iter().flat_map(|slots| slots[0].1.f32().to_vec()).collect();
    (made.loss, made.grad_norm, weights, moments)
}

/// The largest difference as a share of the largest number.
fn off(a: &[f32], b: &[f32]) -> f32 {
    let size = a.iter().fold(0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / size
}

#[test]
fn wider_steps_are_the_f32_step_to_rounding() {
    for (products, accumulate) in [(Products::Float, 1), (Products::Integer, 1), (Products::Integer, 2)] {
        let (loss, norm, weights, moments) = update(None, products, accumulate);
        let double = update(Some(Precision::F64), products, accumulate);
        let what = format!("{products:?}, {accumulate} batches");
        println!(
            "{what}: loss {loss} {}, norm {norm} {}, gradients off by {:e}, weights by {:e}",
            double.0,
            double.1,
            off(&moments, &double.3),
            off(&weights, &double.2)
        );
        assert!((loss - double.0).abs() <= 1e-6 * loss && (norm - double.1).abs() <= 1e-5 * norm, "{what}");
        assert!(off(&moments, &double.3) <= 2e-5, "{what}: {:e}", off(&moments, &double.3));
        assert_ne!(moments, double.3, "{what}: the step was done in f32");
        // Adam's first step is the sign of the gradient: where that is 0 but for rounding, it may go either way.
        let apart = weights.iter().zip(&double.2).filter(|(a, b)| (**a - **b).abs() > 1e-5).count();
        assert!(apart * 100 <= weights.len(), "{what}: {apart} of {} weights", weights.len());
    }
}

#[test]
fn all_wide_arithmetics_agree_further_than_f32() {
    let double = update(Some(Precision::F64), Products::Float, 1);
    let mut all = vec![Precision::DoubleDouble, Precision::F128, Precision::Digits(30)];
    if cfg!(target_arch = "x86_64") {
        all.push(Precision::F80);
    }
    for scalar in all {
        let made = update(Some(scalar), Products::Float, 1);
        // Rounded to f32 at the end, they are the same numbers or neighbours.
        assert!(off(&made.3, &double.3) <= 1e-7, "{scalar}: {:e}", off(&made.3, &double.3));
        assert_eq!(made.0, double.0, "{scalar}");
    }
}

#[test]
fn the_configuration_names_the_arithmetic() {
    let read = |text: &str| TrainConfig::from_toml(text, "run.toml");
    let config = read("[precision]\nscalar = \"digits:25\"\n").expect("a configuration");
    assert_eq!(StepOptions::of(&config).scalar, Some(Precision::Digits(25)));
    assert_eq!(StepOptions::of(&TrainConfig::default()).scalar, None);
    let again = read(&config.to_commented_toml()).expect("what it prints");
    assert_eq!(again, config);
    for (text, remedy) in [
        ("interval", "digits:N"),
        ("interval:40", "digits:N"),
        ("adaptive:1e-9", "digits:N"),
        ("f16", "f64"),
        ("digits:0", "digits:40"),
    ] {
        let message = read(&format!("[precision]\nscalar = \"{text}\"\n")).expect_err(text).to_string();
        assert!(message.contains(remedy), "{text}: {message}");
    }
    for (other, key) in [("gradients = \"bf16\"", "train.gradients"), ("memory = \"1MB\"", "train.memory")] {
        let mut config =
            read(&format!("[precision]\nscalar = \"f64\"\n[train]\n{other}\n")).expect("a configuration");
        config.data.train = vec!["text.txt".into()];
        let message = config.validate().expect_err(key).to_string();
        assert!(message.contains(key) && message.contains("precision.scalar"), "{message}");
    }
}
