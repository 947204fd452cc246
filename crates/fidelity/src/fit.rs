//! Training of any loss graph: the gradients, the update and the loss as one plan, parameters overwritten in place.
//!
//! For layers of one's own and small experiments. The published architectures are trained by `train::run`, which adds
//! AdamW, schedules, checkpoints and metrics.

use engine::{EngineError, Executable, Result, Tensor, pool::Pool};
use furnace::{Remat, grad_graph};
use graph::{Cx, Graph, Var};
use premap::Options;
use std::sync::Arc;

/// A loss graph that is being minimised, and its parameters.
///
/// ```
/// use engine::{Tensor, pool::Pool};
/// use fidelity::fit::Fit;
/// use graph::{Cx, Type};
/// // (w - 3)² from w = 0, by gradient descent.
/// let cx = Cx::abstract_();
/// let scalar = Type::scalar(axes::DType::F32);
/// let (w, goal) = (cx.input("w", scalar.clone()), cx.input("goal", scalar));
/// let graph = cx.finish(&[("loss", &(&w - &goal).square())])?;
/// let start = vec![("w", Tensor::from_f32([], &[0.0]))];
/// let mut fit = Fit::new(&graph, start, |w, g| w - &(g * 0.25), Pool::single().into())?;
/// let goal = Tensor::from_f32([], &[3.0]);
/// assert_eq!(fit.step(&[("goal", &goal)])?, 9.0);
/// assert_eq!(fit.step(&[("goal", &goal)])?, 2.25);
/// assert_eq!(fit.parameter("w").map(|w| w.f32()[0]), Some(2.25));
/// # Ok::<(), engine::EngineError>(())
/// ```
pub struct Fit {
    exe: Executable,
    /// The input's number and the tensor of each parameter; output `1 + i` replaces parameter `i`.
    parameters: Vec<(usize, Tensor)>,
    loss: Tensor,
}

impl Fit {
    /// Plans one step for a graph of fixed sizes with an output `loss` of type `f32[]`: forward, backward, and for each
    /// parameter (an input of that name) the value that `update` makes of the parameter and its gradient.
    ///
    /// # Errors
    /// A parameter that is no input of the graph, a loss that is missing or no single f32, and whatever
    /// differentiation and planning refuse.
    pub fn new(
        graph: &Graph,
        parameters: Vec<(&str, Tensor)>,
        update: impl Fn(&Var, &Var) -> Var,
        pool: Arc<Pool>,
    ) -> Result<Fit> {
        let names: Vec<&str> = parameters.iter().map(|p| p.0).collect();
        let with_gradients = grad_graph(graph, "loss", &names, Remat::default())?;
        let cx = Cx::abstract_();
        let of = |i: &graph::Named| cx.input(&i.name, graph.ty(i.value).clone());
        let inputs: Vec<Var> = graph.inputs.iter().map(of).collect();
        let made = cx.inline(&with_gradients, &inputs)?;
        let at = |name: &str| graph.inputs.iter().position(|i| i.name == name);
        let places: Vec<usize> = names.iter().filter_map(|n| at(n)).collect();
        let loss_at = graph.outputs.iter().position(|o| o.name == "loss").unwrap_or(0);
        let mut outputs = vec![("loss".to_string(), made[loss_at].clone())];
        for (name, (place, gradient)) in names.iter().zip(places.iter().zip(&made[graph.outputs.len()..])) {
            outputs.push((format!("new.{name}"), update(&inputs[*place], gradient)));
        }
        let named: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
        let options = Options {
            donate: names.iter().map(|n| (n.to_string(), format!("new.{n}"))).collect(),
            early: vec!["loss".into()],
            ..Options::default()
        };
        let exe = Executable::new(&cx.finish(&named)?, &options, pool)?;
        let loss = Tensor::from_f32([], &[f32::NAN]);
        let tensors = parameters.into_iter().map(|p| p.1);
        Ok(Fit { exe, parameters: places.into_iter().zip(tensors).collect(), loss })
    }

    /// One step on these inputs; the loss before it. When that is not finite, the parameters stay as they were.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another type, and a kernel that refuses its operands.
    pub fn step(&mut self, inputs: &[(&str, &Tensor)]) -> Result<f32> {
        let mut io = self.exe.io();
        for (name, tensor) in inputs {
            let place = self.exe.input(name).filter(|i| self.parameters.iter().all(|p| p.0 != *i));
            let Some(place) = place else {
                let known = self.exe.plan().graph.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>();
                return Err(EngineError::Bind {
                    what: "input",
                    name: name.to_string(),
                    expected: format!("one of {} that is no parameter", known.join(", ")),
                    found: tensor.ty().to_string(),
                });
            };
            io.input(place, tensor);
        }
        for (i, (place, tensor)) in self.parameters.iter_mut().enumerate() {
            io.in_place(*place, 1 + i, tensor);
        }
        io.output(0, &mut self.loss);
        self.exe.run_early(&mut io)?;
        let loss = io.scalar(0);
        if loss.is_finite() {
            self.exe.run_rest(&mut io)?;
        }
        Ok(loss)
    }

    /// The parameter of that name as it is now.
    pub fn parameter(&self, name: &str) -> Option<&Tensor> {
        let place = self.exe.input(name)?;
        self.parameters.iter().find(|p| p.0 == place).map(|p| &p.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axes::DType;
    use graph::Type;

    /// The mean of (x w - y)², x (4, 2).
    fn line() -> Graph {
        let cx = Cx::abstract_();
        let x = cx.input("x", Type::new(DType::F32, [4, 2]));
        let w = cx.input("w", Type::new(DType::F32, [2, 1]));
        let y = cx.input("y", Type::new(DType::F32, [4, 1]));
        cx.finish(&[("loss", &(x.matmul(&w) - y).square().mean_all())]).unwrap()
    }

    fn start() -> Fit {
        let w = Tensor::from_f32([2, 1], &[0.0, 0.0]);
        Fit::new(&line(), vec![("w", w)], |w, g| w - &(g * 0.3), Pool::single().into()).unwrap()
    }

    #[test]
    fn a_linear_problem_is_solved() {
        let x = Tensor::from_f32([4, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, -1.0]);
        let y = Tensor::from_f32([4, 1], &[2.0, -1.0, 1.0, 3.0]);
        let mut fit = start();
        let losses: Vec<f32> = (0..100).map(|_| fit.step(&[("x", &x), ("y", &y)]).unwrap()).collect();
        assert!(losses.windows(2).all(|l| l[1] <= l[0]) && losses[99] < 1e-10, "{losses:?}");
        let w = fit.parameter("w").unwrap().f32();
        assert!((w[0] - 2.0).abs() < 1e-4 && (w[1] + 1.0).abs() < 1e-4, "{w:?}");
    }

    #[test]
    fn a_loss_that_is_not_finite_changes_nothing() {
        let mut fit = start();
        let x = Tensor::from_f32([4, 2], &[f32::NAN; 8]);
        assert!(fit.step(&[("x", &x), ("y", &Tensor::from_f32([4, 1], &[1.0; 4]))]).unwrap().is_nan());
        assert_eq!(fit.parameter("w").unwrap().f32(), [0.0, 0.0]);
    }

    #[test]
    fn wrong_inputs_are_named() {
        let mut fit = start();
        let (x, y) = (Tensor::from_f32([4, 2], &[0.0; 8]), Tensor::from_f32([4, 1], &[0.0; 4]));
        for (inputs, named) in [
            (vec![("x", &x)], "`y`"),
            (vec![("x", &x), ("z", &y)], "`z`"),
            (vec![("x", &x), ("y", &x)], "f32[4,1]"),
            (vec![("x", &x), ("y", &y), ("w", &y)], "`w`"),
        ] {
            let message = fit.step(&inputs).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
        let nowhere = Fit::new(&line(), vec![("v", x)], |v, _| v.clone(), Pool::single().into());
        assert!(nowhere.err().unwrap().to_string().contains("`v`"));
    }
}
