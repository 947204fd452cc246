//! Training as a function: parameters as one vector, and a number of updates that can be differentiated.

use graph::{Dim, Var};

use super::{Init, Rates, Rule};

/// Several parameters as one vector and back; both ways are graph, so derivatives pass.
///
/// ```
/// use axes::DType;
/// use graph::Cx;
/// use train::optimizers::Flat;
///
/// let cx = Cx::eager();
/// let parts = [cx.array(DType::F64, &[2, 2], &[1., 2., 3., 4.]), cx.scalar(5.0)];
/// let flat = Flat::of(&parts);
/// assert_eq!(flat.flatten(&parts).array()?.to_f64(), [1., 2., 3., 4., 5.]);
/// assert_eq!(flat.unflatten(&flat.flatten(&parts))[0].array()?.shape, [2, 2]);
/// # Ok::<(), graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    shapes: Vec<Vec<usize>>,
}

impl Flat {
    /// For parameters of these shapes, whose sizes are known.
    pub fn of(parameters: &[Var]) -> Flat {
        let shape = |p: &Var| p.shape().iter().map(|d| d.fixed().unwrap_or(0)).collect();
        Flat { shapes: parameters.iter().map(shape).collect() }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shapes.iter().map(|s| s.iter().product::<usize>()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector: each parameter row-major, one after the other.
    pub fn flatten(&self, parameters: &[Var]) -> Var {
        let rows: Vec<Var> = (parameters.iter().zip(&self.shapes))
            .map(|(p, s)| p.reshape(&[Dim::from(s.iter().product::<usize>())]))
            .collect();
        Var::concatenate(&rows.iter().collect::<Vec<_>>(), 0)
    }

    /// The parameters of a vector.
    pub fn unflatten(&self, vector: &Var) -> Vec<Var> {
        let mut from = 0;
        let part = |shape: &Vec<usize>| {
            let to = from + shape.iter().product::<usize>();
            let dims: Vec<Dim> = shape.iter().map(|n| Dim::from(*n)).collect();
            let made = vector.slice_axis(0, from, to).reshape(&dims);
            from = to;
            made
        };
        self.shapes.iter().map(part).collect()
    }
}

/// The parameters after `steps` updates, as a function of the first ones, the learning rate and the weight decay (rank
/// 0), through which derivatives pass to any order. `loss` gets the parameters and the number of the update from 0.
///
/// Everything is kept, so memory grows with the number of steps.
///
/// ```
/// use graph::{Cx, Var};
/// use train::optimizers::{Rule, unroll};
///
/// // Descent on x²/2 multiplies x by 1 − η: after three steps from 1, d/dη (1 − η)³ = −3 (1 − η)².
/// let cx = Cx::eager();
/// let sgd = Rule::Sgd { momentum: 0.0, nesterov: false };
/// let after = |lr: &Var| {
///     let none = lr.full_like(0.0);
///     unroll(&sgd, |p, _| p[0].square() * 0.5, &[lr.full_like(1.0)], lr, &none, 3)[0].clone()
/// };
/// let slope = furnace::grad(after)(&cx.scalar(0.25)).val();
/// assert_eq!(slope, -3.0 * 0.75 * 0.75);
/// ```
pub fn unroll(
    rule: &Rule,
    loss: impl Fn(&[Var], u64) -> Var,
    start: &[Var],
    lr: &Var,
    weight_decay: &Var,
    steps: u64,
) -> Vec<Var> {
    let betas = match rule {
        Rule::Adam { betas, .. } | Rule::Lion { betas } | Rule::ScheduleFree { betas, .. } => *betas,
        _ => [0.0; 2],
    };
    let mut parameters = start.to_vec();
    let begin = |p: &Var| -> Vec<Var> {
        let slots = rule.slots().iter().map(|slot| match slot.init {
            Init::Zeros => p.full_like(0.0),
            Init::Copy => p.clone(),
            Init::Number(x) => p.cx().full(&graph::Type::scalar(p.dtype()), x),
        });
        slots.collect()
    };
    let mut slots: Vec<Vec<Var>> = parameters.iter().map(begin).collect();
    for step in 0..steps {
        let points: Vec<Var> = parameters.iter().zip(&slots).map(|(p, s)| rule.point(p, s)).collect();
        let refs: Vec<&Var> = points.iter().collect();
        let (_, gradients) = furnace::grads(|at| loss(at, step), &refs);
        let rates = Rates::new(step, lr, weight_decay, betas);
        for ((p, g), slots) in parameters.iter_mut().zip(&gradients).zip(&mut slots) {
            let made = rule.update(p, g, slots, &rates, true);
            *p = made.parameter();
            *slots = made.slots;
        }
    }
    parameters
}
