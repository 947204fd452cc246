use alex::ir::{F32, F64, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", F64, |b, x| b.extf(x, F32));
}
