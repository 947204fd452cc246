//! Modules built from Rust types are accepted, by us and by MLIR, and lowered once their sizes are known.

use alex::dialect::typed::{
    Build, Coefficients, Compute, Factor, Matrix, MatrixState, Scalar, State, Storage, Ternary, Tokens,
    Vector,
};
use alex::dialect::{LowerError, Module};
use alex::ir::{F32, F64};
use axes::{axes, units};

use crate::tools::{irdl_file, lowered, tool, verdicts};

axes! { Batch; Time; Vocab = 256; Hidden = 64; Inner = 64; Key = 16; Value = 8; Space = 3; }
units! { Second: "s"; Metre: "m"; Speed: "m/s"; }
units! { @relations Speed * Second = Metre; }

fn accepted(mut module: Module) {
    module.check().unwrap();
    assert_eq!(module.remarks(), []);
    let text = module.to_string();
    assert_eq!(Module::parse(&text).unwrap().to_string(), text);
    if tool("mlir-opt").is_some() {
        assert_eq!(verdicts(irdl_file().path(), &[&text]), [Vec::<String>::new()], "{text}");
    }
    module.bind(&[("Batch", 2), ("Time", 5)]);
    lowered(&module.lower().unwrap());
}

#[test]
fn a_layer_and_its_loss() {
    let mut b = Build::new("layer");
    let ids = b.argument::<Tokens<(Batch, Time), Vocab>>("ids");
    let table = b.argument::<Matrix<Vocab, Hidden, F32>>("table");
    let norm = b.argument::<Vector<(), Hidden, F32>>("norm");
    let w = b.argument::<Matrix<Inner, Hidden, F32>>("w");
    let up = b.argument::<Ternary<Inner, Hidden, axes::Unitless, axes::Unitless, Storage>>("up");
    let down = b.argument::<Ternary<Hidden, Inner>>("down");
    let h = b.argument::<State<(Batch,), Inner, F32>>("h");
    let x = b.embedding(ids, table);
    let q = b.rms_norm_quantize(x, norm, 1e-6);
    let t = b.quantize_weights(w, Compute);
    let f = b.ternary_linear_quantized(q, t, F32);
    let f = b.sigmoid(f);
    let c = b.ternary_linear_quantized(q, up, F32);
    let (o, last) = b.mlgru_scan(h, f, c, f);
    let o = b.swiglu(o, c);
    let y = b.ternary_linear(o, down);
    let y = b.add(x, y);
    let y = b.rms_norm(y, norm, 1e-6);
    let zero = b.zero_vector();
    let y = b.ternary_accumulate(o, down, zero_like(y, zero));
    let logits = b.argument::<Matrix<Vocab, Hidden, F32>>("head");
    let logits = b.linear(y, logits);
    let loss = b.cross_entropy(logits, ids);
    accepted(b.finish((loss, last)));
}

/// Gives the second value the type of the first.
fn zero_like<T>(_like: T, zero: T) -> T {
    zero
}

#[test]
fn states_and_attention() {
    let mut b = Build::new("steps");
    let s = b.argument::<State<(Batch,), Inner, F64>>("s");
    let x = b.argument::<Scalar<(Batch,), F64>>("x");
    let [a, i, o] = ["a", "i", "o"].map(|name| b.argument::<Coefficients<Inner, F64>>(name));
    let s = b.ssm_state_update(s, x, a, i);
    let y = b.ssm_output(s, o);
    let xs = b.argument::<Vector<(Batch,), Time, F64>>("xs");
    let (ys, s) = b.ssm_scan(s, xs, a, i, o);
    let m = b.argument::<MatrixState<(Batch,), Key, Value, F64>>("m");
    let z = b.argument::<State<(Batch,), Key, F64>>("z");
    let key = b.argument::<Vector<(Batch,), Key, F64>>("key");
    let value = b.argument::<Vector<(Batch,), Value, F64>>("value");
    let (m, z) = b.linear_attention_state_update(m, z, key, value);
    let read = b.linear_attention_output(m, z, key, 1e-6);
    accepted(b.finish((y, ys, s, m, z, read)));
}

#[test]
fn units_multiply_as_declared() {
    let mut b = Build::new("way");
    let v = b.argument::<Vector<(Batch,), Space, F32, Speed>>("v");
    let t = b.argument::<Vector<(Batch,), Space, F32, Second>>("t");
    let x = b.argument::<Vector<(Batch,), Space, F32, Metre>>("x");
    let factor = b.argument::<Factor<F32, Metre, axes::Unitless>>("per_metre");
    let way = b.multiply_units(v, t);
    let x = b.add(x, way);
    let pure = b.scale(x, factor);
    let pure = b.tanh(pure);
    let gated = b.gate(pure, x);
    let module = b.finish((x, gated));
    assert!(module.to_string().contains("#fidelity.product<\"m/s\", \"s\", \"m\">"));
    accepted(module);
}

#[test]
fn open_sizes_stay_open_until_they_are_bound() {
    let mut b = Build::new("f");
    let z = b.zero_vector::<(Batch,), Hidden, F32, axes::Unitless>();
    let error = b.finish(z).lower().unwrap_err();
    assert!(matches!(&error, LowerError::Unsupported { problem, .. } if problem.contains("open")), "{error}");
}
