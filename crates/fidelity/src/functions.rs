//! Modules of the `fidelity` dialect as libraries for C: one function for each public function of the module.
//!
//! The module is read, checked by us and by MLIR, and each function becomes a graph, a plan and code, as a model does. A function
//! takes its inputs, its results and an arena, all as addresses of memory that the caller owns, aligned to 64 bytes. A value that
//! carries its scale is two of them, `x` and `x_scale`. Trits are a byte each.

use crate::compile::{Compiled, Emit, Options};
use crate::error::{Fault, fault};
use alex::cpu::Isa;
use alex::dialect::{Module, verify};
use alex::{Compiler, Stage, lower};
use anyhow::Result;
use axes::DType;
use graph::{Bindings, Graph, Type};
use premap::{Binding, Plan};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Compiles the module in a file; `sizes` are those of its symbols. Writes `NAME.h`, `NAME.a`, `NAME.so` and the stages.
///
/// # Errors
/// A text that is no module of the dialect, with line and column; sizes that are not known; operations without code; a missing
/// tool.
pub fn compile(path: &Path, folder: &Path, options: &Options, sizes: &Bindings) -> Result<Compiled> {
    let compiler = Compiler::new(options.machine.clone())?;
    let text = std::fs::read_to_string(path).map_err(|e| {
        Fault::new(format!("{}: {e}", path.display()), "name a file in the `fidelity` dialect")
    })?;
    let start = std::time::Instant::now();
    let whole = |e: &dyn std::fmt::Display| {
        Fault::new(
            format!("{}: {e}", path.display()),
            "correct the module; `alex::dialect::reference` lists the operations",
        )
    };
    let module = verify(&text).map_err(|e| whole(&e))?;
    compiler.check_dialect(&text)?;
    let mut plans = vec![];
    for function in module.functions.iter().filter(|f| !f.private && f.returned.is_some()) {
        let graph = module.to_graph(&function.name).map_err(|e| whole(&e))?.specialize(sizes);
        if let Some(open) = graph.symbols().into_iter().next() {
            return fault(
                format!("@{}: the size `{open}` is not known", function.name),
                format!("say it: --size {open}=16"),
            );
        }
        plans.push((function.name.clone(), premap::plan(&graph, &alex::target(), &Default::default())?));
    }
    if plans.is_empty() {
        return fault(
            format!("{}: no public function with a body", path.display()),
            "write `func.func @name(…) { … }`",
        );
    }
    let machine = &options.machine;
    let isa = Isa::of(machine.triple.as_deref(), &machine.cpu, &machine.features);
    let entries: Vec<String> = (0..plans.len()).map(|k| format!("fidelity_plan_{k}")).collect();
    let named: Vec<(&str, &Plan)> =
        entries.iter().zip(&plans).map(|(entry, (_, plan))| (entry.as_str(), plan)).collect();
    let (stock, made) = lower::plans(&named, &lower::Options { isa, ..Default::default() })?;
    let mut header = head(&options.name);
    let mut wrapper = String::new();
    let mut exports = vec![];
    for ((name, plan), lowered) in plans.iter().zip(&made) {
        let symbol = identifier(&format!("{}_{name}", options.name));
        if exports.contains(&symbol) {
            return fault(format!("two functions are called `{symbol}` in C"), "rename one of them");
        }
        declare(&mut header, &symbol, &plan.graph, lowered.arena);
        wrap(&mut wrapper, &symbol, &lowered.name, plan)?;
        exports.push(symbol);
    }
    header.push_str("\n#ifdef __cplusplus\n}\n#endif\n#endif\n");

    std::fs::create_dir_all(folder)
        .map_err(|e| Fault::new(format!("{}: {e}", folder.display()), "name a folder that can be written"))?;
    let object = compiler.object_with(&stock, &wrapper, &exports)?;
    let mut files: Vec<PathBuf> = vec![];
    let mut write = |ending: &str, bytes: &[u8]| -> Result<()> {
        let at = folder.join(format!("{}.{ending}", options.name));
        models::atomic::write_bytes(&at, bytes)?;
        files.push(at);
        Ok(())
    };
    write("h", header.as_bytes())?;
    write("a", &compiler.archive(&options.name, &object)?)?;
    write("so", &compiler.link(&object)?)?;
    for stage in &options.stages {
        let text = match stage {
            Emit::Fidelity => through(&module, &plans)?,
            Emit::Mlir => stock.clone(),
            Emit::LlvmDialect => compiler.stage(&stock, Stage::LlvmDialect)?,
            Emit::Llvm => compiler.stage(&stock, Stage::Optimised)?,
            Emit::Assembly => compiler.stage(&stock, Stage::Assembly)?,
        };
        write(stage.ending(), text.as_bytes())?;
    }
    Ok(Compiled {
        files,
        needs: compiler.undefined(&object)?,
        kernels: made.last().map_or(0, |l| l.kernels),
        calls: made.iter().map(|l| l.calls).sum(),
        state: 0,
        arena: made.iter().map(|l| l.arena).max().unwrap_or(0),
        weights: 0,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The module as its plans have it: sizes known, operations of the dialect as the graph's ops.
fn through(module: &Module, plans: &[(String, Plan)]) -> Result<String> {
    let mut text = String::new();
    for (name, plan) in plans.iter().filter(|(name, _)| module.function(name).is_some()) {
        let _ = write!(text, "{}", Module::from_graph(name, &plan.graph));
    }
    Ok(text)
}

/// A name that C takes.
fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn head(name: &str) -> String {
    let guard = identifier(&name.to_ascii_uppercase());
    format!(
        "/* Functions of a module in the `fidelity` dialect. All memory is the caller's, aligned to 64 bytes; nothing is\n   \
         allocated. A function gives 0, or another number where an index is outside its table. */\n\
         #ifndef {guard}_H\n#define {guard}_H\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
    )
}

/// The element's type in C.
fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "double",
        DType::F32 => "float",
        DType::BF16 | DType::F16 => "uint16_t",
        DType::I64 => "int64_t",
        DType::I32 => "int32_t",
        DType::I8 | DType::Trit => "int8_t",
        DType::U8 | DType::Bool => "uint8_t",
    }
}

/// Names of parameters, each its own.
fn parameters(graph: &Graph) -> Vec<(String, Type, bool)> {
    let inputs = graph.inputs.iter().map(|n| (n, true));
    let outputs = graph.outputs.iter().chain(&graph.taps).map(|n| (n, false));
    let mut all: Vec<(String, Type, bool)> = vec![];
    for (named, input) in inputs.chain(outputs) {
        let mut name = identifier(&named.name);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "r_");
        }
        while name == "arena" || all.iter().any(|(known, ..)| *known == name) {
            name.push('_');
        }
        all.push((name, graph.ty(named.value).clone(), input));
    }
    all
}

fn declare(header: &mut String, symbol: &str, graph: &Graph, arena: usize) {
    let list: Vec<String> = parameters(graph)
        .iter()
        .map(|(name, ty, input)| {
            let constant = if *input { "const " } else { "" };
            format!("{constant}{} *{name} /* {ty} */", element(ty.dtype))
        })
        .chain(["void *arena".to_owned()])
        .collect();
    let upper = symbol.to_ascii_uppercase();
    let bytes = arena.max(1).next_multiple_of(64);
    let _ =
        write!(header, "\n#define {upper}_ARENA {bytes}\nint {symbol}(\n    {});\n", list.join(",\n    "));
}

/// The function around a plan, as LLVM IR.
fn wrap(text: &mut String, symbol: &str, entry: &str, plan: &Plan) -> Result<()> {
    let bindings = plan.bindings();
    let inputs = plan.graph.inputs.len();
    let count = inputs + plan.graph.outputs.len() + plan.graph.taps.len();
    let mut body = String::new();
    for (k, binding) in bindings.iter().enumerate() {
        let from = match binding {
            Binding::Input(i) => format!("%p{i}"),
            Binding::Output(o) => format!("%p{}", inputs + o),
            Binding::Constant(n) => {
                let node = &plan.graph.nodes[*n as usize];
                let made = node
                    .op
                    .eval::<f64>(&graph::EvalCx::default(), &node.attrs, &[], &node.types)
                    .map_err(|problem| graph::GraphError::Eval { op: node.op.name(), problem })?;
                let tensor = engine::Tensor::from_array(&made[0]);
                let bytes: String = tensor.bytes().iter().map(|b| format!("\\{b:02X}")).collect();
                let n = tensor.bytes().len();
                let _ = writeln!(
                    text,
                    "@{symbol}.data.{k} = internal constant [{n} x i8] c\"{bytes}\", align 64"
                );
                format!("@{symbol}.data.{k}")
            }
        };
        let _ = writeln!(
            body,
            "  %to.{k} = getelementptr inbounds ptr, ptr %bindings, i64 {k}\n  store ptr {from}, ptr %to.{k}, align 8"
        );
    }
    let list: Vec<String> =
        (0..count).map(|k| format!("ptr %p{k}")).chain(["ptr %arena".to_owned()]).collect();
    let _ = writeln!(
        text,
        "\ndefine i32 @{symbol}({}) {{\n  %bindings = alloca [{} x ptr], align 64\n{body}  \
         %status = call i32 @{entry}(ptr %arena, ptr %bindings)\n  ret i32 %status\n}}",
        list.join(", "),
        bindings.len().max(1),
    );
    Ok(())
}
