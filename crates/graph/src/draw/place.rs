//! From blocks and frames to coordinates: each frame is laid out by itself, the inner ones first; a value that enters
//! or leaves a frame does so at a port on its upper or lower edge.

use super::layers::{Item, Link, Rank, layout};
use super::sketch::{Block, Child, Kind, Sketch};
use super::{SIZE, SMALL, text_width};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A rectangle.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A line: points joined alternately by verticals and by curves.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub points: Vec<(f64, f64)>,
    /// Whether it ends at a block (and not at the edge of a frame).
    pub arrow: bool,
    /// Whether it had to run upwards.
    pub upwards: bool,
}

/// A type beside a line.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub x: f64,
    pub y: f64,
    pub value: usize,
    /// Whether the text ends at `x` (and does not begin there).
    pub before: bool,
}

/// All coordinates.
pub(super) struct Placed {
    pub blocks: Vec<Rect>,
    pub frames: Vec<Rect>,
    pub lines: Vec<Line>,
    pub labels: Vec<Label>,
    pub width: f64,
    pub height: f64,
}

pub(super) const LINE: f64 = 15.0;
pub(super) const PAD: f64 = 9.0;
/// A block is not made wider than this for the types under it; they are left out instead.
const WIDEST: f64 = 480.0;
/// Inner margin of a frame.
const MARGIN: f64 = 14.0;
/// From parameters to the block that they enter.
pub(super) const ARM: f64 = 16.0;

/// Width and height of a block.
pub(super) fn block_size(s: &Sketch, b: &Block) -> (f64, f64) {
    let small = b.lines.iter().chain(part_params(b)).map(|l| text_width(l, SMALL + 1.0));
    let taps = b.taps.iter().map(|t| text_width(t, SMALL) + 14.0);
    let text = small.chain(taps).fold(text_width(&b.title, SIZE), f64::max);
    let lines = b.lines.len() + part_params(b).len() + b.taps.len();
    let rule = if part_params(b).is_empty() { 0.0 } else { 8.0 };
    let several = if b.leaving.len() > 1 { room(s, b).min(WIDEST) } else { 0.0 };
    ((text + 2.0 * PAD + 4.0).max(several), (lines as f64 + 1.0) * LINE + 2.0 * PAD - 5.0 + rule)
}

/// Width that the types of all values that leave a block take beside each other.
fn room(s: &Sketch, b: &Block) -> f64 {
    b.leaving.iter().map(|v| text_width(&s.labels[*v], SMALL) + 16.0).sum()
}

/// The parameters that are listed inside.
pub(super) fn part_params(b: &Block) -> &[String] {
    if b.kind == Kind::Part { &b.params } else { &[] }
}

/// The parameters that stand beside.
pub(super) fn side_params(b: &Block) -> &[String] {
    if b.kind == Kind::Part { &[] } else { &b.params }
}

/// Width of the column of parameters beside a block.
pub(super) fn side_width(b: &Block) -> f64 {
    side_params(b).iter().map(|p| text_width(p, SMALL) + 14.0).fold(0.0, f64::max)
}

pub(super) const SIDE_LINE: f64 = 19.0;

/// One frame's layout, in its own coordinates.
#[derive(Default)]
struct Local {
    width: f64,
    height: f64,
    blocks: Vec<(usize, Rect)>,
    frames: Vec<(usize, Rect)>,
    lines: Vec<Line>,
    labels: Vec<Label>,
    /// Where values enter and leave.
    enter: BTreeMap<usize, f64>,
    leave: BTreeMap<usize, f64>,
}

pub(super) fn place(s: &Sketch) -> Placed {
    let local = frame(s, 0);
    let mut p = Placed {
        blocks: vec![Rect::default(); s.blocks.len()],
        frames: vec![Rect::default(); s.frames.len()],
        lines: local.lines,
        labels: local.labels,
        width: local.width,
        height: local.height,
    };
    local.blocks.into_iter().for_each(|(b, r)| p.blocks[b] = r);
    local.frames.into_iter().for_each(|(f, r)| p.frames[f] = r);
    p
}

/// The child of `frame` that holds the block, if any does.
fn child_of(s: &Sketch, frame: usize, block: usize) -> Option<Child> {
    let mut at = s.blocks[block].frame;
    if at == frame {
        return Some(Child::Block(block));
    }
    while at != 0 {
        if s.frames[at].parent == frame {
            return Some(Child::Frame(at));
        }
        at = s.frames[at].parent;
    }
    None
}

/// An end of a line in a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Item(usize),
    Enter(usize),
    Leave(usize),
}

fn frame(s: &Sketch, f: usize) -> Local {
    let children = &s.frames[f].children;
    let index: HashMap<Child, usize> = children.iter().enumerate().map(|(i, c)| (*c, i)).collect();
    let inner: Vec<Option<Local>> = children
        .iter()
        .map(|c| match c {
            Child::Frame(g) => Some(frame(s, *g)),
            Child::Block(_) => None,
        })
        .collect();
    // Lines of this level, one for each value and pair of ends.
    let mut wires: BTreeSet<(End, End, usize)> = BTreeSet::new();
    for w in &s.wires {
        let end = |block, port| match child_of(s, f, block) {
            Some(c) => End::Item(index[&c]),
            None => port,
        };
        let (a, b) = (end(w.from, End::Enter(w.value)), end(w.to, End::Leave(w.value)));
        if a != b && (matches!(a, End::Item(_)) || matches!(b, End::Item(_))) {
            wires.insert((a, b, w.value));
        }
    }
    let mut items: Vec<Item> = children.iter().zip(&inner).map(|(c, l)| item(s, *c, l.as_ref())).collect();
    let mut ports: BTreeMap<End, usize> = BTreeMap::new();
    for end in wires.iter().flat_map(|(a, b, _)| [*a, *b]) {
        let rank = match end {
            End::Item(_) => continue,
            End::Enter(_) => Rank::Top,
            End::Leave(_) => Rank::Bottom,
        };
        ports.entry(end).or_insert_with(|| {
            items.push(Item { left: 0.0, right: 0.0, height: 0.0, rank });
            items.len() - 1
        });
    }
    if f != 0 {
        let right = text_width(&s.frames[f].label, SIZE);
        items.push(Item { left: 0.0, right, height: 14.0, rank: Rank::Title });
    }
    let at = |e: End| match e {
        End::Item(i) => i,
        port => ports[&port],
    };
    let wires: Vec<(usize, usize, usize)> = wires.into_iter().map(|(a, b, v)| (at(a), at(b), v)).collect();
    // Where the values of a block leave it: beside each other, each with room for its type.
    let mut leaving: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (i, local) in inner.iter().enumerate() {
        let mut values: Vec<usize> = wires.iter().filter(|w| w.0 == i).map(|w| w.2).collect();
        values.sort_unstable();
        values.dedup();
        match local {
            Some(local) => values.iter().for_each(|v| {
                leaving.insert((i, *v), local.leave[v] - local.width / 2.0);
            }),
            None => {
                let Child::Block(b) = children[i] else { continue };
                let block = &s.blocks[b];
                let total = room(s, block);
                let squeeze = (WIDEST / total).min(1.0);
                let mut x = if values.len() == 1 { 0.0 } else { -total * squeeze / 2.0 + 4.0 };
                for v in &values {
                    leaving.insert((i, *v), x);
                    x += (text_width(&s.labels[*v], SMALL) + 16.0) * squeeze;
                }
                if values.len() == 1 {
                    // Its type may stand on either side.
                    items[i].left = items[i].left.max(x);
                    items[i].right = items[i].right.max(x);
                }
            }
        }
    }
    let mut links: Vec<Link> = wires
        .iter()
        .map(|(a, b, v)| Link {
            from: *a,
            to: *b,
            leave: leaving.get(&(*a, *v)).copied().unwrap_or(0.0),
            arrive: inner.get(*b).and_then(Option::as_ref).map_or(0.0, |l| l.enter[v] - l.width / 2.0),
        })
        .collect();
    let placed = layout(&items, &links);
    // Lines arrive at a block beside each other, in the order of where they come from.
    for (b, child) in children.iter().enumerate().filter(|(b, _)| inner[*b].is_none()) {
        let Child::Block(block) = child else { continue };
        let mut arriving: Vec<usize> = (0..wires.len()).filter(|k| wires[*k].1 == b).collect();
        let origin = |k: &usize| {
            let lanes = &placed.lanes[*k];
            lanes.last().map_or(placed.x[wires[*k].0] + links[*k].leave, |l| l.0)
        };
        arriving.sort_by(|p, q| origin(p).total_cmp(&origin(q)).then(p.cmp(q)));
        let step = ((block_size(s, &s.blocks[*block]).0 - 24.0) / arriving.len().max(1) as f64).min(26.0);
        for (n, k) in arriving.iter().enumerate() {
            links[*k].arrive = (n as f64 - (arriving.len() - 1) as f64 / 2.0) * step;
        }
    }
    let margin = if f == 0 { 24.0 } else { MARGIN };
    // A block is lower than its item when more parameters stand beside it than it has lines.
    let mut inset = vec![0.0; items.len()];
    for (i, c) in children.iter().enumerate() {
        if let Child::Block(b) = c {
            inset[i] = (items[i].height - block_size(s, &s.blocks[*b]).1) / 2.0;
        }
    }
    let mut out = Local {
        width: placed.width + 2.0 * margin,
        height: placed.height + 2.0 * margin,
        ..Local::default()
    };
    for (k, (_, b, v)) in wires.iter().enumerate() {
        let mut line = trace(&placed, &items, &inset, &links[k], k, *v, &out, &ports, margin);
        line.arrow = inner.get(*b).is_some_and(Option::is_none);
        out.lines.push(line);
    }
    // The type of a value stands beside its line, on the side to which the line does not turn.
    for ((a, v), leave) in leaving.iter().filter(|((a, _), _)| inner[*a].is_none()) {
        let crowded = matches!(children[*a], Child::Block(b) if room(s, &s.blocks[b]) > WIDEST);
        if crowded && leaving.range((*a, 0)..(*a + 1, 0)).count() > 1 {
            continue;
        }
        let (x, y) = (placed.x[*a] + leave + margin, placed.y[*a] + items[*a].height - inset[*a] + margin);
        let mine =
            (0..wires.len()).filter(|k| (wires[*k].0, wires[*k].2) == (*a, *v) && !out.lines[*k].upwards);
        let turns: Vec<f64> = mine.map(|k| out.lines[k].points[2].0 - x).collect();
        let alone = leaving.range((*a, 0)..(*a + 1, 0)).count() == 1;
        let before = alone && turns.iter().any(|t| *t > 1.0) && turns.iter().all(|t| *t > -1.0);
        out.labels.push(Label { x, y: y + 12.0, value: *v, before });
    }
    for (end, i) in &ports {
        let x = placed.x[*i] + margin;
        match end {
            End::Enter(v) => out.enter.insert(*v, x),
            End::Leave(v) => out.leave.insert(*v, x),
            End::Item(_) => None,
        };
    }
    out.frames.push((f, Rect { x: 0.0, y: 0.0, width: out.width, height: out.height }));
    for (i, (child, local)) in children.iter().zip(inner).enumerate() {
        let (x, y) = (placed.x[i] + margin, placed.y[i] + margin);
        match (child, local) {
            (Child::Block(b), _) => {
                let (width, height) = block_size(s, &s.blocks[*b]);
                out.blocks.push((*b, Rect { x: x - width / 2.0, y: y + inset[i], width, height }));
            }
            (Child::Frame(_), Some(local)) => out.adopt(local, x, y),
            (Child::Frame(_), None) => {}
        }
    }
    out
}

fn item(s: &Sketch, child: Child, inner: Option<&Local>) -> Item {
    match (child, inner) {
        (Child::Block(b), _) => {
            let block = &s.blocks[b];
            let (width, height) = block_size(s, block);
            let side = side_width(block);
            let beside = if side > 0.0 { side + ARM } else { 0.0 };
            let tall = side_params(block).len() as f64 * SIDE_LINE;
            Item {
                left: width / 2.0 + beside,
                right: width / 2.0,
                height: height.max(tall),
                rank: Rank::Free,
            }
        }
        (Child::Frame(_), Some(l)) => {
            Item { left: l.width / 2.0, right: l.width / 2.0, height: l.height, rank: Rank::Free }
        }
        (Child::Frame(_), None) => Item { left: 0.0, right: 0.0, height: 0.0, rank: Rank::Free },
    }
}

/// The points of a line: down out of its item, along its lanes, down into the other item; at ports on to the edge.
fn trace(
    placed: &super::layers::Layout,
    items: &[Item],
    inset: &[f64],
    link: &Link,
    k: usize,
    value: usize,
    out: &Local,
    ports: &BTreeMap<End, usize>,
    margin: f64,
) -> Line {
    let upwards = placed.reversed[k];
    let (upper, lower, leave, arrive) = match upwards {
        true => (link.to, link.from, link.arrive, link.leave),
        false => (link.from, link.to, link.leave, link.arrive),
    };
    let (x0, x1) = (placed.x[upper] + leave, placed.x[lower] + arrive);
    let is = |i: usize, end: End| ports.get(&end) == Some(&i);
    let start = if is(upper, End::Enter(value)) {
        -margin
    } else {
        placed.y[upper] + items[upper].height - inset[upper]
    };
    let end = if is(lower, End::Leave(value)) { out.height - margin } else { placed.y[lower] + inset[lower] };
    let mut points = vec![(x0, start), (x0, placed.band[upper].1)];
    for (x, top, bottom) in &placed.lanes[k] {
        points.extend([(*x, *top), (*x, *bottom)]);
    }
    points.extend([(x1, placed.band[lower].0), (x1, end)]);
    points.iter_mut().for_each(|p| *p = (p.0 + margin, p.1 + margin));
    if upwards {
        points.reverse();
    }
    Line { points, arrow: false, upwards }
}

impl Local {
    /// Takes over a frame whose anchor (the middle of its upper edge) is at `x`, `y`.
    fn adopt(&mut self, inner: Local, x: f64, y: f64) {
        let (dx, dy) = (x - inner.width / 2.0, y);
        let moved = |r: Rect| Rect { x: r.x + dx, y: r.y + dy, ..r };
        self.blocks.extend(inner.blocks.into_iter().map(|(b, r)| (b, moved(r))));
        self.frames.extend(inner.frames.into_iter().map(|(f, r)| (f, moved(r))));
        self.labels.extend(inner.labels.into_iter().map(|l| Label { x: l.x + dx, y: l.y + dy, ..l }));
        self.lines.extend(inner.lines.into_iter().map(|mut l| {
            l.points.iter_mut().for_each(|p| *p = (p.0 + dx, p.1 + dy));
            l
        }));
    }
}
