//! Inference with symbols, then bound, is inference on the numbers.

use crate::table::cases;
use graph::{Attr, Attrs, Bindings, Dim, Op, Type};

fn symbol(d: &Dim, bindings: &mut Bindings) -> Dim {
    match d.fixed() {
        Some(n) if n > 1 => {
            bindings.insert(format!("S{n}"), n);
            Dim::symbol(&format!("S{n}"))
        }
        _ => d.clone(),
    }
}

#[test]
fn inference_commutes_with_binding() {
    for c in cases() {
        let dense = matches!(c.attrs.get("values"), Some(Attr::Floats(v)) if v.len() > 1);
        if c.op == Op::Constant && dense {
            continue;
        }
        // The sizes of windows are numbers that the node states, and only a stride of one counts along a symbol.
        let windows = matches!(c.op, Op::Convolution | Op::ConvolutionTransposed | Op::WindowsAdd);
        if windows || c.attrs.ints("stride").iter().any(|s| *s > 1) {
            continue;
        }
        let mut bindings = Bindings::new();
        let fixed: Vec<Type> = c.inputs.iter().map(|a| a.ty()).collect();
        let mut lift = |dims: &[Dim]| dims.iter().map(|d| symbol(d, &mut bindings)).collect::<Vec<_>>();
        let open: Vec<Type> = fixed.iter().map(|t| Type { dtype: t.dtype, shape: lift(&t.shape) }).collect();
        let attrs = c.attrs.iter().fold(Attrs::new(), |a, (k, v)| match v {
            Attr::Dims(d) => a.with(k, Attr::Dims(lift(d))),
            v => a.with(k, v.clone()),
        });
        let inferred = c.op.infer(&attrs, &open).unwrap_or_else(|e| panic!("{}: {e}", c.op.name()));
        let bound: Vec<Type> = inferred.iter().map(|t| t.substitute(&bindings)).collect();
        assert_eq!(bound, c.op.infer(&c.attrs, &fixed).unwrap(), "{}", c.op.name());
    }
}
