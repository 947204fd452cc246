//! Control flow with regions.
//!
//! Operands come in groups: constants that every round sees, then the carried values, then (for `scan`) the sequences
//! that are read one slice at a time. A body's inputs are in the same order. Their derivatives differentiate the
//! regions and live in `furnace`.

use crate::array::{Array, Data};
use crate::attrs::{Attr, Attrs};
use crate::cx::Cx;
use crate::dim::Dim;
use crate::error::{GraphError, Result};
use crate::ir::Graph;
use crate::op::{Class, Cost, EvalCx, OpDef};
use crate::scalar::Scalar;
use crate::types::Type;
use crate::var::Var;
use std::sync::Arc;

fn region<'a>(attrs: &'a Attrs, key: &str) -> Result<&'a Arc<Graph>, String> {
    attrs.graph(key).ok_or_else(|| format!("needs the region `{key}`"))
}

fn input_types(g: &Graph) -> Vec<Type> {
    g.inputs.iter().map(|i| g.ty(i.value).clone()).collect()
}

fn output_types(g: &Graph) -> Vec<Type> {
    g.outputs.iter().map(|o| g.ty(o.value).clone()).collect()
}

fn fit(what: &str, expected: &[Type], found: &[Type]) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

fn regions_cost(attrs: &Attrs, times: f64) -> Cost {
    let mut total = Cost::default();
    for (_, a) in attrs.iter() {
        if let Attr::Graph(g) = a {
            let c = crate::interp::cost(g);
            total.operations += c.operations * times;
            total.transcendental += c.transcendental * times;
            total.bytes += c.bytes * times;
        }
    }
    total
}

/// The body run once per slice of the sequences; results: the last carried values, then the stacked outputs.
pub struct Scan;
impl OpDef for Scan {
    const NAME: &'static str = "scan";
    const ATTRS: &'static [&'static str] = &["body", "consts", "carries", "length", "reverse"];
    const CLASS: Class = Class::Control;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let body = region(attrs, "body")?;
        let (nc, nk) = (attrs.int("consts", 0) as usize, attrs.int("carries", 0) as usize);
        let length = attrs.dims("length").first().cloned().ok_or("needs a length")?;
        let least = nc.saturating_add(nk);
        if inputs.len() < least {
            return Err(format!("takes at least {least} operands, got {}", inputs.len()));
        }
        let mut expected = inputs[..nc + nk].to_vec();
        for t in &inputs[nc + nk..] {
            if t.shape.first() != Some(&length) {
                return Err(format!("the sequence {t} does not have the length {length}"));
            }
            expected.push(Type { dtype: t.dtype, shape: t.shape[1..].to_vec() });
        }
        fit("the body's inputs", &expected, &input_types(body))?;
        let outs = output_types(body);
        if outs.len() < nk {
            return Err(format!("the body returns {} values for {nk} carried ones", outs.len()));
        }
        fit("the carried values", &inputs[nc..nc + nk], &outs[..nk])?;
        let stacked = outs[nk..].iter().map(|t| Type {
            dtype: t.dtype,
            shape: std::iter::once(length.clone()).chain(t.shape.iter().cloned()).collect(),
        });
        Ok(outs[..nk].iter().cloned().chain(stacked).collect())
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        types: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let body = region(attrs, "body")?;
        let (nc, nk) = (attrs.int("consts", 0) as usize, attrs.int("carries", 0) as usize);
        let length = attrs.dims("length")[0].bind(&cx.bindings)?;
        let mut carry = i[nc..nc + nk].to_vec();
        let mut stacks: Vec<Vec<Array<S>>> = vec![vec![]; types.len() - nk];
        for step in 0..length {
            let at = if attrs.flag("reverse") { length - 1 - step } else { step };
            let slices = i[nc + nk..].iter().map(|x| {
                let shape = x.shape[1..].to_vec();
                let n: usize = shape.iter().product();
                x.pick(shape, 0.0, |k| Some(at * n + k))
            });
            let inputs: Vec<_> = i[..nc].iter().cloned().chain(carry).chain(slices).collect();
            let mut out = crate::interp::run_region(cx, body, inputs).map_err(|e| e.to_string())?;
            let ys = out.split_off(nk);
            carry = out;
            stacks.iter_mut().zip(ys).for_each(|(s, y)| s.push(y));
        }
        for (s, ty) in stacks.iter_mut().zip(&types[nk..]) {
            if attrs.flag("reverse") {
                s.reverse();
            }
            let mut shape = super::shape::bind(cx, ty)?;
            shape[0] = length;
            let joined = if ty.dtype.is_float() {
                Data::Float(Arc::new(s.iter().flat_map(|a| a.floats().to_vec()).collect()))
            } else {
                Data::Int(Arc::new(s.iter().flat_map(|a| a.ints().to_vec()).collect()))
            };
            carry.push(Array { dtype: ty.dtype, shape, data: joined });
        }
        Ok(carry)
    }
    fn cost(attrs: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        let times = attrs.dims("length").first().and_then(Dim::fixed).unwrap_or(1);
        regions_cost(attrs, times as f64)
    }
}

/// One of two regions, chosen by the first operand (bool); both take the other operands.
pub struct Cond;
impl OpDef for Cond {
    const NAME: &'static str = "cond";
    const ATTRS: &'static [&'static str] = &["then", "else"];
    const CLASS: Class = Class::Control;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (a, b) = (region(attrs, "then")?, region(attrs, "else")?);
        if inputs.first() != Some(&Type::scalar(axes::DType::Bool)) {
            return Err(format!("the condition must be bool[], found {:?}", inputs.first()));
        }
        fit("inputs of `then`", &inputs[1..], &input_types(a))?;
        fit("inputs of `else`", &inputs[1..], &input_types(b))?;
        fit("results of `then` and `else`", &output_types(a), &output_types(b))?;
        Ok(output_types(a))
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        let taken = region(attrs, if i[0].ints()[0] != 0 { "then" } else { "else" })?;
        crate::interp::run_region(cx, taken, i[1..].to_vec()).map_err(|e| e.to_string())
    }
    fn cost(attrs: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        regions_cost(attrs, 0.5)
    }
}

/// The body while the condition holds. Forward mode works; reverse mode is refused, since the number of rounds, and
/// with it the memory, is not known.
pub struct While;
impl OpDef for While {
    const NAME: &'static str = "while";
    const ATTRS: &'static [&'static str] = &["cond", "body", "cond_consts", "body_consts"];
    const CLASS: Class = Class::Control;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (c, b) = (region(attrs, "cond")?, region(attrs, "body")?);
        let (nc, nb) = (attrs.int("cond_consts", 0) as usize, attrs.int("body_consts", 0) as usize);
        let least = nc.saturating_add(nb);
        if inputs.len() < least {
            return Err(format!("takes at least {least} operands, got {}", inputs.len()));
        }
        let carry = &inputs[nc + nb..];
        let with = |consts: &[Type]| [consts, carry].concat();
        fit("inputs of the condition", &with(&inputs[..nc]), &input_types(c))?;
        fit("inputs of the body", &with(&inputs[nc..nc + nb]), &input_types(b))?;
        fit("the condition", &[Type::scalar(axes::DType::Bool)], &output_types(c))?;
        fit("the carried values", carry, &output_types(b))?;
        Ok(carry.to_vec())
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        const LIMIT: usize = 100_000_000;
        let (c, b) = (region(attrs, "cond")?, region(attrs, "body")?);
        let (nc, nb) = (attrs.int("cond_consts", 0) as usize, attrs.int("body_consts", 0) as usize);
        let mut carry = i[nc + nb..].to_vec();
        for _ in 0..LIMIT {
            let go =
                crate::interp::run_region(cx, c, [&i[..nc], &carry].concat()).map_err(|e| e.to_string())?;
            if go[0].ints()[0] == 0 {
                return Ok(carry);
            }
            carry = crate::interp::run_region(cx, b, [&i[nc..nc + nb], &carry].concat())
                .map_err(|e| e.to_string())?;
        }
        Err(format!("still running after {LIMIT} rounds"))
    }
    fn cost(attrs: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        regions_cost(attrs, 1.0)
    }
}

/// A graph as a function.
///
/// `remat`: reverse mode keeps its operands only and computes the rest again. The other attributes give the function
/// derivatives of its own, as graphs that take all operands first (the first `captures` of them are what the function
/// uses from outside); `furnace` makes and reads them:
/// * `jvp`: then tangents of the floating operands after the captured ones → tangents of the floating results;
/// * `vjp`: then the results from number `results` on and cotangents of the floating results before → cotangents of the
///   floating operands after the captured ones;
/// * `matvec`, `transpose`: the function solves A x = b for its last operand b; in its place a vector → A times it, and c →
///   the solution of A' y = c;
/// * `residual`: then a value for the result → zero where the value is the result.
pub struct Call;
impl OpDef for Call {
    const NAME: &'static str = "call";
    const ATTRS: &'static [&'static str] =
        &["callee", "name", "remat", "jvp", "vjp", "results", "matvec", "transpose", "residual", "captures"];
    const CLASS: Class = Class::Control;
    fn infer(attrs: &Attrs, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let g = region(attrs, "callee")?;
        fit("the callee's inputs", &input_types(g), inputs)?;
        Ok(output_types(g))
    }
    fn eval<S: Scalar>(
        cx: &EvalCx,
        attrs: &Attrs,
        i: &[Array<S>],
        _: &[Type],
    ) -> Result<Vec<Array<S>>, String> {
        crate::interp::run_region(cx, region(attrs, "callee")?, i.to_vec()).map_err(|e| e.to_string())
    }
    fn cost(attrs: &Attrs, _: &[Type], _: &[Type]) -> Cost {
        attrs.graph("callee").map(|g| crate::interp::cost(g)).unwrap_or_default()
    }
}

impl Cx {
    /// Runs `body(carry, slices) -> (carry, outputs)` once per leading index of `xs`; returns the last carry and the
    /// stacked outputs. Values of enclosing graphs may be used inside.
    #[track_caller]
    pub fn scan(
        &self,
        init: &[&Var],
        xs: &[&Var],
        reverse: bool,
        body: impl FnOnce(&[Var], &[Var]) -> (Vec<Var>, Vec<Var>),
    ) -> (Vec<Var>, Vec<Var>) {
        let length = xs.first().and_then(|x| x.shape().first().cloned()).unwrap_or(Dim::from(0));
        self.scan_n(&length, init, xs, reverse, body)
    }

    /// [`Cx::scan`] with the number of rounds stated, for a scan without sequences.
    #[track_caller]
    pub fn scan_n(
        &self,
        length: &Dim,
        init: &[&Var],
        xs: &[&Var],
        reverse: bool,
        body: impl FnOnce(&[Var], &[Var]) -> (Vec<Var>, Vec<Var>),
    ) -> (Vec<Var>, Vec<Var>) {
        let inner = self.region();
        let carry: Vec<Var> =
            init.iter().enumerate().map(|(i, v)| inner.input(&format!("carry.{i}"), v.ty())).collect();
        let slices: Vec<Var> = xs
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let ty = v.ty();
                let shape = ty.shape.get(1..).unwrap_or(&[]).to_vec();
                inner.input(&format!("x.{i}"), Type { dtype: ty.dtype, shape })
            })
            .collect();
        let (next, ys) = inner.within(|| body(&carry, &slices));
        let n = init.len();
        let outputs: Vec<Var> = next.into_iter().chain(ys).collect();
        let made = inner.finish_region(&outputs).map(|(graph, captured)| {
            let attrs = crate::attrs! { body: Graph(Arc::new(graph)), consts: Int(captured.len() as i64),
            carries: Int(n as i64), length: Dims(vec![length.clone()]), reverse: Bool(reverse) };
            let operands: Vec<&Var> =
                captured.iter().chain(init.iter().copied()).chain(xs.iter().copied()).collect();
            self.push(crate::Op::Scan, attrs, &operands)
        });
        self.split(made, n, outputs.len())
    }

    fn split(&self, made: Result<Vec<Var>, GraphError>, n: usize, total: usize) -> (Vec<Var>, Vec<Var>) {
        let mut all = made.unwrap_or_else(|e| {
            self.fail(e);
            vec![self.poison(); total]
        });
        all.resize(total, self.poison());
        let rest = all.split_off(n);
        (all, rest)
    }

    /// `then()` where `condition` holds, else `otherwise()`: only the chosen one is computed, also what it computes from
    /// values of enclosing graphs alone.
    #[track_caller]
    pub fn cond(
        &self,
        condition: &Var,
        then: impl FnOnce(&Cx) -> Vec<Var>,
        otherwise: impl FnOnce(&Cx) -> Vec<Var>,
    ) -> Vec<Var> {
        let made = self.branch(then).and_then(|a| Ok((a, self.branch(otherwise)?)));
        match made {
            Err(e) => {
                self.fail(e);
                vec![self.poison(); 8]
            }
            Ok(((a, ca), (b, cb))) => {
                // Both regions take all captures, each using its own.
                let a = widen(&a, ca.len(), &cb, false);
                let b = widen(&b, cb.len(), &ca, true);
                let attrs = crate::Attrs::new()
                    .with("then", Attr::Graph(Arc::new(a)))
                    .with("else", Attr::Graph(Arc::new(b)));
                let operands: Vec<&Var> = std::iter::once(condition).chain(&ca).chain(&cb).collect();
                self.push(crate::Op::Cond, attrs, &operands)
            }
        }
    }

    /// Repeats `body` on the carried values while `condition` holds.
    #[track_caller]
    pub fn while_(
        &self,
        init: &[&Var],
        condition: impl FnOnce(&[Var]) -> Var,
        body: impl FnOnce(&[Var]) -> Vec<Var>,
    ) -> Vec<Var> {
        let inputs = |cx: &Cx| -> Vec<Var> {
            init.iter().enumerate().map(|(i, v)| cx.input(&format!("carry.{i}"), v.ty())).collect()
        };
        let (c, b) = (self.region(), self.region());
        let test = c.within(|| condition(&inputs(&c)));
        let next = b.within(|| body(&inputs(&b)));
        let made = c.finish_region(&[test]).and_then(|c| Ok((c, b.finish_region(&next)?)));
        match made {
            Err(e) => {
                self.fail(e);
                vec![self.poison(); init.len()]
            }
            Ok(((c, cc), (b, cb))) => {
                let attrs = crate::attrs! { cond: Graph(Arc::new(c)), body: Graph(Arc::new(b)),
                cond_consts: Int(cc.len() as i64), body_consts: Int(cb.len() as i64) };
                let operands: Vec<&Var> = cc.iter().chain(&cb).chain(init.iter().copied()).collect();
                self.push(crate::Op::While, attrs, &operands)
            }
        }
    }

    /// Applies a graph as a function.
    #[track_caller]
    pub fn call(&self, name: &str, callee: &Arc<Graph>, inputs: &[&Var]) -> Vec<Var> {
        let attrs = crate::attrs! { callee: Graph(callee.clone()), name: Str(name.to_string()) };
        self.push(crate::Op::Call, attrs, inputs)
    }
}

/// Adds unused inputs of the types of `others`, before or after the existing ones.
fn widen(g: &Graph, own: usize, others: &[Var], before: bool) -> Graph {
    let mut g = g.clone();
    let extra: Vec<_> = others
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let node = g.nodes.len() as u32;
            g.nodes.push(crate::ir::Node {
                op: crate::Op::Input,
                attrs: Attrs::new(),
                inputs: vec![],
                types: vec![v.ty()],
                scope: 0,
                place: None,
            });
            crate::ir::Named { name: format!("other.{i}"), value: crate::ir::Value { node, out: 0 } }
        })
        .collect();
    let at = if before { 0 } else { own };
    g.inputs.splice(at..at, extra);
    g
}
