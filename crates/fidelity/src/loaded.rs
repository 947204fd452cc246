//! A model from disk, ready to run: a folder of master weights, or a bundle that is used where it is mapped.
//!
//! Both run the same graphs on the same kernels. A folder's projections are packed at the first use (two bits a weight,
//! in memory); a bundle's are bound to plans as they lie in the file, so opening one copies no weights.

use crate::convert::{Kind, kind};
use crate::error::{Fault, fault};
use crate::weights::{Packed, Weight};
use anyhow::{Context, Result};
use axes::DType;
use barewire::Bundle;
use engine::{Tensor, pool::Pool};
use graph::{Bindings, Graph};
use models::bundle::{EmbeddingType, ModelBundle};
use models::config::MatMulFreeConfig;
use models::folder::{ModelFolder, Weights};
use models::matmulfree::{Form, GraphOptions, bounds_graph, projections, sequence_graph};
use models::tokenizer::Tokenizer;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use crate::stream::Stream;

/// Configuration, weights and tokenizer of a model.
pub struct Loaded {
    /// The configuration.
    pub config: MatMulFreeConfig,
    /// The master weights under their names in the state dict; none where the model is a bundle.
    pub parameters: BTreeMap<String, Tensor>,
    /// The tokenizer, when there is one.
    pub tokenizer: Option<Tokenizer>,
    /// What the user should know.
    pub warnings: Vec<String>,
    prepared: Option<Prepared>,
    bundle: Option<ModelBundle>,
}

/// What the prepared form reads beside the norms and the embedding.
#[derive(Default)]
struct Prepared {
    /// Trits by the name of their projection; none for a bundle, whose own are used.
    packed: BTreeMap<String, Packed>,
    /// Scales (`NAME.scale`) and effective lower bounds.
    small: BTreeMap<String, Tensor>,
}

/// The parameters of a weights file as tensors, converted to f32.
pub fn parameters(config: &MatMulFreeConfig, weights: &Weights) -> Result<BTreeMap<String, Tensor>> {
    config
        .expected_tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = weights.to_f32(&name)?;
            Ok((name, Tensor::from_f32(shape, &values)))
        })
        .collect()
}

impl Loaded {
    /// Opens a folder of `config.json`, `model.safetensors` (or shards) and, when there is one, `tokenizer.json`; or a
    /// bundle, every byte of which is checked.
    ///
    /// # Errors
    /// Those of opening either.
    pub fn open(path: impl AsRef<Path>) -> Result<Loaded> {
        Loaded::open_as(path.as_ref(), false)
    }

    /// As [`Loaded::open`], a bundle on a copy in memory that asks for huge pages: faster where page tables limit it, at
    /// the price of the file's size in memory. A folder is opened as usual.
    ///
    /// # Errors
    /// As [`Loaded::open`].
    pub fn open_on_huge_pages(path: impl AsRef<Path>) -> Result<Loaded> {
        Loaded::open_as(path.as_ref(), true)
    }

    fn open_as(path: &Path, huge: bool) -> Result<Loaded> {
        if kind(path)? == Kind::Bundle {
            let mut start = [0; 8];
            let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
            if read.is_ok() && start != barewire::bundle::MAGIC {
                return fault(
                    format!("{}: expected a folder or a bundle, found another file", path.display()),
                    "name a folder of config.json and weights, or a bundle that `fidelity pack` wrote",
                );
            }
            return Loaded::from_bundle(match huge {
                false => ModelBundle::open(path)?,
                true => {
                    ModelBundle::new(Bundle::open_on_huge_pages(path).map_err(models::ModelError::from)?)?
                }
            });
        }
        let folder = ModelFolder::open(path)?;
        let parsed = MatMulFreeConfig::from_folder(&folder)?;
        let parameters = parameters(&parsed.config, folder.weights())?;
        let tokenizer = match folder.tokenizer_path() {
            Some(path) => Some(Tokenizer::from_file(&path)?),
            None => None,
        };
        // `from_folder` has the folder's own warnings among its.
        let warnings = parsed.warnings;
        Ok(Loaded { warnings, ..Loaded::from_parts(parsed.config, parameters, tokenizer) })
    }

    /// A model that runs on the bytes of an open bundle.
    ///
    /// # Errors
    /// A tokenizer that cannot be read, or a machine that is not little-endian.
    pub fn from_bundle(bundle: ModelBundle) -> Result<Loaded> {
        if cfg!(target_endian = "big") {
            return fault(
                "a bundle's numbers are little-endian, and this machine is not, so they cannot be used in place",
                "unpack the bundle on another machine (`fidelity unpack`), and use the folder here",
            );
        }
        let tokenizer = match bundle.tokenizer_json()? {
            Some(json) => Some(Tokenizer::from_json(json, &bundle.bundle().path().join("tokenizer.json"))?),
            None => None,
        };
        let mut small = BTreeMap::new();
        for name in projections(bundle.config()) {
            // A section of trits has a scale: the reader of bundles checks it.
            let scale = bundle.bundle().tensor(&name)?.scale.unwrap_or(1.0);
            small.insert(format!("{name}.scale"), Tensor::from_f32([], &[scale]));
        }
        Ok(Loaded {
            config: bundle.config().clone(),
            parameters: BTreeMap::new(),
            tokenizer,
            warnings: bundle.warnings().to_vec(),
            prepared: Some(Prepared { packed: BTreeMap::new(), small }),
            bundle: Some(bundle),
        })
    }

    /// A model from its parts.
    pub fn from_parts(
        config: MatMulFreeConfig,
        parameters: BTreeMap<String, Tensor>,
        tokenizer: Option<Tokenizer>,
    ) -> Loaded {
        Loaded { config, parameters, tokenizer, warnings: vec![], prepared: None, bundle: None }
    }

    /// The bundle that the model runs from, unless it is a folder.
    pub fn bundle(&self) -> Option<&ModelBundle> {
        self.bundle.as_ref()
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        match self.bundle {
            Some(_) => self.config.parameter_count().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            None => self.parameters.values().map(Tensor::len).sum(),
        }
    }

    /// Packed trits, scales and lower bounds, made of the master weights at the first call. A bundle has them.
    pub fn prepare(&mut self, pool: &Arc<Pool>) -> Result<()> {
        if self.prepared.is_some() {
            return Ok(());
        }
        let mut made = Prepared::default();
        for name in projections(&self.config) {
            let master = self.parameters.get(&name);
            // A head without a weight of its own shares the embedding's.
            let master = master.or_else(|| self.parameters.get(models::bundle::EMBEDDING));
            let master = master.with_context(|| format!("the model has no weight `{name}`"))?;
            let (packed, scale) = Packed::quantize(pool, master);
            made.packed.insert(name.clone(), packed);
            made.small.insert(format!("{name}.scale"), scale);
        }
        if let Some(graph) = bounds_graph(&self.config)? {
            let inputs: Vec<&Tensor> = graph.inputs.iter().map(|i| &self.parameters[&i.name]).collect();
            made.small.extend(engine::run_once(&graph, &inputs, &Default::default(), pool.clone())?);
        }
        self.prepared = Some(made);
        Ok(())
    }

    /// The weight called `name`: a parameter, or, once prepared, `PROJECTION.trits`, `PROJECTION.scale`,
    /// `lower_bounds_eff`.
    ///
    /// # Errors
    /// A name that the model does not have.
    pub fn weight(&self, name: &str) -> Result<Weight<'_>> {
        let prepared = self.prepared.as_ref();
        let small = || prepared.and_then(|p| p.small.get(name));
        if let Some(tensor) = self.parameters.get(name).or_else(small) {
            return Ok(Weight::Tensor(tensor));
        }
        let projection = name.strip_suffix(".trits");
        if let Some(packed) = projection.and_then(|p| prepared?.packed.get(p)) {
            return Ok(packed.view());
        }
        if let Some(bundle) = &self.bundle {
            let view = bundle.bundle().tensor(projection.unwrap_or(name))?;
            return Ok(match (view.layout, view.shape) {
                (Some(layout), &[rows, columns]) if projection.is_some() => {
                    Weight::Packed { layout, shape: [rows, columns], bytes: view.bytes }
                }
                (Some(_), _) => {
                    let cause = format!("`{name}` is packed: a bundle holds trits and no master weights");
                    return Err(Fault::new(cause, UNPACK).into());
                }
                _ => Weight::Mapped { dtype: view.dtype, shape: view.shape, bytes: view.bytes },
            });
        }
        fault(format!("the model has no weight `{name}`"), "check the names in its weights file")
    }

    /// The number in a weight that is one, such as `PROJECTION.scale`.
    pub(crate) fn scalar(&self, name: &str) -> Option<f32> {
        match self.weight(name) {
            Ok(Weight::Tensor(t)) if t.dtype() == DType::F32 && t.len() == 1 => Some(t.f32()[0]),
            _ => None,
        }
    }

    /// How the embedding lies in memory.
    pub fn embedding_type(&self) -> EmbeddingType {
        self.bundle.as_ref().map_or(EmbeddingType::F32, ModelBundle::embedding_type)
    }

    /// Refuses a form that needs master weights where there are none.
    pub(crate) fn check_form(&self, form: Form) -> Result<()> {
        if self.bundle.is_some() && form != Form::Prepared {
            return fault("a bundle holds trits and no master weights", UNPACK);
        }
        Ok(())
    }

    /// Options for planning a graph of this model: how the trits of its inputs lie.
    ///
    /// # Errors
    /// An input of trits that the model does not have.
    pub fn plan_options(&self, graph: &Graph) -> Result<premap::Options> {
        let trits = graph.inputs.iter().filter(|i| graph.ty(i.value).dtype == DType::Trit);
        let layouts = trits.map(|i| Ok((i.name.clone(), self.weight(&i.name)?.layout())));
        Ok(premap::Options { layouts: layouts.collect::<Result<_>>()?, ..Default::default() })
    }

    /// The whole-sequence graph for these sizes.
    pub fn sequence(&self, options: &GraphOptions, batch: usize, length: usize) -> Result<Graph> {
        let bindings = Bindings::from([("B".to_string(), batch), ("T".to_string(), length)]);
        let options = GraphOptions { embedding: self.embedding_type(), ..*options };
        Ok(sequence_graph(&self.config, &options)?.specialize(&bindings))
    }

    /// A stream: one token in, one row of logits out, with a state of constant size.
    ///
    /// # Errors
    /// A form that needs master weights, of a bundle; a graph that cannot be planned.
    pub fn stream(&mut self, batch: usize, form: Form, pool: &Arc<Pool>) -> Result<Stream<'_>> {
        self.check_form(form)?;
        if form == Form::Prepared {
            self.prepare(pool)?;
        }
        Stream::new(self, batch, form, pool)
    }
}

/// What to do where a bundle is not enough.
pub(crate) const UNPACK: &str = "unpack it (`fidelity unpack IN.fid DIR`) and name the folder";
