//! A kernel as a C function of its own: for tests, for measurements, and for programs that want one kernel and no plan.

use crate::ir::{Builder, Element, Func, FuncOptions, MemRef, Module, Ptr, Types, Value};

/// Memrefs that are made from the addresses in a table.
pub trait Bindings: Types {
    /// The memrefs whose addresses begin at place `at` of the table.
    fn bind_table(&self, b: &mut Builder, table: Value<Ptr>, at: &mut usize) -> Self::Values;
}

impl<E: Element, const R: usize> Bindings for MemRef<E, R> {
    fn bind_table(&self, b: &mut Builder, table: Value<Ptr>, at: &mut usize) -> Value<MemRef<E, R>> {
        let place = b.ptr_offset(table, 8 * *at);
        *at += 1;
        let address = b.load_ptr(place, Ptr);
        b.memref_from_ptr(address, *self, &[])
    }
}

impl<T: Bindings, const N: usize> Bindings for [T; N] {
    fn bind_table(&self, b: &mut Builder, table: Value<Ptr>, at: &mut usize) -> Self::Values {
        std::array::from_fn(|k| self[k].bind_table(b, table, at))
    }
}

macro_rules! tuples {
    ($(($($name:ident $k:tt),*);)*) => {$(
        impl<$($name: Bindings),*> Bindings for ($($name,)*) {
            fn bind_table(&self, b: &mut Builder, table: Value<Ptr>, at: &mut usize) -> Self::Values {
                ($(self.$k.bind_table(b, table, at),)*)
            }
        }
    )*};
}
tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
}

/// Adds a public function `int NAME(void *arena, void *const *bindings)` that calls the kernel with the memory whose addresses
/// `bindings` lists, in the order of its arguments, and returns 0. The arena is not used.
///
/// ```
/// use alex::cpu::{Isa, export, math};
/// use alex::ir::Module;
/// let mut m = Module::new();
/// let kernel = math::map(&mut m, Isa::Avx2.lanes(), math::Function::Exp, 100);
/// export(&mut m, "exp100", &kernel);
/// assert!(m.finish().unwrap().contains("func.func @exp100(%arena: !llvm.ptr, %bindings: !llvm.ptr) -> i32"));
/// ```
pub fn export<A: Bindings>(m: &mut Module, name: &str, kernel: &Func<A, ()>) {
    let args = (("arena", Ptr), ("bindings", Ptr));
    m.function(FuncOptions::new(name), args, |b, (_, table)| {
        let values = kernel.args.bind_table(b, table, &mut 0);
        b.call(kernel, values);
        b.int(crate::ir::I32, 0)
    });
}
