//! `func`: calls.

use crate::ir::module::{join, symbol};
use crate::ir::{AnyType, Builder, Func, Types, Values};

impl Builder {
    /// `func.call`: rustc checks operands and results against the function's types, `finish` their sizes.
    #[track_caller]
    pub fn call<A: Types, R: Types>(&mut self, function: &Func<A, R>, operands: A::Values) -> R::Values {
        let mut given = Vec::new();
        operands.flatten(&mut given);
        let mut wanted = Vec::new();
        function.args.flatten(&mut wanted);
        let found: Vec<AnyType> = given.iter().map(|v| v.ty).collect();
        let wanted: Vec<AnyType> = wanted.iter().map(|(ty, _)| *ty).collect();
        if found != wanted {
            let problem = format!("@{} takes ({}), found ({})", function.name, join(&wanted), join(&found));
            self.mistake("func.call", problem);
        }
        self.call_symbol(&function.name, operands, function.results.clone())
    }

    /// `func.call` of a function known by its name; MLIR checks the types.
    #[track_caller]
    pub fn call_symbol<V: Values, R: Types>(&mut self, name: &str, operands: V, results: R) -> R::Values {
        let mut given = Vec::new();
        operands.flatten(&mut given);
        let names = self.names_of(&given, "func.call");
        let found: Vec<AnyType> = given.iter().map(|v| v.ty).collect();
        let mut types = Vec::new();
        results.flatten(&mut types);
        let types: Vec<AnyType> = types.iter().map(|(ty, _)| *ty).collect();
        let text = format!("func.call @{}({names}) : ({}) -> ({})", symbol(name), join(&found), join(&types));
        self.results(&results, &text)
    }
}
