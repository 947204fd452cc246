use alex::ir::{F32, I1, Module, Vector};

fn main() {
    let mut m = Module::new();
    m.function("f", (Vector::new(I1, [8]), F32), |b, (c, x)| b.select(c, x, x));
}
