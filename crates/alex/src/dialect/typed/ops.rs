//! The operations as methods whose types say what fits.

use axes::{Axes, Axis, Unit, UnitMul, UnitProduct, Unitless};

use super::types::{
    Additive, Coefficients, Factor, Matrix, MatrixState, Packing, Pure, Quantized, Scalar, State, Ternary,
    Tokens, Vector,
};
use super::{Build, Of};
use crate::dialect::attr::{Attr, Type};
use crate::ir::{Element, Float};

type Sequence<L, A, E, U = Unitless> = Of<Vector<L, A, E, U>>;

fn float<E: Float>(name: &str, value: f64) -> Vec<(String, Attr)> {
    // A float attribute is an f32 or f64; wider element types take the f64.
    let word = if E::KIND == crate::ir::Kind::F32 { "f32" } else { "f64" };
    vec![(name.to_owned(), Attr::Float(value, Type::word(word)))]
}

fn product<U: Unit, V: Unit, W: Unit>() -> Vec<(String, Attr)> {
    let parameters = [U::SYMBOL, V::SYMBOL, W::SYMBOL].map(Attr::text).to_vec();
    vec![("units".to_owned(), Attr::Fidelity { name: "product".to_owned(), parameters })]
}

macro_rules! pure {
    ($($name:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name<T: Pure>(&mut self, x: Of<T>) -> Of<T> {
            self.one(stringify!($name), &[x.value], Vec::new())
        }
    )*};
}

macro_rules! additive {
    ($($name:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name<T: Additive>(&mut self, x: Of<T>, y: Of<T>) -> Of<T> {
            self.one(stringify!($name), &[x.value, y.value], Vec::new())
        }
    )*};
}

impl Build {
    pure! {
        sigmoid "`1 / (1 + e^−x)`.";
        tanh "`tanh x`.";
        silu "`x / (1 + e^−x)`.";
        gelu "`x Φ(x)`.";
        exp "`e^x`.";
        log "`log x`.";
        softplus "`log(1 + e^x)`.";
        complement "`1 − x`.";
    }

    additive! {
        add "`x + y`.";
        subtract "`x − y`.";
        maximum "The larger.";
        minimum "The smaller.";
    }

    /// Zeros.
    pub fn zero_vector<L: Axes, A: Axis, E: Element, U: Unit>(&mut self) -> Sequence<L, A, E, U> {
        self.one("zero_vector", &[], Vec::new())
    }

    /// `x y`, where `y` is a pure number.
    pub fn multiply<L: Axes, A: Axis, E: Element, U: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        y: Sequence<L, A, E>,
    ) -> Sequence<L, A, E, U> {
        self.one("multiply", &[x.value, y.value], Vec::new())
    }

    /// `x y` in the unit that is declared for the product.
    pub fn multiply_units<L: Axes, A: Axis, E: Element, U: UnitMul<V>, V: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        y: Sequence<L, A, E, V>,
    ) -> Sequence<L, A, E, UnitProduct<U, V>> {
        self.one("multiply_units", &[x.value, y.value], product::<U, V, UnitProduct<U, V>>())
    }

    /// `gate x`.
    pub fn gate<L: Axes, A: Axis, E: Element, U: Unit>(
        &mut self,
        gate: Sequence<L, A, E>,
        x: Sequence<L, A, E, U>,
    ) -> Sequence<L, A, E, U> {
        self.one("gate", &[gate.value, x.value], Vec::new())
    }

    /// `silu(gate) up`.
    pub fn swiglu<L: Axes, A: Axis, E: Element, U: Unit>(
        &mut self,
        gate: Sequence<L, A, E>,
        up: Sequence<L, A, E, U>,
    ) -> Sequence<L, A, E, U> {
        self.one("swiglu", &[gate.value, up.value], Vec::new())
    }

    /// `factor x`, from one unit to another.
    pub fn scale<L: Axes, A: Axis, E: Element, U: Unit, V: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        factor: Of<Factor<E, U, V>>,
    ) -> Sequence<L, A, E, V> {
        self.one("scale", &[x.value, factor.value], Vec::new())
    }

    /// The same numbers in another element type.
    pub fn convert<L: Axes, A: Axis, E: Element, F: Element, U: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        _to: F,
    ) -> Sequence<L, A, F, U> {
        self.one("convert", &[x.value], Vec::new())
    }

    /// Activations as int8.
    pub fn quantize_activations<L: Axes, A: Axis, E: Float, U: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
    ) -> Of<Quantized<L, A, U>> {
        self.one("quantize_activations", &[x.value], Vec::new())
    }

    /// Weights as trits.
    pub fn quantize_weights<Out: Axis, In: Axis, E: Float, U: Unit, V: Unit, P: Packing>(
        &mut self,
        weights: Of<Matrix<Out, In, E, U, V>>,
        _packing: P,
    ) -> Of<Ternary<Out, In, U, V, P>> {
        self.one("quantize_weights", &[weights.value], Vec::new())
    }

    /// `y[i] = s Σ_j w[i, j] x[j]`.
    pub fn ternary_linear<L: Axes, Out: Axis, In: Axis, E: Float, U: Unit, V: Unit, P: Packing>(
        &mut self,
        x: Sequence<L, In, E, U>,
        weights: Of<Ternary<Out, In, U, V, P>>,
    ) -> Sequence<L, Out, E, V> {
        self.one("ternary_linear", &[x.value, weights.value], Vec::new())
    }

    /// The same with activations that are quantised; the result has element type `elem`.
    pub fn ternary_linear_quantized<L: Axes, Out: Axis, In: Axis, E: Float, U: Unit, V: Unit, P: Packing>(
        &mut self,
        x: Of<Quantized<L, In, U>>,
        weights: Of<Ternary<Out, In, U, V, P>>,
        _elem: E,
    ) -> Sequence<L, Out, E, V> {
        self.one("ternary_linear", &[x.value, weights.value], Vec::new())
    }

    /// `sum + s W x`.
    pub fn ternary_accumulate<L: Axes, Out: Axis, In: Axis, E: Float, U: Unit, V: Unit, P: Packing>(
        &mut self,
        x: Sequence<L, In, E, U>,
        weights: Of<Ternary<Out, In, U, V, P>>,
        sum: Sequence<L, Out, E, V>,
    ) -> Sequence<L, Out, E, V> {
        self.one("ternary_accumulate", &[x.value, weights.value, sum.value], Vec::new())
    }

    /// `W x` with dense weights.
    pub fn linear<L: Axes, Out: Axis, In: Axis, E: Float, U: Unit, V: Unit>(
        &mut self,
        x: Sequence<L, In, E, U>,
        weights: Of<Matrix<Out, In, E, U, V>>,
    ) -> Sequence<L, Out, E, V> {
        self.one("linear", &[x.value, weights.value], Vec::new())
    }

    /// `weight x / √(mean x² + eps)`.
    pub fn rms_norm<L: Axes, A: Axis, E: Float, U: Unit, V: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        weight: Sequence<(), A, E, V>,
        eps: f64,
    ) -> Sequence<L, A, E, V> {
        self.one("rms_norm", &[x.value, weight.value], float::<E>("eps", eps))
    }

    /// Norm and quantisation in one pass.
    pub fn rms_norm_quantize<L: Axes, A: Axis, E: Float, U: Unit, V: Unit>(
        &mut self,
        x: Sequence<L, A, E, U>,
        weight: Sequence<(), A, E, V>,
        eps: f64,
    ) -> Of<Quantized<L, A, V>> {
        self.one("rms_norm_quantize", &[x.value, weight.value], float::<E>("eps", eps))
    }

    /// `a state + b input`.
    pub fn ssm_state_update<L: Axes, A: Axis, E: Float, U: Unit, V: Unit>(
        &mut self,
        state: Of<State<L, A, E, U>>,
        input: Of<Scalar<L, E, V>>,
        a: Of<Coefficients<A, E, U, U>>,
        b: Of<Coefficients<A, E, V, U>>,
    ) -> Of<State<L, A, E, U>> {
        self.one("ssm.state_update", &[state.value, input.value, a.value, b.value], Vec::new())
    }

    /// `Σ c state`.
    pub fn ssm_output<L: Axes, A: Axis, E: Float, U: Unit, W: Unit>(
        &mut self,
        state: Of<State<L, A, E, U>>,
        c: Of<Coefficients<A, E, U, W>>,
    ) -> Of<Scalar<L, E, W>> {
        self.one("ssm.output", &[state.value, c.value], Vec::new())
    }

    /// Updates and outputs along the axis `Time`.
    pub fn ssm_scan<L: Axes, Time: Axis, A: Axis, E: Float, U: Unit, V: Unit, W: Unit>(
        &mut self,
        state: Of<State<L, A, E, U>>,
        inputs: Sequence<L, Time, E, V>,
        a: Of<Coefficients<A, E, U, U>>,
        b: Of<Coefficients<A, E, V, U>>,
        c: Of<Coefficients<A, E, U, W>>,
    ) -> (Sequence<L, Time, E, W>, Of<State<L, A, E, U>>) {
        self.two("ssm.scan", &[state.value, inputs.value, a.value, b.value, c.value], Vec::new())
    }

    /// `next = forget state + (1 − forget) candidate`, `output = gate next`.
    pub fn mlgru_step<L: Axes, A: Axis, E: Float, U: Unit>(
        &mut self,
        state: Of<State<L, A, E, U>>,
        forget: Sequence<L, A, E>,
        candidate: Sequence<L, A, E, U>,
        gate: Sequence<L, A, E>,
    ) -> (Sequence<L, A, E, U>, Of<State<L, A, E, U>>) {
        self.two("mlgru.step", &[state.value, forget.value, candidate.value, gate.value], Vec::new())
    }

    /// The same along the last axis of `M`.
    pub fn mlgru_scan<L: Axes, M: Axes, A: Axis, E: Float, U: Unit>(
        &mut self,
        state: Of<State<L, A, E, U>>,
        forget: Sequence<M, A, E>,
        candidate: Sequence<M, A, E, U>,
        gate: Sequence<M, A, E>,
    ) -> (Sequence<M, A, E, U>, Of<State<L, A, E, U>>) {
        self.two("mlgru.scan", &[state.value, forget.value, candidate.value, gate.value], Vec::new())
    }

    /// `S + key valueᵀ`, `z + key`.
    pub fn linear_attention_state_update<L: Axes, K: Axis, V: Axis, E: Float, U: Unit>(
        &mut self,
        state: Of<MatrixState<L, K, V, E, U>>,
        normalizer: Of<State<L, K, E>>,
        key: Sequence<L, K, E>,
        value: Sequence<L, V, E, U>,
    ) -> (Of<MatrixState<L, K, V, E, U>>, Of<State<L, K, E>>) {
        let operands = [state.value, normalizer.value, key.value, value.value];
        self.two("linear_attention.state_update", &operands, Vec::new())
    }

    /// `Sᵀ query / max(z · query, eps)`.
    pub fn linear_attention_output<L: Axes, K: Axis, V: Axis, E: Float, U: Unit>(
        &mut self,
        state: Of<MatrixState<L, K, V, E, U>>,
        normalizer: Of<State<L, K, E>>,
        query: Sequence<L, K, E>,
        eps: f64,
    ) -> Sequence<L, V, E, U> {
        let operands = [state.value, normalizer.value, query.value];
        self.one("linear_attention.output", &operands, float::<E>("eps", eps))
    }

    /// Rows of a table.
    pub fn embedding<L: Axes, Vocab: Axis, Hidden: Axis, E: Float, F: Unit, U: Unit>(
        &mut self,
        ids: Of<Tokens<L, Vocab>>,
        table: Of<Matrix<Vocab, Hidden, E, F, U>>,
    ) -> Sequence<L, Hidden, E, U> {
        self.one("embedding", &[ids.value, table.value], Vec::new())
    }

    /// The mean cross entropy.
    pub fn cross_entropy<L: Axes, Vocab: Axis, E: Float>(
        &mut self,
        logits: Sequence<L, Vocab, E>,
        labels: Of<Tokens<L, Vocab>>,
    ) -> Of<Scalar<(), E>> {
        self.one("cross_entropy", &[logits.value, labels.value], Vec::new())
    }
}
