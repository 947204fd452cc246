//! Named sizes of the MatMul-free language model: the published ones, and small ones to try things with.
//!
//! The three large ones are those of Zhu et al. 2024 (arXiv:2406.02528), whose parameter counts (norms inside
//! the projections included) match the sizes of the published files at two bytes each; the small ones read and write bytes.

use crate::config::MatMulFreeConfig;

/// A size with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name in options.
    pub name: &'static str,
    /// Rows of the embedding; 256 means that each token is a byte.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// What it is.
    pub about: &'static str,
}

/// Every size, small to large.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "mmfree-1m",
        vocab_size: 256,
        hidden_size: 128,
        num_hidden_layers: 4,
        about: "byte-level; trains in minutes on one core",
    },
    Shape {
        name: "mmfree-30m",
        vocab_size: 256,
        hidden_size: 512,
        num_hidden_layers: 9,
        about: "byte-level; for benchmarks of training and start-up",
    },
    Shape {
        name: "mmfree-370m",
        vocab_size: 32000,
        hidden_size: 1024,
        num_hidden_layers: 24,
        about: "published",
    },
    Shape {
        name: "mmfree-1.3b",
        vocab_size: 32000,
        hidden_size: 2048,
        num_hidden_layers: 24,
        about: "published",
    },
    Shape {
        name: "mmfree-2.7b",
        vocab_size: 32000,
        hidden_size: 2560,
        num_hidden_layers: 32,
        about: "published",
    },
];

impl Shape {
    /// The size called `name`.
    pub fn find(name: &str) -> Option<&'static Shape> {
        SHAPES.iter().find(|shape| shape.name == name)
    }

    /// Whether each token is a byte.
    pub fn is_byte_level(&self) -> bool {
        self.vocab_size == 256
    }

    /// Its configuration; all that the name does not fix is the published default. Byte-level models have no special
    /// tokens.
    ///
    /// ```
    /// use models::shapes::Shape;
    /// let published = Shape::find("mmfree-370m").unwrap().config();
    /// assert_eq!((published.intermediate_size(), published.parameter_count()), (2816, Some(374_108_160)));
    /// ```
    pub fn config(&self) -> MatMulFreeConfig {
        let Self { vocab_size, hidden_size, num_hidden_layers, .. } = *self;
        let mut config =
            MatMulFreeConfig { vocab_size, hidden_size, num_hidden_layers, ..MatMulFreeConfig::default() };
        if self.is_byte_level() {
            (config.bos_token_id, config.eos_token_id) = (None, vec![]);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_large() {
        for (name, low, high) in [
            ("mmfree-1m", 0.9e6, 1.3e6),
            ("mmfree-30m", 29e6, 32e6),
            ("mmfree-370m", 374.1e6, 374.2e6),
            ("mmfree-1.3b", 1.364e9, 1.365e9),
            ("mmfree-2.7b", 2.702e9, 2.703e9),
        ] {
            let config = Shape::find(name).unwrap().config();
            let count = config.parameter_count().unwrap() as f64;
            assert!((low..high).contains(&count), "{name}: {count}");
            config.validate("config.json".as_ref()).unwrap();
        }
        assert_eq!(Shape::find("mmfree-9m"), None);
    }
}
