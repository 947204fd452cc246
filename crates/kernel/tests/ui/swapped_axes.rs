use axes::{Axis, TernaryMatrix};
use kernel::{Vector, article::ternary_matvec, kernel};

// The function stays what it is: rustc checks the axes.
#[kernel]
fn wrong<In: Axis, Out: Axis>(w: &TernaryMatrix<Out, In>, x: &Vector<In>) -> Vector<Out> {
    ternary_matvec(w, x).unwrap()
}

fn main() {}
