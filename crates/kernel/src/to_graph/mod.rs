//! A kernel as graph: its formulas written in ops of the table, so that it is differentiated, planned and run like any
//! other part of a model.
//!
//! Ternary products of int8 activations become `ternary_linear`, sums of products `dot_general`, recurrences
//! `linear_scan`; the rest is elementwise. A kernel whose formulas are not known has no graph, and the error says which
//! statement is in the way.

mod lower;

use crate::error::{KernelError, Result};
use crate::function::Kernel;
use crate::program::{Program, Slot};
use crate::raise::recognise;
use crate::symbolic::{Summary, Symbolic, Value};
use crate::term::{Atom, Term};
use axes::DType;
use graph::{Cx, Dim, Graph, Type, Var};
use kernel_syntax::Scalar;
use lower::Lower;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The dtype of the graph for a type of Rust.
fn dtype(s: Scalar) -> Option<DType> {
    Some(match s {
        Scalar::F32 => DType::F32,
        Scalar::F64 => DType::F64,
        Scalar::I8 => DType::I8,
        Scalar::I32 => DType::I32,
        Scalar::I64 | Scalar::Isize | Scalar::Usize => DType::I64,
        Scalar::U8 => DType::U8,
        Scalar::Bool => DType::Bool,
        Scalar::I16 | Scalar::U16 | Scalar::U32 | Scalar::U64 => return None,
    })
}

impl Kernel {
    /// The names of the operands of [`graph`](Self::graph), in order: a ternary matrix `w` is two, `w` (trits) and
    /// `w.scale`.
    ///
    /// # Errors
    /// [`KernelError::Type`].
    pub fn operands(&self) -> Result<Vec<String>> {
        let program = self.program()?;
        Ok(operands(&program).into_iter().map(|o| o.0).collect())
    }

    /// The kernel as a graph of its own, for operands of these types. Outputs are what it writes to parameters, under
    /// their names, then its results, `result` or `result 0`, `result 1`, ….
    ///
    /// ```
    /// use graph::Type;
    /// let step = kernel::article::ssm_step::kernel();
    /// let v = Type::new(axes::DType::F32, [4]);
    /// let x = Type::scalar(axes::DType::F32);
    /// let g = step.graph(&[v.clone(), x, v.clone(), v.clone(), v])?;
    /// assert_eq!(g.outputs.len(), 2);
    /// # Ok::<(), kernel::KernelError>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::Type`]; [`KernelError::Graph`] where a formula is not known, an operand does not fit, or a size that
    /// the kernel takes for granted is another.
    pub fn graph(&self, types: &[Type]) -> Result<Graph> {
        let wide = types.iter().any(|t| t.dtype == DType::F64);
        let program = self.program_in(if wide { Scalar::F64 } else { Scalar::F32 })?;
        build(&program, types)
    }

    /// The kernel as one node (`call`) of a graph under construction.
    ///
    /// # Errors
    /// As [`graph`](Self::graph).
    pub fn call(&self, cx: &Cx, operands: &[&Var]) -> Result<Vec<Var>> {
        let types: Vec<Type> = operands.iter().map(|v| v.ty()).collect();
        let graph = Arc::new(self.graph(&types)?);
        Ok(cx.call(self.name(), &graph, operands))
    }
}

/// Name, element type, rank and the array's sizes by name, for each operand.
fn operands(program: &Program) -> Vec<(String, Scalar, Vec<String>, bool)> {
    let mut list = vec![];
    for p in &program.params {
        match &p.slot {
            Slot::Scalar(v) | Slot::ScalarMut(v) => {
                list.push((p.name.clone(), program.var_ty(*v), vec![], false))
            }
            Slot::Array(a) | Slot::Ternary(a, _) => {
                let decl = program.array(*a);
                let names = (0..decl.rank).map(|k| match decl.sizes[k] {
                    Some(n) => format!("={n}"),
                    None => Symbolic::size_name(program, *a, k),
                });
                list.push((p.name.clone(), program.element(*a), names.collect(), decl.trits));
                if let Slot::Ternary(..) = p.slot {
                    list.push((format!("{}.scale", p.name), Scalar::F32, vec![], false));
                }
            }
        }
    }
    list
}

fn build(program: &Program, types: &[Type]) -> Result<Graph> {
    let fail = |problem: String| KernelError::Graph { kernel: program.name.clone(), problem };
    let list = operands(program);
    if list.len() != types.len() {
        let names: Vec<&str> = list.iter().map(|o| o.0.as_str()).collect();
        return Err(fail(format!(
            "it takes {} operands ({}), found {}",
            list.len(),
            names.join(", "),
            types.len()
        )));
    }
    let (_, summary) = recognise(program);
    let cx = Cx::abstract_();
    let mut sizes: BTreeMap<String, Dim> = BTreeMap::new();
    let mut inputs: BTreeMap<String, Var> = BTreeMap::new();
    for ((name, element, axes, trits), ty) in list.iter().zip(types) {
        let wanted = dtype(*element)
            .ok_or_else(|| fail(format!("`{name}` has elements of {}, which no dtype is", element.name())))?;
        let assumed = *trits || summary.assumptions.trits.contains(name);
        let fits = ty.dtype == wanted || (assumed && ty.dtype == DType::Trit);
        if !fits || ty.rank() != axes.len() {
            return Err(fail(format!("`{name}` is {} with {} axes, found {ty}", wanted.name(), axes.len())));
        }
        for (axis, dim) in axes.iter().zip(&ty.shape) {
            let known = match axis.strip_prefix('=') {
                Some(n) => n.parse::<usize>().ok().map(Dim::from),
                None => sizes.get(axis).cloned(),
            };
            match known {
                Some(d) if d != *dim => return Err(fail(format!("`{name}` has {dim} where {axis} is {d}"))),
                Some(_) => {}
                None => {
                    sizes.insert(axis.clone(), dim.clone());
                }
            }
        }
        inputs.insert(name.clone(), cx.input(name, ty.clone()));
    }
    check_sizes(&summary, &mut sizes).map_err(&fail)?;
    let mut outputs: Vec<(String, Var)> = vec![];
    for f in &summary.formulas {
        let value = match &f.value {
            Ok(v) => v,
            Err(d) => return Err(fail(format!("line {}: {}", d.span.line, d.reason))),
        };
        let (axes, term, element) = match value {
            Value::Scalar(t, s) => (vec![], t, *s),
            Value::Array { axes, value, element } => (axes.clone(), value, *element),
        };
        let to =
            dtype(element).ok_or_else(|| fail(format!("`{}` has elements of {}", f.name, element.name())))?;
        let lower = Lower::new(&cx, &inputs, &sizes, if to == DType::F32 { DType::F32 } else { DType::F64 });
        let made = lower.output(term, &axes).map_err(&fail)?;
        let made = if made.dtype() == to { made } else { made.convert(to) };
        outputs.push((f.name.clone(), made));
    }
    let named: Vec<(&str, &Var)> = outputs.iter().map(|(n, v)| (n.as_str(), v)).collect();
    cx.finish(&named).map_err(|e| fail(e.to_string()))
}

/// Finds the sizes that follow from others, and checks what is taken for granted.
fn check_sizes(summary: &Summary, sizes: &mut BTreeMap<String, Dim>) -> std::result::Result<(), String> {
    for _ in 0..summary.assumptions.sizes.len() + 1 {
        for (name, term) in &summary.assumptions.sizes {
            let Some(known) = sizes.get(name).cloned() else {
                // A number that is given, such as the length of a row.
                if let Some(d) = lower::dim(term, sizes) {
                    sizes.insert(name.clone(), d);
                }
                continue;
            };
            // One size of a product that is not known yet.
            let Some((m, c)) = term.single() else { continue };
            let open: Vec<String> = (m.0.iter())
                .filter_map(|(a, _)| match a {
                    Atom::Size(n) if !sizes.contains_key(&**n) => Some(n.to_string()),
                    _ => None,
                })
                .collect();
            if let ([one], Some(whole)) = (&open[..], known.fixed()) {
                let rest = m.0.iter().filter(|(a, _)| *a != Atom::Size(one.as_str().into()));
                let rest = rest
                    .fold(Term::rat(c), |t, (a, e)| t.mul(&Term::atom(a.clone()).pow((*e).max(0) as u32)));
                if let Some(n) = lower::dim(&rest, sizes).and_then(|d| d.fixed()).filter(|n| *n > 0) {
                    if whole % n != 0 {
                        return Err(format!("{name} must be a multiple of {n}, found {whole}"));
                    }
                    sizes.insert(one.clone(), Dim::from(whole / n));
                }
            } else if let ([one], true) = (&open[..], m.0.len() == 1 && c.as_int() == Some(1)) {
                sizes.insert(one.clone(), known);
            }
        }
    }
    for (name, term) in &summary.assumptions.sizes {
        if let (Some(found), Some(wanted)) = (sizes.get(name), lower::dim(term, sizes))
            && *found != wanted
        {
            return Err(format!("{name} must be {wanted}, found {found}"));
        }
    }
    for (size, d) in sizes.iter() {
        if d.fixed() == Some(0) {
            return Err(format!("{size} is 0: every axis has at least one element"));
        }
    }
    Ok(())
}
