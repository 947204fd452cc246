//! A block: attention mixes tokens, the gated unit mixes channels.

use graph::Var;
use graph::typed::{Traced, TracedExt, typed};

use super::{
    Activation, Batch, Groups, Half, Heads, Hidden, Intermediate, Keys, Linear, Queries, Seq, Width,
};
use crate::forms::CacheType;

/// Keys and values of the tokens before, of one layer.
pub struct Cached {
    /// Keys and values, (B, S, G, D).
    pub rows: [Var; 2],
    /// The scales of i8 rows, (B, S, G).
    pub scales: Option<[Var; 2]>,
    /// Tokens before, i64 [].
    pub position: Var,
}

impl Cached {
    /// All in the order of the states' names: rows, then scales.
    pub fn all(&self) -> Vec<Var> {
        self.rows.iter().chain(self.scales.iter().flatten()).cloned().collect()
    }

    /// How the rows are stored.
    pub fn kind(&self) -> CacheType {
        if self.scales.is_some() { CacheType::I8 } else { CacheType::F32 }
    }
}

/// Causal attention with grouped heads and rotary positions.
pub struct Attention {
    /// Where it stands in the model.
    pub path: String,
    /// Queries.
    pub q_proj: Linear<Hidden, Queries>,
    /// Keys.
    pub k_proj: Linear<Hidden, Keys>,
    /// Values.
    pub v_proj: Linear<Hidden, Keys>,
    /// Output.
    pub o_proj: Linear<Queries, Hidden>,
    /// Norms of each head's queries and of its keys, before the rotation.
    pub head_norms: Option<[Traced<(Width,)>; 2]>,
    /// The norm before the output projection.
    pub sub_norm: Option<Traced<(Queries,)>>,
    /// Heads of queries, of keys and values, and the width of one.
    pub sizes: [usize; 3],
    /// eps of the norms.
    pub eps: f64,
}

impl Attention {
    /// a (B, T, hidden) → (B, T, hidden) and the caches with the new rows. `mask` (B, T) is true where a token is real.
    pub fn apply(
        &self,
        a: &Traced<(Batch, Seq, Hidden)>,
        angles: &[Traced<(Seq, Half)>; 2],
        cached: Option<&Cached>,
        mask: Option<&Var>,
    ) -> (Traced<(Batch, Seq, Hidden)>, Vec<Var>) {
        let [heads, groups, width] = self.sizes;
        let shape = a.var().shape();
        let split = |x: &Var, heads: usize| {
            x.reshape(&[shape[0].clone(), shape[1].clone(), heads.into(), width.into()])
        };
        let turn = |x: Var, norm: usize| {
            let x = match &self.head_norms {
                Some(norms) => x.rms_norm(norms[norm].var(), self.eps),
                None => x,
            };
            x.rope(angles[0].var(), angles[1].var())
        };
        let q: Traced<(Batch, Seq, Heads, Width)> = typed(turn(split(self.q_proj.apply(a).var(), heads), 0));
        let k: Traced<(Batch, Seq, Groups, Width)> =
            typed(turn(split(self.k_proj.apply(a).var(), groups), 1));
        let v: Traced<(Batch, Seq, Groups, Width)> = typed(split(self.v_proj.apply(a).var(), groups));
        let scale = (width as f64).powf(-0.5);
        let (y, caches) = match cached {
            Some(Cached { rows: [keys, values], scales, position }) => {
                let scales = scales.as_ref().map(|[k, v]| [k, v]);
                let new = [k.var(), v.var()];
                let mut made = q.var().kv_attention(new, [keys, values], scales, position, scale);
                (made.remove(0), made)
            }
            None => (q.var().causal_attention(k.var(), v.var(), None, mask, scale), vec![]),
        };
        let y: Traced<(Batch, Seq, Queries)> =
            typed(y.reshape(&[shape[0].clone(), shape[1].clone(), (heads * width).into()]));
        y.tap(&format!("{}.attention", self.path));
        let y = match &self.sub_norm {
            Some(norm) => y.rms_norm(norm, self.eps),
            None => y,
        };
        (self.o_proj.apply(&y), caches)
    }
}

/// down(norm(act(gate) · up)).
pub struct GatedUnit {
    /// Where it stands in the model.
    pub path: String,
    /// Gate.
    pub gate_proj: Linear<Hidden, Intermediate>,
    /// Value.
    pub up_proj: Linear<Hidden, Intermediate>,
    /// Back to the residual stream.
    pub down_proj: Linear<Intermediate, Hidden>,
    /// The norm before the down projection.
    pub sub_norm: Option<Traced<(Intermediate,)>>,
    /// Nonlinearity of the gate.
    pub activation: Activation,
    /// eps of the norm.
    pub eps: f64,
}

impl GatedUnit {
    /// x (B, T, hidden) → (B, T, hidden).
    pub fn apply(&self, x: &Traced<(Batch, Seq, Hidden)>) -> Traced<(Batch, Seq, Hidden)> {
        let (gate, up) = (self.gate_proj.apply(x), self.up_proj.apply(x));
        let gate = match self.activation {
            Activation::Relu2 => gate.relu().square(),
            Activation::Silu => gate.silu(),
        };
        let y = &gate * &up;
        y.tap(&format!("{}.act", self.path));
        let y = match &self.sub_norm {
            Some(norm) => y.rms_norm(norm, self.eps),
            None => y,
        };
        self.down_proj.apply(&y)
    }
}

/// A block with its two norms.
pub struct Block {
    /// Where it stands in the model.
    pub path: String,
    /// Weight of the norm before attention.
    pub input_norm: Traced<(Hidden,)>,
    /// Attention.
    pub attention: Attention,
    /// Weight of the norm before the gated unit.
    pub post_norm: Traced<(Hidden,)>,
    /// The gated unit.
    pub mlp: GatedUnit,
    /// eps of both norms.
    pub eps: f64,
}

impl Block {
    /// h (B, T, hidden) → (B, T, hidden) and the caches with the new rows.
    pub fn apply(
        &self,
        h: &Traced<(Batch, Seq, Hidden)>,
        angles: &[Traced<(Seq, Half)>; 2],
        cached: Option<&Cached>,
        mask: Option<&Var>,
    ) -> (Traced<(Batch, Seq, Hidden)>, Vec<Var>) {
        let cx = h.var().cx().clone();
        cx.scope(&self.path, || {
            let (r, caches) = cx.scope("self_attn", || {
                let a = h.rms_norm(&self.input_norm, self.eps);
                let (o, caches) = self.attention.apply(&a, angles, cached, mask);
                (h + &o, caches)
            });
            let h = cx.scope("mlp", || {
                let b = r.rms_norm(&self.post_norm, self.eps);
                &r + &self.mlp.apply(&b)
            });
            (h, caches)
        })
    }
}
