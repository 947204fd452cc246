//! `llvm`: intrinsics of a target, and addresses at the edge to C.

use crate::ir::module::{join, symbol};
use crate::ir::{
    AnyType, AnyValue, Builder, DYN, Element, I8, I64, Index, IntoIndex, MemRef, Ptr, Type, Types, Value,
    Values,
};

impl Builder {
    /// `llvm.call_intrinsic`: an instruction of the target by LLVM's name for it, such as
    /// `llvm.x86.avx512.vpdpbusd.512`. LLVM checks the operands.
    #[track_caller]
    pub fn intrinsic<V: Values, R: Types>(&mut self, name: &str, operands: V, results: R) -> R::Values {
        let mut given = Vec::new();
        operands.flatten(&mut given);
        let names = self.names_of(&given, "llvm.call_intrinsic");
        let found: Vec<AnyType> = given.iter().map(|v| v.ty).collect();
        let mut types = Vec::new();
        results.flatten(&mut types);
        let types: Vec<AnyType> = types.iter().map(|(ty, _)| *ty).collect();
        let shown = match types.as_slice() {
            [one] => one.to_string(),
            more => format!("({})", join(more)),
        };
        self.results(
            &results,
            &format!("llvm.call_intrinsic {name:?}({names}) : ({}) -> {shown}", join(&found)),
        )
    }

    /// `llvm.load`: what lies at an address.
    #[track_caller]
    pub fn load_ptr<T: Type>(&mut self, at: Value<Ptr>, ty: T) -> Value<T> {
        let text = format!("llvm.load {} : !llvm.ptr -> {}", self.of(at, "llvm.load"), ty.any());
        self.result(ty, &text)
    }

    /// `llvm.store`: writes a value at an address.
    #[track_caller]
    pub fn store_ptr<T: Type>(&mut self, value: Value<T>, at: Value<Ptr>) {
        let op = "llvm.store";
        let text =
            format!("{op} {}, {} : {}, !llvm.ptr", self.of(value, op), self.of(at, op), value.ty.any());
        self.effect(&text);
    }

    /// `llvm.getelementptr`: the address `bytes` further on.
    #[track_caller]
    pub fn ptr_offset(&mut self, base: Value<Ptr>, bytes: impl IntoIndex) -> Value<Ptr> {
        let op = "llvm.getelementptr";
        match bytes.fold() {
            crate::ir::Fold::Static(n) if i32::try_from(n).is_ok() => {
                let text = format!("{op} {}[{n}] : (!llvm.ptr) -> !llvm.ptr, i8", self.of(base, op));
                self.result(Ptr, &text)
            }
            bytes => {
                let name = self.take_name();
                let bytes = self.to_index(bytes);
                let bytes = self.index_cast(bytes, I64);
                let text = format!(
                    "{op} {}[{}] : (!llvm.ptr, i64) -> !llvm.ptr, i8",
                    self.of(base, op),
                    self.of(bytes, op)
                );
                self.set_name(name.as_deref());
                self.result(Ptr, &text)
            }
        }
    }

    /// The address of a memref's first element. The offset of a strided layout is not in it.
    #[track_caller]
    pub fn ptr_of<E: Element, const R: usize>(&mut self, memref: Value<MemRef<E, R>>) -> Value<Ptr> {
        let name = self.take_name();
        let address = self.extract_aligned_pointer_as_index(memref);
        let address = self.index_cast(address, I64);
        let text = format!("llvm.inttoptr {} : i64 to !llvm.ptr", self.of(address, "llvm.inttoptr"));
        self.set_name(name.as_deref());
        self.result(Ptr, &text)
    }

    /// A memref over memory that C handed over: builds the descriptor. `sizes` are those that the type leaves open.
    ///
    /// The descriptor becomes a memref by `builtin.unrealized_conversion_cast`, which the lowering to LLVM removes, so the
    /// module must go there in one pipeline.
    #[track_caller]
    pub fn memref_from_ptr<E: Element, const R: usize>(
        &mut self,
        at: Value<Ptr>,
        ty: MemRef<E, R>,
        sizes: &[Value<Index>],
    ) -> Value<MemRef<E, R>> {
        let op = "memref_from_ptr";
        if ty.unknown() != sizes.len() || ty.strides().1.iter().filter(|&&s| s == DYN).count() > ty.unknown()
        {
            self.mistake(
                op,
                format!("{} leaves {} sizes open, found {}", ty.any(), ty.unknown(), sizes.len()),
            );
        }
        let name = self.take_name();
        let dims = if R == 0 { String::new() } else { format!(", array<{R} x i64>, array<{R} x i64>") };
        let descriptor = format!("!llvm.struct<(ptr, ptr, i64{dims})>");
        let base = self.of(at, op);

        // Sizes and strides as i64 values, strides as products of the sizes to their right.
        let mut open = sizes.iter();
        let mut extents = Vec::with_capacity(R);
        for &size in &ty.sizes {
            let value = if size == DYN { open.next() } else { None };
            extents.push(match value {
                Some(&value) => self.index_cast(value, I64),
                None => self.int(I64, size.max(0)),
            });
        }
        let (offset, steps) = ty.strides();
        let mut strides = vec![self.int(I64, 1); R];
        for k in (0..R).rev() {
            strides[k] = if steps[k] != DYN {
                self.int(I64, steps[k])
            } else if k + 1 < R {
                self.muli(strides[k + 1], extents[k + 1])
            } else {
                strides[k]
            };
        }
        let offset = self.int(I64, if offset == DYN { 0 } else { offset });
        let mut struct_ = self.raw(&format!("llvm.mlir.poison : {descriptor}"));
        let mut parts: Vec<(String, String)> = vec![
            ("0".to_owned(), base.clone()),
            ("1".to_owned(), base),
            ("2".to_owned(), self.of(offset, op)),
        ];
        for k in 0..R {
            parts.push((format!("3, {k}"), self.of(extents[k], op)));
            parts.push((format!("4, {k}"), self.of(strides[k], op)));
        }
        for (place, value) in parts {
            struct_ = self.raw(&format!("llvm.insertvalue {value}, {struct_}[{place}] : {descriptor}"));
        }
        self.set_name(name.as_deref());
        let text = format!("builtin.unrealized_conversion_cast {struct_} : {descriptor} to {}", ty.any());
        self.result(ty, &text)
    }

    /// The address of a function `(frame, task)` of the module.
    #[track_caller]
    pub(crate) fn address_of_task(&mut self, name: &str) -> Value<Ptr> {
        let ty = "(!llvm.ptr, i64) -> ()";
        let function = self.raw(&format!("func.constant @{} : {ty}", symbol(name)));
        self.result(Ptr, &format!("builtin.unrealized_conversion_cast {function} : {ty} to !llvm.ptr"))
    }

    /// `llvm.call` of a function that the module has in the LLVM dialect ([`Module::helper`]).
    #[track_caller]
    pub(crate) fn llvm_call<T: Type>(
        &mut self,
        name: &str,
        operands: &[AnyValue],
        result: Option<T>,
    ) -> Option<Value<T>> {
        let names = self.names_of(operands, "llvm.call");
        let types: Vec<AnyType> = operands.iter().map(|v| v.ty).collect();
        let given = result.map_or("()".to_owned(), |t| t.any().to_string());
        let text = format!("llvm.call @{}({names}) : ({}) -> {given}", symbol(name), join(&types));
        match result {
            Some(ty) => Some(self.result(ty, &text)),
            None => {
                self.effect(&text);
                None
            }
        }
    }

    /// An op whose result has a type that the API does not speak of; gives the result's name.
    #[track_caller]
    fn raw(&mut self, text: &str) -> String {
        let value = self.result(I8, text);
        self.of(value, "llvm")
    }
}
