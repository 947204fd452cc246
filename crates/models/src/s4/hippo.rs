//! The HiPPO-LegS matrix as a normal matrix less a product of rank one, and its eigenvectors.
//!
//! A + P Pᵀ = −½ I + S with S_ij = ∓½ √((2i+1)(2j+1)) (− below the diagonal), skew. S v = ω u and S u = −ω v for an
//! eigenvector v of −S², so that (v + i u) / √2 belongs to the eigenvalue −iω of S; the other half are conjugates.

/// A complex number.
pub(crate) type Pair = (f64, f64);

/// What belongs to the eigenvalues −½ − iω.
pub(crate) struct HalfHippo {
    /// ω, falling.
    pub(crate) omega: Vec<f64>,
    /// The eigenvector of each, N numbers.
    pub(crate) vectors: Vec<Vec<Pair>>,
    /// V* P.
    pub(crate) p: Vec<Pair>,
    /// V* B.
    pub(crate) b: Vec<Pair>,
}

/// The half of N eigenvalues with negative imaginary parts, N even.
pub(crate) fn half_hippo(n: usize) -> HalfHippo {
    let root = |i: usize| ((2 * i + 1) as f64).sqrt();
    let skew = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Greater => -0.5 * root(i) * root(j),
        std::cmp::Ordering::Less => 0.5 * root(i) * root(j),
        std::cmp::Ordering::Equal => 0.0,
    };
    let times = |v: &[f64]| -> Vec<f64> { (0..n).map(|i| (0..n).map(|j| skew(i, j) * v[j]).sum()).collect() };
    // −S² = Sᵀ S.
    let square: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| skew(k, i) * skew(k, j)).sum()).collect()).collect();
    let mut pairs = symmetric(square);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut made = HalfHippo { omega: vec![], vectors: vec![], p: vec![], b: vec![] };
    for (square, v) in pairs.into_iter().step_by(2) {
        let omega = square.max(0.0).sqrt();
        let u: Vec<f64> = times(&v).into_iter().map(|x| x / omega.max(1e-300)).collect();
        let half = std::f64::consts::FRAC_1_SQRT_2;
        // The phase in which P, and with it B, is −i times its size: that of the published values.
        let project = |z: &[f64]| z.iter().enumerate().map(|(i, x)| x * (i as f64 + 0.5).sqrt()).sum::<f64>();
        let (a, b) = (project(&v), -project(&u));
        let size = a.hypot(b).max(1e-300);
        let turn = (-b / size, a / size);
        let vector: Vec<Pair> = v
            .iter()
            .zip(&u)
            .map(|(a, b)| (half * (a * turn.0 - b * turn.1), half * (a * turn.1 + b * turn.0)))
            .collect();
        let project = |f: &dyn Fn(usize) -> f64| {
            vector.iter().enumerate().fold((0.0, 0.0), |s, (i, z)| (s.0 + z.0 * f(i), s.1 - z.1 * f(i)))
        };
        made.p.push(project(&|i| (i as f64 + 0.5).sqrt()));
        made.b.push(project(&root));
        made.omega.push(omega);
        made.vectors.push(vector);
    }
    made
}

/// Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations.
fn symmetric(mut a: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let n = a.len();
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].powi(2)).sum();
        let on: f64 = (0..n).map(|i| a[i][i].powi(2)).sum();
        if off <= 1e-30 * on {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut a {
                    let (x, y) = (row[p], row[q]);
                    (row[p], row[q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p][k], a[q][k]);
                    (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
                }
                // Row k of v is eigenvector k.
                for k in 0..n {
                    let (x, y) = (v[p][k], v[q][k]);
                    (v[p][k], v[q][k]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    v.into_iter().enumerate().map(|(k, vector)| (a[k][k], vector)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eigenvalues that the published data were made with.
    #[test]
    fn eigenvalues_are_the_published_ones() {
        let made = half_hippo(8);
        for (found, expected) in made.omega.iter().zip([19.857416, 5.354207, 1.9577942, 0.42748842]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        for v in &made.vectors {
            let norm: f64 = v.iter().map(|z| z.0 * z.0 + z.1 * z.1).sum();
            assert!((norm - 1.0).abs() < 1e-9);
        }
        // P and B come out of their halves again.
        let all = half_hippo(16);
        for i in 0..16 {
            let sum = |x: &[Pair]| {
                let terms = all.vectors.iter().zip(x).map(|(v, x)| v[i].0 * x.0 - v[i].1 * x.1);
                2.0 * terms.sum::<f64>()
            };
            assert!((sum(&all.p) - (i as f64 + 0.5).sqrt()).abs() < 1e-8);
            assert!((sum(&all.b) - (2.0 * i as f64 + 1.0).sqrt()).abs() < 1e-8);
        }
        assert!(all.p.iter().all(|p| p.0.abs() < 1e-8 && p.1 < 0.0), "{:?}", all.p);
    }
}
