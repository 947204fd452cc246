//! Numerical twins of the operators: central differences of a function's values, for checking.
//!
//! Error O(h²) from the formula and O(ε/h) (O(ε/h²) for second derivatives) from rounding, so h near ε^(1/3) (ε^(1/4)).
//! They need values, so they work in eager builders only; their results are constants, through which nothing is
//! differentiated.

use graph::{Array, GraphError, Var};

/// `f` at other values of the operand: constants of its builder.
fn at(f: &impl Fn(&Var) -> Var, x: &Var, values: &[f64]) -> Vec<f64> {
    let sizes: Vec<usize> = x.ty().fixed_shape().unwrap_or_default();
    let y = f(&x.cx().array(x.dtype(), &sizes, values));
    y.array().map(|a| a.to_f64()).unwrap_or_else(|e| {
        x.cx().fail(e);
        vec![]
    })
}

fn start(x: &Var) -> Array<f64> {
    x.array().unwrap_or_else(|e| {
        x.cx().fail(e);
        Array::from_f64(axes::DType::F64, [0], &[])
    })
}

fn moved(x: &[f64], direction: &[f64], h: f64) -> Vec<f64> {
    x.iter().zip(direction).map(|(x, d)| x + h * d).collect()
}

fn unit(n: usize, i: usize) -> Vec<f64> {
    (0..n).map(|k| f64::from(u8::from(k == i))).collect()
}

/// (f(x + h d) − f(x − h d)) / 2h.
fn slope(f: &impl Fn(&Var) -> Var, x: &Var, d: &[f64], h: f64) -> Vec<f64> {
    let x0 = start(x).to_f64();
    let (up, down) = (at(f, x, &moved(&x0, d, h)), at(f, x, &moved(&x0, d, -h)));
    up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * h)).collect()
}

fn constant(like: &Var, shape: &[usize], values: &[f64]) -> Var {
    if values.len() != shape.iter().product::<usize>() {
        return like.cx().poison();
    }
    like.cx().array(like.dtype(), shape, values)
}

fn sizes(v: &Var) -> Vec<usize> {
    v.ty().fixed_shape().unwrap_or_default()
}

/// The directional derivative along `t`.
pub fn jvp(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var, &Var) -> Var {
    move |x, t| {
        let shape = sizes(&f(x));
        constant(x, &shape, &slope(&f, x, &start(t).to_f64(), h))
    }
}

/// The derivative of a function of one number.
pub fn diff(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    diffn(1, f, h)
}

/// The second derivative of a function of one number.
pub fn diff2(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    diffn(2, f, h)
}

/// The n-th derivative of a function of one number: Σ (−1)^k C(n, k) f(x + (n/2 − k) s) / s^n with s = 2h for n = 1, else h.
pub fn diffn(n: usize, f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    move |x| {
        let shape = sizes(&f(x));
        let x0 = start(x).to_f64();
        let step = if n == 1 { 2.0 * h } else { h };
        let mut sum = vec![0.0; shape.iter().product()];
        let mut binomial = 1.0;
        for k in 0..=n {
            let from = moved(&x0, &[1.0], (n as f64 / 2.0 - k as f64) * step);
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            sum.iter_mut().zip(at(&f, x, &from)).for_each(|(s, y)| *s += sign * binomial * y);
            binomial = binomial * (n - k) as f64 / (k + 1) as f64;
        }
        let scale = step.powi(n as i32);
        constant(x, &shape, &sum.iter().map(|s| s / scale).collect::<Vec<_>>())
    }
}

/// The Jacobian, sizes (result…, operand…).
pub fn jacobian(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    move |x| {
        let (result, operand) = (sizes(&f(x)), sizes(x));
        let (m, n): (usize, usize) = (result.iter().product(), operand.iter().product());
        let mut j = vec![0.0; m * n];
        for k in 0..n {
            for (i, s) in slope(&f, x, &unit(n, k), h).into_iter().enumerate() {
                j[i * n + k] = s;
            }
        }
        constant(x, &[result, operand].concat(), &j)
    }
}

/// The gradient of a scalar function.
pub fn grad(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    let j = jacobian(f, h);
    move |x| {
        let j = j(x);
        if !j.is_poison() && j.ty() != x.ty() {
            let problem = format!("the function must return a number (rank 0), found a Jacobian {}", j.ty());
            x.cx().fail(GraphError::NotDifferentiable { op: "numerical::grad", problem });
        }
        j
    }
}

/// The product of a cotangent with the Jacobian.
pub fn vjp(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var, &Var) -> Var {
    move |x, ct| {
        let c = start(ct).to_f64();
        let n = start(x).len();
        let product = |k: usize| slope(&f, x, &unit(n, k), h).iter().zip(&c).map(|(s, c)| s * c).sum();
        constant(x, &sizes(x), &(0..n).map(product).collect::<Vec<f64>>())
    }
}

/// The matrix of second derivatives of a scalar function.
pub fn hessian(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    move |x| {
        let x0 = start(x).to_f64();
        let n = x0.len();
        let value = |a: f64, i: usize, b: f64, j: usize| {
            let p = moved(&moved(&x0, &unit(n, i), a * h), &unit(n, j), b * h);
            at(&f, x, &p).first().copied().unwrap_or(f64::NAN)
        };
        let mut all = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let d = value(1.0, i, 1.0, j) - value(1.0, i, -1.0, j) - value(-1.0, i, 1.0, j)
                    + value(-1.0, i, -1.0, j);
                (all[i * n + j], all[j * n + i]) = (d / (4.0 * h * h), d / (4.0 * h * h));
            }
        }
        constant(x, &[sizes(x), sizes(x)].concat(), &all)
    }
}

/// The second derivatives of a scalar function times a direction.
pub fn hvp(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var, &Var) -> Var {
    let all = hessian(f, h);
    move |x, v| {
        let (m, d) = (start(&all(x)).to_f64(), start(v).to_f64());
        let n = d.len();
        let row = |i: usize| (0..n).map(|j| m[i * n + j] * d[j]).sum();
        constant(x, &sizes(x), &(0..n).map(row).collect::<Vec<f64>>())
    }
}

/// The sum of the second derivatives along each element of the operand.
pub fn laplacian(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    move |x| {
        let x0 = start(x).to_f64();
        let n = x0.len();
        let y0 = f(x);
        let middle = start(&y0).to_f64();
        let mut sum = vec![0.0; middle.len()];
        for i in 0..n {
            let d = unit(n, i);
            let (up, down) = (at(&f, x, &moved(&x0, &d, h)), at(&f, x, &moved(&x0, &d, -h)));
            for (k, s) in sum.iter_mut().enumerate() {
                *s += (up[k] - 2.0 * middle[k] + down[k]) / (h * h);
            }
        }
        constant(x, &sizes(&y0), &sum)
    }
}

/// ∇ · f of a field of vectors.
pub fn divergence(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    let j = jacobian(f, h);
    move |x| {
        let (j, n) = (start(&j(x)).to_f64(), start(x).len());
        constant(x, &[], &[(0..n).map(|i| j[i * n + i]).sum()])
    }
}

/// ∇ × f of a field in three dimensions.
pub fn curl(f: impl Fn(&Var) -> Var, h: f64) -> impl Fn(&Var) -> Var {
    let j = jacobian(f, h);
    move |x| {
        let j = start(&j(x)).to_f64();
        if j.len() != 9 {
            let problem = format!("it is defined for a map between vectors of size 3, found {}", x.ty());
            x.cx().fail(GraphError::NotDifferentiable { op: "numerical::curl", problem });
            return x.cx().poison();
        }
        constant(x, &[3], &[j[7] - j[5], j[2] - j[6], j[3] - j[1]])
    }
}
