//! Named sizes: the published ones, and small ones to try things with.
//!
//! The three large MatMul-free ones are those of Zhu et al. 2024 (arXiv:2406.02528), whose parameter counts (norms inside
//! the projections included) match the sizes of the published files at two bytes each; the small ones read and write bytes. `bitnet-2b4t` is that of Ma et al. 2025
//! (arXiv:2504.12285), `mamba-130m` and `mamba2-130m` those of Gu and Dao 2023 and 2024, `xlstm-7b` that of Beck et al. 2025
//! (arXiv:2503.13427), `qwen3-0.6b` and `qwen3-1.7b` those of Yang et al. 2025 (arXiv:2505.09388).

use crate::architecture::ModelConfig;
use crate::bitnet::BitNetConfig;
use crate::config::MatMulFreeConfig;
use crate::mamba::{Keys, MambaConfig};
use crate::mamba2::Mamba2Config;
use crate::qwen3::Qwen3Config;
use crate::registry::Listed;
use crate::xlstm::XlstmConfig;

/// The architecture of a size, and what of it the architecture's defaults do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The MatMul-free language model.
    MatMulFree,
    /// BitNet b1.58.
    BitNet {
        /// Width of the gated unit.
        intermediate_size: usize,
        /// Heads of queries.
        heads: usize,
        /// Heads of keys and values.
        groups: usize,
    },
    /// Qwen3.
    Qwen3 {
        /// Width of the gated unit.
        intermediate_size: usize,
        /// Heads of queries.
        heads: usize,
        /// Heads of keys and values.
        groups: usize,
        /// Width of a head.
        head_dim: usize,
    },
    /// Mamba.
    Mamba,
    /// Mamba-2.
    Mamba2 {
        /// Width of a head.
        head_dim: usize,
        /// States.
        states: usize,
    },
    /// xLSTM with matrix memories.
    Xlstm {
        /// Heads.
        heads: usize,
    },
}

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
    /// Architecture.
    pub family: Family,
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
        family: Family::MatMulFree,
        about: "byte-level; trains in minutes on one core",
    },
    Shape {
        name: "mmfree-30m",
        vocab_size: 256,
        hidden_size: 512,
        num_hidden_layers: 9,
        family: Family::MatMulFree,
        about: "byte-level; for benchmarks of training and start-up",
    },
    Shape {
        name: "mmfree-370m",
        vocab_size: 32000,
        hidden_size: 1024,
        num_hidden_layers: 24,
        family: Family::MatMulFree,
        about: "published",
    },
    Shape {
        name: "mmfree-1.3b",
        vocab_size: 32000,
        hidden_size: 2048,
        num_hidden_layers: 24,
        family: Family::MatMulFree,
        about: "published",
    },
    Shape {
        name: "mmfree-2.7b",
        vocab_size: 32000,
        hidden_size: 2560,
        num_hidden_layers: 32,
        family: Family::MatMulFree,
        about: "published",
    },
    Shape {
        name: "bitnet-1m",
        vocab_size: 256,
        hidden_size: 128,
        num_hidden_layers: 4,
        family: Family::BitNet { intermediate_size: 384, heads: 4, groups: 2 },
        about: "byte-level; to try things with",
    },
    Shape {
        name: "bitnet-30m",
        vocab_size: 256,
        hidden_size: 512,
        num_hidden_layers: 9,
        family: Family::BitNet { intermediate_size: 1536, heads: 8, groups: 2 },
        about: "byte-level; all sizes are multiples of 256",
    },
    Shape {
        name: "bitnet-2b4t",
        vocab_size: 128_256,
        hidden_size: 2560,
        num_hidden_layers: 30,
        family: Family::BitNet { intermediate_size: 6912, heads: 20, groups: 5 },
        about: "published",
    },
    Shape {
        name: "xlstm-1m",
        vocab_size: 256,
        hidden_size: 128,
        num_hidden_layers: 4,
        family: Family::Xlstm { heads: 4 },
        about: "byte-level; to try things with",
    },
    Shape {
        name: "xlstm-130m",
        vocab_size: 50_304,
        hidden_size: 768,
        num_hidden_layers: 12,
        family: Family::Xlstm { heads: 4 },
        about: "for benchmarks: reads as many weights for a token as Mamba of 130 million",
    },
    Shape {
        name: "xlstm-7b",
        vocab_size: 50_304,
        hidden_size: 4096,
        num_hidden_layers: 32,
        family: Family::Xlstm { heads: 8 },
        about: "published",
    },
    Shape {
        name: "qwen3-3m",
        vocab_size: 256,
        hidden_size: 256,
        num_hidden_layers: 4,
        family: Family::Qwen3 { intermediate_size: 768, heads: 4, groups: 2, head_dim: 64 },
        about: "byte-level; to try block formats with",
    },
    Shape {
        name: "qwen3-0.6b",
        vocab_size: 151_936,
        hidden_size: 1024,
        num_hidden_layers: 28,
        family: Family::Qwen3 { intermediate_size: 3072, heads: 16, groups: 8, head_dim: 128 },
        about: "published",
    },
    Shape {
        name: "qwen3-1.7b",
        vocab_size: 151_936,
        hidden_size: 2048,
        num_hidden_layers: 28,
        family: Family::Qwen3 { intermediate_size: 6144, heads: 16, groups: 8, head_dim: 128 },
        about: "published",
    },
    Shape {
        name: "mamba-1m",
        vocab_size: 256,
        hidden_size: 192,
        num_hidden_layers: 4,
        family: Family::Mamba,
        about: "byte-level; trains in minutes on one core",
    },
    Shape {
        name: "mamba-130m",
        vocab_size: 50_280,
        hidden_size: 768,
        num_hidden_layers: 24,
        family: Family::Mamba,
        about: "published",
    },
    Shape {
        name: "mamba2-1m",
        vocab_size: 256,
        hidden_size: 192,
        num_hidden_layers: 4,
        family: Family::Mamba2 { head_dim: 32, states: 32 },
        about: "byte-level; trains in minutes on one core",
    },
    Shape {
        name: "mamba2-130m",
        vocab_size: 50_288,
        hidden_size: 768,
        num_hidden_layers: 24,
        family: Family::Mamba2 { head_dim: 64, states: 128 },
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
    /// assert_eq!(published.parameter_count(), Some(374_108_160));
    /// ```
    pub fn config(&self) -> ModelConfig {
        let Self { vocab_size, hidden_size, num_hidden_layers, .. } = *self;
        match self.family {
            Family::MatMulFree => {
                let mut config = MatMulFreeConfig {
                    vocab_size,
                    hidden_size,
                    num_hidden_layers,
                    ..MatMulFreeConfig::default()
                };
                if self.is_byte_level() {
                    (config.bos_token_id, config.eos_token_id) = (None, vec![]);
                }
                config.into()
            }
            Family::BitNet { intermediate_size, heads, groups } => {
                let mut config = BitNetConfig {
                    vocab_size,
                    hidden_size,
                    num_hidden_layers,
                    intermediate_size,
                    num_attention_heads: heads,
                    num_key_value_heads: groups,
                    tie_word_embeddings: true,
                    ..BitNetConfig::default()
                };
                if self.is_byte_level() {
                    (config.bos_token_id, config.eos_token_id) = (None, vec![]);
                }
                config.into()
            }
            Family::Mamba | Family::Mamba2 { .. } => {
                let mut keys = Keys {
                    vocab_size,
                    hidden_size,
                    num_hidden_layers,
                    initializer_range: 0.02,
                    rescale_prenorm_residual: true,
                    ..MambaConfig::default().keys
                };
                if self.is_byte_level() {
                    (keys.bos_token_id, keys.eos_token_id, keys.pad_token_id) = (None, vec![], None);
                }
                let Family::Mamba2 { head_dim, states } = self.family else {
                    let time_step_rank = hidden_size.div_ceil(16);
                    return ModelConfig::Listed(Listed::new(MambaConfig {
                        keys,
                        time_step_rank,
                        ..MambaConfig::default()
                    }));
                };
                let second = Mamba2Config::default();
                keys.extra = second.keys.extra.clone();
                keys.state_size = states;
                let num_heads = keys.inner() / head_dim;
                ModelConfig::Listed(Listed::new(Mamba2Config {
                    keys,
                    num_heads,
                    head_dim,
                    n_groups: 1,
                    ..second
                }))
            }
            Family::Qwen3 { intermediate_size, heads, groups, head_dim } => Qwen3Config {
                vocab_size,
                hidden_size,
                num_hidden_layers,
                intermediate_size,
                num_attention_heads: heads,
                num_key_value_heads: groups,
                head_dim,
                rope_theta: 1e6,
                tie_word_embeddings: true,
                ..Qwen3Config::default()
            }
            .into(),
            Family::Xlstm { heads } => {
                let mut config = XlstmConfig {
                    vocab_size,
                    hidden_size,
                    num_hidden_layers,
                    num_heads: heads,
                    ..XlstmConfig::default()
                };
                if self.is_byte_level() {
                    (config.bos_token_id, config.eos_token_id, config.pad_token_id) = (None, vec![], None);
                }
                ModelConfig::Listed(Listed::new(config))
            }
        }
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
            ("bitnet-1m", 0.7e6, 1.3e6),
            ("bitnet-30m", 26e6, 32e6),
            ("bitnet-2b4t", 2.41e9, 2.42e9),
            ("xlstm-1m", 0.9e6, 1.0e6),
            ("xlstm-130m", 1.62e8, 1.63e8),
            ("xlstm-7b", 6.86e9, 6.87e9),
            ("qwen3-3m", 3.1e6, 3.3e6),
            ("qwen3-0.6b", 5.95e8, 5.97e8),
            ("qwen3-1.7b", 1.72e9, 1.721e9),
            ("mamba-1m", 0.9e6, 1.3e6),
            ("mamba-130m", 129.1e6, 129.2e6),
            ("mamba2-1m", 0.9e6, 1.3e6),
            ("mamba2-130m", 128.9e6, 129.1e6),
        ] {
            let config = Shape::find(name).unwrap().config();
            let count = config.parameter_count().unwrap() as f64;
            assert!((low..high).contains(&count), "{name}: {count}");
            let json = config.to_json();
            assert_eq!(ModelConfig::from_json("config.json".as_ref(), &json).unwrap().config.to_json(), json);
        }
        assert_eq!(Shape::find("mmfree-9m"), None);
    }
}
