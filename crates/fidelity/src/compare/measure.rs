//! What a token costs at a position: time, and the bytes that the model carries.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use engine::pool::Pool;
use models::forms::{CacheType, Form, State};
use serde::{Deserialize, Serialize};

use crate::loaded::Loaded;

/// Tokens that are timed at a position; the median counts.
const WINDOW: usize = 32;

/// The cost of a token at one position.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens before it.
    pub position: usize,
    /// Seconds of a streaming step there, in the median.
    pub seconds: f64,
    /// Bytes that are carried from token to token.
    pub state_bytes: usize,
    /// Seconds per token of reading the text up to it as a prompt.
    pub prompt_seconds: f64,
}

/// The cost of a token after texts of these lengths, on one thread.
///
/// # Errors
/// A model without a streaming step.
pub fn costs(model: &mut Loaded, positions: &[usize]) -> Result<Vec<Cost>> {
    let pool = Arc::new(Pool::single());
    let vocabulary = model.config.vocab_size().max(1) as u32;
    let states = model.config.states(CacheType::F32);
    let bytes = |state: &State, places| state.sizes(1, places).iter().product::<usize>() * 4;
    let carried = |places: usize| states.iter().map(|state| bytes(state, places)).sum();
    let mut stream = Stream { inner: model.stream(1, Form::Prepared, &pool)?, vocabulary, random: 1 };
    let mut costs = vec![];
    for &position in positions {
        // Learned positions end somewhere: what lies beyond is left out.
        match cost(&mut stream, position, &carried) {
            Ok(cost) => costs.push(cost),
            Err(_) => break,
        }
    }
    Ok(costs)
}

/// The cost of a token after a text of this length.
fn cost(stream: &mut Stream<'_>, position: usize, carried: &dyn Fn(usize) -> usize) -> Result<Cost> {
    let tokens: Vec<u32> = (0..position).map(|_| stream.token()).collect();
    let mut prompt = 0.0;
    // The first time pays for plans.
    for _ in 0..2 {
        stream.inner.reset();
        let started = Instant::now();
        if !tokens.is_empty() {
            stream.inner.feed(&tokens)?;
        }
        prompt = started.elapsed().as_secs_f64();
    }
    let mut times = vec![];
    for _ in 0..WINDOW {
        let token = [stream.token()];
        let started = Instant::now();
        stream.inner.step(&token)?;
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(Cost {
        position,
        seconds: times[WINDOW / 2],
        state_bytes: carried(position),
        prompt_seconds: prompt / position.max(1) as f64,
    })
}

struct Stream<'a> {
    inner: crate::loaded::Stream<'a>,
    vocabulary: u32,
    random: u32,
}

impl Stream<'_> {
    /// A token of a fixed formula: which it is does not matter for its cost.
    fn token(&mut self) -> u32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 16) % self.vocabulary
    }
}
