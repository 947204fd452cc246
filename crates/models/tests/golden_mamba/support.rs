//! Running a model's graphs on the engine in f32 and in the interpreter in f64.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axes::DType;
use engine::{Tensor, pool::Pool};
use graph::{Array, Bindings, Graph, interp};
use models::architecture::ModelConfig;
use models::forms::{CacheType, GraphOptions};
use models::safetensors::{TensorFile, Values};

/// The golden folder of that name: under the folder that `FIDELITY_GOLDEN` names, or beside the checkout.
pub(crate) fn golden(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("FIDELITY_GOLDEN").map(PathBuf::from);
    let places = [Some(root.join("tests/golden")), given, Some(root.join("../shared/golden"))];
    let found = places.into_iter().flatten().map(|place| place.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: no golden/{name} (set FIDELITY_GOLDEN)");
    }
    found
}

/// Every float tensor of a file.
pub(crate) fn floats(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let file = TensorFile::open(path).unwrap();
    file.names().filter_map(|name| Some((name.to_owned(), file.to_f64(name).ok()?))).collect()
}

/// The largest difference.
pub(crate) fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

/// The largest magnitude.
pub(crate) fn peak(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// ‖a − b‖ / ‖b‖.
pub(crate) fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-30)
}

/// In which arithmetic.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Arithmetic {
    /// The engine.
    F32,
    /// The interpreter.
    F64,
}

/// A configuration and its weights.
pub(crate) struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) weights: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    pub(crate) pool: Arc<Pool>,
}

/// Arrays by name.
pub(crate) type Made = BTreeMap<String, Vec<f64>>;

impl Model {
    /// Random weights.
    pub(crate) fn random(config: ModelConfig, seed: u64) -> Model {
        let tensors = config.init(seed).into_iter().map(|tensor| {
            let Values::F32(values) = &tensor.values else { panic!("f32") };
            (tensor.name.to_string(), (tensor.shape.to_vec(), values.iter().map(|x| f64::from(*x)).collect()))
        });
        Model { weights: tensors.collect(), config, pool: Arc::new(Pool::new(2)) }
    }

    /// Runs a graph on `ids` (b, t) from these states; every output and tap by name.
    pub(crate) fn run(&self, graph: &Graph, how: Arithmetic, ids: &[i64], t: usize, states: &Made) -> Made {
        let b = ids.len() / t;
        let specs = self.config.states(CacheType::F32);
        let sizes = Bindings::from([("B".to_string(), b), ("T".to_string(), t)]);
        let graph = graph.specialize(&sizes);
        let arrays: Vec<Array<f64>> = graph
            .inputs
            .iter()
            .map(|input| match input.name.as_str() {
                "input_ids" | "labels" => Array::int(DType::I64, [b, t], ids.to_vec()),
                name => {
                    if let Some(spec) = specs.iter().find(|spec| spec.name == name) {
                        return Array::from_f64(DType::F32, spec.sizes(b, 0), &states[name]);
                    }
                    if let Some(of) = name.strip_suffix(".A") {
                        let (shape, x) = &self.weights[&format!("{of}.A_log")];
                        let x: Vec<f64> = x.iter().map(|x| -x.exp()).collect();
                        return Array::from_f64(DType::F32, shape.clone(), &x);
                    }
                    let (shape, values) = &self.weights[name];
                    Array::from_f64(DType::F32, shape.clone(), values)
                }
            })
            .collect();
        match how {
            Arithmetic::F64 => {
                let made = interp::run(&graph, arrays, false).unwrap();
                let all = made.outputs.iter().chain(&made.taps);
                all.map(|(name, array)| (name.clone(), array.to_f64())).collect()
            }
            Arithmetic::F32 => {
                let tensors: Vec<Tensor> = arrays.iter().map(Tensor::from_array).collect();
                let tensors: Vec<&Tensor> = tensors.iter().collect();
                let options = premap::Options { taps: true, ..Default::default() };
                let made = engine::run_once(&graph, &tensors, &options, self.pool.clone()).unwrap();
                let wide = |t: &Tensor| t.f32().iter().map(|x| f64::from(*x)).collect();
                made.iter().map(|(name, tensor)| (name.clone(), wide(tensor))).collect()
            }
        }
    }

    /// States before the first token.
    pub(crate) fn zeros(&self, b: usize) -> Made {
        let sizes = |spec: &models::forms::State| spec.sizes(b, 0).iter().product();
        let states = self.config.states(CacheType::F32);
        states.iter().map(|spec| (spec.name.clone(), vec![0.0; sizes(spec)])).collect()
    }

    /// Logits (b, t, V) of `ids` (b, t) in pieces of these lengths, the list repeated, with the states carried between.
    pub(crate) fn pieces(
        &self,
        options: GraphOptions,
        how: Arithmetic,
        ids: &[i64],
        t: usize,
        cut: &[usize],
    ) -> Vec<f64> {
        let (b, v) = (ids.len() / t, self.config.vocab_size());
        let options = GraphOptions { states: true, ..options };
        let (whole, step) = (self.config.graph(&options).unwrap(), self.config.step(&options).unwrap());
        let (mut states, mut logits) = (self.zeros(b), vec![0.0; b * t * v]);
        let mut from = 0;
        for length in cut.iter().cycle() {
            let len = (*length).min(t - from);
            if len == 0 {
                break;
            }
            let part: Vec<i64> = ids.chunks(t).flat_map(|row| row[from..from + len].to_vec()).collect();
            let mut made = self.run(if len == 1 { &step } else { &whole }, how, &part, len, &states);
            for (row, chunk) in made["logits"].chunks(len * v).enumerate() {
                logits[(row * t + from) * v..][..len * v].copy_from_slice(chunk);
            }
            states.iter_mut().for_each(|(name, state)| *state = made.remove(name).unwrap());
            from += len;
        }
        logits
    }
}
