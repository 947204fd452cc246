//! Softmax attention for hybrids: rotary positions, a cache of keys and values that grows with the text.

use axes::DType;
use graph::typed::{Traced, TracedExt, typed};
use graph::{Dim, Type, Var};

use crate::decoder::{Queries, inverse_frequencies};
use crate::forms::{PLACES, State};
use crate::frame::{Batch, Frame, Hidden, LinearKind, Mixer, Seq};
use crate::linear_attention::mixer::{SHORT, split};
use crate::parameters::{Init, Parameter};

/// The mixer.
#[derive(Clone, Debug)]
pub struct SoftmaxAttention {
    /// Width of the residual stream, D.
    pub hidden: usize,
    /// Heads, each D / H wide.
    pub heads: usize,
    /// Base of the rotation's frequencies.
    pub theta: f64,
}

impl SoftmaxAttention {
    fn width(&self) -> usize {
        self.hidden / self.heads.max(1)
    }

    /// Cosines and sines of the angles of every position, (T, D/2).
    fn angles(&self, frame: &Frame<'_>) -> [Var; 2] {
        let places = frame.positions();
        let half = self.width() / 2;
        let list: Vec<f64> =
            inverse_frequencies(self.theta, self.width()).into_iter().map(f64::from).collect();
        let grid = [frame.time.clone(), half.into()];
        let frequencies = frame.cx.array(DType::F32, &[half], &list).broadcast(&grid, &[1]);
        let angles = places.convert(DType::F32).broadcast(&grid, &[0]) * frequencies;
        [angles.cos(), angles.sin()]
    }

    fn cache(&self, layer: usize) -> [State; 2] {
        let shape = [Dim::symbol(PLACES), self.heads.into(), self.width().into()];
        ["key_cache", "value_cache"].map(|name| State {
            name: format!("{name}.{layer}"),
            shape: shape.to_vec(),
            dtype: DType::F32,
        })
    }
}

impl Mixer for SoftmaxAttention {
    fn parameters(&self, at: &str, linear: LinearKind, list: &mut Vec<Parameter>) {
        let bound = Init::Uniform(1.0 / (self.hidden as f64).sqrt());
        for name in SHORT.all() {
            linear.parameters(list, &format!("{at}.{name}"), [self.hidden; 2], bound, None);
        }
    }

    fn projections(&self, at: &str) -> Vec<String> {
        SHORT.all().iter().map(|name| format!("{at}.{name}")).collect()
    }

    fn states(&self, layer: usize) -> Vec<State> {
        self.cache(layer).to_vec()
    }

    fn apply(
        &self,
        frame: &Frame<'_>,
        at: &str,
        layer: usize,
        x: &Traced<(Batch, Seq, Hidden)>,
    ) -> Traced<(Batch, Seq, Hidden)> {
        let project = |name: &str| -> Var {
            let y: Traced<(Batch, Seq, Queries)> =
                frame.project(&format!("{at}.{name}"), [self.hidden; 2], false, x);
            split(y.var(), self.heads)
        };
        let [cos, sin] = self.angles(frame);
        let (q, k) = (project(SHORT.query).rope(&cos, &sin), project(SHORT.key).rope(&cos, &sin));
        let v = project(SHORT.value);
        let scale = (self.width() as f64).powf(-0.5);
        let y = match frame.position() {
            Some(position) => {
                let states = self.cache(layer);
                let rows = states.each_ref().map(|state| {
                    let shape = std::iter::once(&frame.batch).chain(&state.shape).cloned().collect();
                    frame.input(&state.name, Type { dtype: state.dtype, shape })
                });
                let made = q.kv_attention([&k, &v], [&rows[0], &rows[1]], None, &position, scale);
                states.iter().zip(&made[1..]).for_each(|(state, rows)| frame.keep(&state.name, rows));
                made[0].clone()
            }
            None => {
                let mask = frame.mask().map(|mask| mask.gt(&mask.full_like(0.0)));
                q.causal_attention(&k, &v, None, mask.as_ref(), scale)
            }
        };
        let y: Traced<(Batch, Seq, Queries)> = typed(y.reshape(&x.var().shape()));
        frame.project(&format!("{at}.{}", SHORT.out), [self.hidden; 2], false, &y)
    }
}
