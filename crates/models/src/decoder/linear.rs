//! Linear layers without biases: ternary or binary with int8 activations, of plain floats, or in blocks.

use axes::{Axis, BlockFormat, DType, Last};
use graph::Var;
use graph::typed::{Traced, TracedExt, typed};

use super::BinaryForm;
use crate::frame::Quantizer;
use crate::matmulfree::{BitLinear, Products, Weight};

/// What a layer's weight is.
pub enum Kind<In: Axis, Out: Axis> {
    /// Trits, or masters that are quantised in every forward; the activations are quantised per token.
    Ternary(Weight<In, Out>, Products),
    /// Signs, or masters whose signs are taken in every forward, behind a norm without weights.
    Binary(Weight<In, Out>, Products, BinaryForm),
    /// Either of both behind a norm with weights.
    Normed(BitLinear<In, Out>),
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
            Kind::Normed(linear) => linear.apply(x),
            Kind::Ternary(weight, products) => {
                let (q, s_x) = x.quantize_activations("half_even");
                self.quantised(x, q.var(), s_x.var(), weight, *products, Quantizer::Absmean)
            }
            Kind::Binary(weight, products, form) => {
                let y: Traced<A> = typed(form.norm(x.var()));
                let (q, s_x) = form.activations(y.var());
                self.quantised(&y, &q, &s_x, weight, *products, form.quantizer())
            }
        })
    }

    /// The product of the int8 form (q, s_x) of x.
    fn quantised<A: Last<Axis = In>>(
        &self,
        x: &Traced<A>,
        q: &Var,
        s_x: &Var,
        weight: &Weight<In, Out>,
        products: Products,
        quantizer: Quantizer,
    ) -> Traced<A::Replace<Out>> {
        let tap = |v: &Var, what: &str| v.cx().tap(&format!("{}.{what}", self.path), v);
        tap(q, "xq");
        tap(s_x, "x_scale");
        let out: Traced<A::Replace<Out>> = match weight {
            Weight::Trits(t, s_w) => typed(q.ternary_linear(s_x, t.var(), s_w.var())),
            Weight::Master(w) => {
                let (t, s_w) = quantizer.apply(w.var());
                tap(&t, "trits");
                tap(&s_w, "w_scale");
                let integer = || typed(q.ternary_linear(s_x, &t, &s_w));
                let float = || {
                    let last = x.var().shape().last().cloned().unwrap_or(0.into());
                    let dequantized = q.convert(DType::F32) / s_x.broadcast_last(&last);
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
