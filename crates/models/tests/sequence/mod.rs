//! Graphs run by the reference interpreter on golden data, whole and in pieces.
#![allow(dead_code)] // each test that includes this file uses a part of it

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axes::DType;
use furnace::Remat;
use graph::{Array, Bindings, EvalCx, Graph, Scalar, interp};
use models::architecture::Architecture;
use models::forms::{CacheType, GraphOptions, PLACES};
use models::safetensors::TensorFile;

/// Named arrays of numbers.
pub(crate) type Values = BTreeMap<String, Array<f64>>;

/// The folder of a case: committed, else in `FIDELITY_GOLDEN`, else beside the workspace.
pub(crate) fn golden(case: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let folders =
        [workspace.join("tests/golden"), named.unwrap_or_else(|| workspace.join("../shared/golden"))];
    let found = folders.into_iter().map(|folder| folder.join(case)).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: no golden/{case}; name the folder of golden data in FIDELITY_GOLDEN");
    }
    found
}

/// Every tensor of a file.
pub(crate) fn read(path: &Path) -> Values {
    let file = TensorFile::open(path).unwrap();
    let one = |name: &str| {
        let shape = file.tensor(name).unwrap().shape.to_vec();
        let array = match file.to_f64(name) {
            Ok(v) => Array::from_f64(DType::F64, shape, &v),
            Err(_) => Array::int(DType::I64, shape, file.to_i64(name).unwrap()),
        };
        (name.to_owned(), array)
    };
    file.names().map(one).collect()
}

/// Initial weights of an architecture.
pub(crate) fn initial(model: &dyn Architecture, seed: u64) -> Values {
    let one = |p: models::parameters::Parameter| {
        let values: Vec<f64> = model.init_parameter(&p, seed).into_iter().map(f64::from).collect();
        (p.name, Array::from_f64(DType::F32, p.shape, &values))
    };
    model.parameters().into_iter().map(one).collect()
}

/// Runs a graph on inputs by name; all its numbers in `S`.
pub(crate) fn run<S: Scalar>(graph: &Graph, inputs: &Values, sizes: &[(&str, usize)]) -> Values {
    let feed = |name: &str, ty: &graph::Type| {
        let a = inputs.get(name).unwrap_or_else(|| panic!("no input {name}"));
        match ty.dtype.is_float() {
            true => {
                let v: Vec<S> = a.to_f64().into_iter().map(S::from_f64).collect();
                Array::float(ty.dtype, a.shape.clone(), v)
            }
            false => Array::int(ty.dtype, a.shape.clone(), a.to_f64().iter().map(|x| *x as i64).collect()),
        }
    };
    let given = graph.inputs.iter().map(|i| feed(&i.name, graph.ty(i.value))).collect();
    let bindings: Bindings = sizes.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    let made = interp::run_in(graph, given, EvalCx { bindings, ..EvalCx::default() }).unwrap();
    let plain = |(name, a): (String, Array<S>)| {
        let numbers = a.to_f64();
        (name, Array::from_f64(DType::F64, a.shape.clone(), &numbers))
    };
    made.outputs.into_iter().chain(made.taps).map(plain).collect()
}

/// The loss graph with the gradient of every parameter.
pub(crate) fn with_gradients(model: &dyn Architecture, options: &GraphOptions) -> Graph {
    let graph = model.graph(&GraphOptions { labels: true, ..*options }).unwrap();
    let names: Vec<String> = model.parameters().into_iter().map(|p| p.name).collect();
    let wrt: Vec<&str> = names.iter().map(String::as_str).filter(|n| graph.input(n).is_some()).collect();
    furnace::grad_graph(&graph, "loss", &wrt, Remat::default()).unwrap()
}

/// The largest difference.
pub(crate) fn distance(a: &Array<f64>, b: &Array<f64>) -> f64 {
    let (a, b) = (a.to_f64(), b.to_f64());
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { d.max(m) })
}

fn largest(a: &Array<f64>) -> f64 {
    a.to_f64().iter().fold(0.0, |m, x| x.abs().max(m))
}

/// Outputs: within max(2e-5, 1e-5 max |y|).
pub(crate) fn near(what: &str, found: &Array<f64>, expected: &Array<f64>) {
    let bound = (1e-5 * largest(expected)).max(2e-5);
    let d = distance(found, expected);
    assert!(d <= bound, "{what}: {d:e} apart, at most {bound:e}");
}

/// f64 outputs: within 1e-9 of the largest.
pub(crate) fn exact(what: &str, found: &Array<f64>, expected: &Array<f64>) {
    let (d, bound) = (distance(found, expected), 1e-9 * largest(expected).max(1.0));
    assert!(d <= bound, "{what}: {d:e} apart, at most {bound:e}");
}

/// Gradients: the relative distance in the norm.
pub(crate) fn gradients(found: &Values, expected: &Values, bound: f64) {
    for (name, e) in expected {
        let f = found.get(&format!("grad.{name}")).unwrap_or_else(|| panic!("no gradient of {name}"));
        let (f, e) = (f.to_f64(), e.to_f64());
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
        let apart = norm(&mut f.iter().zip(&e).map(|(a, b)| a - b));
        let size = norm(&mut e.iter().copied());
        assert!(apart <= bound * size.max(1e-12), "{name}: {:e} relative", apart / size);
    }
}

fn columns(a: &Array<f64>, from: usize, to: usize) -> Array<f64> {
    let inner: usize = a.shape[2..].iter().product();
    let rows = a.to_f64();
    let part: Vec<f64> =
        rows.chunks(a.shape[1] * inner).flat_map(|r| r[from * inner..to * inner].to_vec()).collect();
    let shape = [&[a.shape[0], to - from], &a.shape[2..]].concat();
    Array::from_f64(a.dtype, shape, &part)
}

/// Reads a sequence in pieces of these lengths, from zero states; one token at a time by the step. `result` is what the
/// pieces give, joined along time.
pub(crate) fn pieces(
    model: &dyn Architecture,
    options: &GraphOptions,
    weights: &Values,
    (input, sequence): (&str, &Array<f64>),
    lengths: &[usize],
    result: &str,
) -> Array<f64> {
    let (batch, total) = (sequence.shape[0], sequence.shape[1]);
    let options = GraphOptions { states: true, ..*options };
    let mut values = weights.clone();
    for state in model.states(CacheType::F32) {
        let shape = state.sizes(batch, total);
        let zeros = vec![0.0; shape.iter().product()];
        values.insert(state.name.clone(), Array::from_f64(state.dtype, shape, &zeros));
    }
    let (whole, step) = (model.graph(&options).unwrap(), model.step(&options).unwrap());
    let mut rows: Vec<Vec<f64>> = vec![vec![]; batch];
    let mut from = 0;
    let mut width = 1;
    for length in lengths {
        let to = (from + length).min(total);
        if to == from {
            break;
        }
        values.insert(input.to_owned(), columns(sequence, from, to));
        values.insert("position".to_owned(), Array::int(DType::I64, [], vec![from as i64]));
        let sizes = [("B", batch), ("T", to - from), (PLACES, total)];
        let made = run::<f64>(if to - from == 1 { &step } else { &whole }, &values, &sizes);
        for state in model.states(CacheType::F32) {
            values.insert(state.name.clone(), made[&state.name].clone());
        }
        let y = &made[result];
        width = y.shape.last().copied().unwrap_or(1);
        let each = y.to_f64();
        each.chunks(each.len() / batch).zip(&mut rows).for_each(|(part, row)| row.extend(part));
        from = to;
    }
    assert_eq!(from, total, "pieces that reach the end");
    // A classifier gives one row a piece.
    let given = rows[0].len() / width.max(1);
    Array::from_f64(DType::F64, vec![batch, given, width], &rows.concat())
}
