//! BitLinear: a norm, int8 activations, ternary weights.

use axes::{Axis, Last};
use furnace::surrogates::{Given, Surrogate};
use graph::typed::{Traced, TracedExt, typed};

use crate::frame::Quantizer;

/// The weights of a projection, output-major.
pub enum Weight<In: Axis, Out: Axis> {
    /// Master weights, quantised again in every forward: training, and the published files.
    Master(Traced<(Out, In)>),
    /// Trits and their scale, quantised once.
    Trits(Traced<(Out, In), i8>, Traced<()>),
}

/// How the product of a projection with master weights is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// On the fake-quantised floats, as the published code does.
    Float,
    /// In integers: int8 × trits → i32, scaled back. No derivative flows.
    Integer,
    /// The value of the integer product with the derivative of the fake-quantised one: how a model is trained here.
    /// The backward products read the int8 activations and the trits, so no float copy of either is kept.
    Training,
}

/// y = W_q · quantise(RMSNorm(x)): `FusedBitLinear` of the published code.
pub struct BitLinear<In: Axis, Out: Axis> {
    /// Where it stands in the model (`layers.0.attn.i_proj`), for taps.
    pub path: String,
    /// Weight of the inner norm.
    pub norm: Traced<(In,)>,
    /// The projection.
    pub weight: Weight<In, Out>,
    /// eps of the inner norm.
    pub eps: f64,
    /// `half_away` or `half_even`.
    pub rounding: &'static str,
    /// How the product is computed; the ways agree to rounding.
    pub products: Products,
    /// How master weights become trits.
    pub quantizer: Quantizer,
    /// How derivatives pass the quantiser of the weights, where that is not plainly straight-through.
    pub surrogate: Option<(Surrogate, Given)>,
}

impl<In: Axis, Out: Axis> BitLinear<In, Out> {
    /// x (…, In) → (…, Out). The quantisers have the derivative of the identity (straight-through), or that of the weights
    /// the one of [`BitLinear::surrogate`]; if that alters the weights' values, the product is one of floats.
    pub fn apply<A: Last<Axis = In>>(&self, x: &Traced<A>) -> Traced<A::Replace<Out>> {
        let cx = x.var().cx().clone();
        let name = self.path.rsplit('.').next().unwrap_or_default().to_string();
        cx.scope(&name, || {
            let y = x.rms_norm(&self.norm, self.eps);
            let (q, s_x) = y.quantize_activations(self.rounding);
            let tap = |v: &graph::Var, what: &str| cx.tap(&format!("{}.{what}", self.path), v);
            tap(y.var(), "norm_out");
            tap(q.var(), "xq");
            tap(s_x.var(), "x_scale");
            let out: Traced<A::Replace<Out>> = match &self.weight {
                Weight::Trits(t, s_w) => typed(q.var().ternary_linear(s_x.var(), t.var(), s_w.var())),
                Weight::Master(w) => {
                    let (t, s_w) = self.quantizer.apply(w.var());
                    tap(&t, "trits");
                    tap(&s_w, "w_scale");
                    let quantised = self.surrogate.as_ref().map(|(s, given)| (s, s.quantise(w.var(), given)));
                    let integer = || typed(q.var().ternary_linear(s_x.var(), &t, &s_w));
                    let float = || {
                        let last = y.var().shape().last().cloned().unwrap_or(0.into());
                        let dequantized = q.var().convert(axes::DType::F32) / s_x.var().broadcast_last(&last);
                        let y_q: Traced<A> = typed(dequantized.surrogate(y.var()));
                        let w_q: Traced<(Out, In)> = match &quantised {
                            Some((_, q)) => typed(q.weight.clone()),
                            None => typed((t.convert(axes::DType::F32) / &s_w).surrogate(w.var())),
                        };
                        y_q.linear(&w_q)
                    };
                    // A bias beside the trits leaves the product as it is.
                    let trits =
                        quantised.as_ref().is_none_or(|(s, q)| !s.entry().alters_forward || q.bias.is_some());
                    let product = match self.products {
                        Products::Float => float(),
                        Products::Training if !trits => float(),
                        Products::Integer => integer(),
                        Products::Training => integer().surrogate(&float()),
                    };
                    match quantised.and_then(|(_, q)| q.bias) {
                        Some(bias) => typed(product.var() + &bias.broadcast_like(product.var())),
                        None => product,
                    }
                }
            };
            tap(out.var(), "out");
            out
        })
    }
}
