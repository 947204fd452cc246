//! A learning rate that the measured flip rate controls.

use graph::Var;

use super::rules::marked;

/// The constants of the control; see the module's head. κ is a state, one number for each matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlipRate {
    /// How fast κ follows, γ.
    pub gain: f64,
    /// η_min, as a learning rate.
    pub least: f64,
    /// η_max, as a learning rate. It keeps fixed points: where the gradient vanishes, so does the update.
    pub most: f64,
}

/// Keeps the division by RMS(u) finite.
const EPS: f64 = 1e-30;

impl FlipRate {
    /// η u for weights w and a direction u of their shape, κ rank 0. It refuses to be differentiated.
    pub fn update(&self, kappa: &Var, w: &Var, u: &Var) -> Var {
        let (_, s) = w.quantize_weights();
        let rms = u.square().mean_all().sqrt();
        let rate = kappa / &s / &(rms + EPS);
        let rate = rate.clamp(self.least, self.most);
        marked(&(u * &rate), "ags-flip-rate")
    }

    /// The share of trits that differ between the weights before and after an update, rank 0.
    pub fn measured(before: &Var, after: &Var) -> Var {
        let trit = |w: &Var| w.quantize_weights().0.convert(w.dtype());
        let (a, b) = (trit(before), trit(after));
        a.not_equal(&b).convert(before.dtype()).mean_all()
    }

    /// κ after an update at which the share `measured` of the trits flipped; `wanted` is above 0. Both rank 0.
    pub fn next(&self, kappa: &Var, measured: &Var, wanted: &Var) -> Var {
        let off = ((wanted - measured) / wanted).clamp(-1.0, 1.0);
        kappa * &(off * self.gain).exp()
    }
}
