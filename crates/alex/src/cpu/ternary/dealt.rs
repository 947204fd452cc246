//! Products cut into tasks: first the activations are arranged, some tokens a task, then each task takes a block of rows and a
//! tile of tokens, as [`premap::cut`] says. Several matrices that meet the same activations share both rounds.
//!
//! Sums of integers have no order and everything else is per output, so the bits are those of the whole product.

use super::panel::Panels;
use super::rows::{Rows, scaled};
use super::{FEW, GROUP, Layout, Place, Shape, one, put};
use crate::cpu::math::Function;
use crate::cpu::{Floats, Isa, strips};
use crate::deal::{self, Round};
use crate::ir::{Builder, CmpI, F32, I1, I8, Index, MemRef, Ptr, Value};
use axes::TritLayout;
use premap::cut;
use std::cell::RefCell;

/// What happens to the sums of a matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behind {
    /// y = Σ / s_x / s_w; addresses: w, s_w, y.
    Scale,
    /// The same plus a term; addresses: w, s_w, y, term.
    Add,
    /// function(of the first matrix) · (of the second); addresses: w, s_w, y, second w, second s_w.
    Gate(Function),
}

impl Behind {
    /// Addresses of a matrix.
    pub(crate) fn addresses(self) -> usize {
        match self {
            Behind::Scale => 3,
            Behind::Add => 4,
            Behind::Gate(_) => 5,
        }
    }
}

/// Products of `tokens` rows of `columns` with one or several matrices, of which each has its rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dealt {
    pub(crate) isa: Isa,
    pub(crate) tokens: usize,
    pub(crate) columns: usize,
    pub(crate) rows: Vec<usize>,
    pub(crate) behind: Behind,
}

/// A tile of tokens in hand.
enum Tile {
    Rows(Rows),
    Panels(Panels),
}

impl Dealt {
    fn wide(&self) -> bool {
        self.isa == Isa::Avx512 && self.tokens > FEW
    }

    /// Rows and tokens of a task.
    fn cut(&self) -> (usize, usize) {
        cut::trits(self.tokens, Layout::new(TritLayout::Compute, 1, self.columns).row_bytes())
    }

    /// Tokens of the tiles: whole ones, and what is left.
    fn tiles(&self) -> (usize, usize, usize) {
        let (_, tokens) = self.cut();
        (self.tokens / tokens, tokens, self.tokens % tokens)
    }

    fn tile_count(&self) -> usize {
        let (whole, _, rest) = self.tiles();
        whole + usize::from(rest > 0)
    }

    /// Tasks of a matrix.
    fn tasks(&self, rows: usize) -> usize {
        rows.div_ceil(self.cut().0) * self.tile_count()
    }

    /// Tasks of the two rounds.
    pub(crate) fn rounds(&self) -> [usize; 2] {
        let arranged = self.tokens.div_ceil(cut::arranged(self.tokens, self.columns));
        [arranged, self.rows.iter().map(|rows| self.tasks(*rows)).sum()]
    }

    /// Bytes that a tile's arranged activations take.
    fn tile_bytes(&self) -> usize {
        let (_, tokens, _) = self.tiles();
        let bytes = match self.wide() {
            true => Panels::shared(self.columns, tokens),
            false => Rows::shared(self.isa, tokens, self.columns),
        };
        bytes.next_multiple_of(64)
    }

    /// Bytes of scratch: the tiles, and the gate's values where they are not taken 32 rows at a time.
    pub(crate) fn scratch(&self) -> usize {
        let most = self.rows.iter().max().copied().unwrap_or(0);
        let gates = matches!(self.behind, Behind::Gate(_)) && !self.wide();
        self.tile_count() * self.tile_bytes() + if gates { 4 * self.tokens * most } else { 0 }
    }

    fn tile(&self, b: &mut Builder, tokens: usize, at: Value<Ptr>) -> Tile {
        match self.wide() {
            true => Tile::Panels(Panels::over(b, self.columns, tokens, at)),
            false => Tile::Rows(Rows::over(b, self.isa, tokens, self.columns, at)),
        }
    }

    /// What tokens of a tile are arranged in.
    fn units(&self, tokens: usize) -> usize {
        if self.wide() { Panels::count(tokens) } else { tokens }
    }

    fn x(&self, b: &mut Builder, x: Value<Ptr>, first: Value<Index>, tokens: usize) -> Value<MemRef<I8, 2>> {
        let offset = b.scaled(first, self.columns);
        let at = b.ptr_offset(x, offset);
        b.memref_from_ptr(at, MemRef::new(I8, [tokens as i64, self.columns as i64]), &[])
    }

    /// The two rounds, on the addresses x, s_x, scratch and then those of each matrix.
    pub(crate) fn emit(&self) -> Vec<Round<'_>> {
        let [arranged, products] = self.rounds();
        vec![
            Round::new(arranged, move |b, at, task| self.arrange(b, at, task, arranged)),
            Round::new(products, |b, at, task| self.products(b, at, task)),
        ]
    }

    /// A share of the tokens, whole units of tiles.
    fn arrange(&self, b: &mut Builder, at: &[Value<Ptr>], task: Value<Index>, tasks: usize) {
        let (whole, full, rest) = self.tiles();
        let (each, left) = (self.units(full), if rest > 0 { self.units(rest) } else { 0 });
        let all = whole * each + left;
        let share = |b: &mut Builder, task: Value<Index>| {
            let (scaled, count) = (b.scaled(task, all), b.index(tasks as i64));
            b.divui(scaled, count)
        };
        let next = b.offset(task, 1);
        let (from, to) = (share(b, task), share(b, next));
        // Room on the stack must not be asked for in a loop, so what arranges a tile is a function of its own.
        let name = self.name("arrange_tile");
        for (tokens, units, last) in [(full, each, false), (rest, left, true)] {
            if units == 0 || (whole == 0 && !last) {
                continue;
            }
            let name = format!("{name}_{tokens}");
            if !b.module().has(&name) {
                let types = (Ptr, Ptr, Index, Index);
                b.module().function(crate::cpu::private(&name), types, |b, (x, memory, from, to)| {
                    let zero = b.index(0);
                    let x = self.x(b, x, zero, tokens);
                    match self.tile(b, tokens, memory) {
                        Tile::Rows(rows) => rows.arrange_some(b, x, from, to),
                        Tile::Panels(panels) => panels.arrange_some(b, x, Some((from, to))),
                    }
                });
            }
            let call = |b: &mut Builder, tile: Value<Index>| {
                let (first, place) = (b.scaled(tile, full * self.columns), b.scaled(tile, self.tile_bytes()));
                let (x, memory) = (b.ptr_offset(at[0], first), b.ptr_offset(at[2], place));
                let before = b.scaled(tile, each);
                let (low, high) = (b.index(0), b.index(units as i64));
                let (from, to) = (b.subi(from, before), b.subi(to, before));
                let (from, to) = (b.maxsi(from, low), b.minsi(to, high));
                b.call_symbol(&name, (x, memory, from, to), ());
            };
            if last {
                let tile = b.index(whole as i64);
                call(b, tile);
            } else {
                b.for_(0, whole, 1, (), |b, tile, ()| call(b, tile));
            }
        }
    }

    fn name(&self, what: &str) -> String {
        format!("ternary_{what}_{}x{}", self.tokens, self.columns)
    }

    /// One block of rows of one matrix by one tile.
    fn products(&self, b: &mut Builder, at: &[Value<Ptr>], task: Value<Index>) {
        let mut before = 0;
        for (k, rows) in self.rows.iter().enumerate() {
            let own = &at[3 + k * self.behind.addresses()..][..self.behind.addresses()];
            if self.rows.len() == 1 {
                self.matrix(b, at, own, *rows, task);
                return;
            }
            let (start, low) = (b.index(before as i64), b.index(0));
            let (task, high) = (b.subi(task, start), b.index(self.tasks(*rows) as i64));
            before += self.tasks(*rows);
            let (after, ahead) = (b.cmpi(CmpI::Sge, task, low), b.cmpi(CmpI::Slt, task, high));
            let here = b.andi(after, ahead);
            // A matrix is a function of its own: what it takes on the stack is given back, and equal ones share it.
            let name = format!("{}_{rows}_{:?}", self.name("rows"), self.behind).replace(['(', ')'], "_");
            if !b.module().has(&name) {
                let types = vec![Ptr; 3 + own.len()];
                let options = crate::cpu::private(&name);
                b.module().function(options, (types, Index), |b, (given, task)| {
                    self.matrix(b, &given[..3], &given[3..], *rows, task);
                });
            }
            let given = [&at[..3], own].concat();
            b.when(here, |b| {
                b.call_symbol(&name, (given, task), ());
            });
        }
    }

    fn matrix(
        &self,
        b: &mut Builder,
        at: &[Value<Ptr>],
        own: &[Value<Ptr>],
        rows: usize,
        task: Value<Index>,
    ) {
        let (height, _) = self.cut();
        let (whole, tokens, rest) = self.tiles();
        let (blocks, tiles) = (rows.div_ceil(height), self.tile_count());
        let count = b.index(tiles as i64);
        let (block, tile) = match tiles {
            1 => (task, b.index(0)),
            _ => (b.divui(task, count), b.remui(task, count)),
        };
        let (from, to) = deal::span(b, block, height, rows);
        let last = deal::is_last(b, block, blocks);
        let work = Work { dealt: self, at, own, rows, tile, from, to, last };
        if rest == 0 || whole == 0 {
            return work.emit(b, if whole == 0 { rest } else { tokens });
        }
        // The stack of both is asked for at the top.
        let (full, short) = (work.tile(b, tokens), work.tile(b, rest));
        let is_short = deal::is_last(b, tile, tiles);
        let gates = work.gates(b, tokens);
        b.if_(is_short, |b| work.run(b, &short, rest, gates), |b| work.run(b, &full, tokens, gates));
    }
}

/// A task's part of a matrix: rows `from` to `to`.
struct Work<'a> {
    dealt: &'a Dealt,
    at: &'a [Value<Ptr>],
    own: &'a [Value<Ptr>],
    rows: usize,
    tile: Value<Index>,
    from: Value<Index>,
    to: Value<Index>,
    last: Value<I1>,
}

impl Work<'_> {
    fn tile(&self, b: &mut Builder, tokens: usize) -> Tile {
        let place = b.scaled(self.tile, self.dealt.tile_bytes());
        let at = b.ptr_offset(self.at[2], place);
        self.dealt.tile(b, tokens, at)
    }

    /// The gate's values: of 32 rows on the stack, or of all in the scratch.
    fn gates(&self, b: &mut Builder, tokens: usize) -> Option<Value<MemRef<F32, 2>>> {
        if !matches!(self.dealt.behind, Behind::Gate(_)) {
            return None;
        }
        if self.dealt.wide() {
            let ty = MemRef::new(F32, [tokens as i64, super::panel::HEIGHT as i64]);
            return Some(b.alloca(ty, &[]));
        }
        let at = b.ptr_offset(self.at[2], self.dealt.tile_count() * self.dealt.tile_bytes());
        Some(self.outputs(b, at, tokens))
    }

    /// Rows of the tile's tokens in an (N, M) matrix.
    fn outputs(&self, b: &mut Builder, at: Value<Ptr>, tokens: usize) -> Value<MemRef<F32, 2>> {
        let (_, full, _) = self.dealt.tiles();
        let offset = b.scaled(self.tile, 4 * full * self.rows);
        let at = b.ptr_offset(at, offset);
        b.memref_from_ptr(at, MemRef::new(F32, [tokens as i64, self.rows as i64]), &[])
    }

    fn emit(&self, b: &mut Builder, tokens: usize) {
        let tile = self.tile(b, tokens);
        let gates = self.gates(b, tokens);
        self.run(b, &tile, tokens, gates);
    }

    fn run(&self, b: &mut Builder, tile: &Tile, tokens: usize, gates: Option<Value<MemRef<F32, 2>>>) {
        let (_, full, _) = self.dealt.tiles();
        let first = b.scaled(self.tile, full);
        let x = self.dealt.x(b, self.at[0], first, tokens);
        let offset = b.scaled(first, 4);
        let scale_x = b.ptr_offset(self.at[1], offset);
        let scale_x = b.memref_from_ptr(scale_x, MemRef::new(F32, [tokens as i64]), &[]);
        let y = self.outputs(b, self.own[2], tokens);
        let w = |b: &mut Builder, k: usize| {
            let bytes = Shape::new(1, self.rows, self.dealt.columns).bytes();
            let (at, scale) = (self.own[k], self.own[k + 1]);
            let scale = b.memref_from_ptr(scale, one(), &[]);
            (b.memref_from_ptr(at, MemRef::new(I8, [bytes as i64]), &[]), b.load(scale, 0))
        };
        let made = |b: &mut Builder, at: Place, sums, scale_w| -> Floats {
            let scale_x = b.load(scale_x, at.token);
            scaled(b, sums, scale_x, scale_w)
        };
        let (matrix, scale_w) = w(b, 0);
        match (self.dealt.behind, gates) {
            (Behind::Gate(function), Some(gates)) => {
                let (up, up_scale) = w(b, 3);
                self.gated(
                    b,
                    tile,
                    tokens,
                    function,
                    gates,
                    (x, scale_x, y),
                    [(matrix, scale_w), (up, up_scale)],
                );
            }
            (Behind::Add, _) => {
                let term = self.outputs(b, self.own[3], tokens);
                self.sums(b, tile, x, matrix, &mut |b, at, sums| {
                    let v = made(b, at, sums, scale_w);
                    let term = crate::cpu::take(b, term, at.count, v.ty().lanes(), (at.token, at.row));
                    let v = b.addf(v, term);
                    put(b, at, v, y);
                });
            }
            _ => self.sums(b, tile, x, matrix, &mut |b, at, sums| {
                let v = made(b, at, sums, scale_w);
                put(b, at, v, y);
            }),
        }
    }

    /// The sums of the task's rows.
    fn sums(
        &self,
        b: &mut Builder,
        tile: &Tile,
        x: Value<MemRef<I8, 2>>,
        w: Value<MemRef<I8, 1>>,
        finish: &mut super::Finish<'_>,
    ) {
        match tile {
            Tile::Rows(form) => {
                let group = b.index(GROUP as i64);
                let (from, to) = (b.divui(self.from, group), b.divui(self.to, group));
                form.products_of(b, (x, w), self.rows, (from, to, self.last), finish);
            }
            Tile::Panels(panels) => {
                panels.matrix_of(b, self.rows, (self.from, self.to, self.last), |b, first, rows| {
                    panels.product(b, w, first, rows, finish);
                });
            }
        }
    }

    fn gated(
        &self,
        b: &mut Builder,
        tile: &Tile,
        tokens: usize,
        function: Function,
        gates: Value<MemRef<F32, 2>>,
        (x, scale_x, y): (Value<MemRef<I8, 2>>, Value<MemRef<F32, 1>>, Value<MemRef<F32, 2>>),
        [gate, up]: [(Value<MemRef<I8, 1>>, Value<F32>); 2],
    ) {
        let made = |b: &mut Builder, at: Place, sums, scale_w| -> Floats {
            let scale_x = b.load(scale_x, at.token);
            scaled(b, sums, scale_x, scale_w)
        };
        if let Tile::Panels(panels) = tile {
            panels.matrix_of(b, self.rows, (self.from, self.to, self.last), |b, first, rows| {
                panels.product(b, gate.0, first, rows, &mut |b, at, sums| {
                    let v = made(b, at, sums, gate.1);
                    let v = function.emit(b, v);
                    let column = b.subi(at.row, first);
                    b.vector_store(v, gates, (at.token, column));
                });
                panels.product(b, up.0, first, rows, &mut |b, at, sums| {
                    let v = made(b, at, sums, up.1);
                    let column = b.subi(at.row, first);
                    let gate: Floats = b.vector_load(gates, (at.token, column), [16]);
                    let v = b.mulf(gate, v);
                    put(b, at, v, y);
                });
            });
            return;
        }
        for (w, scale, to) in [(gate.0, gate.1, gates), (up.0, up.1, y)] {
            self.sums(b, tile, x, w, &mut |b, at, sums| {
                let v = made(b, at, sums, scale);
                put(b, at, v, to);
            });
        }
        let (height, _) = self.dealt.cut();
        let lanes = self.dealt.isa.lanes();
        let together = |b: &mut Builder, rows: usize| {
            b.for_(0, tokens, 1, (), |b, t, ()| {
                strips(b, rows, lanes, |b, at, width| {
                    let at = b.addi(self.from, at);
                    let (gate, up) =
                        (b.vector_load(gates, (t, at), [width]), b.vector_load(y, (t, at), [width]));
                    let gate = function.emit(b, gate);
                    let v = b.mulf(gate, up);
                    b.vector_store(v, y, (t, at));
                });
            });
        };
        match (self.rows / height, self.rows % height) {
            (_, 0) => together(b, height),
            (0, rest) => together(b, rest),
            (_, rest) => {
                let together = RefCell::new(together);
                b.if_(self.last, |b| together.borrow()(b, rest), |b| together.borrow()(b, height));
            }
        }
    }
}
