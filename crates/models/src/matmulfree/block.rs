//! A block: the MLGRU mixes tokens, the gated linear unit mixes channels.

use super::{Batch, BitLinear, GateUp, Hidden, Inner, Intermediate, Seq};
use crate::config::MlgruForm;
use axes::Last;
use graph::Dim;
use graph::typed::{Traced, TracedExt, linear_scan, typed};

/// The state that a layer carries from token to token.
pub struct Recurrent {
    /// h (batch, inner).
    pub h: Traced<(Batch, Inner)>,
    /// The last inputs of the short convolutions (batch, taps − 1, channels), in their order.
    pub conv: Vec<graph::Var>,
}

/// The token mixer (matmul-free linear gated recurrent unit).
pub struct Mlgru {
    /// Where it stands in the model.
    pub path: String,
    /// Which of the named forms.
    pub form: MlgruForm,
    /// Candidate.
    pub i_proj: BitLinear<Hidden, Inner>,
    /// Forget gate.
    pub f_proj: BitLinear<Hidden, Inner>,
    /// Output gate.
    pub g_proj: BitLinear<Hidden, Inner>,
    /// Output.
    pub o_proj: BitLinear<Inner, Hidden>,
    /// The gate norm's weight (released form).
    pub g_norm: Option<Traced<(Inner,)>>,
    /// eps of the gate norm.
    pub eps: f64,
    /// The least that the forget gate may be.
    pub lower_bound: Option<Traced<(Inner,)>>,
    /// Kernel of the convolution of the input, (channels, 1, taps), or those of f and i.
    pub conv: Vec<graph::Var>,
}

/// What the mixer computes before the recurrence.
struct Gates<A: axes::Axes> {
    /// Forget gate.
    f: Traced<A>,
    /// What enters the state.
    x: Traced<A>,
    /// Output gate before its nonlinearity.
    g: Traced<A>,
}

impl Mlgru {
    /// Gates from an input (…, hidden); `convolve` filters along the sequence when the model has short convolutions.
    fn gates<A>(
        &self,
        a: &Traced<A>,
        convolve: &mut dyn FnMut(usize, &graph::Var) -> graph::Var,
    ) -> Gates<A::Replace<Inner>>
    where
        A: Last<Axis = Hidden>,
        A::Replace<Inner>: Last<Axis = Inner>,
    {
        let shared = self.conv.len() == 1;
        let a: Traced<A> = if shared { typed(convolve(0, a.var())) } else { typed(a.var().clone()) };
        let (mut i, mut f) = (self.i_proj.apply(&a), self.f_proj.apply(&a));
        if self.conv.len() == 2 {
            f = typed(convolve(0, f.var()));
            i = typed(convolve(1, i.var()));
        }
        let mut f = f.sigmoid();
        if let Some(bound) = &self.lower_bound {
            // lb + (1 - lb) f
            let like = f.var();
            let bound = bound.var().broadcast_like(like);
            f = typed(&bound + &((1.0 - &bound) * like));
        }
        let candidate = match self.form {
            MlgruForm::Article => i.tanh(),
            MlgruForm::Released | MlgruForm::Paper => i.silu(),
        };
        let x = &candidate * &(1.0 - &f);
        let g = self.g_proj.apply(&a);
        Gates { f, x, g }
    }

    /// The input of the output projection, from the gate and the state.
    fn gated<A: Last<Axis = Inner>>(&self, g: &Traced<A>, h: &Traced<A>) -> Traced<A> {
        match (&self.g_norm, self.form) {
            (Some(weight), MlgruForm::Released) => &g.rms_norm(weight, self.eps) * &h.silu(),
            _ => &g.sigmoid() * h,
        }
    }

    /// The whole sequence at once.
    pub fn sequence(
        &self,
        a: &Traced<(Batch, Seq, Hidden)>,
        mask: Option<&Traced<(Batch, Seq)>>,
        state: &Recurrent,
    ) -> (Traced<(Batch, Seq, Hidden)>, Recurrent) {
        let tap = |v: &graph::Var, what: &str| v.cx().tap(&format!("{}.{what}", self.path), v);
        let mut next_conv = vec![];
        let mut convolve = |k: usize, x: &graph::Var| {
            let x = match mask {
                Some(m) => x * &m.var().broadcast_last(&x.shape()[2]),
                None => x.clone(),
            };
            let (y, last) = causal_conv(&x, &self.conv[k], &state.conv[k]);
            next_conv.push(last);
            y.silu()
        };
        let gates = self.gates(a, &mut convolve);
        let mut x = gates.x;
        if let Some(m) = mask {
            x = typed(x.var() * &m.var().broadcast_last(&x.var().shape()[2]));
        }
        tap(gates.f.var(), "f");
        tap(x.var(), "i");
        let h = linear_scan(&gates.f, &x, &state.h);
        tap(h.var(), "h");
        let gated = self.gated(&gates.g, &h);
        tap(gated.var(), "gated");
        let shape = h.var().shape();
        let one = Dim::from(1);
        let last = h.var().slice_axis(1, &shape[1] - &one, shape[1].clone());
        let last = last.reshape(&[shape[0].clone(), shape[2].clone()]);
        (self.o_proj.apply(&gated), Recurrent { h: typed(last), conv: next_conv })
    }

    /// One token: the state has a constant size, and so has the work.
    pub fn step(
        &self,
        a: &Traced<(Batch, Hidden)>,
        state: &Recurrent,
    ) -> (Traced<(Batch, Hidden)>, Recurrent) {
        let mut next_conv = vec![];
        let mut convolve = |k: usize, x: &graph::Var| {
            let s = x.shape();
            let (y, last) = causal_conv(
                &x.reshape(&[s[0].clone(), 1.into(), s[1].clone()]),
                &self.conv[k],
                &state.conv[k],
            );
            next_conv.push(last);
            y.reshape(&s).silu()
        };
        let gates = self.gates(a, &mut convolve);
        let h = &(&gates.f * &state.h) + &gates.x;
        let gated = self.gated(&gates.g, &h);
        (self.o_proj.apply(&gated), Recurrent { h, conv: next_conv })
    }
}

/// Depthwise causal convolution along the sequence: x (B, T, D), kernel (D, 1, K), the K − 1 inputs before x.
pub(crate) fn causal_conv(
    x: &graph::Var,
    kernel: &graph::Var,
    before: &graph::Var,
) -> (graph::Var, graph::Var) {
    let shape = x.shape();
    let taps = kernel.shape()[2].fixed().unwrap_or(1);
    let history = graph::Var::concatenate(&[before, x], 1);
    let t = &shape[1];
    let mut sum: Option<graph::Var> = None;
    for k in 0..taps {
        let end = t + &Dim::from(k);
        let window = history.slice_axis(1, k, end);
        let tap = kernel.slice_axis(2, k, k + 1).reshape(&[shape[2].clone()]);
        let term = &window * &tap.broadcast_like(&window);
        sum = Some(sum.map_or(term.clone(), |s| s + &term));
    }
    let total = &(t + &Dim::from(taps)) - &Dim::from(1);
    let last = history.slice_axis(1, t.clone(), total);
    (sum.unwrap_or_else(|| x.clone()), last)
}

/// The channel mixer: down(silu(gate) · up).
pub struct ChannelMixer {
    /// Where it stands in the model.
    pub path: String,
    /// Gate and value in one matrix, gate first.
    pub gate_proj: BitLinear<Hidden, GateUp>,
    /// Back to the residual stream.
    pub down_proj: BitLinear<Intermediate, Hidden>,
}

impl ChannelMixer {
    /// x (…, hidden) → (…, hidden).
    pub fn apply<A>(&self, x: &Traced<A>) -> Traced<A>
    where
        A: Last<Axis = Hidden>,
        A::Replace<GateUp>: Last<Axis = GateUp>,
        <A::Replace<GateUp> as Last>::Replace<Intermediate>: Last<Axis = Intermediate>,
    {
        let both = self.gate_proj.apply(x);
        let (gate, up) = both.halves::<Intermediate>();
        let act = &gate.silu() * &up;
        act.tap(&format!("{}.act", self.path));
        let y = self.down_proj.apply(&act);
        // Back on the axes of x: the type of `apply`'s result is the same list spelled through `Replace`.
        typed(y.var().clone())
    }
}

/// A block with its two norms.
pub struct Block {
    /// Where it stands in the model.
    pub path: String,
    /// Weight of the norm before the token mixer.
    pub attn_norm: Traced<(Hidden,)>,
    /// Token mixer.
    pub attn: Mlgru,
    /// Weight of the norm before the channel mixer.
    pub mlp_norm: Traced<(Hidden,)>,
    /// Channel mixer.
    pub mlp: ChannelMixer,
    /// eps of both norms.
    pub eps: f64,
}

impl Block {
    /// h (…, hidden) → (…, hidden), with `mix` as the token mixer's form.
    pub fn apply<A>(&self, h: &Traced<A>, mix: impl FnOnce(&Mlgru, &Traced<A>) -> Traced<A>) -> Traced<A>
    where
        A: Last<Axis = Hidden>,
        A::Replace<GateUp>: Last<Axis = GateUp>,
        <A::Replace<GateUp> as Last>::Replace<Intermediate>: Last<Axis = Intermediate>,
    {
        let cx = h.var().cx().clone();
        let tap = |v: &graph::Var, what: &str| cx.tap(&format!("{}.{what}", self.path), v);
        cx.scope(&self.path, || {
            tap(h.var(), "in");
            let r = cx.scope("attn", || {
                let a = h.rms_norm(&self.attn_norm, self.eps);
                tap(a.var(), "attn_norm_out");
                let o = mix(&self.attn, &a);
                tap(o.var(), "attn_out");
                h + &o
            });
            cx.scope("mlp", || {
                let b = r.rms_norm(&self.mlp_norm, self.eps);
                tap(b.var(), "mlp_norm_out");
                &r + &self.mlp.apply(&b)
            })
        })
    }
}
