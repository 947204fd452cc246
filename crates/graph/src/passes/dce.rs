//! Dead code. Outputs and taps are roots; inputs of the graph stay.
//!
//! Control flow is pruned result by result: a `scan` loses stacked outputs that nobody reads, carried values that only
//! feed themselves, and the constants and sequences that its smaller body no longer needs. The residuals of a
//! differentiated loop go this way.

use super::Rewriter;
use crate::attrs::{Attr, Attrs};
use crate::ir::{Graph, Node};
use crate::op::Op;
use std::collections::HashSet;
use std::sync::Arc;

/// The graph without what no output and no tap depends on, in regions too.
pub fn dead_code(graph: &Graph) -> Graph {
    let mut live: Vec<Vec<bool>> = graph.nodes.iter().map(|n| vec![false; n.types.len()]).collect();
    for root in graph.outputs.iter().chain(&graph.taps) {
        live[root.value.node as usize][root.value.out as usize] = true;
    }
    // Backwards, so that a node's users are known; the pruned form decides which operands it still needs.
    let mut pruned: Vec<Option<Pruned>> = vec![];
    pruned.resize_with(graph.nodes.len(), || None);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if !live[i].contains(&true) {
            continue;
        }
        let p = prune(node, &live[i]);
        p.node.inputs.iter().for_each(|v| live[v.node as usize][v.out as usize] = true);
        pruned[i] = Some(p);
    }
    let listed: HashSet<u32> = graph.inputs.iter().map(|n| n.value.node).collect();
    let mut r = Rewriter::new(graph);
    for (i, (old, p)) in graph.nodes.iter().zip(pruned).enumerate() {
        let results = match p {
            Some(p) => {
                let made = r.push(r.moved(&p.node));
                // A dropped result has no user; any value does for its place in the map.
                p.results.iter().map(|out| made[out.unwrap_or(0)]).collect()
            }
            None if listed.contains(&(i as u32)) => r.push(old.clone()),
            None => vec![],
        };
        r.map.push(results);
    }
    r.finish()
}

/// A node without its dead parts, and for each old result its new number.
struct Pruned {
    node: Node,
    results: Vec<Option<usize>>,
}

fn prune(node: &Node, live: &[bool]) -> Pruned {
    match node.op {
        Op::Scan => prune_scan(node, live),
        Op::Cond => prune_cond(node, live),
        Op::While => prune_while(node, live),
        _ => {
            let attrs = super::map_regions(&node.attrs, &dead_code);
            Pruned { node: Node { attrs, ..node.clone() }, results: (0..live.len()).map(Some).collect() }
        }
    }
}

/// Which inputs of a region the marked outputs (and the taps) depend on.
fn needs(g: &Graph, outputs: &[bool]) -> Vec<bool> {
    let mut used = vec![false; g.nodes.len()];
    for (o, _) in g.outputs.iter().zip(outputs).filter(|(_, wanted)| **wanted) {
        used[o.value.node as usize] = true;
    }
    g.taps.iter().for_each(|t| used[t.value.node as usize] = true);
    for i in (0..g.nodes.len()).rev() {
        if used[i] {
            g.nodes[i].inputs.iter().for_each(|v| used[v.node as usize] = true);
        }
    }
    g.inputs.iter().map(|i| used[i.value.node as usize]).collect()
}

/// The elements whose mark is set.
fn marked<T: Clone>(list: &[T], marks: &[bool]) -> Vec<T> {
    list.iter().zip(marks).filter(|(_, m)| **m).map(|(x, _)| x.clone()).collect()
}

fn count(marks: &[bool]) -> i64 {
    marks.iter().filter(|m| **m).count() as i64
}

/// A region with only the marked inputs and outputs.
fn narrowed(g: &Arc<Graph>, inputs: &[bool], outputs: &[bool]) -> Attr {
    let mut new = g.as_ref().clone();
    new.outputs = marked(&g.outputs, outputs);
    new.inputs = marked(&g.inputs, inputs);
    let new = dead_code(&new);
    Attr::Graph(if new == **g { g.clone() } else { Arc::new(new) })
}

/// New numbers of the results that are kept.
fn renumber(kept: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0..;
    kept.iter().map(|k| if *k { next.next() } else { None }).collect()
}

/// The rows of `types`, `inputs` and `attrs` that are left.
fn shrunk(node: &Node, attrs: Attrs, inputs: &[bool], results: &[bool]) -> Pruned {
    let node = Node {
        attrs,
        inputs: marked(&node.inputs, inputs),
        types: marked(&node.types, results),
        ..node.clone()
    };
    Pruned { node, results: renumber(results) }
}

/// The carried values that are read after the loop, or that those depend on. `from` is where they begin among the
/// body's inputs; the body's other outputs follow the carried ones and are given in `others`.
fn carried(body: &Graph, from: usize, mut keep: Vec<bool>, others: &[bool]) -> Vec<bool> {
    loop {
        let outputs = [&keep[..], others].concat();
        let needed = needs(body, &outputs);
        let next: Vec<bool> = keep.iter().zip(&needed[from..]).map(|(k, n)| *k || *n).collect();
        if next == keep {
            return keep;
        }
        keep = next;
    }
}

fn prune_scan(node: &Node, live: &[bool]) -> Pruned {
    let body = node.attrs.graph("body").expect("a scan has a body");
    let (nc, nk) = (node.attrs.int("consts", 0) as usize, node.attrs.int("carries", 0) as usize);
    let (carries, stacked) = live.split_at(nk);
    let carries = carried(body, nc, carries.to_vec(), stacked);
    let results = [&carries[..], stacked].concat();
    let mut inputs = needs(body, &results);
    // A carried value that the body does not read is still where the last one comes from.
    inputs[nc..nc + nk].copy_from_slice(&carries);
    let attrs = node.attrs.clone().with("body", narrowed(body, &inputs, &results));
    let attrs =
        attrs.with("consts", Attr::Int(count(&inputs[..nc]))).with("carries", Attr::Int(count(&carries)));
    shrunk(node, attrs, &inputs, &results)
}

fn prune_cond(node: &Node, live: &[bool]) -> Pruned {
    let [then, otherwise] = ["then", "else"].map(|k| node.attrs.graph(k).expect("a cond has two regions"));
    let both = needs(then, live).into_iter().zip(needs(otherwise, live));
    let used: Vec<bool> = both.map(|(a, b)| a || b).collect();
    let attrs = node.attrs.clone().with("then", narrowed(then, &used, live));
    let attrs = attrs.with("else", narrowed(otherwise, &used, live));
    shrunk(node, attrs, &[&[true], &used[..]].concat(), live)
}

fn prune_while(node: &Node, live: &[bool]) -> Pruned {
    let [cond, body] = ["cond", "body"].map(|k| node.attrs.graph(k).expect("a while has two regions"));
    let nc = node.attrs.int("cond_consts", 0) as usize;
    let nb = node.attrs.int("body_consts", 0) as usize;
    let tested = needs(cond, &[true]);
    let keep = live.iter().zip(&tested[nc..]).map(|(l, t)| *l || *t).collect();
    let keep = carried(body, nb, keep, &[]);
    let used = needs(body, &keep);
    let (cond_consts, body_consts) = (&tested[..nc], &used[..nb]);
    let attrs = node.attrs.clone();
    let attrs = attrs.with("cond", narrowed(cond, &[cond_consts, &keep].concat(), &[true]));
    let attrs = attrs.with("body", narrowed(body, &[body_consts, &keep].concat(), &keep));
    let attrs = attrs.with("cond_consts", Attr::Int(count(cond_consts)));
    let attrs = attrs.with("body_consts", Attr::Int(count(body_consts)));
    shrunk(node, attrs, &[cond_consts, body_consts, &keep].concat(), &keep)
}
