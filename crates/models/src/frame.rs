//! What every architecture's graph is made in: where parameters, states and masks come from, and which products its
//! projections compute.
//!
//! An architecture asks a [`Frame`] for parameters by their names in the state dict and for projections by name and axes;
//! the frame gives each the form that the graph is made for (floats, integers, prepared trits, training). So any of them is
//! trained and run with full, ternary or binary projections alike: `linear = "full" | "ternary" | "binary"`.
//!
//! A state is asked for with [`Frame::state`] and its successor handed over with [`Frame::keep`]; without
//! [`GraphOptions::states`] the first is zero and the second is dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;

use axes::{Axis, DType, Last};
use graph::typed::{Traced, TracedExt, typed};
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use crate::forms::{Form, GraphOptions, State, finish};
use crate::matmulfree::{BitLinear, Products, Weight};
use crate::parameters::{Init, Parameter};

axes::axes! {
    /// Sequences that are processed together.
    pub Batch;
    /// Positions of a sequence.
    pub Seq;
    /// The residual stream.
    pub Hidden;
    /// Tokens.
    pub Vocab;
}

/// What the projections of a model are: `linear` in its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LinearKind {
    /// Plain floats.
    #[default]
    Full,
    /// −1, 0, 1 and a scale (absmean), with int8 activations behind a norm of the projection's own: BitNet b1.58.
    Ternary,
    /// −1, 1 and a scale, with int8 activations behind a norm of the projection's own: BitNet b1.
    Binary,
}

impl LinearKind {
    /// Every kind with its name.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Full, "full"), (Self::Ternary, "ternary"), (Self::Binary, "binary")];

    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// Whether weights are few-valued and activations int8.
    pub fn is_quantized(self) -> bool {
        self != Self::Full
    }

    /// How weights become trits, where they do.
    pub fn quantizer(self) -> Quantizer {
        if self == Self::Binary { Quantizer::Sign } else { Quantizer::Absmean }
    }

    /// The parameters of a projection: `NAME.weight` (Out, In), `NAME.bias` (Out), and the norm before the quantiser.
    pub fn parameters(
        self,
        list: &mut Vec<Parameter>,
        name: &str,
        [outputs, inputs]: [usize; 2],
        init: Init,
        bias: Option<Init>,
    ) {
        let mut add = |what: &str, shape: &[usize], init| {
            list.push(Parameter { name: format!("{name}.{what}"), shape: shape.to_vec(), init });
        };
        add("weight", &[outputs, inputs], init);
        if let Some(init) = bias {
            add("bias", &[outputs], init);
        }
        if self.is_quantized() {
            add("norm.weight", &[inputs], Init::Constant(1.0));
        }
    }
}

/// How master weights become trits and a scale s, W ≈ t / s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quantizer {
    /// s = 1 / mean|W|, t = W s rounded and clamped (BitNet b1.58).
    #[default]
    Absmean,
    /// s = 1 / mean|W|, t = sign(W − mean W), 0 where they are equal (BitNet b1 as the common package computes it).
    Sign,
    /// The same with −1 where they are equal, as the paper of BitNet b1 has it.
    SignOrMinus,
}

/// What keeps the scale of a matrix of zeros finite.
const SMALLEST: f64 = 1e-30;

impl Quantizer {
    /// The trits and the scale of W as nodes.
    pub fn apply(self, w: &Var) -> (Var, Var) {
        if self == Self::Absmean {
            return w.quantize_weights();
        }
        let centred = w - &w.mean_all().broadcast(&w.shape(), &[]);
        let signs = match self {
            Self::SignOrMinus => {
                let one = centred.full_like(1.0);
                centred.gt(&centred.full_like(0.0)).select(&one, &-&one)
            }
            _ => centred.sign(),
        };
        let mean = w.abs().mean_all();
        (signs.convert(DType::Trit), mean.max(&mean.full_like(SMALLEST)).reciprocal())
    }

    /// The trits and the scale of master weights: what [`Quantizer::apply`] gives, once.
    pub fn quantize(self, w: &[f32]) -> (Vec<i8>, f32) {
        let mean = |sum: f64| sum / w.len().max(1) as f64;
        let size = mean(w.iter().map(|x| f64::from(x.abs())).sum()) as f32;
        if self == Self::Absmean {
            let scale = 1.0 / size.max(graph::ops::quantize::FLOOR as f32);
            let trit = |x: &f32| (x * scale).round_ties_even().clamp(-1.0, 1.0) as i8;
            return (w.iter().map(trit).collect(), scale);
        }
        let middle = mean(w.iter().map(|x| f64::from(*x)).sum()) as f32;
        let trit = |x: &f32| match x.partial_cmp(&middle) {
            Some(std::cmp::Ordering::Greater) => 1,
            Some(std::cmp::Ordering::Equal) if self == Self::Sign => 0,
            _ => -1,
        };
        (w.iter().map(trit).collect(), 1.0 / size.max(SMALLEST as f32))
    }
}

/// eps of the norms inside quantised projections.
pub const LINEAR_NORM_EPS: f64 = 1e-8;

/// A graph that is being made.
pub struct Frame<'a> {
    /// The nodes.
    pub cx: &'a Cx,
    /// What it takes and gives.
    pub options: &'a GraphOptions,
    /// What projections are.
    pub linear: LinearKind,
    /// Sequences, `B`.
    pub batch: Dim,
    /// Positions, `T`.
    pub time: Dim,
    parameters: RefCell<BTreeMap<String, Var>>,
    kept: RefCell<BTreeMap<String, Var>>,
}

impl<'a> Frame<'a> {
    /// A frame with the sizes `B` and `T` left open.
    pub fn new(cx: &'a Cx, options: &'a GraphOptions, linear: LinearKind) -> Self {
        let (batch, time) = (Dim::symbol("B"), Dim::symbol("T"));
        if options.surrogate != Default::default() {
            cx.fail(GraphError::Input {
                name: "surrogate".into(),
                expected: "`ste`: of these architectures none is trained with another".into(),
                found: options.surrogate.to_string(),
            });
        }
        let (parameters, kept) = Default::default();
        Self { cx, options, linear, batch, time, parameters, kept }
    }

    /// An input that may be asked for more than once; it is declared where it is wanted first.
    pub fn input(&self, name: &str, ty: Type) -> Var {
        let mut known = self.parameters.borrow_mut();
        known.entry(name.to_owned()).or_insert_with(|| self.cx.input(name, ty)).clone()
    }

    /// A parameter by its name in the state dict.
    pub fn parameter(&self, name: &str, shape: &[usize]) -> Var {
        self.input(name, Type::new(DType::F32, shape.iter().copied().map(Dim::from)))
    }

    /// A vector of parameters.
    pub fn vector<D: Axis>(&self, name: &str, n: usize) -> Traced<(D,)> {
        typed(self.parameter(name, &[n]))
    }

    /// The state of that name (B, …): an input, or zero.
    pub fn state(&self, name: &str, shape: &[usize]) -> Var {
        let sizes = shape.iter().copied().map(Dim::from);
        let shape = std::iter::once(self.batch.clone()).chain(sizes).collect();
        let ty = Type { dtype: DType::F32, shape };
        if self.options.states { self.input(name, ty) } else { self.cx.full(&ty, 0.0) }
    }

    /// What the state of that name becomes.
    pub fn keep(&self, name: &str, value: &Var) {
        self.kept.borrow_mut().insert(name.to_owned(), value.clone());
    }

    /// y = W x + b with the parameters `NAME.weight`, `NAME.bias` and, where projections are quantised, `NAME.norm.weight`.
    pub fn project<I: Axis, O: Axis, A: Last<Axis = I>>(
        &self,
        name: &str,
        [outputs, inputs]: [usize; 2],
        bias: bool,
        x: &Traced<A>,
    ) -> Traced<A::Replace<O>> {
        let product: Traced<A::Replace<O>> = match self.linear {
            LinearKind::Full => {
                let weight: Traced<(O, I)> =
                    typed(self.parameter(&format!("{name}.weight"), &[outputs, inputs]));
                x.linear(&weight)
            }
            LinearKind::Ternary | LinearKind::Binary => {
                self.bitlinear::<I, O>(name, [outputs, inputs]).apply(x)
            }
        };
        if !bias {
            return product;
        }
        let bias = self.parameter(&format!("{name}.bias"), &[outputs]);
        typed(product.var() + &bias.broadcast_like(product.var()))
    }

    fn bitlinear<I: Axis, O: Axis>(&self, name: &str, [outputs, inputs]: [usize; 2]) -> BitLinear<I, O> {
        let weight = format!("{name}.weight");
        BitLinear {
            path: name.strip_prefix("model.").unwrap_or(name).to_owned(),
            norm: self.vector(&format!("{name}.norm.weight"), inputs),
            weight: match self.options.form {
                Form::Prepared => {
                    let trits = Type::new(DType::Trit, [Dim::from(outputs), Dim::from(inputs)]);
                    Weight::Trits(
                        typed(self.input(&format!("{weight}.trits"), trits)),
                        typed(self.input(&format!("{weight}.scale"), Type::scalar(DType::F32))),
                    )
                }
                _ => Weight::Master(typed(self.parameter(&weight, &[outputs, inputs]))),
            },
            eps: LINEAR_NORM_EPS,
            rounding: "half_even",
            products: match self.options.form {
                Form::Float | Form::Prepared => Products::Float,
                Form::Integer => Products::Integer,
                Form::Training => Products::Training,
            },
            quantizer: self.linear.quantizer(),
            surrogate: None,
        }
    }

    /// Ends the graph with these outputs and the kept states, in the order of `states`.
    ///
    /// # Errors
    /// The first that was recorded, and a state that was never kept.
    pub fn finish(
        cx: Cx,
        kept: BTreeMap<String, Var>,
        mut outputs: Vec<(String, Var)>,
        states: &[State],
        options: &GraphOptions,
    ) -> Result<Graph, GraphError> {
        if options.states {
            for state in states {
                let Some(value) = kept.get(&state.name) else {
                    return Err(GraphError::Input {
                        name: state.name.clone(),
                        expected: "a successor of this state".into(),
                        found: "none".into(),
                    });
                };
                outputs.push((state.name.clone(), value.clone()));
            }
        }
        finish(cx, outputs, options.trace)
    }

    /// The successors of states that were handed over so far.
    pub fn into_kept(self) -> BTreeMap<String, Var> {
        self.kept.into_inner()
    }
}

/// A token mixer: what stands in the residual branch of a block, with its state.
///
/// `at` is where it stands in the state dict (`backbone.layers.0.mixer`), `layer` its number, which names its states.
pub trait Mixer {
    /// Its parameters, in the order of the published state dict.
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>);

    /// Names of the matrices that `linear` swaps, without `.weight`.
    fn projections(&self, at: &str) -> Vec<String>;

    /// How one of its parameters starts, where that is no [`Init`]; nothing of others.
    fn initial(&self, _parameter: &Parameter, _seed: u64) -> Option<Vec<f32>> {
        None
    }

    /// Its states for layer `layer`.
    fn states(&self, layer: usize) -> Vec<State>;

    /// (B, T, D) → (B, T, D), from the states of the frame to those that it keeps.
    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)>;
}
