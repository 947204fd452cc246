use alex::ir::{F32, I32, MemRef, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (MemRef::new(F32, [4]), I32), |b, (m, i)| b.load(m, i));
}
