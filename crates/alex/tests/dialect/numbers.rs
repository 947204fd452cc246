//! Numbers of the plain lowering, computed by MLIR's own runner and beside plain loops in Rust.

use std::fmt::Write as _;

use alex::dialect::verify;

use crate::tools::{printed, tool};

/// Lowers a function, runs it on the inputs, and gives everything that it writes, in order.
fn evaluate(text: &str, inputs: &[&[f64]]) -> Option<Vec<f64>> {
    tool("mlir-runner")?;
    let module = verify(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let name = module.functions[0].name.clone();
    let lowered = module.lower().unwrap_or_else(|error| panic!("{error}"));
    let head = lowered.lines().find(|line| line.contains("func.func")).expect("a function");
    let types: Vec<&str> =
        head.split(": ").skip(1).map(|part| &part[..=part.find('>').expect("a memref")]).collect();
    let (mut globals, mut body, mut names) = (String::new(), String::new(), Vec::new());
    for (k, ty) in types.iter().enumerate() {
        names.push(format!("%m{k}"));
        match inputs.get(k) {
            Some(values) => {
                let rows: usize = ty["memref<".len()..].split('x').next().unwrap().parse().unwrap();
                let float = !ty.contains("xi");
                let number = |v: &f64| if float { format!("{v:.17}") } else { format!("{v}") };
                let list: Vec<String> = values
                    .chunks(values.len() / rows)
                    .map(|row| format!("[{}]", row.iter().map(number).collect::<Vec<_>>().join(", ")))
                    .collect();
                let _ = writeln!(
                    globals,
                    "memref.global \"private\" constant @g{k} : {ty} = dense<[{}]>",
                    list.join(", ")
                );
                let _ = writeln!(body, "%m{k} = memref.get_global @g{k} : {ty}");
            }
            None => {
                let _ = writeln!(body, "%m{k} = memref.alloc() : {ty}");
            }
        }
    }
    let _ = writeln!(body, "func.call @{name}({}) : ({}) -> ()", names.join(", "), types.join(", "));
    for (k, ty) in types.iter().enumerate().skip(inputs.len()) {
        let element = ty.trim_end_matches('>').rsplit('x').next().unwrap();
        let _ = writeln!(
            body,
            "%r{k} = memref.dim %m{k}, %c0 : {ty}\n%w{k} = memref.dim %m{k}, %c1 : {ty}\n\
             scf.for %i = %c0 to %r{k} step %c1 {{\nscf.for %j = %c0 to %w{k} step %c1 {{\n\
             %v = memref.load %m{k}[%i, %j] : {ty}\nvector.print %v : {element}\n}}\n}}"
        );
    }
    let driver = format!(
        "{globals}func.func @main() {{\n%c0 = arith.constant 0 : index\n%c1 = arith.constant 1 : index\n{body}return\n}}\n}}\n"
    );
    let text = lowered.trim_end().strip_suffix('}').expect("a module").to_owned() + &driver;
    printed(&text)
}

/// Numbers that look random and are the same each time.
fn numbers(count: usize, seed: u32) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 16) / 32768.0 - 1.0
        })
        .collect()
}

fn near(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (k, (a, b)) in found.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= 2e-5 * b.abs().max(1.0), "{k}: {a} {b}");
    }
}

fn round_even(v: f64) -> f64 {
    v.round_ties_even()
}

fn trits(w: &[f64]) -> (Vec<f64>, f64) {
    let mean = (w.iter().map(|v| v.abs()).sum::<f64>() / w.len() as f64).max(1e-5);
    (w.iter().map(|v| round_even(v / mean).clamp(-1.0, 1.0)).collect(), mean)
}

#[test]
fn products_agree_in_every_layout() {
    let (n, k, rows) = (6, 261, 2);
    let (x, w) = (numbers(rows * k, 1), numbers(n * k, 2));
    let (t, factor) = trits(&w);
    let wanted: Vec<f64> = (0..rows * n)
        .map(|at| factor * (0..k).map(|j| t[at % n * k + j] * x[at / n * k + j]).sum::<f64>())
        .collect();
    for layout in axes::TritLayout::ALL {
        for other in ["compute", "storage"] {
            let vector = |n: usize, axis: &str| {
                format!("!fidelity.vector<[{rows} : index], {n} : index, f32, \"{axis}\", \"\">")
            };
            let ternary = |layout: &str| {
                format!(
                    "!fidelity.ternary<{n} : index, {k} : index, \"Out\", \"In\", \"{layout}\", \"\", \"\">"
                )
            };
            let matrix =
                format!("!fidelity.matrix<{n} : index, {k} : index, f32, \"Out\", \"In\", \"\", \"\">");
            let (x_ty, y_ty, first, second) =
                (vector(k, "In"), vector(n, "Out"), ternary(layout.name()), ternary(other));
            let text = format!(
                "func.func @f(%x: {x_ty}, %w: {matrix}) -> {y_ty} {{\n\
                 %t = \"fidelity.quantize_weights\"(%w) : ({matrix}) -> {first}\n\
                 %u = \"fidelity.repack\"(%t) : ({first}) -> {second}\n\
                 %y = \"fidelity.ternary_linear\"(%x, %u) : ({x_ty}, {second}) -> {y_ty}\n\
                 return %y : {y_ty}\n}}\n"
            );
            let Some(found) = evaluate(&text, &[&x, &w]) else { return };
            near(&found, &wanted);
        }
    }
}

#[test]
fn quantised_activations_are_multiplied_as_integers() {
    let (n, k) = (3, 40);
    let (x, w) = (numbers(k, 3), numbers(n * k, 4));
    let (t, factor) = trits(&w);
    let scale = 127.0 / x.iter().fold(1e-5_f64, |m, v| m.max(v.abs()));
    let q: Vec<f64> = x.iter().map(|v| round_even(v * scale)).collect();
    let wanted: Vec<f64> =
        (0..n).map(|i| factor / scale * (0..k).map(|j| t[i * k + j] * q[j]).sum::<f64>()).collect();
    let text = format!(
        "func.func @f(%x: tensor<{k}xf32>, %w: tensor<{n}x{k}xf32>) -> (tensor<{n}xi32>, tensor<{n}xf32>) {{\n\
         %q, %s = \"fidelity.quantize_activations\"(%x) : (tensor<{k}xf32>) -> (tensor<{k}xi8>, tensor<f32>)\n\
         %t, %m = \"fidelity.quantize_weights\"(%w) : (tensor<{n}x{k}xf32>) -> (tensor<{n}x{k}xi8>, tensor<f32>)\n\
         %i = \"fidelity.ternary_sum\"(%q, %t) : (tensor<{k}xi8>, tensor<{n}x{k}xi8>) -> tensor<{n}xi32>\n\
         %y = \"fidelity.ternary_linear\"(%x, %t, %m) : (tensor<{k}xf32>, tensor<{n}x{k}xi8>, tensor<f32>) -> tensor<{n}xf32>\n\
         return %i, %y : tensor<{n}xi32>, tensor<{n}xf32>\n}}\n"
    );
    let Some(found) = evaluate(&text, &[&x, &w]) else { return };
    let sums: Vec<f64> = wanted.iter().map(|v| v * scale / factor).collect();
    near(&found[..n], &sums);
    let plain: Vec<f64> = (0..n).map(|i| factor * (0..k).map(|j| t[i * k + j] * x[j]).sum::<f64>()).collect();
    near(&found[n..], &plain);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn the_gated_recurrence_over_time() {
    let (lead, steps, n) = (2, 5, 7);
    let (h, f, c, g) = (
        numbers(lead * n, 5),
        numbers(lead * steps * n, 6),
        numbers(lead * steps * n, 7),
        numbers(lead * steps * n, 8),
    );
    let mut state = h.clone();
    let mut wanted = vec![0.0; lead * steps * n];
    for l in 0..lead {
        for t in 0..steps {
            for i in 0..n {
                let (at, h) = ((l * steps + t) * n + i, &mut state[l * n + i]);
                *h = sigmoid(f[at]) * *h + (1.0 - sigmoid(f[at])) * c[at];
                wanted[at] = g[at] * *h;
            }
        }
    }
    wanted.extend(&state);
    let s = format!("!fidelity.state<[{lead} : index], {n} : index, f32, \"H\", \"\">");
    let v = format!("!fidelity.vector<[{lead} : index, {steps} : index], {n} : index, f32, \"H\", \"\">");
    let text = format!(
        "func.func @f(%h: {s}, %f: {v}, %c: {v}, %g: {v}) -> ({v}, {s}) {{\n\
         %s = \"fidelity.sigmoid\"(%f) : ({v}) -> {v}\n\
         %y, %l = \"fidelity.mlgru.scan\"(%h, %s, %c, %g) : ({s}, {v}, {v}, {v}) -> ({v}, {s})\n\
         return %y, %l : {v}, {s}\n}}\n"
    );
    let Some(found) = evaluate(&text, &[&h, &f, &c, &g]) else { return };
    near(&found, &wanted);
}

#[test]
fn a_state_space_over_time() {
    let (n, steps) = (4, 9);
    let (s, x, a, b, c) = (numbers(n, 9), numbers(steps, 10), numbers(n, 11), numbers(n, 12), numbers(n, 13));
    let mut state = s.clone();
    let mut wanted = Vec::new();
    for &x in &x {
        (0..n).for_each(|i| state[i] = a[i] * state[i] + b[i] * x);
        wanted.push((0..n).map(|i| c[i] * state[i]).sum::<f64>());
    }
    wanted.extend(&state);
    let (v, i) = (format!("tensor<{n}xf64>"), format!("tensor<{steps}xf64>"));
    let text = format!(
        "func.func @f(%s: {v}, %x: {i}, %a: {v}, %b: {v}, %c: {v}) -> ({i}, {v}) {{\n\
         %y, %l = \"fidelity.ssm.scan\"(%s, %x, %a, %b, %c) : ({v}, {i}, {v}, {v}, {v}) -> ({i}, {v})\n\
         return %y, %l : {i}, {v}\n}}\n"
    );
    let Some(found) = evaluate(&text, &[&s, &x, &a, &b, &c]) else { return };
    near(&found, &wanted);
}

#[test]
fn linear_attention_with_its_normaliser() {
    let (steps, k, v) = (4, 3, 2);
    let positive = |count, seed| numbers(count, seed).iter().map(|x| x.abs() + 0.1).collect::<Vec<f64>>();
    let (s, z) = (vec![0.0; k * v], vec![0.0; k]);
    let (q, key, value) = (positive(steps * k, 14), positive(steps * k, 15), numbers(steps * v, 16));
    let (mut state, mut norm) = (s.clone(), z.clone());
    let mut wanted = Vec::new();
    for t in 0..steps {
        for i in 0..k {
            norm[i] += key[t * k + i];
            (0..v).for_each(|j| state[i * v + j] += key[t * k + i] * value[t * v + j]);
        }
        let size: f64 = (0..k).map(|i| norm[i] * q[t * k + i]).sum();
        wanted.extend(
            (0..v).map(|j| (0..k).map(|i| state[i * v + j] * q[t * k + i]).sum::<f64>() / size.max(1e-6)),
        );
    }
    wanted.extend(&state);
    wanted.extend(&norm);
    let st = format!("!fidelity.matrix_state<[], {k} : index, {v} : index, f32, \"K\", \"V\", \"\">");
    let zt = format!("!fidelity.state<[], {k} : index, f32, \"K\", \"\">");
    let kt = format!("!fidelity.vector<[{steps} : index], {k} : index, f32, \"K\", \"\">");
    let vt = format!("!fidelity.vector<[{steps} : index], {v} : index, f32, \"V\", \"\">");
    let text = format!(
        "func.func @f(%s: {st}, %z: {zt}, %q: {kt}, %k: {kt}, %v: {vt}) -> ({vt}, {st}, {zt}) {{\n\
         %y, %t, %n = \"fidelity.linear_attention.scan\"(%s, %z, %q, %k, %v) {{eps = 1.0e-6 : f32}} : ({st}, {zt}, {kt}, {kt}, {vt}) -> ({vt}, {st}, {zt})\n\
         return %y, %t, %n : {vt}, {st}, {zt}\n}}\n"
    );
    let Some(found) = evaluate(&text, &[&s, &z, &q, &key, &value]) else { return };
    near(&found, &wanted);
}

#[test]
fn norms_losses_and_choices() {
    let (rows, n) = (3, 11);
    let (x, w) = (numbers(rows * n, 17), numbers(n, 18));
    let labels = [4.0, -100.0, 10.0];
    let mut normed = Vec::new();
    for row in x.chunks(n) {
        let root = (row.iter().map(|v| v * v).sum::<f64>() / n as f64 + 1e-6).sqrt();
        normed.extend(row.iter().zip(&w).map(|(v, w)| v / root * w));
    }
    let mut loss = 0.0;
    for (row, label) in normed.chunks(n).zip(labels) {
        if label >= 0.0 {
            loss += row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label as usize];
        }
    }
    let mut wanted = normed.clone();
    wanted.push(loss / 2.0);
    wanted.extend(
        normed.chunks(n).map(|row| (0..n).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as f64),
    );
    let v = format!("!fidelity.vector<[{rows} : index], {n} : index, f32, \"H\", \"\">");
    let p = format!("!fidelity.vector<[], {n} : index, f32, \"H\", \"\">");
    let (t, l) = (format!("!fidelity.tokens<[{rows} : index], \"H\">"), "!fidelity.scalar<[], f32, \"\">");
    let text = format!(
        "func.func @f(%x: {v}, %w: {p}, %t: {t}) -> ({v}, {l}, {t}) {{\n\
         %y = \"fidelity.rms_norm\"(%x, %w) {{eps = 1.0e-6 : f32}} : ({v}, {p}) -> {v}\n\
         %l = \"fidelity.cross_entropy\"(%y, %t) : ({v}, {t}) -> {l}\n\
         %c = \"fidelity.argmax\"(%y) : ({v}) -> {t}\n\
         return %y, %l, %c : {v}, {l}, {t}\n}}\n"
    );
    let Some(found) = evaluate(&text, &[&x, &w, &labels]) else { return };
    near(&found, &wanted);
}
