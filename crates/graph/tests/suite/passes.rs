//! Each pass keeps the meaning to the bit and the graph well formed; and does what it is for.

use crate::generate::{self, assert_same};
use crate::model::language_model;
use axes::DType;
use graph::{Array, Attr, Bindings, Cx, Dim, Graph, Op, Type, Var, attrs, interp, passes};
use proptest::prelude::*;

type Pass = (&'static str, fn(&Graph) -> Graph);
const PASSES: [Pass; 6] = [
    ("dead_code", passes::dead_code),
    ("common_subexpressions", passes::common_subexpressions),
    ("constants", passes::constants),
    ("simplify", passes::simplify),
    ("standard", passes::standard),
    ("lower_for_execution", passes::lower_for_execution),
];

fn check(what: &str, before: &Graph, after: &Graph) {
    after.verify().unwrap_or_else(|e| panic!("{what}: {e}\nbefore:\n{before}\nafter:\n{after}"));
    let names = |list: &[graph::Named]| list.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before.inputs), names(&after.inputs), "{what}");
    assert_eq!(names(&before.outputs), names(&after.outputs), "{what}");
    assert_eq!(names(&before.taps), names(&after.taps), "{what}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn every_pass_keeps_the_meaning(choices in generate::choices()) {
        let g = generate::graph(&choices);
        g.verify().unwrap();
        for (name, pass) in PASSES {
            let after = pass(&g);
            check(name, &g, &after);
            assert_same(name, &g, &after);
        }
        let lowered = passes::lower_for_execution(&g);
        prop_assert_eq!(passes::standard(&lowered), lowered);
        let fixed = passes::standard(&g.specialize(&Bindings::from([("B".into(), 2)])));
        check("specialized", &g, &fixed);
        assert_same("specialized", &g, &fixed);
    }
}

fn count(g: &Graph, op: Op) -> usize {
    g.nodes.iter().filter(|n| n.op == op).count()
}

fn read(text: &str) -> Graph {
    Graph::parse(text).unwrap()
}

#[test]
fn dead_code_keeps_inputs_and_taps() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["B"]));
    let unused = cx.input("unused", Type::new(DType::F32, ["B"]));
    let _dead = (&x + &unused).exp().tanh();
    cx.tap("seen", &x.sin());
    let g = cx.finish(&[("y", &x.cos())]).unwrap();
    let after = passes::dead_code(&g);
    check("dead_code", &g, &after);
    assert_eq!(after.nodes.len(), 4);
    assert_eq!(count(&after, Op::Sine), 1);
}

#[test]
fn dead_results_of_loops_go() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["T", "B"]));
    let k = cx.input("k", Type::new(DType::F32, ["B"]));
    let (zero, other) = (k.full_like(0.0), k.full_like(2.0));
    let (_, ys) = cx.scan(&[&zero, &other], &[&x, &x.tanh()], false, |c, xs| {
        // The second carried value and the second output serve nobody, and neither do `k` and the second sequence.
        let h = &c[0] + &xs[0];
        (vec![h.clone(), &c[1] * &k], vec![h, &xs[1] + &c[1]])
    });
    let (zero, step) = (cx.scalar(0.0), cx.scalar(1.0));
    let looped =
        cx.while_(&[&zero, &zero], |v| v[0].lt(&v[0].full_like(5.0)), |v| vec![&v[0] + &step, &v[1] + 2.0]);
    let picked =
        cx.cond(&looped[0].gt(&step), |_| vec![k.exp(), x.sum(&[0])], |_| vec![k.clone(), k.clone()]);
    let g = cx.finish(&[("y", &ys[0]), ("n", &looped[0]), ("p", &picked[0])]).unwrap();
    let after = passes::dead_code(&g);
    check("dead_code", &g, &after);
    let node = |op: Op| after.nodes.iter().find(|n| n.op == op).unwrap();
    let scan = node(Op::Scan);
    assert_eq!((scan.attrs.int("consts", -1), scan.attrs.int("carries", -1)), (0, 1));
    assert_eq!((scan.inputs.len(), scan.types.len()), (2, 2));
    assert_eq!(count(&after, Op::Tanh), 0, "{after}");
    assert_eq!(node(Op::While).types.len(), 1);
    assert_eq!((node(Op::Cond).types.len(), node(Op::Cond).inputs.len()), (1, 3));
    assert_eq!(passes::dead_code(&after), after);
}

#[test]
fn equal_nodes_are_shared_but_variables_are_not() {
    let g = read(
        "graph(x=%0) -> (y=%9, a=%4, b=%5, c=%6) {
          %0:f32[B] = input
          %1:f32[B] = exp %0 @first
          %2:f32[B] = exp %0 @second
          %3:f32[B] = add %1, %2
          %4:f32[B] = identity %0 {id=1}
          %5:f32[B] = identity %0 {id=2}
          %6:f32[B] = identity %0 {id=1}
          %7:f32[] = reduce_sum %3 {axes=[0]}
          %8:f32[] = reduce_sum %3 {axes=[0]}
          %9:f32[] = add %7, %8
        }",
    );
    let after = passes::common_subexpressions(&g);
    check("cse", &g, &after);
    assert_eq!(
        (count(&after, Op::Exp), count(&after, Op::Identity), count(&after, Op::ReduceSum)),
        (1, 2, 1)
    );
    assert_eq!(after.output("a"), after.output("c"));
    let exp = after.nodes.iter().find(|n| n.op == Op::Exp).unwrap();
    assert_eq!(after.scopes[exp.scope as usize], "first");
}

#[test]
fn equal_regions_are_shared() {
    let body = "graph(c=%0, x=%1) -> (n=%2) { %0:f32[] = input  %1:f32[] = input  %2:f32[] = add %0, %1 }";
    let scan = format!("scan %0, %1 {{body={body}, carries=1, consts=0, length=<T>, reverse=false}}");
    let g = read(&format!(
        "graph(c=%0, x=%1) -> (y=%4) {{
           %0:f32[] = input
           %1:f32[T] = input
           %2:f32[] = {scan}
           %3:f32[] = {scan}
           %4:f32[] = multiply %2, %3
         }}"
    ));
    assert_eq!(count(&passes::common_subexpressions(&g), Op::Scan), 1);
}

#[test]
fn folding_keeps_repeated_numbers_repeated() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["B", "T"]));
    let huge = cx.full(&Type::new(DType::F32, [1 << 20, 1 << 20]), 0.5);
    let shaped =
        (&x.full_like(2.0).exp() * &x.full_like(3.0)).transpose(&[1, 0]).broadcast_last(&Dim::from(7));
    let g = cx
        .finish(&[("a", &(&huge + 1.0).tanh()), ("b", &shaped), ("c", &huge.max_over(&[0])), ("x", &x)])
        .unwrap();
    let after = passes::standard(&g);
    check("fold", &g, &after);
    for name in ["a", "b", "c"] {
        let n = after.node(after.output(name).unwrap());
        let Some(Attr::Floats(v)) = n.attrs.get("values") else { panic!("{name} is not constant:\n{after}") };
        assert_eq!(v.len(), 1);
    }
    let b = after.node(after.output("b").unwrap());
    assert_eq!(b.types[0].to_string(), "f32[T,B,7]");
    let Some(Attr::Floats(v)) = b.attrs.get("values") else { unreachable!() };
    assert_eq!(v[0], ((2f64.exp() as f32 as f64) * 3.0) as f32 as f64);
}

#[test]
fn folding_computes_small_dense_constants_only() {
    let cx = Cx::abstract_();
    let small = cx.array(DType::F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let values: Vec<f64> = (0..5000).map(f64::from).collect();
    let large = cx.array(DType::F32, &[5000], &values);
    let out_of_range = small.gather(&cx.full(&Type::new(DType::I64, [1]), 9.0));
    let bits = cx.push1(
        Op::RandomBits,
        attrs! { dims: Dims(vec![2.into()]) },
        &[&cx.full(&Type::scalar(DType::I64), 1.0)],
    );
    let product = small.matmul(&small);
    let outs: [(&str, &Var); 5] = [
        ("p", &product),
        ("l", &large.exp()),
        ("o", &out_of_range),
        ("v", &cx.variable(&small)),
        ("r", &bits),
    ];
    let g = passes::standard(&cx.finish(&outs).unwrap());
    g.verify().unwrap();
    let Some(Attr::Floats(v)) = g.node(g.output("p").unwrap()).attrs.get("values") else { panic!("{g}") };
    assert_eq!(v.as_slice(), [7.0, 10.0, 15.0, 22.0]);
    let ops: Vec<Op> = ["l", "o", "v", "r"].iter().map(|o| g.node(g.output(o).unwrap()).op).collect();
    assert_eq!(ops, [Op::Exp, Op::Gather, Op::Identity, Op::RandomBits]);
}

#[test]
fn a_bound_size_becomes_a_number() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["N", "D"]));
    let n = cx.size_of(&Dim::from("N"), DType::F32);
    let g = cx.finish(&[("mean", &x.mean_all()), ("n", &n)]).unwrap();
    assert_eq!(count(&passes::standard(&g), Op::ReduceSum), 3);
    let g = passes::standard(&g.specialize(&Bindings::from([("N".into(), 100_000), ("D".into(), 64)])));
    assert_eq!(count(&g, Op::ReduceSum), 1);
    let Some(Attr::Floats(v)) = g.node(g.output("n").unwrap()).attrs.get("values") else { panic!("{g}") };
    assert_eq!(v[0], 100_000.0);
}

#[test]
fn rules_that_build_nodes() {
    let g = read(
        "graph(x=%0, c=%1) -> (a=%4, b=%6, t=%8, s=%10, r=%12, w=%15) {
          %0:f32[2,3] = input
          %1:bool[2,3] = input
          %2:f32[2,3] = negate %0
          %3:f32[2,3] = exp %0
          %4:f32[2,3] = add %3, %2
          %5:f32[2,3] = constant {dims=<2, 3>, dtype=f32, values=dense(-1.0)}
          %6:f32[2,3] = multiply %5, %3
          %7:f32[3,2] = transpose %0 {perm=[1, 0]}
          %8:f32[2,3] = transpose %7 {perm=[1, 0]}
          %9:bool[2,3] = not %1
          %10:f32[2,3] = select %9, %0, %3
          %11:f32[6] = reshape %3 {dims=<6>}
          %12:f32[3,2] = reshape %11 {dims=<3, 2>}
          %13:f32[2,3,4] = broadcast %0 {dims=<2, 3, 4>, map=[0, 1]}
          %14:f32[5,2,3,4] = broadcast %13 {dims=<5, 2, 3, 4>, map=[1, 2, 3]}
          %15:f32[5,2,3,4] = multiply %14, %14
        }",
    );
    let after = passes::standard(&g);
    check("simplify", &g, &after);
    let expected = read(
        "graph(x=%0, c=%1) -> (a=%3, b=%4, t=%0, s=%5, r=%6, w=%8) {
          %0:f32[2,3] = input
          %1:bool[2,3] = input
          %2:f32[2,3] = exp %0
          %3:f32[2,3] = subtract %2, %0
          %4:f32[2,3] = negate %2
          %5:f32[2,3] = select %1, %2, %0
          %6:f32[3,2] = reshape %2 {dims=<3, 2>}
          %7:f32[5,2,3,4] = broadcast %0 {dims=<5, 2, 3, 4>, map=[1, 2]}
          %8:f32[5,2,3,4] = multiply %7, %7
        }",
    );
    assert_eq!(after, expected, "{after}");
}

#[test]
fn sums_with_zero_and_products_with_zero_stay() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, ["B"]));
    let zero = x.full_like(0.0);
    let g = cx.finish(&[("a", &(&x + &zero)), ("b", &(&x * &zero)), ("c", &-(&x - &x.exp()))]).unwrap();
    assert_eq!(passes::standard(&g), passes::dead_code(&g));
}

#[test]
fn an_operand_that_does_not_fit_is_an_error_even_next_to_one() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [3]));
    let y = &x * &cx.full(&Type::new(DType::F32, [4]), 1.0);
    assert!(cx.finish(&[("y", &y)]).unwrap_err().to_string().contains("shapes differ"));
}

#[test]
fn lowering_drops_what_only_derivatives_see() {
    let cx = Cx::abstract_();
    let x = cx.variable(&cx.input("x", Type::new(DType::F32, [3, 4])));
    let soft = x.tanh();
    let y = x.sign().surrogate(&soft).stop_gradient();
    let (_, ys) = cx.scan(&[], &[&y], false, |_, xs| (vec![], vec![xs[0].floor().surrogate(&xs[0].sin())]));
    let g = passes::lower_for_execution(&cx.finish(&[("y", &ys[0])]).unwrap());
    g.verify().unwrap();
    let text = g.to_string();
    for gone in ["identity", "surrogate", "stop_gradient", "tanh", "sine"] {
        assert!(!text.contains(gone), "{text}");
    }
}

/// Inputs of the language model: B = 2, T = 8.
fn model_inputs(g: &Graph) -> Vec<Array<f64>> {
    let sizes = Bindings::from([("B".into(), 2), ("T".into(), 8)]);
    g.inputs
        .iter()
        .map(|i| {
            let ty = g.ty(i.value).substitute(&sizes);
            let n = ty.elements().unwrap();
            let float = |k: usize| ((k * 7919 + 13) % 1009) as f64 / 504.0 - 1.0;
            let values: Vec<f64> =
                (0..n).map(|k| if ty.dtype.is_float() { float(k) } else { (k * 37 % 256) as f64 }).collect();
            Array::from_f64(ty.dtype, ty.fixed_shape().unwrap(), &values)
        })
        .collect()
}

#[test]
fn a_language_model_keeps_its_numbers() {
    let g = language_model(2);
    let inputs = model_inputs(&g);
    let before = interp::run(&g, inputs.clone(), true).unwrap();
    for (name, pass) in PASSES {
        let lowered = pass(&g);
        check(name, &g, &lowered);
        let after = interp::run(&lowered, inputs.clone(), true).unwrap();
        assert_eq!(before.outputs, after.outputs, "{name}");
        assert_eq!(before.taps, after.taps, "{name}");
    }
    let lowered = passes::lower_for_execution(&g);
    assert_eq!(count(&lowered, Op::Surrogate), 0);
    // The unquantised product was the stand-in of each ternary layer; only the head's stays.
    assert_eq!(count(&lowered, Op::DotGeneral), 1);
    assert_eq!(count(&lowered, Op::TernaryLinear), count(&g, Op::TernaryLinear));
}

#[test]
fn the_generator_reaches_most_of_the_table() {
    let mut seen = std::collections::BTreeSet::new();
    fn note(g: &Graph, seen: &mut std::collections::BTreeSet<Op>) {
        for n in &g.nodes {
            seen.insert(n.op);
            for (_, a) in n.attrs.iter() {
                if let Attr::Graph(r) = a {
                    note(r, seen);
                }
            }
        }
    }
    for seed in 0u32..200 {
        let choices: Vec<u16> =
            (0..80u32).map(|k| ((seed * 80 + k).wrapping_mul(2_654_435_761) >> 13) as u16).collect();
        note(&generate::graph(&choices), &mut seen);
    }
    let missing: Vec<&str> = Op::ALL.iter().filter(|o| !seen.contains(o)).map(|o| o.name()).collect();
    // What only derivatives make, what takes a key, labels, positions or blocks, and what has suites of its own.
    let unreached = [
        "iota",
        "random_bits",
        "asin",
        "acos",
        "atan",
        "erf",
        "windows",
        "windows_add",
        "block_rows",
        "argsort",
        "cumulative_argmax",
        "take_along",
        "scatter_add_along",
        "last_writer",
        "block_linear",
        "solve",
        "triangular_solve",
        "determinant",
        "cholesky",
        "eigh",
        "fourier",
        "rms_norm_grad",
        "linear_scan_grad",
        "selective_scan",
        "selective_scan_grad",
        "ssd",
        "ssd_grad",
        "linear_attention",
        "linear_attention_grad",
        "cross_entropy",
        "cross_entropy_grad",
        "rope",
        "kv_attention",
        "log1p",
        "expm1",
        "softplus",
        "convolution",
        "convolution_transposed",
        "mlstm",
        "mlstm_grad",
        "slstm",
        "slstm_grad",
        "long_convolution",
        "long_correlation",
    ];
    assert_eq!(missing, unreached);
}
