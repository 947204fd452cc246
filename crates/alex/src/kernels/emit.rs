//! Statements: loops, branches, local arrays, writes.
//!
//! A mistake at run time is written into the frame, once, and the code goes on with numbers that do no harm: an element
//! that is not there reads as zero, a loop makes no rounds, a quotient has another divisor. So nothing has to leave a
//! loop early, and no memory is touched that is not the kernel's. What the function gives is its status.

use super::scope::{Scopes, alike};
use super::value::{bytes, read, stored, widened, write, zero};
use super::{Failure, Site};
use crate::error::AlexError;
use crate::ir::{AnyValue, Builder, CmpI, DYN, Func, I1, I32, I64, Index, MemRef, Module, Ptr, Value};
use kernel::program::{Access, ArrayId, Expr, ExprKind, Output, Program, Slot, Stmt, StmtKind, VarId};
use kernel::{BinaryOp, MOST_ELEMENTS, Scalar, Span};
use std::collections::HashMap;

/// The words of the frame: the site's number plus one, and two numbers for its message.
pub(super) const FRAME: usize = 3;

/// An array while code is made.
#[derive(Clone)]
struct Memory {
    /// A memref of one axis.
    data: AnyValue,
    len: Value<Index>,
    dims: Vec<Value<Index>>,
    /// The sizes as the program has them.
    sizes: Vec<Expr>,
}

pub(super) struct Emit<'p> {
    pub(super) program: &'p Program,
    pub(super) sites: Vec<Site>,
    pub(super) fault: Option<AlexError>,
    scopes: Scopes,
    vars: HashMap<VarId, AnyValue>,
    arrays: HashMap<ArrayId, Memory>,
    arena: Value<Ptr>,
    fail: Func<(Ptr, I64, I64, I64), ()>,
    depth: usize,
    /// Where the addresses of results that are arrays go.
    results: HashMap<ArrayId, Vec<Value<Ptr>>>,
}

/// The function that writes a mistake down, if it is the first.
fn failing(m: &mut Module, name: &str) -> Func<(Ptr, I64, I64, I64), ()> {
    let options = crate::ir::FuncOptions::new(format!("{name}_fail"))
        .private()
        .attribute("llvm.linkage = #llvm.linkage<internal>")
        .attribute("no_inline");
    let made = m.function(
        options,
        (("frame", Ptr), ("site", I64), ("first", I64), ("second", I64)),
        |b, (frame, site, first, second)| {
            let before = b.load_ptr(frame, I64);
            let none = b.int(I64, 0);
            let fresh = b.cmpi(CmpI::Eq, before, none);
            b.when(fresh, |b| {
                b.store_ptr(site, frame);
                let at = b.ptr_offset(frame, 8);
                b.store_ptr(first, at);
                let at = b.ptr_offset(frame, 16);
                b.store_ptr(second, at);
            });
        },
    );
    Func { name: made.name, args: (Ptr, I64, I64, I64), results: () }
}

/// Writes the function of a program.
pub(super) fn function(m: &mut Module, program: &Program, name: &str) -> Result<Vec<Site>, AlexError> {
    m.declare("malloc", I64, Ptr);
    m.declare("free", Ptr, ());
    let fail = failing(m, name);
    m.function(format!("{name}_free"), (("memory", Ptr), ("unused", Ptr)), |b, (memory, _)| {
        b.call_symbol("free", memory, ());
        b.int(I32, 0)
    });
    let mut made = (vec![], None);
    let options = crate::ir::FuncOptions::new(name).argument(0, "llvm.noalias");
    m.function(options, (("frame", Ptr), ("bindings", Ptr)), |b, (arena, bindings)| {
        let mut e = Emit {
            program,
            sites: vec![],
            fault: None,
            scopes: Scopes::of(program),
            vars: HashMap::new(),
            arrays: HashMap::new(),
            arena,
            fail,
            depth: 1,
            results: HashMap::new(),
        };
        let outputs = e.parameters(b, bindings);
        e.block(b, &program.body, &mut |e, b| e.finish(b, &outputs));
        made = (std::mem::take(&mut e.sites), e.fault.take());
        let status = b.load_ptr(arena, I64);
        b.trunci(status, I32)
    });
    match made {
        (_, Some(fault)) => Err(fault),
        (sites, None) => Ok(sites),
    }
}

/// The addresses of what is given back.
struct Outputs {
    scalars: Vec<(VarId, Value<Ptr>)>,
    results: Vec<Value<Ptr>>,
}

impl Emit<'_> {
    /// Refuses what has no lowering; the value stands in for it.
    pub(super) fn refuse(&mut self, b: &mut Builder, s: Scalar, span: Span, problem: String) -> AnyValue {
        self.fault.get_or_insert_with(|| AlexError::Lower {
            op: "kernel",
            scope: format!("{}, line {}", self.program.name, span.line),
            problem,
        });
        zero(b, s)
    }

    /// Binds parameters to memory: a scalar has one address, an array that of its elements, a ternary matrix those of its
    /// trits and its scale; then one address of all sizes, then one for each result.
    fn parameters(&mut self, b: &mut Builder, bindings: Value<Ptr>) -> Outputs {
        let program = self.program;
        let mut next = 0;
        let mut take = |b: &mut Builder| {
            let at = b.ptr_offset(bindings, 8 * next);
            next += 1;
            b.load_ptr(at, Ptr)
        };
        let (mut scalars, mut data) = (vec![], vec![]);
        for p in &program.params {
            match p.slot {
                Slot::Scalar(v) | Slot::ScalarMut(v) => {
                    let at = take(b);
                    self.bind(b, v, at);
                    if matches!(p.slot, Slot::ScalarMut(_)) {
                        scalars.push((v, at));
                    }
                }
                Slot::Array(a) => data.push((a, take(b))),
                Slot::Ternary(a, v) => {
                    data.push((a, take(b)));
                    let at = take(b);
                    self.bind(b, v, at);
                }
            }
        }
        let sizes = take(b);
        let results: Vec<Value<Ptr>> = program.results.iter().map(|_| take(b)).collect();
        for (r, at) in program.results.iter().zip(&results) {
            if let Output::Array(a, _) = r {
                self.results.entry(*a).or_default().push(*at);
            }
        }
        let mut at = 0;
        for (id, address) in data {
            let decl = program.array(id);
            let mut dims = vec![];
            for k in 0..decl.rank {
                dims.push(match decl.sizes[k] {
                    Some(n) => b.index(n as i64),
                    None => {
                        let place = b.ptr_offset(sizes, 8 * (at + k));
                        let n = b.load_ptr(place, I64);
                        b.name(&format!("{}_{k}", decl.name)).index_cast(n, Index)
                    }
                });
            }
            at += decl.rank;
            let usize_ =
                |kind| Expr { kind, ty: kernel::program::Ty::Known(Scalar::Usize), span: Span::default() };
            let sizes = (0..decl.rank).map(|k| {
                usize_(match decl.sizes[k] {
                    Some(n) => ExprKind::Int(n as i128),
                    None => ExprKind::Size(id, k),
                })
            });
            let sizes = sizes.collect();
            let len = product(b, &dims);
            let data = self.memref(b, id, address, len);
            self.arrays.insert(id, Memory { data, len, dims, sizes });
        }
        Outputs { scalars, results }
    }

    fn bind(&mut self, b: &mut Builder, v: VarId, at: Value<Ptr>) {
        b.name(&self.program.var(v).name);
        let value = read(b, at, self.program.var_ty(v));
        self.vars.insert(v, value);
    }

    fn memref(&self, b: &mut Builder, id: ArrayId, at: Value<Ptr>, len: Value<Index>) -> AnyValue {
        let s = self.program.element(id);
        let name = &self.program.array(id).name;
        b.name(if name.is_empty() { "local" } else { name });
        stored!(s, |ty| b.memref_from_ptr(at, MemRef::new(ty, [DYN]), &[len]).any())
    }

    /// What is given back besides the arrays of the caller.
    fn finish(&mut self, b: &mut Builder, outputs: &Outputs) {
        for (v, at) in &outputs.scalars {
            let (value, ty) = (self.var(b, *v), self.program.var_ty(*v));
            write(b, value, *at, ty);
        }
        for (r, at) in self.program.results.iter().zip(&outputs.results) {
            match r {
                Output::Scalar(v) => {
                    let (value, ty) = (self.var(b, *v), self.program.var_ty(*v));
                    write(b, value, *at, ty);
                }
                Output::Array(id, dims) => {
                    let dims: Vec<Value<Index>> = dims.iter().map(|d| self.index(b, d)).collect();
                    let n = product(b, &dims);
                    let len = match self.arrays.get(id) {
                        Some(m) => m.len,
                        None => b.index(0),
                    };
                    let same = b.cmpi(CmpI::Eq, n, len);
                    self.check(b, same, Failure::Sizes, Span::default(), [Some(n), Some(len)]);
                    for (k, d) in dims.iter().enumerate() {
                        let place = b.ptr_offset(*at, 8 * (1 + k));
                        let d = b.index_cast(*d, I64);
                        b.store_ptr(d, place);
                    }
                }
            }
        }
    }

    pub(super) fn var(&mut self, b: &mut Builder, v: VarId) -> AnyValue {
        match self.vars.get(&v) {
            Some(value) => *value,
            None => zero(b, self.program.var_ty(v)),
        }
    }

    fn now(&mut self, b: &mut Builder, list: &[VarId]) -> Vec<AnyValue> {
        list.iter().map(|v| self.var(b, *v)).collect()
    }

    fn put(&mut self, list: &[VarId], values: Vec<AnyValue>) {
        list.iter().zip(values).for_each(|(v, value)| {
            self.vars.insert(*v, value);
        });
    }

    /// Names the results of an op that carries one variable after it.
    fn title(&self, b: &mut Builder, list: &[VarId]) {
        if let [one] = list {
            b.name(&self.program.var(*one).name);
        }
    }

    /// A list of statements, and what comes at its end.
    pub(super) fn block(
        &mut self,
        b: &mut Builder,
        stmts: &[Stmt],
        end: &mut dyn FnMut(&mut Self, &mut Builder),
    ) {
        for (k, s) in stmts.iter().enumerate() {
            match &s.kind {
                StmtKind::Assign(v, e) => {
                    let value = self.named(b, e, Some(&self.program.var(*v).name));
                    self.vars.insert(*v, value);
                }
                StmtKind::Store(a, e) => {
                    let value = self.expr(b, e);
                    let s = self.program.element(a.array);
                    self.access(b, a, |b, data, at| {
                        stored!(s, |ty| {
                            let data = b.expect(data, MemRef::new(ty, [DYN]));
                            let value = in_memory(b, value, s);
                            let value = b.expect(value, ty);
                            b.store(value, data, at);
                        });
                        None
                    });
                }
                StmtKind::Alloc(id, dims, fill) => {
                    // The rest of the block is code for where there is the memory.
                    return self.allocate(b, (*id, dims, fill, s.span), &stmts[k + 1..], end);
                }
                StmtKind::For(v, n, body) => self.repeat(b, *v, n, body),
                StmtKind::If(c, x, y) => {
                    let c = self.truth(b, c);
                    let carried = self.carried(&[x, y]);
                    let before = self.now(b, &carried);
                    self.depth += 1;
                    self.title(b, &carried);
                    let made = {
                        let this = std::cell::RefCell::new(&mut *self);
                        let branch = |b: &mut Builder, list: &[Stmt]| {
                            let mut this = this.borrow_mut();
                            this.put(&carried, before.clone());
                            this.block(b, list, &mut |_, _| {});
                            this.now(b, &carried)
                        };
                        b.if_(c, |b| branch(b, x), |b| branch(b, y))
                    };
                    self.depth -= 1;
                    self.put(&carried, made);
                }
                StmtKind::Require(c, problem) => {
                    let ok = self.truth(b, c);
                    self.check(b, ok, Failure::Text(problem.clone()), s.span, [None; 2]);
                }
            }
        }
        end(self, b);
    }

    fn carried(&self, lists: &[&Vec<Stmt>]) -> Vec<VarId> {
        let mut all: Vec<VarId> = lists.iter().flat_map(|l| self.scopes.carried(l, self.depth)).collect();
        all.sort();
        all.dedup();
        all
    }

    fn repeat(&mut self, b: &mut Builder, v: VarId, n: &Expr, body: &[Stmt]) {
        let n = self.index(b, n);
        // After a mistake there is nothing more to do.
        let status = b.load_ptr(self.arena, I64);
        let none = b.int(I64, 0);
        let going = b.cmpi(CmpI::Eq, status, none);
        let nothing = b.index(0);
        let rounds = b.name("rounds").select(going, n, nothing);
        let carried = self.scopes.carried(body, self.depth);
        let start = self.now(b, &carried);
        self.depth += 1;
        self.title(b, &carried);
        let after = b.for_(0, rounds, 1, start, |b, i, values| {
            self.put(&carried, values);
            self.vars.insert(v, i.any());
            self.block(b, body, &mut |_, _| {});
            self.now(b, &carried)
        });
        self.depth -= 1;
        self.put(&carried, after);
    }

    /// A local array, and the statements after it, which are run where there is memory for it.
    fn allocate(
        &mut self,
        b: &mut Builder,
        (id, dims, fill, span): (ArrayId, &[Expr], &Expr, Span),
        rest: &[Stmt],
        end: &mut dyn FnMut(&mut Self, &mut Builder),
    ) {
        let s = self.program.element(id);
        let sizes = dims.to_vec();
        let most = b.index(MOST_ELEMENTS as i64);
        let one = b.index(1);
        let (mut len, mut fits) = (one, b.constant(I1, true));
        let mut known = vec![];
        for d in dims {
            let n = self.index(b, d);
            known.push(n);
            // Both factors are at most 2^28, so their product has no overflow; a size of 0 makes an array without elements.
            let small = b.cmpi(CmpI::Ule, n, most);
            let product = b.muli(len, n);
            let under = b.cmpi(CmpI::Ule, product, most);
            fits = b.andi(fits, small);
            fits = b.andi(fits, under);
            len = product;
        }
        self.check(b, fits, Failure::TooMany, span, [None; 2]);
        let fill = self.expr(b, fill);
        let nothing = b.index(0);
        let asked = b.select(fits, len, nothing);
        let size = b.scaled(asked, bytes(s));
        // Not nothing: an address of no bytes may be null.
        let size = b.offset(size, 8);
        let size = b.index_cast(size, I64);
        let at: Value<Ptr> = b.call_symbol("malloc", size, Ptr);
        let address: Value<I64> = b.generic("llvm.ptrtoint", at, "", I64);
        let null = b.int(I64, 0);
        let there = b.cmpi(CmpI::Ne, address, null);
        let ok = b.andi(fits, there);
        let site = self.site(Failure::Memory, span);
        let carried = self.scopes.carried(rest, self.depth.saturating_sub(1));
        let before = self.now(b, &carried);
        let kept = self.results.get(&id).cloned().unwrap_or_default();
        self.title(b, &carried);
        let made = {
            let (arena, fail) = (self.arena, self.fail.clone());
            let this = std::cell::RefCell::new(&mut *self);
            b.if_(
                ok,
                |b| {
                    let mut this = this.borrow_mut();
                    let data = this.memref(b, id, at, asked);
                    for place in &kept {
                        b.store_ptr(at, *place);
                    }
                    stored!(s, |ty| {
                        let data = b.expect(data, MemRef::new(ty, [DYN]));
                        let fill = in_memory(b, fill, s);
                        let fill = b.expect(fill, ty);
                        b.for_(0, asked, 1, (), |b, i, ()| b.store(fill, data, i));
                    });
                    this.arrays.insert(id, Memory { data, len: asked, dims: known, sizes });
                    this.block(b, rest, end);
                    let values = this.now(b, &carried);
                    if kept.is_empty() {
                        b.call_symbol("free", at, ());
                    }
                    values
                },
                |b| {
                    let (none, site) = (b.int(I64, 0), b.int(I64, site));
                    b.call(&fail, (arena, site, none, none));
                    b.call_symbol("free", at, ());
                    before.clone()
                },
            )
        };
        self.put(&carried, made);
    }

    /// The number of a site, plus one.
    pub(super) fn site(&mut self, failure: Failure, span: Span) -> i64 {
        self.sites.push(Site { line: span.line, failure });
        self.sites.len() as i64
    }

    fn told(&mut self, b: &mut Builder, site: i64, numbers: [Option<Value<Index>>; 2]) {
        let site = b.int(I64, site);
        let [first, second] = numbers.map(|n| match n {
            Some(n) => b.index_cast(n, I64),
            None => b.int(I64, 0),
        });
        let fail = self.fail.clone();
        b.call(&fail, (self.arena, site, first, second));
    }

    /// Writes down a mistake where the condition does not hold.
    pub(super) fn check(
        &mut self,
        b: &mut Builder,
        ok: Value<I1>,
        failure: Failure,
        span: Span,
        numbers: [Option<Value<Index>>; 2],
    ) {
        let site = self.site(failure, span);
        let wrong = b.not(ok);
        b.when(wrong, |b| self.told(b, site, numbers));
    }

    /// What an array has along an axis.
    pub(super) fn size(&mut self, b: &mut Builder, id: ArrayId, axis: usize) -> Value<Index> {
        let known = self.arrays.get(&id).and_then(|m| m.dims.get(axis)).copied();
        known.unwrap_or_else(|| b.index(0))
    }

    /// Does something with an element, where it is there: its value, if it gives one.
    pub(super) fn access(
        &mut self,
        b: &mut Builder,
        a: &Access,
        with: impl FnOnce(&mut Builder, AnyValue, Value<Index>) -> Option<AnyValue>,
    ) -> Option<AnyValue> {
        let Some(memory) = self.arrays.get(&a.array).cloned() else {
            let s = self.program.element(a.array);
            self.refuse(b, s, a.span, "an array is used before it is made".into());
            return None;
        };
        let name = self.program.array(a.array).name.clone();
        let (mut all, mut checks) = (None, vec![]);
        for (i, n) in &a.checks {
            let (i, n) = (self.index(b, i), self.index(b, n));
            let ok = b.cmpi(CmpI::Ult, i, n);
            let site = self.site(Failure::Index(name.clone()), a.span);
            checks.push((i, n, ok, site));
            all = Some(match all {
                None => ok,
                Some(before) => b.andi(before, ok),
            });
        }
        let s = self.program.element(a.array);
        let wanted = std::cell::Cell::new(false);
        let direct = row_major(a, &memory.sizes);
        let this = std::cell::RefCell::new(self);
        let zero = |b: &mut Builder| if wanted.get() { vec![zero(b, s)] } else { vec![] };
        let inner = |b: &mut Builder| -> Vec<AnyValue> {
            if direct {
                // As the checks have seen it, without another look.
                let mut at = None;
                for (k, (i, n, ..)) in checks.iter().enumerate() {
                    at = Some(match at {
                        None => *i,
                        Some(before) if k > 0 => {
                            let row = b.muli(before, *n);
                            b.addi(row, *i)
                        }
                        Some(before) => before,
                    });
                }
                let at = at.unwrap_or_else(|| b.index(0));
                let made = with(b, memory.data, at);
                wanted.set(made.is_some());
                return made.into_iter().collect();
            }
            let at = this.borrow_mut().index(b, &a.index);
            let inside = b.cmpi(CmpI::Ult, at, memory.len);
            let site = this.borrow_mut().site(Failure::Place(name.clone()), a.span);
            b.if_(
                inside,
                |b| {
                    let made = with(b, memory.data, at);
                    wanted.set(made.is_some());
                    made.into_iter().collect::<Vec<_>>()
                },
                |b| {
                    this.borrow_mut().told(b, site, [Some(at), Some(memory.len)]);
                    zero(b)
                },
            )
        };
        let made = match all {
            None => inner(b),
            Some(ok) => b.if_(ok, inner, |b| {
                if let [(i, n, _, site)] = checks[..] {
                    this.borrow_mut().told(b, site, [Some(i), Some(n)]);
                } else {
                    for (i, n, ok, site) in &checks {
                        let wrong = b.not(*ok);
                        b.when(wrong, |b| this.borrow_mut().told(b, *site, [Some(*i), Some(*n)]));
                    }
                }
                zero(b)
            }),
        };
        made.first().copied()
    }
}

/// A value as it is stored.
fn in_memory(b: &mut Builder, value: AnyValue, s: Scalar) -> AnyValue {
    if s != Scalar::Bool {
        return value;
    }
    let value = b.expect(value, I1);
    b.extui(value, crate::ir::I8).any()
}

fn product(b: &mut Builder, dims: &[Value<Index>]) -> Value<Index> {
    match dims {
        [] => b.index(1),
        [first, rest @ ..] => rest.iter().fold(*first, |n, d| b.muli(n, *d)),
    }
}

/// Whether an access is to a whole array, with a check for each axis: then what the checks allow is in the array.
fn row_major(a: &Access, sizes: &[Expr]) -> bool {
    if a.checks.len() != sizes.len() || a.checks.is_empty() {
        return false;
    }
    let whole = a.checks.iter().zip(sizes).all(|((_, n), size)| alike(n, size));
    whole && places(&a.index, &a.checks)
}

/// Whether an index is the checked ones in row-major order, as the typed form writes it: additions of 0 and products with 1
/// are left out.
fn places(index: &Expr, checks: &[(Expr, Expr)]) -> bool {
    let int = |e: &Expr| if let ExprKind::Int(i) = e.kind { Some(i) } else { None };
    let Some(((i, n), outer)) = checks.split_last() else { return int(index) == Some(0) };
    if outer.is_empty() {
        return alike(index, i);
    }
    // What lies outside, times the size, plus the innermost.
    let scaled = |e: &Expr| match &e.kind {
        ExprKind::Binary(BinaryOp::Mul, x, m) => alike(m, n) && places(x, outer),
        _ => (int(n) == Some(1) && places(e, outer)) || (int(e) == Some(0) && zeros(outer)),
    };
    match &index.kind {
        _ if int(i) == Some(0) && scaled(index) => true,
        _ if zeros(outer) && alike(index, i) => true,
        ExprKind::Binary(BinaryOp::Add, x, y) => alike(y, i) && scaled(x),
        _ => false,
    }
}

fn zeros(checks: &[(Expr, Expr)]) -> bool {
    checks.iter().all(|(i, _)| matches!(i.kind, ExprKind::Int(0)))
}

/// A small number of an integer type as an index, for a message.
pub(super) fn shown(b: &mut Builder, x: AnyValue, s: Scalar) -> Value<Index> {
    let wide = widened(b, x, s);
    b.index_cast(wide, Index)
}
