//! Qwen3's answers to [`Architecture`]: those of every decoder.

use super::Qwen3Config;
use crate::architecture::Architecture;
use crate::decoder::config::decoder_answers;

impl Architecture for Qwen3Config {
    decoder_answers!();
}
