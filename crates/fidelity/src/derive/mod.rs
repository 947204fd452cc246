//! Studying a function before it goes into a model or into hardware: its derivatives as formulas, their values in any
//! precision, where it has kinks, jumps and poles, and a picture of all of it.
//!
//! ```
//! use fidelity::derive::{Arithmetic, Point, Study};
//! use furnace::symbolic::Rules;
//!
//! let study = Study::new("if x < 0 then 0.1*(exp(x)-1) else x/(1+x)", None, 3, Rules::Real)?;
//! assert_eq!(study.orders[1].expression.to_string(), "if x < 0 then 0.1*exp(x) else (x + 1)^(-2)");
//! let point = Point::read("x=0.1", &study)?;
//! let third = study.value(3, &point, Arithmetic::Digits(30))?;
//! assert_eq!(third.text, "4.0980807321904241513557817089");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod features;
mod plot;

pub use features::{Feature, Kind};
pub use plot::draw;

use crate::error::{Fault, fault};
use anyhow::Result;
use furnace::FurnaceError;
use furnace::precision::Digits;
use furnace::symbolic::{Expression, Rules};
use graph::Scalar;

/// Orders that can be asked for.
pub const MOST_ORDERS: usize = 12;
/// Digits that can be asked for.
pub const MOST_DIGITS: usize = 1000;

/// A function and its derivatives with respect to one of its variables.
pub struct Study {
    /// The variable.
    pub variable: String,
    /// The function itself, then its derivatives.
    pub orders: Vec<Order>,
}

/// One derivative.
pub struct Order {
    /// What it is called, `f''` or `d2f/dx2`.
    pub name: String,
    /// Simplified.
    pub expression: Expression,
    /// Nodes of the nested derivatives that nothing was simplified in; `None` where they are too many.
    pub nodes_nested: Option<usize>,
    /// Nodes of the expression.
    pub nodes: usize,
}

/// In what values are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Doubles.
    Double,
    /// That many significant decimal digits, all of them right: the working precision is raised until two agree.
    Digits(usize),
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// All its digits.
    pub text: String,
    /// The nearest double.
    pub double: f64,
}

/// Values for all variables, each an expression without variables, so that `0.1` is one tenth and `pi/4` is that.
pub struct Point {
    /// Name and value.
    pub values: Vec<(String, Expression)>,
}

impl Study {
    /// Of an expression; `wrt` may be left out where there is one variable, or one called `x`.
    pub fn new(text: &str, wrt: Option<&str>, order: usize, rules: Rules) -> Result<Study> {
        let f: Expression = text.parse()?;
        let variables = f.variables();
        let variable = match (wrt, &variables[..]) {
            (Some(name), list)
                if list.contains(&name) || (list.is_empty() && furnace::symbolic::is_variable(name)) =>
            {
                name.to_string()
            }
            (Some(name), list) => {
                return fault(
                    format!("the expression has no variable `{name}`; it has: {}", listed(list)),
                    "name one of these with --wrt",
                );
            }
            (None, [one]) => one.to_string(),
            (None, []) => "x".into(),
            (None, list) if list.contains(&"x") => "x".into(),
            (None, list) => {
                return fault(
                    format!("the expression has several variables: {}", listed(list)),
                    format!("say which one to differentiate by, such as --wrt {}", list[0]),
                );
            }
        };
        if order > MOST_ORDERS {
            return fault(format!("order {order} is more than {MOST_ORDERS}"), "ask for a lower order");
        }
        let nested = f.nested_nodes(&variable, order)?;
        let several = variables.len() > 1;
        let orders = f.derivatives(&variable, order, rules)?.into_iter().enumerate();
        let orders = orders.map(|(k, expression)| Order {
            name: name(k, several.then_some(variable.as_str())),
            nodes: expression.nodes(),
            expression,
            nodes_nested: nested.get(k).copied(),
        });
        Ok(Study { orders: orders.collect(), variable: variable.clone() })
    }

    /// The value of one order at a point.
    ///
    /// # Errors
    /// The order has no value there: the op, the part of the expression and the point are named.
    pub fn value(&self, order: usize, at: &Point, arithmetic: Arithmetic) -> Result<Found, FurnaceError> {
        let expression = &self.orders[order].expression;
        match arithmetic {
            Arithmetic::Double => {
                let double: f64 = evaluate(expression, at)?;
                Ok(Found { text: readable(&format!("{double:e}"), 17), double })
            }
            Arithmetic::Digits(digits) => {
                let digits = digits.clamp(1, MOST_DIGITS);
                let run = |working: usize| {
                    Digits::with(working, || {
                        let y: Digits = evaluate(expression, at)?;
                        Ok::<_, FurnaceError>((y.to_digits(digits), y.to_f64()))
                    })
                };
                // Ziv's strategy: what two precisions agree on is right.
                let mut working = digits + 10;
                let mut last = run(working)?;
                for _ in 0..6 {
                    working += working / 2 + 10;
                    let next = run(working)?;
                    if next.0 == last.0 {
                        break;
                    }
                    last = next;
                }
                Ok(Found { text: readable(&last.0, digits), double: last.1 })
            }
        }
    }
}

fn evaluate<S: Scalar>(expression: &Expression, at: &Point) -> Result<S, FurnaceError> {
    let mut values = vec![];
    for (name, value) in &at.values {
        values.push((name.as_str(), value.value::<S>(&[])?));
    }
    expression.value(&values)
}

impl Point {
    /// Of a text such as `x=0.1,y=pi/4`; with one variable the value alone is enough.
    pub fn read(text: &str, study: &Study) -> Result<Point> {
        let variables = study.orders[0].expression.variables();
        let mut values: Vec<(String, Expression)> = vec![];
        for part in split(text) {
            let (name, value) = match (part.split_once('='), &variables[..]) {
                (Some((name, value)), _) => (name.trim(), value),
                (None, [one]) => (*one, part),
                (None, _) => {
                    return fault(
                        format!("--at {text}: `{}` has no `=`", part.trim()),
                        "write NAME=VALUE,NAME=VALUE",
                    );
                }
            };
            if !variables.contains(&name) {
                return fault(
                    format!(
                        "--at {text}: the expression has no variable `{name}`; it has: {}",
                        listed(&variables)
                    ),
                    "give values for the variables of the expression",
                );
            }
            if values.iter().any(|(n, _)| n == name) {
                return fault(
                    format!("--at {text}: `{name}` is given twice"),
                    "give one value; other points are other --at",
                );
            }
            let value: Expression = value.trim().parse().map_err(|e| {
                Fault::new(
                    format!("--at {text}: the value of `{name}`: {e}"),
                    "write a number, such as 0.1 or pi/4",
                )
            })?;
            if let Some(other) = value.variables().first() {
                return fault(
                    format!("--at {text}: the value of `{name}` depends on `{other}`"),
                    "write a number, such as 0.1 or pi/4",
                );
            }
            values.push((name.to_string(), value));
        }
        let missing: Vec<&str> =
            variables.iter().copied().filter(|v| !values.iter().any(|(n, _)| n == v)).collect();
        if !missing.is_empty() {
            return fault(
                format!("--at {text}: no value for {}", listed(&missing)),
                "give a value for every variable, such as --at x=0.1,y=2",
            );
        }
        Ok(Point { values })
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.values.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// The parts between commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i32, 0, vec![]);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The name of an order: `f'` where there is one variable, else with the variable.
fn name(order: usize, variable: Option<&str>) -> String {
    match (order, variable) {
        (0, _) => "f".into(),
        (1..=3, None) => format!("f{}", "'".repeat(order)),
        (k, None) => format!("f^({k})"),
        (1, Some(v)) => format!("df/d{v}"),
        (k, Some(v)) => format!("d{k}f/d{v}{k}"),
    }
}

/// A decimal `d.dde-n` as a person writes it, where that is not long.
fn readable(text: &str, digits: usize) -> String {
    let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
    let Ok(power) = power.parse::<i32>() else { return text.into() };
    if !(-6..digits.min(60) as i32).contains(&power) || !mantissa.contains(|c: char| c.is_ascii_digit()) {
        return text.into();
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let point = whole.len() as i32 + power;
    if point <= 0 {
        return format!("{sign}0.{}{all}", "0".repeat(-point as usize));
    }
    let point = point as usize;
    if point >= all.len() {
        return format!("{sign}{all}{}", "0".repeat(point - all.len()));
    }
    format!("{sign}{}.{}", &all[..point], &all[point..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_out_where_that_is_short() {
        assert_eq!(readable("9.09e-2", 17), "0.0909");
        assert_eq!(readable("-1.5e0", 17), "-1.5");
        assert_eq!(readable("1.5e3", 17), "1500");
        assert_eq!(readable("1.2345e2", 17), "123.45");
        assert_eq!(readable("1.5e-7", 17), "1.5e-7");
        assert_eq!(readable("1.5e30", 17), "1.5e30");
        assert_eq!(readable("0", 17), "0");
    }

    #[test]
    fn commas_in_brackets_do_not_part() {
        assert_eq!(split("x=max(1,2),y=3"), ["x=max(1,2)", "y=3"]);
    }
}
