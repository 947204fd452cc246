use alex::dialect::typed::{Build, Ternary, Vector};
use alex::ir::F32;
use axes::axes;

axes! { Hidden = 64; Inner = 64; }

fn main() {
    let mut b = Build::new("f");
    let x = b.argument::<Vector<(), Hidden, F32>>("x");
    let wo = b.argument::<Ternary<Hidden, Inner>>("wo");
    b.ternary_linear(x, wo);
}
