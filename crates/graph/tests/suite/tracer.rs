//! The two tracers: native control flow on values, errors that teach, captures of regions.

use axes::DType;
use graph::{Array, Cx, Graph, Type, Var, interp};

fn run(g: &Graph, inputs: &[&[f64]]) -> Vec<f64> {
    g.verify().unwrap();
    let arrays = g.inputs.iter().zip(inputs).map(|(named, v)| {
        let ty = g.ty(named.value);
        let shape: Vec<usize> = match ty.rank() {
            0 => vec![],
            1 => vec![v.len()],
            _ => ty.fixed_shape().unwrap(),
        };
        Array::<f64>::from_f64(ty.dtype, shape, v)
    });
    let out = interp::run(g, arrays.collect(), false).unwrap();
    out.outputs.iter().flat_map(|(_, a)| a.to_f64()).collect()
}

fn vector(cx: &Cx, name: &str) -> Var {
    cx.input(name, Type::new(DType::F64, ["T"]))
}

#[test]
fn native_control_flow_works_on_values() {
    fn collatz(cx: &Cx, start: f64) -> (f64, usize) {
        let mut x = cx.scalar(start);
        let mut rounds = 0;
        while x.val() > 1.0 {
            let half = &x / 2.0;
            x = if (half.floor() - &half).val() < 0.0 { &x * 3.0 + 1.0 } else { half };
            rounds += 1;
        }
        (x.val(), rounds)
    }
    let cx = Cx::eager();
    assert_eq!(collatz(&cx, 27.0), (1.0, 111));
    let x = cx.array(DType::F64, &[3], &[1.0, -2.0, 4.0]);
    let mut total = cx.scalar(0.0);
    for k in 0..3 {
        let part = x.slice_axis(0, k, k + 1).reshape(&[]);
        if part.lt(&part.full_like(0.0)).is_true() {
            total = total - part;
        } else {
            total = total + part;
        }
    }
    assert_eq!(total.val(), 7.0);
    assert!(format!("{total:?}").ends_with("f64[] = [7.0]"), "{total:?}");
    assert_eq!(total.array().unwrap().shape, []);
    let g = cx.finish(&[("total", &total)]).unwrap();
    assert_eq!(run(&g, &[]), [7.0]);
}

#[test]
fn eager_loops_with_regions_compute_at_once() {
    let cx = Cx::eager();
    let x = cx.array(DType::F64, &[4], &[1.0, 2.0, 3.0, 4.0]);
    let (last, all) = cx.scan(&[&cx.scalar(0.0)], &[&x], false, |c, xs| {
        let s = &c[0] + &xs[0];
        (vec![s.clone()], vec![s])
    });
    assert_eq!(last[0].val(), 10.0);
    assert_eq!(all[0].array().unwrap().to_f64(), [1.0, 3.0, 6.0, 10.0]);
}

#[test]
fn an_abstract_value_has_no_number() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    assert!(x.try_val().unwrap_err().to_string().contains("use `cond`"));
    let y = if x.val() < 0.0 { -&x } else { x.clone() };
    let error = cx.finish(&[("y", &y)]).unwrap_err().to_string();
    assert!(error.contains("Rust's `if` cannot depend on it") && error.contains("use `cond`"), "{error}");
}

#[test]
fn a_region_has_no_numbers_even_in_an_eager_trace() {
    let cx = Cx::eager();
    let x = cx.array(DType::F64, &[2], &[1.0, 2.0]);
    let (_, ys) = cx.scan(&[], &[&x], false, |_, xs| (vec![], vec![&xs[0] * xs[0].val()]));
    let error = cx.finish(&[("y", &ys[0])]).unwrap_err().to_string();
    assert!(error.contains("use `cond`"), "{error}");
}

#[test]
fn an_eager_builder_takes_values_not_inputs() {
    let cx = Cx::eager();
    let x = cx.input("x", Type::scalar(DType::F64));
    let error = cx.finish(&[("x", &(&x + 1.0))]).unwrap_err().to_string();
    assert!(error.contains("use `Cx::array`"), "{error}");
}

#[test]
fn operands_that_differ_are_reported_with_both_places() {
    let cx = Cx::abstract_();
    let a = cx.input("a", Type::new(DType::F32, ["B", "In"]));
    let first = line!() - 1;
    let b = cx.input("b", Type::new(DType::F32, ["B", "Out"]));
    let second = line!() - 1;
    let c = &a + &b;
    let third = line!() - 1;
    let later = c.exp() * 2.0;
    assert!(later.is_poison());
    let error = cx.finish(&[("c", &later)]).unwrap_err().to_string();
    assert!(error.starts_with("add: the operands' shapes differ: f32[B,In] and f32[B,Out]"), "{error}");
    for (what, line) in [("operand 0: f32[B,In]", first), ("operand 1: f32[B,Out]", second), ("add", third)] {
        assert!(error.contains(&format!("{what} at {}:{line}:", file!())), "{error}");
    }
}

#[test]
fn the_first_error_stays() {
    let cx = Cx::abstract_();
    let a = cx.input("a", Type::new(DType::F32, [2]));
    let bad = a.reshape(&[3.into()]);
    let _ = &bad + &a.convert(DType::F64);
    let _ = &a + &a.convert(DType::F64);
    let error = cx.finish(&[("bad", &bad)]).unwrap_err().to_string();
    assert!(error.starts_with("reshape: f32[2] has 2 elements, f32[3] has 3"), "{error}");
}

#[test]
fn values_of_other_graphs_are_refused() {
    let (a, b) = (Cx::abstract_(), Cx::abstract_());
    let x = a.input("x", Type::scalar(DType::F64));
    let y = b.input("y", Type::scalar(DType::F64));
    let z = &x + &y;
    assert!(a.finish(&[("z", &z)]).unwrap_err().to_string().contains("only values of enclosing graphs"));
}

#[test]
fn scan_captures_outer_values() {
    let cx = Cx::abstract_();
    let x = vector(&cx, "x");
    let k = cx.input("k", Type::scalar(DType::F64));
    let (last, ys) = cx.scan(&[&k.full_like(0.0)], &[&x], false, |c, xs| {
        let h = &c[0] * &k + &xs[0];
        (vec![h.clone()], vec![&h + &k])
    });
    let g = cx.finish(&[("last", &last[0]), ("y", &ys[0])]).unwrap();
    assert_eq!(run(&g, &[&[1.0, 2.0, 3.0], &[10.0]]), [123.0, 11.0, 22.0, 133.0]);
    assert_eq!(run(&g, &[&[], &[10.0]]), [0.0]);
}

#[test]
fn reverse_scan_reads_from_the_end_and_stacks_in_place() {
    let cx = Cx::abstract_();
    let x = vector(&cx, "x");
    let (last, ys) = cx.scan(&[&cx.scalar(0.0)], &[&x], true, |c, xs| {
        let h = &c[0] * 10.0 + &xs[0];
        (vec![h.clone()], vec![h])
    });
    let g = cx.finish(&[("last", &last[0]), ("y", &ys[0])]).unwrap();
    assert_eq!(run(&g, &[&[1.0, 2.0, 3.0]]), [321.0, 321.0, 32.0, 3.0]);
}

#[test]
fn a_scan_without_sequences_counts_rounds() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let (last, _) = cx.scan_n(&5.into(), &[&x], &[], false, |c, _| (vec![&c[0] * 2.0], vec![]));
    let g = cx.finish(&[("y", &last[0])]).unwrap();
    assert_eq!(run(&g, &[&[3.0]]), [96.0]);
}

#[test]
fn captures_reach_across_two_levels() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F64, [2, 3]));
    let k = cx.input("k", Type::scalar(DType::F64));
    // The inner body uses a value of the outermost graph and one of the graph between.
    let (total, _) = cx.scan(&[&cx.scalar(0.0)], &[&x], false, |c, rows| {
        let weight = &c[0] + 1.0;
        let (sum, _) = rows[0].cx().scan(&[&cx.scalar(0.0)], &[&rows[0]], false, |s, v| {
            (vec![&s[0] + &(&v[0] * &k) * &weight], vec![])
        });
        (vec![sum[0].clone()], vec![])
    });
    let g = cx.finish(&[("y", &total[0])]).unwrap();
    // 2(1+2+3)·1 = 12, then 2(4+5+6)·13 = 390.
    assert_eq!(run(&g, &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2.0]]), [390.0]);
}

#[test]
fn cond_captures_in_both_regions_and_takes_one() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let (a, b) = (cx.input("a", Type::scalar(DType::F64)), cx.input("b", Type::scalar(DType::F64)));
    let positive = x.gt(&x.full_like(0.0));
    let out = cx.cond(
        &positive,
        |cx| {
            let (n, _) = cx.scan_n(&3.into(), &[&a], &[], false, |c, _| (vec![&c[0] * &b], vec![]));
            vec![n[0].clone()]
        },
        |_| vec![&b - &x],
    );
    let g = cx.finish(&[("y", &out[0])]).unwrap();
    assert_eq!(run(&g, &[&[1.0], &[5.0], &[2.0]]), [40.0]);
    assert_eq!(run(&g, &[&[-1.0], &[5.0], &[2.0]]), [3.0]);
}

#[test]
fn branches_of_different_types_are_refused() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let p = x.gt(&x);
    let out = cx.cond(&p, |_| vec![x.clone()], |_| vec![x.convert(DType::F32)]);
    let error = cx.finish(&[("y", &out[0])]).unwrap_err().to_string();
    assert!(error.contains("results of `then` and `else`: expected [f64[]], found [f32[]]"), "{error}");
}

#[test]
fn while_captures_and_stops() {
    let cx = Cx::abstract_();
    let (x, limit) = (cx.input("x", Type::scalar(DType::F64)), cx.input("limit", Type::scalar(DType::F64)));
    let out = cx.while_(&[&x, &cx.scalar(0.0)], |v| v[0].lt(&limit), |v| vec![&v[0] * &x, &v[1] + 1.0]);
    let g = cx.finish(&[("y", &out[0]), ("n", &out[1])]).unwrap();
    assert_eq!(run(&g, &[&[3.0], &[100.0]]), [243.0, 4.0]);
    assert_eq!(run(&g, &[&[3.0], &[1.0]]), [3.0, 0.0]);
}

#[test]
fn equal_nodes_are_made_once() {
    let cx = Cx::abstract_();
    let x = vector(&cx, "x");
    let (a, b) = (x.exp() + 1.0, x.exp() + 1.0);
    assert_eq!(a.id(), b.id());
    assert_ne!(cx.variable(&x).id(), cx.variable(&x).id());
}

#[test]
fn scopes_and_taps_survive_inlining() {
    let inner = Cx::abstract_();
    let p = vector(&inner, "p");
    let q = inner.scope("mlp", || p.exp());
    inner.tap("hidden", &q);
    let g = inner.finish(&[("q", &q)]).unwrap();
    let cx = Cx::abstract_();
    let x = vector(&cx, "x");
    let y = cx.scope("layers.0", || cx.inline(&g, &[x]).unwrap());
    let g = cx.finish(&[("y", &y[0])]).unwrap();
    assert!(g.tap("hidden").is_some());
    assert_eq!(g.scopes[g.node(g.output("y").unwrap()).scope as usize], "layers.0.mlp");
}

#[test]
fn inputs_are_checked_against_their_types() {
    let cx = Cx::abstract_();
    let (x, y) = (vector(&cx, "x"), vector(&cx, "y"));
    let g = cx.finish(&[("z", &(&x + &y))]).unwrap();
    let array = |n: usize| Array::<f64>::from_f64(DType::F64, [n], &vec![0.0; n]);
    let error = interp::run(&g, vec![array(2), array(3)], false).err().unwrap().to_string();
    assert!(error.contains("input `y`: expected f64[T], found f64[3]"), "{error}");
    assert!(interp::run(&g, vec![array(2)], false).is_err());
    let wrong = Array::<f64>::from_f64(DType::F32, [2], &[0.0; 2]);
    assert!(interp::run(&g, vec![array(2), wrong], false).is_err());
}

#[test]
fn a_branch_keeps_what_it_computes_from_outer_values() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::scalar(DType::F64));
    let zero = x.full_like(0.0);
    let positive = x.gt(&zero);
    let y = cx.cond(&positive, |_| vec![x.log()], |_| vec![(-&x).exp()])[0].clone();
    let g = cx.finish(&[("y", &y)]).unwrap();
    let outside: Vec<_> = g.nodes.iter().map(|n| n.op).collect();
    assert!(!outside.contains(&graph::Op::Log) && !outside.contains(&graph::Op::Exp), "{g}");
    for (x, y) in [(2.0, 2f64.ln()), (-1.5, 1.5f64.exp())] {
        let x = graph::Array::<f64>::from_f64(DType::F64, [], &[x]);
        let made = graph::interp::run(&g, vec![x], false).unwrap();
        assert_eq!(made.outputs[0].1.to_f64(), [y]);
    }
}
