//! Modules as graphs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axes::DType;
use graph::{
    Attrs, Cx, Dim, Graph, Named as Port, Node, Op as GraphOp, Type as Of, Value as GraphValue, Var,
};

use super::super::attr::{Attr, Type};
use super::super::check::{DialectError, Problem};
use super::super::module::{Func, Module, Op, Place, Value};
use super::attrs::{read, read_element, read_sizes};
use super::meaning::{self, Call, Item};
use super::types::{agrees, element, parts, second};
use super::{NAMED, dtype, usual};

/// How deep functions may call each other.
const DEPTH: usize = 64;

impl Module {
    /// The function of that name as a graph: the inverse of [`Module::from_graph`], and for any other module of the dialect
    /// what its operations mean. A value that carries its scales is two inputs or outputs, `x` and `x.scale`.
    ///
    /// # Errors
    /// There is no such function; an operation that has no meaning in a graph; operands that do not fit, with line and column
    /// where the module was read from a text.
    pub fn to_graph(&self, name: &str) -> Result<Graph, DialectError> {
        let mut reader = Reader { module: self, made: HashMap::new(), depth: 0 };
        let function = self.function(name).ok_or_else(|| {
            let known: Vec<String> = self.functions.iter().map(|f| format!("@{}", f.name)).collect();
            let remedy = format!("the module has {}", known.join(", "));
            DialectError::Check(vec![problem(
                name,
                "module",
                Place::default(),
                format!("there is no function @{name}"),
                &remedy,
            )])
        })?;
        reader.graph(function).map(Arc::unwrap_or_clone)
    }
}

fn problem(function: &str, op: &str, place: Place, problem: String, remedy: &str) -> Problem {
    Problem { function: function.to_owned(), op: op.to_owned(), place, problem, remedy: remedy.to_owned() }
}

struct Reader<'a> {
    module: &'a Module,
    made: HashMap<String, Arc<Graph>>,
    depth: usize,
}

/// What a value of the module is.
#[derive(Clone, Debug)]
enum Held {
    /// One value of the graph, or a value and its scale.
    Parts(Vec<GraphValue>),
    /// A size.
    Size(Dim),
    /// The state behind the last step of these states, made when it is asked for.
    Last(GraphValue),
}

/// A function while it becomes a graph.
struct Frame<'a> {
    function: &'a Func,
    graph: Graph,
    scopes: HashMap<String, u32>,
    held: HashMap<Value, Held>,
    /// Inputs that stand behind nodes, the last one first.
    waiting: Vec<(u32, Value, Vec<Port>, Vec<Of>, u32)>,
}

impl Reader<'_> {
    fn graph(&mut self, function: &Func) -> Result<Arc<Graph>, DialectError> {
        if let Some(made) = self.made.get(&function.name) {
            return Ok(made.clone());
        }
        let wrong = |place, op: &str, text: String, remedy: &str| {
            DialectError::Check(vec![problem(&function.name, op, place, text, remedy)])
        };
        let fail = |place, op: &str, text: String, remedy: &str| Err(wrong(place, op, text, remedy));
        let Some(returned) = &function.returned else {
            return fail(function.place, "func.func", "the function has no body".into(), "write one");
        };
        if self.depth == DEPTH {
            let text = format!("functions call each other deeper than {DEPTH}");
            return fail(function.place, "func.func", text, "a graph has no recursion: write a loop");
        }
        self.depth += 1;
        let mut frame = Frame::new(function);
        frame.arguments().map_err(|(text, remedy)| wrong(function.place, "func.func", text, &remedy))?;
        for op in &function.ops {
            frame.settle(false);
            self.op(&mut frame, op)?;
        }
        frame.settle(true);
        frame.outputs(returned).map_err(|text| wrong(function.place, "return", text, ""))?;
        let graph = frame.graph;
        if let Err(e) = graph.verify() {
            return fail(function.place, "func.func", e.to_string(), "");
        }
        self.depth -= 1;
        let graph = Arc::new(graph);
        self.made.insert(function.name.clone(), graph.clone());
        Ok(graph)
    }

    fn op(&mut self, frame: &mut Frame<'_>, op: &Op) -> Result<(), DialectError> {
        let name = frame.function.name.clone();
        let fail = |(text, remedy): (String, String)| {
            DialectError::Check(vec![problem(&name, &op.name, op.place, text, &remedy)])
        };
        let scope = match find(&op.attributes, "scope") {
            Some(Attr::Str(text)) => frame.scope(text),
            _ => 0,
        };
        for &operand in &op.operands {
            frame.ready(operand);
        }
        let made = match op.name.as_str() {
            "arith.constant" => frame.constant(op, scope).map_err(fail)?,
            "func.call" => {
                let callee = match find(&op.attributes, "callee") {
                    Some(Attr::Symbol(callee)) => callee.clone(),
                    _ => return Err(fail(("has no callee".into(), "write {callee = @name}".into()))),
                };
                match self.module.function(&callee) {
                    Some(f) if f.returned.is_some() => {
                        let body = self.graph(f)?;
                        frame.inline(op, &body, scope).map_err(fail)?
                    }
                    Some(_) => {
                        let mut bodies = HashMap::new();
                        for (key, attr) in op.attributes.iter().filter(|(key, _)| key != "callee") {
                            if let Attr::Symbol(symbol) = attr {
                                let Some(f) = self.module.function(symbol) else {
                                    return Err(fail((
                                        format!("there is no function @{symbol}"),
                                        String::new(),
                                    )));
                                };
                                bodies.insert(key.clone(), self.graph(f)?);
                            }
                        }
                        frame.call(op, &callee, &bodies, scope).map_err(fail)?
                    }
                    None => return Err(fail((format!("there is no function @{callee}"), String::new()))),
                }
            }
            own => match own.strip_prefix("fidelity.") {
                Some(name) => frame.own(op, &name.replace('.', "_"), scope).map_err(fail)?,
                None => {
                    let text = format!("`{own}` has no meaning in a graph");
                    let remedy = "use the operations of `fidelity`; `alex::dialect::reference` lists them";
                    return Err(fail((text, remedy.to_owned())));
                }
            },
        };
        for (&value, held) in op.results.iter().zip(made) {
            let ty = &frame.function.known(value).ty;
            let agreed = match &held {
                Held::Parts(parts) => {
                    let types: Vec<Of> = parts.iter().map(|v| frame.graph.ty(*v).clone()).collect();
                    agrees(ty, &types)
                }
                _ => Ok(()),
            };
            agreed.map_err(|text| fail((text, "correct the declared type or the operands".to_owned())))?;
            frame.held.insert(value, held);
        }
        Ok(())
    }
}

fn find<'a>(attributes: &'a [(String, Attr)], name: &str) -> Option<&'a Attr> {
    attributes.iter().find(|(own, _)| own == name).map(|(_, attr)| attr)
}

type Made<T> = Result<T, (String, String)>;

fn wrong<T>(text: impl Into<String>, remedy: impl Into<String>) -> Made<T> {
    Err((text.into(), remedy.into()))
}

impl<'a> Frame<'a> {
    fn new(function: &'a Func) -> Frame<'a> {
        let graph = Graph { scopes: vec![String::new()], ..Graph::default() };
        let scopes = HashMap::from([(String::new(), 0)]);
        Frame { function, graph, scopes, held: HashMap::new(), waiting: Vec::new() }
    }

    fn scope(&mut self, name: &str) -> u32 {
        let next = self.graph.scopes.len() as u32;
        let scopes = &mut self.graph.scopes;
        *self.scopes.entry(name.to_owned()).or_insert_with(|| {
            scopes.push(name.to_owned());
            next
        })
    }

    fn push(&mut self, node: Node) -> GraphValue {
        self.graph.nodes.push(node);
        GraphValue { node: self.graph.nodes.len() as u32 - 1, out: 0 }
    }

    fn arguments(&mut self) -> Made<()> {
        let function = self.function;
        let mut names = HashSet::new();
        for (k, &argument) in function.arguments.iter().enumerate() {
            let known = function.known(argument);
            let notes = function.argument_attributes.get(k).map_or(&[][..], |own| own);
            let note = |name: &str| find(notes, &format!("fidelity.{name}"));
            let mut types = match (note("sizes").map(read_sizes), &known.ty) {
                (Some(Some(shape)), Type::Tensor { sizes, elem }) => {
                    let dtype =
                        element(elem).map_err(|e| (format!("%{}: {e}", known.name), String::new()))?;
                    let fits = shape.len() == sizes.len()
                        && shape
                            .iter()
                            .zip(sizes)
                            .all(|(d, n)| n.is_none_or(|n| d.fixed() == Some(n as usize)));
                    if !fits {
                        return wrong(
                            format!("%{} of type {} has other `fidelity.sizes`", known.name, known.ty),
                            "give one size for each axis",
                        );
                    }
                    vec![Of { dtype, shape }]
                }
                (Some(_), _) => {
                    return wrong(
                        format!("%{}: `fidelity.sizes` must be #fidelity.sizes<[…]> on a tensor", known.name),
                        "write {fidelity.sizes = #fidelity.sizes<[\"T\", 64 : index]>}",
                    );
                }
                (None, ty) => parts(ty).map_err(|text| {
                    let remedy = "give its sizes: {fidelity.sizes = #fidelity.sizes<[\"T\", 64 : index]>}";
                    (format!("%{}: {text}", known.name), remedy.to_owned())
                })?,
            };
            if let Some(dtype) = note("element").and_then(read_element) {
                types.iter_mut().take(1).for_each(|ty| ty.dtype = dtype);
            }
            let scope = match note("scope") {
                Some(Attr::Str(text)) => self.scope(text),
                _ => 0,
            };
            let name = match note("name") {
                Some(Attr::Str(name)) => name.clone(),
                _ => known.name.clone(),
            };
            let none = GraphValue { node: 0, out: 0 };
            let ends = ["", second(&known.ty)];
            let ports: Vec<Port> =
                (0..types.len()).map(|k| Port { name: format!("{name}{}", ends[k]), value: none }).collect();
            if let Some(twice) = ports.iter().find(|port| !names.insert(port.name.clone())) {
                return wrong(
                    format!("two inputs are called `{}`", twice.name),
                    "give arguments names of their own",
                );
            }
            let at = match note("node") {
                Some(Attr::Int(n, _)) => u32::try_from(*n).unwrap_or(0),
                _ => k as u32,
            };
            if types.is_empty() {
                return wrong(
                    format!("%{} is a size, which must be known", known.name),
                    "use an `arith.constant` of type index in the function",
                );
            }
            self.waiting.push((at, argument, ports, types, scope));
        }
        // Inputs are listed in the order of the arguments; their nodes stand where `fidelity.node` says.
        self.graph.inputs = self.waiting.iter().flat_map(|w| w.2.clone()).collect();
        self.waiting.sort_by_key(|w| std::cmp::Reverse(w.0));
        Ok(())
    }

    /// Puts inputs whose place has come.
    fn settle(&mut self, all: bool) {
        while let Some(next) = self.waiting.pop() {
            if next.0 as usize > self.graph.nodes.len() && !all {
                self.waiting.push(next);
                return;
            }
            self.input(next);
        }
    }

    /// Puts the input that an operation is about to read, wherever it was to stand.
    fn ready(&mut self, value: Value) {
        if let Some(k) = self.waiting.iter().position(|w| w.1 == value) {
            let next = self.waiting.remove(k);
            self.input(next);
        }
    }

    fn input(&mut self, (_, value, ports, types, scope): (u32, Value, Vec<Port>, Vec<Of>, u32)) {
        let mut made = Vec::new();
        for (port, ty) in ports.iter().zip(types) {
            let node = Node {
                op: GraphOp::Input,
                attrs: Attrs::new(),
                inputs: vec![],
                types: vec![ty],
                scope,
                place: None,
            };
            let at = self.push(node);
            if let Some(listed) = self.graph.inputs.iter_mut().find(|i| i.name == port.name) {
                listed.value = at;
            }
            made.push(at);
        }
        self.held.insert(value, Held::Parts(made));
    }

    fn outputs(&mut self, returned: &[Value]) -> Result<(), String> {
        for (k, &value) in returned.iter().enumerate() {
            let known = self.function.known(value);
            let notes = self.function.result_attributes.get(k).map_or(&[][..], |own| own);
            let (tap, name) = match (find(notes, "fidelity.tap"), find(notes, "fidelity.name")) {
                (Some(Attr::Str(name)), _) => (true, name.clone()),
                (_, Some(Attr::Str(name))) => (false, name.clone()),
                _ => (false, known.name.clone()),
            };
            let parts = self.values(value)?;
            let ends = ["", second(&known.ty)];
            for (k, value) in parts.into_iter().enumerate() {
                let port = Port { name: format!("{name}{}", ends[k.min(1)]), value };
                if tap { self.graph.taps.push(port) } else { self.graph.outputs.push(port) }
            }
        }
        Ok(())
    }

    /// The graph's values behind a value.
    fn values(&mut self, value: Value) -> Result<Vec<GraphValue>, String> {
        match self.held.get(&value).cloned() {
            Some(Held::Parts(parts)) => Ok(parts),
            Some(Held::Size(_)) => Err("a size is no number here".to_owned()),
            Some(Held::Last(states)) => {
                let ty = self.graph.ty(states).clone();
                let [b, t, d] = &ty.shape[..] else { return Err("the states have three axes".to_owned()) };
                let (b, t, d) = (b.clone(), t.clone(), d.clone());
                let made = self.composite(&[vec![states]], 0, |_, x| {
                    let h = first(x)?;
                    let end = h.slice_axis(1, &t - &Dim::from(1), t.clone());
                    Ok(vec![Item::One(end.reshape(&[b.clone(), d.clone()]))])
                })?;
                let Some(Held::Parts(parts)) = made.into_iter().next() else {
                    return Err("no state".to_owned());
                };
                self.held.insert(value, Held::Parts(parts.clone()));
                Ok(parts)
            }
            None => Err("a value is used before it is made".to_owned()),
        }
    }

    fn operands(&mut self, op: &Op) -> Made<Vec<Vec<GraphValue>>> {
        op.operands.iter().map(|&v| self.values(v).map_err(|e| (e, String::new()))).collect()
    }

    fn constant(&mut self, op: &Op, scope: u32) -> Made<Vec<Held>> {
        let one = |v: f64, ty: &Type| {
            Ok::<_, (String, String)>((
                Arc::new(vec![v]),
                vec![],
                element(ty).map_err(|e| (e, String::new()))?,
            ))
        };
        let (values, dims, mut dtype) = match find(&op.attributes, "value") {
            Some(Attr::Int(n, ty)) if *ty == Type::word("index") => {
                let n = usize::try_from(*n).map_err(|_| (format!("{n} is no size"), String::new()))?;
                return Ok(vec![Held::Size(Dim::from(n))]);
            }
            Some(Attr::Int(n, ty)) => one(*n as f64, ty)?,
            Some(Attr::Float(v, ty)) => one(*v, ty)?,
            Some(Attr::Bool(v)) => one(f64::from(u8::from(*v)), &Type::word("i1"))?,
            Some(Attr::Dense(dense)) => {
                let Some(d) = dtype(&dense.elem) else {
                    return wrong(format!("a graph has no elements of type {}", dense.elem), "use f64");
                };
                let dims = dense.sizes.iter().map(|n| Dim::from(*n as usize)).collect();
                (dense.values.clone(), dims, d)
            }
            _ => {
                return wrong(
                    "the constant is no number or list of numbers that its type holds",
                    "write {value = dense<[1.0, 2.0]> : tensor<2xf32>}",
                );
            }
        };
        let values = match find(&op.attributes, "exact") {
            Some(Attr::Dense(exact)) => exact.values.clone(),
            _ => values,
        };
        if let Some(own) = find(&op.attributes, "element").and_then(read_element) {
            dtype = own;
        }
        let mut attrs = Attrs::new()
            .with("dims", graph::Attr::Dims(dims))
            .with("dtype", graph::Attr::DType(dtype))
            .with("values", graph::Attr::Floats(values));
        if let Some(Attr::Str(text)) = find(&op.attributes, "decimal") {
            attrs = attrs.with("decimal", graph::Attr::Str(text.clone()));
        }
        self.node(GraphOp::Constant, attrs, vec![], scope)
    }

    /// Appends a node; its types are inferred.
    fn node(&mut self, op: GraphOp, attrs: Attrs, inputs: Vec<GraphValue>, scope: u32) -> Made<Vec<Held>> {
        let taken: Vec<Of> = inputs.iter().map(|v| self.graph.ty(*v).clone()).collect();
        let types = op.infer(&attrs, &taken).map_err(|e| {
            (
                e,
                "operands that the op takes; name sizes that are equal with one symbol in `fidelity.sizes`"
                    .to_owned(),
            )
        })?;
        let count = types.len() as u32;
        let at = self.push(Node { op, attrs, inputs, types, scope, place: None });
        Ok((0..count).map(|out| Held::Parts(vec![GraphValue { node: at.node, out }])).collect())
    }

    /// A call of a declared function: the op that its name says.
    fn call(
        &mut self,
        op: &Op,
        callee: &str,
        bodies: &HashMap<String, Arc<Graph>>,
        scope: u32,
    ) -> Made<Vec<Held>> {
        let name = callee.strip_prefix("graph.").and_then(|rest| Some(rest.rsplit_once('_')?.0));
        let Some(own) = name.and_then(GraphOp::from_name) else {
            return wrong(
                format!("@{callee} has no body"),
                "declare functions `@graph.OP_N` for ops of a graph, or give it a body",
            );
        };
        let mut attrs = Attrs::new();
        for (key, attr) in op.attributes.iter().filter(|(key, _)| key != "callee" && key != "scope") {
            let known = if key == "callee_" { "callee" } else { key };
            let Some(known) = own.attr_names().iter().find(|k| **k == known) else { continue };
            let value = match bodies.get(key) {
                Some(body) => graph::Attr::Graph(body.clone()),
                None => read(attr).ok_or_else(|| {
                    (
                        format!("the attribute `{key}` is {attr}, which an op of a graph does not have"),
                        String::new(),
                    )
                })?,
            };
            attrs = attrs.with(known, value);
        }
        let operands = self.operands(op)?.into_iter().flatten().collect();
        self.node(own, attrs, operands, scope)
    }

    /// A call of a function with a body: its nodes stand here.
    fn inline(&mut self, op: &Op, body: &Graph, scope: u32) -> Made<Vec<Held>> {
        let operands: Vec<GraphValue> = self.operands(op)?.into_iter().flatten().collect();
        if operands.len() != body.inputs.len() {
            return wrong(format!("{} operands for {} inputs", operands.len(), body.inputs.len()), "");
        }
        let all = self.splice(body, &operands, scope).map_err(|e| (e, String::new()))?;
        let mut all = all.into_iter();
        let mut made = Vec::new();
        for &value in &op.results {
            let count = 1 + usize::from(!second(&self.function.known(value).ty).is_empty());
            made.push(Held::Parts(all.by_ref().take(count).collect()));
        }
        Ok(made)
    }

    /// Copies a graph's nodes behind the others; its outputs.
    fn splice(&mut self, body: &Graph, inputs: &[GraphValue], scope: u32) -> Result<Vec<GraphValue>, String> {
        let mut place: HashMap<u32, u32> = HashMap::new();
        let mut given: HashMap<u32, GraphValue> = HashMap::new();
        for (port, value) in body.inputs.iter().zip(inputs) {
            if self.graph.ty(*value) != body.ty(port.value) {
                let (found, wanted) = (self.graph.ty(*value), body.ty(port.value));
                return Err(format!("`{}` must be {wanted}, found {found}", port.name));
            }
            given.insert(port.value.node, *value);
        }
        let find = |v: &GraphValue, place: &HashMap<u32, u32>| match (given.get(&v.node), place.get(&v.node))
        {
            (Some(value), _) => Ok(*value),
            (_, Some(node)) => Ok(GraphValue { node: *node, out: v.out }),
            _ => Err(format!("%{} is not there", v.node)),
        };
        for (k, node) in body.nodes.iter().enumerate() {
            if node.op == GraphOp::Input {
                continue;
            }
            let inputs = node.inputs.iter().map(|v| find(v, &place)).collect::<Result<_, _>>()?;
            let at = self.push(Node { inputs, scope, place: None, ..node.clone() });
            place.insert(k as u32, at.node);
        }
        body.outputs.iter().map(|o| find(&o.value, &place)).collect()
    }

    /// Nodes that are built with variables.
    fn composite(
        &mut self,
        operands: &[Vec<GraphValue>],
        scope: u32,
        build: impl FnOnce(&Cx, Vec<Item>) -> Result<Vec<Item>, String>,
    ) -> Result<Vec<Held>, String> {
        let cx = Cx::abstract_();
        let mut taken = Vec::new();
        let mut items = Vec::new();
        for parts in operands {
            let vars: Vec<Var> = parts
                .iter()
                .map(|v| {
                    taken.push(*v);
                    cx.input(&format!("in.{}", taken.len()), self.graph.ty(*v).clone())
                })
                .collect();
            items.push(match &vars[..] {
                [one] => Item::One(one.clone()),
                [x, s] if self.graph.ty(parts[0]).dtype == DType::Trit => Item::Ternary(x.clone(), s.clone()),
                [x, s] => Item::Quantized(x.clone(), s.clone()),
                _ => return Err("a value has no parts".to_owned()),
            });
        }
        let made = build(&cx, items)?;
        let mut counts = Vec::new();
        let mut outputs: Vec<(String, Var)> = Vec::new();
        for item in &made {
            let vars = item.vars();
            counts.push(vars.len());
            vars.into_iter().for_each(|v| outputs.push((format!("out.{}", outputs.len()), v)));
        }
        let named: Vec<(&str, &Var)> = outputs.iter().map(|(name, v)| (name.as_str(), v)).collect();
        let body = cx.finish(&named).map_err(|e| e.to_string())?;
        let mut all = self.splice(&body, &taken, scope)?.into_iter();
        Ok(counts.into_iter().map(|n| Held::Parts(all.by_ref().take(n).collect())).collect())
    }

    /// An operation of the dialect: the node that means the same, or the nodes that it stands for.
    fn own(&mut self, op: &Op, name: &str, scope: u32) -> Made<Vec<Held>> {
        if name == "zero_vector"
            && let Some(&size) = op.operands.first()
        {
            let Some(Held::Size(size)) = self.held.get(&size).cloned() else {
                return wrong("the size must be known", "use an `arith.constant` of type index");
            };
            return self.zeros(op, Some(&size), scope);
        }
        if name == "zero_vector" {
            return self.zeros(op, None, scope);
        }
        let operands = self.operands(op)?;
        if let Some(made) = self.direct(op, name, &operands, scope)? {
            return Ok(made);
        }
        let function = self.function;
        let type_of = |v: &Value| function.known(*v).ty.clone();
        let types: Vec<Type> = op.operands.iter().map(type_of).collect();
        let results: Vec<Type> = op.results.iter().map(type_of).collect();
        self.composite(&operands, scope, |cx, items| {
            meaning::build(&Call { cx, name, items, types, results, attributes: &op.attributes })
        })
        .map_err(|text| (text, String::new()))
    }

    fn zeros(&mut self, op: &Op, size: Option<&Dim>, scope: u32) -> Made<Vec<Held>> {
        let Some(&result) = op.results.first() else { return Ok(vec![]) };
        let mut ty = self.function.known(result).ty.clone();
        if let (Some(n), Type::Tensor { sizes, .. }) = (size.and_then(Dim::fixed), &mut ty) {
            sizes.iter_mut().filter(|s| s.is_none()).for_each(|s| *s = Some(n as u64));
        }
        let types = parts(&ty).map_err(|e| (e, "give the size as an operand".to_owned()))?;
        let Some(of) = types.into_iter().next() else { return Ok(vec![]) };
        let attrs = Attrs::new()
            .with("dims", graph::Attr::Dims(of.shape))
            .with("dtype", graph::Attr::DType(of.dtype))
            .with("values", graph::Attr::Floats(Arc::new(vec![0.0])));
        self.node(GraphOp::Constant, attrs, vec![], scope)
    }

    /// The one node that an operation is, where it is one.
    fn direct(
        &mut self,
        op: &Op,
        name: &str,
        operands: &[Vec<GraphValue>],
        scope: u32,
    ) -> Made<Option<Vec<Held>>> {
        let Some(named) = NAMED.iter().find(|named| named.name == name) else { return Ok(None) };
        let tensors = op.results.iter().chain(&op.operands).all(|v| {
            let ty = &self.function.known(*v).ty;
            matches!(ty, Type::Tensor { .. })
        });
        let Some(single) = operands
            .iter()
            .map(|parts| match parts[..] {
                [one] => Some(one),
                _ => None,
            })
            .collect::<Option<Vec<GraphValue>>>()
            .filter(|_| tensors)
        else {
            return Ok(None);
        };
        let inputs = match named.order.is_empty() {
            true => single,
            false if single.len() == named.order.len() => named.order.iter().map(|&k| single[k]).collect(),
            false => return Ok(None),
        };
        let taken: Vec<Of> = inputs.iter().map(|v| self.graph.ty(*v).clone()).collect();
        let result = op.results.first().and_then(|v| match &self.function.known(*v).ty {
            Type::Tensor { elem, .. } => element(elem).ok(),
            _ => None,
        });
        let mut attrs = usual(named.op, &taken, result);
        for (key, attr) in op.attributes.iter().filter(|(key, _)| key != "scope" && !named.plain) {
            if let (Some(key), Some(value)) = (named.op.attr_names().iter().find(|k| *k == key), read(attr)) {
                attrs = attrs.with(key, value);
            }
        }
        // What does not fit one op may still have a meaning: a number beside a tensor, weights that are bytes.
        if named.op.infer(&attrs, &taken).is_err() {
            return Ok(None);
        }
        let mut made = self.node(named.op, attrs, inputs, scope)?;
        if name == "linear_scan" && op.results.len() > 1 {
            let Some(Held::Parts(states)) = made.first() else { return Ok(None) };
            let last = Held::Last(states[0]);
            made.push(last);
        }
        Ok(Some(made))
    }
}

fn first(items: Vec<Item>) -> Result<Var, String> {
    match items.into_iter().next() {
        Some(Item::One(v)) => Ok(v),
        _ => Err("the operand carries scales".to_owned()),
    }
}
