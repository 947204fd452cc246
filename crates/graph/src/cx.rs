//! The builder behind every traced value: it appends nodes, shares equal ones, and in eager mode computes each value
//! as it is made.
//!
//! * **Eager**: a [`Var`] carries its value, so Rust's own `if` and loops work while tracing.
//! * **Abstract**: nothing is computed; what is built is meant to be compiled. Asking for a value is an error that
//!   names `cond`.
//!
//! Errors of operators are recorded, and every later result is poisoned, until [`Cx::finish`] returns the first one
//! with the source places of the op and its operands.

use crate::array::{Array, Data};
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::error::{GraphError, Place, Result};
use crate::ir::{Graph, Named, Node, Value};
use crate::op::{EvalCx, Op};
use crate::types::Type;
use crate::var::Var;
use axes::DType;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;

thread_local! {
    /// The regions that are being traced, outermost first.
    static OPEN: RefCell<Vec<Cx>> = const { RefCell::new(vec![]) };
}

/// A graph under construction; cloning shares it.
#[derive(Clone)]
pub struct Cx(pub(crate) Rc<RefCell<Inner>>);

pub(crate) struct Inner {
    pub graph: Graph,
    shared: HashMap<(Op, Attrs, Vec<Value>), u32>,
    /// Whether equal nodes are one.
    share: bool,
    /// Values of all nodes, in eager mode.
    values: Option<Vec<Vec<Array<f64>>>>,
    error: Option<GraphError>,
    scope: Vec<String>,
    parent: Option<Cx>,
    depth: u32,
    captures: Vec<(Var, Var)>,
    fresh: i64,
    /// The branch of a `cond` that is being traced: what is computed from outer values alone belongs to it too, or it
    /// would run whichever branch is taken.
    branch: Option<Cx>,
}

impl Cx {
    fn new(eager: bool, parent: Option<Cx>) -> Cx {
        let depth = parent.as_ref().map_or(0, |p| p.0.borrow().depth + 1);
        let mut graph = Graph::default();
        graph.scopes.push(String::new());
        Cx(Rc::new(RefCell::new(Inner {
            graph,
            shared: HashMap::new(),
            share: true,
            values: eager.then(Vec::new),
            error: None,
            scope: vec![],
            parent,
            depth,
            captures: vec![],
            fresh: 0,
            branch: None,
        })))
    }

    /// A builder whose values are computed as they are made.
    pub fn eager() -> Cx {
        Cx::new(true, None)
    }

    /// As [`Cx::abstract_`], but equal nodes stay apart: to see what sharing them is worth.
    pub fn unshared() -> Cx {
        let cx = Cx::abstract_();
        cx.0.borrow_mut().share = false;
        cx
    }

    /// A builder for a graph that will be compiled.
    pub fn abstract_() -> Cx {
        Cx::new(false, None)
    }

    /// A builder for a region: values of `self` that are used inside become captures.
    pub fn region(&self) -> Cx {
        Cx::new(false, Some(self.clone()))
    }

    /// A region that runs as it is traced when `self` does, so that Rust's own `if` works inside: for what is built at
    /// one point, such as a function with a derivative rule of its own. Its inputs are made by [`Cx::sample`].
    pub fn region_at(&self) -> Cx {
        Cx::new(self.is_eager(), Some(self.clone()))
    }

    /// An input of a region with the type of `v`, and with its value where the region has values.
    #[track_caller]
    pub fn sample(&self, name: &str, v: &Var) -> Var {
        let var = self.leaf(Op::Input, v.ty(), Some(Location::caller()), Some(v));
        let value = var.value;
        self.0.borrow_mut().graph.inputs.push(Named { name: name.to_string(), value });
        var
    }

    /// Runs `f`, which traces this region; see [`Cx::innermost`].
    pub fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Close;
        impl Drop for Close {
            fn drop(&mut self) {
                OPEN.with_borrow_mut(|open| open.pop());
            }
        }
        OPEN.with_borrow_mut(|open| open.push(self.clone()));
        let _close = Close;
        f()
    }

    /// The innermost region of this builder that is being traced, or the builder itself: where an operator that makes a
    /// region of its own has to put it, so that the function inside may use whatever is in sight.
    pub fn innermost(&self) -> Cx {
        let below = |cx: &Cx| {
            let mut next = Some(cx.clone());
            while let Some(cx) = next {
                if cx.same(self) {
                    return true;
                }
                next = cx.0.borrow().parent.clone();
            }
            false
        };
        OPEN.with_borrow(|open| open.iter().rev().find(|cx| below(cx)).cloned())
            .unwrap_or_else(|| self.clone())
    }

    /// Whether both are the same builder.
    pub fn same(&self, other: &Cx) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// How many builders enclose this one.
    pub fn depth(&self) -> u32 {
        self.0.borrow().depth
    }

    /// Whether values are computed as they are made.
    pub fn is_eager(&self) -> bool {
        self.0.borrow().values.is_some()
    }

    /// Number of nodes so far.
    pub fn len(&self) -> usize {
        self.0.borrow().graph.nodes.len()
    }

    /// Whether there is no node yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records the first error; later results are poisoned.
    pub fn fail(&self, error: GraphError) {
        self.0.borrow_mut().error.get_or_insert(error);
    }

    /// The first error so far.
    pub fn error(&self) -> Option<GraphError> {
        self.0.borrow().error.clone()
    }

    /// Declares an input.
    #[track_caller]
    pub fn input(&self, name: &str, ty: Type) -> Var {
        let var = self.leaf(Op::Input, ty, Some(Location::caller()), None);
        let value = var.value;
        self.0.borrow_mut().graph.inputs.push(Named { name: name.to_string(), value });
        var
    }

    fn leaf(&self, op: Op, ty: Type, place: Option<&'static Location<'static>>, sample: Option<&Var>) -> Var {
        let value = sample.filter(|_| self.is_eager()).and_then(|v| v.array().ok());
        let mut inner = self.0.borrow_mut();
        let node = inner.graph.nodes.len() as u32;
        if let (Some(values), Some(value)) = (&mut inner.values, value) {
            values.push(vec![value]);
        } else if inner.values.is_some() {
            inner.error.get_or_insert(GraphError::Operands {
                op: "input",
                problem: "an eager builder has values, not inputs; use `Cx::array`, or an abstract builder"
                    .into(),
                places: vec![],
            });
        }
        let scope = inner.current_scope();
        inner.graph.nodes.push(Node {
            op,
            attrs: Attrs::new(),
            inputs: vec![],
            types: vec![ty],
            scope,
            place,
        });
        drop(inner);
        Var { cx: self.clone(), value: Value { node, out: 0 } }
    }

    /// A dense constant.
    #[track_caller]
    pub fn array(&self, dtype: DType, shape: &[usize], values: &[f64]) -> Var {
        let dims: Vec<Dim> = shape.iter().map(|n| Dim::from(*n)).collect();
        let attrs = crate::attrs! { dtype: DType(dtype), dims: Dims(dims),
        values: Floats(std::sync::Arc::new(values.to_vec())) };
        self.push1(Op::Constant, attrs, &[])
    }

    /// One number, repeated to a shape.
    #[track_caller]
    pub fn full(&self, ty: &Type, value: f64) -> Var {
        let attrs = crate::attrs! { dtype: DType(ty.dtype), dims: Dims(ty.shape.clone()),
        values: Floats(std::sync::Arc::new(vec![value])) };
        self.push1(Op::Constant, attrs, &[])
    }

    /// The number that a decimal such as `0.1` or `2.5e-3` says, exactly and in every arithmetic, repeated to a shape of
    /// a floating type.
    ///
    /// ```
    /// use graph::{Cx, Type, interp};
    /// let cx = Cx::abstract_();
    /// let tenth = cx.decimal(&Type::scalar(axes::DType::F64), "0.1");
    /// let g = cx.finish(&[("y", &tenth)]).unwrap();
    /// assert_eq!(interp::run::<f64>(&g, vec![], false).unwrap().outputs[0].1.to_f64(), [0.1]);
    /// ```
    #[track_caller]
    pub fn decimal(&self, ty: &Type, text: &str) -> Var {
        let text = text.trim();
        let Some(value) = crate::decimal::nearest(text) else {
            self.fail(GraphError::Operands {
                op: "constant",
                problem: format!("`{text}` is not a decimal number within the range of a double"),
                places: vec![Place { what: "decimal".into(), at: Some(Location::caller()) }],
            });
            return self.poison();
        };
        if crate::decimal::is_exact(text, value) {
            return self.full(ty, value);
        }
        let attrs = crate::attrs! { dtype: DType(ty.dtype), dims: Dims(ty.shape.clone()),
        values: Floats(std::sync::Arc::new(vec![value])), decimal: Str(text.to_string()) };
        self.push1(Op::Constant, attrs, &[])
    }

    /// 0, 1, 2, … along the first axis.
    #[track_caller]
    pub fn iota(&self, dtype: DType, dims: &[Dim]) -> Var {
        let attrs = crate::attrs! { dtype: DType(dtype), dims: Dims(dims.to_vec()), axis: Int(0) };
        self.push1(Op::Iota, attrs, &[])
    }

    /// A rank-0 `f64` constant.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Var {
        self.full(&Type::scalar(DType::F64), value)
    }

    /// A fresh copy of `x` that no other node shares: the variable of a differentiation.
    #[track_caller]
    pub fn variable(&self, x: &Var) -> Var {
        let id = {
            let mut inner = self.0.borrow_mut();
            inner.fresh += 1;
            inner.fresh
        };
        self.push1(Op::Identity, crate::attrs! { id: Int(id) }, &[x])
    }

    /// Appends a node with one result.
    #[track_caller]
    pub fn push1(&self, op: Op, attrs: Attrs, inputs: &[&Var]) -> Var {
        self.push(op, attrs, inputs).into_iter().next().unwrap_or_else(|| self.poison())
    }

    /// A value that stands for the recorded error.
    pub fn poison(&self) -> Var {
        Var { cx: self.clone(), value: Value { node: u32::MAX, out: 0 } }
    }

    /// Appends a node (or finds the equal one) and returns its results.
    #[track_caller]
    pub fn push(&self, op: Op, attrs: Attrs, inputs: &[&Var]) -> Vec<Var> {
        let place = Location::caller();
        // A method of an outer value that is given a value of a region belongs to the region.
        if let Some(v) = inputs.iter().max_by_key(|v| v.cx.depth()).filter(|v| v.cx.depth() > self.depth()) {
            return v.cx.push(op, attrs, inputs);
        }
        let branch = self.0.borrow().branch.clone();
        if let Some(branch) = branch {
            return branch.push(op, attrs, inputs);
        }
        let inputs: Vec<Var> = inputs.iter().map(|v| self.import(v)).collect();
        if inputs.iter().any(Var::is_poison) || self.0.borrow().error.is_some() {
            return vec![self.poison(); 8];
        }
        if let Some(v) = crate::rules::simplify(op, &attrs, &inputs) {
            return vec![v];
        }
        let values = inputs.iter().map(|v| v.value).collect();
        // Bound first: the builder must not be borrowed any more when an error is recorded.
        let made = self.0.borrow_mut().append(op, attrs, values, Some(place));
        match made {
            Ok((node, n)) => {
                (0..n as u32).map(|out| Var { cx: self.clone(), value: Value { node, out } }).collect()
            }
            Err(e) => {
                self.fail(e);
                vec![self.poison(); 8]
            }
        }
    }

    /// Traces a branch of a `cond` in a region of its own; see [`Inner::branch`].
    pub(crate) fn branch(&self, f: impl FnOnce(&Cx) -> Vec<Var>) -> Result<(Graph, Vec<Var>)> {
        let inner = self.region();
        let mut outer = vec![];
        let mut next = Some(self.clone());
        while let Some(cx) = next {
            next = cx.0.borrow().parent.clone();
            let before = cx.0.borrow_mut().branch.replace(inner.clone());
            outer.push((cx, before));
        }
        let out = inner.within(|| f(&inner));
        outer.into_iter().for_each(|(cx, before)| cx.0.borrow_mut().branch = before);
        inner.finish_region(&out)
    }

    /// Copies a node of another graph, operands given.
    pub(crate) fn copy_node(&self, n: &Node, inputs: &[Var]) -> Result<Vec<Var>> {
        let inputs = inputs.iter().map(|v| v.value).collect();
        let (node, outs) = self.0.borrow_mut().append(n.op, n.attrs.clone(), inputs, n.place)?;
        Ok((0..outs as u32).map(|out| Var { cx: self.clone(), value: Value { node, out } }).collect())
    }

    /// The value of `v` here: itself, or a captured input when it belongs to an enclosing builder.
    pub fn import(&self, v: &Var) -> Var {
        if v.cx.same(self) || v.is_poison() {
            return if v.is_poison() { self.poison() } else { v.clone() };
        }
        let parent = self.0.borrow().parent.clone();
        let Some(parent) = parent.filter(|_| v.cx.depth() < self.depth()) else {
            self.fail(GraphError::Operands {
                op: "capture",
                problem: "a value of another graph was used; only values of enclosing graphs can be captured"
                    .into(),
                places: vec![],
            });
            return self.poison();
        };
        let outer = parent.import(v);
        if outer.is_poison() {
            return self.poison();
        }
        if let Some((_, inner)) = self.0.borrow().captures.iter().find(|(o, _)| o.value == outer.value) {
            return inner.clone();
        }
        let inner = self.leaf(Op::Input, outer.ty(), None, Some(&outer));
        self.0.borrow_mut().captures.push((outer, inner.clone()));
        inner
    }

    /// Names a part of the model for everything that `f` adds.
    pub fn scope<R>(&self, name: &str, f: impl FnOnce() -> R) -> R {
        self.0.borrow_mut().scope.push(name.to_string());
        let r = f();
        self.0.borrow_mut().scope.pop();
        r
    }

    /// The path of the current scope.
    pub fn scope_path(&self) -> String {
        self.0.borrow().scope.join(".")
    }

    /// Names an inner value.
    pub fn tap(&self, name: &str, v: &Var) {
        let v = self.import(v);
        if !v.is_poison() {
            self.0.borrow_mut().graph.taps.push(Named { name: name.to_string(), value: v.value });
        }
    }

    /// The type of a value (poison is `f64[]`).
    pub(crate) fn ty(&self, v: Value) -> Type {
        if v.node == u32::MAX { Type::scalar(DType::F64) } else { self.0.borrow().graph.ty(v).clone() }
    }

    /// The computed value, in eager mode.
    pub fn value(&self, v: &Var) -> Result<Array<f64>> {
        if let Some(e) = self.error() {
            return Err(e);
        }
        let inner = self.0.borrow();
        match &inner.values {
            Some(values) => Ok(values[v.value.node as usize][v.value.out as usize].clone()),
            None => Err(GraphError::Eval {
                op: "value",
                problem: "an abstractly traced value has no number yet, so Rust's `if` cannot depend on it; use `cond` \
                          (or `select`), or trace eagerly"
                    .into(),
            }),
        }
    }

    /// Reads node `i`.
    pub fn node(&self, i: u32) -> Node {
        self.0.borrow().graph.nodes[i as usize].clone()
    }

    /// Ends the trace: the graph with these outputs, or the first error.
    pub fn finish(self, outputs: &[(&str, &Var)]) -> Result<Graph> {
        let outputs: Vec<(String, Var)> =
            outputs.iter().map(|(n, v)| (n.to_string(), self.import(v))).collect();
        if let Some(e) = self.error() {
            return Err(e);
        }
        let mut graph = self.0.borrow().graph.clone();
        graph.outputs = outputs.into_iter().map(|(name, v)| Named { name, value: v.value }).collect();
        Ok(graph)
    }

    /// Ends a region: its graph, whose inputs are the captures followed by the declared ones, and the captured outer
    /// values.
    pub fn finish_region(self, outputs: &[Var]) -> Result<(Graph, Vec<Var>)> {
        let outputs: Vec<Var> = outputs.iter().map(|v| self.import(v)).collect();
        if let Some(e) = self.error() {
            return Err(e);
        }
        let inner = self.0.borrow();
        let mut graph = inner.graph.clone();
        let captured = inner.captures.iter().enumerate();
        let mut inputs: Vec<Named> =
            captured.map(|(i, (_, v))| Named { name: format!("capture.{i}"), value: v.value }).collect();
        inputs.append(&mut graph.inputs);
        graph.inputs = inputs;
        graph.outputs = outputs
            .iter()
            .enumerate()
            .map(|(i, v)| Named { name: format!("out.{i}"), value: v.value })
            .collect();
        Ok((graph, inner.captures.iter().map(|(o, _)| o.clone()).collect()))
    }

    /// Copies `graph` into this builder with the given inputs; the results are its outputs. Scopes are kept, taps
    /// are renamed into this graph.
    pub fn inline(&self, graph: &Graph, inputs: &[Var]) -> Result<Vec<Var>> {
        let map = self.inline_map(graph, inputs)?;
        for t in &graph.taps {
            self.tap(&t.name, &map[t.value.node as usize][t.value.out as usize]);
        }
        Ok(graph.outputs.iter().map(|o| map[o.value.node as usize][o.value.out as usize].clone()).collect())
    }

    /// Like [`Cx::inline`], but the results of every node are returned.
    pub fn inline_map(&self, graph: &Graph, inputs: &[Var]) -> Result<Vec<Vec<Var>>> {
        let mut map: Vec<Vec<Var>> = vec![vec![]; graph.nodes.len()];
        for (named, v) in graph.inputs.iter().zip(inputs) {
            map[named.value.node as usize] = vec![self.import(v)];
        }
        if let Some(e) = self.error() {
            return Err(e);
        }
        let base = self.scope_path();
        for (i, n) in graph.nodes.iter().enumerate() {
            if n.op == Op::Input {
                if map[i].is_empty() {
                    return Err(GraphError::Input {
                        name: format!("%{i}"),
                        expected: n.types[0].to_string(),
                        found: "nothing".into(),
                    });
                }
                continue;
            }
            let operands: Vec<Var> =
                n.inputs.iter().map(|v| map[v.node as usize][v.out as usize].clone()).collect();
            // The variable of a finished differentiation: kept, it could meet one of this builder under the same name.
            if n.op == Op::Identity && !n.attrs.flag("keep") {
                map[i] = operands;
                continue;
            }
            let scope = &graph.scopes[n.scope as usize];
            let full = match (base.is_empty(), scope.is_empty()) {
                (true, _) => scope.clone(),
                (_, true) => base.clone(),
                _ => format!("{base}.{scope}"),
            };
            let saved = std::mem::replace(&mut self.0.borrow_mut().scope, vec![full]);
            let made = self.copy_node(n, &operands);
            self.0.borrow_mut().scope = saved;
            map[i] = made?;
        }
        Ok(map)
    }

    /// Runs `f` with the scope of node `i`, so that what is derived from a node is drawn and profiled with it.
    pub fn in_scope_of<R>(&self, i: u32, suffix: &str, f: impl FnOnce() -> R) -> R {
        let scope = {
            let inner = self.0.borrow();
            let name = &inner.graph.scopes[inner.graph.nodes[i as usize].scope as usize];
            if name.is_empty() || name.ends_with(suffix) { name.clone() } else { format!("{name}{suffix}") }
        };
        let saved = std::mem::replace(&mut self.0.borrow_mut().scope, vec![scope]);
        let r = f();
        self.0.borrow_mut().scope = saved;
        r
    }
}

impl Inner {
    fn current_scope(&mut self) -> u32 {
        let name = self.scope.join(".");
        match self.graph.scopes.iter().rposition(|s| *s == name) {
            Some(i) => i as u32,
            None => {
                self.graph.scopes.push(name);
                self.graph.scopes.len() as u32 - 1
            }
        }
    }

    fn append(
        &mut self,
        op: Op,
        attrs: Attrs,
        inputs: Vec<Value>,
        place: Option<&'static Location<'static>>,
    ) -> Result<(u32, usize)> {
        let mut key = (op, attrs, inputs.clone());
        // Sums and products do not depend on the order of their operands, to the bit.
        if matches!(op, Op::Add | Op::Multiply) {
            key.2.sort_unstable();
        }
        if let Some(node) = self.shared.get(&key).filter(|_| self.share) {
            return Ok((*node, self.graph.nodes[*node as usize].types.len()));
        }
        let attrs = key.1.clone();
        let operand_types: Vec<Type> = inputs.iter().map(|v| self.graph.ty(*v).clone()).collect();
        let types = op.infer(&attrs, &operand_types).map_err(|problem| GraphError::Operands {
            op: op.name(),
            problem,
            places: std::iter::once(Place { what: op.name().to_string(), at: place })
                .chain(inputs.iter().enumerate().map(|(i, v)| Place {
                    what: format!("operand {i}: {}", self.graph.ty(*v)),
                    at: self.graph.node(*v).place,
                }))
                .collect(),
        })?;
        if let Some(values) = &mut self.values {
            let operands: Vec<Array<f64>> =
                inputs.iter().map(|v| values[v.node as usize][v.out as usize].clone()).collect();
            let cx = EvalCx { round: true, ..EvalCx::default() };
            let mut made = op
                .eval(&cx, &attrs, &operands, &types)
                .map_err(|problem| GraphError::Eval { op: op.name(), problem })?;
            made.iter_mut().for_each(round);
            values.push(made);
        }
        let node = self.graph.nodes.len() as u32;
        let (n, scope) = (types.len(), self.current_scope());
        self.graph.nodes.push(Node { op, attrs, inputs, types, scope, place });
        self.shared.insert(key, node);
        Ok((node, n))
    }
}

/// Rounds float elements to the array's dtype.
pub(crate) fn round<S: crate::Scalar>(a: &mut Array<S>) {
    if let (Data::Float(v), DType::F32 | DType::BF16 | DType::F16) = (&mut a.data, a.dtype) {
        let dtype = a.dtype;
        std::sync::Arc::make_mut(v).iter_mut().for_each(|x| *x = x.round_to(dtype));
    }
}
