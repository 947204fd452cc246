//! The values of a function while it is read.

use std::collections::{HashMap, HashSet};

use super::super::attr::Type;
use super::super::module::{Func, Known, Place, Value};
use super::{ParseError, Result};

/// The values that are visible, and the names that are taken.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) func: Func,
    pub(super) names: HashMap<String, Value>,
    used: HashSet<String>,
}

impl Scope {
    pub(super) fn of(func: Func) -> Scope {
        Scope { func, ..Scope::default() }
    }

    pub(super) fn define(&mut self, name: &str, ty: Type, place: Place) -> Result<Value> {
        if self.names.contains_key(name) {
            let problem = format!("%{name} is defined already; every value has a name of its own");
            return Err(ParseError { place, problem });
        }
        let value = self.fresh(&name.replace('#', "_"), ty);
        self.names.insert(name.to_owned(), value);
        Ok(value)
    }

    /// A value with that name, or with a number behind it where the name is taken.
    pub(super) fn fresh(&mut self, name: &str, ty: Type) -> Value {
        let mut own = if name.is_empty() { self.func.values.len().to_string() } else { name.to_owned() };
        let mut k = 0;
        while !self.used.insert(own.clone()) {
            own = format!("{name}_{k}");
            k += 1;
        }
        self.func.values.push(Known { name: own, ty });
        Value(self.func.values.len() as u32 - 1)
    }

    pub(super) fn find(&self, name: &str, place: Place) -> Result<Value> {
        match self.names.get(name) {
            Some(&value) => Ok(value),
            None => Err(ParseError { place, problem: format!("%{name} is not defined") }),
        }
    }

    pub(super) fn same(&self, value: Value, ty: &Type, place: Place) -> Result<()> {
        let known = self.func.known(value);
        if known.ty == *ty {
            return Ok(());
        }
        let problem = format!("%{} has type {}, it is used with type {ty}", known.name, known.ty);
        Err(ParseError { place, problem })
    }
}
