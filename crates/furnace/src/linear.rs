//! Linear maps taken out of functions: the derivative at a point, and the transpose of a function that is linear.

use crate::forward::pushforward_into;
use crate::reverse::transpose as transpose_nodes;
use crate::trace::{deepest, expect_floats, or_zero, trace};
use graph::{Cx, Graph, GraphError, Tangent, Var};

/// Values of a function, and its derivative there as a function of tangents. The function is run once; what the
/// derivative needs of it is kept, and applying the derivative repeats nothing of it.
///
/// ```
/// let cx = graph::Cx::eager();
/// let (x, t) = (cx.scalar(2.0), cx.scalar(0.5));
/// let (y, slope) = furnace::linearize(|x| vec![&x[0] * &x[0]], &[&x]);
/// assert_eq!((y[0].val(), slope(&[&t])[0].val()), (4.0, 2.0));
/// ```
pub fn linearize<F: Fn(&[Var]) -> Vec<Var>>(
    f: F,
    xs: &[&Var],
) -> (Vec<Var>, impl Fn(&[&Var]) -> Vec<Var> + use<F>) {
    let t = trace(&f, xs);
    expect_floats("linearize", &t.cx, xs);
    let inner = t.cx.region();
    let ts: Vec<Tangent> =
        t.xs.iter().enumerate().map(|(i, x)| Some(inner.input(&format!("tangent.{i}"), x.ty()))).collect();
    let made = inner.within(|| pushforward_into(&t.cx, &inner, &t.xs, &ts, &t.ys));
    let made: Vec<Var> = made.into_iter().zip(&t.ys).map(|(t, y)| or_zero(t, &inner.import(y))).collect();
    let map = region(&t.cx, inner, &made);
    let (cx, count) = (t.cx, t.ys.len());
    (t.ys, move |ts: &[&Var]| applied(&cx, &map, ts, count))
}

/// The transpose of a function that is linear in its operands, which are of the types of `like`: from cotangents of the
/// results to cotangents of the operands. A function that is not linear is an error when the transpose is applied.
///
/// ```
/// let cx = graph::Cx::eager();
/// let x = cx.array(axes::DType::F64, &[3], &[0.0; 3]);
/// let turned = furnace::linear_transpose(|x| vec![x[0].sum_all() * 2.0], &[&x]);
/// assert_eq!(turned(&[&cx.scalar(1.5)])[0].array()?.to_f64(), [3.0; 3]);
/// # Ok::<(), graph::GraphError>(())
/// ```
pub fn linear_transpose<F: Fn(&[Var]) -> Vec<Var>>(
    f: F,
    like: &[&Var],
) -> impl Fn(&[&Var]) -> Vec<Var> + use<F> {
    let cx = deepest(like).innermost();
    let inner = cx.region();
    let holders: Vec<Tangent> =
        like.iter().map(|x| Some(inner.variable(&inner.full(&x.ty(), 0.0)))).collect();
    let xs: Vec<Var> = holders.iter().flatten().cloned().collect();
    let ys: Vec<Var> = inner.within(|| f(&xs)).iter().map(|y| inner.import(y)).collect();
    let cts: Vec<Tangent> =
        ys.iter().enumerate().map(|(i, y)| Some(inner.input(&format!("cotangent.{i}"), y.ty()))).collect();
    let ys: Vec<Tangent> = ys.into_iter().map(Some).collect();
    let made = inner.within(|| transpose_nodes(&inner, &ys, &cts, &holders));
    let made: Vec<Var> = made.into_iter().zip(&xs).map(|(g, x)| or_zero(g, x)).collect();
    let map = region(&cx, inner, &made);
    let count = xs.len();
    move |cts| applied(&cx, &map, cts, count)
}

type Map = Option<(Graph, Vec<Var>)>;

fn region(cx: &Cx, inner: Cx, outputs: &[Var]) -> Map {
    inner.finish_region(outputs).map_err(|e| cx.fail(e)).ok()
}

/// The map at `vs`, in the innermost builder of the place where it is applied.
fn applied(cx: &Cx, map: &Map, vs: &[&Var], count: usize) -> Vec<Var> {
    let here = vs.iter().map(|v| v.cx()).chain([cx]).max_by_key(|c| c.depth()).unwrap_or(cx);
    let Some((g, captured)) = map else { return vec![here.poison(); count] };
    let inputs: Vec<Var> = captured.iter().chain(vs.iter().copied()).cloned().collect();
    if inputs.len() != g.inputs.len() {
        let expected = g.inputs.len() - captured.len();
        let problem = format!("the linear map takes {expected} operands, found {}", vs.len());
        here.fail(GraphError::Operands { op: "linear map", problem, places: vec![] });
        return vec![here.poison(); count];
    }
    here.inline(g, &inputs).unwrap_or_else(|e| {
        here.fail(e);
        vec![here.poison(); count]
    })
}
