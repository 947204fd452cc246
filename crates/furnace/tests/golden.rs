//! The published derivative cases, with references in double precision (`golden/autodiff/cases.json`), and the nested
//! derivatives of the literature.

use axes::DType;
use furnace::{grad, jvp, vjp};
use graph::ops::windows::Geometry;
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

/// The windows that a case's attributes describe: one number for all axes, or a list.
fn geometry(attrs: &Value, kernel: &[usize]) -> Geometry {
    let list = |one: &str, many: &str, default: usize| -> Vec<usize> {
        match (&attrs[one], &attrs[many]) {
            (Value::Null, Value::Null) => vec![default; kernel.len()],
            (Value::Null, l) => array(l).1.iter().map(|n| *n as usize).collect(),
            (n, _) => vec![n.as_u64().expect("a size") as usize; kernel.len()],
        }
    };
    let around = list("padding", "paddings", 0);
    Geometry {
        kernel: kernel.to_vec(),
        stride: list("stride", "strides", 1),
        dilation: list("dilation", "dilations", 1),
        low: around.clone(),
        high: around,
    }
}

/// Over one axis, which stays when `keep`, or over all.
fn fold(x: &Var, axis: Option<usize>, keep: bool, f: impl Fn(&Var, &[usize]) -> Var) -> Var {
    let axes: Vec<usize> = axis.map_or_else(|| (0..x.ty().rank()).collect(), |a| vec![a]);
    let y = f(x, &axes);
    if keep { y.keep_axes(&axes) } else { y }
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
        "tan" => v(0).tan(),
        "tanh" => v(0).tanh(),
        "cosh" => v(0).cosh(),
        "acos" => v(0).acos(),
        "atan" => v(0).atan(),
        "sigmoid" => v(0).sigmoid(),
        "sign" => v(0).sign(),
        "floor" => v(0).floor(),
        "ceil" => v(0).ceil(),
        "round" => v(0).round_half_even(),
        "add" => binary(&v(0), &v(1), |a, b| a + b),
        "sub" => binary(&v(0), &v(1), |a, b| a - b),
        "mul" => binary(&v(0), &v(1), |a, b| a * b),
        "div" => binary(&v(0), &v(1), |a, b| a / b),
        "pow" => binary(&v(0), &v(1), Var::pow),
        "min" => v(0).min(&v(1)),
        "matmul" => v(0).matmul(&v(1)),
        "bmm" => v(0).bmm(&v(1)),
        "transpose" => v(0).t(),
        "softmax" => v(0).softmax(&[attrs["dim"].as_u64()? as usize]),
        "sum" => fold(&v(0), number(1), keep, Var::sum),
        "mean" => fold(&v(0), number(1), keep, Var::mean),
        "var" => fold(&v(0), number(1), keep, |x, axes| x.variance(axes, 1)),
        "std" => fold(&v(0), number(1), keep, |x, axes| x.std(axes, 1)),
        "cat" | "stack" => {
            let Arg::List(parts) = &args[0] else { panic!("a list of tensors") };
            let parts: Vec<&Var> = parts.iter().collect();
            if c["op"] == "cat" { Var::concatenate(&parts, 0) } else { Var::stack(&parts, 0) }
        }
        "slice" => match attrs["fsharp_index_inclusive"].as_str()? {
            "2.." => v(0).slice_axis(0, 2, sizes(&v(0))[0]),
            "*,2..2" => v(0).slice_axis(1, 2, 3).squeeze(1),
            other => panic!("slice {other}"),
        },
        "addSlice" => v(0).add_slice(&list(1).1.iter().map(|x| *x as usize).collect::<Vec<_>>(), &v(2)),
        "gather" | "scatter" => {
            let (shape, at) = list(2);
            let (ids, axis) = (v(0).cx().array(DType::I64, &shape, &at), number(1)?);
            match c["op"] == "gather" {
                true => v(0).take_along(&ids, axis),
                false => {
                    let size = array(&attrs["destinationShape"]).1[axis] as usize;
                    ids.scatter_add_along(&v(0), axis, &size.into())
                }
            }
        }
        "undilate" => {
            let steps = list(1).1;
            steps.iter().enumerate().fold(v(0), |x, (axis, step)| x.undilate(*step as usize, axis))
        }
        "conv1d" | "conv2d" => v(0).convolution(&v(1), &geometry(attrs, &sizes(&v(1))[2..]), 1),
        "convTranspose1d" | "convTranspose2d" => {
            v(0).convolution_transposed(&v(1), &geometry(attrs, &sizes(&v(1))[2..]), 1, 0)
        }
        "avgpool2d" => v(0).avg_pool(&pool(number(1)?, 2), true),
        "maxpool1d" => v(0).max_pool(&pool(number(1)?, 1)),
        "maxpool2d" => v(0).max_pool(&pool(number(1)?, 2)),
        "maxunpool2d" => {
            let to: Vec<usize> = array(&attrs["outputSize"]).1.iter().map(|n| *n as usize).collect();
            v(0).max_unpool(&v(1).convert(DType::I64), &to[2..])
        }
        "solve" => v(0).solve(&v(1)),
        "inv" => v(0).inverse(),
        "det" => v(0).determinant(),
        _ => return None,
    })
}

/// Windows side by side.
fn pool(k: usize, dimensions: usize) -> Geometry {
    Geometry::new(&vec![k; dimensions]).stride(k)
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
    assert_eq!((done, missing.len()), (172, 0), "not every case has run");
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
    x.slice_axis(0, i, i + 1).squeeze(0)
}

fn joined(parts: &[Var], shape: &[usize]) -> Var {
    Var::stack(&parts.iter().collect::<Vec<_>>(), 0).reshape(&dims(shape))
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
