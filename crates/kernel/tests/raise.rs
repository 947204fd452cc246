//! The recogniser: the article's kernels and rewritings of them are raised; what is nearly one of them is not.

use kernel::Kernel;

fn findings(text: &str) -> kernel::Findings {
    let all = Kernel::parse(text, "t.rs").unwrap_or_else(|e| panic!("{e}\n{text}"));
    let kernel = all.iter().find(|k| k.name() == "f").expect("a function f");
    kernel.raise().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn raises(op: &str, text: &str) {
    let f = findings(text);
    assert!(f.has(op), "{op} expected of\n{text}\n{f:#?}");
}

fn declines(ops: &[&str], reason: &str, text: &str) {
    let f = findings(text);
    assert!(ops.iter().all(|op| !f.has(op)), "{ops:?} not expected of\n{text}\n{f:#?}");
    let told = f.declined.iter().any(|d| d.reason.contains(reason));
    assert!(told || reason.is_empty(), "`{reason}` expected of\n{text}\n{f:#?}");
}

#[test]
fn the_articles_kernels_are_raised() {
    let ops: &[(&str, &[&str])] = &[
        ("ternary_accumulate", &["ternary_accumulate"]),
        ("ternary_matvec", &["ternary_linear"]),
        ("ssm_step", &["ssm.state_update", "ssm.output"]),
        ("ssm_scan", &["ssm.scan"]),
        ("linear_attention", &["linear_attention"]),
        ("linear_attention_step", &["linear_attention.state_update", "linear_attention.output"]),
        ("mlgru_step", &["mlgru.step", "gate", "sigmoid", "tanh"]),
        ("mlgru_scan", &["mlgru.scan"]),
        ("mlgru_forward", &["mlgru.step", "gate", "ternary_linear", "sigmoid", "tanh"]),
    ];
    for (k, (name, ops)) in kernel::article::all().iter().zip(ops) {
        assert_eq!(k.name(), *name);
        let f = k.raise().unwrap();
        for op in *ops {
            assert!(f.has(op), "{op} of {name}: {f:#?}");
        }
        assert!(name.contains("linear_attention_step") || f.declined.is_empty(), "{name}: {f:#?}");
    }
}

const MATVEC: &str = "w: &TernaryMatrix<In, Out>, x: &Tensor<(In,)>, y: &mut Tensor<(Out,)>";

#[test]
fn ternary_products_in_other_words() {
    for body in [
        // Loops swapped.
        "for o in 0..w.outputs() { y[[o]] = 0.0; }
         for i in 0..w.inputs() { for o in 0..w.outputs() { match w.trit(o, i) { 1 => y[[o]] += x[[i]], -1 => y[[o]] -= x[[i]], _ => {} } } }",
        // `if`, a local sum, comparisons turned round.
        "for o in 0..w.outputs() {
             let mut sum = 0.0;
             for i in 0..w.inputs() {
                 let t = w.trit(o, i);
                 if 0 < t { sum += x[[i]]; } else if t < 0 { sum = sum - x[[i]]; }
             }
             y[[o]] = sum;
         }",
        // Multiplication by the trit.
        "for o in 0..w.outputs() {
             y[[o]] = (0..w.inputs()).map(|i| w.trit(o, i) as f32 * x[[i]]).sum();
         }",
        "for o in 0..w.outputs() {
             y[[o]] = (0..w.inputs()).fold(0.0, |s, i| f32::from(w.trit(o, i)).mul_add(x[[i]], s));
         }",
        // Iterators over rows of the trits.
        "for (row, y) in w.trits().chunks_exact(w.inputs()).zip(y.as_mut_slice()) {
             *y = row.iter().zip(x.as_slice()).map(|(&t, &x)| match t { 1 => x, -1 => -x, _ => 0.0 }).sum();
         }",
        // Blocked, with a shorter last block.
        "for o in 0..w.outputs() {
             let mut sum = 0.0;
             for b in (0..w.inputs()).step_by(8) {
                 for i in b..(b + 8).min(w.inputs()) {
                     match w.trit(o, i) { 1 => sum += x[[i]], -1 => sum -= x[[i]], _ => {} }
                 }
             }
             y[[o]] = sum;
         }",
        // Blocks that must fit.
        "for ob in 0..w.outputs() / 4 { for o in 0..4 {
             y[[ob * 4 + o]] = 0.0;
             for ib in 0..w.inputs() / 8 { for i in 0..8 {
                 match w.trit(ob * 4 + o, ib * 8 + i) { 1 => y[[ob * 4 + o]] += x[[ib * 8 + i]], -1 => y[[ob * 4 + o]] -= x[[ib * 8 + i]], _ => {} }
             } }
         } }",
        // Unrolled by two, with a rest.
        "for o in 0..w.outputs() {
             let n = w.inputs();
             let (mut a, mut b) = (0.0, 0.0);
             for i in 0..n / 2 {
                 a += w.trit(o, 2 * i) as f32 * x[[2 * i]];
                 b += w.trit(o, 2 * i + 1) as f32 * x[[2 * i + 1]];
             }
             for i in n / 2 * 2..n { a += w.trit(o, i) as f32 * x[[i]]; }
             y[[o]] = a + b;
         }",
        // Additions first, subtractions after.
        "for o in 0..w.outputs() {
             let mut plus = 0.0;
             let mut minus = 0.0;
             for i in 0..w.inputs() { if w.trit(o, i) == 1 { plus += x[[i]]; } }
             for i in 0..w.inputs() { if w.trit(o, i) == -1 { minus += x[[i]]; } }
             y[[o]] = plus - minus;
         }",
        // Skipping zeros.
        "for o in 0..w.outputs() {
             let mut sum = 0.0;
             for i in (0..w.inputs()).rev() {
                 if w.trit(o, i) == 0 { continue; }
                 if w.trit(o, i) == 1 { sum += x[[i]] } else { sum -= x[[i]] }
             }
             y[[o]] = sum;
         }",
        // Lanes.
        "for o in 0..w.outputs() {
             let mut lanes = [0.0; 4];
             for b in 0..w.inputs() / 4 { for l in 0..4 { lanes[l] += w.trit(o, b * 4 + l) as f32 * x[[b * 4 + l]]; } }
             y[[o]] = lanes.iter().sum();
         }",
        // The first round apart.
        "for o in 0..w.outputs() {
             let mut sum = w.trit(o, 0) as f32 * x[[0]];
             for i in 1..w.inputs() { sum += w.trit(o, i) as f32 * x[[i]]; }
             y[[o]] = sum;
         }",
        // Filter.
        "for o in 0..w.outputs() {
             let p: f32 = (0..w.inputs()).filter(|&i| w.trit(o, i) > 0).map(|i| x[[i]]).sum();
             let m: f32 = (0..w.inputs()).filter(|&i| w.trit(o, i) < 0).map(|i| x[[i]]).sum();
             y[[o]] = p - m;
         }",
    ] {
        raises("ternary_accumulate", &format!("fn f({MATVEC}) {{ {body} }}"));
    }
    // With scales: of the matrix, of rows, inside and outside of the loop.
    for body in [
        "for o in 0..w.outputs() { let mut s = 0.0; for i in 0..w.inputs() { s += w.trit(o, i) as f32 * x[[i]]; } y[[o]] = s / w.scale(); }",
        "for o in 0..w.outputs() { y[[o]] = 0.0; for i in 0..w.inputs() { y[[o]] += w.trit(o, i) as f32 * x[[i]] * w.scale_factor(); } }",
        "let k = 1.0 / w.scale();
         for o in 0..w.outputs() { let mut s = 0.0; for i in 0..w.inputs() { let z = x[[i]] * k; match w.trit(o, i) { -1 => s -= z, 1 => s += z, _ => {} } } y[[o]] = s; }",
    ] {
        raises("ternary_linear", &format!("fn f({MATVEC}) {{ {body} }}"));
    }
    raises(
        "ternary_linear",
        "fn row(w: &[i8], x: &[f32]) -> f32 {
             let mut s = 0.0;
             for (t, v) in w.iter().zip(x) { if *t == 1 { s += v; } else if *t == -1 { s -= v; } }
             s
         }
         fn f(w: &[i8], x: &[f32], scales: &[f32], y: &mut [f32]) {
             let k = x.len();
             for o in 0..y.len() { y[o] = row(&w[o * k..(o + 1) * k], x) * scales[o]; }
         }",
    );
    raises(
        "ternary_accumulate",
        "fn f(w: &[i8], x: &[i8], y: &mut [i32], k: usize) {
             for (row, y) in w.chunks(k).zip(y.iter_mut()) {
                 *y += row.iter().zip(x).map(|(&t, &x)| match t { 1 => x as i32, -1 => -(x as i32), _ => 0 }).sum::<i32>();
             }
         }",
    );
    // Column-major.
    raises(
        "ternary_accumulate",
        "fn f(w: &[i8], x: &[f32], y: &mut [f32]) {
             let (k, m) = (x.len(), y.len());
             y.fill(0.0);
             for j in 0..k { for i in 0..m {
                 if w[j * m + i] == 1 { y[i] += x[j]; }
                 if w[j * m + i] == -1 { y[i] -= x[j]; }
             } }
         }",
    );
}

#[test]
fn near_ternary_products_are_declined() {
    let ops = ["ternary_accumulate", "ternary_linear"];
    for (body, reason) in [
        // No term for −1.
        (
            "y[[o]] = 0.0; for i in 0..w.inputs() { if w.trit(o, i) == 1 { y[[o]] += x[[i]]; } }",
            "-1 counts 0 times",
        ),
        // Both added.
        (
            "y[[o]] = 0.0; for i in 0..w.inputs() { match w.trit(o, i) { 1 => y[[o]] += x[[i]], -1 => y[[o]] += x[[i]], _ => {} } }",
            "-1 counts 1 times",
        ),
        // Zero counts.
        (
            "y[[o]] = 0.0; for i in 0..w.inputs() { if w.trit(o, i) == 1 { y[[o]] += x[[i]]; } else { y[[o]] -= x[[i]]; } }",
            "",
        ),
        // Exchanged.
        (
            "y[[o]] = 0.0; for i in 0..w.inputs() { match w.trit(o, i) { 1 => y[[o]] -= x[[i]], -1 => y[[o]] += x[[i]], _ => {} } }",
            "exchanged",
        ),
        // One input missing.
        ("y[[o]] = 0.0; for i in 1..w.inputs() { y[[o]] += w.trit(o, i) as f32 * x[[i]]; }", ""),
        ("y[[o]] = 0.0; for i in 0..w.inputs() - 1 { y[[o]] += w.trit(o, i) as f32 * x[[i]]; }", ""),
        // Another input than the trit's.
        ("y[[o]] = 0.0; for i in 0..w.inputs() - 1 { y[[o]] += w.trit(o, i) as f32 * x[[i + 1]]; }", ""),
        ("y[[o]] = 0.0; for i in 0..w.inputs() { y[[o]] += w.trit(o, i) as f32 * x[[o]]; }", ""),
        // Overwritten.
        ("for i in 0..w.inputs() { y[[o]] = w.trit(o, i) as f32 * x[[i]]; }", ""),
        // A power of the sum.
        ("y[[o]] = 0.0; for i in 0..w.inputs() { y[[o]] += y[[o]] + w.trit(o, i) as f32 * x[[i]]; }", ""),
    ] {
        declines(&ops, reason, &format!("fn f({MATVEC}) {{ for o in 0..w.outputs() {{ {body} }} }}"));
    }
    declines(
        &ops,
        "",
        &format!(
            "fn f({MATVEC}) {{ for o in 0..w.outputs() - 1 {{ y[[o]] = 0.0; for i in 0..w.inputs() {{ y[[o]] += w.trit(o, i) as f32 * x[[i]]; }} }} }}"
        ),
    );
    // Bytes that may overflow.
    declines(&ops, "", "fn f(w: &TernaryMatrix<In, Out>, x: &Tensor<(In,), i8>, y: &mut Tensor<(Out,), i32>) {
        for o in 0..w.outputs() { y[[o]] = 0; for i in 0..w.inputs() { y[[o]] += (w.trit(o, i) * x[[i]]) as i32; } }
    }");
    declines(&ops, "", "fn f(w: &TernaryMatrix<In, Out>, x: &Tensor<(In,), i8>, y: &mut Tensor<(Out,), i8>) {
        for o in 0..w.outputs() { for i in 0..w.inputs() { if w.trit(o, i) == 1 { y[[o]] += x[[i]]; } else if w.trit(o, i) == -1 { y[[o]] -= x[[i]]; } } }
    }");
}

const SSM: &str = "s: &mut [f32], x: f32, a: &[f32], b: &[f32], c: &[f32]";

#[test]
fn state_space_steps_in_other_words() {
    for body in [
        "let mut y = 0.0; for i in 0..s.len() { s[i] = a[i] * s[i] + b[i] * x; y += c[i] * s[i]; } y",
        "for i in 0..s.len() { s[i] *= a[i]; } for i in 0..s.len() { s[i] += x * b[i]; } s.iter().zip(c).map(|(s, c)| c * s).sum()",
        "for ((s, a), b) in s.iter_mut().zip(a).zip(b) { *s = a.mul_add(*s, b * x); } let mut y = 0.0; for i in (0..c.len()).rev() { y += s[i] * c[i]; } y",
        "let old = s.to_vec(); let mut y = 0.0; for i in 0..old.len() { let n = b[i] * x + old[i] * a[i]; s[i] = n; y += n * c[i]; } y",
        "let n = s.len(); let mut y = 0.0; for k in 0..n / 2 { for l in 0..2 { let i = 2 * k + l; s[i] = a[i] * s[i] + b[i] * x; y += c[i] * s[i]; } } y",
        "let n = s.len(); let (mut y, mut z) = (0.0, 0.0); for k in 0..n / 2 { s[2 * k] = a[2 * k] * s[2 * k] + b[2 * k] * x; s[2 * k + 1] = a[2 * k + 1] * s[2 * k + 1] + b[2 * k + 1] * x; y += c[2 * k] * s[2 * k]; z += c[2 * k + 1] * s[2 * k + 1]; } y + z",
    ] {
        let text = format!("fn f({SSM}) -> f32 {{ {body} }}");
        raises("ssm.state_update", &text);
        raises("ssm.output", &text);
    }
    // Over a sequence, all in one.
    for body in [
        "for t in 0..x.len() { let mut o = 0.0; for i in 0..s.len() { s[i] = a[i] * s[i] + b[i] * x[t]; o += c[i] * s[i]; } y[t] = o; }",
        "for (x, y) in x.iter().zip(y.iter_mut()) { for i in 0..s.len() { s[i] = a[i] * s[i] + b[i] * x; } *y = 0.0; for i in 0..s.len() { *y += c[i] * s[i]; } }",
        "for t in 0..x.len() { y[t] = 0.0; } for i in 0..s.len() { let mut h = s[i]; for t in 0..x.len() { h = a[i] * h + b[i] * x[t]; y[t] += c[i] * h; } s[i] = h; }",
    ] {
        let text = format!(
            "fn f(s: &mut [f32], x: &[f32], a: &[f32], b: &[f32], c: &[f32], y: &mut [f32]) {{ {body} }}"
        );
        raises("ssm.scan", &text);
        assert!(findings(&text).declined.is_empty(), "{text}\n{:#?}", findings(&text));
    }
}

#[test]
fn near_state_space_steps_are_declined() {
    for (body, ops) in [
        // The output reads the state before the step.
        (
            "let mut y = 0.0; for i in 0..s.len() { y += c[i] * s[i]; s[i] = a[i] * s[i] + b[i] * x; } y",
            &["ssm.output"][..],
        ),
        // The input is subtracted.
        (
            "let mut y = 0.0; for i in 0..s.len() { s[i] = a[i] * s[i] - b[i] * x; y += c[i] * s[i]; } y",
            &["ssm.state_update", "ssm.output"],
        ),
        // A neighbour's state.
        (
            "let mut y = 0.0; for i in 1..s.len() { s[i] = a[i] * s[i - 1] + b[i] * x; } for i in 0..s.len() { y += c[i] * s[i]; } y",
            &["ssm.state_update", "ssm.output"],
        ),
        // One state is left out.
        (
            "let mut y = 0.0; for i in 1..s.len() { s[i] = a[i] * s[i] + b[i] * x; } for i in 0..s.len() { y += c[i] * s[i]; } y",
            &["ssm.state_update", "ssm.output"],
        ),
        // The square of the state.
        (
            "let mut y = 0.0; for i in 0..s.len() { s[i] = a[i] * s[i] * s[i] + b[i] * x; y += c[i] * s[i]; } y",
            &["ssm.state_update"],
        ),
        // Multiplied after the input was added.
        (
            "let mut y = 0.0; for i in 0..s.len() { s[i] += b[i] * x; y += c[i] * s[i]; s[i] *= a[i]; } y",
            &["ssm.output"],
        ),
    ] {
        declines(ops, "", &format!("fn f({SSM}) -> f32 {{ {body} }}"));
    }
}

const GRU: &str = "h: &mut [f32], f_: &[f32], c: &[f32]";

#[test]
fn gated_recurrences_in_other_words() {
    for body in [
        "for i in 0..h.len() { h[i] = f_[i] * h[i] + (1.0 - f_[i]) * c[i]; }",
        "for i in 0..h.len() { h[i] += (1.0 - f_[i]) * (c[i] - h[i]); }",
        "for i in 0..h.len() { h[i] = c[i] + f_[i] * (h[i] - c[i]); }",
        "for i in 0..h.len() { h[i] = c[i] - (c[i] - h[i]) * f_[i]; }",
        "for ((h, f), c) in h.iter_mut().zip(f_).zip(c) { let keep = *f * *h; let new = c - c * f; *h = new + keep; }",
        "for i in 0..h.len() { let f = 1.0 / (1.0 + (-f_[i]).exp()); h[i] = f * h[i] + (1.0 - f) * c[i].tanh(); }",
        "for i in 0..h.len() { let e = f_[i].exp(); let f = e / (1.0 + e); let u = (2.0 * c[i]).exp(); h[i] = f * h[i] + (u - 1.0) / (u + 1.0) / (1.0 + e); }",
        "for i in 0..h.len() { let z = 1.0 / (1.0 + f_[i].exp()); h[i] = (1.0 - z) * h[i] + z * c[i]; }",
    ] {
        raises("mlgru.step", &format!("fn f({GRU}) {{ {body} }}"));
    }
    raises(
        "mlgru.scan",
        "fn f(h: &mut [f32], f_: &[f32], c: &[f32], y: &mut [f32]) {
             let d = h.len();
             for t in 0..y.len() / d { for i in 0..d {
                 h[i] = h[i] + (1.0 - f_[t * d + i]) * (c[t * d + i] - h[i]);
                 y[t * d + i] = h[i];
             } }
         }",
    );
    raises(
        "mlgru.scan",
        "fn f(f_: &Tensor<(Seq, Dim)>, c: &Tensor<(Seq, Dim)>, y: &mut Tensor<(Seq, Dim)>) {
             let [n, d] = y.dims();
             for i in 0..d { y[[0, i]] = (1.0 - f_[[0, i]]) * c[[0, i]]; }
             for t in 1..n { for i in 0..d { y[[t, i]] = f_[[t, i]] * y[[t - 1, i]] + (1.0 - f_[[t, i]]) * c[[t, i]]; } }
         }",
    );
    for body in [
        "for i in 0..h.len() { h[i] = f_[i] * h[i] + (1.0 + f_[i]) * c[i]; }",
        "for i in 0..h.len() { h[i] = f_[i] * h[i] - (1.0 - f_[i]) * c[i]; }",
        "for i in 0..h.len() { h[i] = (1.0 - f_[i]) * h[i] + (1.0 - f_[i]) * c[i]; }",
        "for i in 0..h.len() { h[i] = f_[i] * c[i] + (1.0 - f_[i]) * c[i]; }",
        "for i in 0..h.len() { h[i] = f_[i] * h[i]; h[i] += (1.0 - f_[i]) * h[i]; }",
        "for i in 0..h.len() - 1 { h[i] = f_[i] * h[i] + (1.0 - f_[i]) * c[i]; }",
        "for i in 1..h.len() { h[i] = f_[i] * h[i - 1] + (1.0 - f_[i]) * c[i]; }",
    ] {
        declines(&["mlgru.step", "mlgru.scan"], "", &format!("fn f({GRU}) {{ {body} }}"));
    }
}

#[test]
fn linear_attention_in_other_words() {
    let params =
        "q: &Tensor<(Seq, Dim)>, k: &Tensor<(Seq, Dim)>, v: &Tensor<(Seq, Val)>, y: &mut Tensor<(Seq, Val)>";
    // The outer sum first, and the scores made one by one.
    raises(
        "linear_attention",
        &format!(
            "fn f({params}) {{ let [n, d] = q.dims(); let [_, e] = v.dims();
            for i in 0..n {{ let mut z = 0.0; for c in 0..e {{ y[[i, c]] = 0.0; }}
                for t in 0..n {{ let mut s = 0.0; for j in 0..d {{ s += q[[i, j]].exp() * k[[t, j]].exp(); }} z += s; for c in 0..e {{ y[[i, c]] += s * v[[t, c]]; }} }}
                for c in 0..e {{ y[[i, c]] = y[[i, c]] / z; }} }} }}"
        ),
    );
    for (op, body) in [
        // Causal, by a state.
        ("linear_attention.causal", "let mut s = vec![0.0; d * e]; let mut z = vec![0.0; d];
            for t in 0..n {
                for j in 0..d { z[j] += k[[t, j]]; for c in 0..e { s[j * e + c] += k[[t, j]] * v[[t, c]]; } }
                let mut below = 0.0; for j in 0..d { below += q[[t, j]] * z[j]; }
                for c in 0..e { let mut above = 0.0; for j in 0..d { above += q[[t, j]] * s[j * e + c]; } y[[t, c]] = above / below; }
            }"),
        // Causal, by the pairs.
        ("linear_attention.causal", "for i in 0..n { for c in 0..e { y[[i, c]] = 0.0; }
            for t in 0..=i { let mut a = 0.0; for j in 0..d { a += q[[i, j]] * k[[t, j]]; } for c in 0..e { y[[i, c]] += a * v[[t, c]]; } } }"),
        ("linear_attention.unnormalised", "for i in 0..n { for c in 0..e { y[[i, c]] = 0.0;
            for j in 0..d { let mut kv = 0.0; for t in 0..n { kv += k[[t, j]] * v[[t, c]]; } y[[i, c]] += kv * q[[i, j]]; } } }"),
    ] {
        raises(op, &format!("fn f({params}) {{ let [n, d] = q.dims(); let [_, e] = v.dims(); {body} }}"));
    }
    for body in [
        // Divided by the wrong total, or before the sum is done.
        "for i in 0..n { let mut z = 0.0; for t in 0..n { for j in 0..d { z += k[[t, j]]; } }
            for c in 0..e { let mut a = 0.0; for t in 0..n { for j in 0..d { a += q[[i, j]] * k[[t, j]] * v[[t, c]]; } } y[[i, c]] = a / z; } }",
        // Keys up to the one before.
        "for i in 0..n { for c in 0..e { y[[i, c]] = 0.0;
            for t in 0..i { let mut a = 0.0; for j in 0..d { a += q[[i, j]] * k[[t, j]]; } y[[i, c]] += a * v[[t, c]]; } } }",
        // The values of the query's place.
        "for i in 0..n { for c in 0..e { let mut a = 0.0; for t in 0..n { for j in 0..d { a += q[[i, j]] * k[[t, j]] * v[[i, c]]; } } y[[i, c]] = a; } }",
    ] {
        declines(
            &["linear_attention", "linear_attention.causal", "linear_attention.unnormalised"],
            "",
            &format!("fn f({params}) {{ let [n, d] = q.dims(); let [_, e] = v.dims(); {body} }}"),
        );
    }
}
