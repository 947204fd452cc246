//! One malformed graph for each rule of the verifier.

use axes::DType;
use graph::{Attr, Cx, Dim, Graph, Named, Type, Value};
use std::sync::Arc;

fn good() -> Graph {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [Dim::from("B"), Dim::from(3)]));
    let w = cx.input("w", Type::new(DType::F32, [3]));
    let n = x.rms_norm(&w, 1e-6);
    let (_, ys) = cx.scan(&[], &[&x], false, |_, xs| (vec![], vec![&xs[0] * &w]));
    let c = cx.array(DType::F32, &[3], &[1.0, 2.0, 3.0]);
    cx.tap("n", &n);
    cx.finish(&[("y", &ys[0]), ("z", &(&n * &c.broadcast_like(&n)))]).unwrap()
}

fn rejects(expected: &str, damage: impl FnOnce(&mut Graph)) {
    let mut g = good();
    g.verify().unwrap();
    damage(&mut g);
    let error = g.verify().unwrap_err().to_string();
    assert!(error.contains(expected), "wanted `{expected}`, got: {error}");
}

fn find(g: &Graph, op: graph::Op) -> usize {
    g.nodes.iter().position(|n| n.op == op).unwrap()
}

#[test]
fn operands() {
    use graph::Op;
    rejects("does not come before", |g| {
        let i = find(g, Op::RmsNorm);
        g.nodes[i].inputs[0] = Value { node: i as u32, out: 0 };
    });
    rejects("does not come before", |g| {
        let i = find(g, Op::RmsNorm);
        g.nodes[i].inputs[0].node = u32::MAX;
    });
    rejects("%0#3, which is not there", |g| {
        let i = find(g, Op::RmsNorm);
        g.nodes[i].inputs[0] = Value { node: 0, out: 3 };
    });
    rejects("takes 2 operands, got 1", |g| {
        let i = find(g, Op::RmsNorm);
        g.nodes[i].inputs.pop();
    });
}

#[test]
fn types_and_sizes() {
    use graph::Op;
    rejects("inference finds", |g| {
        let i = find(g, Op::RmsNorm);
        g.nodes[i].types[1] = Type::scalar(DType::F32);
    });
    rejects("2 values for f32[3]", |g| {
        let i = find(g, Op::Constant);
        let values = Attr::Floats(Arc::new(vec![1.0, 2.0]));
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("values", values);
    });
    rejects("-1 is not a size", |g| g.nodes[0].types[0].shape[0] = &Dim::from(1) - &Dim::from(2));
    rejects("is not the name of a size", |g| g.nodes[0].types[0].shape[0] = Dim::symbol("two words"));
    rejects("the scope 9 is not there", |g| g.nodes[2].scope = 9);
}

#[test]
fn names() {
    rejects("which is no `input` node", |g| g.inputs[0].value.node = 2);
    rejects("which is no `input` node", |g| g.inputs[0].value.node = 1000);
    rejects("is listed twice", |g| g.inputs[0].value.node = 1);
    rejects("not in the list of inputs", |g| drop(g.inputs.pop()));
    rejects("two inputs are called `x`", |g| g.inputs[1].name = "x".into());
    rejects("two outputs are called `y`", |g| g.outputs[1].name = "y".into());
    rejects("two taps are called `n`", |g| g.taps.push(g.taps[0].clone()));
    rejects("the output `y` is %0#1, which is not there", |g| g.outputs[0].value = Value { node: 0, out: 1 });
    rejects("the tap `t` is %77#0", |g| {
        g.taps.push(Named { name: "t".into(), value: Value { node: 77, out: 0 } });
    });
}

#[test]
fn attributes_and_inputs() {
    use graph::Op;
    rejects("has no attribute `axis`", |g| {
        g.nodes[2].attrs = g.nodes[2].attrs.clone().with("axis", Attr::Int(1))
    });
    rejects("has 1 operands and 1 types", |g| g.nodes[1].inputs.push(Value { node: 0, out: 0 }));
    rejects("needs a length", |g| {
        let i = find(g, Op::Scan);
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("length", Attr::Int(3));
    });
}

#[test]
fn regions() {
    use graph::Op;
    rejects("region `body`: node %", |g| {
        let i = find(g, Op::Scan);
        let mut body = g.nodes[i].attrs.graph("body").unwrap().as_ref().clone();
        body.nodes.last_mut().unwrap().types[0] = Type::scalar(DType::F64);
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("body", Attr::Graph(Arc::new(body)));
    });
    rejects("region `body`", |g| {
        let i = find(g, Op::Scan);
        let mut body = g.nodes[i].attrs.graph("body").unwrap().as_ref().clone();
        body.outputs[0].value.node = u32::MAX;
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("body", Attr::Graph(Arc::new(body)));
    });
    rejects("takes at least 9223372036854775807 operands", |g| {
        let i = find(g, Op::Scan);
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("carries", Attr::Int(i64::MAX));
        g.nodes[i].attrs = g.nodes[i].attrs.clone().with("consts", Attr::Int(0));
    });
}
