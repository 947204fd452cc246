use alex::ir::{F32, F64, I1, Module};

fn main() {
    let mut m = Module::new();
    m.function("f", (I1, F32, F64), |b, (c, x, y)| b.if_(c, |_| x, |_| y));
}
