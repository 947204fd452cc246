//! A drawing of a graph that a person can read, as SVG.
//!
//! The parts of the model (scopes) are nested frames; what lies deeper than [`DrawOptions::depth`] is one block that
//! lists its ops and parameters. Constants stand inside the blocks that use them, parameters beside them, and chains
//! of ops with one operand share a block. Values flow downwards in layers (Sugiyama, Tagawa and Toda 1981), each frame
//! laid out by itself, so that lines run between blocks and never through them. The same graph always gives the same
//! bytes.
//!
//! ```
//! use graph::{Graph, draw};
//! let g = Graph::parse("graph(x=%0) -> (y=%1) { %0:f32[B,4] = input  %1:f32[B,4] = exp %0 @head }").unwrap();
//! let svg = draw::svg(&g, &draw::DrawOptions::default());
//! assert!(svg.starts_with("<svg ") && svg.contains("f32[B,4]"));
//! ```

mod layers;
mod paint;
mod place;
mod sketch;
mod words;

use crate::ir::Graph;

/// What is shown.
#[derive(Clone, Debug)]
pub struct DrawOptions {
    /// Scopes with more parts than this are one block: with 2, `layers.0` is a frame and `layers.0.attn` is a block
    /// in it.
    pub depth: usize,
    /// A line over the drawing.
    pub title: Option<String>,
}

impl Default for DrawOptions {
    fn default() -> Self {
        DrawOptions { depth: 2, title: None }
    }
}

/// The drawing. Hovering over a block shows its nodes with their types and source lines.
pub fn svg(graph: &Graph, options: &DrawOptions) -> String {
    let sketch = sketch::Sketch::new(graph, options.depth);
    let placed = place::place(&sketch);
    paint::paint(&sketch, &placed, options.title.as_deref())
}

/// Advance of a character of the monospaced font, as part of its size.
const ADVANCE: f64 = 0.61;

/// Width of a text of the given size.
fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * ADVANCE
}

/// Text sizes.
const SIZE: f64 = 12.0;
const SMALL: f64 = 10.0;
