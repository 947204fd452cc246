//! Complex numbers as pairs of real values, as state-space models use them: the graph itself knows real numbers alone.
//!
//! Derivatives are those of the real and the imaginary part, so that the gradient of a real loss with respect to both is what
//! an optimiser wants, and no convention about conjugates is needed.

use crate::attrs;
use crate::cx::Cx;
use crate::dim::Dim;
use crate::op::Op;
use crate::var::Var;
use axes::DType;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// re + i im, two values of one type.
///
/// ```
/// use graph::{Complex, Cx};
/// let cx = Cx::eager();
/// let i = Complex::new(&cx.scalar(0.0), &cx.scalar(1.0));
/// assert_eq!((&i * &i).re.val(), -1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Complex {
    /// The real part.
    pub re: Var,
    /// The imaginary part.
    pub im: Var,
}

impl Complex {
    /// From its parts.
    pub fn new(re: &Var, im: &Var) -> Complex {
        Complex { re: re.clone(), im: im.clone() }
    }
    /// A real number.
    #[track_caller]
    pub fn real(re: &Var) -> Complex {
        Complex { re: re.clone(), im: re.full_like(0.0) }
    }
    /// r e^(iφ).
    #[track_caller]
    pub fn polar(r: &Var, angle: &Var) -> Complex {
        Complex { re: r * &angle.cos(), im: r * &angle.sin() }
    }
    /// Both parts through one function, such as a rearrangement.
    pub fn each(&self, f: impl Fn(&Var) -> Var) -> Complex {
        Complex { re: f(&self.re), im: f(&self.im) }
    }
    /// re - i im.
    #[track_caller]
    pub fn conjugate(&self) -> Complex {
        Complex { re: self.re.clone(), im: -&self.im }
    }
    /// re² + im².
    #[track_caller]
    pub fn abs_square(&self) -> Var {
        self.re.square() + self.im.square()
    }
    /// √(re² + im²); at 0 its derivative is 0.
    #[track_caller]
    pub fn abs(&self) -> Var {
        self.abs_square().sqrt_or_zero()
    }
    /// The angle, in (-π, π]; at 0 it and its derivative are 0.
    #[track_caller]
    pub fn angle(&self) -> Var {
        self.im.atan2(&self.re)
    }
    /// e^z.
    #[track_caller]
    pub fn exp(&self) -> Complex {
        Complex::polar(&self.re.exp(), &self.im)
    }
    /// The principal logarithm.
    #[track_caller]
    pub fn log(&self) -> Complex {
        Complex { re: self.abs_square().log() * 0.5, im: self.angle() }
    }
    /// 1/z.
    #[track_caller]
    pub fn reciprocal(&self) -> Complex {
        self.conjugate().scale(&self.abs_square().reciprocal())
    }
    #[track_caller]
    fn quotient(&self, o: &Complex) -> Complex {
        self * &o.reciprocal()
    }
    /// Times a real value.
    #[track_caller]
    pub fn scale(&self, by: &Var) -> Complex {
        self.each(|v| v * by)
    }
    /// Sum over axes.
    #[track_caller]
    pub fn sum(&self, axes: &[usize]) -> Complex {
        self.each(|v| v.sum(axes))
    }
    /// Sum of products over paired axes; see [`Var::dot_general`].
    #[track_caller]
    pub fn dot_general(
        &self,
        o: &Complex,
        contract: (&[usize], &[usize]),
        batch: (&[usize], &[usize]),
    ) -> Complex {
        let dot = |a: &Var, b: &Var| a.dot_general(b, contract, batch);
        Complex {
            re: dot(&self.re, &o.re) - dot(&self.im, &o.im),
            im: dot(&self.re, &o.im) + dot(&self.im, &o.re),
        }
    }
    /// Transformed along the last axis, not scaled.
    #[track_caller]
    fn transformed(&self, inverse: bool) -> Complex {
        let cx = if self.im.cx().depth() > self.re.cx().depth() { self.im.cx() } else { self.re.cx() };
        let made = cx.push(Op::Fourier, attrs! { inverse: Bool(inverse) }, &[&self.re, &self.im]);
        match &made[..] {
            [re, im, ..] => Complex::new(re, im),
            _ => Complex::new(&cx.poison(), &cx.poison()),
        }
    }
    /// The discrete Fourier transform along the last axis, of any length: Σ x_j e^(-2πi jk/n).
    #[track_caller]
    pub fn fft(&self) -> Complex {
        self.transformed(false)
    }
    /// What [`Complex::fft`] transforms to this.
    #[track_caller]
    pub fn ifft(&self) -> Complex {
        let n = self.re.shape().last().cloned().unwrap_or(Dim::from(1));
        let count = self.re.cx().size_of(&n, self.re.dtype());
        self.transformed(true).each(|v| v / &count)
    }
    /// The transform along several axes.
    #[track_caller]
    pub fn fft_axes(&self, axes: &[usize], inverse: bool) -> Complex {
        axes.iter().fold(self.clone(), |z, axis| {
            let rank = z.re.ty().rank();
            let mut perm: Vec<usize> = (0..rank).collect();
            if *axis < rank {
                perm.swap(*axis, rank - 1);
            }
            let z = z.each(|v| v.transpose(&perm));
            let z = if inverse { z.ifft() } else { z.fft() };
            z.each(|v| v.transpose(&perm))
        })
    }
    /// The `n` real numbers whose [`Var::rfft`] this is.
    #[track_caller]
    pub fn irfft(&self, n: usize) -> Var {
        let axis = self.re.ty().rank().saturating_sub(1);
        let half = n / 2 + 1;
        if n == 0 || self.re.shape().get(axis).and_then(Dim::fixed) != Some(half) {
            return self
                .re
                .refuse("irfft", format!("{n} numbers have {half} coefficients, not {}", self.re.ty()));
        }
        // What is missing are the conjugates of coefficients 1, 2, … in opposite order.
        let mirror = |v: &Var| v.slice_axis(axis, 1, n.div_ceil(2)).reverse(axis);
        let re = Var::concatenate(&[&self.re, &mirror(&self.re)], axis);
        let im = Var::concatenate(&[&self.im, &-mirror(&self.im)], axis);
        Complex { re, im }.ifft().re
    }
    /// h_t = self_t h_(t-1) + drive_t along the first axis, from `start`: the recurrence of a diagonal state-space model.
    #[track_caller]
    pub fn linear_scan(&self, drive: &Complex, start: &Complex) -> Complex {
        let cx = self.re.cx();
        let (_, h) =
            cx.scan(&[&start.re, &start.im], &[&self.re, &self.im, &drive.re, &drive.im], false, |h, x| {
                let h = &Complex::new(&x[0], &x[1]) * &Complex::new(&h[0], &h[1]);
                let h = &h + &Complex::new(&x[2], &x[3]);
                (vec![h.re.clone(), h.im.clone()], vec![h.re, h.im])
            });
        match &h[..] {
            [re, im, ..] => Complex::new(re, im),
            _ => Complex::new(&cx.poison(), &cx.poison()),
        }
    }
}

impl Var {
    /// The coefficients 0 … n/2 of the discrete Fourier transform of real numbers along the last axis; the others are their
    /// conjugates.
    #[track_caller]
    pub fn rfft(&self) -> Complex {
        let axis = self.ty().rank().saturating_sub(1);
        let Some(n) = self.shape().last().and_then(Dim::fixed) else {
            let poison = self.refuse("rfft", format!("the last axis of {} has no fixed size", self.ty()));
            return Complex::new(&poison, &poison);
        };
        Complex::real(self).fft().each(|v| v.slice_axis(axis, 0, n / 2 + 1))
    }
    /// The causal convolution along the last axis, y_t = Σ_{s ≤ t} k_s x_(t-s), by Fourier transforms: n log n instead of n².
    /// `kernel` has this value's shape, or its last axis alone.
    #[track_caller]
    pub fn fft_convolution(&self, kernel: &Var) -> Var {
        let axis = self.ty().rank().saturating_sub(1);
        let kernel =
            if kernel.ty().rank() < self.ty().rank() { kernel.broadcast_like(self) } else { kernel.clone() };
        let Some(n) = self.shape().last().and_then(Dim::fixed).filter(|n| *n > 0) else {
            return self.refuse(
                "fft_convolution",
                format!("the last axis of {} has no fixed size above 0", self.ty()),
            );
        };
        // Long enough that the end does not come round to the beginning.
        let long = (2 * n - 1).next_power_of_two();
        let mut high = vec![Dim::from(0); axis + 1];
        high[axis] = Dim::from(long - n);
        let spectrum = |v: &Var| v.pad(&vec![Dim::from(0); axis + 1], &high, 0.0).rfft();
        (&spectrum(self) * &spectrum(&kernel)).irfft(long).slice_axis(axis, 0, n)
    }
}

impl Cx {
    /// e^(k z) for k = 0, 1, … along a new last axis of `n`: the powers of a diagonal state matrix, as the kernel of S4 sums
    /// them.
    #[track_caller]
    pub fn powers(&self, z: &Complex, n: &Dim, dtype: DType) -> Complex {
        let k = self.iota(DType::I64, std::slice::from_ref(n)).convert(dtype);
        let wide = z.each(|v| v.broadcast_last(n));
        let rank = wide.re.ty().rank();
        let k = k.broadcast(&wide.re.shape(), &[rank.saturating_sub(1)]);
        wide.scale(&k).exp()
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $made:expr) => {
        impl $trait<&Complex> for &Complex {
            type Output = Complex;
            #[track_caller]
            fn $method(self, o: &Complex) -> Complex {
                let ($a, $b) = (self, o);
                $made
            }
        }
        impl $trait<Complex> for Complex {
            type Output = Complex;
            #[track_caller]
            fn $method(self, o: Complex) -> Complex {
                (&self).$method(&o)
            }
        }
    };
}
operator!(Add, add, |a, b| Complex { re: &a.re + &b.re, im: &a.im + &b.im });
operator!(Sub, sub, |a, b| Complex { re: &a.re - &b.re, im: &a.im - &b.im });
operator!(Mul, mul, |a, b| Complex { re: &a.re * &b.re - &a.im * &b.im, im: &a.re * &b.im + &a.im * &b.re });
operator!(Div, div, |a, b| a.quotient(b));

impl Neg for &Complex {
    type Output = Complex;
    #[track_caller]
    fn neg(self) -> Complex {
        self.each(|v| -v)
    }
}
