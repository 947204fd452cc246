//! `MLGRULayer<Batch, Seq, Dim>`: the MatMul-free gated recurrent unit with a tanh candidate and a plain gate.
//!
//! f = σ(x W_f), c = tanh(x W_c), h ← f ⊙ h + (1 − f) ⊙ c, o = (σ(x W_g) ⊙ h) W_o. The published models use another
//! form (silu candidate, normalised gate; arXiv:2406.02528); this is the variant named `article`. Run it with
//! `cargo run -p axes --example mlgru_layer`.

use axes::{AxesError, Axis, Tensor, TernaryMatrix, axes};

axes! {
    /// Sequences that are processed together.
    Batch;
    /// Positions.
    Seq;
    /// Features.
    Dim = 8;
}

/// The four ternary projections of one layer and the hidden states of its last run.
struct MLGRULayer<B: Axis, L: Axis, D: Axis> {
    forget_gate: TernaryMatrix<D, D>,
    candidate: TernaryMatrix<D, D>,
    output_gate: TernaryMatrix<D, D>,
    output_projection: TernaryMatrix<D, D>,
    hidden_states: Option<Tensor<(B, L, D)>>,
}

impl<B: Axis, L: Axis, D: Axis> MLGRULayer<B, L, D> {
    /// One position: the output and the new hidden state, both (B, D).
    fn step(&self, input: &Tensor<(B, D)>, hidden: &Tensor<(B, D)>) -> (Tensor<(B, D)>, Tensor<(B, D)>) {
        let forget = self.forget_gate.multiply_batch(input).sigmoid();
        let candidate = self.candidate.multiply_batch(input).tanh();
        let hidden = &forget * hidden + (1.0 - &forget) * candidate;
        let gate = self.output_gate.multiply_batch(input).sigmoid();
        let output = self.output_projection.multiply_batch(&(gate * &hidden));
        (output, hidden)
    }

    /// A whole sequence from a zero state; keeps the hidden states.
    fn forward(&mut self, input: &Tensor<(B, L, D)>) -> Result<Tensor<(B, L, D)>, AxesError> {
        let by_time: Tensor<(L, B, D)> = input.move_to_front(L::default());
        let [_, batch, dim] = by_time.dims();
        let mut hidden = Tensor::zeros([batch, dim])?;
        let (mut outputs, mut states) = (Vec::new(), Vec::new());
        for t in 0..by_time.rows() {
            let (output, next) = self.step(&by_time.row(t)?.to_owned(), &hidden);
            hidden = next;
            outputs.push(output);
            states.push(hidden.clone());
        }
        let whole = |rows: &[Tensor<(B, D)>]| -> Result<Tensor<(B, L, D)>, AxesError> {
            Ok(Tensor::stack::<L>(rows)?.move_to_front(B::default()))
        };
        self.hidden_states = Some(whole(&states)?);
        whole(&outputs)
    }
}

fn main() -> Result<(), AxesError> {
    let projection = |seed: usize| -> Result<TernaryMatrix<Dim, Dim>, AxesError> {
        let weights =
            Tensor::<(Dim, Dim)>::from_fn([8, 8], |[o, i]| ((seed + 11 * o + 7 * i) as f32 * 0.7).sin())?;
        TernaryMatrix::from_weights(&weights)
    };
    let mut layer = MLGRULayer::<Batch, Seq, Dim> {
        forget_gate: projection(1)?,
        candidate: projection(2)?,
        output_gate: projection(3)?,
        output_projection: projection(4)?,
        hidden_states: None,
    };

    let input = Tensor::<(Batch, Seq, Dim)>::from_fn([2, 5, 8], |[b, t, d]| {
        ((31 * b + 8 * t + d) as f32 * 0.3).cos()
    })?;
    let output = layer.forward(&input)?;
    println!("first sequence, by position:");
    for t in 0..5 {
        let first = output.row(0)?;
        println!("  {:6.3?}", first.row(t)?.as_slice());
    }

    // Streaming: one position at a time with a state of constant size gives the same numbers, bit for bit.
    let by_time = input.move_to_front(Seq);
    let mut hidden = Tensor::zeros([2, 8])?;
    for t in 0..5 {
        let (step, next) = layer.step(&by_time.row(t)?.to_owned(), &hidden);
        hidden = next;
        assert_eq!(step.as_slice(), output.move_to_front(Seq).row(t)?.as_slice());
    }
    let states = layer.hidden_states.as_ref().expect("forward keeps them").move_to_front(Seq);
    assert_eq!(states.row(4)?.as_slice(), hidden.as_slice());
    println!("the streaming step agrees with the whole sequence");
    Ok(())
}
