//! What the model wrote at its evaluations.
//!
//! The text of a young model is any bytes at all: it is escaped, and characters that would turn the direction of
//! writing are replaced, so that it can neither break the page nor run in it.

use std::fmt::Write;

use super::History;
use super::units::{grouped, significant};
use crate::config::TrainConfig;
use crate::plot::escape;

/// Samples on the page; of more than these, the first, the last and some between, evenly spread.
const MOST: usize = 12;

/// Writes a card for each sample, the last one first.
pub(super) fn cards(html: &mut String, config: &TrainConfig, history: &History) {
    let all = &history.samples;
    let shown = evenly(all.len(), MOST);
    if shown.len() < all.len() {
        let _ = writeln!(
            html,
            "<p class=\"note\">{} of {} samples; all are in <code>metrics.jsonl</code>.</p>",
            shown.len(),
            all.len()
        );
    }
    html.push_str("<div class=\"cards\">\n");
    let prompt = escape(&config.train.sample_prompt);
    for &i in shown.iter().rev() {
        let (step, text) = &all[i];
        let at = history.validation.iter().rev().find(|v| v.step == *step as f64);
        let loss = at.map_or(String::new(), |v| format!("validation loss {}", significant(v.loss)));
        let _ = writeln!(
            html,
            "<article><h3>step {} <span>{loss}</span></h3><pre><i>{prompt}</i>{}</pre></article>",
            grouped(*step as f64),
            escape(text)
        );
    }
    html.push_str("</div>\n");
}

/// At most `most` of the numbers below `count`, with the first and the last.
fn evenly(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|k| k * (count - 1) / (most - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::evenly;

    #[test]
    fn the_first_and_the_last_are_always_shown() {
        assert_eq!(evenly(0, 12), Vec::<usize>::new());
        assert_eq!(evenly(3, 12), [0, 1, 2]);
        assert_eq!(evenly(9, 3), [0, 4, 8]);
        assert_eq!(evenly(1000, 12).len(), 12);
        assert_eq!(evenly(1000, 12).last(), Some(&999));
    }
}
