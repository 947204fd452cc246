use alex::ir::{F32, F64, MemRef, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (MemRef::new(F32, [4]), F64), |b, (m, x)| b.store(x, m, 0));
}
