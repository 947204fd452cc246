//! A closure run on variables of its own: the common first half of every operator.

use graph::{Cx, GraphError, Var};

/// A function at a point, as nodes of a builder.
pub(crate) struct Trace {
    pub(crate) cx: Cx,
    /// The variables, fresh for this differentiation, so that it is never confused with another.
    pub(crate) xs: Vec<Var>,
    pub(crate) ys: Vec<Var>,
}

/// Runs `f` at `xs` in the innermost builder that its operands and results belong to.
pub(crate) fn trace(f: &dyn Fn(&[Var]) -> Vec<Var>, xs: &[&Var]) -> Trace {
    let mut cx = deepest(xs);
    loop {
        let fresh: Vec<Var> = xs.iter().map(|x| cx.variable(x)).collect();
        // Inside a branch of a `cond` the variables belong to the branch.
        if let Some(x) = fresh.first().filter(|x| !x.is_poison()) {
            cx = x.cx().clone();
        }
        let ys = f(&fresh);
        match ys.iter().map(Var::cx).filter(|c| c.depth() > cx.depth()).max_by_key(|c| c.depth()) {
            // `f` also used values of a region: there its variables would be constants, so it is run in the region.
            Some(inner) => cx = inner.clone(),
            None => {
                let ys = ys.iter().map(|y| cx.import(y)).collect();
                return Trace { cx, xs: fresh, ys };
            }
        }
    }
}

/// The innermost builder among the operands.
pub(crate) fn deepest(xs: &[&Var]) -> Cx {
    let cx = xs.iter().map(|x| x.cx()).max_by_key(|cx| cx.depth());
    cx.expect("a derivative is taken with respect to at least one operand").clone()
}

/// ` (made at file:line:column)`, where the place is known.
pub(crate) fn place(v: &Var) -> String {
    if v.is_poison() {
        return String::new();
    }
    match v.cx().node(v.id().node).place {
        Some(at) => format!(" (made at {}:{}:{})", at.file(), at.line(), at.column()),
        None => String::new(),
    }
}

/// Records an error unless all operands of the differentiation `op` are floating.
pub(crate) fn expect_floats(op: &'static str, cx: &Cx, xs: &[&Var]) {
    for (i, x) in xs.iter().enumerate().filter(|(_, x)| !x.is_poison() && !x.dtype().is_float()) {
        cx.fail(GraphError::NotDifferentiable {
            op,
            problem: format!(
                "operand {i} is {}{}, and an integer has no derivative; convert it to a floating type, or leave it out \
                 of the operands",
                x.ty(),
                place(x)
            ),
        });
    }
}

/// Records an error unless `y` is a floating number (rank 0).
pub(crate) fn expect_number(op: &'static str, cx: &Cx, y: &Var) {
    if y.is_poison() {
        return;
    }
    let problem = match (y.ty().rank(), y.dtype().is_float()) {
        (0, true) => return,
        (0, false) => "an integer has no derivative; convert the result to a floating type",
        _ => "the function must return a number (rank 0); sum it, or use `vjp` or `jacobian`",
    };
    let found = format!("found {}{}", y.ty(), place(y));
    cx.fail(GraphError::NotDifferentiable { op, problem: format!("{problem}; {found}") });
}

/// Records an error unless `x` is a number, the only operand that a plain derivative has.
pub(crate) fn expect_scalar_operand(op: &'static str, cx: &Cx, x: &Var) {
    if !x.is_poison() && x.ty().rank() != 0 {
        cx.fail(GraphError::NotDifferentiable {
            op,
            problem: format!(
                "the operand must be a number (rank 0), found {}{}; use `jvp` along a direction, or `jacobian`",
                x.ty(),
                place(x)
            ),
        });
    }
}

/// The tangent, or zeros of the type of `like`.
pub(crate) fn or_zero(t: Option<Var>, like: &Var) -> Var {
    t.unwrap_or_else(|| like.full_like(0.0))
}
