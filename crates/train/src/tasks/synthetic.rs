//! Rows that are drawn: copying, recall, parity.

use std::sync::Arc;

use crate::error::Result;
use crate::random::Rng;

use super::{Example, Generator, Side, too_short};

/// Noise, and the marker that asks for what was copied.
const NOISE: u32 = 0;
const MARKER: u32 = 1;

/// `items` tokens scattered over `length` places of noise; then as many markers, at each of which the next of them is asked.
#[derive(Debug)]
pub(super) struct SelectiveCopying {
    length: usize,
    items: usize,
    vocabulary: usize,
}

impl SelectiveCopying {
    pub(super) fn new(length: usize, items: usize, vocabulary: usize) -> Result<Self> {
        if length < items || vocabulary < 4 {
            return Err(too_short(length, items, "`task.items` tokens, and `task.vocabulary` of 4 or more"));
        }
        Ok(Self { length, items, vocabulary })
    }
}

impl Generator for SelectiveCopying {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn draw(&self, _: Side, _: u64, random: &mut Rng) -> Example {
        let mut places: Vec<usize> = (0..self.length).collect();
        random.shuffle(&mut places);
        places.truncate(self.items);
        places.sort_unstable();
        let token = |random: &mut Rng| 2 + random.below(self.vocabulary as u64 - 2) as u32;
        let items: Vec<u32> = (0..self.items).map(|_| token(random)).collect();
        let mut row = Example::default();
        let mut next = places.iter().zip(&items).peekable();
        for place in 0..self.length {
            match next.next_if(|(at, _)| **at == place) {
                Some((_, item)) => row.push(*item),
                None => row.push(NOISE),
            }
        }
        row.push(MARKER);
        items.iter().for_each(|item| row.ask(MARKER, i64::from(*item)));
        row
    }

    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>> {
        Some(Arc::new(Self::new(length, self.items, self.vocabulary).ok()?))
    }

    fn chance(&self) -> f64 {
        1.0 / (self.vocabulary - 2) as f64
    }
}

/// Random tokens, the last of the vocabulary at one place among them and at the end: what followed it is asked for.
#[derive(Debug)]
pub(super) struct Induction {
    length: usize,
    vocabulary: usize,
}

impl Induction {
    pub(super) fn new(length: usize, vocabulary: usize) -> Result<Self> {
        if length < 3 || vocabulary < 3 {
            return Err(too_short(length, 3, "a token, what follows it, and its return"));
        }
        Ok(Self { length, vocabulary })
    }
}

impl Generator for Induction {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn draw(&self, _: Side, _: u64, random: &mut Rng) -> Example {
        let special = self.vocabulary as u32 - 1;
        let mut ids: Vec<u32> = (0..self.length).map(|_| random.below(u64::from(special)) as u32).collect();
        let place = random.below(self.length as u64 - 2) as usize;
        ids[place] = special;
        ids[self.length - 1] = special;
        let answer = ids[place + 1];
        let mut row = Example::default();
        ids.into_iter().for_each(|id| row.push(id));
        row.ask(0, i64::from(answer));
        row
    }

    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>> {
        Some(Arc::new(Self::new(length, self.vocabulary).ok()?))
    }

    fn chance(&self) -> f64 {
        1.0 / (self.vocabulary - 1) as f64
    }
}

/// `pairs` keys with their values; then every key once more somewhere among zeros, each asked for its value.
#[derive(Debug)]
pub(super) struct Recall {
    length: usize,
    pairs: usize,
    vocabulary: usize,
}

impl Recall {
    pub(super) fn new(length: usize, pairs: usize, vocabulary: usize) -> Result<Self> {
        let keys = (vocabulary.max(1) - 1) / 2;
        if length < 4 * pairs || keys < pairs {
            return Err(too_short(
                length,
                4 * pairs,
                "four places for each of `task.items` pairs, whose keys are half of `task.vocabulary`",
            ));
        }
        Ok(Self { length, pairs, vocabulary })
    }
}

impl Generator for Recall {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn draw(&self, _: Side, _: u64, random: &mut Rng) -> Example {
        let keys = (self.vocabulary - 1) / 2;
        let mut order: Vec<u32> = (1..=keys as u32).collect();
        random.shuffle(&mut order);
        let values = self.vocabulary - 1 - keys;
        let pairs: Vec<(u32, u32)> = order[..self.pairs]
            .iter()
            .map(|key| (*key, (1 + keys) as u32 + random.below(values as u64) as u32))
            .collect();
        // A query takes two places, so that its answer is not another one's label.
        let slots = (self.length - 2 * self.pairs) / 2;
        let mut places: Vec<usize> = (0..slots).collect();
        random.shuffle(&mut places);
        let mut queries = vec![None; slots];
        for (pair, place) in pairs.iter().zip(&places) {
            queries[*place] = Some(*pair);
        }
        let mut row = Example::default();
        for (key, value) in &pairs {
            row.push(*key);
            row.push(*value);
        }
        for query in queries {
            match query {
                Some((key, value)) => {
                    row.push(key);
                    row.ask(0, i64::from(value));
                }
                None => {
                    row.push(0);
                    row.push(0);
                }
            }
        }
        row.push(0);
        row
    }

    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>> {
        Some(Arc::new(Self::new(length, self.pairs, self.vocabulary).ok()?))
    }

    fn chance(&self) -> f64 {
        1.0 / (self.vocabulary - 1 - (self.vocabulary - 1) / 2) as f64
    }
}

/// Random bits; every place of a training row is asked for the parity up to it, only the last of a held-out one.
#[derive(Debug)]
pub(super) struct Parity {
    length: usize,
}

impl Parity {
    pub(super) fn new(length: usize) -> Result<Self> {
        if length < 1 { Err(too_short(length, 1, "a bit")) } else { Ok(Self { length }) }
    }
}

impl Generator for Parity {
    fn vocabulary(&self) -> usize {
        2
    }

    fn draw(&self, side: Side, _: u64, random: &mut Rng) -> Example {
        let bits: Vec<u32> = (0..self.length).map(|_| random.below(2) as u32).collect();
        let mut row = Example::default();
        row.push(bits[0]);
        let mut parity = 0;
        for k in 0..self.length {
            parity ^= bits[k];
            let (next, last) = (bits.get(k + 1).copied().unwrap_or(0), k + 1 == self.length);
            match side == Side::Training || last {
                true => row.ask(next, i64::from(parity)),
                false => row.push(next),
            }
        }
        row
    }

    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>> {
        Some(Arc::new(Self::new(length).ok()?))
    }

    fn chance(&self) -> f64 {
        0.5
    }
}
