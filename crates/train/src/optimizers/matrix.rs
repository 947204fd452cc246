//! What Muon and Bop do to a whole matrix.

use graph::Var;

/// The coefficients of the quintic iteration: they carry singular values from 0.01 to 1 to about 0.7 to 1.2 in five
/// steps, faster than an iteration that converges to 1 would.
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Steps of the iteration.
const STEPS: usize = 5;

/// The nearest semi-orthogonal matrix to g (rows, columns), roughly: singular vectors stay, singular values become about
/// 1 (Jordan et al. 2024). X ← a X + (b A + c A²) X with A = X Xᵀ, on the side where A is smaller.
pub fn newton_schulz(g: &Var) -> Var {
    let shape = g.shape();
    let [rows, columns] = [0, 1].map(|axis| shape.get(axis).and_then(graph::Dim::fixed).unwrap_or(1));
    let tall = rows > columns;
    let x = if tall { g.transpose(&[1, 0]) } else { g.clone() };
    let norm = x.square().sum_all().sqrt() + 1e-7;
    let mut x = x / &norm;
    let [a, b, c] = QUINTIC;
    for _ in 0..STEPS {
        let gram = x.linear(&x);
        let polynomial = &gram * b + &(gram.matmul(&gram) * c);
        x = &x * a + polynomial.matmul(&x);
    }
    if tall { x.transpose(&[1, 0]) } else { x }
}

/// Weights whose trits are those of p, moved one level against m where |m| ≥ τ; for weights of ±1 that is the published
/// rule, which flips where m has the weight's sign.
///
/// What is kept is made for the quantiser: each trit times `mean|p| / density`, so that the mean magnitude, and with it
/// the scale of the matrix, stays as it is.
pub fn ternary_bop(p: &Var, m: &Var, threshold: f64) -> Var {
    let (trits, s) = p.quantize_weights();
    let t = trits.convert(p.dtype());
    let moves = m.abs().ge(&m.full_like(threshold)).convert(p.dtype());
    let t = (t - m.sign() * &moves).clamp(-1.0, 1.0);
    let density = t.abs().mean_all();
    // All zeros have no magnitude to keep; any divisor will do.
    let density = density.max(&density.full_like(1e-12));
    t * &(s.reciprocal() / &density)
}
