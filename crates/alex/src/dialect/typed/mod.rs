//! Modules of the dialect built from Rust types: a wrong axis, unit or element type does not compile.
//!
//! Axes and units are those of the crate `axes`. An axis without a fixed size has its name for a size, and [`Module::bind`]
//! gives it one before the module is lowered.
//!
//! ```
//! use alex::dialect::typed::{Build, State, Ternary, Vector};
//! use alex::ir::F32;
//! use axes::axes;
//!
//! axes! { Batch; Hidden = 64; Inner = 64; }
//!
//! let mut b = Build::new("mixer");
//! let x = b.argument::<Vector<(Batch,), Hidden, F32>>("x");
//! let h = b.argument::<State<(Batch,), Inner, F32>>("h");
//! let [wf, wc, wg] = ["wf", "wc", "wg"].map(|name| b.argument::<Ternary<Inner, Hidden>>(name));
//! let wo = b.argument::<Ternary<Hidden, Inner>>("wo");
//! let f = b.ternary_linear(x, wf);
//! let f = b.sigmoid(f);
//! let c = b.ternary_linear(x, wc);
//! let c = b.silu(c);
//! let g = b.ternary_linear(x, wg);
//! let g = b.sigmoid(g);
//! let (o, next) = b.mlgru_step(h, f, c, g);
//! let y = b.ternary_linear(o, wo);
//! let y = b.add(x, y);
//! let mut module = b.finish((y, next));
//! module.check()?;
//! module.bind(&[("Batch", 8)]);
//! assert!(module.to_string().contains("!fidelity.vector<[8 : index], 64 : index, f32, \"Hidden\", \"\">"));
//! # Ok::<(), alex::dialect::DialectError>(())
//! ```
//!
//! Two square projections cannot be swapped, and a sigmoid takes no metres:
//! ```compile_fail,E0308
//! # use alex::{dialect::typed::{Build, Ternary, Vector}, ir::F32};
//! # axes::axes! { Hidden = 64; Inner = 64; }
//! let mut b = Build::new("f");
//! let x = b.argument::<Vector<(), Hidden, F32>>("x");
//! let wo = b.argument::<Ternary<Hidden, Inner>>("wo");
//! b.ternary_linear(x, wo); // takes vectors over `Inner`
//! ```
//! ```compile_fail,E0277
//! # use alex::{dialect::typed::{Build, Vector}, ir::F32};
//! # axes::axes! { Hidden = 64; }
//! # axes::units! { Metre: "m"; }
//! let mut b = Build::new("f");
//! let x = b.argument::<Vector<(), Hidden, F32, Metre>>("x");
//! b.sigmoid(x);
//! ```
//! ```compile_fail,E0308
//! # use alex::{dialect::typed::{Build, Vector}, ir::F32};
//! # axes::axes! { Hidden = 64; }
//! # axes::units! { Metre: "m"; Second: "s"; }
//! let mut b = Build::new("f");
//! let x = b.argument::<Vector<(), Hidden, F32, Metre>>("x");
//! let t = b.argument::<Vector<(), Hidden, F32, Second>>("t");
//! b.add(x, t);
//! ```
//!
//! [`Module::bind`]: super::Module::bind

mod ops;
mod types;

use std::marker::PhantomData;

use super::attr::{Attr, Type};
use super::module::{Func, Module, Value};

pub use types::{
    Additive, Bytes, Coefficients, Compute, Factor, Interchange, Matrix, MatrixState, Packing, Pure,
    Quantized, Scalar, State, Storage, Ternary, Tokens, Typed, Vector,
};

/// A value whose type is a Rust type.
#[derive(Debug)]
pub struct Of<T> {
    value: Value,
    ty: PhantomData<fn() -> T>,
}

impl<T> Clone for Of<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Of<T> {}

impl<T> Of<T> {
    /// The handle without its type.
    pub fn untyped(self) -> Value {
        self.value
    }
}

/// What a function returns: a value or a tuple of values.
pub trait Returned {
    /// The handles.
    fn values(self) -> Vec<Value>;
}

impl<T: Typed> Returned for Of<T> {
    fn values(self) -> Vec<Value> {
        vec![self.value]
    }
}

macro_rules! returned {
    ($(($($name:ident),+);)*) => {$(
        #[allow(non_snake_case)]
        impl<$($name: Typed),+> Returned for ($(Of<$name>,)+) {
            fn values(self) -> Vec<Value> {
                let ($($name,)+) = self;
                vec![$($name.value),+]
            }
        }
    )*};
}
returned! { (A); (A, B); (A, B, C); (A, B, C, D); (A, B, C, D, E); (A, B, C, D, E, F); }

/// A function under construction.
#[derive(Debug)]
pub struct Build {
    func: Func,
}

impl Build {
    /// A function of that name.
    pub fn new(name: &str) -> Build {
        Build { func: Func::new(name) }
    }

    /// Adds an argument.
    pub fn argument<T: Typed>(&mut self, name: &str) -> Of<T> {
        Of { value: self.func.argument(name, T::ty()), ty: PhantomData }
    }

    /// The module with this one function.
    pub fn finish(mut self, returned: impl Returned) -> Module {
        self.func.finish(&returned.values());
        Module { functions: vec![self.func] }
    }

    fn push(
        &mut self,
        name: &str,
        operands: &[Value],
        attributes: Vec<(String, Attr)>,
        types: Vec<Type>,
    ) -> Vec<Value> {
        let results = types.into_iter().map(|ty| (String::new(), ty)).collect();
        self.func.push(name, operands, attributes, results)
    }

    fn one<T: Typed>(&mut self, name: &str, operands: &[Value], attributes: Vec<(String, Attr)>) -> Of<T> {
        Of { value: self.push(name, operands, attributes, vec![T::ty()])[0], ty: PhantomData }
    }

    fn two<T: Typed, U: Typed>(
        &mut self,
        name: &str,
        operands: &[Value],
        attributes: Vec<(String, Attr)>,
    ) -> (Of<T>, Of<U>) {
        let values = self.push(name, operands, attributes, vec![T::ty(), U::ty()]);
        (Of { value: values[0], ty: PhantomData }, Of { value: values[1], ty: PhantomData })
    }
}

impl Module {
    /// Gives axes that have no fixed size one: every symbol of that name becomes the number.
    pub fn bind(&mut self, sizes: &[(&str, u64)]) {
        let number = |text: &str| sizes.iter().find(|(name, _)| *name == text).map(|(_, n)| Attr::size(*n));
        let bind = |ty: &mut Type| {
            let Type::Fidelity { name, parameters } = ty else { return };
            let Some(row) = super::table::type_row(name, false) else { return };
            for (attr, (_, kind)) in parameters.iter_mut().zip(row.parameters) {
                match (kind, attr) {
                    (super::table::Parameter::Size, attr) => {
                        if let Some(n) = matches!(attr, Attr::Str(_)).then(|| number(text(attr))).flatten() {
                            *attr = n;
                        }
                    }
                    (super::table::Parameter::Sizes, Attr::Array(items)) => {
                        for item in items {
                            if let Some(n) = number(text(item)) {
                                *item = n;
                            }
                        }
                    }
                    _ => {}
                }
            }
        };
        for function in &mut self.functions {
            function.values.iter_mut().for_each(|known| bind(&mut known.ty));
            function.results.iter_mut().for_each(bind);
        }
    }
}

fn text(attr: &Attr) -> &str {
    match attr {
        Attr::Str(text) => text,
        _ => "",
    }
}
