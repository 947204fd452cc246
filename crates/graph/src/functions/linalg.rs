//! Products of matrices and vectors, and linear algebra.

use crate::attrs;
use crate::attrs::Attrs;
use crate::dim::Dim;
use crate::op::Op;
use crate::var::Var;

impl Var {
    /// (…, n, k) times (…, k, m), matrix by matrix; the leading axes agree.
    #[track_caller]
    pub fn bmm(&self, o: &Var) -> Var {
        let (r, s) = (self.ty().rank(), o.ty().rank());
        if r < 2 || r != s {
            return self.refuse(
                "bmm",
                format!("{} times {}: both must be matrices or batches of them", self.ty(), o.ty()),
            );
        }
        let lead: Vec<usize> = (0..r - 2).collect();
        self.dot_general(o, (&[r - 1], &[r - 2]), (&lead, &lead))
    }
    /// Σ a b over the only axis of two vectors.
    #[track_caller]
    pub fn dot(&self, o: &Var) -> Var {
        self.dot_general(o, (&[0], &[0]), (&[], &[]))
    }
    /// (…, n) and (…, m) to (…, n, m): every product of an element of one with an element of the other.
    #[track_caller]
    pub fn outer(&self, o: &Var) -> Var {
        let lead: Vec<usize> = (0..self.ty().rank().saturating_sub(1)).collect();
        self.dot_general(o, (&[], &[]), (&lead, &lead))
    }
    /// (…, n, k) times (…, k).
    #[track_caller]
    pub fn matvec(&self, x: &Var) -> Var {
        let r = self.ty().rank();
        if r < 2 || x.ty().rank() + 1 != r {
            return self.refuse("matvec", format!("{} times {}", self.ty(), x.ty()));
        }
        let lead: Vec<usize> = (0..r - 2).collect();
        self.dot_general(x, (&[r - 1], &[r - 2]), (&lead, &lead))
    }
    /// Σ over the groups of letters of an einsum of two operands, such as `bij,bjk->bik`: letters that both have and the result
    /// has not are summed.
    #[track_caller]
    pub fn einsum(&self, o: &Var, letters: &str) -> Var {
        let bad = || self.refuse("einsum", format!("`{letters}` for {} and {}", self.ty(), o.ty()));
        let Some((sides, out)) = letters.split_once("->") else { return bad() };
        let Some((l, r)) = sides.split_once(',') else { return bad() };
        let list = |s: &str| s.trim().chars().collect::<Vec<char>>();
        let (l, r, out) = (list(l), list(r), list(out));
        let repeats = |v: &[char]| (0..v.len()).any(|i| v[..i].contains(&v[i]));
        if l.len() != self.ty().rank()
            || r.len() != o.ty().rank()
            || repeats(&l)
            || repeats(&r)
            || repeats(&out)
        {
            return bad();
        }
        // Letters of one side alone that the result has not are summed there first.
        let only = |a: &[char], b: &[char]| -> Vec<usize> {
            (0..a.len()).filter(|i| !b.contains(&a[*i]) && !out.contains(&a[*i])).collect()
        };
        let (x, y) = (self.sum(&only(&l, &r)), o.sum(&only(&r, &l)));
        let kept = |a: &[char], b: &[char]| -> Vec<char> {
            a.iter().copied().filter(|c| b.contains(c) || out.contains(c)).collect()
        };
        let (l, r) = (kept(&l, &r), kept(&r, &l));
        let at = |v: &[char], c: char| v.iter().position(|x| *x == c).unwrap_or(0);
        let shared: Vec<char> = l.iter().copied().filter(|c| r.contains(c)).collect();
        let (batch, contract): (Vec<char>, Vec<char>) = shared.iter().partition(|c| out.contains(c));
        let axes = |v: &[char], cs: &[char]| cs.iter().map(|c| at(v, *c)).collect::<Vec<_>>();
        let y = x.dot_general(
            &y,
            (&axes(&l, &contract), &axes(&r, &contract)),
            (&axes(&l, &batch), &axes(&r, &batch)),
        );
        let free = |v: &[char]| v.iter().copied().filter(|c| !shared.contains(c)).collect::<Vec<_>>();
        let made: Vec<char> = [batch, free(&l), free(&r)].concat();
        if made.len() != out.len() || out.iter().any(|c| !made.contains(c)) {
            return bad();
        }
        y.transpose(&axes(&made, &out))
    }
    /// X with A X = B; B is (…, n, m), or (…, n) for one right-hand side per matrix. A singular matrix gives numbers that are
    /// not finite.
    #[track_caller]
    pub fn solve(&self, b: &Var) -> Var {
        self.sides(b, |b| self.cx.push1(Op::Solve, attrs! { transposed: Bool(false) }, &[self, b]))
    }
    /// X with T X = B (or Tᵀ X = B), T being the lower or the upper triangle of this matrix.
    #[track_caller]
    pub fn triangular_solve(&self, b: &Var, lower: bool, transposed: bool) -> Var {
        let attrs = attrs! { lower: Bool(lower), transposed: Bool(transposed) };
        self.sides(b, |b| self.cx.push1(Op::TriangularSolve, attrs.clone(), &[self, b]))
    }
    #[track_caller]
    fn sides(&self, b: &Var, solve: impl Fn(&Var) -> Var) -> Var {
        if b.ty().rank() + 1 != self.ty().rank() {
            return solve(b);
        }
        solve(&b.unsqueeze(b.ty().rank())).squeeze(b.ty().rank())
    }
    /// The inverse of each matrix.
    #[track_caller]
    pub fn inverse(&self) -> Var {
        let shape = self.shape();
        let rank = shape.len();
        match rank {
            0 | 1 => self.refuse("inverse", format!("{} is no matrix", self.ty())),
            _ => {
                let eye = self.cx.eye(&shape[rank - 1], self.dtype());
                self.solve(&eye.broadcast(&shape, &[rank - 2, rank - 1]))
            }
        }
    }
    /// The determinant of each matrix; its derivative needs the matrix to be regular.
    #[track_caller]
    pub fn determinant(&self) -> Var {
        self.cx.push1(Op::Determinant, Attrs::new(), &[self])
    }
    #[track_caller]
    fn symmetric_part(&self) -> Var {
        (self + &self.t()) * 0.5
    }
    /// The lower triangular factor L of the symmetric part of this matrix, A = L Lᵀ.
    #[track_caller]
    pub fn cholesky(&self) -> Var {
        let a = self.symmetric_part();
        a.cx.push1(Op::Cholesky, Attrs::new(), &[&a])
    }
    /// Eigenvalues (…, n) in rising order and eigenvectors as columns (…, n, n) of the symmetric part of this matrix.
    #[track_caller]
    pub fn eigh(&self) -> (Var, Var) {
        let a = self.symmetric_part();
        let made = a.cx.push(Op::Eigh, Attrs::new(), &[&a]);
        match &made[..] {
            [w, v, ..] => (w.clone(), v.clone()),
            _ => (self.cx.poison(), self.cx.poison()),
        }
    }
    /// This matrix times itself `n` times.
    #[track_caller]
    pub fn matrix_power(&self, n: u32) -> Var {
        let (mut result, mut square, mut left) = (None::<Var>, self.clone(), n);
        while left > 0 {
            if left % 2 == 1 {
                result = Some(result.map_or(square.clone(), |r| r.bmm(&square)));
            }
            left /= 2;
            if left > 0 {
                square = square.bmm(&square);
            }
        }
        result.unwrap_or_else(|| {
            let shape = self.shape();
            let rank = shape.len().max(2);
            let eye = self.cx.eye(shape.last().unwrap_or(&Dim::from(1)), self.dtype());
            eye.broadcast(&shape, &[rank - 2, rank - 1])
        })
    }
}
