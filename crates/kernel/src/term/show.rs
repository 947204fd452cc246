//! Terms as text, for reports: short, in the names of the source.

use super::poly::{Atom, Fun, Mono, Term};
use super::rat::Rat;
use super::sum;
use std::collections::HashMap;

/// Names of indices, given as they come up.
#[derive(Default)]
pub(crate) struct Names {
    known: HashMap<u32, String>,
    used: usize,
}

impl Names {
    pub(crate) fn set(&mut self, index: u32, name: &str) {
        self.known.insert(index, name.to_string());
    }

    fn index(&mut self, i: u32) -> String {
        if let Some(n) = self.known.get(&i) {
            return n.clone();
        }
        const LETTERS: [&str; 8] = ["j", "k", "l", "m", "n", "p", "q", "r"];
        let name = match LETTERS.get(self.used) {
            Some(l) => (*l).to_string(),
            None => format!("i{}", self.used),
        };
        self.used += 1;
        self.known.insert(i, name.clone());
        name
    }

    /// The term as text.
    pub(crate) fn show(&mut self, t: &Term) -> String {
        if t.is_zero() {
            return "0".into();
        }
        let t = with_tanh(t);
        let mut out = String::new();
        // What begins with a plus first.
        let mut list: Vec<(Mono, Rat)> = t.monos().map(|(m, c)| (m.clone(), c)).collect();
        list.sort_by_key(|(m, c)| (c.sign() < 0, m.0.is_empty()));
        for (m, c) in list {
            let sign = if c.sign() < 0 { "- " } else { "+ " };
            let size = if c.sign() < 0 { -c } else { c };
            match (out.is_empty(), c.sign() < 0) {
                (true, true) => out.push('-'),
                (true, false) => {}
                _ => out.push_str(&format!(" {sign}")),
            }
            out.push_str(&self.mono(&m, size));
        }
        out
    }

    fn mono(&mut self, m: &Mono, c: Rat) -> String {
        let mut above = vec![];
        let mut below = vec![];
        if c != Rat::ONE || m.0.is_empty() {
            above.push(format!("{}", c.to_f64()));
        }
        for (a, e) in &m.0 {
            let text = self.atom(a);
            let list = if *e > 0 { &mut above } else { &mut below };
            list.push(if e.abs() == 1 { text } else { format!("{text}^{}", e.abs()) });
        }
        if above.is_empty() {
            above.push("1".into());
        }
        // A sum reads to its end, so it stands last.
        let mut text = above.join("·");
        for b in below {
            text = format!("{text} / {b}");
        }
        text
    }

    fn group(&mut self, t: &Term) -> String {
        let text = self.show(t);
        if t.len() > 1 { format!("({text})") } else { text }
    }

    fn place(&mut self, name: &str, at: &Term) -> String {
        format!("{name}[{}]", self.show(at))
    }

    fn atom(&mut self, a: &Atom) -> String {
        match a {
            Atom::Size(n) | Atom::Param(n) => n.to_string(),
            Atom::Const(b) => format!("{}", f64::from_bits(*b)),
            Atom::Index(i) => self.index(*i),
            Atom::Bound(l, p) => format!("b{l}_{p}"),
            Atom::Load(n, at, _) => self.place(n, at),
            Atom::Phi(_) => "(before)".into(),
            Atom::PhiLoad(_, at) => format!("(before)[{}]", self.show(at)),
            Atom::Sum(s) => {
                let (vars, body) = sum::open(s);
                let names: Vec<String> =
                    vars.iter().map(|(v, n)| format!("{}<{}", self.index(*v), self.show(n))).collect();
                format!("Σ({}) {}", names.join(", "), self.mono(&body, Rat::ONE))
            }
            Atom::Rec(r) => {
                let (v, gate, drive) = sum::open_rec(r);
                let (name, count) = (self.index(v), self.show(&r.count));
                let (gate, drive, init) = (self.group(&gate), self.show(&drive), self.show(&r.init));
                format!("[h ← {gate}·h + {drive} for {name}<{count}, h = {init}]")
            }
            Atom::Fn(f, args) => {
                let list: Vec<String> = args.iter().map(|t| self.show(t)).collect();
                let name = match f {
                    Fun::Opaque("tanh") => "tanh",
                    Fun::Opaque(n) => n,
                    Fun::Exp => "exp",
                    Fun::Sigmoid => "sigmoid",
                    Fun::Sqrt => "sqrt",
                    Fun::Ln => "ln",
                    Fun::Sin => "sin",
                    Fun::Cos => "cos",
                    Fun::Floor => "floor",
                    Fun::Ceil => "ceil",
                    Fun::Round => "round",
                    Fun::RoundTiesEven => "round_ties_even",
                    Fun::Trunc => "trunc",
                    Fun::Pow => "pow",
                    Fun::Div => "div",
                    Fun::Min => "min",
                    Fun::Max => "max",
                    Fun::SatSub => "saturating_sub",
                };
                format!("{name}({})", list.join(", "))
            }
            Atom::Ite(c, a, b) => {
                let (c, a, b) = (self.show(c), self.show(a), self.show(b));
                format!("(if {c} then {a} else {b})")
            }
            Atom::Pos(t) => format!("[{} > 0]", self.show(t)),
            Atom::Zero(t) => format!("[{} = 0]", self.show(t)),
            Atom::Group(t) => self.group(t),
        }
    }
}

/// 2 m σ(2 q) − m written as m tanh(q).
pub(crate) fn with_tanh(t: &Term) -> Term {
    for (m, c) in t.monos() {
        let Some(at) = m.0.iter().position(|(a, e)| *e == 1 && matches!(a, Atom::Fn(Fun::Sigmoid, _))) else {
            continue;
        };
        let mut rest = m.clone();
        let (sigmoid, _) = rest.0.remove(at);
        let half = -(c * Rat::new(1, 2));
        if t.0.get(&rest) == Some(&half)
            && let Atom::Fn(_, args) = sigmoid
        {
            let q = args[0].scale(Rat::new(1, 2));
            let tanh = Atom::Fn(Fun::Opaque("tanh"), vec![q]);
            let mut with = rest.clone();
            with.0.push((tanh, 1));
            with.0.sort();
            let less = t.sub(&Term::monomial(m.clone(), c)).sub(&Term::monomial(rest, half));
            return with_tanh(&less.add(&Term::monomial(with, c * Rat::new(1, 2))));
        }
    }
    t.clone()
}
