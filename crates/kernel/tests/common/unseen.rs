//! Rewritings and near misses that were written without a look at the recogniser. Each line of the tables is a function `f`,
//! and the op that it is, or is nearly.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub const MATVEC: &str = "w: &TernaryMatrix<In, Out>, x: &Tensor<(In,)>, y: &mut Tensor<(Out,)>";
pub const ACCUMULATE: &str = "w: &TernaryMatrix<In, Out>, x: &Tensor<(In,), i8>, y: &mut Tensor<(Out,), i32>";
pub const STATE: &str =
    "s: &mut Tensor<(State,)>, x: f32, a: &Tensor<(State,)>, b: &Tensor<(State,)>, c: &Tensor<(State,)>";
pub const SCAN: &str = "s: &mut Tensor<(State,)>, x: &Tensor<(Seq,)>, a: &Tensor<(State,)>, b: &Tensor<(State,)>, c: &Tensor<(State,)>, y: &mut Tensor<(Seq,)>";
pub const GRU: &str = "h: &mut Tensor<(Hidden,)>, f_in: &Tensor<(Hidden,)>, c_in: &Tensor<(Hidden,)>, g_in: &Tensor<(Hidden,)>, y: &mut Tensor<(Hidden,)>";
pub const GRU_SCAN: &str = "h: &mut Tensor<(Hidden,)>, fs: &Tensor<(Seq, Hidden)>, cs: &Tensor<(Seq, Hidden)>, y: &mut Tensor<(Seq, Hidden)>";
pub const ATTENTION: &str = "s: &mut Tensor<(Dim, Value)>, z: &mut Tensor<(Dim,)>, q: &Tensor<(Dim,)>, k: &Tensor<(Dim,)>, v: &Tensor<(Value,)>, y: &mut Tensor<(Value,)>";

/// What it is, arguments, body, helper functions.
pub const SAME: &[(&str, &str, &str, &str)] = &[
    (
        "ternary_accumulate",
        ACCUMULATE,
        "for row in 0..w.outputs() { let mut up = 0i32; let mut down = 0i32; for col in 0..w.inputs() { let t = w.trit(row, col); let v = x[[col]] as i32; if t == 1 { up += v; } if t == -1 { down += v; } } y[[row]] += up - down; }",
        "",
    ),
    (
        "ternary_accumulate",
        ACCUMULATE,
        "for col in 0..w.inputs() { let v = i32::from(x[[col]]); for row in 0..w.outputs() { match w.trit(row, col) { -1 => y[[row]] -= v, 0 => {} _ => y[[row]] += v } } }",
        "",
    ),
    (
        "ternary_accumulate",
        ACCUMULATE,
        "for o in 0..w.outputs() { for i in 0..w.inputs() { y[[o]] = y[[o]] + (w.trit(o, i) as i32) * (x[[i]] as i32); } }",
        "",
    ),
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { y[[o]] = 0.0; for i in 0..w.inputs() { y[[o]] += pick(w.trit(o, i), x[[i]]); } y[[o]] *= w.scale_factor(); }",
        "#[kernel] fn pick(t: i8, v: f32) -> f32 { match t { 1 => v, -1 => -v, _ => 0.0 } }",
    ),
    (
        "ternary_linear",
        MATVEC,
        "let s = w.scale_factor(); for o in 0..w.outputs() { let mut acc = 0.0; for i in (0..w.inputs()).rev() { if w.trit(o, i) != 0 { if w.trit(o, i) < 0 { acc -= x[[i]]; } else { acc += x[[i]]; } } } y[[o]] = s * acc; }",
        "",
    ),
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { let mut even = 0.0; let mut odd = 0.0; let half = w.inputs() / 2; for i in 0..half { even += x[[2 * i]] * w.trit(o, 2 * i) as f32; odd += x[[2 * i + 1]] * w.trit(o, 2 * i + 1) as f32; } let mut tail = 0.0; if w.inputs() % 2 == 1 { tail = x[[w.inputs() - 1]] * w.trit(o, w.inputs() - 1) as f32; } y[[o]] = (even + odd + tail) * w.scale_factor(); }",
        "",
    ),
    // Raised where the sizes are multiples of the blocks, which it says.
    (
        "ternary_accumulate",
        MATVEC,
        "for ob in (0..w.outputs()).step_by(4) { for o in ob..(ob + 4).min(w.outputs()) { y[[o]] = 0.0; } for ib in (0..w.inputs()).step_by(16) { for o in ob..(ob + 4).min(w.outputs()) { for i in ib..(ib + 16).min(w.inputs()) { match w.trit(o, i) { 1 => y[[o]] += x[[i]], -1 => y[[o]] -= x[[i]], _ => {} } } } } }",
        "",
    ),
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { let mut plus = 0.0; for i in 0..w.inputs() { if w.trit(o, i) > 0 { plus += x[[i]]; } } let mut minus = 0.0; for i in 0..w.inputs() { if w.trit(o, i) < 0 { minus += x[[i]]; } } y[[o]] = (plus - minus) * w.scale_factor(); }",
        "",
    ),
    (
        "ssm.state_update",
        STATE,
        "for n in 0..s.len() { let keep = s[[n]] * a[[n]]; let take = x * b[[n]]; s[[n]] = take + keep; }",
        "",
    ),
    (
        "ssm.state_update",
        STATE,
        "for n in 0..s.len() { s[[n]] *= a[[n]]; } for n in 0..s.len() { s[[n]] += x * b[[n]]; }",
        "",
    ),
    ("ssm.state_update", STATE, "for n in 0..s.len() { s[[n]] = a[[n]].mul_add(s[[n]], b[[n]] * x); }", ""),
    (
        "ssm.state_update",
        STATE,
        "for ((s, a), b) in s.as_mut_slice().iter_mut().zip(a.as_slice()).zip(b.as_slice()) { *s = a * *s + b * x; }",
        "",
    ),
    (
        "ssm.scan",
        SCAN,
        "for t in 0..x.len() { for n in 0..s.len() { s[[n]] = b[[n]] * x[[t]] + s[[n]] * a[[n]]; } y[[t]] = 0.0; for n in 0..s.len() { y[[t]] += s[[n]] * c[[n]]; } }",
        "",
    ),
    (
        "ssm.scan",
        SCAN,
        "for t in 0..x.len() { y[[t]] = 0.0; } for n in 0..s.len() { let mut h = s[[n]]; for t in 0..x.len() { h = a[[n]] * h + b[[n]] * x[[t]]; y[[t]] += c[[n]] * h; } s[[n]] = h; }",
        "",
    ),
    // Backwards in time is the scan of the input turned round.
    (
        "ssm.scan",
        SCAN,
        "for t in (0..x.len()).rev() { let mut sum = 0.0; for n in 0..s.len() { s[[n]] = a[[n]] * s[[n]] + b[[n]] * x[[t]]; sum += c[[n]] * s[[n]]; } y[[t]] = sum; }",
        "",
    ),
    (
        "mlgru.step",
        GRU,
        "for i in 0..h.len() { let f = sigmoid(f_in[[i]]); let c = c_in[[i]].tanh(); h[[i]] += (1.0 - f) * (c - h[[i]]); y[[i]] = h[[i]] * sigmoid(g_in[[i]]); }",
        "#[kernel] fn sigmoid(x: f32) -> f32 { 1.0 / (1.0 + (-x).exp()) }",
    ),
    (
        "mlgru.step",
        GRU,
        "for i in 0..h.len() { let e = (-f_in[[i]]).exp(); let f = 1.0 / (e + 1.0); let c = c_in[[i]].tanh(); let new = c + f * (h[[i]] - c); h[[i]] = new; y[[i]] = new / (1.0 + (-g_in[[i]]).exp()); }",
        "",
    ),
    (
        "mlgru.step",
        GRU,
        "for i in 0..h.len() { let f = 1.0 / (1.0 + (-f_in[[i]]).exp()); h[[i]] = f * h[[i]] + (1.0 - f) * c_in[[i]].tanh(); } for i in 0..h.len() { let g = 1.0 / (1.0 + (-g_in[[i]]).exp()); y[[i]] = g * h[[i]]; }",
        "",
    ),
    (
        "mlgru.scan",
        GRU_SCAN,
        "let [n, d] = fs.dims(); for i in 0..d { let mut state = h[[i]]; for t in 0..n { state = cs[[t, i]] + fs[[t, i]] * (state - cs[[t, i]]); y[[t, i]] = state; } h[[i]] = state; }",
        "",
    ),
    (
        "mlgru.scan",
        GRU_SCAN,
        "let [n, d] = fs.dims(); for t in 0..n { for i in 0..d { let g = 1.0 - fs[[t, i]]; h[[i]] = h[[i]] - g * h[[i]] + g * cs[[t, i]]; } for i in 0..d { y[[t, i]] = h[[i]]; } }",
        "",
    ),
    (
        "linear_attention.state_update",
        ATTENTION,
        "for j in 0..k.len() { z[[j]] = k[[j]] + z[[j]]; } for e in 0..v.len() { for j in 0..k.len() { s[[j, e]] += v[[e]] * k[[j]]; } } let mut norm = 0.0; for j in 0..k.len() { norm += z[[j]] * q[[j]]; } for e in 0..v.len() { let mut sum = 0.0; for j in 0..k.len() { sum += s[[j, e]] * q[[j]]; } y[[e]] = sum / norm; }",
        "",
    ),
    (
        "linear_attention.output",
        ATTENTION,
        "for j in 0..k.len() { z[[j]] = k[[j]] + z[[j]]; } for e in 0..v.len() { for j in 0..k.len() { s[[j, e]] += v[[e]] * k[[j]]; } } let mut norm = 0.0; for j in 0..k.len() { norm += z[[j]] * q[[j]]; } for e in 0..v.len() { let mut sum = 0.0; for j in 0..k.len() { sum += s[[j, e]] * q[[j]]; } y[[e]] = sum / norm; }",
        "",
    ),
];

/// Nearly it, arguments, body: one thing is wrong in each.
pub const OTHER: &[(&str, &str, &str)] = &[
    // Both signs add.
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { y[[o]] = 0.0; for i in 0..w.inputs() { match w.trit(o, i) { 1 => y[[o]] += x[[i]], -1 => y[[o]] += x[[i]], _ => {} } } }",
    ),
    // The last input is left out.
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { y[[o]] = 0.0; for i in 0..w.inputs() - 1 { match w.trit(o, i) { 1 => y[[o]] += x[[i]], -1 => y[[o]] -= x[[i]], _ => {} } } }",
    ),
    // Unrolled by two without the odd one.
    (
        "ternary_linear",
        MATVEC,
        "for o in 0..w.outputs() { y[[o]] = 0.0; for i in 0..w.inputs() / 2 { y[[o]] += w.trit(o, 2 * i) as f32 * x[[2 * i]] + w.trit(o, 2 * i + 1) as f32 * x[[2 * i + 1]]; } }",
    ),
    // Minus two times.
    (
        "ternary_accumulate",
        ACCUMULATE,
        "for o in 0..w.outputs() { for i in 0..w.inputs() { match w.trit(o, i) { 1 => y[[o]] += i32::from(x[[i]]), -1 => y[[o]] -= 2 * i32::from(x[[i]]), _ => {} } } }",
    ),
    // Neighbours' inputs.
    (
        "ternary_accumulate",
        ACCUMULATE,
        "for o in 0..w.outputs() { for i in 1..w.inputs() { match w.trit(o, i - 1) { 1 => y[[o]] += i32::from(x[[i]]), -1 => y[[o]] -= i32::from(x[[i]]), _ => {} } } }",
    ),
    // The sum goes on from row to row.
    (
        "ternary_linear",
        MATVEC,
        "let mut sum = 0.0; for o in 0..w.outputs() { for i in 0..w.inputs() { sum += w.trit(o, i) as f32 * x[[i]]; } y[[o]] = sum; }",
    ),
    // The old state of the neighbour.
    ("ssm.state_update", STATE, "for n in 1..s.len() { s[[n]] = a[[n]] * s[[n - 1]] + b[[n]] * x; }"),
    // The square of the input.
    ("ssm.state_update", STATE, "for n in 0..s.len() { s[[n]] = a[[n]] * s[[n]] + b[[n]] * x * s[[n]]; }"),
    // The output before the update.
    (
        "ssm.scan",
        SCAN,
        "for t in 0..x.len() { let mut sum = 0.0; for n in 0..s.len() { sum += c[[n]] * s[[n]]; s[[n]] = a[[n]] * s[[n]] + b[[n]] * x[[t]]; } y[[t]] = sum; }",
    ),
    // 1 + f.
    (
        "mlgru.step",
        GRU,
        "for i in 0..h.len() { let f = 1.0 / (1.0 + (-f_in[[i]]).exp()); h[[i]] = f * h[[i]] + (1.0 + f) * c_in[[i]].tanh(); y[[i]] = h[[i]] / (1.0 + (-g_in[[i]]).exp()); }",
    ),
    // The gate of one is not that of the other.
    (
        "mlgru.scan",
        GRU_SCAN,
        "let [n, d] = fs.dims(); for t in 1..n { for i in 0..d { h[[i]] = fs[[t, i]] * h[[i]] + (1.0 - fs[[t - 1, i]]) * cs[[t, i]]; y[[t, i]] = h[[i]]; } }",
    ),
    // The normaliser of the step before.
    (
        "linear_attention.output",
        ATTENTION,
        "let mut norm = 0.0; for j in 0..k.len() { norm += z[[j]] * q[[j]]; z[[j]] += k[[j]]; } for e in 0..v.len() { let mut sum = 0.0; for j in 0..k.len() { s[[j, e]] += k[[j]] * v[[e]]; sum += s[[j, e]] * k[[j]]; } y[[e]] = sum / norm; }",
    ),
];
