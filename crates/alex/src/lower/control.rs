//! Control flow: regions are functions of their own, called with addresses.
//!
//! Behind the plan's arena lie two copies of what a loop carries, one truth value, and then the region's own arena.

use super::step::results;
use super::value::V;
use super::{Arg, Lowering, Scope};
use crate::ir::{Builder, CmpI, FuncOptions, I8, I32, Kind, MemRef, Ptr, Value};
use axes::DType;
use graph::{Attr, Node, Op, Value as Of};
use premap::{Binding, Plan};

/// Values that a loop carries.
fn carried_values(n: &Node) -> &[Of] {
    let int = |key: &str| n.attrs.int(key, 0).max(0) as usize;
    match n.op {
        Op::Scan => &n.inputs[int("consts")..int("consts") + int("carries")],
        Op::While => &n.inputs[int("cond_consts") + int("body_consts")..],
        _ => &[],
    }
}

fn aligned(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(64)
}

/// Bytes behind the arena that a node's loop needs before its regions'.
pub(crate) fn carried(l: &Lowering, plan: &Plan, i: u32) -> usize {
    let n = &plan.graph.nodes[i as usize];
    64 + 2 * carried_values(n).iter().map(|v| aligned(l.bytes(plan, *v))).sum::<usize>()
}

/// A region as a function.
struct Region<'a> {
    name: String,
    plan: &'a Plan,
    bindings: Vec<Binding>,
    runner: Option<Value<Ptr>>,
}

impl Lowering {
    /// The function of a region: `(arena, addresses…) -> status`. Equal regions of different nodes are told apart, since
    /// what is equal in them are their kernels.
    fn region<'a>(&mut self, b: &mut Builder, plan: &'a Plan, runner: Option<Value<Ptr>>) -> Region<'a> {
        self.regions += 1;
        let name = format!("region_{}", self.regions);
        let bindings = plan.bindings();
        let options =
            FuncOptions::new(name.clone()).private().attribute("llvm.linkage = #llvm.linkage<internal>");
        let count = 1 + bindings.len();
        b.module().function(options, vec![Ptr; count + usize::from(runner.is_some())], |b, at| {
            let scope = Scope::new(plan, at[0], &at[1..count], self).dealt_by(at.get(count).copied());
            vec![self.steps(b, &scope, 0..plan.steps.len())]
        });
        Region { name, plan, bindings, runner }
    }

    /// Calls a region on these inputs and outputs; what it gives is not 0 where it refused.
    fn enter(
        &mut self,
        b: &mut Builder,
        r: &Region<'_>,
        arena: Value<Ptr>,
        inputs: &[Value<Ptr>],
        outputs: &[Value<Ptr>],
    ) -> Value<I32> {
        let mut at = vec![arena];
        for binding in &r.bindings {
            at.push(match binding {
                Binding::Input(i) => inputs[*i],
                Binding::Output(o) => outputs[*o],
                Binding::Constant(n) => self.constant(b, r.plan, *n),
            });
        }
        at.extend(r.runner);
        b.call_symbol(&r.name, at, I32)
    }

    /// The address of a region's dense constant, which the module holds.
    fn constant(&mut self, b: &mut Builder, plan: &Plan, i: u32) -> Value<Ptr> {
        let n = &plan.graph.nodes[i as usize];
        let bytes = literal(n, self);
        let name = format!("data_{}", crate::cache::digest(&[&bytes]).get(..16).unwrap_or_default());
        let ty = MemRef::new(I8, [bytes.len() as i64]);
        if !b.module().has(&name) {
            let data: Vec<i8> = bytes.iter().map(|b| *b as i8).collect();
            b.module().global(&name, ty, &data);
        }
        let memory = b.generic("memref.get_global", (), &format!("name = @{name}"), ty);
        b.ptr_of(memory)
    }
}

/// A memref over doubles that the module holds.
pub(crate) fn table(b: &mut Builder, values: &[f64]) -> V {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let name = format!("table_{}", crate::cache::digest(&[&bytes]).get(..16).unwrap_or_default());
    let ty = MemRef::new(crate::ir::F64, [values.len() as i64]);
    if !b.module().has(&name) {
        b.module().global(&name, ty, values);
    }
    b.generic("memref.get_global", (), &format!("name = @{name}"), ty).any()
}

/// The elements of a constant as they lie in memory.
fn literal(n: &Node, l: &Lowering) -> Vec<u8> {
    let Some(Attr::Floats(values)) = n.attrs.get("values") else { return vec![] };
    let count = n.types[0].elements().unwrap_or(0);
    let each = |x: f64| -> Vec<u8> {
        let d = n.types[0].dtype;
        match l.types.storage(d) {
            Kind::F32 => (x as f32).to_le_bytes().to_vec(),
            Kind::F64 => x.to_le_bytes().to_vec(),
            Kind::F80 => wide::f80(x).to_vec(),
            Kind::F128 => wide::f128(x).to_le_bytes().to_vec(),
            Kind::BF16 => half::bf16::from_f64(x).to_le_bytes().to_vec(),
            Kind::F16 => half::f16::from_f64(x).to_le_bytes().to_vec(),
            Kind::I64 => (x as i64).to_le_bytes().to_vec(),
            Kind::I32 => (x as i64 as i32).to_le_bytes().to_vec(),
            _ if d == DType::U8 => vec![x as u8],
            _ => vec![x as i64 as i8 as u8],
        }
    };
    match values.len() {
        1 => each(values[0]).repeat(count),
        _ => values.iter().flat_map(|x| each(*x)).collect(),
    }
}

/// Doubles in wider formats.
pub(crate) mod wide {
    /// Sign, exponent (of the value 1.m · 2^e) and the 52 bits of the fraction; `None` for zeros, infinities and NaN.
    fn parts(x: f64) -> Option<(u64, i64, u64)> {
        if x == 0.0 || !x.is_finite() {
            return None;
        }
        let bits = x.to_bits();
        let (e, m) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
        if e == 0 {
            // Subnormal: the leading one moves to the front.
            let up = m.leading_zeros() as i64 - 11;
            return Some((bits >> 63, -1022 - up, m << up & ((1 << 52) - 1)));
        }
        Some((bits >> 63, e - 1023, m))
    }

    /// The x87 extended number, in 16 bytes.
    pub(crate) fn f80(x: f64) -> [u8; 16] {
        let sign = (x.to_bits() >> 63) << 15;
        let (head, tail) = match parts(x) {
            Some((_, e, m)) => (sign | (e + 16383) as u64, 1 << 63 | m << 11),
            None if x == 0.0 => (sign, 0),
            None if x.is_nan() => (0x7fff, 0xc000_0000_0000_0000),
            None => (sign | 0x7fff, 1 << 63),
        };
        (u128::from(head) << 64 | u128::from(tail)).to_le_bytes()
    }

    /// The bits of the IEEE binary128 number.
    pub(crate) fn f128(x: f64) -> u128 {
        let sign = u128::from(x.to_bits() >> 63) << 127;
        match parts(x) {
            Some((_, e, m)) => sign | ((e + 16383) as u128) << 112 | u128::from(m) << 60,
            None if x == 0.0 => sign,
            None if x.is_nan() => 0x7fff_8000 << 96,
            None => sign | 0x7fff << 112,
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn known_bit_patterns() {
            assert_eq!(super::f128(1.0), 0x3fff << 112);
            assert_eq!(super::f128(-1.5), (0xbfff_8000_u128) << 96);
            assert_eq!(super::f128(f64::from_bits(1)), ((16383 - 1074) as u128) << 112);
            assert_eq!(u128::from_le_bytes(super::f80(1.0)), 0x3fff_8000_0000_0000_0000);
            assert_eq!(u128::from_le_bytes(super::f80(-0.5)), 0xbffe_8000_0000_0000_0000);
        }
    }
}

/// Lowers a node with regions.
pub(crate) fn control(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    i: u32,
    plans: &[Plan],
) -> Option<V> {
    let n = &scope.plan.graph.nodes[i as usize];
    let regions: Vec<Region<'_>> = plans.iter().map(|p| l.region(b, p, scope.runner)).collect();
    let operands: Vec<Value<Ptr>> = n.inputs.iter().map(|v| l.address(b, scope, *v)).collect();
    let out: Vec<Value<Ptr>> = results(scope, i).into_iter().map(|v| l.address(b, scope, v)).collect();
    let inner = scope.extra(b, carried(l, scope.plan, i));
    let status = match n.op {
        Op::Scan => scan(l, b, scope, i, &regions[0], inner, &operands, &out),
        Op::While => while_(l, b, scope, i, &regions, inner, &operands, &out),
        Op::Cond => {
            let taken = b.load_ptr(operands[0], I8);
            let zero = b.int(I8, 0);
            let taken = b.cmpi(CmpI::Ne, taken, zero);
            // Regions come in the order of their names: else, then.
            let state = std::cell::RefCell::new(&mut *l);
            b.if_(
                taken,
                |b| state.borrow_mut().enter(b, &regions[1], inner, &operands[1..], &out),
                |b| state.borrow_mut().enter(b, &regions[0], inner, &operands[1..], &out),
            )
        }
        _ => {
            l.fail(n.op, scope, i, "there is no lowering of this op yet");
            return None;
        }
    };
    Some(status.any())
}

/// Addresses of the two copies of what is carried.
fn copies(l: &Lowering, b: &mut Builder, scope: &Scope<'_>, n: &Node) -> [Vec<Value<Ptr>>; 2] {
    let mut at = 64;
    [(); 2].map(|()| {
        let each = carried_values(n).iter().map(|v| {
            let here = scope.extra(b, at);
            at += aligned(l.bytes(scope.plan, *v));
            here
        });
        each.collect()
    })
}

/// Copies values from address to address.
fn transfer(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    values: &[Of],
    from: &[Value<Ptr>],
    to: &[Value<Ptr>],
) {
    for ((v, from), to) in values.iter().zip(from).zip(to) {
        let arg = |at: Value<Ptr>| Arg {
            at,
            kind: Kind::I8,
            len: l.bytes(scope.plan, *v),
            place: None,
            written: true,
        };
        let (from, to) = (arg(*from), arg(*to));
        l.copy(b, from, to);
    }
}

fn scan(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    i: u32,
    body: &Region<'_>,
    inner: Value<Ptr>,
    operands: &[Value<Ptr>],
    out: &[Value<Ptr>],
) -> Value<I32> {
    let n = &scope.plan.graph.nodes[i as usize];
    let (nc, nk) = (n.attrs.int("consts", 0) as usize, n.attrs.int("carries", 0) as usize);
    let length = n.attrs.dims("length").first().and_then(graph::Dim::fixed).unwrap_or(0);
    let reverse = n.attrs.flag("reverse");
    let carry = carried_values(n).to_vec();
    let [now, next] = copies(l, b, scope, n);
    transfer(l, b, scope, &carry, &operands[nc..nc + nk], &now);
    let slices: Vec<usize> =
        n.inputs[nc + nk..].iter().map(|v| l.bytes(scope.plan, *v) / length.max(1)).collect();
    let stacks: Vec<usize> =
        results(scope, i)[nk..].iter().map(|v| l.bytes(scope.plan, *v) / length.max(1)).collect();
    let zero = b.int(I32, 0);
    let (now, _, status) = b.for_(0, length, 1, (now, next, zero), |b, step, (now, next, status)| {
        let at = match reverse {
            true => {
                let last = b.index(length as i64 - 1);
                b.subi(last, step)
            }
            false => step,
        };
        let part = |b: &mut Builder, base: Value<Ptr>, bytes: usize| {
            let offset = b.scaled(at, bytes);
            b.ptr_offset(base, offset)
        };
        let xs: Vec<Value<Ptr>> =
            operands[nc + nk..].iter().zip(&slices).map(|(p, n)| part(b, *p, *n)).collect();
        let ys: Vec<Value<Ptr>> = out[nk..].iter().zip(&stacks).map(|(p, n)| part(b, *p, *n)).collect();
        let inputs = [&operands[..nc], &now, &xs].concat();
        let outputs = [&next[..], &ys].concat();
        let refused = l.enter(b, body, inner, &inputs, &outputs);
        let status = b.ori(status, refused);
        (next, now, status)
    });
    transfer(l, b, scope, &carry, &now, &out[..nk]);
    status
}

fn while_(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    i: u32,
    regions: &[Region<'_>],
    inner: Value<Ptr>,
    operands: &[Value<Ptr>],
    out: &[Value<Ptr>],
) -> Value<I32> {
    let n = &scope.plan.graph.nodes[i as usize];
    let first = n.attrs.int("cond_consts", 0) as usize;
    let begin = first + n.attrs.int("body_consts", 0) as usize;
    let carry = carried_values(n).to_vec();
    let [now, next] = copies(l, b, scope, n);
    transfer(l, b, scope, &carry, &operands[begin..], &now);
    let (go, zero) = (scope.extra(b, 0), b.int(I32, 0));
    let state = std::cell::RefCell::new(&mut *l);
    // Regions come in the order of their names: body, cond.
    let (now, _, status) = b.while_(
        (now, next, zero),
        |b, (now, next, status)| {
            let inputs = [&operands[..first], &now].concat();
            let refused = state.borrow_mut().enter(b, &regions[1], inner, &inputs, &[go]);
            let status = b.ori(status, refused);
            let (flag, none) = (b.load_ptr(go, I8), b.int(I8, 0));
            let (on, fine) = (b.cmpi(CmpI::Ne, flag, none), b.cmpi(CmpI::Eq, status, zero));
            (b.andi(on, fine), (now, next, status))
        },
        |b, (now, next, status)| {
            let inputs = [&operands[first..begin], &now].concat();
            let refused = state.borrow_mut().enter(b, &regions[0], inner, &inputs, &next);
            let status = b.ori(status, refused);
            (next, now, status)
        },
    );
    transfer(l, b, scope, &carry, &now, out);
    status
}
