//! Losses. Each is a mean over all elements, or over all rows of classes.

use crate::var::Var;

impl Var {
    /// Mean of (x - y)².
    #[track_caller]
    pub fn mse_loss(&self, target: &Var) -> Var {
        (self - target).square().mean_all()
    }
    /// Mean of |x - y|; 0 is its derivative where they are equal.
    #[track_caller]
    pub fn l1_loss(&self, target: &Var) -> Var {
        (self - target).abs().mean_all()
    }
    /// Mean of r²/2 for |r| ≤ `delta`, else `delta` (|r| - `delta`/2), with r = x - y (Huber 1964).
    #[track_caller]
    pub fn huber_loss(&self, target: &Var, delta: f64) -> Var {
        let r = self - target;
        let size = r.abs();
        let inside = size.le(&size.full_like(delta));
        inside.select(&(r.square() * 0.5), &((size - delta * 0.5) * delta)).mean_all()
    }
    /// Mean of -(y ln p + (1 - y) ln (1 - p)) for probabilities p; logarithms are kept above -100.
    #[track_caller]
    pub fn bce_loss(&self, target: &Var) -> Var {
        let log = |p: &Var| p.safe_log((-100f64).exp());
        let q = 1.0 - self;
        -((target * &log(self)) + (1.0 - target) * log(&q)).mean_all()
    }
    /// [`Var::bce_loss`] of sigmoid(x), without the loss of digits: mean of softplus(x) - x y.
    #[track_caller]
    pub fn bce_with_logits_loss(&self, target: &Var) -> Var {
        (self.softplus() - self * target).mean_all()
    }
    /// Mean of -log p of the class of each row, for log-probabilities (N, V) and labels i64 (N).
    #[track_caller]
    pub fn nll_loss(&self, labels: &Var) -> Var {
        -self.take_along(&labels.unsqueeze(1), 1).mean_all()
    }
    /// Mean of Σ q (ln q - ln p) over the rows, for log-probabilities ln p and probabilities q (…, V); 0 ln 0 is 0.
    #[track_caller]
    pub fn kl_loss(&self, target: &Var) -> Var {
        let zero = target.full_like(0.0);
        let none = target.equal(&zero);
        let entropy = target * &none.select(&target.full_like(1.0), target).log();
        let last = self.ty().rank().saturating_sub(1);
        (entropy - target * self).sum(&[last]).mean_all()
    }
}
