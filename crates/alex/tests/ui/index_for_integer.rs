use alex::ir::{I64, Index, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (I64, Index), |b, (x, i)| b.addi(x, i));
}
