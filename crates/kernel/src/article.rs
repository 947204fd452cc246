//! The kernels of the article, over typed vectors and ternary matrices: what post-transformer models are made of.
//!
//! Each is an ordinary Rust function, and the recogniser raises each: `fidelity explain` shows how.

use crate::{Kernel, Vector, kernel};
use axes::{AxesError, Axis, Tensor, TernaryMatrix};

/// Adds W x to y with additions and subtractions only, in integers: a trit says whether an input is added, subtracted or
/// left out.
#[kernel]
pub fn ternary_accumulate<In: Axis, Out: Axis>(
    weights: &TernaryMatrix<In, Out>,
    input: &Vector<In, i8>,
    output: &mut Vector<Out, i32>,
) {
    for i in 0..weights.outputs() {
        for j in 0..weights.inputs() {
            match weights.trit(i, j) {
                1 => output[[i]] += i32::from(input[[j]]),
                -1 => output[[i]] -= i32::from(input[[j]]),
                _ => {}
            }
        }
    }
}

/// y = W x with the scale that the trits stand for.
///
/// # Errors
/// Where `Out` declares another size.
#[kernel]
pub fn ternary_matvec<In: Axis, Out: Axis>(
    weights: &TernaryMatrix<In, Out>,
    input: &Vector<In>,
) -> Result<Vector<Out>, AxesError> {
    let mut result = Vector::<Out>::zeros([weights.outputs()])?;
    for i in 0..weights.outputs() {
        for j in 0..weights.inputs() {
            match weights.trit(i, j) {
                1 => result[[i]] += input[[j]] * weights.scale_factor(),
                -1 => result[[i]] -= input[[j]] * weights.scale_factor(),
                _ => {}
            }
        }
    }
    Ok(result)
}

/// A step of a diagonal state-space model: s ← A s + B x, y = C · s.
///
/// # Errors
/// Where `State` declares another size.
#[kernel]
pub fn ssm_step<State: Axis>(
    state: &Vector<State>,
    input: f32,
    a: &Vector<State>,
    b: &Vector<State>,
    c: &Vector<State>,
) -> Result<(Vector<State>, f32), AxesError> {
    let mut new_state = Vector::<State>::zeros(state.dims())?;
    for i in 0..state.len() {
        new_state[[i]] = a[[i]] * state[[i]] + b[[i]] * input;
    }
    let mut output = 0.0;
    for i in 0..state.len() {
        output += c[[i]] * new_state[[i]];
    }
    Ok((new_state, output))
}

/// The feature map of linear attention, elu(x) + 1 (Katharopoulos et al. 2020, arXiv:2006.16236).
#[kernel]
pub fn feature_map(x: f32) -> f32 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}

/// Linear attention over a sequence, with the normaliser: Q (K V) in place of (Q K) V.
///
/// # Errors
/// Where an axis declares another size.
#[kernel]
pub fn linear_attention<Seq: Axis, Dim: Axis, Value: Axis>(
    queries: &Tensor<(Seq, Dim)>,
    keys: &Tensor<(Seq, Dim)>,
    values: &Tensor<(Seq, Value)>,
) -> Result<Tensor<(Seq, Value)>, AxesError> {
    let [n, d] = keys.dims();
    let [_, e] = values.dims();
    let mut kv = Tensor::<(Dim, Value)>::zeros([d, e])?;
    let mut total = Vector::<Dim>::zeros([d])?;
    for i in 0..n {
        for j in 0..d {
            let key = feature_map(keys[[i, j]]);
            total[[j]] += key;
            for k in 0..e {
                kv[[j, k]] += key * values[[i, k]];
            }
        }
    }
    let mut output = Tensor::<(Seq, Value)>::zeros([n, e])?;
    for i in 0..n {
        let mut normaliser = 0.0;
        for j in 0..d {
            let query = feature_map(queries[[i, j]]);
            normaliser += query * total[[j]];
            for k in 0..e {
                output[[i, k]] += query * kv[[j, k]];
            }
        }
        for k in 0..e {
            output[[i, k]] /= normaliser;
        }
    }
    Ok(output)
}

/// A step of causal linear attention with a state of constant size: S ← S + k vᵀ, z ← z + k, y = Sᵀ q / (z · q).
///
/// # Errors
/// Where `Value` declares another size.
#[kernel]
pub fn linear_attention_step<Dim: Axis, Value: Axis>(
    state: &mut Tensor<(Dim, Value)>,
    total: &mut Vector<Dim>,
    query: &Vector<Dim>,
    key: &Vector<Dim>,
    value: &Vector<Value>,
) -> Result<Vector<Value>, AxesError> {
    let mut output = Vector::<Value>::zeros([value.len()])?;
    let mut normaliser = 0.0;
    for j in 0..key.len() {
        total[[j]] += key[[j]];
        normaliser += query[[j]] * total[[j]];
        for k in 0..value.len() {
            state[[j, k]] += key[[j]] * value[[k]];
            output[[k]] += query[[j]] * state[[j, k]];
        }
    }
    for k in 0..value.len() {
        output[[k]] /= normaliser;
    }
    Ok(output)
}

/// A step of the MLGRU (Zhu et al. 2024, arXiv:2406.02528) after its projections: h ← f h + (1 − f) c, y = g h.
///
/// # Errors
/// Where `Hidden` declares another size.
#[kernel]
pub fn mlgru_step<Hidden: Axis>(
    hidden: &mut Vector<Hidden>,
    forget: &Vector<Hidden>,
    candidate: &Vector<Hidden>,
    gate: &Vector<Hidden>,
) -> Result<Vector<Hidden>, AxesError> {
    let mut output = Vector::<Hidden>::zeros(hidden.dims())?;
    for i in 0..hidden.len() {
        let f = 1.0 / (1.0 + (-forget[[i]]).exp());
        let c = candidate[[i]].tanh();
        let h = f * hidden[[i]] + (1.0 - f) * c;
        hidden[[i]] = h;
        output[[i]] = 1.0 / (1.0 + (-gate[[i]]).exp()) * h;
    }
    Ok(output)
}

/// A whole step of the MLGRU as the article writes it: three ternary products, the gates, the new state.
///
/// # Errors
/// Where `Hidden` declares another size.
#[kernel]
pub fn mlgru_forward<In: Axis, Hidden: Axis>(
    input: &Vector<In>,
    hidden: &Vector<Hidden>,
    forget_weights: &TernaryMatrix<In, Hidden>,
    candidate_weights: &TernaryMatrix<In, Hidden>,
    gate_weights: &TernaryMatrix<In, Hidden>,
) -> Result<(Vector<Hidden>, Vector<Hidden>), AxesError> {
    let forget = ternary_matvec(forget_weights, input)?;
    let candidate = ternary_matvec(candidate_weights, input)?;
    let gate = ternary_matvec(gate_weights, input)?;
    let mut new_hidden = Vector::<Hidden>::zeros(hidden.dims())?;
    let mut output = Vector::<Hidden>::zeros(hidden.dims())?;
    for i in 0..hidden.len() {
        let f = 1.0 / (1.0 + (-forget[[i]]).exp());
        new_hidden[[i]] = f * hidden[[i]] + (1.0 - f) * candidate[[i]].tanh();
        output[[i]] = new_hidden[[i]] / (1.0 + (-gate[[i]]).exp());
    }
    Ok((output, new_hidden))
}

/// A diagonal state-space model over a sequence of one channel, from a given state.
#[kernel]
pub fn ssm_scan<Seq: Axis, State: Axis>(
    state: &mut Vector<State>,
    input: &Vector<Seq>,
    a: &Vector<State>,
    b: &Vector<State>,
    c: &Vector<State>,
    output: &mut Vector<Seq>,
) {
    for t in 0..input.len() {
        let mut y = 0.0;
        for n in 0..state.len() {
            state[[n]] = a[[n]] * state[[n]] + b[[n]] * input[[t]];
            y += c[[n]] * state[[n]];
        }
        output[[t]] = y;
    }
}

/// The gated recurrence of the MLGRU over a sequence: h_t = f_t h_{t−1} + (1 − f_t) c_t.
#[kernel]
pub fn mlgru_scan<Seq: Axis, Hidden: Axis>(
    state: &mut Vector<Hidden>,
    forget: &Tensor<(Seq, Hidden)>,
    candidate: &Tensor<(Seq, Hidden)>,
    output: &mut Tensor<(Seq, Hidden)>,
) {
    let [n, d] = forget.dims();
    for t in 0..n {
        for i in 0..d {
            let f = forget[[t, i]];
            state[[i]] = f * state[[i]] + (1.0 - f) * candidate[[t, i]];
            output[[t, i]] = state[[i]];
        }
    }
}

/// Every kernel of this module, in the order in which the article comes to them.
pub fn all() -> Vec<Kernel> {
    vec![
        ternary_accumulate::kernel(),
        ternary_matvec::kernel(),
        ssm_step::kernel(),
        ssm_scan::kernel(),
        linear_attention::kernel(),
        linear_attention_step::kernel(),
        mlgru_step::kernel(),
        mlgru_scan::kernel(),
        mlgru_forward::kernel(),
    ]
}
