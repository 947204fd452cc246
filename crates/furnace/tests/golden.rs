//! The published derivative cases, with references in double precision (`golden/autodiff/cases.json`), and the nested
//! derivatives of the literature.

use axes::DType;
use furnace::{grad, jvp, vjp};
use graph::{Array, Cx, Dim, Var};
use serde_json::Value;
use std::path::PathBuf;

fn load() -> Option<Value> {
    let root = std::env::var_os("FIDELITY_GOLDEN").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden"),
        PathBuf::from,
    );
    let path = root.join("autodiff/cases.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("valid JSON")),
        Err(_) => {
            println!("skipped: no golden file {}", path.display());
            None
        }
    }
}

/// Nested lists as a row-major array.
fn array(v: &Value) -> (Vec<usize>, Vec<f64>) {
    match v {
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().map(array).collect();
            let inner = parts.first().map_or(vec![], |p| p.0.clone());
            (
                std::iter::once(list.len()).chain(inner).collect(),
                parts.into_iter().flat_map(|p| p.1).collect(),
            )
        }
        Value::String(s) => (vec![], vec![s.parse().expect("a number")]),
        _ => (vec![], vec![v.as_f64().expect("a number")]),
    }
}

fn constant(cx: &Cx, v: &Value) -> Var {
    let (shape, data) = array(v);
    cx.array(DType::F64, &shape, &data)
}

fn sizes(v: &Var) -> Vec<usize> {
    v.ty().fixed_shape().expect("fixed sizes")
}

fn dims(s: &[usize]) -> Vec<Dim> {
    s.iter().map(|n| Dim::from(*n)).collect()
}

/// Elements of `x` by position; `None` is zero.
fn pick(x: &Var, at: impl IntoIterator<Item = Option<usize>>, shape: &[usize]) -> Var {
    let n: usize = sizes(x).iter().product();
    let flat = x.reshape(&dims(&[n])).pad(&dims(&[0]), &dims(&[1]), 0.0);
    let ids: Vec<f64> = at.into_iter().map(|i| i.unwrap_or(n) as f64).collect();
    flat.gather(&x.cx().array(DType::I64, &[ids.len()], &ids)).reshape(&dims(shape))
}

fn each(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(|i| graph::array::unravel(i, shape))
}

/// Windows of the last `k.len()` axes: (outer…, windows…, window…).
fn windows(x: &Var, k: &[usize], stride: &[usize], pad: &[usize], dilation: &[usize]) -> Var {
    let s = sizes(x);
    let (outer, space) = s.split_at(s.len() - k.len());
    let count: Vec<usize> = (0..k.len())
        .map(|d| (space[d] + 2 * pad[d] - dilation[d] * (k[d] - 1) - 1) / stride[d] + 1)
        .collect();
    let shape = [outer, &count, k].concat();
    let at = each(&shape).map(|i| {
        let (o, rest) = i.split_at(outer.len());
        let (w, j) = rest.split_at(k.len());
        let mut index = o.to_vec();
        for d in 0..k.len() {
            index
                .push((w[d] * stride[d] + j[d] * dilation[d]).checked_sub(pad[d]).filter(|p| *p < space[d])?);
        }
        Some(graph::array::ravel(&index, &s))
    });
    pick(x, at.collect::<Vec<_>>(), &shape)
}

/// Convolution of x (B, C, space…) with w (O, C, k…).
fn conv(x: &Var, w: &Var, attrs: &Value, dimensions: usize) -> Var {
    let list = |one: &str, many: &str, default: usize| -> Vec<usize> {
        match (&attrs[one], &attrs[many]) {
            (Value::Null, Value::Null) => vec![default; dimensions],
            (Value::Null, l) => {
                l.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a size") as usize).collect()
            }
            (n, _) => vec![n.as_u64().expect("a size") as usize; dimensions],
        }
    };
    let k = sizes(w)[2..].to_vec();
    let patches = windows(
        x,
        &k,
        &list("stride", "strides", 1),
        &list("padding", "paddings", 0),
        &list("dilation", "dilations", 1),
    );
    // Contracted: the channels and the window.
    let n = dimensions;
    let left: Vec<usize> = std::iter::once(1).chain(2 + n..2 + 2 * n).collect();
    let right: Vec<usize> = (1..2 + n).collect();
    let y = patches.dot_general(w, (&left, &right), (&[], &[]));
    let perm: Vec<usize> = [0, n + 1].into_iter().chain(1..n + 1).collect();
    y.transpose(&perm)
}

/// The transposed convolution of stride 1: x padded, the kernel turned and its channels swapped.
fn conv_transposed(x: &Var, w: &Var, dimensions: usize) -> Var {
    let k = sizes(w)[2..].to_vec();
    let mut turned = w.clone();
    (0..dimensions).for_each(|d| turned = turned.reverse(2 + d));
    let perm: Vec<usize> = [1, 0].into_iter().chain(2..2 + dimensions).collect();
    let around: Vec<usize> = [0, 0].into_iter().chain(k.iter().map(|k| k - 1)).collect();
    conv(&x.pad(&dims(&around), &dims(&around), 0.0), &turned.transpose(&perm), &Value::Null, dimensions)
}

fn pool(x: &Var, k: usize, dimensions: usize, max: bool) -> Var {
    let k = vec![k; dimensions];
    let w = windows(x, &k, &k, &vec![0; dimensions], &vec![1; dimensions]);
    let rank = sizes(&w).len();
    let axes: Vec<usize> = (rank - dimensions..rank).collect();
    if max { w.max_over(&axes) } else { w.sum(&axes) / k.iter().product::<usize>() as f64 }
}

/// Gaussian elimination on numbers: X with A X = B, and det A. The host language picks the pivots.
fn eliminate(a: &Var, b: Option<&Var>) -> (Vec<Vec<Var>>, Var) {
    let n = sizes(a)[0];
    let number = |v: &Var, i: usize| pick(v, [Some(i)], &[]);
    let mut rows: Vec<Vec<Var>> = (0..n)
        .map(|r| {
            let right: Vec<Var> = b.map_or(vec![], |b| {
                let m = sizes(b)[1];
                (0..m).map(|c| number(b, r * m + c)).collect()
            });
            (0..n).map(|c| number(a, r * n + c)).chain(right).collect()
        })
        .collect();
    let mut det = a.cx().scalar(1.0);
    for c in 0..n {
        let best =
            (c..n).max_by(|x, y| rows[*x][c].val().abs().total_cmp(&rows[*y][c].val().abs())).unwrap_or(c);
        if best != c {
            rows.swap(best, c);
            det = -det;
        }
        det = det * &rows[c][c];
        for r in 0..n {
            if r == c {
                continue;
            }
            let factor = &rows[r][c] / &rows[c][c];
            for k in c..rows[r].len() {
                rows[r][k] = &rows[r][k] - &(&factor * &rows[c][k]);
            }
        }
    }
    let solution = (0..n).map(|r| (n..rows[r].len()).map(|k| &rows[r][k] / &rows[r][r]).collect()).collect();
    (solution, det)
}

fn joined(parts: &[Var], shape: &[usize]) -> Var {
    let flat: Vec<Var> = parts.iter().map(|p| p.reshape(&dims(&[sizes(p).iter().product()]))).collect();
    Var::concatenate(&flat.iter().collect::<Vec<_>>(), 0).reshape(&dims(shape))
}

/// Solves A X = B for matrices, vectors and batches of them.
fn solve(a: &Var, b: &Var) -> Var {
    let (sa, sb) = (sizes(a), sizes(b));
    if sa.len() == 3 {
        let part = |v: &Var, i: usize| v.slice_axis(0, i, i + 1).reshape(&dims(&sizes(v)[1..]));
        let parts: Vec<Var> = (0..sa[0]).map(|i| solve(&part(a, i), &part(b, i))).collect();
        return joined(&parts, &sb);
    }
    let wide = if sb.len() == 1 { b.reshape(&dims(&[sb[0], 1])) } else { b.clone() };
    let x: Vec<Var> = eliminate(a, Some(&wide)).0.into_iter().flatten().collect();
    joined(&x, &sb)
}

/// Mean over all or over one axis, which stays when `keep`.
fn fold(x: &Var, axis: Option<usize>, keep: bool, f: impl Fn(&Var, &[usize], f64) -> Var) -> Var {
    let s = sizes(x);
    let axes: Vec<usize> = axis.map_or_else(|| (0..s.len()).collect(), |a| vec![a]);
    let n: usize = axes.iter().map(|a| s[*a]).product();
    let y = f(x, &axes, n as f64);
    let kept: Vec<usize> = (0..s.len()).map(|a| if axes.contains(&a) { 1 } else { s[a] }).collect();
    if keep { y.reshape(&dims(&kept)) } else { y }
}

/// Σ (x − mean)² / (n − 1).
fn variance(x: &Var, axes: &[usize], n: f64) -> Var {
    let map: Vec<usize> = (0..sizes(x).len()).filter(|a| !axes.contains(a)).collect();
    let mean = (x.sum(axes) / n).broadcast(&x.shape(), &map);
    (x - &mean).square().sum(axes) / (n - 1.0)
}

/// The case's function of its operands; `None` when an op is not in the table.
fn apply(c: &Value, args: &[Arg]) -> Option<Var> {
    let attrs = &c["attrs"];
    let v = |i: usize| match &args[i] {
        Arg::Var(v) => v.clone(),
        _ => panic!("operand {i} is not a tensor"),
    };
    let number = |i: usize| match args.get(i) {
        Some(Arg::Const(n)) => n.as_u64().map(|n| n as usize),
        _ => None,
    };
    let list = |i: usize| match &args[i] {
        Arg::Const(n) => array(n),
        _ => panic!("operand {i} is not a list"),
    };
    let keep = attrs["keepDim"].as_bool().unwrap_or(false);
    Some(match c["op"].as_str()? {
        "abs" => v(0).abs(),
        "neg" => -v(0),
        "log" => v(0).log(),
        "sqrt" => v(0).sqrt(),
        "sin" => v(0).sin(),
        "tan" => v(0).sin() / v(0).cos(),
        "tanh" => v(0).tanh(),
        "cosh" => (v(0).exp() + (-v(0)).exp()) * 0.5,
        "sigmoid" => v(0).sigmoid(),
        "sign" => v(0).sign(),
        "floor" => v(0).floor(),
        "ceil" => -(-v(0)).floor(),
        "round" => v(0).round_half_even(),
        "add" => binary(&v(0), &v(1), |a, b| a + b),
        "sub" => binary(&v(0), &v(1), |a, b| a - b),
        "mul" => binary(&v(0), &v(1), |a, b| a * b),
        "div" => binary(&v(0), &v(1), |a, b| a / b),
        "pow" => binary(&v(0), &v(1), Var::pow),
        "min" => v(0).min(&v(1)),
        "matmul" => v(0).matmul(&v(1)),
        "bmm" => v(0).dot_general(&v(1), (&[2], &[1]), (&[0], &[0])),
        "transpose" => v(0).transpose(&[1, 0]),
        "softmax" => v(0).softmax_last(),
        "sum" => fold(&v(0), number(1), keep, |x, axes, _| x.sum(axes)),
        "mean" => fold(&v(0), number(1), keep, |x, axes, n| x.sum(axes) / n),
        "var" => fold(&v(0), number(1), keep, variance),
        "std" => fold(&v(0), number(1), keep, |x, axes, n| variance(x, axes, n).sqrt()),
        "cat" | "stack" => {
            let Arg::List(parts) = &args[0] else { panic!("a list of tensors") };
            let n: usize = parts.iter().map(|p| sizes(p)[0]).sum();
            match c["op"] == "cat" {
                true => joined(parts, &[n]),
                false => joined(parts, &[parts.len(), sizes(&parts[0])[0]]),
            }
        }
        "slice" => match attrs["fsharp_index_inclusive"].as_str()? {
            "2.." => v(0).slice_axis(0, 2, sizes(&v(0))[0]),
            "*,2..2" => v(0).slice_axis(1, 2, 3).reshape(&dims(&[sizes(&v(0))[0]])),
            other => panic!("slice {other}"),
        },
        "addSlice" => {
            let (at, s, part) = (list(1).1, sizes(&v(0)), sizes(&v(2)));
            let low: Vec<usize> = at.iter().map(|x| *x as usize).collect();
            let high: Vec<usize> = (0..s.len()).map(|d| s[d] - low[d] - part[d]).collect();
            v(0) + v(2).pad(&dims(&low), &dims(&high), 0.0)
        }
        "gather" => {
            let (shape, at) = list(2);
            let axis = number(1)?;
            let s = sizes(&v(0));
            let index = each(&shape).zip(at).map(|(mut i, k)| {
                i[axis] = k as usize;
                Some(graph::array::ravel(&i, &s))
            });
            pick(&v(0), index.collect::<Vec<_>>(), &shape)
        }
        "scatter" => {
            let (shape, at) = list(2);
            let axis = number(1)?;
            let to = array(&attrs["destinationShape"]).1;
            let to: Vec<usize> = to.iter().map(|n| *n as usize).collect();
            let rows: Vec<f64> = each(&shape)
                .zip(at)
                .map(|(mut i, k)| {
                    i[axis] = k as usize;
                    graph::array::ravel(&i, &to) as f64
                })
                .collect();
            let n: usize = to.iter().product();
            let ids = v(0).cx().array(DType::I64, &[rows.len()], &rows);
            ids.scatter_add(&v(0).reshape(&dims(&[rows.len()])), &Dim::from(n)).reshape(&dims(&to))
        }
        "undilate" => {
            let s = sizes(&v(0));
            let step: Vec<usize> = list(1).1.iter().map(|x| *x as usize).collect();
            let small: Vec<usize> = (0..s.len()).map(|d| (s[d] - 1) / step[d] + 1).collect();
            let at = each(&small).map(|i| {
                let far: Vec<usize> = i.iter().zip(&step).map(|(i, s)| i * s).collect();
                Some(graph::array::ravel(&far, &s))
            });
            pick(&v(0), at.collect::<Vec<_>>(), &small)
        }
        "conv1d" => conv(&v(0), &v(1), attrs, 1),
        "conv2d" => conv(&v(0), &v(1), attrs, 2),
        "convTranspose1d" => conv_transposed(&v(0), &v(1), 1),
        "convTranspose2d" => conv_transposed(&v(0), &v(1), 2),
        "avgpool2d" => pool(&v(0), number(1)?, 2, false),
        "maxpool1d" => pool(&v(0), number(1)?, 1, true),
        "maxpool2d" => pool(&v(0), number(1)?, 2, true),
        "maxunpool2d" => {
            let to: Vec<usize> = array(&attrs["outputSize"]).1.iter().map(|n| *n as usize).collect();
            let from = sizes(&v(0));
            let plane: usize = to[2..].iter().product();
            let inner: usize = from[2..].iter().product();
            let at = v(1).array().ok()?.to_f64();
            let rows: Vec<f64> = at.iter().enumerate().map(|(i, k)| (i / inner * plane) as f64 + k).collect();
            let ids = v(0).cx().array(DType::I64, &[rows.len()], &rows);
            let n: usize = to.iter().product();
            ids.scatter_add(&v(0).reshape(&dims(&[rows.len()])), &Dim::from(n)).reshape(&dims(&to))
        }
        "solve" => solve(&v(0), &v(1)),
        "inv" => {
            let n = sizes(&v(0))[0];
            let one: Vec<f64> = each(&[n, n]).map(|i| f64::from(u8::from(i[0] == i[1]))).collect();
            solve(&v(0), &v(0).cx().array(DType::F64, &[n, n], &one))
        }
        "det" => {
            let s = sizes(&v(0));
            if s.len() == 2 {
                eliminate(&v(0), None).1
            } else {
                let part = |i: usize| v(0).slice_axis(0, i, i + 1).reshape(&dims(&s[1..]));
                let parts: Vec<Var> = (0..s[0]).map(|i| eliminate(&part(i), None).1).collect();
                joined(&parts, &[s[0]])
            }
        }
        _ => return None,
    })
}

/// With the side of lower rank repeated along the leading axes.
fn binary(a: &Var, b: &Var, f: impl Fn(&Var, &Var) -> Var) -> Var {
    match (a.ty().rank(), b.ty().rank()) {
        (x, y) if x > y => f(a, &b.broadcast_like(a)),
        (x, y) if x < y => f(&a.broadcast_like(b), b),
        _ => f(a, b),
    }
}

/// An operand of a case.
enum Arg {
    Var(Var),
    List(Vec<Var>),
    Const(Value),
}

fn near(what: &str, found: &Array<f64>, expected: &Value, tolerance: f64) -> Result<(), String> {
    let (shape, e) = array(expected);
    let f = found.to_f64();
    if found.shape != shape && f.len() != e.len() {
        return Err(format!("{what}: shape {:?}, expected {shape:?}", found.shape));
    }
    let size = e.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (a, b) in f.iter().zip(&e) {
        // Elements that cancel are held to the size of what cancelled.
        if (a - b).abs() > tolerance * b.abs().max(1e-3 * size) {
            return Err(format!("{what}: {a}, expected {b}"));
        }
    }
    Ok(())
}

#[test]
fn op_cases() {
    let Some(golden) = load() else { return };
    let cases = golden["op_cases"].as_array().expect("cases");
    let (mut done, mut wrong, mut missing) = (0, vec![], std::collections::BTreeMap::new());
    for c in cases {
        let cx = Cx::eager();
        let forward = c["mode"] == "forward";
        let moving = if forward { &c["tangents"] } else { &c["vjp"] };
        let names: Vec<&String> = moving.as_object().expect("operands").keys().collect();
        let values: Vec<Var> = names.iter().map(|n| constant(&cx, &c["inputs"][n.as_str()])).collect();
        let f = |xs: &[Var]| -> Option<Var> {
            let var = |name: &str| match names.iter().position(|n| *n == name) {
                Some(k) => xs[k].clone(),
                None => constant(&cx, &c["inputs"][name]),
            };
            let args: Vec<Arg> = c["args"]
                .as_array()?
                .iter()
                .map(|a| match (&a["input"], &a["inputs"]) {
                    (Value::String(n), _) => Arg::Var(var(n)),
                    (_, Value::Array(l)) => Arg::List(l.iter().filter_map(Value::as_str).map(var).collect()),
                    _ if a["const"].is_number()
                        && ["add", "sub", "mul", "div", "pow", "matmul"]
                            .contains(&c["op"].as_str().unwrap_or("")) =>
                    {
                        Arg::Var(constant(&cx, &a["const"]))
                    }
                    _ => Arg::Const(a["const"].clone()),
                })
                .collect();
            apply(c, &args)
        };
        let id = c["id"].as_str().unwrap_or("?");
        if f(&values).is_none() {
            *missing.entry(c["op"].as_str().unwrap_or("?")).or_insert(0) += 1;
            continue;
        }
        let g = |xs: &[Var]| vec![f(xs).expect("applied before")];
        let refs: Vec<&Var> = values.iter().collect();
        let reference = &c["ref_f64"];
        let check = || -> Result<(), String> {
            let value = |v: &Var| v.array().map_err(|e| e.to_string());
            if forward {
                let ts: Vec<Var> = names.iter().map(|n| constant(&cx, &moving[n.as_str()])).collect();
                let (y, t) = jvp(g, &refs, &ts.iter().collect::<Vec<_>>());
                near("primal", &value(&y[0])?, &reference["primal"], 1e-12)?;
                near("jvp", &value(&t[0])?, &reference["jvp"], 1e-12)?;
                near("published", &value(&t[0])?, &c["jvp"], 1e-2)
            } else {
                let (y, pull) = vjp(g, &refs);
                near("primal", &value(&y[0])?, &reference["primal"], 1e-12)?;
                let made = pull(&[constant(&cx, &c["cotangent"])]);
                for (n, d) in names.iter().zip(&made) {
                    near(n, &value(d)?, &reference["vjp"][n.as_str()], 1e-12)?;
                }
                Ok(())
            }
        };
        done += 1;
        if let Err(e) = check() {
            wrong.push(format!("{id}: {e}"));
        }
    }
    println!("{done} of {} cases; not in the table: {missing:?}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(done >= 168, "{done} cases run");
}

/// Derivative number `n` of a function of a number.
fn nth(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> f64 {
    fn at(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> Var {
        if n == 0 { f(x) } else { grad(|x: &Var| at(n - 1, f, x))(x) }
    }
    at(n, f, x).val()
}

/// The same by nested forward mode.
fn nth_forward(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> f64 {
    fn at(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> Var {
        if n == 0 {
            return f(x);
        }
        let one = x.full_like(1.0);
        jvp(|v| vec![at(n - 1, f, &v[0])], &[x], &[&one]).1[0].clone()
    }
    at(n, f, x).val()
}

fn number(v: &Value) -> f64 {
    array(v).1[0]
}

fn same(what: &str, found: f64, expected: &Value, tolerance: f64) {
    let e = number(expected);
    assert!((found - e).abs() <= tolerance * e.abs().max(1.0), "{what}: {found}, expected {e}");
}

#[test]
fn higher_order() {
    let Some(golden) = load() else { return };
    let groups = golden["higher_order"].as_array().expect("groups");
    assert_eq!(groups.len(), 7);
    for g in groups {
        let cx = Cx::eager();
        match g["id"].as_str().unwrap_or("") {
            "diffn_sin_exp_cos" | "tanh_6th" => {
                let fs: [&dyn Fn(&Var) -> Var; 3] = match g["id"] == "tanh_6th" {
                    true => [&|x| x.tanh(); 3],
                    false => [&|x| x.sin(), &|x| x.exp(), &|x| x.cos()],
                };
                let x = cx.scalar(number(&g["x"]));
                for (order, values) in g["orders"].as_object().expect("orders") {
                    let n: usize = order.parse().expect("an order");
                    for (f, v) in fs.iter().zip(values.as_array().expect("values")) {
                        same(&format!("{} order {n}", g["id"]), nth(n, f, &x), v, 1e-12);
                        if n <= 6 {
                            same("forward", nth_forward(n, f, &x), v, 1e-12);
                        }
                    }
                }
            }
            "rosenbrock_grad" => rosenbrock(g, &cx),
            "vec3to2" => vec3to2(g, &cx),
            "perturbation_confusion" => {
                let outer = |x: &Var| x * &grad(|y: &Var| x * y)(&x.cx().scalar(2.0));
                same("confusion", grad(outer)(&cx.scalar(1.0)).val(), &g["value"], 1e-15);
            }
            "charged_particle" => charged_particle(g),
            "seed_custom_activation" => {
                let f = |x: &Var| if x.val() < 0.0 { (x.exp() - 1.0) * 0.1 } else { x / &(x + 1.0) };
                for p in g["points"].as_array().expect("points") {
                    let x = cx.scalar(number(&p["x"]));
                    for (n, d) in p["derivs"].as_array().expect("derivatives").iter().enumerate() {
                        same(&format!("activation order {n} at {}", p["x"]), nth(n, &f, &x), d, 1e-12);
                    }
                }
            }
            other => panic!("unknown group {other}"),
        }
    }
}

fn at(x: &Var, i: usize) -> Var {
    pick(x, [Some(i)], &[])
}

fn rosenbrock(g: &Value, cx: &Cx) {
    let f = |x: &Var| {
        let (a, b) = (at(x, 0), at(x, 1));
        (1.0 - &a).square() + (b - a.square()).square() * 100.0
    };
    let x = constant(cx, &g["x"]);
    let close = |what: &str, v: &Var, e: &Value| {
        near(what, &v.array().expect("a value"), e, 1e-12).unwrap_or_else(|e| panic!("{e}"));
    };
    close("value", &f(&x), &g["value"]);
    close("grad", &grad(f)(&x), &g["grad"]);
    let v = constant(cx, &g["gradv"]["v"]);
    close("gradv", &(grad(f)(&x) * &v).sum_all(), &g["gradv"]["out"]);
    let hessian: Vec<Var> = (0..2).map(|i| grad(|x: &Var| at(&grad(f)(x), i))(&x)).collect();
    close("hessian", &joined(&hessian, &[2, 2]), &g["hessian"]);
    let laplacian = at(&hessian[0], 0) + at(&hessian[1], 1);
    close("laplacian", &laplacian, &g["laplacian"]);
    // Forward over reverse.
    let v = constant(cx, &g["hessianv"]["v"]);
    let (_, hv) = jvp(|x| vec![grad(f)(&x[0])], &[&x], &[&v]);
    close("hessianv", &hv[0], &g["hessianv"]["hv"]);
    close("gv", &(grad(f)(&x) * &v).sum_all(), &g["hessianv"]["gv"]);
}

fn vec3to2(g: &Value, cx: &Cx) {
    let f = |v: &[Var]| {
        let (x, y, z) = (at(&v[0], 0), at(&v[0], 1), at(&v[0], 2));
        let first = &x * &y + &y * &z * 2.0;
        let second = &x * &y.square() * &z * 2.0;
        vec![joined(&[first, second], &[2])]
    };
    let x = constant(cx, &g["x"]);
    let close = |what: &str, v: &Var, e: &Value| {
        near(what, &v.array().expect("a value"), e, 1e-12).unwrap_or_else(|e| panic!("{e}"));
    };
    let (_, t) = jvp(f, &[&x], &[&constant(cx, &g["jvp"]["v"])]);
    close("jvp", &t[0], &g["jvp"]["out"]);
    let (_, pull) = vjp(f, &[&x]);
    close("vjp", &pull(&[constant(cx, &g["vjp"]["v"])])[0], &g["vjp"]["out"]);
    let rows: Vec<Var> = (0..2)
        .map(|i| {
            let one = [[1.0, 0.0], [0.0, 1.0]][i];
            pull(&[cx.array(DType::F64, &[2], &one)])[0].clone()
        })
        .collect();
    close("jacobian", &joined(&rows, &[2, 3]), &g["jacobian"]);
}

/// Siskind and Pearlmutter 2008, p. 13: a particle steered by one number, Newton's method on the derivative of where it
/// lands; the force is the gradient of a potential, so reverse mode runs inside forward mode inside forward mode.
fn charged_particle(g: &Value) {
    fn lands(w: &Var) -> Var {
        let cx = w.cx().clone();
        let c = |v: f64| cx.scalar(v);
        let distance =
            |x: &[Var; 2], px: f64, py: &Var| ((&x[0] - px).square() + (&x[1] - py).square()).sqrt();
        let potential = |v: &[Var]| {
            let x = [v[0].clone(), v[1].clone()];
            1.0 / &distance(&x, 10.0, &(10.0 - w)) + 1.0 / &distance(&x, 10.0, &v[0].full_like(0.0))
        };
        let dt = 0.1;
        let (mut x, mut speed) = ([c(0.0), c(8.0)], [c(0.75), c(0.0)]);
        loop {
            let (_, force) = furnace::grads(potential, &[&x[0], &x[1]]);
            let next: [Var; 2] = std::array::from_fn(|i| &x[i] + &(&speed[i] * dt));
            if next[1].val() <= 0.0 {
                // Back along the line to where it crosses.
                let t = -(&x[1] / &speed[1]);
                return (&x[0] + &(&speed[0] * &t)).square();
            }
            speed = std::array::from_fn(|i| &speed[i] - &(&force[i] * dt));
            x = next;
        }
    }
    let derivative = |f: &dyn Fn(&Var) -> Var, w: &Var| {
        let one = w.full_like(1.0);
        jvp(|v| vec![f(&v[0])], &[w], &[&one]).1[0].clone()
    };
    let mut w = 0.0;
    let mut rounds = 0;
    loop {
        let cx = Cx::eager();
        let at = cx.scalar(w);
        let slope = derivative(&lands, &at).val();
        if slope.abs() < 0.1 {
            break;
        }
        let second = derivative(&|w: &Var| derivative(&lands, w), &at).val();
        w -= slope / second;
        rounds += 1;
        assert!(rounds < 20, "Newton's method does not settle: w = {w}");
    }
    let expected = number(&g["w_star"]);
    assert!((w - expected).abs() <= 1e-2 * expected.abs(), "{w}, expected {expected}");
    assert_eq!(rounds, g["newton_iterations"].as_u64().expect("a count"));
}
