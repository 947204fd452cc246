//! The rules that every graph keeps. Each pass is followed by this check in tests, and text that is read passes it.

use crate::attrs::Attr;
use crate::error::{GraphError, Result};
use crate::ir::{Graph, Named, Node, Value};
use crate::op::Op;
use crate::types::Type;
use crate::{Dim, dim};
use std::collections::{BTreeSet, HashSet};

impl Graph {
    /// Checks the rules of the intermediate form: operands come before their users; types are those that inference
    /// finds; inputs, outputs and taps name values that exist, under names that are unique in their list; every
    /// `input` node is an input; attributes are those of the op's row; regions keep the same rules.
    ///
    /// # Errors
    /// [`GraphError::Malformed`] with the first node that breaks a rule. What is wrong inside a region is reported at
    /// the node that has the region.
    pub fn verify(&self) -> Result<()> {
        for (i, node) in self.nodes.iter().enumerate() {
            self.check_node(i, node).map_err(|problem| malformed(i, node.op.name(), problem))?;
        }
        let mut listed = HashSet::new();
        for input in &self.inputs {
            let v = input.value;
            let fail = |problem: String| malformed(v.node as usize, "input", problem);
            if self.nodes.get(v.node as usize).is_none_or(|n| n.op != Op::Input || v.out != 0) {
                return Err(fail(format!(
                    "the input `{}` is %{}, which is no `input` node",
                    input.name, v.node
                )));
            }
            if !listed.insert(v.node) {
                return Err(fail(format!("the input `{}` is listed twice", input.name)));
            }
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if node.op == Op::Input && !listed.contains(&(i as u32)) {
                return Err(malformed(i, "input", "not in the list of inputs".into()));
            }
        }
        self.check_names("input", &self.inputs)?;
        self.check_names("output", &self.outputs)?;
        self.check_names("tap", &self.taps)
    }

    fn exists(&self, v: Value) -> bool {
        self.nodes.get(v.node as usize).is_some_and(|n| (v.out as usize) < n.types.len())
    }

    fn check_names(&self, kind: &'static str, list: &[Named]) -> Result<()> {
        let mut seen = HashSet::new();
        for n in list {
            let fail = |problem| Err(malformed(n.value.node as usize, kind, problem));
            if !self.exists(n.value) {
                return fail(format!(
                    "the {kind} `{}` is %{}#{}, which is not there",
                    n.name, n.value.node, n.value.out
                ));
            }
            if !seen.insert(&n.name) {
                return fail(format!("two {kind}s are called `{}`", n.name));
            }
        }
        Ok(())
    }

    fn check_node(&self, i: usize, n: &Node) -> Result<(), String> {
        for (k, v) in n.inputs.iter().enumerate() {
            if v.node as usize >= i {
                return Err(format!("operand {k} is %{}, which does not come before", v.node));
            }
            if !self.exists(*v) {
                return Err(format!("operand {k} is %{}#{}, which is not there", v.node, v.out));
            }
        }
        if n.scope as usize >= self.scopes.len() {
            return Err(format!("the scope {} is not there", n.scope));
        }
        n.types.iter().flat_map(|t| &t.shape).try_for_each(check_size)?;
        for (key, attr) in n.attrs.iter() {
            if !n.op.attr_names().contains(&key) {
                return Err(format!("has no attribute `{key}`; it has: {}", n.op.attr_names().join(", ")));
            }
            match attr {
                Attr::Graph(g) => g.verify().map_err(|e| format!("region `{key}`: {e}"))?,
                Attr::Dims(dims) => dims.iter().try_for_each(check_size)?,
                _ => {}
            }
        }
        if n.op == Op::Input {
            return match (n.inputs.len(), n.types.len()) {
                (0, 1) => Ok(()),
                (operands, types) => Err(format!("has {operands} operands and {types} types")),
            };
        }
        let operands: Vec<Type> = n.inputs.iter().map(|v| self.ty(*v).clone()).collect();
        let types = n.op.infer(&n.attrs, &operands)?;
        if types != n.types {
            return Err(format!("has the types {:?}, inference finds {types:?}", n.types));
        }
        Ok(())
    }
}

fn malformed(node: usize, op: &'static str, problem: String) -> GraphError {
    GraphError::Malformed { node, op, problem }
}

/// A size is not negative, fits the arithmetic of sizes, and its symbols can be read back.
fn check_size(d: &Dim) -> Result<(), String> {
    let mut symbols = BTreeSet::new();
    d.symbols(&mut symbols);
    if d.saturated() || (d.fixed().is_none() && symbols.is_empty()) {
        return Err(format!("{d} is not a size"));
    }
    match symbols.iter().find(|s| !dim::is_symbol(s)) {
        Some(s) => Err(format!("`{s}` is not the name of a size: use letters, digits and `_`")),
        None => Ok(()),
    }
}
