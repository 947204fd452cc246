//! `scf`: loops and branches. Regions are closures; what a closure returns is what its region yields.

use std::panic::Location;

use crate::ir::module::join;
use crate::ir::{AnyType, AnyValue, Builder, I1, Index, IntoIndex, Value, Values};

fn flat<V: Values>(values: &V) -> Vec<AnyValue> {
    let mut out = Vec::new();
    values.flatten(&mut out);
    out
}

fn types(values: &[AnyValue]) -> Vec<AnyType> {
    values.iter().map(|v| v.ty).collect()
}

impl Builder {
    /// `scf.for`: `body` once for each position from `low` below `high`, with the values that it carries from one to the next.
    ///
    /// ```
    /// use alex::ir::{F32, MemRef, Module};
    /// let mut m = Module::new();
    /// m.function("sum", ("x", MemRef::new(F32, [64])), |b, x| {
    ///     let zero = b.constant(F32, 0.0);
    ///     b.for_(0, 64, 1, zero, |b, i, sum| {
    ///         let xi = b.load(x, i);
    ///         b.addf(sum, xi)
    ///     })
    /// });
    /// assert!(m.finish().unwrap().contains("scf.for %i = %c0 to %c64 step %c1"));
    /// ```
    #[track_caller]
    pub fn for_<V: Values>(
        &mut self,
        low: impl IntoIndex,
        high: impl IntoIndex,
        step: impl IntoIndex,
        carried: V,
        body: impl FnOnce(&mut Builder, Value<Index>, V) -> V,
    ) -> V {
        let (op, place) = ("scf.for", Location::caller());
        let name = self.take_name();
        let bounds = [self.to_index(low), self.to_index(high), self.to_index(step)];
        let [low, high, step] = bounds.map(|bound| self.of(bound, op));
        let init = flat(&carried);
        let init_names: Vec<String> = init.iter().map(|&v| self.of(v, op)).collect();
        let given = carried.types();
        let list = join(&types(&init));
        // The results are named first, so that they have the name as it was asked for.
        let results = self.reserve(&given, name.as_deref());
        let ((position, arguments), text) = self.inside(|b| {
            b.set_name(Some("i"));
            let (i, position) = b.arguments(&Index);
            b.set_name(name.as_deref());
            let (inner, arguments) = b.arguments(&given);
            let next = body(b, i, inner);
            b.yield_(op, place, &types(&init), &next);
            (position[0].clone(), arguments)
        });
        let pairs: Vec<String> =
            arguments.iter().zip(&init_names).map(|(a, v)| format!("{a} = {v}")).collect();
        let head = if init.is_empty() {
            format!("scf.for {position} = {low} to {high} step {step} {{")
        } else {
            format!(
                "scf.for {position} = {low} to {high} step {step} iter_args({}) -> ({list}) {{",
                pairs.join(", ")
            )
        };
        self.close(results, &head, &[text])
    }

    /// `scf.if` with results: both branches give values of the same types.
    #[track_caller]
    pub fn if_<V: Values>(
        &mut self,
        condition: Value<I1>,
        then: impl FnOnce(&mut Builder) -> V,
        otherwise: impl FnOnce(&mut Builder) -> V,
    ) -> V {
        let (op, place) = ("scf.if", Location::caller());
        let name = self.take_name();
        let condition = self.of(condition, op);
        let (given, yes) = self.inside(|b| {
            let value = then(b);
            let list = types(&flat(&value));
            b.yield_(op, place, &list, &value);
            value.types()
        });
        let mut wanted = Vec::new();
        crate::ir::Types::flatten(&given, &mut wanted);
        let wanted: Vec<AnyType> = wanted.iter().map(|(ty, _)| *ty).collect();
        let ((), no) = self.inside(|b| {
            let value = otherwise(b);
            b.yield_(op, place, &wanted, &value);
        });
        let results = self.reserve(&given, name.as_deref());
        let head = if wanted.is_empty() {
            format!("scf.if {condition} {{")
        } else {
            format!("scf.if {condition} -> ({}) {{", join(&wanted))
        };
        let parts = if no.is_empty() { vec![yes] } else { vec![yes, "} else {".to_owned(), no] };
        self.close(results, &head, &parts)
    }

    /// `scf.if` without results or `else`.
    #[track_caller]
    pub fn when(&mut self, condition: Value<I1>, then: impl FnOnce(&mut Builder)) {
        self.if_(condition, then, |_| ());
    }

    /// `scf.while`: `before` gives the condition and the values handed on; `after` gives the next values. The result is what
    /// `before` handed on when the condition failed.
    #[track_caller]
    pub fn while_<V: Values, W: Values>(
        &mut self,
        start: V,
        before: impl FnOnce(&mut Builder, V) -> (Value<I1>, W),
        after: impl FnOnce(&mut Builder, W) -> V,
    ) -> W {
        let (op, place) = ("scf.while", Location::caller());
        let name = self.take_name();
        let init = flat(&start);
        let init_names: Vec<String> = init.iter().map(|&v| self.of(v, op)).collect();
        let ((arguments, handed), first) = self.inside(|b| {
            b.set_name(name.as_deref());
            let (inner, arguments) = b.arguments(&start.types());
            let (condition, values) = before(b, inner);
            let condition = b.names_at(&[condition.any()], op, place);
            let flat = flat(&values);
            let text = if flat.is_empty() {
                format!("scf.condition({condition})")
            } else {
                format!(
                    "scf.condition({condition}) {} : {}",
                    b.names_at(&flat, op, place),
                    join(&types(&flat))
                )
            };
            b.line(&text);
            (arguments, values.types())
        });
        let mut given = Vec::new();
        crate::ir::Types::flatten(&handed, &mut given);
        let given: Vec<AnyType> = given.iter().map(|(ty, _)| *ty).collect();
        let ((), second) = self.inside(|b| {
            let (inner, arguments) = b.arguments(&handed);
            if !arguments.is_empty() {
                let list: Vec<String> =
                    arguments.iter().zip(&given).map(|(a, ty)| format!("{a}: {ty}")).collect();
                b.line(&format!("^bb0({}):", list.join(", ")));
            }
            let next = after(b, inner);
            b.yield_(op, place, &types(&init), &next);
            if init.is_empty() {
                b.line("scf.yield");
            }
        });
        let results = self.reserve(&handed, name.as_deref());
        let pairs: Vec<String> =
            arguments.iter().zip(&init_names).map(|(a, v)| format!("{a} = {v}")).collect();
        let pairs = if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) };
        let head = format!("scf.while{pairs} : ({}) -> ({}) {{", join(&types(&init)), join(&given));
        self.close(results, &head, &[first, "} do {".to_owned(), second])
    }

    /// Writes what a region yields, after checking that its types are those wanted.
    fn yield_<V: Values>(
        &mut self,
        op: &str,
        place: &'static Location<'static>,
        wanted: &[AnyType],
        values: &V,
    ) {
        let values = flat(values);
        let found = types(&values);
        if found != wanted {
            let problem = format!("the region must yield ({}), it yields ({})", join(wanted), join(&found));
            self.module().mistake(op, problem, place);
        }
        if !values.is_empty() {
            let names = self.names_at(&values, op, place);
            self.line(&format!("scf.yield {names} : {}", join(&found)));
        }
    }
}
