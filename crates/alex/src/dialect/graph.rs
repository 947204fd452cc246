//! Graphs as modules of the dialect, over tensors.
//!
//! What has an operation of its own is that operation. The rest are calls of functions that are only declared, one for each
//! operation and list of types (`@graph.gather_3`), with the graph's attributes on the call: an operation with any number of
//! operands of different types cannot be written in IRDL. Bodies of loops and branches become private functions, named by an
//! attribute. Sizes that are symbols are `?`. Scopes (`layers.0.mixer`) stay as
//! an attribute, so the text can be read beside the drawing.

use std::collections::HashMap;

use graph::{Dim, Graph, Node, Value as GraphValue};

use super::attr::{Attr, Type};
use super::module::{Func, Module, Value};
use crate::ir;
use crate::ir::module::dense;

impl Module {
    /// The graph as a function of that name, with the functions that its regions need.
    pub fn from_graph(name: &str, graph: &Graph) -> Module {
        let mut module = Module::new();
        add(&mut module, name, false, graph);
        module
    }
}

fn add(module: &mut Module, name: &str, private: bool, graph: &Graph) {
    let at = module.functions.len();
    // The function keeps its place before those of its regions.
    module.functions.push(Func::new(name));
    let mut func = Func::new(name);
    func.private = private;
    let mut values: HashMap<GraphValue, Value> = HashMap::new();
    for input in &graph.inputs {
        let value = func.argument(&clean(&input.name), tensor(graph.ty(input.value)));
        values.insert(input.value, value);
    }
    let uses = graph.use_counts();
    for (k, node) in graph.nodes.iter().enumerate() {
        let own = |out: usize| GraphValue { node: k as u32, out: out as u32 };
        if node.op.name() == "input" {
            continue;
        }
        let mut operands: Vec<Value> = node.inputs.iter().filter_map(|v| values.get(v).copied()).collect();
        let mut results: Vec<Type> = node.types.iter().map(tensor).collect();
        let mut attributes = Vec::new();
        let unused = |out: usize| uses.get(k).and_then(|u| u.get(out)).is_none_or(|&n| n == 0);
        let symbol = match own_operation(node) {
            Some("rms_norm") if unused(1) => {
                results.truncate(1);
                attributes
                    .push(("eps".to_owned(), Attr::Float(node.attrs.float("eps", 0.0), Type::word("f64"))));
                "rms_norm"
            }
            Some("linear_scan") if !node.attrs.flag("reverse") && operands.len() == 3 => {
                // (decay, input, state) in the graph; the last state is a further result.
                operands.rotate_right(1);
                results.push(func.known(operands[0]).ty.clone());
                "linear_scan"
            }
            Some("quantize_activations") => {
                attributes.push(("rounding".to_owned(), Attr::text(node.attrs.str("rounding"))));
                "quantize_activations"
            }
            Some("rms_norm" | "linear_scan") | None => {
                if let Some(value) = constant(node) {
                    push(
                        &mut func,
                        "arith.constant",
                        &[],
                        vec![("value".to_owned(), value)],
                        &results,
                        |out, value| {
                            values.insert(own(out), value);
                        },
                    );
                    continue;
                }
                for (key, attr) in node.attrs.iter() {
                    let key = if key == "callee" { "callee_" } else { key };
                    let attr = attribute(module, name, attr);
                    attributes.push((key.to_owned(), attr));
                }
                let taken = operands.iter().map(|&v| func.known(v).ty.clone()).collect();
                let callee = declared(module, node.op.name(), taken, &results);
                attributes.insert(0, ("callee".to_owned(), Attr::Symbol(callee)));
                "func.call"
            }
            Some(own) => own,
        };
        if let Some(scope) = graph.scopes.get(node.scope as usize).filter(|scope| !scope.is_empty()) {
            attributes.push(("scope".to_owned(), Attr::text(scope)));
        }
        let symbol = if symbol.contains('.') { symbol.to_owned() } else { format!("fidelity.{symbol}") };
        push(&mut func, &symbol, &operands, attributes, &results, |out, value| {
            values.insert(own(out), value);
        });
    }
    let returned: Vec<Value> =
        graph.outputs.iter().filter_map(|output| values.get(&output.value).copied()).collect();
    func.finish(&returned);
    module.functions[at] = func;
}

/// The declared function of that operation and those types.
fn declared(module: &mut Module, op: &str, taken: Vec<Type>, given: &[Type]) -> String {
    let prefix = format!("graph.{op}_");
    let same = module.functions.iter().find(|f| {
        let types = f.arguments.iter().map(|&v| &f.known(v).ty);
        f.returned.is_none() && f.name.starts_with(&prefix) && types.eq(&taken) && f.results == given
    });
    if let Some(same) = same {
        return same.name.clone();
    }
    let name = format!("{prefix}{}", module.functions.len());
    let mut func = Func { private: true, returned: None, results: given.to_vec(), ..Func::new(&name) };
    taken.into_iter().for_each(|ty| {
        func.argument("", ty);
    });
    module.functions.push(func);
    name
}

fn push(
    func: &mut Func,
    name: &str,
    operands: &[Value],
    attributes: Vec<(String, Attr)>,
    results: &[Type],
    mut each: impl FnMut(usize, Value),
) {
    let results = results.iter().map(|ty| (String::new(), ty.clone())).collect();
    let own = name.strip_prefix("fidelity.");
    let values = func.push(own.unwrap_or(name), operands, attributes, results);
    // Operations of other dialects keep the name that they have.
    if let (None, Some(op)) = (own, func.ops.last_mut()) {
        op.name = name.to_owned();
    }
    values.into_iter().enumerate().for_each(|(out, value)| each(out, value));
}

/// The dialect's operation that means the same as the node's, operands in the same order unless said otherwise above.
fn own_operation(node: &Node) -> Option<&'static str> {
    let float = node.types.first().is_some_and(|ty| ty.dtype.is_float());
    Some(match node.op.name() {
        "rms_norm" => "rms_norm",
        "linear_scan" => "linear_scan",
        "quantize_activations" => "quantize_activations",
        "ternary_linear" => "ternary_product",
        "sigmoid" => "sigmoid",
        "silu" => "silu",
        "tanh" => "tanh",
        "exp" => "exp",
        "log" => "log",
        "softplus" => "softplus",
        "negate" if float => "negate",
        "relu" if float => "relu",
        "add" if float => "add",
        "subtract" if float => "subtract",
        "multiply" if float => "multiply",
        "maximum" if float => "maximum",
        "minimum" if float => "minimum",
        _ => return None,
    })
}

fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn word(dtype: axes::DType) -> &'static str {
    match dtype {
        axes::DType::Bool => "i1",
        // Trits are a byte each here; how they are packed is the plan's affair.
        axes::DType::U8 | axes::DType::Trit => "i8",
        other => other.name(),
    }
}

fn tensor(ty: &graph::Type) -> Type {
    let sizes = ty.shape.iter().map(|dim| dim.fixed().map(|n| n as u64)).collect();
    Type::Tensor { sizes, elem: Box::new(Type::word(word(ty.dtype))) }
}

/// A constant's numbers, where its sizes are known and its text is exact.
fn constant(node: &Node) -> Option<Attr> {
    let Some(graph::Attr::Floats(values)) = node.attrs.get("values").filter(|_| node.op.name() == "constant")
    else {
        return None;
    };
    let ty = node.types.first()?;
    let count = ty.elements()?;
    if node.attrs.get("decimal").is_some() && ty.dtype == axes::DType::F64 && values.len() != 1 {
        return None;
    }
    let sizes: Vec<i64> = ty.shape.iter().filter_map(Dim::fixed).map(|n| n as i64).collect();
    let splat = values.len() == 1 && count != 1;
    fn text<E: ir::Element>(sizes: &[i64], splat: bool, data: Vec<E::Rust>) -> String {
        match data.first() {
            Some(&one) if splat => format!("dense<{}>", E::literal(one)),
            _ => dense::<E>(sizes, &data),
        }
    }
    let body = match ty.dtype {
        axes::DType::F64 => text::<ir::F64>(&sizes, splat, values.to_vec()),
        axes::DType::F32 => text::<ir::F32>(&sizes, splat, values.iter().map(|&v| v as f32).collect()),
        axes::DType::BF16 => text::<ir::BF16>(&sizes, splat, values.iter().map(|&v| v as f32).collect()),
        axes::DType::F16 => text::<ir::F16>(&sizes, splat, values.iter().map(|&v| v as f32).collect()),
        axes::DType::I64 => text::<ir::I64>(&sizes, splat, values.iter().map(|&v| v as i64).collect()),
        axes::DType::I32 => text::<ir::I32>(&sizes, splat, values.iter().map(|&v| v as i32).collect()),
        axes::DType::Bool => text::<ir::I1>(&sizes, splat, values.iter().map(|&v| v != 0.0).collect()),
        _ => text::<ir::I8>(&sizes, splat, values.iter().map(|&v| v as i64 as i8).collect()),
    };
    Some(Attr::Other(format!("{body} : {}", tensor(ty))))
}

fn attribute(module: &mut Module, name: &str, attr: &graph::Attr) -> Attr {
    let integer = |n: i64| Attr::Int(n, Type::word("i64"));
    match attr {
        graph::Attr::Int(n) => integer(*n),
        graph::Attr::Float(v) => Attr::Float(*v, Type::word("f64")),
        graph::Attr::Bool(v) => Attr::Bool(*v),
        graph::Attr::Str(text) => Attr::Str(text.clone()),
        graph::Attr::Ints(all) => Attr::Array(all.iter().map(|&n| integer(n)).collect()),
        graph::Attr::Floats(all) => {
            Attr::Array(all.iter().map(|&v| Attr::Float(v, Type::word("f64"))).collect())
        }
        graph::Attr::Dims(all) => Attr::Array(
            all.iter()
                .map(|dim| dim.fixed().map_or_else(|| Attr::Str(dim.to_string()), |n| integer(n as i64)))
                .collect(),
        ),
        graph::Attr::DType(dtype) => Attr::Type(Type::word(word(*dtype))),
        graph::Attr::Graph(body) => {
            let own = format!("{name}_{}", module.functions.len());
            add(module, &own, true, body);
            Attr::Symbol(own)
        }
    }
}
