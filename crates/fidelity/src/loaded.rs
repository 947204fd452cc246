//! A model from disk, ready to run: a folder of master weights, or a bundle that is used where it is mapped.
//!
//! Both run the same graphs on the same kernels. A folder's projections are packed at the first use (two bits a weight,
//! in memory); a bundle's are bound to plans as they lie in the file, so opening one copies no weights.

use crate::convert::{Kind, kind};
use crate::error::{Fault, fault};
use crate::weights::{Packed, Weight};
use anyhow::{Context, Result};
use axes::{DType, TritLayout};
use barewire::Bundle;
use barewire::gguf::GgmlType;
use engine::{Tensor, pool::Pool};
use graph::{Bindings, Graph};
use models::architecture::{Architecture, ModelConfig};
use models::bundle::{Embedding, EmbeddingType, ModelBundle};
use models::folder::{ModelFolder, Weights};
use models::forms::{CacheType, Form, GraphOptions, PLACES};
use models::frame::Quantizer;
use models::gguf::GgufModel;
use models::tokenizer::Tokenizer;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use crate::stream::Stream;

/// Configuration, weights and tokenizer of a model.
pub struct Loaded {
    /// The configuration.
    pub config: ModelConfig,
    /// The master weights under their names in the state dict; none where the model is a bundle, and none of
    /// projections that a folder holds packed.
    pub parameters: BTreeMap<String, Tensor>,
    /// The tokenizer, when there is one.
    pub tokenizer: Option<Tokenizer>,
    /// What the user should know.
    pub warnings: Vec<String>,
    prepared: Option<Prepared>,
    bundle: Option<ModelBundle>,
    gguf: Option<GgufModel>,
    switches: premap::Switches,
}

/// What the prepared form reads beside the norms and the embedding.
#[derive(Default)]
struct Prepared {
    /// Trits by the name of their projection; none for a bundle, whose own are used.
    packed: BTreeMap<String, Packed>,
    /// Scales (`NAME.scale`) and effective lower bounds.
    small: BTreeMap<String, Tensor>,
}

/// The parameters of a weights file as tensors, converted to f32; those that it holds packed are left out.
pub fn parameters(config: &dyn Architecture, weights: &Weights) -> Result<BTreeMap<String, Tensor>> {
    let packed = if config.is_packed() { config.projections() } else { vec![] };
    let packed: BTreeSet<String> = packed.into_iter().collect();
    let floats = config.expected_tensors().into_iter().filter(|(name, _)| !packed.contains(name));
    floats
        .map(|(name, shape)| {
            let values = weights.to_f32(&name)?;
            Ok((name, Tensor::from_f32(shape, &values)))
        })
        .collect()
}

/// The projections of a folder that holds them packed.
fn unpacked(config: &ModelConfig, weights: &Weights) -> Result<Prepared> {
    let shapes: BTreeMap<String, Vec<usize>> = config.expected_tensors().into_iter().collect();
    let mut made = Prepared::default();
    for name in config.projections() {
        let (trits, scale) = config.unpack(weights, &name)?;
        let [rows, columns] = shapes[&name][..] else { unreachable!("projections are matrices") };
        made.small.insert(format!("{name}.scale"), Tensor::from_f32([], &[scale]));
        made.packed.insert(name, Packed::of_trits(&trits, rows, columns)?);
    }
    Ok(made)
}

/// How embedding and head are used where they lie in the file; nothing where they have to be decoded, because there is
/// no kernel for their type, or they have two.
fn stored_in(gguf: &GgufModel) -> Option<EmbeddingType> {
    let config = gguf.config();
    if let ModelConfig::Qwen3(_) = config {
        // Its formats say it of each matrix.
        return Some(EmbeddingType::F32);
    }
    let mut kinds = config.storable().into_iter().map(|name| gguf.tensor(name).map(|tensor| tensor.kind));
    let first = kinds.next()?.ok()?;
    if !kinds.all(|kind| kind.is_ok_and(|kind| kind == first)) {
        return None;
    }
    match (first, first.format()) {
        (GgmlType::F32, _) => Some(EmbeddingType::F32),
        (GgmlType::BF16, _) => Some(config.stored_as(EmbeddingType::Bf16)),
        (_, Some(format)) => Some(config.stored_as(EmbeddingType::Block(format))),
        _ => None,
    }
}

/// The element type of a weight that is used where it lies in the file; nothing for one that has to be made of it.
fn in_place(gguf: &GgufModel, name: &str) -> Option<DType> {
    let config = gguf.config();
    if config.formats().contains_key(name) {
        return Some(DType::U8);
    }
    if let ModelConfig::Qwen3(_) = config {
        let tensor = gguf.tensor(name).ok()?;
        let plain = tensor.kind == GgmlType::F32 && tensor.shape.len() == 2;
        return (plain && matches!(gguf.values(name), Ok(Cow::Borrowed(_)))).then_some(DType::F32);
    }
    let stored = stored_in(gguf).filter(|_| config.storable().contains(&name))?;
    Some(match gguf.tensor(name).ok()?.kind {
        GgmlType::F32 => DType::F32,
        GgmlType::BF16 if stored == EmbeddingType::Bf16 => DType::BF16,
        _ => DType::U8,
    })
}

/// What a running model reads of a file and not in it: numbers as f32, packed trits, scales, what is derived of these.
///
/// Matrices of scales that differ are not read, and named last.
fn repacked(
    gguf: &GgufModel,
    threads: usize,
    huge: bool,
) -> Result<(BTreeMap<String, Tensor>, Prepared, Vec<String>)> {
    let config = gguf.config();
    let projections = config.projections();
    let known: BTreeSet<&String> = projections.iter().collect();
    let mut parameters = BTreeMap::new();
    for (name, shape) in config.expected_tensors() {
        if !known.contains(&name) && in_place(gguf, &name).is_none() {
            parameters.insert(name.clone(), Tensor::from_f32(shape, &gguf.values(&name)?));
        }
    }
    let mut made = Prepared::default();
    let shapes: Vec<[usize; 2]> =
        projections.iter().map(|name| Ok(gguf.tensor(name)?.matrix())).collect::<Result<_>>()?;
    let packed = Packed::filled(&shapes, huge, |number, bytes| {
        let name = &projections[number];
        let Some(scale) = gguf.trits_into(name, TritLayout::Compute, threads, bytes)? else {
            return Ok(false);
        };
        // The file's own are not read again.
        gguf.release(name);
        made.small.insert(format!("{name}.scale"), Tensor::from_f32([], &[scale.divisor()]));
        Ok::<_, models::ModelError>(true)
    })?;
    let mut blocks = vec![];
    for (name, packed) in projections.iter().zip(packed) {
        match packed {
            Some(packed) => {
                made.packed.insert(name.clone(), packed);
            }
            None => {
                made.small.insert(format!("{name}.scale"), Tensor::from_f32([], &[1.0]));
                blocks.push(name.clone());
            }
        }
    }
    if let Some(graph) = config.derived()? {
        let inputs: Vec<&Tensor> = graph.inputs.iter().map(|i| &parameters[&i.name]).collect();
        made.small.extend(engine::run_once(&graph, &inputs, &Default::default(), Pool::single().into())?);
    }
    Ok((parameters, made, blocks))
}

/// What a running model derives of its weights, where the bundle does not hold it: few numbers, made when it is opened.
fn derived_of(bundle: &ModelBundle) -> Result<BTreeMap<String, Tensor>> {
    let Some(graph) = bundle.config().derived()? else { return Ok(BTreeMap::new()) };
    let file = bundle.bundle();
    if graph.outputs.iter().all(|output| file.tensor(&output.name).is_ok()) {
        return Ok(BTreeMap::new());
    }
    let inputs = graph.inputs.iter().map(|input| {
        let view = file.tensor(&input.name)?;
        let values: Vec<f32> =
            view.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Tensor::from_f32(view.shape.to_vec(), &values))
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    Ok(engine::run_once(&graph, &inputs, &Default::default(), Pool::single().into())?.into_iter().collect())
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

    /// As [`Loaded::open`], with the weights of a bundle or a GGUF file in memory that asks for huge pages instead of a map:
    /// faster where page tables limit it, and no more memory, but memory that processes do not share. A folder is opened as
    /// usual, and so is everything where the system gives no huge pages; warnings say so.
    ///
    /// # Errors
    /// As [`Loaded::open`].
    pub fn open_on_huge_pages(path: impl AsRef<Path>) -> Result<Loaded> {
        Loaded::open_as(path.as_ref(), true)
    }

    fn open_as(path: &Path, huge: bool) -> Result<Loaded> {
        let kind = kind(path);
        let wanted = huge;
        let huge = wanted && matches!(kind, Kind::Gguf | Kind::Bundle) && barewire::pages::available();
        let mut model = Loaded::open_kind(path, kind, huge)?;
        if !wanted {
            return Ok(model);
        }
        if huge {
            model.warnings.extend(model.huge_share().filter(|share| *share < 0.9).map(|share| {
                format!(
                    "--huge-pages: {:.0} % of the weights got huge pages, the rest usual ones: the system has too little \
                     memory in one piece",
                    100.0 * share
                )
            }));
        } else if model.bundle.is_some() || model.gguf.is_some() {
            model.warnings.push(
                "--huge-pages: this system gives none (on Linux, /sys/kernel/mm/transparent_hugepage/enabled says \
                 whether it may), so weights are read where the file is mapped"
                    .into(),
            );
        } else {
            model.warnings.push(
                "--huge-pages is for bundles and GGUF files; the weights of a folder are packed in memory as usual"
                    .into(),
            );
        }
        Ok(model)
    }

    /// Share of the weights that are copied which lies on huge pages now, where the system tells.
    fn huge_share(&self) -> Option<f64> {
        let mut bytes = [0, 0];
        let mut add = |[huge, all]: [usize; 2]| bytes = [bytes[0] + huge, bytes[1] + all];
        if let Some(bundle) = &self.bundle {
            let bundle = bundle.bundle();
            add([bundle.huge_bytes()?, bundle.file_length() as usize]);
        }
        if let Some(gguf) = &self.gguf {
            add(gguf.file().huge_bytes()?);
        }
        let mut packed = self.prepared.iter().flat_map(|prepared| prepared.packed.values());
        if let Some(pages) = packed.find_map(Packed::shared) {
            add([pages.huge_bytes()?, pages.len()]);
        }
        (bytes[1] > 0).then(|| bytes[0] as f64 / bytes[1] as f64)
    }

    fn open_kind(path: &Path, kind: Kind, huge: bool) -> Result<Loaded> {
        if kind == Kind::Gguf {
            return Loaded::from_gguf_on(GgufModel::open(path)?, huge);
        }
        if kind == Kind::Bundle {
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
        let parsed = ModelConfig::from_folder(&folder)?;
        let parameters = parameters(&*parsed.config, folder.weights())?;
        let packed = parsed.config.is_packed();
        let prepared = packed.then(|| unpacked(&parsed.config, folder.weights())).transpose()?;
        let tokenizer = match folder.tokenizer_path() {
            Some(path) => Some(Tokenizer::from_file(&path)?),
            None => None,
        };
        // `from_folder` has the folder's own warnings among its.
        let warnings = parsed.warnings;
        Ok(Loaded { warnings, prepared, ..Loaded::from_parts(parsed.config, parameters, tokenizer) })
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
        for name in bundle.config().projections() {
            // A section of trits has a scale: the reader of bundles checks it.
            let scale = bundle.bundle().tensor(&name)?.scale.unwrap_or(1.0);
            small.insert(format!("{name}.scale"), Tensor::from_f32([], &[scale]));
        }
        small.extend(derived_of(&bundle)?);
        Ok(Loaded {
            config: bundle.config().clone(),
            parameters: BTreeMap::new(),
            tokenizer,
            warnings: bundle.warnings().to_vec(),
            prepared: Some(Prepared { packed: BTreeMap::new(), small }),
            bundle: Some(bundle),
            gguf: None,
            switches: premap::Switches::default(),
        })
    }

    /// A model that runs on an open GGUF file: embedding, head, and the matrices of a model in blocks where they lie in it,
    /// ternary ones whose blocks differ in scale among them; trits of one scale repacked for the kernels.
    ///
    /// # Errors
    /// Projections that are no trits with one scale, types without codecs, a tokenizer that cannot be read.
    pub fn from_gguf(gguf: GgufModel) -> Result<Loaded> {
        Loaded::from_gguf_on(gguf, false)
    }

    fn from_gguf_on(mut gguf: GgufModel, huge: bool) -> Result<Loaded> {
        if cfg!(target_endian = "big") {
            return fault(
                "a GGUF file's numbers are little-endian, and this machine is not, so they cannot be used in place",
                "convert the model to a folder on another machine (`fidelity convert`)",
            );
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // A vocabulary takes as long to read as a gigabyte of trits.
        let (tokenizer, prepared) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| gguf.tokenizer());
            let prepared = repacked(&gguf, threads, huge);
            (tokenizer.join(), prepared)
        });
        let Ok(tokenizer) = tokenizer else {
            return fault("the file's tokenizer cannot be read", "convert the model again");
        };
        let (parameters, prepared, blocks) = prepared?;
        gguf.keep_blocks(&blocks)?;
        if huge {
            let names = gguf.config().expected_tensors().into_iter().map(|(name, _)| name);
            let names: Vec<String> = names.filter(|name| in_place(&gguf, name).is_some()).collect();
            gguf.copy_to_huge_pages(names.iter().map(String::as_str))?;
        }
        Ok(Loaded {
            config: gguf.config().clone(),
            parameters,
            tokenizer: tokenizer?,
            warnings: gguf.warnings().to_vec(),
            prepared: Some(prepared),
            bundle: None,
            gguf: Some(gguf),
            switches: premap::Switches::default(),
        })
    }

    /// The GGUF file that the model runs from, if it does.
    pub fn gguf(&self) -> Option<&GgufModel> {
        self.gguf.as_ref()
    }

    /// A model from its parts.
    pub fn from_parts(
        config: impl Into<ModelConfig>,
        parameters: BTreeMap<String, Tensor>,
        tokenizer: Option<Tokenizer>,
    ) -> Loaded {
        let config = config.into();
        Loaded {
            config,
            parameters,
            tokenizer,
            warnings: vec![],
            prepared: None,
            bundle: None,
            gguf: None,
            switches: premap::Switches::default(),
        }
    }

    /// The bundle that the model runs from, unless it is a folder.
    pub fn bundle(&self) -> Option<&ModelBundle> {
        self.bundle.as_ref()
    }

    /// Whether there are master weights, which gradients and the float form need.
    pub fn has_masters(&self) -> bool {
        self.bundle.is_none() && self.gguf.is_none() && !self.config.is_packed()
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        match self.has_masters() {
            false => self.config.parameter_count().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            true => self.parameters.values().map(Tensor::len).sum(),
        }
    }

    /// Packed trits, scales and lower bounds, made of the master weights at the first call. A bundle has them.
    pub fn prepare(&mut self, pool: &Arc<Pool>) -> Result<()> {
        if self.prepared.is_some() {
            return Ok(());
        }
        let mut made = Prepared::default();
        for name in self.config.projections() {
            let master = self.parameters.get(&name);
            // A head without a weight of its own shares the embedding's.
            let master = master.or_else(|| self.parameters.get(self.config.embedding()));
            let master = master.with_context(|| format!("the model has no weight `{name}`"))?;
            let (packed, scale) = match (self.config.quantizer(), master.shape()) {
                (Quantizer::Absmean, _) => Packed::quantize(pool, master),
                (other, &[rows, columns]) => {
                    let (trits, scale) = other.quantize(master.f32());
                    (Packed::of_trits(&trits, rows, columns)?, Tensor::from_f32([], &[scale]))
                }
                _ => return fault(format!("`{name}` is no matrix"), "check the names in its weights file"),
            };
            made.packed.insert(name.clone(), packed);
            made.small.insert(format!("{name}.scale"), scale);
        }
        if let Some(graph) = self.config.derived()? {
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
        if let Some((gguf, dtype)) = self.gguf.as_ref().and_then(|gguf| Some((gguf, in_place(gguf, name)?))) {
            let tensor = gguf.tensor(name)?;
            return Ok(Weight::Mapped { dtype, shape: tensor.shape, bytes: tensor.bytes });
        }
        if let Some(bundle) = &self.bundle {
            if let Ok(Embedding::Block(_, view)) = bundle.stored(name) {
                return Ok(Weight::Mapped { dtype: view.dtype, shape: view.shape, bytes: view.bytes });
            }
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
        if let Some(gguf) = &self.gguf {
            return stored_in(gguf).unwrap_or(EmbeddingType::F32);
        }
        if self.config.formats().contains_key(self.config.embedding()) {
            // The formats say it of each matrix.
            return EmbeddingType::F32;
        }
        self.bundle.as_ref().map_or(EmbeddingType::F32, ModelBundle::embedding_type)
    }

    /// Refuses a form that needs master weights where there are none.
    pub(crate) fn check_form(&self, form: Form) -> Result<()> {
        if !self.has_masters() && form != Form::Prepared {
            return self.no_masters("this needs master weights");
        }
        Ok(())
    }

    /// The error for what needs master weights.
    pub(crate) fn no_masters<T>(&self, what: &str) -> Result<T> {
        match self.bundle {
            Some(_) => fault(format!("{what}, and a bundle holds trits and no master weights"), UNPACK),
            None if self.gguf.is_some() => {
                fault(format!("{what}, and this file holds trits and no master weights"), MASTERS)
            }
            None => fault(format!("{what}, and this folder holds packed trits"), MASTERS),
        }
    }

    /// Switches optimisations off in every plan that is made from now on. No result changes by a bit.
    pub fn set_switches(&mut self, switches: premap::Switches) {
        self.switches = switches;
    }

    /// Options for planning a graph of this model: how the trits of its inputs lie, and what is switched off.
    ///
    /// # Errors
    /// An input of trits that the model does not have.
    pub fn plan_options(&self, graph: &Graph) -> Result<premap::Options> {
        let trits = graph.inputs.iter().filter(|i| graph.ty(i.value).dtype == DType::Trit);
        let layouts = trits.map(|i| Ok((i.name.clone(), self.weight(&i.name)?.layout())));
        Ok(premap::Options {
            layouts: layouts.collect::<Result<_>>()?,
            switches: self.switches,
            ..Default::default()
        })
    }

    /// The whole-sequence graph for these sizes; caches have room for the length.
    pub fn sequence(&self, options: &GraphOptions, batch: usize, length: usize) -> Result<Graph> {
        let sizes = [("B", batch), ("T", length), (PLACES, length)];
        let bindings = Bindings::from(sizes.map(|(name, n)| (name.to_string(), n)));
        let options = GraphOptions { embedding: self.embedding_type(), ..*options };
        Ok(self.config.graph(&options)?.specialize(&bindings))
    }

    /// A stream: one token in, one row of logits out.
    ///
    /// # Errors
    /// A form that needs master weights, of a bundle; a graph that cannot be planned.
    pub fn stream(&mut self, batch: usize, form: Form, pool: &Arc<Pool>) -> Result<Stream<'_>> {
        self.stream_with(batch, form, CacheType::F32, pool)
    }

    /// The same with keys and values cached in another type.
    ///
    /// # Errors
    /// As [`Loaded::stream`].
    pub fn stream_with(
        &mut self,
        batch: usize,
        form: Form,
        cache: CacheType,
        pool: &Arc<Pool>,
    ) -> Result<Stream<'_>> {
        self.check_form(form)?;
        if form == Form::Prepared {
            self.prepare(pool)?;
        }
        Stream::new(self, batch, form, cache, pool)
    }
}

/// What to do where a bundle is not enough.
pub(crate) const UNPACK: &str = "unpack it (`fidelity unpack IN.fid DIR`) and name the folder";
/// What to do where a packed folder is not enough.
pub(crate) const MASTERS: &str = "use the folder of master weights that it was made of";
