//! Ternary matrices whose blocks have scales of their own, with one scale for each matrix: what a form that has one needs.
//!
//! The trits stay. Of all numbers d, the one for which d times the trits is nearest to the weights by least squares is the
//! mean magnitude of those that are not 0. What that loses is counted for each matrix, so that nobody has to guess.

use std::borrow::Cow;
use std::collections::BTreeMap;

use barewire::gguf::GgmlType;

use super::Exchange;
use crate::architecture::ModelConfig;
use crate::error::{ModelError, Result};
use crate::gguf::Scale;

/// A source in which every ternary matrix has one scale.
pub struct OneScale<'a> {
    source: &'a mut dyn Exchange,
    config: ModelConfig,
    merged: BTreeMap<String, f32>,
    loss: Loss,
}

/// What is lost by one scale for a matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// Matrices that had many.
    pub matrices: usize,
    /// √(Σ (w − d t)² / Σ w²) over all of them.
    pub error: f64,
    /// The largest of a matrix.
    pub worst: f64,
}

impl Loss {
    /// A line about it.
    pub fn told(&self) -> String {
        format!(
            "{} matrices have a scale for each block of numbers; with one for the matrix their weights are off by {:.2} % \
             (root mean square), in the worst matrix by {:.2} %",
            self.matrices,
            100.0 * self.error,
            100.0 * self.worst
        )
    }
}

impl<'a> OneScale<'a> {
    /// Finds the scales: every such matrix is decoded once.
    ///
    /// # Errors
    /// [`ModelError::Value`] for a matrix with a block that is not −d, 0 and d alone; those of the source.
    pub fn new(source: &'a mut dyn Exchange) -> Result<Self> {
        let formats = source.config().formats().clone();
        let config = source.config().with_formats("config.json".as_ref(), BTreeMap::new())?;
        let config = config.unwrap_or_else(|| source.config().clone());
        // Those that the architecture does not call ternary stay in blocks.
        let ternary: std::collections::BTreeSet<String> = config.projections().into_iter().collect();
        let rest = formats.iter().filter(|(name, _)| !ternary.contains(*name)).map(|(n, f)| (n.clone(), *f));
        let config = config.with_formats("config.json".as_ref(), rest.collect())?.unwrap_or(config);
        let (mut merged, mut loss, mut sums) = (BTreeMap::new(), Loss::default(), [0.0, 0.0]);
        for (name, format) in formats.iter().filter(|(name, _)| ternary.contains(*name)) {
            let numbers = source.numbers(name)?;
            for block in numbers.chunks(format.block()) {
                let d = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                if !d.is_finite() || block.iter().any(|x| *x != 0.0 && x.abs() != d) {
                    return Err(ModelError::Value {
                        what: format!("`{name}`"),
                        expected: "blocks of −d, 0 and d".into(),
                        found: format!("other numbers in {format}"),
                        remedy:
                            "its weights are no trits: write a .gguf or a .fid, which keep them as they are"
                                .into(),
                    });
                }
            }
            let sum = |f: &dyn Fn(f64) -> f64| numbers.iter().map(|x| f(f64::from(*x))).sum::<f64>();
            let count = numbers.iter().filter(|x| **x != 0.0).count();
            let d = if count == 0 { 1e-5 } else { (sum(&f64::abs) / count as f64) as f32 };
            let [lost, all] =
                [sum(&|x| (x - f64::from(d) * sign(x)).powi(2)), sum(&|x| x * x).max(f64::MIN_POSITIVE)];
            loss.worst = loss.worst.max((lost / all).sqrt());
            (sums[0], sums[1]) = (sums[0] + lost, sums[1] + all);
            merged.insert(name.clone(), d);
        }
        loss.matrices = merged.len();
        loss.error = (sums[0] / sums[1].max(f64::MIN_POSITIVE)).sqrt();
        Ok(Self { source, config, merged, loss })
    }

    /// What is lost.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }
}

/// −1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

impl Exchange for OneScale<'_> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        self.source.files()
    }

    fn stored(&self, name: &str) -> Result<GgmlType> {
        self.source.stored(name)
    }

    fn kept(&self, name: &str) -> Option<GgmlType> {
        self.source.kept(name)
    }

    fn bytes(&self, name: &str, kind: GgmlType) -> Option<&[u8]> {
        if self.merged.contains_key(name) { None } else { self.source.bytes(name, kind) }
    }

    fn numbers(&mut self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.source.numbers(name)
    }

    fn trits(&mut self, name: &str) -> Result<(Vec<i8>, Scale)> {
        let Some(d) = self.merged.get(name) else { return self.source.trits(name) };
        let trits = self.source.numbers(name)?.iter().map(|x| sign(f64::from(*x)) as i8).collect();
        Ok((trits, Scale::Multiply(*d)))
    }

    fn scale(&mut self, name: &str) -> Result<Scale> {
        match self.merged.get(name) {
            Some(d) => Ok(Scale::Multiply(*d)),
            None => self.source.scale(name),
        }
    }
}
