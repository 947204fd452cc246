//! What must hold of every plan and of what is said of it: no live byte is overwritten, costs add up, reports are
//! complete, pictures well-formed.

use axes::DType;
use graph::{Cx, Dim, Graph, Op, Type, Value, Var};
use premap::cost::predict;
use premap::machine::{Class, Machine};
use premap::report::lives;
use premap::{
    About, Access, Buffer, Optimization, Options, Pattern, Plan, Report, Step, Switches, Target, plan,
};
use std::collections::HashMap;

/// A target with everything that the engine has.
fn target() -> Target {
    Target {
        name: "cpu",
        fused: vec![
            Op::RmsNorm,
            Op::RmsNormGrad,
            Op::QuantizeActivations,
            Op::QuantizeWeights,
            Op::TernaryLinear,
            Op::LinearScan,
            Op::LinearScanGrad,
        ],
        align: 64,
        patterns: vec![
            Pattern::RmsNormFakeQuantize,
            Pattern::RmsNormQuantize,
            Pattern::FakeQuantizeWeights,
            Pattern::SumOfProducts,
            Pattern::DequantizedProduct,
            Pattern::TernaryProducts,
            Pattern::TernaryGated,
            Pattern::TernaryAdd,
        ],
        packs: true,
        gated_from: 1,
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// A graph of random ops, with products of trits, norms and scans among them, and updates in place.
fn random(seed: u64) -> (Graph, Options) {
    let mut d = Dice(seed);
    let cx = Cx::abstract_();
    let (t, n) = (4 + d.roll(5), 16 * (1 + d.roll(4)));
    let f = |name: &str, shape: &[usize]| cx.input(name, Type::new(DType::F32, shape.iter().copied()));
    let mut values: Vec<Var> = (0..3).map(|k| f(&format!("x{k}"), &[t, n])).collect();
    let (norm, s_w) = (f("norm", &[n]), f("s_w", &[]));
    let w = cx.input("w", Type::new(DType::Trit, [n, n]));
    let master = f("master", &[n, n]);
    let state = f("state", &[1, n]);
    for _ in 0..10 + d.roll(30) {
        let (a, b) = (values[d.roll(values.len())].clone(), values[d.roll(values.len())].clone());
        values.push(match d.roll(14) {
            0 => &a + &b,
            1 => &a * &b,
            2 => a.silu() * &b,
            3 => a.sigmoid(),
            4 => a.rms_norm(&norm, 1e-6),
            5 | 6 => {
                let (q, s) = a.rms_norm(&norm, 1e-6).quantize_activations("half_even");
                &q.ternary_linear(&s, &w, &s_w) + &b
            }
            7 => {
                let (q, s) = a.quantize_activations("half_even");
                q.ternary_linear(&s, &w, &s_w).silu() * q.ternary_linear(&s, &w, &s_w)
            }
            8 => {
                let (tr, s) = master.quantize_weights();
                let (q, s_x) = a.quantize_activations("half_even");
                q.ternary_linear(&s_x, &tr, &s)
            }
            9 => {
                let three = [1, t, n].map(Dim::from);
                let h = a.sigmoid().reshape(&three).linear_scan(&b.reshape(&three), &state, false);
                h.reshape(&[t, n].map(Dim::from))
            }
            10 => a.sum(&[0]).broadcast_like(&b) * &b,
            11 => &a - &b.sum(&[1]).broadcast_last(&Dim::from(n)),
            12 => a.slice_axis(0, 1, t).pad(&[1.into(), 0.into()], &[0.into(), 0.into()], 0.0),
            _ => a.linear(&master).tanh(),
        });
    }
    let outputs: Vec<Var> = (0..3).map(|_| values[values.len() - 1 - d.roll(6)].clone()).collect();
    let named = [("x0", &outputs[0]), ("a", &outputs[1]), ("b", &outputs[2])];
    let graph = cx.finish(&named).unwrap();
    let donate = if d.roll(2) == 0 { vec![("x0".to_owned(), "x0".to_owned())] } else { vec![] };
    (graph, Options { donate, recompute: d.roll(2) == 0, ..Options::default() })
}

/// The value whose bytes a view shows.
fn base(g: &Graph, plan: &Plan, v: Value) -> Value {
    let n = g.node(v);
    let view = matches!(n.op, Op::Reshape | Op::Slice)
        && plan.place(v).map(|p| p.buffer) == plan.place(n.inputs[0]).map(|p| p.buffer)
        && plan.place(v).is_some();
    if view { base(g, plan, n.inputs[0]) } else { v }
}

/// Values that a step reads and writes, and whether a read is element by element.
fn touched(g: &Graph, s: &Step) -> (Vec<(Value, bool)>, Vec<Value>) {
    let results = |n: u32| (0..g.nodes[n as usize].types.len() as u32).map(move |out| Value { node: n, out });
    match s {
        Step::Group(group) => (
            group.inputs.iter().map(|i| (i.source, i.access == Access::Full)).collect(),
            group.outputs.clone(),
        ),
        Step::Fused(f) => (f.inputs.iter().map(|v| (*v, false)).collect(), f.outputs.clone()),
        Step::Node(n) | Step::Control(n, _) => {
            (g.nodes[*n as usize].inputs.iter().map(|v| (*v, false)).collect(), results(*n).collect())
        }
        Step::Copy { from, .. } => (vec![(*from, true)], vec![]),
    }
}

/// Replays a plan on memory that knows whose bytes it holds: every read must find its own value's, every write of a step
/// must leave what the step still reads.
fn replay(plan: &Plan) -> Result<(), String> {
    let g = &plan.graph;
    // Per space (the arena, or a buffer) the owner of each byte.
    let mut memory: HashMap<u32, Vec<Option<Value>>> = HashMap::new();
    let range = |v: Value, bytes: usize| -> Option<(u32, usize, usize)> {
        let p = plan.place(v)?;
        let (space, start) = match plan.buffers[p.buffer as usize] {
            Buffer::Arena { offset, bytes } => {
                assert!(offset + bytes <= plan.arena, "beyond the arena");
                (u32::MAX, offset)
            }
            // In the same memory as the input that it replaces.
            Buffer::Output(o) => match plan.donated.iter().find(|(_, d)| *d == o) {
                Some((i, _)) => {
                    let at = plan.buffers.iter().position(|b| *b == Buffer::Input(*i)).unwrap();
                    (at as u32, 0)
                }
                None => (p.buffer, 0),
            },
            _ => (p.buffer, 0),
        };
        Some((space, start + p.offset, start + p.offset + bytes))
    };
    let own = |v: Value, memory: &mut HashMap<u32, Vec<Option<Value>>>| {
        let Some((space, from, to)) = range(v, plan.bytes(v)) else { return };
        let bytes = memory.entry(space).or_default();
        bytes.resize(bytes.len().max(to), None);
        bytes[from..to].fill(Some(v));
    };
    for i in &g.inputs {
        own(i.value, &mut memory);
    }
    for b in &plan.buffers {
        if let Buffer::Constant(n) = b {
            own(Value { node: *n, out: 0 }, &mut memory);
        }
    }
    for (k, s) in plan.steps.iter().enumerate() {
        let (reads, writes) = touched(g, s);
        for (v, _) in &reads {
            let owner = base(g, plan, *v);
            let Some((space, from, to)) = range(*v, plan.bytes(*v)) else { continue };
            let bytes = memory.get(&space).map_or(&[][..], Vec::as_slice);
            let lost = bytes.get(from..to).is_none_or(|b| b.iter().any(|o| *o != Some(owner)));
            if lost {
                return Err(format!("step {k} reads %{} where something else lies", v.node));
            }
        }
        for w in &writes {
            let Some((space, from, to)) = range(*w, plan.bytes(*w)) else { continue };
            for (v, elementwise) in &reads {
                let Some((other, a, b)) = range(*v, plan.bytes(*v)) else { continue };
                let overlaps = other == space && a < to && from < b;
                let in_place = matches!(s, Step::Node(n) if !g.nodes[*n as usize].op.in_place().is_empty());
                if overlaps && !(*elementwise && a == from) && !in_place {
                    return Err(format!("step {k} writes %{} over %{} while it reads that", w.node, v.node));
                }
            }
            for x in &writes {
                let Some((other, a, b)) = range(*x, plan.bytes(*x)) else { continue };
                if x != w && other == space && a < to && from < b {
                    return Err(format!("step {k} writes two results to one place"));
                }
            }
        }
        writes.iter().for_each(|w| own(*w, &mut memory));
    }
    // What is an output lies in it at the end, or was copied there.
    for (o, named) in g.outputs.iter().enumerate() {
        let copied = plan.steps.iter().any(|s| matches!(s, Step::Copy { output, .. } if *output == o));
        let v = base(g, plan, named.value);
        let Some((space, from, to)) = range(v, plan.bytes(v)) else { continue };
        let lost = memory[&space][from..to].iter().any(|owner| *owner != Some(v));
        if !copied && lost {
            return Err(format!("the output `{}` is overwritten", named.name));
        }
    }
    Ok(())
}

fn settings() -> Vec<Switches> {
    let mut list = vec![Switches::default(), Switches::without(Optimization::ALL)];
    list.extend(Optimization::ALL.map(|o| Switches::without([o])));
    list
}

#[test]
fn no_plan_overwrites_what_is_alive() {
    for seed in 0..60 {
        let (graph, options) = random(seed);
        for switches in settings() {
            let options = Options { switches, ..options.clone() };
            let made = plan(&graph, &target(), &options).unwrap();
            if let Err(e) = replay(&made) {
                panic!("seed {seed}, without {switches}: {e}\n{}", made.describe());
            }
            // Lives end where they are said to end.
            for life in lives(&made) {
                assert!(life.from <= life.to && life.offset + life.bytes <= made.arena);
            }
        }
    }
}

#[test]
fn a_broken_plan_is_found() {
    let mut found = 0;
    for seed in 0..20 {
        let (graph, options) = random(seed);
        let mut made = plan(&graph, &target(), &options).unwrap();
        // All arena values in one place.
        for b in &mut made.buffers {
            if let Buffer::Arena { offset, .. } = b {
                *offset = 0;
            }
        }
        found += usize::from(replay(&made).is_err());
    }
    assert!(found > 10, "{found}");
}

#[test]
fn costs_add_up() {
    let m = Machine::reference();
    for seed in 0..40 {
        let (graph, options) = random(seed);
        let made = plan(&graph, &target(), &options).unwrap();
        for threads in [1, 2] {
            let p = predict(&made, &m, threads);
            let sum: f64 = p.steps.iter().map(|s| s.time).sum();
            assert!((p.time - p.run - sum).abs() <= 1e-6 * p.time, "seed {seed}");
            for s in &p.steps {
                assert!(s.time >= s.fixed && s.time >= s.compute.max(s.memory), "{s:?}");
                assert!(s.time <= s.fixed + s.compute + s.memory + 1e-6, "{s:?}");
                assert!(s.traffic.iter().all(|t| t.read >= 0.0 && t.written >= 0.0));
            }
            // Every byte that is touched is found at some level.
            let touched: f64 = made
                .steps
                .iter()
                .map(|s| premap::work::of(&made, s))
                .flat_map(|w| [w.reads, w.writes].concat())
                .filter(|(v, _)| made.place(*v).is_some())
                .map(|(_, bytes)| bytes as f64)
                .sum();
            let found: f64 = p.traffic().iter().map(|t| t.read + t.written).sum();
            assert!((touched - found).abs() <= 1e-6 * touched.max(1.0), "{touched} and {found}");
        }
    }
}

#[test]
fn a_plan_twice_as_long_costs_twice_as_much() {
    let graph = |n: usize| {
        let cx = Cx::abstract_();
        let x = cx.input("x", Type::new(DType::F32, [n, 256]));
        cx.finish(&[("y", &x.exp())]).unwrap()
    };
    let m = Machine::reference();
    let cost = |n| predict(&plan(&graph(n), &target(), &Options::default()).unwrap(), &m, 1);
    let (one, two) = (cost(64), cost(128));
    assert_eq!(
        2.0 * one.operations()[Class::Transcendental as usize],
        two.operations()[Class::Transcendental as usize]
    );
    assert!((2.0 * one.steps[0].compute / two.steps[0].compute - 1.0).abs() < 1e-9);
    // A bandwidth twice as high is never slower, a machine without one is refused.
    let fast = Machine {
        levels: m
            .levels
            .iter()
            .map(|l| premap::machine::Level { read: l.read.map(|x| 2.0 * x), ..l.clone() })
            .collect(),
        ..m.clone()
    };
    let made = plan(&graph(1024), &target(), &Options::default()).unwrap();
    assert!(predict(&made, &fast, 1).time <= predict(&made, &m, 1).time);
    assert!(Machine { levels: vec![], ..m }.fault().is_some());
}

#[test]
fn weights_that_fit_a_cache_are_found_there() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [1, 256]));
    let w = cx.input("w", Type::new(DType::F32, [256, 256]));
    let graph = cx.finish(&[("y", &x.linear(&w))]).unwrap();
    let made = plan(&graph, &target(), &Options::default()).unwrap();
    let of = |bytes: [u64; 2]| {
        let mut m = Machine::reference();
        (m.levels[0].bytes, m.levels[1].bytes, m.levels[2].bytes) =
            (Some(1 << 10), Some(bytes[0]), Some(bytes[1]));
        predict(&made, &m, 1).traffic().iter().map(|t| t.read).collect::<Vec<_>>()
    };
    // 256 KB of weights, in the second level, the third, or neither.
    assert!(of([1 << 20, 8 << 20])[1] > 250e3);
    assert!(of([64 << 10, 8 << 20])[2] > 250e3);
    assert!(of([64 << 10, 128 << 10])[3] > 250e3);
}

#[test]
fn a_report_says_everything_in_every_form() {
    let (graph, options) = random(3);
    for switches in [Switches::default(), Switches::without([Optimization::Gated, Optimization::Reuse])] {
        let made = plan(&graph, &target(), &Options { switches, ..options.clone() }).unwrap();
        let machine = Machine::reference();
        let about = About { title: "a & b < c", target: "cpu", machine: &machine, threads: 2, switches };
        let report = Report::new(&made, &about);
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        for key in [
            "title",
            "target",
            "machine",
            "source",
            "note",
            "threads",
            "without",
            "predicted_ns",
            "operations",
            "traffic",
            "barriers",
            "groups",
            "joins",
            "layouts",
            "memory",
            "steps",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        let steps = json["steps"].as_array().unwrap();
        assert_eq!(steps.len(), made.steps.len());
        for key in [
            "step",
            "name",
            "part",
            "ops",
            "ty",
            "reads",
            "writes",
            "rounds",
            "kernels",
            "operations",
            "traffic",
            "compute_ns",
            "memory_ns",
            "fixed_ns",
            "predicted_ns",
            "bound",
        ] {
            assert!(steps.iter().all(|s| s.get(key).is_some()), "{key}");
        }
        let total: f64 = steps.iter().map(|s| s["predicted_ns"].as_f64().unwrap()).sum();
        assert!((total + machine.run - report.predicted_ns).abs() < 1e-6 * total);
        assert_eq!(json["without"].as_array().unwrap().len(), switches.list().count());
        assert!(report.memory.peak <= report.memory.arena && report.memory.arena <= report.memory.unshared);
        let text = report.to_string();
        for part in ["a & b < c", "fusion group", "arena ", "reference (default figures", "norm"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let svg = report.to_svg();
        assert!(svg.contains("a &amp; b &lt; c") && !svg.contains("NaN") && !svg.contains("inf"));
        well_formed(&svg);
        assert_eq!(svg, report.to_svg());
    }
}

/// Every tag that opens closes in its order, and nothing stands bare.
fn well_formed(svg: &str) {
    let mut open = vec![];
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{}", &rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        let name = |t: &str| t.split([' ', '\n']).next().unwrap_or_default().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if !tag.ends_with('/') {
            open.push(name(tag));
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn switches_have_names_and_unknown_ones_are_told() {
    for o in Optimization::ALL {
        assert_eq!(o.name().parse(), Ok(o));
        assert!(!o.about().is_empty());
    }
    let error = "fusoin".parse::<Optimization>().unwrap_err().to_string();
    assert!(error.contains("fusoin") && error.contains("fusion, patterns"), "{error}");
}

#[test]
fn presets_are_marked_and_bound_from_below() {
    let (graph, options) = random(5);
    let made = plan(&graph, &target(), &options).unwrap();
    for name in Machine::presets() {
        let m = Machine::preset(name).unwrap();
        assert!(m.is_bound() && m.fault().is_none() && m.note.len() > 20, "{name}");
        let p = predict(&made, &m, 1);
        assert!(p.time.is_finite() && p.time >= 0.0, "{name}");
        let about =
            About { title: "t", target: "cpu", machine: &m, threads: 1, switches: Switches::default() };
        assert!(Report::new(&made, &about).to_string().contains("data sheet, never measured"), "{name}");
    }
}

#[test]
fn a_switch_changes_the_plan_that_it_is_for() {
    let cx = Cx::abstract_();
    let x = cx.input("x", Type::new(DType::F32, [16, 64]));
    let (norm, s_w) = (cx.input("n", Type::new(DType::F32, [64])), cx.input("s", Type::scalar(DType::F32)));
    let w = cx.input("w", Type::new(DType::Trit, [64, 64]));
    let u = cx.input("u", Type::new(DType::Trit, [64, 64]));
    let (q, s) = x.rms_norm(&norm, 1e-6).quantize_activations("half_even");
    let gated = q.ternary_linear(&s, &w, &s_w).silu() * q.ternary_linear(&s, &u, &s_w);
    let graph = cx.finish(&[("y", &(gated.exp() + &x))]).unwrap();
    let count = |o: &[Optimization]| {
        let options = Options { switches: Switches::without(o.iter().copied()), ..Options::default() };
        plan(&graph, &target(), &options).unwrap().steps.len()
    };
    let all = count(&[]);
    assert_eq!(all, 3);
    for o in [Optimization::Norm, Optimization::Fusion, Optimization::Patterns] {
        assert!(count(&[o]) > all, "{o}");
    }
    // Without the gated form the two products become one step and the gate joins the loop behind it.
    assert_eq!(count(&[Optimization::Gated]), all);
    assert!(count(&[Optimization::Gated]) < count(&[Optimization::Gated, Optimization::Products]));
}
