//! The plain lowering: every operation of the dialect as loops over memory, generic over the element type.
//!
//! This is what the operations mean, as code that MLIR's own passes take to any target: no blocking, no vectors, sums from left
//! to right. Fast forms of the same operations are chosen from a plan elsewhere; they are tested against these.
//!
//! A function over the dialect's types becomes one over memrefs, all of rank two: leading axes are one axis of rows, and a
//! value without them has one row. Quantised activations are two memrefs (int8, and one scale a row), ternary matrices are
//! their bytes in their layout and one factor, results are memrefs behind the arguments.

mod elementwise;
mod frame;
mod model;
mod norm;
mod products;
mod recurrent;
mod trits;

use super::attr::{Attr, Type};
use super::module::{Func, Module, Op, Place};
use super::table;
use crate::ir;
use frame::Frame;

/// Why a module has no plain lowering.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The module is not well formed.
    #[error(transparent)]
    Dialect(#[from] super::DialectError),
    /// An operation has no plain lowering in this form.
    #[error("{}@{function}: {op}: {problem}", if .place.line > 0 { format!("line {}: ", .place.line) } else { String::new() })]
    Unsupported {
        /// The function.
        function: String,
        /// The operation or value.
        op: String,
        /// Where it was read.
        place: Place,
        /// The cause and what to do.
        problem: String,
    },
    /// The emission API was used wrongly: a mistake in a lowering.
    #[error(transparent)]
    Emission(#[from] ir::Mistakes),
}

type Lowered<T> = Result<T, String>;

impl Module {
    /// The module over memrefs, in MLIR's stock dialects.
    ///
    /// # Errors
    /// What [`Module::check`] finds, and what has no plain lowering: products with weights in blocks, which decode with the
    /// engine's formats, and functions that mix element types beyond `convert`.
    pub fn lower(&self) -> Result<String, LowerError> {
        self.check()?;
        let mut out = ir::Module::new();
        for function in &self.functions {
            if function.returned.is_none() {
                continue;
            }
            match element(function).as_str() {
                "f64" => lower_function(&mut out, function, ir::F64),
                "f80" => lower_function(&mut out, function, ir::F80),
                "f128" => lower_function(&mut out, function, ir::F128),
                "f16" => lower_function(&mut out, function, ir::F16),
                "bf16" => lower_function(&mut out, function, ir::BF16),
                _ => lower_function(&mut out, function, ir::F32),
            }?;
        }
        Ok(out.finish()?)
    }
}

/// The first floating-point element type of a function.
fn element(function: &Func) -> String {
    let float = |word: &str| super::signature::FLOATS.contains(&word);
    let of = |ty: &Type| match ty {
        Type::Fidelity { parameters, .. } => parameters.iter().find_map(|attr| match attr {
            Attr::Type(Type::Word(word)) if float(word) => Some(word.clone()),
            _ => None,
        }),
        Type::Tensor { elem, .. } => match &**elem {
            Type::Word(word) if float(word) => Some(word.clone()),
            _ => None,
        },
        _ => None,
    };
    function.values.iter().find_map(|known| of(&known.ty)).unwrap_or_else(|| "f32".to_owned())
}

fn lower_function<E: ir::Float>(out: &mut ir::Module, function: &Func, elem: E) -> Result<(), LowerError> {
    let fail = |op: &str, place: Place, problem: String| LowerError::Unsupported {
        function: function.name.clone(),
        op: op.to_owned(),
        place,
        problem,
    };
    let parts = frame::parts(function, elem).map_err(|(op, problem)| fail(&op, function.place, problem))?;
    let mut failed = None;
    let types: Vec<ir::AnyType> = parts.iter().map(|part| part.ty).collect();
    out.function(function.name.as_str(), types, |b, values| {
        let mut frame = Frame::new(function, elem, b, &parts, &values);
        for op in &function.ops {
            if let Err(problem) = lower_op(&mut frame, b, op) {
                failed = Some(fail(&op.name, op.place, problem));
                return;
            }
        }
        if let Err(problem) = frame.close(b, &parts, &values) {
            failed = Some(fail("return", function.place, problem));
        }
    });
    failed.map_or(Ok(()), Err)
}

fn lower_op<E: ir::Float>(f: &mut Frame<'_, E>, b: &mut ir::Builder, op: &Op) -> Lowered<()> {
    let Some(name) = op.name.strip_prefix("fidelity.") else { return f.foreign(b, op) };
    let family = table::op(name).map(|row| row.family).unwrap_or_default();
    b.comment(&op.name);
    match family {
        "Products and quantisation" => products::lower(f, b, name, op),
        "Norms" => norm::lower(f, b, name, op),
        "Elementwise" => elementwise::lower(f, b, name, op),
        "Recurrences" => recurrent::lower(f, b, name, op),
        _ => model::lower(f, b, name, op),
    }
}
