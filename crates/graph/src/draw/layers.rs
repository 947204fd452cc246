//! The layered layout of one frame: which layer, in which order, at which place.
//!
//! Layers by longest path, order within them by barycentres, places by least squares under the order (isotonic
//! regression), where lines that pass a layer keep a lane of their own.

/// Something to place: how far it reaches from its anchor to either side, and its height.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub left: f64,
    pub right: f64,
    pub height: f64,
    pub rank: Rank,
}

/// Where an item may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rank {
    /// In the first layer, before all others.
    Title,
    /// In the first layer.
    Top,
    /// In any layer.
    Free,
    /// In the last layer.
    Bottom,
}

/// A line from one item to another; it leaves and arrives at these distances from the anchors.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    pub leave: f64,
    pub arrive: f64,
}

/// The result: anchors and tops of the items, extent, and per link the lanes it takes.
pub(super) struct Layout {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// Top and bottom of the layer of each item.
    pub band: Vec<(f64, f64)>,
    /// For each link the (x, top, bottom) of the lanes between its ends, from the upper end to the lower.
    pub lanes: Vec<Vec<(f64, f64, f64)>>,
    /// Whether the link runs upwards.
    pub reversed: Vec<bool>,
    pub width: f64,
    pub height: f64,
}

const GAP: f64 = 22.0;
const LANE: f64 = 14.0;
/// Between layers: room for the types of values and for lines to cross over.
const BETWEEN: f64 = 40.0;

pub(super) fn layout(items: &[Item], links: &[Link]) -> Layout {
    let reversed = back_edges(items.len(), links);
    let ends: Vec<(usize, usize)> =
        links.iter().zip(&reversed).map(|(l, r)| if *r { (l.to, l.from) } else { (l.from, l.to) }).collect();
    let mut net = Net::new(items, links, &ends, &reversed);
    net.order();
    net.settle();
    net.finish(items, reversed)
}

/// Links that must be turned round so that none lead in a circle (depth-first search).
fn back_edges(n: usize, links: &[Link]) -> Vec<bool> {
    let mut out = vec![vec![]; n];
    links.iter().enumerate().for_each(|(k, l)| out[l.from].push(k));
    let (mut state, mut back) = (vec![0u8; n], vec![false; links.len()]);
    for root in 0..n {
        let mut stack = vec![(root, 0)];
        if state[root] != 0 {
            continue;
        }
        state[root] = 1;
        while let Some((at, next)) = stack.last_mut() {
            let Some(k) = out[*at].get(*next) else {
                state[*at] = 2;
                stack.pop();
                continue;
            };
            *next += 1;
            let to = links[*k].to;
            match state[to] {
                0 => {
                    state[to] = 1;
                    stack.push((to, 0));
                }
                1 => back[*k] = true,
                _ => {}
            }
        }
    }
    back
}

fn layer_of(items: &[Item], ends: &[(usize, usize)]) -> Vec<usize> {
    let n = items.len();
    let (mut above, mut below) = (vec![vec![]; n], vec![vec![]; n]);
    for (a, b) in ends {
        above[*b].push(*a);
        below[*a].push(*b);
    }
    // Topological order, lowest number first.
    let mut missing: Vec<usize> = above.iter().map(Vec::len).collect();
    let mut ready: std::collections::BTreeSet<usize> = (0..n).filter(|i| missing[*i] == 0).collect();
    let mut sorted = vec![];
    while let Some(i) = ready.pop_first() {
        sorted.push(i);
        for b in &below[i] {
            missing[*b] -= 1;
            if missing[*b] == 0 {
                ready.insert(*b);
            }
        }
    }
    let first = usize::from(items.iter().any(|i| matches!(i.rank, Rank::Top | Rank::Title)));
    let mut layer = vec![0; n];
    for i in &sorted {
        let lowest = above[*i].iter().map(|a| layer[*a] + 1).max().unwrap_or(0);
        layer[*i] = if matches!(items[*i].rank, Rank::Top | Rank::Title) { 0 } else { lowest.max(first) };
    }
    // What has more lines below than above moves down to them.
    for i in sorted.iter().rev().filter(|i| items[**i].rank == Rank::Free) {
        if above[*i].len() < below[*i].len() {
            layer[*i] = below[*i].iter().map(|b| layer[*b] - 1).min().unwrap_or(layer[*i]);
        }
    }
    let inner = (0..n).filter(|i| items[*i].rank != Rank::Bottom).map(|i| layer[i] + 1).max().unwrap_or(0);
    (0..n).filter(|i| items[*i].rank == Rank::Bottom).for_each(|i| layer[i] = inner);
    layer
}

/// Items and lanes in layers.
struct Net {
    layers: Vec<Vec<usize>>,
    left: Vec<f64>,
    right: Vec<f64>,
    x: Vec<f64>,
    /// (other end, attachment here, attachment there, weight) of the lines to the layer above and below.
    above: Vec<Vec<(usize, f64, f64, f64)>>,
    below: Vec<Vec<(usize, f64, f64, f64)>>,
    /// The lanes of each link.
    lanes: Vec<Vec<usize>>,
    title: Vec<bool>,
    gap: Vec<f64>,
}

impl Net {
    fn new(items: &[Item], links: &[Link], ends: &[(usize, usize)], reversed: &[bool]) -> Net {
        let layer = layer_of(items, ends);
        let count = layer.iter().map(|l| l + 1).max().unwrap_or(0);
        let mut net = Net {
            layers: vec![vec![]; count],
            left: items.iter().map(|i| i.left).collect(),
            right: items.iter().map(|i| i.right).collect(),
            x: vec![0.0; items.len()],
            above: vec![vec![]; items.len()],
            below: vec![vec![]; items.len()],
            lanes: vec![vec![]; links.len()],
            title: items.iter().map(|i| i.rank == Rank::Title).collect(),
            gap: vec![GAP; items.len()],
        };
        layer.iter().enumerate().for_each(|(i, l)| net.layers[*l].push(i));
        for (k, (upper, lower)) in ends.iter().enumerate() {
            let (top, bottom) = if reversed[k] {
                (links[k].arrive, links[k].leave)
            } else {
                (links[k].leave, links[k].arrive)
            };
            let (mut at, mut offset) = (*upper, top);
            for l in layer[*upper] + 1..layer[*lower] {
                let lane = net.x.len();
                net.layers[l].push(lane);
                net.left.push(0.0);
                net.right.push(0.0);
                net.gap.push(LANE);
                net.x.push(0.0);
                net.title.push(false);
                net.above.push(vec![]);
                net.below.push(vec![]);
                // Long lines should be straight more than short ones.
                net.join(at, offset, lane, 0.0, if at == *upper { 2.0 } else { 30.0 });
                net.lanes[k].push(lane);
                (at, offset) = (lane, 0.0);
            }
            let weight = if at == *upper { 1.0 } else { 2.0 };
            net.join(at, offset, *lower, bottom, weight);
        }
        net
    }

    fn join(&mut self, a: usize, leave: f64, b: usize, arrive: f64, weight: f64) {
        self.below[a].push((b, leave, arrive, weight));
        self.above[b].push((a, arrive, leave, weight));
    }

    /// Orders the layers by barycentres, from above and from below in turn, and keeps the best.
    fn order(&mut self) {
        const SWEEPS: usize = 16;
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let mut place = self.positions();
            let count = self.layers.len();
            for step in 1..count {
                let l = if down { step } else { count - 1 - step };
                let lines = if down { &self.above } else { &self.below };
                let key = |i: usize| -> f64 {
                    if self.title[i] {
                        return -1.0;
                    }
                    // A small part of the attachment keeps lines to one item in the order of its ports.
                    let sum: f64 = lines[i].iter().map(|(j, _, there, _)| place[*j] + there * 1e-4).sum();
                    if lines[i].is_empty() { place[i] } else { sum / lines[i].len() as f64 }
                };
                let mut row: Vec<(f64, usize)> = self.layers[l].iter().map(|i| (key(*i), *i)).collect();
                row.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.layers[l] = row.into_iter().map(|(_, i)| i).collect();
                self.layers[l].iter().enumerate().for_each(|(k, i)| place[*i] = k as f64);
            }
            if let Some(first) = self.layers.first_mut() {
                let title = &self.title;
                first.sort_by_key(|i| !title[*i]);
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
        if let Some(first) = self.layers.first_mut() {
            let title = &self.title;
            first.sort_by_key(|i| !title[*i]);
        }
    }

    fn positions(&self) -> Vec<f64> {
        let mut place = vec![0.0; self.x.len()];
        for row in &self.layers {
            row.iter().enumerate().for_each(|(k, i)| place[*i] = k as f64);
        }
        place
    }

    /// Number of pairs of lines that cross.
    fn crossings(&self) -> usize {
        let place = self.positions();
        let mut total = 0;
        for row in &self.layers {
            let mut lines: Vec<(f64, f64)> = row
                .iter()
                .flat_map(|i| {
                    self.below[*i]
                        .iter()
                        .map(|(j, here, there, _)| (place[*i] + here * 1e-4, place[*j] + there * 1e-4))
                })
                .collect();
            lines.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            // Inversions, by insertion into a sorted list.
            let mut seen: Vec<f64> = vec![];
            for (_, to) in lines {
                let at = seen.partition_point(|s| *s <= to);
                total += seen.len() - at;
                seen.insert(at, to);
            }
        }
        total
    }

    /// Places along the layers.
    fn settle(&mut self) {
        for l in 0..self.layers.len() {
            let wanted: Vec<(f64, f64)> = self.layers[l].iter().map(|_| (0.0, 1.0)).collect();
            self.fit(l, &wanted);
        }
        const SWEEPS: usize = 32;
        for sweep in 0..SWEEPS {
            let count = self.layers.len();
            for step in 0..count {
                let l = if sweep % 2 == 0 { step } else { count - 1 - step };
                let both = sweep + 12 >= SWEEPS;
                let wanted: Vec<(f64, f64)> = self.layers[l]
                    .iter()
                    .map(|i| {
                        let lines = |on: bool, list: &'_ [(usize, f64, f64, f64)]| -> (f64, f64) {
                            let list = if on { list } else { &[] };
                            list.iter().fold((0.0, 0.0), |(s, w), (j, here, there, k)| {
                                (s + k * (self.x[*j] + there - here), w + k)
                            })
                        };
                        let up = lines(both || sweep % 2 == 0, &self.above[*i]);
                        let down = lines(both || sweep % 2 == 1, &self.below[*i]);
                        match up.1 + down.1 {
                            w if w > 0.0 => ((up.0 + down.0) / w, w),
                            _ => (self.x[*i], 0.01),
                        }
                    })
                    .collect();
                self.fit(l, &wanted);
            }
        }
        self.set_title();
    }

    /// The title begins where the leftmost item does, or further left if it would touch its neighbour.
    fn set_title(&mut self) {
        let Some([title, rest @ ..]) = self.layers.first().map(Vec::as_slice) else { return };
        if !self.title[*title] {
            return;
        }
        let others = (0..self.x.len()).filter(|i| i != title);
        let edge = others.map(|i| self.x[i] - self.left[i]).fold(f64::INFINITY, f64::min);
        let free =
            rest.first().map_or(f64::INFINITY, |n| self.x[*n] - self.left[*n] - LANE - self.right[*title]);
        if edge.is_finite() {
            self.x[*title] = edge.min(free);
        }
    }

    /// The places nearest to the wanted ones (weighted least squares) that keep order and distance.
    fn fit(&mut self, l: usize, wanted: &[(f64, f64)]) {
        let row = &self.layers[l];
        let mut shift = vec![0.0; row.len()];
        for k in 1..row.len() {
            let (a, b) = (row[k - 1], row[k]);
            shift[k] = shift[k - 1] + self.right[a] + self.left[b] + self.gap[a].min(self.gap[b]);
        }
        // Pools of neighbours that touch: (sum of weighted wishes, weight, members).
        let mut pools: Vec<(f64, f64, usize)> = vec![];
        for (k, (x, w)) in wanted.iter().enumerate() {
            pools.push(((x - shift[k]) * w, *w, 1));
            while let [.., a, b] = pools[..] {
                if a.0 / a.1 <= b.0 / b.1 {
                    break;
                }
                pools.truncate(pools.len() - 2);
                pools.push((a.0 + b.0, a.1 + b.1, a.2 + b.2));
            }
        }
        let mut k = 0;
        for (sum, weight, members) in pools {
            for _ in 0..members {
                self.x[row[k]] = sum / weight + shift[k];
                k += 1;
            }
        }
    }

    fn finish(self, items: &[Item], reversed: Vec<bool>) -> Layout {
        let n = items.len();
        let low = |i: &usize| self.x[*i] - self.left[*i];
        let high = |i: &usize| self.x[*i] + self.right[*i];
        let all: Vec<usize> = (0..self.x.len()).collect();
        let from = all.iter().map(low).fold(f64::INFINITY, f64::min).min(1e9);
        let to = all.iter().map(high).fold(f64::NEG_INFINITY, f64::max).max(from);
        let (mut y, mut band, mut lane_band) =
            (vec![0.0; n], vec![(0.0, 0.0); n], vec![(0.0, 0.0); self.x.len()]);
        let mut top = 0.0;
        for (l, row) in self.layers.iter().enumerate() {
            let height = row.iter().filter(|i| **i < n).map(|i| items[*i].height).fold(0.0, f64::max);
            for i in row {
                lane_band[*i] = (top, top + height);
                if *i < n {
                    band[*i] = (top, top + height);
                    y[*i] = top + (height - items[*i].height) / 2.0;
                }
            }
            // Nothing turns much on its way to a port, and ports have no types under them.
            let ports = |l: usize| self.layers[l].iter().all(|i| *i >= n || items[*i].rank != Rank::Free);
            top += height
                + match l + 1 {
                    next if next == self.layers.len() => 0.0,
                    _ if ports(l) => BETWEEN * 0.4,
                    next if ports(next) => BETWEEN * 0.5,
                    _ => BETWEEN,
                };
        }
        let lanes = self
            .lanes
            .iter()
            .map(|list| list.iter().map(|i| (self.x[*i] - from, lane_band[*i].0, lane_band[*i].1)).collect())
            .collect();
        Layout {
            x: self.x[..n].iter().map(|x| x - from).collect(),
            y,
            band,
            lanes,
            reversed,
            width: to - from,
            height: top,
        }
    }
}
