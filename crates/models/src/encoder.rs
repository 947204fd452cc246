//! What stands around the blocks of a sequence model that is not a language model: inputs (numbers or tokens), and either
//! the last block's outputs or a classifier on their mean.
//!
//! Graph inputs: `x` f32 [B, T, D], or `input_ids` i64 [B, T]. Outputs: without a classifier `y` [B, T, d], and with labels
//! wanted `loss` = Σ y · `loss_weight` of an input of that name; with one `logits` [B, C] of the mean over the positions read
//! so far, and with labels `loss`, the mean cross entropy against `labels` i64 (B). A stream of a classifier keeps the sum of
//! the positions (`pool_state`) and their number (`pool_count`).

use axes::DType;
use graph::{Cx, Dim, Graph, GraphError, Type, Var};

use crate::forms::{GraphOptions, State};
use crate::frame::{Frame, LinearKind};
use crate::parameters::{Init, Parameter};

/// Sizes of the shell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shell {
    /// Width of the inputs `x`; nothing where they go into the first block as they are.
    pub inputs: Option<usize>,
    /// Tokens; nothing for `x`.
    pub vocabulary: Option<usize>,
    /// Width of the blocks, d.
    pub width: usize,
    /// Classes, C; nothing without a classifier.
    pub classes: Option<usize>,
    /// Dense weights are (in, out) and named `kernel`, as flax has them; else (out, in) and `weight`.
    pub flax: bool,
}

impl Shell {
    fn dense(&self, list: &mut Vec<Parameter>, name: &str, [outputs, inputs]: [usize; 2]) {
        // A uniform of that width has the variance 1 / (3 inputs), as the published dense layers begin.
        let init = Init::Uniform((1.0 / inputs as f64).sqrt());
        let (what, shape) =
            if self.flax { ("kernel", [inputs, outputs]) } else { ("weight", [outputs, inputs]) };
        list.push(Parameter { name: format!("{name}.{what}"), shape: shape.to_vec(), init });
        list.push(Parameter {
            name: format!("{name}.bias"),
            shape: vec![outputs],
            init: Init::Constant(0.0),
        });
    }

    /// The parameters before the blocks.
    pub fn encoder(&self, list: &mut Vec<Parameter>) {
        match (self.vocabulary, self.inputs) {
            (Some(vocabulary), _) => list.push(Parameter {
                name: "encoder.weight".into(),
                shape: vec![vocabulary, self.width],
                init: Init::Normal(1.0),
            }),
            (None, Some(inputs)) => self.dense(list, "encoder", [self.width, inputs]),
            (None, None) => {}
        }
    }

    /// The parameters after the blocks.
    pub fn decoder(&self, list: &mut Vec<Parameter>) {
        if let Some(classes) = self.classes {
            self.dense(list, "decoder", [classes, self.width]);
        }
    }

    /// The states of the classifier.
    pub fn states(&self) -> Vec<State> {
        match self.classes {
            Some(_) => {
                vec![
                    State::fixed("pool_state".into(), &[self.width]),
                    State::fixed("pool_count".into(), &[1]),
                ]
            }
            None => vec![],
        }
    }

    fn apply(&self, frame: &Frame<'_>, name: &str, [outputs, inputs]: [usize; 2], x: &Var) -> Var {
        let y = dense(frame, name, [outputs, inputs], self.flax, x);
        &y + &frame.parameter(&format!("{name}.bias"), &[outputs]).broadcast_like(&y)
    }

    /// The graph around these blocks; `time` is left open or one.
    ///
    /// # Errors
    /// What the blocks record; a state that they do not keep.
    pub fn graph(
        &self,
        options: &GraphOptions,
        time: Dim,
        linear: LinearKind,
        states: &[State],
        blocks: impl FnOnce(&Frame<'_>, Var) -> Var,
    ) -> Result<Graph, GraphError> {
        let cx = Cx::abstract_();
        let mut frame = Frame::new(&cx, options, linear);
        frame.time = time;
        let (b, t, d) = (frame.batch.clone(), frame.time.clone(), Dim::from(self.width));
        let h = cx.scope("encoder", || match (self.vocabulary, self.inputs) {
            (Some(vocabulary), _) => {
                let ids =
                    cx.input("input_ids", Type { dtype: DType::I64, shape: vec![b.clone(), t.clone()] });
                frame.parameter("encoder.weight", &[vocabulary, self.width]).gather(&ids)
            }
            (None, inputs) => {
                let wide = Dim::from(inputs.unwrap_or(self.width));
                let x = cx.input("x", Type { dtype: DType::F32, shape: vec![b.clone(), t.clone(), wide] });
                match inputs {
                    Some(inputs) => self.apply(&frame, "encoder", [self.width, inputs], &x),
                    None => x,
                }
            }
        });
        let y = blocks(&frame, h);
        let mut outputs = vec![];
        match self.classes {
            Some(classes) => cx.scope("decoder", || {
                let mut total = y.sum(&[1]);
                let mut seen = cx.size_of(&t, DType::F32).broadcast(&[b.clone(), 1.into()], &[]);
                if options.states {
                    total = total + frame.state("pool_state", &[self.width]);
                    seen = seen + frame.state("pool_count", &[1]);
                    frame.keep("pool_state", &total);
                    frame.keep("pool_count", &seen);
                }
                let mean = &total / &seen.reshape(std::slice::from_ref(&b)).broadcast_last(&d);
                let logits = self.apply(&frame, "decoder", [classes, self.width], &mean);
                outputs.push(("logits".to_string(), logits.clone()));
                if options.labels {
                    let labels = cx.input("labels", Type { dtype: DType::I64, shape: vec![b.clone()] });
                    outputs.push(("loss".to_string(), logits.cross_entropy(&labels)));
                }
            }),
            None => {
                let y = match options.last {
                    true => y.slice_axis(1, &t - &Dim::from(1), t.clone()).reshape(&[b.clone(), d]),
                    false => y,
                };
                outputs.push(("y".to_string(), y.clone()));
                if options.labels {
                    let weight = cx.input("loss_weight", y.ty());
                    outputs.push(("loss".to_string(), (y * weight).sum_all()));
                }
            }
        }
        let kept = frame.into_kept();
        Frame::finish(cx, kept, outputs, states, options)
    }
}

/// x times a dense weight without its bias, (in, out) and `kernel` or (out, in) and `weight`.
pub(crate) fn dense(
    frame: &Frame<'_>,
    name: &str,
    [outputs, inputs]: [usize; 2],
    flax: bool,
    x: &Var,
) -> Var {
    let last = x.ty().rank() - 1;
    if flax {
        let kernel = frame.parameter(&format!("{name}.kernel"), &[inputs, outputs]);
        return x.dot_general(&kernel, (&[last], &[0]), (&[], &[]));
    }
    x.linear(&frame.parameter(&format!("{name}.weight"), &[outputs, inputs]))
}
