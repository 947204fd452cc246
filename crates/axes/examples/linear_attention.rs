//! Linear attention with the feature map ELU(x) + 1, including the normaliser (Katharopoulos et al. 2020,
//! arXiv:2006.16236, equation 5), without a causal mask.
//!
//! Computing φ(Q) (φ(K)ᵀ V) instead of (φ(Q) φ(K)ᵀ) V costs O(n d²) instead of O(n² d); both are computed here and
//! compared. Run it with `cargo run --release -p axes --example linear_attention`.

use std::time::Instant;

use axes::{Algebra, Axes, AxesError, Axis, Tensor, Unitless, axes};

axes! {
    /// Positions of the sequence.
    Seq;
    /// The positions attended to: as many as `Seq`, in another role.
    Past;
    /// Features of queries and keys.
    Dim = 16;
    /// Features of the values. Were they `Dim` too, the output could be confused with a query.
    Value = 16;
}

struct LinearAttention<N: Axis, D: Axis, V: Axis, S> {
    queries: Tensor<(N, D), f32, Unitless, S>,
    keys: Tensor<(N, D), f32, Unitless, S>,
    values: Tensor<(N, V), f32, Unitless, S>,
}

/// ELU(x) + 1: x + 1 where x > 0, eˣ elsewhere; positive, so that the normaliser never vanishes.
fn feature_map<A: Axes, S: Algebra>(x: &Tensor<A, f32, Unitless, S>) -> Tensor<A, f32, Unitless, S> {
    let negative_part = -(-x).relu();
    x.relu() + negative_part.exp()
}

impl<N: Axis, D: Axis, V: Axis, S: Algebra> LinearAttention<N, D, V, S> {
    /// Result is (N, V); O(n).
    fn forward(&self) -> Tensor<(N, V), f32, Unitless, S> {
        let queries = feature_map(&self.queries);
        let keys = feature_map(&self.keys);
        let state: Tensor<(D, V), f32, Unitless, S> = keys.contract_first(&self.values);
        let numerator = queries.apply(&state);
        let normaliser: Tensor<(N,), f32, Unitless, S> = queries.dot(&keys.sum(N::default()));
        &numerator / normaliser.repeat_along(V::default(), &numerator)
    }
}

impl LinearAttention<Seq, Dim, Value, axes::Buffer<f32>> {
    /// The same function through the n × n matrix of weights; O(n²).
    fn forward_quadratic(&self) -> Result<Tensor<(Seq, Value)>, AxesError> {
        let keys: Tensor<(Past, Dim)> = feature_map(&self.keys).relabel()?;
        let values: Tensor<(Past, Value)> = self.values.clone().relabel()?;
        let scores: Tensor<(Seq, Past)> = feature_map(&self.queries).linear(&keys);
        let weights = &scores / scores.sum(Past).repeat_along(Past, &scores);
        Ok(weights.apply(&values))
    }
}

fn main() -> Result<(), AxesError> {
    println!("{:>6} {:>12} {:>14} {:>12}", "n", "linear (ms)", "quadratic (ms)", "difference");
    for n in [64, 128, 256, 512, 1024] {
        let wave = |phase: f32| move |[i, j]: [usize; 2]| (phase + 0.37 * i as f32 + 1.9 * j as f32).sin();
        let attention = LinearAttention::<Seq, Dim, Value, _> {
            queries: Tensor::from_fn([n, 16], wave(0.0))?,
            keys: Tensor::from_fn([n, 16], wave(1.0))?,
            values: Tensor::from_fn([n, 16], wave(2.0))?,
        };
        let start = Instant::now();
        let linear = attention.forward();
        let linear_time = start.elapsed();
        let start = Instant::now();
        let quadratic = attention.forward_quadratic()?;
        let quadratic_time = start.elapsed();

        let difference = linear.zip_map(&quadratic, |a, b| (a - b).abs()).max(Seq).max_last().value();
        assert!(difference < 1e-4, "the two forms differ by {difference}");
        let milliseconds = |t: std::time::Duration| 1e3 * t.as_secs_f64();
        println!(
            "{n:>6} {:>12.3} {:>14.3} {difference:>12.1e}",
            milliseconds(linear_time),
            milliseconds(quadratic_time)
        );
    }
    Ok(())
}
