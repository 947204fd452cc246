//! A graph, or a closure, evaluated in a chosen precision.

use super::interval::{Fault, Interval, last_undecided, watch_undecided};
use super::{Digits, DoubleDouble, End, F128, Precision};
use crate::{FurnaceError, Result};
use axes::DType;
use graph::{
    Accumulator, Array, Cx, Data, EvalCx, Graph, GraphError, Literals, Named, Op, Scalar, Var, interp,
};

/// A scalar that an evaluation can report about.
pub trait Real: Scalar {
    /// How far the exact number may be from the reported one, where that is known.
    fn bound(&self) -> Option<f64> {
        None
    }
    /// Why there is no value, where that is known.
    fn undefined(&self) -> Option<Fault> {
        None
    }
}
impl Real for f32 {}
impl Real for f64 {}
#[cfg(target_arch = "x86_64")]
impl Real for super::F80 {}
impl Real for DoubleDouble {}
impl Real for F128 {}
impl Real for Digits {}
impl<E: End> Real for Interval<E> {
    fn bound(&self) -> Option<f64> {
        Some(self.radius())
    }
    fn undefined(&self) -> Option<Fault> {
        self.fault().cloned()
    }
}

/// What can be done in any scalar.
pub trait Task {
    /// What it gives.
    type Out;
    /// Does it in `S`.
    fn run<S: Real>(self) -> Result<Self::Out>;
}

impl Precision {
    /// Does a task in the scalar of this precision; [`Precision::Adaptive`] has none and is an error.
    pub fn run<T: Task>(self, task: T) -> Result<T::Out> {
        match self {
            Precision::F32 => task.run::<f32>(),
            Precision::F64 => task.run::<f64>(),
            #[cfg(target_arch = "x86_64")]
            Precision::F80 => task.run::<super::F80>(),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::F80 => Err(FurnaceError::Precision {
                name: self.to_string(),
                problem: "it is the format of the x87 unit, which only x86-64 processors have; dd and f128 have more \
                          digits everywhere"
                    .into(),
            }),
            Precision::DoubleDouble => task.run::<DoubleDouble>(),
            Precision::F128 => task.run::<F128>(),
            Precision::Digits(n) => Digits::with(n, || task.run::<Digits>()),
            Precision::Interval => task.run::<Interval>(),
            Precision::IntervalDigits(n) => Digits::with(n, || task.run::<Interval<Digits>>()),
            Precision::Adaptive { .. } => Err(FurnaceError::Precision {
                name: self.to_string(),
                problem: "it is not one arithmetic but a search for enough digits (`precision::adapt`); give f64, f80, \
                          dd, f128, digits:N or interval here"
                    .into(),
            }),
        }
    }
}

/// A value for an input.
#[derive(Clone, Debug)]
pub enum Given {
    /// Doubles, meant to the bit, or integers.
    Array(Array<f64>),
    /// Decimals in row-major order, read in the arithmetic of the evaluation.
    Decimals(Vec<usize>, Vec<String>),
}

impl Given {
    /// One decimal.
    pub fn number(text: &str) -> Given {
        Given::Decimals(vec![], vec![text.to_string()])
    }

    /// A row of decimals.
    pub fn row(texts: &[&str]) -> Given {
        Given::Decimals(vec![texts.len()], texts.iter().map(|t| t.to_string()).collect())
    }

    fn array<S: Scalar>(&self, name: &str, dtype: DType) -> Result<Array<S>> {
        let fail = |found: String| {
            let (name, expected) =
                (name.to_string(), "a decimal such as 0.1 or -2.5e-3 for each element".into());
            FurnaceError::Graph(GraphError::Input { name, expected, found })
        };
        match self {
            Given::Array(a) => Ok(Array {
                dtype: a.dtype,
                shape: a.shape.clone(),
                data: match &a.data {
                    Data::Float(v) => {
                        Data::Float(v.iter().map(|x| S::from_f64(*x)).collect::<Vec<S>>().into())
                    }
                    Data::Int(v) => Data::Int(v.clone()),
                },
            }),
            Given::Decimals(shape, _) if !dtype.is_float() => {
                Err(fail(format!("decimals of shape {shape:?} for integers of type {dtype:?}")))
            }
            Given::Decimals(shape, texts) => {
                if shape.iter().product::<usize>() != texts.len() {
                    return Err(fail(format!("{} decimals for shape {shape:?}", texts.len())));
                }
                let read = |t: &String| S::from_decimal(t).ok_or_else(|| fail(format!("`{t}`")));
                Ok(Array::float(dtype, shape.clone(), texts.iter().map(read).collect::<Result<Vec<S>>>()?))
            }
        }
    }
}

/// How to evaluate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// In which arithmetic, or to which tolerance.
    pub precision: Precision,
    /// What numbers written in the graph mean.
    pub literals: Literals,
    /// How sums are kept; `None`: as each op's specification does.
    pub accumulator: Option<Accumulator>,
}

impl From<Precision> for Evaluation {
    /// With literals as they are written: 0.1 is a tenth.
    fn from(precision: Precision) -> Evaluation {
        Evaluation { precision, literals: Literals::Decimal, accumulator: None }
    }
}

/// An output in a chosen precision.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The output's name.
    pub name: String,
    /// The doubles nearest to its elements (integers as they are).
    pub nearest: Array<f64>,
    /// Its elements in all digits that the arithmetic has, or that the bound leaves.
    pub decimals: Vec<String>,
    /// How far each element may be from the exact number, where the precision tells.
    pub bounds: Option<Vec<f64>>,
}

/// Most digits that [`Precision::Adaptive`] goes to.
pub const ADAPTIVE_LIMIT: usize = 5000;

/// Evaluates a graph on inputs in the graph's order.
///
/// ```
/// use furnace::precision::{Given, Precision, evaluate};
/// use graph::{Cx, Type};
///
/// let cx = Cx::abstract_();
/// let x = cx.input("x", Type::scalar(axes::DType::F64));
/// let y = x.sin() - &x;
/// let g = cx.finish(&[("y", &y)]).unwrap();
/// let how = Precision::Adaptive { tolerance: 1e-30 }.into();
/// let made = evaluate(&g, &[Given::number("1e-7")], &how).unwrap();
/// assert!(made[0].decimals[0].starts_with("-1.66666666666"));
/// assert!(made[0].bounds.as_ref().unwrap()[0] <= 1e-30);
/// ```
pub fn evaluate(graph: &Graph, inputs: &[Given], how: &Evaluation) -> Result<Vec<Answer>> {
    let task = Interpret { graph, inputs, how };
    match how.precision {
        Precision::Adaptive { tolerance } => adaptive(task, tolerance),
        precision => precision.run(task)?.finished(),
    }
}

/// Evaluates a closure: it is traced at the doubles nearest to the inputs, where Rust's own `if` and loops decide, and
/// what was traced is evaluated.
///
/// ```
/// use furnace::{grad, precision::{Given, Precision, evaluate_fn}};
///
/// let how = Precision::Digits(40).into();
/// let slope = evaluate_fn(|x| vec![grad(|x| x.sin())(&x[0])], &[Given::number("0.5")], &how).unwrap();
/// assert!(slope[0].decimals[0].starts_with("8.775825618903727161162815826038296519916"));
/// ```
pub fn evaluate_fn(
    f: impl Fn(&[Var]) -> Vec<Var>,
    inputs: &[Given],
    how: &Evaluation,
) -> Result<Vec<Answer>> {
    evaluate(&trace(f, inputs)?, inputs, how)
}

/// The graph of a closure at the doubles nearest to the inputs, with inputs `x.0`, `x.1`, … and outputs `y.0`, `y.1`, …;
/// branches and loops are those taken there.
pub fn trace(f: impl Fn(&[Var]) -> Vec<Var>, inputs: &[Given]) -> Result<Graph> {
    let cx = Cx::eager();
    let mut xs = vec![];
    for (i, given) in inputs.iter().enumerate() {
        let near: Array<f64> = given.array(&format!("x.{i}"), DType::F64)?;
        xs.push(cx.variable(&cx.array(near.dtype, &near.shape, &near.to_f64())));
    }
    let ys: Vec<Var> = f(&xs).iter().map(|y| cx.import(y)).collect();
    let ids: Vec<_> = xs.iter().filter(|x| !x.is_poison()).map(Var::id).collect();
    let names: Vec<String> = (0..ys.len()).map(|i| format!("y.{i}")).collect();
    let outputs: Vec<(&str, &Var)> = names.iter().map(String::as_str).zip(&ys).collect();
    let mut graph = cx.finish(&outputs)?;
    for (i, id) in ids.iter().enumerate() {
        // The variable is a copy that nothing else shares, so it can become the input.
        let node = &mut graph.nodes[id.node as usize];
        (node.op, node.inputs, node.attrs) = (Op::Input, vec![], graph::Attrs::new());
        graph.inputs.push(Named { name: format!("x.{i}"), value: *id });
    }
    Ok(graph::passes::dead_code(&graph))
}

/// Outputs that may still lack a value.
struct Made {
    answers: Vec<Answer>,
    /// Output, element, and what happened.
    faults: Vec<(String, usize, Fault)>,
}

impl Made {
    fn finished(self) -> Result<Vec<Answer>> {
        match self.faults.into_iter().next() {
            Some((output, element, fault)) => Err(undefined(&output, element, &fault)),
            None => Ok(self.answers),
        }
    }
}

fn undefined(output: &str, element: usize, fault: &Fault) -> FurnaceError {
    let op = if fault.op.is_empty() { output.to_string() } else { fault.op.clone() };
    FurnaceError::Undefined {
        op,
        problem: format!("{}; output `{output}`, element {element}", fault.problem),
    }
}

#[derive(Clone, Copy)]
struct Interpret<'a> {
    graph: &'a Graph,
    inputs: &'a [Given],
    how: &'a Evaluation,
}

impl Task for Interpret<'_> {
    type Out = Made;
    fn run<S: Real>(self) -> Result<Made> {
        if self.inputs.len() != self.graph.inputs.len() {
            return Err(GraphError::Input {
                name: "(all)".into(),
                expected: format!("{} inputs", self.graph.inputs.len()),
                found: self.inputs.len().to_string(),
            }
            .into());
        }
        let named = self.graph.inputs.iter().zip(self.inputs);
        let arrays = named.map(|(n, g)| g.array::<S>(&n.name, self.graph.ty(n.value).dtype));
        let Evaluation { literals, accumulator, .. } = *self.how;
        let cx = EvalCx { literals, accumulator, ..EvalCx::default() };
        let made = interp::run_in(self.graph, arrays.collect::<Result<Vec<_>>>()?, cx)?;
        let mut faults = vec![];
        let answers = made.outputs.into_iter().map(|(name, a)| {
            let each = a.floats().iter().enumerate();
            faults.extend(each.filter_map(|(i, x)| x.undefined().map(|f| (name.clone(), i, f))));
            answer(name, &a)
        });
        Ok(Made { answers: answers.collect(), faults })
    }
}

fn answer<S: Real>(name: String, a: &Array<S>) -> Answer {
    let bounds: Option<Vec<f64>> = a.floats().iter().map(Real::bound).collect();
    let decimals = match &a.data {
        Data::Float(v) => v
            .iter()
            .map(|x| match x.bound() {
                Some(b) if b > 0.0 => super::decimal::shorten(&x.to_decimal(), worth(x.to_f64(), b)),
                _ => x.to_decimal(),
            })
            .collect(),
        Data::Int(v) => v.iter().map(i64::to_string).collect(),
    };
    let nearest = match &a.data {
        Data::Float(v) => Array::float(a.dtype, a.shape.clone(), v.iter().map(S::to_f64).collect()),
        Data::Int(v) => Array::int(a.dtype, a.shape.clone(), v.to_vec()),
    };
    Answer { name, nearest, decimals, bounds: bounds.filter(|b| !b.is_empty()) }
}

/// Digits of `x` that an error of `bound` leaves, and two more.
fn worth(x: f64, bound: f64) -> usize {
    if x == 0.0 {
        return 1;
    }
    ((x.abs().log10() - bound.log10()).ceil() + 2.0).clamp(1.0, 1e5) as usize
}

/// What an attempt of [`adapt`] came to.
#[derive(Clone, Debug)]
pub enum Attempt<T> {
    /// Everything is known to the tolerance.
    Done(T),
    /// What is not known well enough yet.
    Open(String),
}

/// Ziv's strategy with intervals: `attempt` is made with [`Precision::IntervalDigits`] of more and more digits until it is
/// done (Ziv 1991). An attempt that fails because the bounds did not decide something (which way a branch goes, to what a
/// number is rounded) is made again with twice the digits, up to `most`.
pub fn adapt<T, E: From<FurnaceError> + std::fmt::Display>(
    tolerance: f64,
    most: usize,
    mut attempt: impl FnMut(Precision) -> std::result::Result<Attempt<T>, E>,
) -> std::result::Result<T, E> {
    let mut digits = (10.0 - tolerance.log10()).max(20.0).min(most as f64) as usize;
    loop {
        watch_undecided();
        let open = match attempt(Precision::IntervalDigits(digits)) {
            Err(e) if last_undecided() => e.to_string(),
            Ok(Attempt::Open(open)) => open,
            Err(e) => return Err(e),
            Ok(Attempt::Done(made)) => return Ok(made),
        };
        if digits >= most {
            let problem = format!(
                "not reached with {digits} digits: {open}; give a larger tolerance, or keep away from kinks and poles"
            );
            return Err(FurnaceError::Precision {
                name: Precision::Adaptive { tolerance }.to_string(),
                problem,
            }
            .into());
        }
        digits = (digits * 2).min(most);
    }
}

fn adaptive(task: Interpret, tolerance: f64) -> Result<Vec<Answer>> {
    adapt(tolerance, ADAPTIVE_LIMIT, |precision| {
        let made = precision.run(task)?;
        if let Some((output, element, fault)) = made.faults.iter().find(|(_, _, f)| !f.undecided) {
            return Err(undefined(output, *element, fault));
        }
        Ok(match worst(&made, tolerance) {
            None => Attempt::Done(made.answers),
            Some(open) => Attempt::Open(open),
        })
    })
}

/// The first element that is not known to the tolerance (relative above 1, absolute below).
fn worst(made: &Made, tolerance: f64) -> Option<String> {
    if let Some((output, i, f)) = made.faults.first() {
        return Some(format!("{} ({}; output `{output}`, element {i})", f.problem, f.op));
    }
    for a in &made.answers {
        for (i, (b, x)) in a.bounds.iter().flatten().zip(a.nearest.floats()).enumerate() {
            if b.is_nan() || *b > tolerance * x.abs().max(1.0) {
                return Some(format!("element {i} of `{}` is {x} within {b:e}", a.name));
            }
        }
    }
    None
}
