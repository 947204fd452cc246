//! Nested expressions of digits: `[MAX 4 [MIN 2 3 ] 1 [MED 1 5 8 9 ] ]` is 4.
//!
//! Nangia and Bowman 2018. The operators are MAX, MIN, MED (the median, rounded down) and SM (the sum modulo 10). Rows are
//! filled up with a token of their own before the expression, so that the answer is always asked for at the end.

use std::sync::Arc;

use crate::error::Result;
use crate::random::Rng;

use super::{Example, Generator, Side, too_short};

const FILLER: u32 = 0;
/// Digits are 1 to 10.
const DIGIT: u32 = 1;
/// `[MAX`, `[MIN`, `[MED`, `[SM`.
const OPERATOR: u32 = 11;
const END: u32 = 15;
const VOCABULARY: usize = 16;
/// Most operands, and how deep expressions nest.
const OPERANDS: u64 = 5;
const DEPTH: usize = 6;
/// Share of operands that are expressions, in percent.
const NESTED: u64 = 30;

#[derive(Debug)]
pub(super) struct ListOps {
    length: usize,
}

impl ListOps {
    pub(super) fn new(length: usize) -> Result<Self> {
        if length < 16 { Err(too_short(length, 16, "an expression")) } else { Ok(Self { length }) }
    }
}

/// Writes an expression of at most `room` tokens, at least 4, and gives its value.
fn expression(random: &mut Rng, room: usize, depth: usize, out: &mut Vec<u32>) -> u32 {
    let operator = random.below(4) as u32;
    out.push(OPERATOR + operator);
    let count = 2 + random.below(OPERANDS - 1) as usize;
    let mut room = room - 2;
    let mut values = vec![];
    for k in 0..count {
        // What the operands to come need at least, at most as many as there is room for.
        let rest = count - k - 1;
        if room == 0 {
            break;
        }
        let free = room.saturating_sub(rest);
        if depth < DEPTH && free >= 4 && random.below(100) < NESTED {
            let before = out.len();
            values.push(expression(random, free, depth + 1, out));
            room -= out.len() - before;
        } else {
            let digit = random.below(10) as u32;
            out.push(DIGIT + digit);
            values.push(digit);
            room -= 1;
        }
    }
    out.push(END);
    values.sort_unstable();
    match operator {
        0 => values[values.len() - 1],
        1 => values[0],
        2 if values.len() % 2 == 1 => values[values.len() / 2],
        2 => (values[values.len() / 2 - 1] + values[values.len() / 2]) / 2,
        _ => values.iter().sum::<u32>() % 10,
    }
}

impl Generator for ListOps {
    fn vocabulary(&self) -> usize {
        VOCABULARY
    }

    fn draw(&self, _: Side, _: u64, random: &mut Rng) -> Example {
        // Of several expressions the longest: short ones say little.
        let mut best: (Vec<u32>, u32) = Default::default();
        for _ in 0..4 {
            let mut ids = vec![];
            let value = expression(random, self.length, 0, &mut ids);
            if ids.len() > best.0.len() {
                best = (ids, value);
            }
        }
        let (ids, value) = best;
        let mut row = Example::default();
        (ids.len()..self.length).for_each(|_| row.push(FILLER));
        ids.into_iter().for_each(|id| row.push(id));
        row.ask(FILLER, i64::from(DIGIT + value));
        row
    }

    fn with_length(&self, length: usize) -> Option<Arc<dyn Generator>> {
        Some(Arc::new(Self::new(length).ok()?))
    }

    fn chance(&self) -> f64 {
        0.1
    }
}
