//! The configuration: keys of the published constructors, and those of the model around the blocks.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::S4Block;
use crate::config::{MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, Parsed};
use crate::encoder::Shell;
use crate::error::Result;
use crate::frame::LinearKind;
use crate::json::Fields;
use crate::mega::config::{choice, rest};

/// Which state matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S4Kind {
    /// Diagonal less a product of rank one: S4.
    Dplr,
    /// Diagonal: `S4Block` with `mode = "diag"`.
    Diagonal,
    /// Diagonal with B = 1: `s4d.py`.
    Minimal,
}

/// How continuous time becomes steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discretization {
    /// Zero-order hold.
    Zoh,
    /// Bilinear.
    Bilinear,
}

/// A model of S4 blocks, or one block alone.
#[derive(Debug, Clone, PartialEq)]
pub struct S4Config {
    /// The block.
    pub block: S4Block,
    /// Blocks behind an encoder; nothing: one block alone.
    pub n_layers: Option<usize>,
    /// Norm before the block, else after the residual.
    pub prenorm: bool,
    /// Inputs and outputs.
    pub shell: Shell,
    /// What projections are.
    pub linear: LinearKind,
    /// Never: there is no head that could.
    pub tie_word_embeddings: bool,
    /// Every other key of the file, written back as it was.
    pub extra: Map<String, Value>,
}

const READ: &[&str] = &[
    "d_input",
    "d_model",
    "d_output",
    "d_state",
    "disc",
    "dt_max",
    "dt_min",
    "init",
    "l_kernel",
    "l_max",
    "linear",
    "mode",
    "n_layers",
    "prenorm",
    "vocab_size",
];

/// Keys of how golden cases were made.
const KEPT: &[&str] = &["B", "L", "seed"];

const MODES: [(S4Kind, &str); 5] = [
    (S4Kind::Dplr, "dplr"),
    (S4Kind::Diagonal, "diag"),
    (S4Kind::Dplr, "nplr"),
    (S4Kind::Dplr, "s4"),
    (S4Kind::Diagonal, "s4d"),
];
const DISCRETIZATIONS: [(Discretization, &str); 2] =
    [(Discretization::Zoh, "zoh"), (Discretization::Bilinear, "bilinear")];

impl S4Config {
    /// Reads a `config.json` with `model_type` `s4` or `s4d`; `path` is named in errors and warnings.
    ///
    /// # Errors
    /// [`ModelError::Field`](crate::ModelError::Field) for a value of the wrong kind or size, and for options of the
    /// published constructors that change the mathematics and are not had here.
    pub fn from_json(path: &Path, value: &Value) -> Result<Parsed<Self>> {
        let fields = Fields::new(path, value)?;
        let mut warnings = vec![];
        for (key, plain) in [
            ("channels", json!(1)),
            ("rank", json!(1)),
            ("bidirectional", json!(false)),
            ("dt_tie", json!(true)),
            ("dt_transform", json!("exp")),
            ("activation", json!("gelu")),
            ("final_act", json!("glu")),
            ("gate", Value::Null),
            ("bottleneck", Value::Null),
            ("n_ssm", Value::Null),
            ("bandlimit", Value::Null),
        ] {
            if fields.get(key).is_some_and(|found| *found != plain) {
                return Err(fields.fault(key, format!("{plain}, the only one there is here")));
            }
        }
        let minimal = fields.text("model_type", "s4")? == "s4d";
        let extra = rest(path, &fields, "s4", READ, KEPT, &mut warnings)?;
        let kind = match minimal {
            true => S4Kind::Minimal,
            false => choice(&fields, "mode", "dplr", &MODES)?,
        };
        let disc = match kind {
            S4Kind::Dplr => Discretization::Bilinear,
            _ => choice(&fields, "disc", "zoh", &DISCRETIZATIONS)?,
        };
        // The published example of s4d.py has no sizes in its configuration; those of its data stand for them.
        let d_model = fields.size("d_model", 16, MAX_WIDTH)?;
        let d_state = fields.size("d_state", if minimal { 16 } else { 64 }, 1 << 12)?;
        if !d_state.is_multiple_of(2) {
            return Err(fields.fault("d_state", "an even number: states come in pairs of conjugates"));
        }
        let l_max = fields.optional_size("l_max", 1 << 24)?;
        let wanted = fields.optional_size("L", 1 << 24)?.unwrap_or(1);
        let l_kernel = match (kind, fields.optional_size("l_kernel", 1 << 24)?, l_max) {
            (S4Kind::Dplr, Some(given), _) => given,
            (S4Kind::Dplr, None, Some(length)) => {
                std::iter::successors(Some(length), |n| Some(2 * n)).find(|n| *n >= wanted).unwrap_or(length)
            }
            (S4Kind::Dplr, None, None) => {
                return Err(fields.fault("l_max", "the length of the kernel, or l_kernel, in a DPLR block"));
            }
            _ => 0,
        };
        if kind == S4Kind::Dplr && l_max.is_some_and(|l| l > l_kernel) {
            return Err(fields.fault("l_kernel", "at least l_max"));
        }
        let init = fields.text("init", if minimal { "diag-lin" } else { "legs" })?.to_owned();
        let known = ["legs", "hippo", "diag-lin", "diag-inv", "diag-legs", "diag-real"];
        if !known.contains(&init.as_str()) || (kind == S4Kind::Dplr && init.starts_with("diag")) {
            return Err(fields.fault(
                "init",
                "\"legs\", or of diagonal blocks \"diag-lin\", \"diag-inv\", \"diag-legs\" or \"diag-real\"",
            ));
        }
        let n_layers = fields.optional_size("n_layers", MAX_LAYERS)?;
        let classes = fields.optional_size("d_output", MAX_VOCAB)?;
        let vocabulary = fields.optional_size("vocab_size", MAX_VOCAB)?;
        if n_layers.is_none() && (classes.is_some() || vocabulary.is_some()) {
            return Err(fields.fault("n_layers", "a number of blocks, where there are tokens or classes"));
        }
        let shell = Shell {
            inputs: n_layers.and(Some(fields.size("d_input", d_model, MAX_WIDTH)?)),
            vocabulary,
            width: d_model,
            classes,
            flax: false,
        };
        let block = S4Block {
            kind,
            d_model,
            d_state,
            l_max: l_max.filter(|_| kind != S4Kind::Minimal),
            l_kernel,
            disc,
            init,
            dt_min: fields.real("dt_min", 0.001, 0.0, 1e3)?,
            dt_max: fields.real("dt_max", 0.1, 0.0, 1e3)?,
        };
        let config = Self {
            block,
            n_layers,
            prenorm: fields.flag("prenorm", false)?,
            shell,
            linear: choice(&fields, "linear", "full", &LinearKind::NAMES)?,
            tie_word_embeddings: false,
            extra,
        };
        Ok(Parsed { config, warnings })
    }

    /// The `config.json` of it.
    pub fn to_json(&self) -> Value {
        let b = &self.block;
        let mut value = json!({
            "model_type": if b.kind == S4Kind::Minimal { "s4d" } else { "s4" },
            "d_model": b.d_model,
            "d_state": b.d_state,
            "dt_min": b.dt_min,
            "dt_max": b.dt_max,
            "init": b.init,
        });
        match b.kind {
            S4Kind::Dplr => {
                value["mode"] = "dplr".into();
                value["l_kernel"] = b.l_kernel.into();
            }
            S4Kind::Diagonal => value["mode"] = "diag".into(),
            S4Kind::Minimal => {}
        }
        if b.kind != S4Kind::Dplr {
            value["disc"] = if b.disc == Discretization::Zoh { "zoh" } else { "bilinear" }.into();
        }
        let shell = &self.shell;
        let options = [
            ("l_max", b.l_max),
            ("n_layers", self.n_layers),
            ("d_input", shell.inputs),
            ("d_output", shell.classes),
            ("vocab_size", shell.vocabulary),
        ];
        for (key, size) in options {
            if let Some(size) = size {
                value[key] = size.into();
            }
        }
        if self.prenorm {
            value["prenorm"] = true.into();
        }
        if self.linear != LinearKind::Full {
            value["linear"] = self.linear.name().into();
        }
        for (key, content) in &self.extra {
            value[key] = content.clone();
        }
        value.sort_all_objects();
        value
    }
}
