//! The higher-order groups of the golden data at 40 digits: inputs and literals are decimals, and so are the results.

use axes::DType;
use furnace::precision::{Digits, Evaluation, Given, Precision, evaluate_fn};
use furnace::{grad, jvp, vjp};
use graph::{Cx, Scalar, Var};
use serde_json::Value;

const HOW: Evaluation =
    Evaluation { precision: Precision::Digits(40), literals: graph::Literals::Decimal, accumulator: None };

fn load() -> Option<Value> {
    let root = std::env::var("FIDELITY_GOLDEN")
        .unwrap_or_else(|_| format!("{}/../../../shared/golden", env!("CARGO_MANIFEST_DIR")));
    let Ok(text) = std::fs::read_to_string(format!("{root}/autodiff/cases.json")) else {
        println!("skipped: no golden data under {root}; set FIDELITY_GOLDEN");
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// A number or rows of numbers as decimals in row-major order.
fn decimals(v: &Value) -> Vec<String> {
    match v {
        Value::Array(list) => list.iter().flat_map(decimals).collect(),
        Value::String(s) => vec![s.clone()],
        other => vec![other.to_string()],
    }
}

fn given(v: &Value) -> Given {
    match v {
        Value::Array(list) => Given::Decimals(vec![list.len()], decimals(v)),
        _ => Given::number(&decimals(v)[0]),
    }
}

/// Compares with the reference to 1e-28 (relative above 1); returns the largest error.
fn same(what: &str, f: impl Fn(&[Var]) -> Vec<Var>, inputs: &[Given], expected: &Value) -> f64 {
    let made = evaluate_fn(f, inputs, &HOW).unwrap_or_else(|e| panic!("{what}: {e}"));
    let found: Vec<&String> = made.iter().flat_map(|a| &a.decimals).collect();
    let expected = decimals(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    Digits::with(40, || {
        let read = |t: &str| Digits::from_decimal(t).unwrap_or_else(|| panic!("{what}: `{t}`"));
        found.iter().zip(&expected).fold(0.0, |worst: f64, (f, e)| {
            let (x, y) = (read(f), read(e));
            let error = ((x - y.clone()).abs() / y.abs().maximum(&Digits::from_f64(1.0))).to_f64();
            assert!(error <= 1e-28, "{what}: {f}, expected {e}");
            worst.max(error)
        })
    })
}

/// Derivative number `n` by nested reverse mode.
fn nth(n: usize, f: &dyn Fn(&Var) -> Var, x: &Var) -> Var {
    if n == 0 { f(x) } else { grad(|x: &Var| nth(n - 1, f, x))(x) }
}

fn at(x: &Var, i: usize) -> Var {
    x.slice_axis(0, i, i + 1).reshape(&[])
}

fn group(golden: &Value, id: &str) -> Value {
    let groups = golden["higher_order"].as_array().expect("groups");
    groups.iter().find(|g| g["id"] == id).unwrap_or_else(|| panic!("no group {id}")).clone()
}

fn orders(id: &str, fs: &[&dyn Fn(&Var) -> Var]) {
    let Some(golden) = load() else { return };
    let g = group(&golden, id);
    let mut worst = 0.0f64;
    for (order, values) in g["orders"].as_object().expect("orders") {
        let n: usize = order.parse().expect("an order");
        let all = |x: &[Var]| fs.iter().map(|f| nth(n, *f, &x[0])).collect();
        worst = worst.max(same(&format!("{id} order {n}"), all, &[given(&g["x"])], values));
    }
    println!("{id}: largest error {worst:.1e}");
}

#[test]
fn sine_exponential_and_cosine_to_order_8() {
    orders("diffn_sin_exp_cos", &[&|x| x.sin(), &|x| x.exp(), &|x| x.cos()]);
}

#[test]
fn tanh_to_order_6() {
    orders("tanh_6th", &[&|x| x.tanh()]);
}

#[test]
fn activation_with_a_branch() {
    let Some(golden) = load() else { return };
    let f = |x: &Var| if x.val() < 0.0 { (x.exp() - 1.0) * 0.1 } else { x / &(x + 1.0) };
    let mut worst = 0.0f64;
    for p in group(&golden, "seed_custom_activation")["points"].as_array().expect("points") {
        let count = p["derivs"].as_array().expect("derivatives").len();
        let all = |x: &[Var]| (0..count).map(|n| nth(n, &f, &x[0])).collect();
        worst = worst.max(same(&format!("activation at {}", p["x"]), all, &[given(&p["x"])], &p["derivs"]));
    }
    println!("activation: largest error {worst:.1e}");
}

#[test]
fn rosenbrock() {
    let Some(golden) = load() else { return };
    let g = group(&golden, "rosenbrock_grad");
    let f = |x: &Var| {
        let (a, b) = (at(x, 0), at(x, 1));
        (1.0 - &a).square() + (b - a.square()).square() * 100.0
    };
    let x = [given(&g["x"])];
    same("value", |x| vec![f(&x[0])], &x, &g["value"]);
    same("grad", |x| vec![grad(f)(&x[0])], &x, &g["grad"]);
    let row = |x: &Var, i: usize| grad(|x: &Var| at(&grad(f)(x), i))(x);
    same("hessian", |x| vec![row(&x[0], 0), row(&x[0], 1)], &x, &g["hessian"]);
    same("laplacian", |x| vec![at(&row(&x[0], 0), 0) + at(&row(&x[0], 1), 1)], &x, &g["laplacian"]);
    let two = |v: &Value| [given(&g["x"]), given(v)];
    let dot = |x: &[Var]| vec![(grad(f)(&x[0]) * &x[1]).sum_all()];
    same("gradv", dot, &two(&g["gradv"]["v"]), &g["gradv"]["out"]);
    same("gv", dot, &two(&g["hessianv"]["v"]), &g["hessianv"]["gv"]);
    // Forward over reverse.
    let hv = |x: &[Var]| jvp(|x| vec![grad(f)(&x[0])], &[&x[0]], &[&x[1]]).1;
    same("hessianv", hv, &two(&g["hessianv"]["v"]), &g["hessianv"]["hv"]);
}

#[test]
fn jacobian_of_three_to_two() {
    let Some(golden) = load() else { return };
    let g = group(&golden, "vec3to2");
    let f = |v: &[Var]| {
        let (x, y, z) = (at(&v[0], 0), at(&v[0], 1), at(&v[0], 2));
        let first = (&x * &y + &y * &z * 2.0).reshape(&[1.into()]);
        let second = (&x * &y.square() * &z * 2.0).reshape(&[1.into()]);
        vec![graph::Var::concatenate(&[&first, &second], 0)]
    };
    let two = |v: &Value| [given(&g["x"]), given(v)];
    same("jvp", |x| jvp(f, &[&x[0]], &[&x[1]]).1, &two(&g["jvp"]["v"]), &g["jvp"]["out"]);
    same("vjp", |x| vjp(f, &[&x[0]]).1(&x[1..]), &two(&g["vjp"]["v"]), &g["vjp"]["out"]);
    let rows = |x: &[Var]| {
        let pull = vjp(f, &[&x[0]]).1;
        let one = |i: usize| x[0].cx().array(DType::F64, &[2], &[[1.0, 0.0], [0.0, 1.0]][i]);
        (0..2).map(|i| pull(&[one(i)])[0].clone()).collect()
    };
    same("jacobian", rows, &[given(&g["x"])], &g["jacobian"]);
}

#[test]
fn perturbation_confusion() {
    let Some(golden) = load() else { return };
    let g = group(&golden, "perturbation_confusion");
    let outer = |x: &Var| x * &grad(|y: &Var| x * y)(&x.cx().scalar(2.0));
    same("confusion", |x| vec![grad(outer)(&x[0])], &[Given::number("1")], &g["value"]);
}

/// Siskind and Pearlmutter 2008, p. 13: Newton's method on the derivative of where a particle lands, each step in 40
/// digits; the reference has six.
#[test]
fn charged_particle() {
    let Some(golden) = load() else { return };
    let g = group(&golden, "charged_particle");
    fn lands(w: &Var) -> Var {
        let cx: Cx = w.cx().clone();
        let c = |v: f64| cx.scalar(v);
        let distance = |x: &[Var], py: &Var| ((&x[0] - 10.0).square() + (&x[1] - py).square()).sqrt();
        let potential =
            |x: &[Var]| 1.0 / &distance(x, &(10.0 - w)) + 1.0 / &distance(x, &x[0].full_like(0.0));
        let dt = 0.1;
        let (mut x, mut speed) = ([c(0.0), c(8.0)], [c(0.75), c(0.0)]);
        loop {
            let (_, force) = furnace::grads(potential, &[&x[0], &x[1]]);
            let next: [Var; 2] = std::array::from_fn(|i| &x[i] + &(&speed[i] * dt));
            if next[1].val() <= 0.0 {
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
    let (mut w, mut rounds) = ("0".to_string(), 0);
    loop {
        let both = |x: &[Var]| {
            let first = derivative(&lands, &x[0]);
            let second = derivative(&|w: &Var| derivative(&lands, w), &x[0]);
            vec![first, second]
        };
        let made = evaluate_fn(both, &[Given::number(&w)], &HOW).expect("a step");
        let (slope, curve) = (&made[0], &made[1]);
        if slope.nearest.to_f64()[0].abs() < 0.1 {
            break;
        }
        w = Digits::with(40, || {
            let read = |t: &str| Digits::from_decimal(t).expect("a decimal");
            (read(&w) - read(&slope.decimals[0]) / read(&curve.decimals[0])).to_decimal()
        });
        rounds += 1;
        assert!(rounds < 20, "Newton's method does not settle: w = {w}");
    }
    let expected: f64 = decimals(&g["w_star"])[0].parse().expect("a number");
    let found: f64 = w.parse().expect("a number");
    println!("charged particle: w = {w}");
    assert!((found - expected).abs() <= 1e-2 * expected.abs(), "{w}, expected {expected}");
    assert_eq!(rounds, g["newton_iterations"].as_u64().expect("a count"));
}
