//! A model as a library for C: one function for a token, compiled through MLIR, and the weights it reads in place.
//!
//! The model is packed into a bundle beside the library, and the code is made for the plan of its streaming step: every
//! address in the bundle, in the state and in the arena is a number in the code. See [`alex::package`] for what is written.

use crate::convert::{self, Form, Model, Step};
use crate::error::{Fault, fault};
use crate::loaded::Loaded;
use crate::weights::{Slot, Weight, slots};
use alex::cpu::Isa;
use alex::lower;
use alex::package::{Package, Source};
use alex::{Compiler, Stage};
use anyhow::Result;
use engine::pool::Pool;
use graph::Bindings;
use models::bundle::PackOptions;
use models::forms::{CacheType, Form as Numbers, GraphOptions, PLACES, State};
use premap::{Binding, Plan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to compile for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The stem of the files and the prefix of the functions.
    pub name: String,
    /// Processor and level.
    pub machine: alex::Options,
    /// Tokens that a sequence may have, where the model keeps caches.
    pub context: usize,
    /// Texts of the stages to write beside the library.
    pub stages: Vec<Emit>,
}

/// A stage that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// The graph in the `fidelity` dialect, which our check and MLIR's have seen.
    Fidelity,
    /// The module in MLIR's stock dialects.
    Mlir,
    /// The same in MLIR's LLVM dialect.
    LlvmDialect,
    /// Optimised LLVM IR.
    Llvm,
    /// Assembly.
    Assembly,
}

impl Emit {
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Emit::Fidelity => "fidelity.mlir",
            Emit::Mlir => "mlir",
            Emit::LlvmDialect => "llvm.mlir",
            Emit::Llvm => "ll",
            Emit::Assembly => "s",
        }
    }
}

/// What was made.
#[derive(Debug, serde::Serialize)]
pub struct Compiled {
    /// The files, in the order of the header, the static and the shared library, the example, the weights, the stages.
    pub files: Vec<PathBuf>,
    /// Functions that the library takes from elsewhere, such as `memcpy`.
    pub needs: Vec<String>,
    /// Different kernels in it.
    pub kernels: usize,
    /// Calls of kernels for a token.
    pub calls: usize,
    /// Bytes of a sequence's state.
    pub state: usize,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes of the weights' file.
    pub weights: u64,
    /// Seconds that planning, compiling and linking took; packing is not counted.
    pub seconds: f64,
}

/// Packs, plans, compiles, and writes everything into `folder`.
///
/// # Errors
/// A model that cannot be packed or whose step has ops without a lowering, a missing tool, a full disk.
pub fn compile(
    path: &Path,
    folder: &Path,
    options: &Options,
    pool: &Arc<Pool>,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Compiled> {
    // A missing tool is told before anything is written.
    let compiler = Compiler::new(options.machine.clone())?;
    std::fs::create_dir_all(folder)
        .map_err(|e| Fault::new(format!("{}: {e}", folder.display()), "name a folder that can be written"))?;
    let file = format!("{}.fid", options.name);
    let bundle = folder.join(&file);
    let form = Form::Bundle(PackOptions::default());
    convert::write(&Model::open(path)?, &bundle, form, pool, progress)?;
    let model = Loaded::open(&bundle)?;

    let start = std::time::Instant::now();
    let plan = plan(&model, options.context)?;
    let machine = &options.machine;
    let isa = Isa::of(machine.triple.as_deref(), &machine.cpu, &machine.features);
    let lowered =
        lower::plan(&plan, &lower::Options { name: "plan".into(), isa, dealt: true, ..Default::default() })?;
    let (bindings, state) = sources(&model, &plan)?;
    let tokenizer = model.tokenizer.as_ref();
    let vocabulary = model.config.vocab_size();
    let package = Package {
        name: options.name.clone(),
        module: lowered.text,
        entry: lowered.name,
        bindings,
        dealt: lowered.dealt,
        arena: lowered.arena,
        state,
        context: grows(&model).then_some(options.context),
        vocabulary,
        pieces: tokenizer.map(|t| t.pieces(vocabulary)).unwrap_or_default(),
        bytes: tokenizer.is_some_and(models::tokenizer::Tokenizer::is_bytes),
        eos: model.config.eos_token_id().first().copied(),
        weights: (file, convert::size_of(&bundle), end(&bundle)?),
        title: format!("{}, {} parameters.", model.config.model_type(), model.parameter_count()),
    };
    let written = package.write(&compiler, folder)?;
    let mut files = vec![written.header, written.archive, written.shared, written.example, bundle];
    for stage in &options.stages {
        let text = match stage {
            Emit::Fidelity => fidelity_dialect(&compiler, &options.name, &plan)?,
            Emit::Mlir => package.module.clone(),
            Emit::LlvmDialect => compiler.stage(&package.module, Stage::LlvmDialect)?,
            Emit::Llvm => compiler.stage(&package.module, Stage::Optimised)?,
            Emit::Assembly => compiler.stage(&package.module, Stage::Assembly)?,
        };
        let at = folder.join(format!("{}.{}", options.name, stage.ending()));
        models::atomic::write_bytes(&at, text.as_bytes())?;
        files.push(at);
    }
    Ok(Compiled {
        files,
        needs: written.needs,
        kernels: lowered.kernels,
        calls: lowered.calls,
        state,
        arena: lowered.arena,
        weights: package.weights.1,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The plan's graph in the `fidelity` dialect, checked twice.
fn fidelity_dialect(compiler: &Compiler, name: &str, plan: &Plan) -> Result<String> {
    let module = alex::dialect::Module::from_graph(name, &plan.graph);
    module.check()?;
    let text = module.to_string();
    compiler.check_dialect(&text)?;
    Ok(text)
}

fn states(model: &Loaded) -> Vec<State> {
    model.config.states(CacheType::F32)
}

fn grows(model: &Loaded) -> bool {
    states(model).iter().any(State::is_cache)
}

/// The plan of a token: states are updated where they lie.
fn plan(model: &Loaded, context: usize) -> Result<Plan> {
    let options = GraphOptions {
        form: Numbers::Prepared,
        states: true,
        embedding: model.embedding_type(),
        ..Default::default()
    };
    let sizes = [("B", 1), ("T", 1), (PLACES, context)];
    let sizes = Bindings::from(sizes.map(|(name, n)| (name.to_string(), n)));
    let graph = crate::compiled::through_dialect(&model.config.step(&options)?.specialize(&sizes))?;
    let mut options = model.plan_options(&graph)?;
    options.donate.extend(states(model).into_iter().map(|s| (s.name.clone(), s.name)));
    Ok(premap::plan(&graph, &alex::target(), &options)?)
}

/// Where each binding's memory comes from, and the bytes of the state.
fn sources(model: &Loaded, plan: &Plan) -> Result<(Vec<Source>, usize)> {
    let Some(bundle) = model.bundle() else {
        return fault("the model is no bundle", "please report this");
    };
    let bundle = bundle.bundle();
    let whole = bundle.entries().first().and_then(|e| Some((e.offset, bundle.bytes(&e.name).ok()?)));
    let Some((offset, bytes)) = whole else { return fault("the bundle is empty", "pack the model again") };
    let base = bytes.as_ptr().addr() - offset as usize;
    let specs = states(model);
    let names: Vec<String> = specs.iter().map(|s| s.name.clone()).collect();
    let context = |k: usize| specs[k].name.as_str();
    let graph = &plan.graph;
    let mut at = 0;
    let mut places = vec![];
    for spec in &specs {
        let input = graph.inputs.iter().find(|i| i.name == spec.name).map(|i| plan.bytes(i.value));
        places.push(at as u64);
        at += input.unwrap_or(0).next_multiple_of(64);
    }
    let slots = slots(graph, &names, |name| model.weight(name))?;
    let source = |binding: &Binding| -> Result<Source> {
        Ok(match binding {
            Binding::Input(i) => match slots[*i] {
                Slot::Ids => Source::Token,
                Slot::Position => Source::Position,
                Slot::State(k) => Source::State(places[k]),
                Slot::Weight(Weight::Tensor(tensor)) => Source::Data(tensor.bytes().to_vec()),
                Slot::Weight(weight) => {
                    let at = weight.bytes().as_ptr().addr().checked_sub(base).map(|n| n as u64);
                    match at.filter(|n| *n < bundle.file_length()) {
                        Some(n) => Source::Weights(n),
                        None => Source::Data(weight.bytes().to_vec()),
                    }
                }
            },
            Binding::Output(o) => match graph.outputs.get(*o).map(|o| o.name.as_str()) {
                Some("logits") => Source::Logits,
                Some(name) => match (0..specs.len()).find(|k| context(*k) == name) {
                    Some(k) => Source::State(places[k]),
                    None => return fault(format!("the step gives `{name}`"), "please report this"),
                },
                None => return fault("the step has taps", "please report this"),
            },
            Binding::Constant(n) => {
                let node = &graph.nodes[*n as usize];
                let made = node
                    .op
                    .eval::<f64>(&graph::EvalCx::default(), &node.attrs, &[], &node.types)
                    .map_err(|problem| graph::GraphError::Eval { op: node.op.name(), problem })?;
                Source::Data(engine::Tensor::from_array(&made[0]).bytes().to_vec())
            }
        })
    };
    Ok((plan.bindings().iter().map(source).collect::<Result<_>>()?, at))
}

/// The last eight bytes of a bundle: the checksum of its table, which holds the checksums of all sections.
fn end(path: &Path) -> Result<[u8; 8]> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || {
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::End(-8))?;
        let mut end = [0; 8];
        file.read_exact(&mut end).map(|()| end)
    };
    Ok(read().map_err(|e| Fault::new(format!("{}: {e}", path.display()), "pack the model again"))?)
}
