//! Gated linear units, a tile of tokens a task: a tile goes through the whole block, in a place of its own.

use super::{moved, piece};
use crate::cpu::block::{Fusion, GluBlock};
use crate::cpu::ternary;
use crate::deal::{self, Round, SLOTS};
use crate::ir::{Builder, F32, I8, MemRef, Ptr, Value};
use crate::lower::{Arg, Lowering, Scope, Space};
use graph::Value as Node;
use premap::cut;

/// Bytes of a tile's place.
fn place(l: &Lowering, block: &GluBlock) -> usize {
    let tile = cut::tile_tokens(block.tokens);
    tiled(block, tile).scratch(l.isa).next_multiple_of(64)
}

/// The block over so many tokens.
fn tiled(block: &GluBlock, tokens: usize) -> GluBlock {
    GluBlock { tokens, fusion: Fusion { tile: tokens, ..block.fusion }, ..*block }
}

/// Bytes behind the arena: a word for the places, and the places.
pub(crate) fn scratch(l: &Lowering, block: &GluBlock) -> usize {
    let tiles = block.tokens.div_ceil(cut::tile_tokens(block.tokens));
    64 + tiles.min(SLOTS) * place(l, block)
}

/// The block's call; the operands are in the order of its kernel's arguments.
pub(crate) fn glu(
    l: &mut Lowering,
    b: &mut Builder,
    scope: &Scope<'_>,
    block: &GluBlock,
    operands: &[Node],
    y: Node,
) {
    let tile = cut::tile_tokens(block.tokens);
    let (isa, each, block) = (l.isa, place(l, block), *block);
    let bytes = scratch(l, &block);
    let mut args: Vec<Arg> = operands.iter().map(|v| l.read(b, scope, *v)).collect();
    args.push(l.write(b, scope, y));
    let place = Some((Space::Extra, 0, bytes));
    let extra = Arg { at: scope.extra(b, 0), kind: crate::ir::Kind::I8, len: bytes, place, written: true };
    // All places are free before the round.
    deal::free_places(b, extra.at, block.tokens.div_ceil(tile));
    args.push(extra);
    l.dealt(b, scope, "glu", &format!("{block:?}"), &args, || {
        vec![Round::new(block.tokens.div_ceil(tile), move |b, at, task| {
            let (word, rooms) = (at[9], b.ptr_offset(at[9], 64));
            deal::in_place(b, word, each, |b, offset| {
                let room = b.ptr_offset(rooms, offset);
                piece(b, task, block.tokens, tile, |b, first, count| {
                    let own = tiled(&block, count);
                    let f = own.emit(b.module(), isa);
                    let stream = MemRef::new(F32, [count as i64, block.hidden as i64]);
                    let x = moved(b, at[0], first, 4 * block.hidden, stream);
                    let y = moved(b, at[8], first, 4 * block.hidden, stream);
                    let norm = b.memref_from_ptr(at[1], MemRef::new(F32, [block.hidden as i64]), &[]);
                    let both = projection(b, &at[2..5], 2 * block.intermediate, block.hidden);
                    let down = projection(b, &at[5..8], block.hidden, block.intermediate);
                    let scratch = MemRef::new(I8, [own.scratch(isa) as i64]);
                    let scratch = b.memref_from_ptr(room, scratch, &[]);
                    b.call(&f, (x, norm, both, down, y, scratch));
                });
            });
        })]
    });
}

type Projection = (Value<MemRef<F32, 1>>, Value<MemRef<I8, 1>>, Value<MemRef<F32, 1>>);

fn projection(b: &mut Builder, at: &[Value<Ptr>], rows: usize, columns: usize) -> Projection {
    let bytes = ternary::Shape::new(1, rows, columns).bytes();
    (
        b.memref_from_ptr(at[0], MemRef::new(F32, [columns as i64]), &[]),
        b.memref_from_ptr(at[1], MemRef::new(I8, [bytes as i64]), &[]),
        b.memref_from_ptr(at[2], MemRef::new(F32, [1]), &[]),
    )
}
