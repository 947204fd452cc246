//! Who may write where and when: in-place updates, early results, outputs that are inputs, views, constants or the same
//! value twice.

use crate::cases::{Case, Maker, dims};
use crate::support::{POOLS, close, reference, tensors};
use axes::DType;
use engine::pool::Pool;
use engine::{EngineError, Executable, Tensor};
use graph::{Array, Dim, Var};
use premap::{Options, PlanError};
use std::sync::Arc;

/// Names of the pairs of (input, output).
fn names(c: &Case, pairs: &[(usize, usize)]) -> Vec<(String, String)> {
    pairs.iter().map(|(i, o)| (c.graph.inputs[*i].name.clone(), c.graph.outputs[*o].name.clone())).collect()
}

/// Runs with the outputs of `pairs` in the memory of their inputs and the outputs `early` first, with every kind of plan
/// and number of threads.
pub(crate) fn check_updates(
    c: &Case,
    pairs: &[(usize, usize)],
    early: &[usize],
    tolerance: f64,
) -> Result<(), String> {
    for (fuse, reuse) in [(true, true), (false, true), (true, false)] {
        let options = Options {
            donate: names(c, pairs),
            early: early.iter().map(|o| c.graph.outputs[*o].name.clone()).collect(),
            fuse,
            reuse,
            ..Options::default()
        };
        for pool in POOLS.iter() {
            for in_place in [true, false] {
                run_updates(c, pairs, early, &options, pool, in_place, tolerance).map_err(|e| {
                    format!(
                        "fuse {fuse}, reuse {reuse}, {} threads, in place {in_place}: {e}",
                        pool.threads()
                    )
                })?;
            }
        }
    }
    Ok(())
}

fn run_updates(
    c: &Case,
    pairs: &[(usize, usize)],
    early: &[usize],
    options: &Options,
    pool: &Arc<Pool>,
    in_place: bool,
    tolerance: f64,
) -> Result<(), String> {
    let expected = reference(c)?;
    let mut exe = Executable::new(&c.graph, options, pool.clone()).map_err(|e| e.to_string())?;
    let mut inputs = tensors(&c.inputs);
    let mut outputs: Vec<Tensor> = c.graph.outputs.iter().map(|o| Tensor::of(c.graph.ty(o.value))).collect();
    // The same binding twice, with a look at the memory in between.
    for part in 0..2 {
        if part == 0 && early.is_empty() {
            continue;
        }
        let mut io = exe.io();
        let mut free: Vec<Option<&mut Tensor>> = outputs.iter_mut().map(Some).collect();
        for (i, t) in inputs.iter_mut().enumerate() {
            match pairs.iter().find(|(d, _)| in_place && *d == i) {
                Some((_, o)) => {
                    free[*o] = None;
                    io.in_place(i, *o, t);
                }
                None => {
                    io.input(i, t);
                }
            }
        }
        for (o, t) in free.into_iter().enumerate() {
            if let Some(t) = t {
                io.output(o, t);
            }
        }
        let ran = match (part, early.is_empty()) {
            (0, _) => exe.run_early(&mut io),
            (_, false) => exe.run_rest(&mut io),
            _ => exe.run(&mut io),
        };
        ran.map_err(|e| e.to_string())?;
        drop(io);
        let at = |o: usize| match pairs.iter().find(|(_, d)| in_place && *d == o) {
            Some((i, _)) => &inputs[*i],
            None => &outputs[o],
        };
        let part_of: Vec<usize> = if part == 0 { early.to_vec() } else { (0..outputs.len()).collect() };
        for o in part_of {
            let found = at(o).to_array::<f32>();
            close(&found, &expected[o].1, tolerance)
                .map_err(|e| format!("part {part}: `{}` {e}", expected[o].0))?;
        }
        if part == 0 {
            for (t, a) in inputs.iter().zip(&c.inputs) {
                close(&t.to_array(), a, 0.0)
                    .map_err(|e| format!("an input was overwritten too early: {e}"))?;
            }
        }
    }
    Ok(())
}

#[track_caller]
fn ok(pairs: &[(usize, usize)], early: &[usize], build: impl FnOnce(&mut Maker) -> Vec<Var>) -> Case {
    let mut m = Maker::new(7);
    let out = build(&mut m);
    let c = m.finish("update", &out);
    if let Err(e) = check_updates(&c, pairs, early, 1e-5) {
        panic!("{e}\n{}", c.graph);
    }
    c
}

#[test]
fn readers_before_and_after_an_update() {
    ok(&[(0, 1)], &[], |m| {
        let (p, g) = (m.f(&[4, 6]), m.f(&[4, 6]));
        let before = p.sum(&[0]);
        let new = &p - &g * 0.1;
        let row = p.slice_axis(0, 1, 2).reshape(&dims(&[6])).broadcast_like(&g);
        let after = (&row * &g).tanh();
        let turned = p.transpose(&[1, 0]);
        vec![
            before,
            new.clone(),
            after,
            turned,
            &new * &p,
            p.reshape(&dims(&[24])).max_over(&[0]),
            new.sum_all(),
        ]
    });
}

#[test]
fn an_update_that_reads_its_input_in_another_order() {
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[4, 6]);
        let row = p.slice_axis(0, 1, 2).reshape(&dims(&[6]));
        vec![&p - &row.broadcast_like(&p)]
    });
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[6, 6]);
        vec![&p + &p.transpose(&[1, 0])]
    });
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[6, 6]);
        vec![&p * &p.sum(&[1]).broadcast_last(&Dim::from(6))]
    });
    // Two updates that read each other's old values.
    ok(&[(0, 0), (1, 1)], &[], |m| {
        let (a, b) = (m.f(&[300]), m.f(&[300]));
        vec![&a + &b, &a - &b]
    });
}

#[test]
fn updates_that_exchange_memory() {
    ok(&[(0, 0), (1, 1)], &[], |m| {
        let (a, b) = (m.f(&[5]), m.f(&[5]));
        vec![b, a]
    });
    ok(&[(0, 0), (1, 1), (2, 2)], &[], |m| {
        let (a, b, c) = (m.f(&[5]), m.f(&[5]), m.f(&[5]));
        vec![b.reshape(&dims(&[5])), &c * 2.0, a]
    });
}

#[test]
fn the_old_value_as_an_output() {
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[4, 6]);
        let new = &p * 0.5;
        vec![new, p.clone(), p.slice_axis(0, 2, 3), p.reshape(&dims(&[6, 4]))]
    });
    ok(&[(0, 0)], &[1, 2], |m| {
        let p = m.f(&[4, 6]);
        vec![&p * 0.5, p.clone(), p.sum_all()]
    });
}

#[test]
fn one_value_as_several_outputs() {
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[7]);
        let new = p.tanh();
        vec![new.clone(), new.clone(), new.reshape(&dims(&[1, 7])), new.slice_axis(0, 2, 4), new]
    });
    ok(&[(0, 2), (1, 0)], &[], |m| {
        let (p, q) = (m.f(&[7]), m.f(&[7]));
        let new = &p + &q;
        vec![new.clone(), q.exp(), new]
    });
}

#[test]
fn updates_that_are_not_elementwise() {
    ok(&[(0, 0), (1, 1), (2, 2), (3, 3)], &[], |m| {
        let (a, b, c, d) = (m.f(&[6, 6]), m.f(&[6, 6]), m.f(&[6]), m.f(&[6, 6]));
        let cx = m.cx.clone();
        let (last, _) = cx.scan(&[&c], &[&a], false, |h, x| (vec![(&h[0] * 0.5 + &x[0]).tanh()], vec![]));
        vec![a.matmul(&b), b.transpose(&[1, 0]), last[0].clone(), d.reverse(0)]
    });
    ok(&[(0, 0)], &[], |m| vec![m.f(&[5])]);
    ok(&[(0, 0)], &[], |m| {
        let p = m.f(&[3]);
        vec![m.cx.array(DType::F32, &[3], &[1.0, 2.0, 3.0]), &p * 2.0]
    });
}

#[test]
fn counters_and_other_dtypes() {
    ok(&[(0, 0), (1, 1), (2, 2)], &[], |m| {
        let step = m.f(&[]);
        let count = m.given(Array::int(DType::I64, [], vec![3]));
        let flags = m.input(DType::Bool, &[5], 0.0, 2.0);
        let x = m.f(&[5]);
        let next = &count + &count.full_like(1.0);
        vec![
            &step + 1.0,
            next,
            flags.not(),
            &x * &step,
            count.convert(DType::F32) * &step,
            flags.convert(DType::F32) * &x,
        ]
    });
}

#[test]
fn early_results() {
    // The loss and the norm first, then an update that waits; a late result that is needed by no early one.
    let c = ok(&[(0, 0), (1, 1)], &[2, 3, 4], |m| {
        let (p, v, x) = (m.f(&[6, 6]), m.f(&[6, 6]), m.f(&[5, 6]));
        let y = x.matmul(&p);
        let g = x.dot_general(&y, (&[0], &[0]), (&[], &[]));
        let v2 = &v * 0.9 + &g;
        let p2 = &p - &v2 * 0.1;
        vec![p2.clone(), v2, y.square().sum_all(), g.square().sum_all(), x, p2.square().sum_all()]
    });
    let options =
        Options { donate: names(&c, &[(0, 0), (1, 1)]), early: vec!["out.2".into()], ..Options::default() };
    let plan = premap::plan(&c.graph, &engine::target(), &options).expect("a plan");
    assert_eq!(plan.donated.len(), 2, "both updates happen in place");
    assert!(plan.early > 0 && plan.early < plan.steps.len());
    // An early result that needs the update: the update is then made elsewhere and copied.
    ok(&[(0, 0)], &[1], |m| {
        let p = m.f(&[6]);
        let new = p.tanh();
        vec![new.clone(), new.sum_all(), &p * 2.0]
    });
    // Early results that are an input, a constant, a view, one value twice.
    ok(&[(0, 0)], &[1, 2, 3, 4, 5], |m| {
        let p = m.f(&[6]);
        let y = (&p * 3.0).exp();
        let constant = m.cx.array(DType::F32, &[2], &[1.0, 2.0]);
        vec![&p + &y, p.clone(), constant, y.slice_axis(0, 1, 3), y.clone(), y]
    });
}

#[test]
fn the_steps_of_an_optimiser_are_made_in_place() {
    let mut m = Maker::new(3);
    let (p, v, s, g) =
        (m.f(&[40, 70]), m.f(&[40, 70]), m.input(DType::F32, &[40, 70], 0.1, 1.0), m.f(&[40, 70]));
    let norm = g.square().sum_all().sqrt();
    let scale = (1.0 / (&norm + 1e-6)).min(&norm.full_like(1.0));
    let g = &g * &scale;
    let v2 = &v * 0.9 + &g * 0.1;
    let s2 = &s * 0.99 + &(g.square() * 0.01);
    let p2 = &p * 0.999 - &v2 * 0.001 / &(s2.sqrt() + 1e-8);
    let c = m.finish("adam", &[p2, v2, s2, norm]);
    let pairs = [(0, 0), (1, 1), (2, 2)];
    check_updates(&c, &pairs, &[3], 1e-5).unwrap_or_else(|e| panic!("{e}"));
    let options = Options { donate: names(&c, &pairs), ..Options::default() };
    let plan = premap::plan(&c.graph, &engine::target(), &options).expect("a plan");
    assert_eq!(plan.donated, pairs);
    assert!(plan.arena <= 40 * 70 * 4 + 128, "the update needs no memory of its own: {}", plan.describe());
}

#[test]
fn donations_that_make_no_sense_are_errors() {
    let mut m = Maker::new(1);
    let (p, q) = (m.f(&[3]), m.f(&[4]));
    let c = m.finish("faults", &[&p * 2.0, &q * 2.0, &p * 3.0]);
    let plan = |donate: &[(&str, &str)], early: &[&str]| {
        let donate = donate.iter().map(|(i, o)| (i.to_string(), o.to_string())).collect();
        let options =
            Options { donate, early: early.iter().map(|s| s.to_string()).collect(), ..Options::default() };
        premap::plan(&c.graph, &engine::target(), &options).map(|_| ())
    };
    assert!(matches!(plan(&[("none", "out.0")], &[]), Err(PlanError::Unknown { kind: "input", .. })));
    assert!(matches!(plan(&[("in.0", "none")], &[]), Err(PlanError::Unknown { kind: "output", .. })));
    assert!(matches!(plan(&[], &["none"]), Err(PlanError::Unknown { kind: "output", .. })));
    assert!(matches!(plan(&[("in.0", "out.1")], &[]), Err(PlanError::Donation { .. })));
    let twice = plan(&[("in.0", "out.0"), ("in.0", "out.2")], &[]).expect_err("one memory for two outputs");
    assert!(twice.to_string().contains("in.0"), "{twice}");
    // One memory for an input and an output that the plan keeps apart.
    let mut exe = Executable::new(&c.graph, &Options::default(), POOLS[0].clone()).expect("a plan");
    let mut inputs = tensors(&c.inputs);
    let [a, b] = &mut inputs[..] else { panic!("two inputs") };
    let (mut x, mut y) = (Tensor::zeros(DType::F32, [4]), Tensor::zeros(DType::F32, [3]));
    let mut io = exe.io();
    io.in_place(0, 0, a).input(1, b).output(1, &mut x).output(2, &mut y);
    let e = exe.run(&mut io).expect_err("not donated");
    assert!(matches!(e, EngineError::Bind { .. }) && e.to_string().contains("out.0"), "{e}");
}

#[test]
fn outputs_that_need_no_step() {
    let mut m = Maker::new(5);
    let (x, y) = (m.f(&[3, 4]), m.f(&[2]));
    let constant = m.cx.array(DType::F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let wide = y.broadcast(&dims(&[3, 2]), &[1]);
    let fill = m.cx.full(&x.ty(), 7.0);
    let z = x.exp();
    m.cx.tap("view", &z.reshape(&dims(&[12])));
    m.cx.tap("input", &x);
    m.cx.tap("unused", &(&x * 3.0));
    let out = [
        x.clone(),
        x.reshape(&dims(&[12])),
        constant.clone(),
        constant.reshape(&dims(&[4])),
        wide,
        fill,
        z.slice_axis(0, 1, 2),
        x,
    ];
    let c = m.finish("no steps", &out);
    crate::support::check(&c, 1e-5).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_node_is_not_fused_across_a_detour() {
    // The product reads `w` through a broadcast, `w` is fused with a sum that hangs on `i` by way of two steps that come
    // after the product: `i` must not join the product.
    let mut m = Maker::new(2);
    let (x, y) = (m.f(&[2, 4]), m.f(&[4]));
    let i = x.exp();
    let w = y.sin();
    let product = &i * &w.broadcast_like(&x);
    let late = i.transpose(&[1, 0]).sum(&[1]) + &w;
    let c = m.finish("detour", &[product, late]);
    crate::support::check(&c, 1e-5).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn constants_that_no_step_reads_take_no_memory() {
    let mut m = Maker::new(2);
    let x = m.f(&[512, 512]);
    let c = m.finish("full", &[&x * 2.0 + 1.0]);
    let exe = Executable::new(&c.graph, &Options::default(), POOLS[0].clone()).expect("a plan");
    assert!(exe.memory() < 64 * 1024, "{} bytes", exe.memory());
}

/// A cache is written where it lies, also where its plan has other steps around it, and a cut into chunks changes no bit.
#[test]
fn caches_are_written_in_place() {
    for bytes in [false, true] {
        let mut m = Maker::new(7);
        let out = crate::composites::attention_of(&mut m, [2, 3, 70, 4, 2, 16], 65, bytes, axes::DType::F32);
        let doubled = &out[0] * 2.0;
        let results = [&[doubled], &out[1..]].concat();
        let c = m.finish("caches", &results);
        // Inputs in the order in which they were made: q, k, v, caches, position, scales.
        let pairs: &[(usize, usize)] =
            if bytes { &[(3, 1), (4, 2), (6, 3), (7, 4)] } else { &[(3, 1), (4, 2)] };
        check_updates(&c, pairs, &[], 1e-5).unwrap();
        let options = Options { donate: names(&c, pairs), ..Options::default() };
        let plan = premap::plan(&c.graph, &engine::target(), &options).unwrap();
        assert_eq!(plan.donated, pairs, "no copy of the cache");
        assert!(plan.copied.is_empty());
    }
}

#[test]
fn attention_in_chunks_is_the_same() {
    use engine::kernels::attention::{AttentionShape, Caches, kv_attention};
    let mut random = crate::cases::Random::new(3);
    let (time, heads, groups, width) = (150, 6, 2, 40);
    let mut numbers = |n: usize| (0..n).map(|_| random.float(-2.0, 2.0) as f32).collect::<Vec<f32>>();
    let (q, k, v) =
        (numbers(time * heads * width), numbers(time * groups * width), numbers(time * groups * width));
    let shape = AttentionShape { batch: 1, time, heads, groups, width, places: time };
    for bytes in [false, true] {
        let run = |pool: &Pool, chunks: &[usize]| {
            let (mut a, mut b) = (vec![f32::NAN; k.len()], vec![f32::NAN; k.len()]);
            let (mut c, mut d) = (vec![0i8; k.len()], vec![0i8; k.len()]);
            let (mut e, mut f) = (vec![0.0; time * groups], vec![0.0; time * groups]);
            let mut out = vec![0.0; q.len()];
            let mut at = 0;
            for n in chunks.iter().cycle() {
                let n = (*n).min(time - at);
                let part = |x: &[f32], heads: usize| x[at * heads * width..][..n * heads * width].to_vec();
                let mut caches = match bytes {
                    false => Caches::F32([&mut a, &mut b]),
                    true => Caches::I8([&mut c, &mut d], [&mut e, &mut f]),
                };
                let (q, new) = (part(&q, heads), [part(&k, groups), part(&v, groups)]);
                let out = &mut out[at * heads * width..][..n * heads * width];
                let shape = AttentionShape { time: n, ..shape };
                kv_attention(pool, shape, &q, [&new[0], &new[1]], &mut caches, at, 0.2, out);
                at += n;
                if at == time {
                    break;
                }
            }
            out
        };
        let whole = run(&Pool::single(), &[time]);
        assert!(whole.iter().all(|x| x.is_finite()));
        for chunks in [&[1][..], &[5, 1, 8], &[64], &[7, 100]] {
            for threads in [1, 3] {
                assert!(run(&Pool::new(threads), chunks) == whole, "{chunks:?}, {threads} threads");
            }
        }
    }
}
