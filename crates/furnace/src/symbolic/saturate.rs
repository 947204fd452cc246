//! Equality saturation (Tate et al. 2009; Willsey et al. 2021, "egg"): all rules at once, then the cheapest form.
//!
//! A rewriting system that applies one rule at a time has to choose, and `x/(1+x)` needs a longer step before the shorter
//! one. An e-graph keeps every form that the rules reach and chooses at the end. It pays on small expressions; on large
//! ones the number of forms explodes, so there are limits on nodes and rounds, and a result is only taken if it is
//! cheaper than what went in.

use super::clean;
use super::number::Rational;
use super::print;
use super::rules::{Guard, Kind, Rules, TABLE};
use crate::Result;
use egg::{
    Analysis, ConditionalApplier, DidMerge, EGraph, Id, Language, Pattern, RecExpr, Rewrite, Runner, Subst,
    SymbolLang, Var as PatternVar,
};
use graph::{Attr, Attrs, Cx, Graph, Op, Type, Value, Var};
use std::sync::LazyLock;
use std::time::Duration;

/// Nodes of an expression beyond which only the exact clean-up runs.
pub(super) const LARGEST: usize = 300;
/// Nodes of the e-graph at most.
const FORMS: usize = 6_000;
/// Rounds of all rules at most.
const ROUNDS: usize = 10;
/// For a machine that is too slow for the limits above; on others it never ends a search, so results do not depend on it.
const PATIENCE: Duration = Duration::from_secs(20);

type Forms = EGraph<SymbolLang, Facts>;

/// What is known of the numbers in an e-class.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    rules: Rules,
    /// Two different numbers came out equal: rules that assume something met an expression that is defined nowhere, such
    /// as 0/0.
    broken: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Known {
    number: Option<Rational>,
    truth: Option<bool>,
    positive: bool,
    not_negative: bool,
}

impl Analysis<SymbolLang> for Facts {
    type Data = Known;

    fn make(forms: &mut Forms, node: &SymbolLang, _: Id) -> Known {
        let real = forms.analysis.rules == Rules::Real;
        let of = |k: usize| node.children.get(k).map(|id| forms[*id].data).unwrap_or_default();
        let head = node.op.as_str();
        let mut known = Known::default();
        if node.children.is_empty() {
            known.number = Rational::parse(head);
            known.truth = ["true", "false"].contains(&head).then_some(head == "true");
        } else if let Some((op, how)) = op_of(head) {
            let numbers = (0..node.children.len()).map(|k| of(k).number).collect::<Option<Vec<_>>>();
            // Exactly means that no arithmetic rounds: operands and result are doubles, and no sign of zero is made up.
            let double = |x: &Rational| x.double().is_some();
            if let Some(x) = numbers.filter(|x| real || x.iter().all(double))
                && let Some(y) = clean::fold(op, how, &x)
            {
                match op {
                    Op::Compare => known.truth = Some(y == Rational::ONE),
                    _ if real || (double(&y) && y != Rational::ZERO) => known.number = Some(y),
                    _ => {}
                }
            }
        }
        let both = |f: fn(Known) -> bool| f(of(0)) && f(of(1));
        let (positive, not_negative) = match head {
            "exp" | "sigmoid" | "cosh" => (true, true),
            "abs" | "relu" | "sqrt" | "softplus" => (false, true),
            "*" if node.children[0] == node.children[1] => (false, true),
            "*" | "/" => (both(|k| k.positive), both(|k| k.not_negative)),
            "+" => (both(|k| k.not_negative) && (of(0).positive || of(1).positive), both(|k| k.not_negative)),
            "pow" => {
                let even =
                    of(1).number.and_then(|n| n.div(Rational::new(2, 1)?)).is_some_and(Rational::is_integer);
                (of(0).positive, even || of(0).not_negative)
            }
            _ => (false, false),
        };
        let sign = known.number.map(Rational::sign);
        known.positive = positive || sign == Some(1);
        known.not_negative = not_negative || known.positive || sign == Some(0);
        known
    }

    fn merge(&mut self, a: &mut Known, b: Known) -> DidMerge {
        self.broken |= a.number.is_some_and(|x| b.number.is_some_and(|y| x != y))
            || a.truth.is_some_and(|x| b.truth.is_some_and(|y| x != y));
        let all = Known {
            number: a.number.or(b.number),
            truth: a.truth.or(b.truth),
            positive: a.positive || b.positive,
            not_negative: a.not_negative || b.not_negative,
        };
        let did = DidMerge(all != *a, all != b);
        *a = all;
        did
    }

    fn modify(forms: &mut Forms, id: Id) {
        let known = forms[id].data;
        let leaf = match (known.number, known.truth) {
            (Some(x), _) => x.decimal(),
            (_, Some(t)) => Some(t.to_string()),
            _ => None,
        };
        if let Some(text) = leaf {
            let leaf = forms.add(SymbolLang::leaf(text));
            forms.union(id, leaf);
        }
    }
}

fn pattern(text: &str) -> Pattern<SymbolLang> {
    text.parse().unwrap_or_else(|e| panic!("the pattern `{text}` of the table: {e:?}"))
}

fn rewrites(real: bool) -> Vec<Rewrite<SymbolLang, Facts>> {
    let wanted = |kind: Kind| kind == Kind::Exact || real;
    let known = |text: &str| {
        let words = text.split(|c: char| c.is_whitespace() || "()".contains(c));
        let heads = words.filter(|w| w.starts_with(|c: char| c.is_ascii_lowercase()));
        heads.into_iter().all(|w| ["true", "false"].contains(&w) || op_of(w).is_some())
    };
    TABLE
        .iter()
        .filter(|r| wanted(r.kind) && known(r.from) && known(r.to))
        .filter_map(|r| {
            let (from, to) = (pattern(r.from), pattern(r.to));
            match r.guard {
                Guard::Always => Rewrite::new(r.name, from, to),
                guard => Rewrite::new(
                    r.name,
                    from,
                    ConditionalApplier { condition: condition(guard), applier: to },
                ),
            }
            .ok()
        })
        .collect()
}

fn condition(guard: Guard) -> impl Fn(&mut Forms, Id, &Subst) -> bool {
    let names: &[&str] = if guard == Guard::Whole { &["?n", "?m"] } else { &["?a"] };
    let vars: Vec<PatternVar> = names.iter().filter_map(|n| n.parse().ok()).collect();
    move |forms, _, subst| {
        let known = vars.iter().filter_map(|v| subst.get(*v)).map(|id| forms[*id].data);
        known.into_iter().all(|known| match guard {
            Guard::Always => true,
            Guard::NotZero => known.number != Some(Rational::ZERO),
            Guard::NotNegative => known.not_negative,
            Guard::Positive => known.positive,
            Guard::Whole => known.number.is_some_and(Rational::is_integer),
        })
    }
}

static EXACT: LazyLock<Vec<Rewrite<SymbolLang, Facts>>> = LazyLock::new(|| rewrites(false));
static REAL: LazyLock<Vec<Rewrite<SymbolLang, Facts>>> = LazyLock::new(|| rewrites(true));

/// A cheaper form of a clean scalar graph, or the graph.
pub(super) fn saturate(graph: &Graph, rules: Rules) -> Result<Graph> {
    let output = super::output(graph)?;
    if graph.nodes.len() > LARGEST {
        return Ok(graph.clone());
    }
    let Some(start) = to_forms(graph, output) else { return Ok(graph.clone()) };
    let runner: Runner<_, _> = Runner::new(Facts { rules, broken: false })
        .with_iter_limit(ROUNDS)
        .with_node_limit(FORMS)
        .with_time_limit(PATIENCE)
        .with_expr(&start)
        .run(if rules == Rules::Real { REAL.iter() } else { EXACT.iter() });
    if runner.egraph.analysis.broken {
        return Ok(graph.clone());
    }
    let Some(best) = cheapest(&runner.egraph, runner.roots[0]) else { return Ok(graph.clone()) };
    let found = clean::clean(&from_forms(graph, &best)?)?;
    // Parts that were shared can come out apart, so what counts is measured on the graphs.
    Ok(if price(&found) < price(graph) { found } else { graph.clone() })
}

/// What a node costs, roughly in additions; numbers and variables are read. `whole`: the last operand is a whole number;
/// `twice`: the operands are the same.
fn weight(head: &str, leaf: bool, whole: bool, twice: bool) -> u32 {
    match head {
        _ if leaf => 1,
        "pow" if whole => 7,
        // 2 a is as much work and easier to go on with.
        "+" if twice => 6,
        "neg" | "not" | "abs" => 2,
        "+" | "-" | "*" | "max" | "min" | "<" | "<=" | ">" | ">=" | "==" | "!=" | "if" | "and" | "or"
        | "relu" | "sign" | "floor" => 4,
        "/" => 8,
        "sqrt" => 10,
        _ => 30,
    }
}

/// The sum of all nodes' weights, and their number.
pub(super) fn price(graph: &Graph) -> (u32, usize) {
    let used = super::live(graph);
    let nodes = graph.nodes.iter().zip(&used).filter(|(_, used)| **used).map(|(n, _)| n);
    let weights = nodes.map(|n| {
        let whole = n.inputs.last().and_then(|v| clean::number(graph, *v)).is_some_and(Rational::is_integer);
        let twice = matches!(n.inputs[..], [a, b] if a == b);
        weight(&head_of(n).unwrap_or_default(), n.inputs.is_empty(), whole, twice)
    });
    (weights.sum(), used.iter().filter(|u| **u).count())
}

/// The form of least weight with shared parts counted once: greedily, class by class, until nothing improves.
/// (The best one is hard to find, Stepp 2011.)
fn cheapest(forms: &Forms, root: Id) -> Option<RecExpr<SymbolLang>> {
    struct Choice {
        node: SymbolLang,
        /// The classes that it needs, itself included, as bits; and the sum of their weights.
        needs: Vec<u64>,
        total: u64,
        own: u32,
    }
    let ids: Vec<Id> = forms.classes().map(|c| c.id).collect();
    let place: std::collections::HashMap<Id, usize> =
        ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let words = ids.len().div_ceil(64);
    let mut best: Vec<Option<Choice>> = ids.iter().map(|_| None).collect();
    for _ in 0..64 {
        let mut changed = false;
        for (i, id) in ids.iter().enumerate() {
            for node in &forms[*id].nodes {
                let children: Option<Vec<usize>> =
                    node.children().iter().map(|c| place.get(&forms.find(*c)).copied()).collect();
                let Some(children) = children.filter(|c| c.iter().all(|c| best[*c].is_some())) else {
                    continue;
                };
                let mut needs = vec![0u64; words];
                for choice in children.iter().filter_map(|c| best[*c].as_ref()) {
                    needs.iter_mut().zip(&choice.needs).for_each(|(a, b)| *a |= b);
                }
                // A part cannot contain itself.
                if needs[i / 64] >> (i % 64) & 1 == 1 {
                    continue;
                }
                let last = node.children.last().and_then(|c| forms[*c].data.number);
                let whole = last.is_some_and(Rational::is_integer);
                let twice = matches!(children[..], [a, b] if a == b);
                let own = weight(node.op.as_str(), node.children.is_empty(), whole, twice);
                let weigh = |j: usize| best[j].as_ref().map_or(0, |c| u64::from(c.own));
                let mut total = u64::from(own);
                for (w, bits) in needs.iter().enumerate() {
                    let mut bits = *bits;
                    while bits != 0 {
                        total += weigh(w * 64 + bits.trailing_zeros() as usize);
                        bits &= bits - 1;
                    }
                }
                needs[i / 64] |= 1 << (i % 64);
                if best[i].as_ref().is_none_or(|c| total < c.total) {
                    best[i] = Some(Choice { node: node.clone(), needs, total, own });
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    // Written out from the leaves; a stack of (class, whether its parts are written).
    let mut out = RecExpr::default();
    let mut written: std::collections::HashMap<usize, Id> = std::collections::HashMap::new();
    let mut stack = vec![(*place.get(&forms.find(root))?, false)];
    let mut steps = 0usize;
    while let Some((i, ready)) = stack.pop() {
        steps += 1;
        if written.contains_key(&i) {
            continue;
        }
        if steps > 64 * ids.len() {
            return None;
        }
        let choice = best[i].as_ref()?;
        let children: Vec<usize> = choice
            .node
            .children()
            .iter()
            .map(|c| place.get(&forms.find(*c)).copied())
            .collect::<Option<_>>()?;
        if !ready {
            stack.push((i, true));
            stack.extend(children.iter().rev().map(|c| (*c, false)));
            continue;
        }
        let ids: Vec<Id> = children.iter().map(|c| written.get(c).copied()).collect::<Option<_>>()?;
        written.insert(i, out.add(SymbolLang::new(choice.node.op, ids)));
    }
    Some(out)
}

const HEADS: [(&str, Op); 12] = [
    ("+", Op::Add),
    ("-", Op::Subtract),
    ("*", Op::Multiply),
    ("/", Op::Divide),
    ("pow", Op::Power),
    ("neg", Op::Negate),
    ("max", Op::Maximum),
    ("min", Op::Minimum),
    ("if", Op::Select),
    ("and", Op::And),
    ("or", Op::Or),
    ("not", Op::Not),
];
const SIGNS: [(&str, &str); 6] =
    [("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge"), ("==", "eq"), ("!=", "ne")];

/// The op of a head, and how it compares.
fn op_of(head: &str) -> Option<(Op, &'static str)> {
    if let Some((_, op)) = HEADS.iter().find(|(h, _)| *h == head) {
        return Some((*op, ""));
    }
    if let Some((_, how)) = SIGNS.iter().find(|(h, _)| *h == head) {
        return Some((Op::Compare, how));
    }
    Op::from_name(head).map(|op| (op, ""))
}

/// The head of a node: a sign, the op's name, `$x` for a variable, a number as a decimal.
fn head_of(n: &graph::Node) -> Option<String> {
    match n.op {
        Op::Constant if n.types[0].dtype == axes::DType::Bool => {
            let holds = matches!(n.attrs.get("values"), Some(Attr::Floats(v)) if v.first() != Some(&0.0));
            Some(holds.to_string())
        }
        Op::Constant => print::decimal(n),
        Op::Compare => SIGNS.iter().find(|(_, how)| *how == n.attrs.str("how")).map(|(h, _)| h.to_string()),
        op if n.attrs.iter().next().is_none() => {
            let head = HEADS.iter().find(|(_, o)| *o == op).map_or(op.name(), |(h, _)| *h);
            Some(head.to_string())
        }
        _ => None,
    }
}

fn to_forms(graph: &Graph, output: Value) -> Option<RecExpr<SymbolLang>> {
    let used = super::live(graph);
    let mut out = RecExpr::default();
    let mut map: Vec<Option<Id>> = vec![None; graph.nodes.len()];
    for (i, n) in graph.nodes.iter().enumerate().filter(|(i, _)| used[*i]) {
        let head = match n.op {
            Op::Input => {
                let named = graph.inputs.iter().find(|x| x.value.node as usize == i)?;
                format!("${}", named.name)
            }
            _ => head_of(n)?,
        };
        let children = n.inputs.iter().map(|v| map[v.node as usize]).collect::<Option<Vec<_>>>()?;
        map[i] = Some(out.add(SymbolLang::new(head, children)));
    }
    // The whole has to come last.
    (output.node as usize == graph.nodes.len() - 1
        || map[output.node as usize] == Some(Id::from(out.len() - 1)))
    .then_some(out)
}

fn from_forms(like: &Graph, forms: &RecExpr<SymbolLang>) -> Result<Graph> {
    let cx = Cx::abstract_();
    let number = Type::scalar(axes::DType::F64);
    let inputs: Vec<(String, Var)> = like
        .inputs
        .iter()
        .map(|i| (format!("${}", i.name), cx.input(&i.name, like.ty(i.value).clone())))
        .collect();
    let mut map: Vec<Var> = vec![];
    for node in forms.iter() {
        let head = node.op.as_str();
        let children: Vec<&Var> = node.children.iter().map(|c| &map[usize::from(*c)]).collect();
        let made = if let Some((_, var)) = inputs.iter().find(|(n, _)| n == head) {
            var.clone()
        } else if let Some(truth) = ["false", "true"].iter().position(|t| *t == head) {
            cx.full(&Type::scalar(axes::DType::Bool), truth as f64)
        } else if children.is_empty() {
            cx.decimal(&number, head)
        } else {
            let (op, how) =
                op_of(head).ok_or_else(|| super::unfit("a rule made an op that does not exist"))?;
            let attrs = match op {
                Op::Compare => Attrs::new().with("how", Attr::Str(how.to_string())),
                _ => Attrs::new(),
            };
            cx.push1(op, attrs, &children)
        };
        map.push(made);
    }
    let y = map.last().cloned().ok_or_else(|| super::unfit("an empty form"))?;
    Ok(cx.finish(&[("y", &y)])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_table_is_well_formed() {
        for rule in TABLE {
            pattern(rule.from);
            pattern(rule.to);
        }
        let lost: Vec<_> = TABLE.iter().filter(|r| !REAL.iter().any(|w| w.name.as_str() == r.name)).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}
