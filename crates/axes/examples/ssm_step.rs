//! `ssmStep`: one step of a diagonal state space model, s ← A s + B x, y = C · s.
//!
//! The recurrence is checked against its other form, a convolution with the kernel C Aᵏ B. Run it with
//! `cargo run -p axes --example ssm_step`.

use axes::{Algebra, AxesError, Axis, Tensor, Unitless, axes};

axes! {
    /// Components of the state.
    State = 4;
}

/// A diagonal state space model with one input and one output.
struct Ssm<N: Axis, S> {
    /// The diagonal of A.
    a: Tensor<(N,), f32, Unitless, S>,
    b: Tensor<(N,), f32, Unitless, S>,
    c: Tensor<(N,), f32, Unitless, S>,
}

impl<N: Axis, S: Algebra> Ssm<N, S> {
    /// The new state and the output; costs the same at every position.
    fn step(
        &self,
        state: &Tensor<(N,), f32, Unitless, S>,
        input: f64,
    ) -> (Tensor<(N,), f32, Unitless, S>, Tensor<(), f32, Unitless, S>) {
        let state = &self.a * state + &self.b * input;
        let output = state.dot(&self.c);
        (state, output)
    }
}

fn main() -> Result<(), AxesError> {
    let ssm = Ssm::<State, _> {
        a: Tensor::vector(vec![0.9, 0.5, -0.3, 0.1])?,
        b: Tensor::vector(vec![1.0, 0.5, 0.25, 2.0])?,
        c: Tensor::vector(vec![0.5, -1.0, 2.0, 1.0])?,
    };
    let inputs = [1.0f64, 0.0, -2.0, 0.5, 0.0, 3.0];

    let mut state = Tensor::zeros([4])?;
    for (t, &input) in inputs.iter().enumerate() {
        let (next, output) = ssm.step(&state, input);
        state = next;

        let kernel =
            |k: usize| -> f32 { (0..4).map(|i| ssm.c[[i]] * ssm.a[[i]].powi(k as i32) * ssm.b[[i]]).sum() };
        let convolution: f32 = (0..=t).map(|k| kernel(k) * inputs[t - k] as f32).sum();
        println!("t = {t}  y = {:8.5}  convolution {convolution:8.5}", output.value());
        assert!((output.value() - convolution).abs() < 1e-5);
    }
    Ok(())
}
