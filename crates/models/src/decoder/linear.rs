//! Linear layers without biases: ternary with int8 activations, of plain floats, or in blocks.

use axes::{Axis, BlockFormat, DType, Last};
use graph::Var;
use graph::typed::{Traced, TracedExt, typed};

use crate::matmulfree::{Products, Weight};

/// What a layer's weight is.
pub enum Kind<In: Axis, Out: Axis> {
    /// Trits, or masters that are quantised in every forward; the activations are quantised per token.
    Ternary(Weight<In, Out>, Products),
    /// Floats.
    Plain(Traced<(Out, In)>),
    /// u8 (Out, bytes of a row).
    Blocks(Var, BlockFormat),
}

/// y = W x.
pub struct Linear<In: Axis, Out: Axis> {
    /// Where it stands in the model (`layers.0.self_attn.q_proj`), for taps.
    pub path: String,
    /// The weight.
    pub kind: Kind<In, Out>,
}

impl<In: Axis, Out: Axis> Linear<In, Out> {
    /// x (…, In) → (…, Out). Quantisers round half to even and have the derivative of the identity (straight-through).
    pub fn apply<A: Last<Axis = In>>(&self, x: &Traced<A>) -> Traced<A::Replace<Out>> {
        let cx = x.var().cx().clone();
        let name = self.path.rsplit('.').next().unwrap_or_default().to_string();
        cx.scope(&name, || match &self.kind {
            Kind::Plain(w) => x.linear(w),
            Kind::Blocks(w, format) => typed(x.var().block_linear(w, *format)),
            Kind::Ternary(weight, products) => self.ternary(x, weight, *products),
        })
    }

    fn ternary<A: Last<Axis = In>>(
        &self,
        x: &Traced<A>,
        weight: &Weight<In, Out>,
        products: Products,
    ) -> Traced<A::Replace<Out>> {
        let tap = |v: &Var, what: &str| v.cx().tap(&format!("{}.{what}", self.path), v);
        let (q, s_x) = x.quantize_activations("half_even");
        tap(q.var(), "xq");
        tap(s_x.var(), "x_scale");
        let out: Traced<A::Replace<Out>> = match weight {
            Weight::Trits(t, s_w) => typed(q.var().ternary_linear(s_x.var(), t.var(), s_w.var())),
            Weight::Master(w) => {
                let (t, s_w) = w.var().quantize_weights();
                tap(&t, "trits");
                tap(&s_w, "w_scale");
                let integer = || typed(q.var().ternary_linear(s_x.var(), &t, &s_w));
                let float = || {
                    let last = x.var().shape().last().cloned().unwrap_or(0.into());
                    let dequantized = q.var().convert(DType::F32) / s_x.var().broadcast_last(&last);
                    let x_q: Traced<A> = typed(dequantized.surrogate(x.var()));
                    let ternary = t.convert(DType::F32) / &s_w;
                    let w_q: Traced<(Out, In)> = typed(ternary.surrogate(w.var()));
                    x_q.linear(&w_q)
                };
                match products {
                    Products::Float => float(),
                    Products::Integer => integer(),
                    Products::Training => integer().surrogate(&float()),
                }
            }
        };
        tap(out.var(), "out");
        out
    }
}
