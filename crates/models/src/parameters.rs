//! The MatMul-free language model's parameters: names, shapes and initial values, and the check of a file against
//! them.
//!
//! One table ([`MatMulFreeConfig::parameters`]) is the source of all three. Names and shapes are the published
//! state dict's; d is `hidden_size`, e·d [`MatMulFreeConfig::input_dim`], n the channel mixer's width, k the
//! convolution's taps. Every projection carries the weight of the norm inside it.

use std::collections::HashSet;
use std::path::Path;

use crate::architecture::Architecture;
use crate::config::{MatMulFreeConfig, MlgruForm, Parsed};
use crate::error::{Differences, ModelError, Result};
use crate::folder::{ModelFolder, Weights};
use crate::rng::Rng;
use crate::safetensors::{Dtype, NamedTensor};

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// The same value everywhere.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform between plus and minus this.
    Uniform(f64),
    /// Zero in 80 of 256 cases, else plus or minus this: the shares of a normal distribution that was quantised.
    Trits(f32),
    /// ln 1, ln 2, … along the last axis: the S4D-Real start of a diagonal state space (Gu et al. 2022).
    LogCount,
    /// The logarithm of a uniform number between these.
    LogUniform {
        /// Least.
        low: f64,
        /// Greatest.
        high: f64,
    },
    /// What softplus makes a step size of, whose logarithm is uniform between those of `low` and `high`.
    StepSize {
        /// Least step.
        low: f64,
        /// Greatest step.
        high: f64,
        /// No step is less.
        floor: f64,
    },
    /// Evenly spaced from the first to the last.
    Line(f32, f32),
    /// The first half the number for the input gates, the second evenly spaced for the forget gates.
    Gates {
        /// For the input gates.
        input: f32,
        /// The first and the last of the forget gates.
        forget: (f32, f32),
    },
    /// Zero but for the second of four quarters, which repeats 5 − 12 (j / (width − 1))^exponent for j below `width`: the forget
    /// gates of a scalar memory, from those that remember to those that forget.
    ForgetBias {
        /// Channels of a head.
        width: usize,
        /// Larger for deeper blocks.
        exponent: f64,
    },
    /// A matrix whose rows are orthogonal in blocks of as many as there are columns, each as long as a normal vector of its
    /// width (Choromanski et al. 2021, "Rethinking Attention with Performers", section 2.4).
    OrthogonalRows,
}

/// A parameter of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the state dict.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
}

/// Half the width of Glorot's uniform distribution.
fn xavier_bound(gain: f64, fan_out: usize, fan_in: usize) -> f64 {
    gain * (6.0 / (fan_in + fan_out) as f64).sqrt()
}

/// Number of parameters of `layers` equal layers and what is around them; nothing if it does not fit 64 bits.
///
/// One layer stands for all: a hostile layer count must not make a list that long.
pub(crate) fn count(layers: usize, parameters: impl Fn(usize) -> Vec<Parameter>) -> Option<u64> {
    let count = |layers: usize| {
        parameters(layers).iter().try_fold(0_u64, |sum, parameter| {
            let size = parameter.shape.iter().try_fold(1_u64, |size, n| size.checked_mul(*n as u64))?;
            sum.checked_add(size)
        })
    };
    let (none, one) = (count(0)?, count(1)?);
    (one - none).checked_mul(layers as u64)?.checked_add(none)
}

impl MatMulFreeConfig {
    /// Every parameter, in the order of the published state dict.
    ///
    /// Initial values are the published code's: the token mixer's projections uniform after Glorot with gain
    /// 2^-2.5 (its o projection is not rescaled, unlike the comment there says), the down projection divided by
    /// √(2L), the rest normal; PyTorch's own default for the convolutions, which that code leaves alone.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, wide, n, layers) =
            (self.hidden_size, self.input_dim(), self.intermediate_size(), self.num_hidden_layers);
        let std = self.initializer_range;
        let mut list = Vec::new();
        let mut add =
            |name: String, shape: &[usize], init| list.push(Parameter { name, shape: shape.to_vec(), init });
        if self.use_lower_bound {
            add("model.lower_bounds".into(), &[layers, d], Init::Constant(0.0));
        }
        add("model.embeddings.weight".into(), &[self.vocab_size, d], Init::Normal(std));
        let gain = 2.0_f64.powf(-2.5);
        for layer in 0..layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}");
            add(at("attn_norm.weight"), &[d], Init::Constant(1.0));
            for gate in ["i", "f", "g"] {
                add(
                    at(&format!("attn.{gate}_proj.weight")),
                    &[wide, d],
                    Init::Uniform(xavier_bound(gain, wide, d)),
                );
                add(at(&format!("attn.{gate}_proj.norm.weight")), &[d], Init::Constant(1.0));
            }
            if self.use_short_conv {
                // The published code also makes q_conv1d, which nothing uses, where kernels are not shared.
                let (names, width): (&[&str], usize) =
                    if self.share_conv_kernel { (&["h"], d) } else { (&["q", "f", "i"], wide) };
                let bound = 1.0 / (self.conv_size as f64).sqrt();
                for name in names {
                    add(
                        at(&format!("attn.{name}_conv1d.weight")),
                        &[width, 1, self.conv_size],
                        Init::Uniform(bound),
                    );
                }
            }
            if self.mlgru_form == MlgruForm::Released {
                add(at("attn.g_norm.weight"), &[wide], Init::Constant(1.0));
            }
            add(at("attn.o_proj.weight"), &[d, wide], Init::Uniform(xavier_bound(gain, d, wide)));
            add(at("attn.o_proj.norm.weight"), &[wide], Init::Constant(1.0));
            add(at("mlp_norm.weight"), &[d], Init::Constant(1.0));
            add(at("mlp.gate_proj.weight"), &[2 * n, d], Init::Normal(std));
            add(at("mlp.gate_proj.norm.weight"), &[d], Init::Constant(1.0));
            add(at("mlp.down_proj.weight"), &[d, n], Init::Normal(std / (2.0 * layers as f64).sqrt()));
            add(at("mlp.down_proj.norm.weight"), &[n], Init::Constant(1.0));
        }
        add("model.norm.weight".into(), &[d], Init::Constant(1.0));
        if !self.tie_word_embeddings {
            add("lm_head.weight".into(), &[self.vocab_size, d], Init::Normal(std));
        }
        add("lm_head.norm.weight".into(), &[d], Init::Constant(1.0));
        list
    }

    /// Name and shape of every tensor that a file of this model holds.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.parameters().into_iter().map(|parameter| (parameter.name, parameter.shape)).collect()
    }

    /// Number of parameters; nothing if it does not fit 64 bits.
    pub fn parameter_count(&self) -> Option<u64> {
        count(self.num_hidden_layers, |layers| {
            Self { num_hidden_layers: layers, ..self.clone() }.parameters()
        })
    }

    /// Checks that a file holds these tensors, all of them and no others, as floats of any precision.
    ///
    /// A tied model may also hold `lm_head.weight` if it is the embedding byte for byte.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with everything that differs.
    pub fn check(&self, weights: &Weights) -> Result<()> {
        Architecture::check(self, weights)
    }

    /// Initial weights; the same seed gives the same values in every version.
    ///
    /// The distributions are the published code's, the numbers are not PyTorch's: a run that must start from the
    /// reference's weights loads them.
    pub fn init(&self, seed: u64) -> Vec<NamedTensor<'static>> {
        let tensors = self.parameters().into_iter().map(|parameter| {
            let values = self.init_parameter(&parameter, seed);
            NamedTensor::f32(parameter.name, &parameter.shape, values)
        });
        tensors.collect()
    }

    /// One tensor of [`init`](Self::init): what a model that does not fit into memory is made of.
    pub fn init_parameter(&self, parameter: &Parameter, seed: u64) -> Vec<f32> {
        Architecture::init_parameter(self, parameter, seed)
    }

    /// Reads the configuration of a folder and checks the folder's weights against it.
    ///
    /// # Errors
    /// Those of [`MatMulFreeConfig::from_json`] and [`MatMulFreeConfig::check`].
    pub fn from_folder(folder: &ModelFolder) -> Result<Parsed<Self>> {
        let mut parsed = Self::from_json(&folder.config_path(), folder.config())?;
        parsed.config.check(folder.weights())?;
        parsed.warnings.extend(folder.warnings().iter().cloned());
        Ok(parsed)
    }

    /// The configuration at a path, without weights: what a training run starts from.
    ///
    /// # Errors
    /// Those of [`crate::json::read`] and [`MatMulFreeConfig::from_json`].
    pub fn from_file(path: &Path) -> Result<Parsed<Self>> {
        Self::from_json(path, &crate::json::read(path)?)
    }
}

/// Numbers from the first to the last.
fn line(count: usize, first: f32, last: f32) -> impl Iterator<Item = f32> {
    let step = (last - first) / count.saturating_sub(1).max(1) as f32;
    (0..count).map(move |at| first + at as f32 * step)
}

/// Initial values of a parameter, from a stream of random numbers of its own.
pub(crate) fn init_values(parameter: &Parameter, seed: u64) -> Vec<f32> {
    let mut rng = Rng::for_name(seed, &parameter.name);
    let count = parameter.shape.iter().product();
    match parameter.init {
        Init::Constant(value) => vec![value; count],
        Init::Normal(std) => (0..count).map(|_| (std * rng.normal()) as f32).collect(),
        Init::Uniform(bound) => (0..count).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32).collect(),
        Init::LogCount => {
            let row = parameter.shape.last().copied().unwrap_or(1).max(1);
            (0..count).map(|k| ((k % row + 1) as f64).ln() as f32).collect()
        }
        Init::LogUniform { low, high } => {
            (0..count).map(|_| (low + (high - low) * rng.uniform()).ln() as f32).collect()
        }
        Init::StepSize { low, high, floor } => {
            let step = |u: f64| (low.ln() + (high.ln() - low.ln()) * u).exp().max(floor);
            // The inverse of softplus.
            (0..count).map(|_| step(rng.uniform())).map(|dt| (dt + (-(-dt).exp_m1()).ln()) as f32).collect()
        }
        Init::Line(first, last) => line(count, first, last).collect(),
        Init::Gates { input, forget: (first, last) } => {
            let forget = line(count - count / 2, first, last);
            std::iter::repeat_n(input, count / 2).chain(forget).collect()
        }
        Init::ForgetBias { width, exponent } => {
            let forget = |at: usize| {
                let share = (at % width.max(1)) as f64 / width.saturating_sub(1).max(1) as f64;
                (5.0 - 12.0 * share.powf(exponent)) as f32
            };
            (0..count).map(|at| if at * 4 / count.max(1) == 1 { forget(at) } else { 0.0 }).collect()
        }
        Init::OrthogonalRows => {
            orthogonal_rows(&mut rng, count, parameter.shape.last().copied().unwrap_or(1))
        }
        Init::Trits(magnitude) => {
            let value = |byte: u8| match byte {
                0..80 => 0.0,
                80..168 => magnitude,
                _ => -magnitude,
            };
            let mut values = vec![0.0; count];
            for eight in values.chunks_mut(8) {
                let bytes = rng.bits().to_le_bytes();
                eight.iter_mut().zip(bytes).for_each(|(x, byte)| *x = value(byte));
            }
            values
        }
    }
}

/// Rows of `width`, orthogonal in blocks of `width` (Gram and Schmidt, twice), with the lengths of normal vectors.
fn orthogonal_rows(rng: &mut Rng, count: usize, width: usize) -> Vec<f32> {
    let width = width.max(1);
    let mut draw = || -> Vec<f64> { (0..width).map(|_| rng.normal()).collect() };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut rows: Vec<Vec<f64>> = vec![];
    let mut values = Vec::with_capacity(count);
    for row in 0..count / width {
        if row % width == 0 {
            rows.clear();
        }
        let mut x = draw();
        for _ in 0..2 {
            for other in &rows {
                let part = dot(&x, other);
                x.iter_mut().zip(other).for_each(|(x, o)| *x -= part * o);
            }
        }
        let length = dot(&x, &x).sqrt().max(f64::MIN_POSITIVE);
        x.iter_mut().for_each(|x| *x /= length);
        let normal = draw();
        let size = dot(&normal, &normal).sqrt();
        values.extend(x.iter().map(|x| (x * size) as f32));
        rows.push(x);
    }
    values
}

/// Checks that a file holds these tensors, `floats` of any precision and `bytes` as u8, and no others but, where the head
/// is `tied` to the embedding of that name, a copy of it.
pub(crate) fn check_tensors(
    weights: &Weights,
    floats: &[(String, Vec<usize>)],
    bytes: &[(String, Vec<usize>)],
    tied: Option<&str>,
) -> Result<()> {
    check_tensors_but(weights, floats, bytes, tied, &|_| false)
}

/// [`check_tensors`] of all but the tensors that are `ignored` by name.
pub(crate) fn check_tensors_but(
    weights: &Weights,
    floats: &[(String, Vec<usize>)],
    bytes: &[(String, Vec<usize>)],
    tied: Option<&str>,
    ignored: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let mut differences = Differences::default();
    let mut look = |name: &String, shape: &Vec<usize>, fits: &dyn Fn(Dtype) -> bool| {
        let Ok(view) = weights.tensor(name) else {
            differences.missing.push((name.clone(), shape.clone()));
            return;
        };
        if view.shape != shape {
            differences.shapes.push((name.clone(), shape.clone(), view.shape.to_vec()));
        }
        if !fits(view.dtype) {
            differences.dtypes.push((name.clone(), format!("{:?}", view.dtype)));
        }
    };
    let float = |dtype| matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16);
    floats.iter().for_each(|(name, shape)| look(name, shape, &float));
    bytes.iter().for_each(|(name, shape)| look(name, shape, &|dtype| dtype == Dtype::U8));
    let known = floats.iter().chain(bytes).map(|(name, _)| name.as_str()).collect::<HashSet<_>>();
    let unexpected = weights
        .names()
        .filter(|name| !known.contains(name) && !is_tied_copy(weights, name, tied) && !ignored(name));
    differences.unexpected = unexpected.map(str::to_owned).collect();
    if differences.is_empty() {
        return Ok(());
    }
    let remedy = "use the config.json that was published with these weights";
    let differences = Box::new(differences);
    Err(ModelError::Weights { path: weights.path().into(), differences, remedy: remedy.into() })
}

fn is_tied_copy(weights: &Weights, name: &str, tied: Option<&str>) -> bool {
    let Some(embedding) = tied.filter(|_| name == "lm_head.weight") else { return false };
    let (Ok(head), Ok(embedding)) = (weights.tensor(name), weights.tensor(embedding)) else { return false };
    (head.dtype, head.shape, head.bytes) == (embedding.dtype, embedding.shape, embedding.bytes)
}
