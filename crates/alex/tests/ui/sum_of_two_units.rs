use alex::dialect::typed::{Build, Vector};
use alex::ir::F32;
use axes::{axes, units};

axes! { Space = 3; }
units! { Metre: "m"; Second: "s"; }

fn main() {
    let mut b = Build::new("f");
    let x = b.argument::<Vector<(), Space, F32, Metre>>("x");
    let t = b.argument::<Vector<(), Space, F32, Second>>("t");
    b.add(x, t);
}
