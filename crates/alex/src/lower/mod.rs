//! Plans as modules of MLIR's stock dialects.
//!
//! A plan becomes one exported function, `(arena, bindings) -> status`, that calls a private function for each step with
//! addresses in the arena or in what is bound. The places are those of the plan, so compiled code and the engine share one
//! memory plan; what compiled code needs besides lies behind it in the arena ([`Lowered::arena`]). Steps that do the same on
//! the same sizes and types share their function, so 24 equal layers are one set of kernels.
//!
//! Each family of ops is a file; every one of them takes the element type as it finds it, so that a plan can be compiled in
//! f80 or f128 as it stands ([`Options::wide`]).

mod blocks;
mod control;
mod dealt;
mod dot;
mod fast;
mod formats;
mod group;
mod index;
mod linear;
mod moves;
mod nest;
mod point;
mod quantize;
mod reduce;
mod rows;
mod scan;
mod selective;
mod source;
mod step;
mod value;

use crate::cpu::Isa;
use crate::error::{AlexError, Result};
use crate::ir::{Builder, FuncOptions, I32, Kind, Module, Ptr, Value};
use graph::{Op, Value as Node};
use premap::{Binding, Buffer, Place, Plan, Step};
use std::collections::HashMap;
use value::{Types, V};

/// A wider arithmetic for every floating-point value of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    /// IEEE binary64.
    F64,
    /// The x87 extended format: 64 bits of mantissa, 16 bytes in memory. On x86 alone.
    F80,
    /// IEEE binary128.
    F128,
}

/// What is made of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The exported function; a plan with an early part also has `NAME_early` and `NAME_rest`.
    pub name: String,
    /// The arithmetic, where it is not the plan's own. Inputs and outputs of floating types are then of that type (f80: 16 bytes).
    pub wide: Option<Wide>,
    /// The instructions that kernels may name.
    pub isa: Isa,
    /// Whole blocks as one call each, where a plan has them; off: to see what it is worth.
    pub blocks: bool,
    /// Steps are cut as [`premap::cut`] says, and the functions take a third argument, the runner that deals out the pieces
    /// (see [`crate::loader::Dealt`]). The bits are those of one thread.
    pub dealt: bool,
}

impl Default for Options {
    /// For this computer.
    fn default() -> Options {
        Options { name: "run".into(), wide: None, isa: Isa::host(), blocks: true, dealt: false }
    }
}

/// A module and what a caller must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// The module.
    pub text: String,
    /// The exported function.
    pub name: String,
    /// Whether there are `NAME_early` and `NAME_rest`.
    pub parts: bool,
    /// Whether the functions take a runner.
    pub dealt: bool,
    /// Bytes of the arena that the function works in, from a multiple of 64 on.
    pub arena: usize,
    /// How many addresses it is bound to ([`Plan::bindings`]).
    pub bindings: usize,
    /// Different kernels.
    pub kernels: usize,
    /// Calls of kernels, those of regions counted once.
    pub calls: usize,
}

/// Lowers a plan.
///
/// # Errors
/// [`AlexError::Lower`] for an op that has no lowering for its operands.
pub fn plan(plan: &Plan, options: &Options) -> Result<Lowered> {
    let (text, mut made) = plans(&[(&options.name, plan)], options)?;
    let mut lowered = made.remove(0);
    lowered.text = text;
    Ok(lowered)
}

/// Lowers several plans into one module, which have their kernels in common: the module, and for each plan what a caller
/// must know (without the text). The name of the options is not used.
///
/// # Errors
/// [`AlexError::Lower`] for an op that has no lowering for its operands.
pub fn plans(list: &[(&str, &Plan)], options: &Options) -> Result<(String, Vec<Lowered>)> {
    let wide = options.wide.map(|w| match w {
        Wide::F64 => Kind::F64,
        Wide::F80 => Kind::F80,
        Wide::F128 => Kind::F128,
    });
    let mut l = Lowering {
        types: Types { wide },
        isa: options.isa,
        blocks: options.blocks,
        dealt: options.dealt,
        kernels: HashMap::new(),
        regions: 0,
        calls: 0,
        made: 0,
        fault: None,
        scale: 1,
    };
    let mut m = Module::new();
    let mut out = vec![];
    for (name, plan) in list {
        let before = l.calls;
        l.scale = scale(plan, wide.map(Kind::bytes));
        let parts = export(&mut m, &mut l, name, plan);
        if let Some(e) = l.fault {
            return Err(e);
        }
        out.push(Lowered {
            text: String::new(),
            name: (*name).to_string(),
            parts,
            dealt: options.dealt,
            arena: l.need(plan),
            bindings: plan.bindings().len(),
            kernels: l.kernels.len(),
            calls: l.calls - before,
        });
    }
    Ok((m.finish().map_err(|e| AlexError::Emit(e.to_string()))?, out))
}

/// The exported functions of a plan; whether it has an early part.
fn export(m: &mut Module, l: &mut Lowering, name: &str, plan: &Plan) -> bool {
    let bindings = plan.bindings();
    let parts = plan.early > 0 && plan.early < plan.steps.len();
    let ranges = match parts {
        true => vec![
            (format!("{name}_early"), 0..plan.early),
            (format!("{name}_rest"), plan.early..plan.steps.len()),
        ],
        false => vec![(name.to_string(), 0..plan.steps.len())],
    };
    // Arena, bindings and, where steps are dealt out, the runner.
    let count = if l.dealt { 3 } else { 2 };
    let arguments = || vec![Ptr; count];
    for (name, steps) in ranges {
        m.function(FuncOptions::new(name), arguments(), |b, given| {
            let (arena, bound) = (given[0], given[1]);
            let addresses: Vec<Value<Ptr>> = (0..bindings.len())
                .map(|k| {
                    let at = b.ptr_offset(bound, 8 * k);
                    b.load_ptr(at, Ptr)
                })
                .collect();
            let scope = Scope::new(plan, arena, &addresses, l).dealt_by(given.get(2).copied());
            l.steps(b, &scope, steps)
        });
    }
    if parts {
        m.function(FuncOptions::new(name), arguments(), |b, given| {
            let zero = b.int(I32, 0);
            let early = b.call_symbol(&format!("{name}_early"), given.clone(), I32);
            let refused = b.cmpi(crate::ir::CmpI::Ne, early, zero);
            b.if_(refused, |_| early, |b| b.call_symbol(&format!("{name}_rest"), given, I32))
        });
    }
    parts
}

/// By how much places of the arena move apart where every float takes that many bytes.
fn scale(plan: &Plan, wide: Option<usize>) -> usize {
    fn least(plan: &Plan) -> usize {
        let types = plan.graph.nodes.iter().flat_map(|n| &n.types);
        let own = types.filter(|t| t.dtype.is_float()).filter_map(|t| t.dtype.size()).min().unwrap_or(8);
        let inner = plan.steps.iter().filter_map(|s| match s {
            Step::Control(_, plans) => plans.iter().map(least).min(),
            _ => None,
        });
        inner.min().map_or(own, |i| i.min(own))
    }
    wide.map_or(1, |bytes| (bytes / least(plan)).max(1))
}

/// The state of one lowering.
pub(crate) struct Lowering {
    pub(crate) types: Types,
    pub(crate) isa: Isa,
    blocks: bool,
    dealt: bool,
    /// Names of kernels by what they do.
    kernels: HashMap<String, String>,
    regions: usize,
    pub(crate) calls: usize,
    made: usize,
    fault: Option<AlexError>,
    scale: usize,
}

/// Memory that shares nothing with other memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Arena,
    Input(usize),
    Output(usize),
    Constant(u32),
    /// Behind the plan's arena.
    Extra,
}

/// A plan while its steps are lowered: where its memory begins.
pub(crate) struct Scope<'a> {
    pub(crate) plan: &'a Plan,
    arena: Value<Ptr>,
    /// The address of each buffer outside the arena.
    buffers: HashMap<u32, Value<Ptr>>,
    outputs: HashMap<usize, Value<Ptr>>,
    scale: usize,
    /// Who deals out tasks.
    pub(crate) runner: Option<Value<Ptr>>,
    /// Steps that one call stands for.
    pub(crate) blocks: Vec<blocks::Found>,
}

/// Memory that a kernel is given.
#[derive(Clone, Copy)]
pub(crate) struct Arg {
    pub(crate) at: Value<Ptr>,
    pub(crate) kind: Kind,
    pub(crate) len: usize,
    /// Where it lies, to tell whether two overlap: a space, the first byte, the end.
    place: Option<(Space, usize, usize)>,
    written: bool,
}

impl<'a> Scope<'a> {
    /// A plan whose bindings have these addresses.
    pub(crate) fn new(
        plan: &'a Plan,
        arena: Value<Ptr>,
        addresses: &[Value<Ptr>],
        l: &Lowering,
    ) -> Scope<'a> {
        let outside = plan.buffers.iter().enumerate().filter(|(_, b)| !matches!(b, Buffer::Arena { .. }));
        let buffers = outside.zip(addresses).map(|((k, _), at)| (k as u32, *at)).collect();
        let outputs = plan.bindings().into_iter().zip(addresses).filter_map(|(b, at)| match b {
            Binding::Output(o) => Some((o, *at)),
            _ => None,
        });
        let blocks = l.blocks(plan);
        Scope { plan, arena, buffers, outputs: outputs.collect(), scale: l.scale, runner: None, blocks }
    }

    /// The same with somebody who deals out tasks.
    pub(crate) fn dealt_by(mut self, runner: Option<Value<Ptr>>) -> Scope<'a> {
        self.runner = runner;
        self
    }

    /// Memory behind the plan's own.
    pub(crate) fn extra(&self, b: &mut Builder, offset: usize) -> Value<Ptr> {
        b.ptr_offset(self.arena, (self.plan.arena * self.scale).next_multiple_of(64) + offset)
    }

    /// The address of an output.
    pub(crate) fn output(&self, o: usize) -> Option<Value<Ptr>> {
        self.outputs.get(&o).copied()
    }
}

impl Lowering {
    /// Bytes of the arena that a plan needs, regions included.
    pub(crate) fn need(&self, plan: &Plan) -> usize {
        let extra = plan.steps.iter().map(|s| match s {
            Step::Control(n, plans) => {
                let inner = plans.iter().map(|p| self.need(p)).max().unwrap_or(0);
                control::carried(self, plan, *n) + inner
            }
            step if self.dealt => dealt::scratch(self, plan, step),
            step => fast::scratch(self, plan, step),
        });
        let blocks = self.blocks(plan);
        let extra = extra.chain(blocks.iter().map(|found| found.scratch(self)));
        (plan.arena * self.scale).next_multiple_of(64) + extra.max().unwrap_or(0)
    }

    /// The blocks of a plan that are one call each.
    fn blocks(&self, plan: &Plan) -> Vec<blocks::Found> {
        let mut found = if self.blocks && self.types.wide.is_none() { blocks::find(plan) } else { vec![] };
        // A recurrence goes from tile to tile; its steps one by one are cut by channels instead.
        found.retain(|block| !self.dealt || block.is_tiled());
        found
    }

    /// Notes the first thing that cannot be lowered.
    pub(crate) fn fail(&mut self, op: Op, scope: &Scope<'_>, node: u32, problem: &str) {
        let g = &scope.plan.graph;
        let part = g.nodes.get(node as usize).map_or(String::new(), |n| g.scopes[n.scope as usize].clone());
        self.fault.get_or_insert(AlexError::Lower {
            op: op.name(),
            scope: part,
            problem: problem.to_string(),
        });
    }

    /// Bytes that a value takes in memory.
    pub(crate) fn bytes(&self, plan: &Plan, v: Node) -> usize {
        match plan.layouts.contains_key(&v) {
            true => plan.bytes(v),
            false => {
                let t = plan.graph.ty(v);
                t.elements().unwrap_or(0) * self.types.bytes(t.dtype)
            }
        }
    }

    /// The address of a value.
    pub(crate) fn address(&mut self, b: &mut Builder, scope: &Scope<'_>, v: Node) -> Value<Ptr> {
        let Some(place) = scope.plan.place(v) else {
            self.fail(scope.plan.graph.node(v).op, scope, v.node, "the value has no place in memory");
            return scope.arena;
        };
        let dtype = scope.plan.graph.ty(v).dtype;
        let element = premap::memory::element(dtype);
        let within = place.offset / element * self.types.bytes(dtype);
        match &scope.plan.buffers[place.buffer as usize] {
            Buffer::Arena { offset, .. } => b.ptr_offset(scope.arena, offset * self.scale + within),
            _ => match scope.buffers.get(&place.buffer) {
                Some(at) if within == 0 => *at,
                Some(at) => b.ptr_offset(*at, within),
                None => scope.arena,
            },
        }
    }

    fn arg(&mut self, b: &mut Builder, scope: &Scope<'_>, v: Node, written: bool) -> Arg {
        let plan = scope.plan;
        let (dtype, bytes) = (plan.graph.ty(v).dtype, self.bytes(plan, v));
        let kind = self.types.storage(dtype);
        let len =
            if plan.layouts.contains_key(&v) { bytes } else { plan.graph.ty(v).elements().unwrap_or(0) };
        let place = plan.place(v).map(|p| {
            let (space, first) = space(plan, p);
            (space, first, first + plan.bytes(v))
        });
        Arg { at: self.address(b, scope, v), kind, len, place, written }
    }

    /// A value that a kernel reads.
    pub(crate) fn read(&mut self, b: &mut Builder, scope: &Scope<'_>, v: Node) -> Arg {
        self.arg(b, scope, v, false)
    }

    /// A value that a kernel writes.
    pub(crate) fn write(&mut self, b: &mut Builder, scope: &Scope<'_>, v: Node) -> Arg {
        self.arg(b, scope, v, true)
    }

    /// Calls the kernel `name` that does what `key` says on such memory; the first call makes it. A kernel that can refuse
    /// its operands gives 0 or 1.
    pub(crate) fn kernel(
        &mut self,
        b: &mut Builder,
        name: &str,
        key: &str,
        args: &[Arg],
        refuses: bool,
        body: impl FnOnce(&mut Builder, &[V]) -> Option<V>,
    ) -> Option<V> {
        let apart: Vec<bool> = (0..args.len()).map(|k| self.is_apart(args, k)).collect();
        let shape: Vec<String> = args
            .iter()
            .zip(&apart)
            .map(|(a, apart)| format!("{}x{}{}", a.len, a.kind, u8::from(*apart)))
            .collect();
        let key = format!("{name} {key} {}", shape.join(" "));
        self.calls += 1;
        let known = self.kernels.get(&key).cloned();
        let symbol = known.unwrap_or_else(|| {
            self.made += 1;
            let symbol = format!("{name}_{}", self.made);
            let mut options = FuncOptions::new(symbol.clone())
                .private()
                .attribute("llvm.linkage = #llvm.linkage<internal>")
                .attribute("no_inline");
            for (k, _) in apart.iter().enumerate().filter(|(_, apart)| **apart) {
                options = options.argument(k, "llvm.noalias");
            }
            let kinds: Vec<(Kind, usize)> = args.iter().map(|a| (a.kind, a.len)).collect();
            b.module().function(options, vec![Ptr; args.len()], |b, at| {
                let memory: Vec<V> = at
                    .iter()
                    .zip(&kinds)
                    .map(|(at, (kind, len))| value::memref(b, *at, *kind, *len))
                    .collect();
                let status = body(b, &memory);
                let status: Vec<V> = status.into_iter().collect();
                status
            });
            self.kernels.insert(key, symbol.clone());
            symbol
        });
        let at: Vec<Value<Ptr>> = args.iter().map(|a| a.at).collect();
        let results = if refuses { vec![crate::ir::AnyType::Scalar(Kind::I32)] } else { vec![] };
        b.call_symbol(&symbol, at, results).into_iter().next()
    }

    /// Whether an argument shares no byte with another one of which either is written.
    fn is_apart(&self, args: &[Arg], k: usize) -> bool {
        let a = &args[k];
        args.iter().enumerate().filter(|(i, o)| *i != k && (a.written || o.written)).all(|(_, o)| {
            match (a.place, o.place) {
                (Some((p, from, to)), Some((q, start, end))) => p != q || to <= start || end <= from,
                _ => false,
            }
        })
    }
}

/// The memory that a place is in, and the byte at which it begins there. An output that takes the place of an input is
/// bound to the same memory.
fn space(plan: &Plan, place: Place) -> (Space, usize) {
    match plan.buffers[place.buffer as usize] {
        Buffer::Arena { offset, .. } => (Space::Arena, offset + place.offset),
        Buffer::Input(i) => (Space::Input(i), place.offset),
        Buffer::Constant(n) => (Space::Constant(n), place.offset),
        Buffer::Output(o) => {
            let shared = plan.donated.iter().chain(&plan.copied).find(|(_, out)| *out == o);
            (shared.map_or(Space::Output(o), |(i, _)| Space::Input(*i)), place.offset)
        }
    }
}
