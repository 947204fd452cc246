//! Master weights from packed ones: weights whose quantisation gives the same trits and the same scale.
//!
//! The weight that a trit stands for is t / s, but a matrix of those has another scale: where only nnz of its N trits are
//! not 0, mean|t/s| is (nnz/N)/s and not 1/s. So the weights are W = t · (N/nnz) / s, whose mean is 1/s. Their trits are
//! t, since |W| s = N/nnz is at least 1.
//!
//! One magnitude m = N/(nnz·s) would be rounded, in a type of few bits a great deal, and the scale with it. The two
//! neighbours of m in the type are used instead, in the proportion in which their mean is m; then m is corrected by the scale
//! that the quantiser finds, until it is the one wanted. In f32 and f64 the scale is met to the last bit, or to a rounding
//! of f32 where none of the attempts does; in f16 and bf16 a matrix of few weights has less to mix.
//!
//! A matrix of zeros stays one: its scale is 1/1e-5 whatever it was before, and its products are 0 whatever the scale.
//!
//! A head that shares its weight with an embedding that was rounded has trits of the weight before. Where quantising the
//! rounded embedding would not give them, the folder gets a head of its own ([`Unpacked::config`] says so).

use std::borrow::Cow;
use std::path::Path;

use axes::DType;
use barewire::{TensorView, WireError, trits};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::pack::{f32s, stored_values};
use super::{CONFIG, HEAD, ModelBundle, Quantizer, tied_trits};
use crate::architecture::ModelConfig;
use crate::error::{ModelError, Result};
use crate::json;
use crate::safetensors::{FloatType, Values};

/// How often the magnitude is corrected: most matrices need two or three.
const ATTEMPTS: usize = 24;

/// What a bundle unpacks to, made tensor by tensor.
#[derive(Debug)]
pub struct Unpacked<'a> {
    model: &'a ModelBundle,
    dtype: FloatType,
    untied: bool,
}

impl<'a> Unpacked<'a> {
    /// Looks at what is to be done; nothing is unpacked but a head that is shared with a rounded embedding.
    ///
    /// # Errors
    /// None for a bundle that is open; the type says otherwise because sections are looked up by name.
    pub fn new(model: &'a ModelBundle, dtype: FloatType, quantizer: &mut dyn Quantizer) -> Result<Self> {
        let mut unpacked = Self { model, dtype, untied: false };
        if tied_trits(model.config()) {
            let view = model.bundle().tensor(HEAD)?;
            // Quantised as a reader will find it, in the type of the folder.
            let embedding = model.config().embedding();
            let stored = Values::F32(stored_values(model, embedding)?);
            let short = stored.cast(dtype).map_err(|at| unpacked.too_large(embedding, at))?;
            let seen = to_f32(&short);
            let mut again = vec![0; seen.len()];
            let scale = quantizer.quantize(&seen, &mut again);
            unpacked.untied =
                Some(scale.to_bits()) != view.scale.map(f32::to_bits) || again != unpack_trits(&view)?;
        }
        Ok(unpacked)
    }

    /// Whether the head gets a weight of its own, which the packed model shared with the embedding.
    pub fn is_untied(&self) -> bool {
        self.untied
    }

    /// `config.json` of the folder: the bundle's, but for a head that had to be untied.
    ///
    /// # Errors
    /// As [`json::parse`].
    pub fn config(&self) -> Result<Value> {
        let bundle = self.model.bundle();
        let label = bundle.path().join(CONFIG);
        let text = String::from_utf8_lossy(bundle.bytes(CONFIG)?).into_owned();
        let mut config = json::parse(&label, &text)?;
        if self.untied {
            config["tie_word_embeddings"] = json!(false);
        }
        if self.model.config().is_packed() {
            // The folder has master weights.
            config["quantization_config"]["quantization_mode"] = json!("online");
        }
        Ok(config)
    }

    /// Name and sizes of every tensor of the folder.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let config = self.model.config();
        let mut list = config.expected_tensors();
        if self.untied {
            let norm = list.iter().position(|(name, _)| name == "lm_head.norm.weight").unwrap_or(list.len());
            list.insert(norm, (HEAD.into(), vec![config.vocab_size(), config.hidden_size()]));
        }
        list
    }

    /// The values of one tensor, projections in the folder's type and all else as it is stored.
    ///
    /// # Errors
    /// [`ModelError::Wire`] if there is no such section, [`ModelError::Tensor`] for a magnitude that the type cannot hold.
    pub fn tensor(&self, name: &str, quantizer: &mut dyn Quantizer) -> Result<Values<'static>> {
        let config: &ModelConfig = self.model.config();
        if config.storable().contains(&name) || config.formats().contains_key(name) {
            return Ok(Values::F32(stored_values(self.model, name)?.into_owned().into()));
        }
        let view = self.model.bundle().tensor(name)?;
        if view.dtype == DType::Trit {
            return self.weights(&view, quantizer);
        }
        Ok(Values::F32(f32s(view.bytes).into()))
    }

    fn too_large(&self, name: &str, at: usize) -> ModelError {
        let expected = format!("values that {} can hold", self.dtype.torch_name());
        let path = self.model.bundle().path();
        ModelError::tensor(
            path,
            name,
            expected,
            format!("a larger one at element {at}"),
            "unpack as f32 or bf16",
        )
    }

    fn weights(&self, view: &TensorView<'_>, quantizer: &mut dyn Quantizer) -> Result<Values<'static>> {
        let trits = unpack_trits(view)?;
        let nonzero = trits.iter().filter(|t| **t != 0).count();
        if nonzero == 0 {
            return Ok(zeros(trits.len(), self.dtype));
        }
        let scale = view.scale.unwrap_or(1.0);
        let mut magnitude = trits.len() as f64 / nonzero as f64 / f64::from(scale);
        let mut seen = vec![0; trits.len()];
        let mut bounds = [0.0, f64::INFINITY];
        let mut best: Option<(f64, Values<'static>)> = None;
        for _ in 0..ATTEMPTS {
            let Some(values) = self.spread(&trits, magnitude, nonzero) else {
                let expected = format!("a magnitude that {} can hold", self.dtype.torch_name());
                let (path, found) = (self.model.bundle().path(), format!("{magnitude:e}"));
                return Err(ModelError::tensor(path, view.name, expected, found, "unpack as f32 or bf16"));
            };
            // Summing so many equal numbers is off by a few roundings, always in the same direction: make up for it.
            let found = quantizer.quantize(&to_f32(&values), &mut seen);
            let ratio = f64::from(found) / f64::from(scale);
            let error = (ratio - 1.0).abs();
            if seen == trits && best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, values));
            }
            if found == scale || !ratio.is_finite() {
                break;
            }
            // A larger scale belongs to a smaller magnitude. Between one that is too small and one that is too large the
            // right one is found by halving; until both are known, by going a little further than the scale says.
            let bound = usize::from(ratio < 1.0);
            bounds[bound] = magnitude;
            magnitude = match bounds {
                [low, high] if low > 0.0 && high < f64::INFINITY => f64::midpoint(low, high),
                _ => magnitude * ratio * ratio,
            };
        }
        best.map(|(_, values)| values).ok_or_else(|| {
            let path = self.model.bundle().path();
            let (expected, found) = ("weights that quantise to the same trits", "others");
            ModelError::tensor(path, view.name, expected, found, "unpack as f32")
        })
    }

    /// The trits with a mean magnitude of those that are not 0; `None` where the type has no numbers around it.
    fn spread(&self, trits: &[i8], magnitude: f64, nonzero: usize) -> Option<Values<'static>> {
        macro_rules! spread {
            ($variant:ident, $type:ty, $from:expr, $to:expr) => {{
                let near: $type = $from(magnitude);
                let low = below(near, |x| $to(x) > magnitude, <$type>::to_bits, <$type>::from_bits);
                let high = <$type>::from_bits(low.to_bits() + 1);
                if !high.is_finite() || $to(low) == 0.0 {
                    return None;
                }
                let upper = share(magnitude, $to(low), $to(high), nonzero);
                Values::$variant(mix(trits, low, high, upper, |x| -x, <$type>::from_bits(0)).into())
            }};
        }
        Some(match self.dtype {
            FloatType::F32 => spread!(F32, f32, |x| x as f32, f64::from),
            // Readers round to f32.
            FloatType::F64 => match spread!(F32, f32, |x| x as f32, f64::from) {
                Values::F32(values) => Values::F64(values.iter().map(|x| f64::from(*x)).collect()),
                other => other,
            },
            FloatType::Bf16 => spread!(Bf16, bf16, bf16::from_f64, bf16::to_f64),
            FloatType::F16 => spread!(F16, f16, f16::from_f64, f16::to_f64),
        })
    }
}

/// The largest number that is not above the wanted one, from the nearest: positive numbers order as their bits do.
fn below<T: Copy, B: std::ops::Sub<Output = B> + From<u8>>(
    near: T,
    above: impl Fn(T) -> bool,
    bits: impl Fn(T) -> B,
    value: impl Fn(B) -> T,
) -> T {
    if above(near) { value(bits(near) - B::from(1)) } else { near }
}

/// How many of `count` numbers have to be `high` rather than `low` for their mean to be `wanted`.
fn share(wanted: f64, low: f64, high: f64, count: usize) -> usize {
    if high > low { ((wanted - low) / (high - low) * count as f64).round() as usize } else { 0 }
}

/// Each trit with a magnitude: the first `upper` that are not zero with `high`, the rest with `low`.
fn mix<T: Copy>(trits: &[i8], low: T, high: T, upper: usize, negate: impl Fn(T) -> T, zero: T) -> Vec<T> {
    let mut seen = 0;
    let one = |trit: &i8| {
        if *trit == 0 {
            return zero;
        }
        seen += 1;
        let magnitude = if seen <= upper { high } else { low };
        if *trit < 0 { negate(magnitude) } else { magnitude }
    };
    trits.iter().map(one).collect()
}

fn zeros(count: usize, dtype: FloatType) -> Values<'static> {
    match dtype {
        FloatType::F32 => Values::F32(vec![0.0; count].into()),
        FloatType::F64 => Values::F64(vec![0.0; count].into()),
        FloatType::F16 => Values::F16(vec![f16::ZERO; count].into()),
        FloatType::Bf16 => Values::Bf16(vec![bf16::ZERO; count].into()),
    }
}

fn unpack_trits(view: &TensorView<'_>) -> Result<Vec<i8>> {
    match (view.layout, view.shape) {
        (Some(layout), &[rows, columns]) => Ok(trits::decode(layout, rows, columns, view.bytes)?),
        _ => Err(WireError::Section {
            path: Path::new("bundle").into(),
            section: view.name.into(),
            expected: "trits".into(),
            found: view.dtype.to_string(),
            remedy: "pack the model again",
        }
        .into()),
    }
}

/// The values as a reader converts them.
fn to_f32<'a>(values: &'a Values<'_>) -> Cow<'a, [f32]> {
    match values {
        Values::F32(v) => Cow::Borrowed(v),
        Values::F64(v) => v.iter().map(|x| *x as f32).collect(),
        Values::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
        Values::Bf16(v) => v.iter().map(|x| x.to_f32()).collect(),
        _ => Cow::Owned(vec![]),
    }
}
