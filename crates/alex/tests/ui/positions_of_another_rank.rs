use alex::ir::{F32, Index, MemRef, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (MemRef::new(F32, [4, 4]), Index), |b, (m, i)| b.load(m, i));
}
