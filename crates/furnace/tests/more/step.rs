//! Complex numbers for the complex step (Squire and Trapp 1998): f(x + i h v) / h has the derivative of f along v as its
//! imaginary part, without a difference of numbers that are nearly equal. So h may be so small that nothing else is seen.

use graph::Scalar;
use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// re + i im; its order, and every choice that is made by comparing, is that of the real parts.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

/// The step. Its square is not seen next to anything.
pub(crate) const H: f64 = 1e-40;

fn z(re: f64, im: f64) -> Step {
    Step { re, im }
}

impl PartialEq for Step {
    fn eq(&self, o: &Step) -> bool {
        self.re == o.re
    }
}
impl PartialOrd for Step {
    fn partial_cmp(&self, o: &Step) -> Option<Ordering> {
        self.re.partial_cmp(&o.re)
    }
}
impl Add for Step {
    type Output = Step;
    fn add(self, o: Step) -> Step {
        z(self.re + o.re, self.im + o.im)
    }
}
impl Sub for Step {
    type Output = Step;
    fn sub(self, o: Step) -> Step {
        z(self.re - o.re, self.im - o.im)
    }
}
impl Mul for Step {
    type Output = Step;
    fn mul(self, o: Step) -> Step {
        z(self.re * o.re - self.im * o.im, self.re * o.im + self.im * o.re)
    }
}
impl Div for Step {
    type Output = Step;
    fn div(self, o: Step) -> Step {
        let size = o.re * o.re + o.im * o.im;
        z((self.re * o.re + self.im * o.im) / size, (self.im * o.re - self.re * o.im) / size)
    }
}
impl Neg for Step {
    type Output = Step;
    fn neg(self) -> Step {
        z(-self.re, -self.im)
    }
}

impl Scalar for Step {
    fn from_f64(x: f64) -> Step {
        z(x, 0.0)
    }
    fn to_f64(&self) -> f64 {
        self.re
    }
    fn exp(&self) -> Step {
        let size = self.re.exp();
        z(size * self.im.cos(), size * self.im.sin())
    }
    fn ln(&self) -> Step {
        // Of negative numbers the graph knows no logarithm either.
        z(self.re.ln(), self.im.atan2(self.re))
    }
    fn sqrt(&self) -> Step {
        let re = self.re.sqrt();
        z(re, self.im / (2.0 * re))
    }
    fn tanh(&self) -> Step {
        let (two, wave) = (2.0 * self.re, 2.0 * self.im);
        let below = two.cosh() + wave.cos();
        z(self.re.tanh(), wave.sin() / below)
    }
    fn sin(&self) -> Step {
        z(self.re.sin() * self.im.cosh(), self.re.cos() * self.im.sinh())
    }
    fn cos(&self) -> Step {
        z(self.re.cos() * self.im.cosh(), -(self.re.sin() * self.im.sinh()))
    }
    // The inverse functions as far as the step shows: what follows is of its square.
    fn asin(&self) -> Step {
        z(self.re.asin(), self.im / (1.0 - self.re * self.re).sqrt())
    }
    fn acos(&self) -> Step {
        z(self.re.acos(), -self.im / (1.0 - self.re * self.re).sqrt())
    }
    fn atan(&self) -> Step {
        z(self.re.atan(), self.im / (1.0 + self.re * self.re))
    }
    fn powf(&self, y: &Step) -> Step {
        let by_base = y.re * self.re.powf(y.re - 1.0) * self.im;
        let value = self.re.powf(y.re);
        z(value, by_base + if y.im == 0.0 { 0.0 } else { value * self.re.ln() * y.im })
    }
    fn floor(&self) -> Step {
        z(self.re.floor(), 0.0)
    }
    fn round_half_even(&self) -> Step {
        z(self.re.round_ties_even(), 0.0)
    }
}
