//! f32 activations times packed trits: y = (Σ x t) / s_w.
//!
//! A vector of bytes is widened once; a plane is shifted down and looked up in a table of −1, 0 and 1 by its two low bits, where
//! the machine has an instruction that looks at no others, and else masked, lowered by one and converted. Four rows share
//! the activations, each with two sums. The order of the sums is this kernel's own: results differ from a plain loop's by
//! rounding.

use super::layout::{BLOCK, GROUP, PLANES, pieces};
use super::{Shape, one};
use crate::cpu::norm::tree;
use crate::cpu::{Floats, Ints, Isa, once, private};
use crate::ir::{Builder, F32, Func, I8, I32, Index, MemRef, Module, Value, Vector};

/// The arguments of [`linear_float`].
pub type LinearFloat = (MemRef<F32, 2>, MemRef<I8, 1>, MemRef<F32, 1>, MemRef<F32, 2>);

/// A private function `(x, w, scale_w, y)`: y = (Σ x t) / s_w for f32 activations x, which are (N, K), and the compute layout.
pub fn linear_float(m: &mut Module, isa: Isa, shape: Shape) -> Func<LinearFloat, ()> {
    let name = shape.name("linear_float");
    let x = MemRef::new(F32, [shape.tokens as i64, shape.columns as i64]);
    let args = (x, shape.w(), one(), shape.y(F32));
    once(m, &name, args, |m| {
        m.function(private(&name), args, |b, (x, w, scale_w, y)| {
            let scale = b.load(scale_w, 0);
            let rows = Rows { isa, shape, x, w };
            b.for_(0, shape.rows / GROUP, 1, (), |b, group, ()| {
                let row = b.scaled(group, GROUP);
                rows.group(b, row, GROUP, scale, y);
            });
            let left = shape.rows % GROUP;
            if left > 0 {
                let row = b.index((shape.rows - left) as i64);
                rows.group(b, row, left, scale, y);
            }
        })
    })
}

struct Rows {
    isa: Isa,
    shape: Shape,
    x: Value<MemRef<F32, 2>>,
    w: Value<MemRef<I8, 1>>,
}

impl Rows {
    fn group(
        &self,
        b: &mut Builder,
        row: Value<Index>,
        count: usize,
        scale: Value<F32>,
        y: Value<MemRef<F32, 2>>,
    ) {
        let (l, lanes) = (self.shape.layout(), self.isa.lanes());
        let base = b.scaled(row, l.row_bytes());
        b.for_(0, self.shape.tokens, 1, (), |b, token, ()| {
            let zero = b.float(Vector::new(F32, [lanes]), 0.0);
            let sums = b.for_(0, l.whole, 1, vec![zero; 2 * count], |b, block, sums| {
                let (from, column) = (b.scaled(block, 64 * count), b.scaled(block, BLOCK));
                let from = b.addi(base, from);
                b.for_(0, 64, lanes, sums, |b, sub, mut sums| {
                    let wide: Vec<Ints> = (0..count)
                        .map(|r| {
                            let at = b.offset(from, 64 * r);
                            let at = b.addi(at, sub);
                            let bytes = b.vector_load(self.w, at, [lanes]);
                            b.extui(bytes, I32)
                        })
                        .collect();
                    let column = b.addi(column, sub);
                    for plane in 0..PLANES {
                        let at = b.offset(column, 64 * plane);
                        let x = b.vector_load(self.x, (token, at), [lanes]);
                        for (r, wide) in wide.iter().enumerate() {
                            let trit = self.trits(b, *wide, plane);
                            let sum = &mut sums[2 * r + plane % 2];
                            *sum = b.fma(x, trit, *sum);
                        }
                    }
                    sums
                })
            });
            for r in 0..count {
                let both = b.addf(sums[2 * r], sums[2 * r + 1]);
                let mut sum = tree(b, both);
                for plane in 0..PLANES {
                    let (column, columns, _) = l.plane(plane);
                    for (part, len) in pieces(columns, lanes) {
                        let at = b.offset(base, l.place(count, r, l.whole) + part);
                        let bytes = b.vector_load(self.w, at, [len]);
                        let wide = b.extui(bytes, I32);
                        let trit = plain(b, wide, plane);
                        let x = b.vector_load(self.x, (token, column + part), [len]);
                        let product = b.mulf(x, trit);
                        let part = tree(b, product);
                        sum = b.addf(sum, part);
                    }
                }
                let made = b.divf(sum, scale);
                let at = b.offset(row, r);
                b.store(made, y, (token, at));
            }
        });
    }

    /// Plane `plane` of widened bytes as −1, 0, 1.
    fn trits(&self, b: &mut Builder, wide: Ints, plane: usize) -> Floats {
        let name = match self.isa {
            Isa::Avx512 => "llvm.x86.avx512.vpermilvar.ps.512",
            Isa::AvxVnni | Isa::Avx2 => "llvm.x86.avx.vpermilvar.ps.256",
            Isa::NeonDot | Isa::Portable => return plain(b, wide, plane),
        };
        // Every quarter of the vector has its own copy; code 3 is illegal.
        let values: Vec<f32> = [-1.0, 0.0, 1.0, 0.0].into_iter().cycle().take(wide.ty().lanes()).collect();
        let table = b.dense(Vector::new(F32, [wide.ty().lanes()]), &values);
        let places = b.int(wide.ty(), 2 * plane as i64);
        let down = if plane == 0 { wide } else { b.shrui(wide, places) };
        b.intrinsic(name, (table, down), table.ty())
    }
}

/// The same in ops that every machine has.
fn plain(b: &mut Builder, wide: Ints, plane: usize) -> Floats {
    let (places, mask, one) = (b.int(wide.ty(), 2 * plane as i64), b.int(wide.ty(), 3), b.int(wide.ty(), 1));
    let down = if plane == 0 { wide } else { b.shrui(wide, places) };
    let code = b.andi(down, mask);
    let trit = b.subi(code, one);
    b.sitofp(trit, F32)
}
