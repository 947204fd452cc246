//! Checks of values that the types do not make.

use std::fmt::Display;

use crate::error::{Result, TrainError};

use super::{GradientType, SplitKind, TrainConfig};

impl TrainConfig {
    /// Checks every value that a type alone cannot check.
    ///
    /// # Errors
    /// [`TrainError::Value`] naming the key, the value and the values that are allowed.
    pub fn validate(&self) -> Result<()> {
        let TrainConfig {
            model, task, data, optimizer, quantizer, schedule, train, precision, output, ..
        } = self;
        for (key, value) in [
            ("model.hidden_size", model.hidden_size),
            ("model.num_hidden_layers", model.num_hidden_layers),
            ("model.num_heads", model.num_heads),
            ("model.expand_ratio", model.expand_ratio),
            ("model.hidden_ratio", model.hidden_ratio),
            ("model.conv_size", model.conv_size),
            ("data.validation.block_bytes", data.validation.block_bytes),
            ("train.steps", train.steps),
            ("train.batch_size", train.batch_size),
            ("train.accumulate", train.accumulate),
            ("train.eval_windows", train.eval_windows),
            ("train.eval_batch_size", train.eval_batch_size),
            ("train.keep_checkpoints", train.keep_checkpoints),
            ("train.log_every", train.log_every),
        ] {
            require(key, value, value >= 1, "a whole number of at least 1")?;
        }
        for (key, value) in [
            ("model.init_seed", model.init_seed),
            ("data.seed", data.seed),
            ("data.validation.seed", data.validation.seed),
        ] {
            require(
                key,
                value,
                value <= i64::MAX as u64,
                "a number up to 2^63 - 1, the largest that TOML holds",
            )?;
        }
        for (key, value) in [
            ("optimizer.lr", optimizer.lr),
            ("optimizer.eps", optimizer.eps),
            ("quantizer.horizon", quantizer.horizon),
        ] {
            require(key, value, value.is_finite() && value > 0.0, "a number above 0")?;
        }
        for (key, value) in [
            ("model.initializer_range", model.initializer_range),
            ("model.rms_norm_eps", model.rms_norm_eps),
            ("optimizer.weight_decay", optimizer.weight_decay),
            ("optimizer.grad_clip", optimizer.grad_clip),
            ("optimizer.bop_threshold", optimizer.bop_threshold),
            ("schedule.second_lr_fraction", schedule.second_lr_fraction),
            ("schedule.second_weight_decay", schedule.second_weight_decay),
            ("train.early_stopping_min_delta", train.early_stopping_min_delta),
        ] {
            require(key, value, value.is_finite() && value >= 0.0, "a number of at least 0")?;
        }
        for (key, value) in
            [("schedule.final_fraction", schedule.final_fraction), ("schedule.switch_at", schedule.switch_at)]
        {
            require(key, value, (0.0..=1.0).contains(&value), "a share between 0 and 1")?;
        }
        for value in optimizer.betas {
            require("optimizer.betas", value, (0.0..1.0).contains(&value), "two numbers from 0 to below 1")?;
        }
        let momentum = optimizer.momentum;
        require(
            "optimizer.momentum",
            momentum,
            (0.0..1.0).contains(&momentum),
            "a number from 0 to below 1",
        )?;
        for (key, value) in
            [("optimizer.bop_gamma", optimizer.bop_gamma), ("quantizer.flip_rate", quantizer.flip_rate)]
        {
            require(key, value, value > 0.0 && value <= 1.0, "a share above 0 and up to 1")?;
        }
        crate::quantizer::Quantizer::new(self)?;
        if precision.scalar.wider().is_some() {
            let f32s = train.gradients == GradientType::F32;
            let expected = "\"f32\": the wider arithmetic of `precision.scalar` keeps gradients whole";
            require("train.gradients", "bf16", f32s, expected)?;
            let expected =
                "0: the interpreter, which `precision.scalar` asks for, has no plan to fit a limit";
            require("train.memory", train.memory, train.memory.bytes() == 0, expected)?;
        }
        for pattern in &optimizer.no_decay {
            let expected = "patterns of parameter names with `*` for any letters, such as \"*norm*\"";
            require("optimizer.no_decay", pattern, glob::Pattern::new(pattern).is_ok(), expected)?;
        }
        let names: Vec<&str> = std::iter::once("matmulfree").chain(models::sized::names()).collect();
        let known = names.contains(&model.architecture.as_str());
        require("model.architecture", &model.architecture, known, &names.join(", "))?;
        let linear = ["", "full", "ternary", "binary"].contains(&model.linear.as_str());
        require("model.linear", &model.linear, linear, "\"\", \"full\", \"ternary\" or \"binary\"")?;
        require("task.until", task.until, (0.0..=1.0).contains(&task.until), "a share between 0 and 1")?;
        let divides = model.hidden_size % model.num_heads == 0;
        require("model.num_heads", model.num_heads, divides, "a divisor of model.hidden_size")?;
        require(
            "data.seq_len",
            data.seq_len,
            data.seq_len >= 2,
            "at least 2: a token and the one to predict",
        )?;
        let eos = (-1..=i64::from(u32::MAX)).contains(&data.eos_token_id);
        require("data.eos_token_id", data.eos_token_id, eos, "a token id, or -1 for the tokenizer's own")?;
        require(
            "data.tokenizer",
            "empty",
            !data.tokenizer.is_empty(),
            "\"bytes\" or the path of a tokenizer.json",
        )?;
        let dir = !output.dir.as_os_str().is_empty();
        require("output.dir", "empty", dir, "the folder that the run writes to")?;
        self.validate_split()
    }

    fn validate_split(&self) -> Result<()> {
        let split = &self.data.validation;
        if matches!(split.kind, SplitKind::Auto | SplitKind::Documents) {
            let inside = split.fraction > 0.0 && split.fraction < 1.0;
            require("data.validation.fraction", split.fraction, inside, "a share above 0 and below 1")?;
        }
        if matches!(split.kind, SplitKind::Auto | SplitKind::Blocks) {
            let many = split.every >= 2;
            require(
                "data.validation.every",
                split.every,
                many,
                "at least 2, so that some blocks are left to train on",
            )?;
            let inside = split.offset < split.every;
            require("data.validation.offset", split.offset, inside, "a number below data.validation.every")?;
        }
        if split.kind == SplitKind::Files {
            let named = !split.files.is_empty();
            require(
                "data.validation.files",
                "empty",
                named,
                "files, folders or patterns, since the kind is \"files\"",
            )?;
        }
        Ok(())
    }
}

fn require(key: &'static str, value: impl Display, holds: bool, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(TrainError::Value { key, found: value.to_string(), expected: expected.to_owned() })
}
