//! Functions of one element (and a few of two).
//!
//! At a kink the derivative is that of the branch which the value took; the comment of a function names the branch.

use crate::attrs::Attrs;
use crate::op::Op;
use crate::var::Var;

impl Var {
    #[track_caller]
    fn one(&self, op: Op) -> Var {
        self.cx.push1(op, Attrs::new(), &[self])
    }

    /// Inverse sine, in [-π/2, π/2].
    #[track_caller]
    pub fn asin(&self) -> Var {
        self.one(Op::Asin)
    }
    /// Inverse cosine, in [0, π].
    #[track_caller]
    pub fn acos(&self) -> Var {
        self.one(Op::Acos)
    }
    /// Inverse tangent, in [-π/2, π/2].
    #[track_caller]
    pub fn atan(&self) -> Var {
        self.one(Op::Atan)
    }
    /// The error function.
    #[track_caller]
    pub fn erf(&self) -> Var {
        self.one(Op::Erf)
    }
    /// ln(1 + x), accurate where x is small.
    #[track_caller]
    pub fn log1p(&self) -> Var {
        self.one(Op::Log1p)
    }
    /// e^x - 1, accurate where x is small.
    #[track_caller]
    pub fn expm1(&self) -> Var {
        self.one(Op::Expm1)
    }
    /// ln(1 + e^x), a smooth relu.
    #[track_caller]
    pub fn softplus(&self) -> Var {
        self.one(Op::Softplus)
    }
    /// ln sigmoid(x), which does not underflow.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Var {
        -(-self).softplus()
    }
    /// Tangent.
    #[track_caller]
    pub fn tan(&self) -> Var {
        self.sin() / self.cos()
    }
    /// Hyperbolic sine, accurate where x is small.
    #[track_caller]
    pub fn sinh(&self) -> Var {
        (self.expm1() - (-self).expm1()) * 0.5
    }
    /// Hyperbolic cosine.
    #[track_caller]
    pub fn cosh(&self) -> Var {
        (self.exp() + (-self).exp()) * 0.5
    }
    /// Smallest integer not below.
    #[track_caller]
    pub fn ceil(&self) -> Var {
        -(-self).floor()
    }
    /// x³.
    #[track_caller]
    pub fn cube(&self) -> Var {
        self.square() * self
    }
    /// x for x > 0, `slope` x otherwise; at 0 its derivative is `slope`.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Var {
        self.gt(&self.full_like(0.0)).select(self, &(self * slope))
    }
    /// x for x > 0, `alpha` (e^x - 1) otherwise (Clevert et al. 2015); at 0 the second branch.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Var {
        // The exponential sees nothing positive, or the branch not taken would overflow into the derivative.
        let zero = self.full_like(0.0);
        let positive = self.gt(&zero);
        positive.select(self, &(positive.select(&zero, self).expm1() * alpha))
    }
    /// x Φ(x), with Φ the distribution function of the normal distribution (Hendrycks and Gimpel 2016).
    #[track_caller]
    pub fn gelu(&self) -> Var {
        self * &(((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5)
    }
    /// The approximation x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) of [`Var::gelu`] that GPT-2 uses.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Var {
        let inner = (self + &(self.cube() * 0.044715)) * (2.0 / std::f64::consts::PI).sqrt();
        self * &((inner.tanh() + 1.0) * 0.5)
    }
    /// x tanh(softplus(x)) (Misra 2019).
    #[track_caller]
    pub fn mish(&self) -> Var {
        self * &self.softplus().tanh()
    }
    /// x / (1 + |x|).
    #[track_caller]
    pub fn softsign(&self) -> Var {
        self / &(self.abs() + 1.0)
    }
    /// The logarithm of what is at least `floor`, so that 0 does not become -∞; below the floor its derivative is 0.
    #[track_caller]
    pub fn safe_log(&self, floor: f64) -> Var {
        self.max(&self.full_like(floor)).log()
    }
    /// The angle of the point (x, self) from the first axis, in (-π, π]; 0 at the origin, where its derivative is 0.
    #[track_caller]
    pub fn atan2(&self, x: &Var) -> Var {
        let y = self;
        let zero = x.full_like(0.0);
        let pi = || x.full_like(1.0).atan() * 4.0;
        // The quotient that is at most one, so that neither axis divides by zero.
        let steep = y.abs().gt(&x.abs());
        let origin = x.equal(&zero).and(&y.equal(&zero));
        let (above, below) = (steep.select(x, y), steep.select(y, x));
        let angle = (above / origin.select(&x.full_like(1.0), &below)).atan();
        let half = pi() * 0.5;
        let up = y.ge(&zero).select(&half, &-&half) - &angle;
        let turned = y.ge(&zero).select(&(&angle + &pi()), &(&angle - &pi()));
        let flat = x.lt(&zero).select(&turned, &angle);
        origin.select(&zero, &steep.select(&up, &flat))
    }
    /// √(x² + y²); 0 at the origin, where its derivative is 0.
    #[track_caller]
    pub fn hypot(&self, y: &Var) -> Var {
        (self.square() + y.square()).sqrt_or_zero()
    }
    /// ln(e^x + e^y), without overflow.
    #[track_caller]
    pub fn log_add_exp(&self, y: &Var) -> Var {
        y + &(self - y).softplus()
    }
}
