//! Graphs of a model run in the reference interpreter, and what they are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axes::DType;
use graph::{Array, Bindings, Graph, interp};
use models::architecture::ModelConfig;
use models::folder::ModelFolder;
use models::forms::{CacheType, GraphOptions, PLACES};
use models::safetensors::TensorFile;

/// Arrays by name.
pub(crate) type Arrays = BTreeMap<String, Array<f64>>;

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

/// Every tensor of a file, numbers as f64.
pub(crate) fn read(path: &Path) -> Arrays {
    let file = TensorFile::open(path).unwrap();
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let array = |name: &String| {
        let shape = file.tensor(name).unwrap().shape.to_vec();
        match file.to_f64(name) {
            Ok(values) => Array::float(DType::F32, shape, values),
            Err(_) => Array::int(DType::I64, shape, file.to_i64(name).unwrap()),
        }
    };
    names.iter().map(|name| (name.clone(), array(name))).collect()
}

/// A model and its weights.
pub(crate) struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) weights: Arrays,
}

impl Model {
    pub(crate) fn open(dir: &Path) -> Model {
        let parsed = ModelConfig::from_folder(&ModelFolder::open(dir).unwrap()).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new());
        Model { config: parsed.config, weights: read(&dir.join("model.safetensors")) }
    }

    /// Initial weights of a configuration, with norms and biases moved away from where they start.
    pub(crate) fn new(json: &serde_json::Value, seed: u64) -> Model {
        let config = ModelConfig::from_json(Path::new("config.json"), json).unwrap().config;
        let mut rng = models::rng::Rng::new(seed);
        let mut weights = Arrays::new();
        for parameter in config.parameters() {
            let mut values = config.init_parameter(&parameter, seed);
            if parameter.shape.len() == 1 {
                values.iter_mut().for_each(|x| *x += (0.2 * rng.normal()) as f32);
            }
            let values = values.into_iter().map(f64::from).collect();
            weights.insert(parameter.name, Array::float(DType::F32, parameter.shape, values));
        }
        Model { config, weights }
    }

    /// Trits and scales of the projections, beside the weights.
    pub(crate) fn prepare(&mut self) {
        for name in self.config.projections() {
            let w = &self.weights[&name];
            let values: Vec<f32> = w.floats().iter().map(|x| *x as f32).collect();
            let (trits, scale) = self.config.quantizer().quantize(&values);
            let trits = Array::int(DType::Trit, w.shape.clone(), trits.into_iter().map(i64::from).collect());
            self.weights.insert(format!("{name}.trits"), trits);
            self.weights
                .insert(format!("{name}.scale"), Array::float(DType::F32, [], vec![f64::from(scale)]));
        }
    }

    /// Runs a graph on the weights and on `given`.
    pub(crate) fn run(&self, graph: &Graph, given: &Arrays, sizes: [usize; 3], round: bool) -> Arrays {
        let sizes = [("B", sizes[0]), ("T", sizes[1]), (PLACES, sizes[2])];
        let graph = graph.specialize(&Bindings::from(sizes.map(|(name, n)| (name.to_string(), n))));
        let input = |name: &String| given.get(name).or_else(|| self.weights.get(name)).cloned();
        let names = graph.inputs.iter().map(|i| input(&i.name).unwrap_or_else(|| panic!("no {}", i.name)));
        let arrays: Vec<Array<f64>> = names.collect();
        if round {
            let narrow = |a: &Array<f64>| match a.dtype.is_float() {
                true => {
                    Array::float(a.dtype, a.shape.clone(), a.floats().iter().map(|x| *x as f32).collect())
                }
                false => Array::int(a.dtype, a.shape.clone(), a.ints().to_vec()),
            };
            let made = interp::run::<f32>(&graph, arrays.iter().map(narrow).collect(), true).unwrap();
            let wide = |a: &Array<f32>| Array::from_f64(a.dtype, a.shape.clone(), &a.to_f64());
            made.outputs.iter().chain(&made.taps).map(|(n, a)| (n.clone(), wide(a))).collect()
        } else {
            let made = interp::run::<f64>(&graph, arrays, false).unwrap();
            made.outputs.into_iter().chain(made.taps).collect()
        }
    }

    /// The whole sequence at once; `labels` are the tokens.
    pub(crate) fn sequence(&self, ids: &Array<f64>, options: GraphOptions, round: bool) -> Arrays {
        let graph = self.config.graph(&options).unwrap();
        self.run(&graph, &inputs(ids), [ids.shape[0], ids.shape[1], ids.shape[1]], round)
    }

    /// Loss and gradients.
    pub(crate) fn gradients(
        &self,
        ids: &Array<f64>,
        options: GraphOptions,
        names: &[&str],
        round: bool,
    ) -> Arrays {
        let graph = self.config.graph(&GraphOptions { labels: true, ..options }).unwrap();
        let graph = furnace::grad_graph(&graph, "loss", names, furnace::Remat::default()).unwrap();
        self.run(&graph, &inputs(ids), [ids.shape[0], ids.shape[1], ids.shape[1]], round)
    }

    /// The same tokens in pieces of these lengths, each from the states that the one before left: logits (B, T, V).
    pub(crate) fn pieces(
        &self,
        ids: &Array<f64>,
        cut: &[usize],
        options: GraphOptions,
        round: bool,
    ) -> Vec<f64> {
        let (batch, time) = (ids.shape[0], ids.shape[1]);
        let mut states: Arrays = Arrays::new();
        for state in self.config.states(CacheType::F32) {
            let shape = state.sizes(batch, time);
            let zeros = vec![0.0; shape.iter().product()];
            states.insert(state.name.clone(), Array::float(state.dtype, shape, zeros));
        }
        let vocab = self.config.vocab_size();
        let mut logits = vec![f64::NAN; batch * time * vocab];
        let mut from = 0;
        for length in cut.iter().cycle() {
            let to = (from + length).min(time);
            let columns = ids.ints().chunks(time).flat_map(|row| row[from..to].to_vec()).collect();
            let piece = Array::int(DType::I64, [batch, to - from], columns);
            let mut given = states.clone();
            given.insert("input_ids".into(), piece);
            given.insert("position".into(), Array::int(DType::I64, [], vec![from as i64]));
            let step = to - from == 1;
            let graph = match step {
                true => self.config.step(&options),
                false => self.config.graph(&GraphOptions { states: true, ..options }),
            };
            let made = self.run(&graph.unwrap(), &given, [batch, to - from, time], round);
            for (name, state) in &mut states {
                *state = made[name].clone();
            }
            let width = (to - from) * vocab;
            for (b, rows) in made["logits"].floats().chunks(width).enumerate() {
                logits[(b * time + from) * vocab..][..width].copy_from_slice(rows);
            }
            from = to;
            if from == time {
                return logits;
            }
        }
        logits
    }

    /// Greedy tokens after a prompt, one sequence.
    pub(crate) fn greedy(&self, prompt: &[i64], count: usize) -> Vec<i64> {
        let mut ids = prompt.to_vec();
        for _ in 0..count {
            let array = Array::int(DType::I64, [1, ids.len()], ids.clone());
            let options = GraphOptions { last: true, ..Default::default() };
            let made = self.sequence(&array, options, true);
            let row = made["logits"].floats();
            let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            ids.push(best as i64);
        }
        ids
    }
}

fn inputs(ids: &Array<f64>) -> Arrays {
    let mut given = Arrays::new();
    given.insert("input_ids".into(), ids.clone());
    given.insert("labels".into(), ids.clone());
    given
}

/// The largest difference.
pub(crate) fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |m, d| if d.is_nan() { f64::NAN } else { m.max(d) })
}

/// The largest difference that the bar for outputs allows.
pub(crate) fn bar(want: &[f64]) -> f64 {
    (1e-5 * want.iter().fold(0f64, |m, x| m.max(x.abs()))).max(2e-5)
}

/// Compares within a bound and says by how much they differ.
pub(crate) fn close(what: &str, found: &[f64], want: &[f64], bound: f64) {
    let d = worst(found, want);
    println!("{what}: {d:e}");
    assert!(d <= bound, "{what}: {d:e} above {bound:e}");
}

/// Relative L2 distances of all gradients of a file.
pub(crate) fn gradients(found: &Arrays, want: &Arrays, bound: f64) {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let mut most = 0f64;
    for (name, want) in want {
        let found = found[&format!("grad.{name}")].floats();
        let error = norm(&mut found.iter().zip(want.floats()).map(|(a, b)| a - b));
        let relative = error / norm(&mut want.floats().iter().copied()).max(1e-30);
        assert!(relative <= bound, "grad.{name}: {relative:e}");
        most = most.max(relative);
    }
    println!("{} gradients: {most:e} relative L2 at most", want.len());
}
