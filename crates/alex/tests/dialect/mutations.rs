//! Random mutations of accepted modules: our verdict is MLIR's on every one of them.

use std::path::Path;

use alex::dialect::{Attr, Func, Module, Type, table, verify};

use crate::tools::{irdl_file, tool, verdicts};

/// SplitMix64 (Steele, Lea and Flood 2014), with a seed that stays.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// The accepted modules over types of the dialect alone.
fn accepted() -> Vec<Module> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect");
    let mut modules = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "mlir")) {
        let text = std::fs::read_to_string(path).unwrap();
        for case in text.split("// -----\n").filter(|case| case.starts_with("// check: accept\n")) {
            if !case.contains("tensor<") {
                modules.push(verify(case).unwrap());
            }
        }
    }
    modules
}

fn parameter(r: &mut Random, old: &Attr) -> Attr {
    match r.below(8) {
        0 => Attr::size(r.pick(&[1, 64, 100, 256])),
        1 => Attr::text(r.pick(&["m/s", "m", "kg", "", "Hidden", "In", "compute", "storage", "T"])),
        2 => Attr::Type(Type::word(r.pick(&["f32", "f64", "i8", "bf16", "index", "i7"]))),
        3 => Attr::Array(vec![Attr::size(8); r.below(3)]),
        4 => match old {
            Attr::Int(n, _) => Attr::Int(*n, Type::word("i32")),
            Attr::Str(text) => Attr::text(&format!("{text}'")),
            other => other.clone(),
        },
        5 => Attr::Bool(true),
        _ => kin(r, old),
    }
}

/// Another attribute of the same kind.
fn kin(r: &mut Random, old: &Attr) -> Attr {
    match old {
        Attr::Int(n, ty) => Attr::Int(n + 1, ty.clone()),
        Attr::Str(_) => Attr::text(r.pick(&["m/s", "m", "kg", "", "Hidden", "Out", "interchange"])),
        Attr::Type(_) => Attr::Type(Type::word(r.pick(&["f16", "f32", "f64", "f80", "f128", "i32"]))),
        Attr::Array(items) => Attr::Array(items.iter().cloned().chain([Attr::size(2)]).collect()),
        other => other.clone(),
    }
}

/// Replaces an attribute wherever it stands in the module's types and attributes.
fn everywhere(module: &mut Module, old: &Attr, new: &Attr) {
    fn attr(a: &mut Attr, old: &Attr, new: &Attr) {
        if a == old {
            *a = new.clone();
            return;
        }
        match a {
            Attr::Array(items) => items.iter_mut().for_each(|a| attr(a, old, new)),
            Attr::Fidelity { parameters, .. } => parameters.iter_mut().for_each(|a| attr(a, old, new)),
            _ => {}
        }
    }
    for f in &mut module.functions {
        let types = f.values.iter_mut().map(|known| &mut known.ty).chain(&mut f.results);
        for ty in types {
            if let Type::Fidelity { parameters, .. } = ty {
                parameters.iter_mut().for_each(|a| attr(a, old, new));
            }
        }
        for (_, a) in f.ops.iter_mut().flat_map(|op| &mut op.attributes) {
            attr(a, old, new);
        }
    }
}

fn returned(f: &mut Func) {
    if let Some(values) = &f.returned {
        f.results = values.iter().map(|&v| f.known(v).ty.clone()).collect();
    }
}

fn mutate(r: &mut Random, module: &mut Module) {
    let way = r.below(16);
    let f = &mut module.functions[0];
    let value = r.below(f.values.len());
    let op = r.below(f.ops.len());
    match way {
        // A parameter of one value's type, and of what the function returns.
        0..=2 => {
            if let Type::Fidelity { parameters, .. } = &mut f.values[value].ty {
                let k = r.below(parameters.len());
                parameters[k] = parameter(r, &parameters[k].clone());
            }
            returned(f);
        }
        // The same thing everywhere: a renamed axis or unit, another size or element type.
        3..=6 => {
            if let Type::Fidelity { parameters, .. } = f.values[value].ty.clone() {
                let old = r.pick(&parameters);
                let new = if r.below(4) == 0 { parameter(r, &old) } else { kin(r, &old) };
                everywhere(module, &old, &new);
            }
        }
        7 => {
            let operands = &mut f.ops[op].operands;
            let (a, b) = (r.below(operands.len()), r.below(operands.len()));
            if a < operands.len() {
                operands.swap(a, b);
            }
        }
        8 => {
            let k = r.below(f.ops[op].operands.len());
            if k < f.ops[op].operands.len() {
                f.ops[op].operands.remove(k);
            }
        }
        9 if !f.arguments.is_empty() => {
            let other = r.pick(&f.arguments);
            f.ops[op].operands.push(other);
        }
        10 if !f.arguments.is_empty() => {
            let other = r.pick(&f.arguments);
            let k = r.below(f.ops[op].operands.len());
            if let Some(operand) = f.ops[op].operands.get_mut(k) {
                *operand = other;
            }
        }
        11 => {
            let name = match r.below(4) {
                0 => format!("{}x", f.ops[op].name),
                _ => format!("fidelity.{}", table::ops()[r.below(table::ops().len())].symbol()),
            };
            f.ops[op].name = name;
        }
        12 => {
            let attributes = &mut f.ops[op].attributes;
            match (r.below(3), attributes.is_empty()) {
                (0, false) => {
                    attributes.remove(0);
                }
                (1, false) => attributes[0].1 = parameter(r, &attributes[0].1.clone()),
                _ => attributes.push(("note".to_owned(), parameter(r, &Attr::Unit))),
            }
        }
        13 => {
            if let Type::Fidelity { parameters, .. } = &mut f.values[value].ty {
                if r.below(2) == 0 {
                    parameters.pop();
                } else {
                    parameters.push(Attr::text(""));
                }
            }
            returned(f);
        }
        14 => {
            let new = table::TYPES[r.below(table::TYPES.len())].name.to_owned();
            if let Type::Fidelity { name, .. } = &mut f.values[value].ty {
                *name = if r.below(3) == 0 { format!("{name}s") } else { new };
            }
            returned(f);
        }
        // What the function says that it returns is no longer what it returns.
        _ => {
            if let Some(Type::Fidelity { parameters, .. }) = f.results.first_mut() {
                let k = r.below(parameters.len());
                parameters[k] = parameter(r, &parameters[k].clone());
            }
        }
    }
}

/// `FIDELITY_SEED` chooses other mutations than those that are tried each time.
#[test]
fn our_verdict_is_mlirs_on_a_thousand_mutations() {
    let modules = accepted();
    assert!(modules.len() > 60, "{}", modules.len());
    let seed = std::env::var("FIDELITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(6);
    let mut r = Random(seed);
    let cases: Vec<String> = (0..1000)
        .map(|_| {
            let mut module = r.pick(&modules);
            (0..1 + r.below(2)).for_each(|_| mutate(&mut r, &mut module));
            module.to_string()
        })
        .collect();
    let ours: Vec<Result<(), String>> =
        cases.iter().map(|case| verify(case).map(|_| ()).map_err(|e| e.to_string())).collect();
    let accepted = ours.iter().filter(|verdict| verdict.is_ok()).count();
    println!("{accepted} of 1000 mutations accepted, {} rejected", 1000 - accepted);
    assert!((200..=800).contains(&accepted), "{accepted}");
    if tool("mlir-opt").is_none() {
        return;
    }
    let irdl = irdl_file();
    let texts: Vec<&str> = cases.iter().map(String::as_str).collect();
    let theirs = verdicts(irdl.path(), &texts);
    let mut differ = 0;
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        if ours.is_ok() != theirs.is_empty() {
            differ += 1;
            println!("ours: {ours:?}\ntheirs: {theirs:?}\n{case}");
        }
    }
    println!("{} verdicts agree with MLIR's, {differ} differ", 1000 - differ);
    assert_eq!(differ, 0);
}
