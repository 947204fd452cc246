//! The recogniser: which named operations a kernel is made of.
//!
//! It looks at formulas ([`crate::symbolic`]), never at the spelling. Each operation is matched by building what it would
//! compute, from roles read off one product of the formula, and comparing normal forms; so whatever is raised is equal to
//! the kernel by construction, under the assumptions that the report states.

mod attention;
mod products;
mod recurrence;
mod slice;

use crate::error::Result;
use crate::function::Kernel;
use crate::program::Program;
use crate::symbolic::{Assumptions, Decline, Formula, Place, Summary, Value, summarise};
use crate::term::{Atom, Fun, Names, Term};
use std::collections::{BTreeMap, BTreeSet};

/// A named operation that a kernel, or a part of it, is.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Raised {
    /// The operation of the dialect, such as `ternary_linear` or `ssm.state_update`.
    pub op: String,
    /// The result of the kernel that it gives, or is a part of.
    pub output: String,
    /// What plays which part, as formulas.
    pub operands: BTreeMap<String, String>,
    /// What it computes for one element.
    pub formula: String,
    /// The lines of the source that it stands for.
    pub lines: Vec<u32>,
}

/// A result that is no named operation, and why.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Declined {
    /// The result.
    pub output: String,
    /// The line of the source where the condition does not hold; 0 where it is the whole.
    pub line: u32,
    /// The condition.
    pub reason: String,
    /// What it computes for one element, where that is known.
    pub formula: Option<String>,
}

/// What the recogniser found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Findings {
    /// Named operations, in the order of the results.
    pub raised: Vec<Raised>,
    /// Results without one.
    pub declined: Vec<Declined>,
    /// What must hold for the arguments; checked where a raised form is used.
    pub requires: Vec<String>,
}

impl Findings {
    /// Whether an operation of that name was raised.
    pub fn has(&self, op: &str) -> bool {
        self.raised.iter().any(|r| r.op == op)
    }
}

impl Kernel {
    /// Which named operations the kernel is made of, and why not where it is not.
    ///
    /// ```
    /// let text = "fn f(h: &mut [f32], f: &[f32], c: &[f32]) {
    ///     for i in 0..h.len() {
    ///         h[i] += (1.0 - f[i]) * (c[i] - h[i]);
    ///     }
    /// }";
    /// let kernel = kernel::Kernel::parse_one(text, "f.rs", "f")?;
    /// assert!(kernel.raise()?.has("mlgru.step"));
    /// # Ok::<(), kernel::KernelError>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::Type`](crate::KernelError::Type) where the kernel does not fit together.
    pub fn raise(&self) -> Result<Findings> {
        let program = self.program()?;
        Ok(recognise(&program).0)
    }
}

/// A match before it is put into words.
pub(crate) struct Match {
    pub op: &'static str,
    pub roles: Vec<(&'static str, Term)>,
}

/// One formula with what the matchers need.
pub(crate) struct Subject<'a> {
    pub program: &'a Program,
    pub summary: &'a Summary,
    pub name: &'a str,
    pub place: &'a Place,
    pub axes: Vec<(u32, Term)>,
    pub value: Term,
}

pub(crate) fn recognise(program: &Program) -> (Findings, Summary) {
    let plain = summarise(program, &Assumptions::default());
    let first = findings(program, &plain);
    if first.declined.is_empty() {
        return (first, plain);
    }
    // A block length that must divide a size: taken for granted, and stated.
    let mut assumptions = plain.assumptions.clone();
    let mut found: BTreeMap<String, i128> = BTreeMap::new();
    for f in &plain.formulas {
        let mut look = |t: &Term| {
            let divided = std::cell::RefCell::new(vec![]);
            t.any(&|a| {
                if let Atom::Fn(Fun::Div, args) = a
                    && let (Some(Atom::Size(n)), Some(k)) = (args[0].as_atom(), args[1].as_int())
                {
                    divided.borrow_mut().push((n.to_string(), k));
                }
                false
            });
            for (n, k) in divided.into_inner() {
                let before = found.get(&n).copied().unwrap_or(1);
                found.insert(n, before / gcd(before, k) * k);
            }
        };
        match &f.value {
            Ok(Value::Scalar(t, _)) => look(t),
            Ok(Value::Array { value, axes, .. }) => {
                look(value);
                axes.iter().for_each(|(_, n)| look(n));
            }
            Err(_) => {}
        }
    }
    if found.is_empty() {
        found = plain.divided.clone();
    }
    for (name, k) in &found {
        if assumptions.sizes.contains_key(name) {
            continue;
        }
        let part = Term::atom(Atom::Size(format!("{name}/{k}").into()));
        assumptions.sizes.insert(name.clone(), part.scale(crate::term::Rat::int(*k)));
        assumptions.words.push(format!("{name} is a multiple of {k}"));
    }
    if found.is_empty() {
        return (first, plain);
    }
    let summary = summarise(program, &assumptions);
    let second = findings(program, &summary);
    if second.declined.len() < first.declined.len() { (second, summary) } else { (first, plain) }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs().max(1) } else { gcd(b, a % b) }
}

fn findings(program: &Program, summary: &Summary) -> Findings {
    let mut made = Findings { raised: vec![], declined: vec![], requires: summary.assumptions.words.clone() };
    if summary.formulas.is_empty() && !(program.results.is_empty() && program.params.is_empty()) {
        made.declined.push(Declined {
            output: "(all)".into(),
            line: 0,
            reason: "nothing is returned or written".into(),
            formula: None,
        });
    }
    // States first: outputs are made of them.
    let mut states: Vec<recurrence::State> = vec![];
    let subjects: Vec<(&Formula, std::result::Result<Subject, Decline>)> = (summary.formulas.iter())
        .map(|f| {
            let subject = f.value.clone().map(|v| {
                let (axes, value) = match v {
                    Value::Scalar(t, _) => (vec![], t),
                    Value::Array { axes, value, .. } => (axes, value),
                };
                Subject { program, summary, name: &f.name, place: &f.output, axes, value }
            });
            (f, subject)
        })
        .collect();
    for (_, s) in &subjects {
        if let Ok(s) = s
            && recurrence::step(s).is_ok()
        {
            states.extend(recurrence::state(s));
        }
    }
    for (f, s) in &subjects {
        let lines = slice::lines(program, &f.output);
        match s {
            Err(d) => made.declined.push(Declined {
                output: f.name.clone(),
                line: d.span.line,
                reason: d.reason.clone(),
                formula: None,
            }),
            Ok(s) => match classify(s, &states) {
                Ok(matches) => {
                    for m in matches {
                        made.raised.push(words(s, m, &lines));
                    }
                }
                Err(reason) => {
                    let mut names = names(s);
                    made.declined.push(Declined {
                        output: f.name.clone(),
                        line: lines.first().copied().unwrap_or(0),
                        reason,
                        formula: Some(names.show(&s.value)),
                    });
                }
            },
        }
    }
    made
}

fn names(s: &Subject) -> Names {
    let mut names = Names::default();
    for ((i, _), letter) in s.axes.iter().zip(["i", "o", "u", "w"]) {
        names.set(*i, letter);
    }
    names
}

fn words(s: &Subject, m: Match, lines: &[u32]) -> Raised {
    let formula = names(s).show(&s.value);
    let operands = m.roles.iter().map(|(role, t)| (role.to_string(), names(s).show(t))).collect();
    Raised { op: m.op.to_string(), output: s.name.to_string(), operands, formula, lines: lines.to_vec() }
}

/// The operations of one result; the first is the result itself, the others are parts of it.
fn classify(s: &Subject, states: &[recurrence::State]) -> std::result::Result<Vec<Match>, String> {
    let mut why = vec![];
    let parts = products::parts(s)?;
    let whole: [&dyn Fn() -> std::result::Result<Option<Match>, String>; 6] = [
        &|| products::whole(s),
        &|| recurrence::step(s),
        &|| recurrence::scan(s),
        &|| recurrence::output(s, states),
        &|| attention::whole(s, states),
        &|| products::contraction(s),
    ];
    for matcher in whole {
        match matcher() {
            Ok(Some(m)) => {
                let op = m.op;
                let mut all = vec![m];
                all.extend(parts.into_iter().filter(|p| p.op != op));
                all.extend(functions(&s.value, op));
                return Ok(all);
            }
            Ok(None) => {}
            Err(reason) => why.push(reason),
        }
    }
    if let Some(reason) = why.into_iter().next() {
        return Err(reason);
    }
    let elementwise = !s.value.any(&|a| matches!(a, Atom::Sum(_) | Atom::Rec(_)));
    if elementwise || !parts.is_empty() {
        if s.value.any(&|a| matches!(a, Atom::Fn(Fun::Opaque("wrap" | "as_narrower"), _))) {
            return Err("arithmetic in 8 or 16 bits may overflow: convert the operands to i32 first".into());
        }
        let mut all = parts;
        all.extend(functions(&s.value, ""));
        if elementwise {
            all.insert(0, Match { op: "map", roles: vec![] });
        }
        return Ok(all);
    }
    Err("its formula is none of the known operations".into())
}

/// The named functions in a formula.
fn functions(t: &Term, besides: &str) -> Vec<Match> {
    let found: std::cell::RefCell<BTreeSet<&'static str>> = Default::default();
    let shown = crate::term::with_tanh(t);
    let look = |a: &Atom| {
        match a {
            Atom::Fn(Fun::Sigmoid, _) => found.borrow_mut().insert("sigmoid"),
            Atom::Fn(Fun::Opaque("tanh"), _) => found.borrow_mut().insert("tanh"),
            Atom::Fn(Fun::Exp, _) => found.borrow_mut().insert("exp"),
            Atom::Ite(c, a, b) if b.is_zero() && c.as_atom() == Some(&Atom::Pos(a.clone())) => {
                found.borrow_mut().insert("relu")
            }
            _ => false,
        };
        false
    };
    shown.any(&look);
    // x σ(x).
    let silu = t.monos().any(|(m, _)| {
        m.0.iter().any(|(a, _)| match a {
            Atom::Fn(Fun::Sigmoid, args) => args[0].single().is_some_and(|(p, _)| {
                !p.0.is_empty() && p.0.iter().all(|(x, e)| m.0.iter().any(|(y, f)| x == y && f >= e))
            }),
            _ => false,
        })
    });
    if silu {
        found.borrow_mut().insert("silu");
        found.borrow_mut().remove("sigmoid");
    }
    found.into_inner().into_iter().filter(|f| *f != besides).map(|op| Match { op, roles: vec![] }).collect()
}
