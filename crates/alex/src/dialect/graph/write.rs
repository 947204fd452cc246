//! Graphs as modules.

use std::collections::HashMap;
use std::sync::Arc;

use axes::DType;
use graph::{Dim, Graph, Node, Op as GraphOp, Value as GraphValue};

use super::super::attr::{Attr, Type};
use super::super::check;
use super::super::dense::{Dense, exact};
use super::super::module::{Func, Module, Op, Place, Value};
use super::super::table;
use super::attrs::{element, numbers, sizes, write};
use super::{NAMED, Named, own_word, usual, word};

impl Module {
    /// The graph as a function of that name, with the functions that its regions need. [`Module::to_graph`] gives it back.
    pub fn from_graph(name: &str, graph: &Graph) -> Module {
        let mut writer = Writer { module: Module::new(), calls: HashMap::new(), regions: HashMap::new() };
        writer.add(name, false, graph);
        writer.module
    }
}

/// A module while it is written.
struct Writer {
    module: Module,
    /// Declared functions by op and types.
    calls: HashMap<(GraphOp, String), String>,
    /// Functions of regions; equal ones are one.
    regions: HashMap<Arc<Graph>, String>,
}

impl Writer {
    fn add(&mut self, name: &str, private: bool, graph: &Graph) {
        let at = self.module.functions.len();
        // The function keeps its place before those of its regions.
        self.module.functions.push(Func::new(name));
        let mut func = Func::new(name);
        func.private = private;
        let mut values: HashMap<GraphValue, Value> = HashMap::new();
        for (k, input) in graph.inputs.iter().enumerate() {
            let ty = graph.ty(input.value);
            let own = clean(&input.name);
            let value = func.argument(&own, tensor(ty));
            values.insert(input.value, value);
            let mut notes = Vec::new();
            let mut note = |name: &str, attr: Attr| notes.push((format!("fidelity.{name}"), attr));
            if func.known(value).name != input.name {
                note("name", Attr::text(&input.name));
            }
            if ty.shape.iter().any(|d| d.fixed().is_none()) {
                note("sizes", sizes(&ty.shape));
            }
            if matches!(ty.dtype, DType::U8 | DType::Trit) {
                note("element", element(ty.dtype));
            }
            if input.value.node as usize != k {
                note("node", Attr::Int(i64::from(input.value.node), Type::word("i64")));
            }
            if let Some(scope) = scope(graph, graph.node(input.value)) {
                note("scope", scope);
            }
            func.argument_attributes.push(notes);
        }
        let uses = graph.use_counts();
        for (k, node) in graph.nodes.iter().enumerate() {
            if node.op == GraphOp::Input {
                continue;
            }
            let operands: Vec<Value> = node.inputs.iter().filter_map(|v| values.get(v).copied()).collect();
            let used: &[u32] = uses.get(k).map_or(&[], |u| u);
            let scope = scope(graph, node);
            let own = NAMED.iter().find(|named| named.op == node.op);
            let made = own.and_then(|own| self.named(&mut func, own, node, &operands, used, scope.as_ref()));
            let made = made.unwrap_or_else(|| self.other(&mut func, name, node, &operands, scope.as_ref()));
            for (out, value) in made.into_iter().enumerate().take(node.types.len()) {
                values.insert(GraphValue { node: k as u32, out: out as u32 }, value);
            }
        }
        let outputs = graph.outputs.iter().map(|o| ("name", o));
        let named: Vec<_> = outputs.chain(graph.taps.iter().map(|t| ("tap", t))).collect();
        let returned: Vec<Value> = named.iter().filter_map(|(_, o)| values.get(&o.value).copied()).collect();
        func.result_attributes =
            named.iter().map(|(kind, o)| vec![(format!("fidelity.{kind}"), Attr::text(&o.name))]).collect();
        func.finish(&returned);
        self.module.functions[at] = func;
    }

    /// A node as the operation of the dialect that means the same; `None` where its row does not take these operands.
    fn named(
        &mut self,
        func: &mut Func,
        own: &Named,
        node: &Node,
        operands: &[Value],
        used: &[u32],
        scope: Option<&Attr>,
    ) -> Option<Vec<Value>> {
        let row = table::op(own.name)?;
        let mut operands = operands.to_vec();
        if !own.order.is_empty() {
            let from = operands.clone();
            for (value, &at) in from.iter().zip(own.order) {
                *operands.get_mut(at)? = *value;
            }
        }
        let mut attributes = Vec::new();
        if own.plain {
            let Type::Tensor { sizes, .. } = &func.known(*operands.first()?).ty else { return None };
            let rank = sizes.len();
            let like: Vec<graph::Type> =
                vec![graph::Type { dtype: DType::F32, shape: vec![Dim::from(1); rank] }];
            if node.attrs != usual(node.op, &like, None) {
                return None;
            }
        } else {
            for (key, attr) in node.attrs.iter() {
                attributes.push((key.to_owned(), write(attr)?));
            }
        }
        if node.attrs.flag("reverse") {
            return None;
        }
        attributes.extend(scope.map(|s| ("scope".to_owned(), s.clone())));
        let mut results: Vec<Type> = node.types.iter().map(tensor).collect();
        let needed = row.signature.results.iter().filter(|slot| !slot.optional).count();
        if results.len() > needed && used.iter().skip(needed).all(|n| *n == 0) {
            results.truncate(needed);
        } else if own.name == "linear_scan" {
            // The state behind the last step, which a graph reads off the states.
            results.push(func.known(*operands.first()?).ty.clone());
        }
        let before = func.values.len();
        let made = func.push(own.name, &operands, attributes, unnamed(results));
        let op = func.ops.last()?;
        if check::fits(row, op, func) {
            return Some(made);
        }
        func.ops.pop();
        func.forget(before);
        None
    }

    /// Any other node: a constant, or a call of a declared function.
    fn other(
        &mut self,
        func: &mut Func,
        name: &str,
        node: &Node,
        operands: &[Value],
        scope: Option<&Attr>,
    ) -> Vec<Value> {
        let results: Vec<Type> = node.types.iter().map(tensor).collect();
        let mut attributes = Vec::new();
        let op = if let Some(mut all) = constant(node) {
            attributes.append(&mut all);
            "arith.constant"
        } else {
            for (key, attr) in node.attrs.iter() {
                let key = if key == "callee" { "callee_" } else { key };
                let attr = match attr {
                    graph::Attr::Graph(body) => Attr::Symbol(self.region(name, body)),
                    other => write(other).unwrap_or(Attr::Unit),
                };
                attributes.push((key.to_owned(), attr));
            }
            let taken = operands.iter().map(|&v| func.known(v).ty.clone()).collect();
            let callee = self.declared(node.op, taken, &results);
            attributes.insert(0, ("callee".to_owned(), Attr::Symbol(callee)));
            "func.call"
        };
        attributes.extend(scope.map(|s| ("scope".to_owned(), s.clone())));
        func.append(op, operands, attributes, unnamed(results))
    }

    fn region(&mut self, name: &str, body: &Arc<Graph>) -> String {
        if let Some(known) = self.regions.get(body) {
            return known.clone();
        }
        let own = format!("{name}_{}", self.module.functions.len());
        self.add(&own, true, body);
        self.regions.insert(body.clone(), own.clone());
        own
    }

    /// The declared function of that operation and those types.
    fn declared(&mut self, op: GraphOp, taken: Vec<Type>, given: &[Type]) -> String {
        let key = format!("{taken:?}{given:?}");
        if let Some(known) = self.calls.get(&(op, key.clone())) {
            return known.clone();
        }
        let name = format!("graph.{}_{}", op.name(), self.module.functions.len());
        let mut func = Func { private: true, returned: None, results: given.to_vec(), ..Func::new(&name) };
        taken.into_iter().for_each(|ty| {
            func.argument("", ty);
        });
        self.module.functions.push(func);
        self.calls.insert((op, key), name.clone());
        name
    }
}

impl Func {
    /// Appends an operation whose name has its dialect.
    fn append(
        &mut self,
        name: &str,
        operands: &[Value],
        attributes: Vec<(String, Attr)>,
        results: Vec<(String, Type)>,
    ) -> Vec<Value> {
        let results: Vec<Value> = results.into_iter().map(|(name, ty)| self.value(&name, ty)).collect();
        self.ops.push(Op {
            name: name.to_owned(),
            operands: operands.to_vec(),
            results: results.clone(),
            attributes,
            place: Place::default(),
        });
        results
    }
}

fn unnamed(types: Vec<Type>) -> Vec<(String, Type)> {
    types.into_iter().map(|ty| (String::new(), ty)).collect()
}

fn scope(graph: &Graph, node: &Node) -> Option<Attr> {
    graph.scopes.get(node.scope as usize).filter(|scope| !scope.is_empty()).map(|scope| Attr::text(scope))
}

/// A name as a value may have it: no digit in front, where names without a meaning stand.
fn clean(name: &str) -> String {
    let own: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    match own.chars().next() {
        None => "input".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("_{own}"),
        Some(_) => own,
    }
}

fn tensor(ty: &graph::Type) -> Type {
    let sizes = ty.shape.iter().map(|dim| dim.fixed().map(|n| n as u64)).collect();
    Type::Tensor { sizes, elem: Box::new(Type::word(word(ty.dtype))) }
}

/// The attributes of a constant whose sizes are known: its numbers as the element type has them and, where they differ, as
/// the graph has them.
fn constant(node: &Node) -> Option<Vec<(String, Attr)>> {
    let Some(graph::Attr::Floats(values)) = node.attrs.get("values").filter(|_| node.op == GraphOp::Constant)
    else {
        return None;
    };
    let ty = node.types.first()?;
    let shape = ty.fixed_shape()?;
    let elem = word(ty.dtype).to_owned();
    let sizes: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
    let kept = values.iter().all(|v| exact(*v, &elem));
    let own =
        if kept { values.clone() } else { Arc::new(values.iter().map(|v| rounded(*v, &elem)).collect()) };
    let mut all = vec![("value".to_owned(), Attr::Dense(Dense { values: own, sizes, elem }))];
    if !kept {
        all.push(("exact".to_owned(), numbers(values)));
    }
    if own_word(ty.dtype) != word(ty.dtype) {
        all.push(("element".to_owned(), element(ty.dtype)));
    }
    if let Some(graph::Attr::Str(text)) = node.attrs.get("decimal") {
        all.push(("decimal".to_owned(), Attr::text(text)));
    }
    Some(all)
}

/// The number of the element type that is nearest.
fn rounded(v: f64, elem: &str) -> f64 {
    match elem {
        "f64" => v,
        _ if v.is_nan() => f64::NAN,
        "f32" => f64::from(v as f32),
        "f16" => half::f16::from_f64(v).to_f64(),
        "bf16" => half::bf16::from_f64(v).to_f64(),
        "i1" => f64::from(u8::from(v != 0.0)),
        "i64" => (v as i64).clamp(-(1 << 53), 1 << 53) as f64,
        "i32" => f64::from(v as i32),
        _ => f64::from(v as i64 as i8),
    }
}
