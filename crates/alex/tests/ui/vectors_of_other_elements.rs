use alex::ir::{F32, F64, Module, Vector};

fn main() {
    let mut m = Module::new();
    m.function("f", (Vector::new(F32, [8]), Vector::new(F64, [8])), |b, (x, y)| b.addf(x, y));
}
