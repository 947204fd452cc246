//! What the recogniser made of a kernel, for people and for programs.

use crate::error::Result;
use crate::function::Kernel;
use crate::raise::{Declined, Findings, Raised};
use std::fmt::{self, Write};

/// A kernel's source beside what was raised of it and what was not.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// The kernel.
    pub kernel: String,
    /// The file that it stands in.
    pub file: String,
    /// Its source, with the file's line numbers.
    pub source: Vec<Line>,
    /// Named operations.
    pub raised: Vec<Raised>,
    /// Results that are none, and why.
    pub declined: Vec<Declined>,
    /// What must hold for the arguments.
    pub requires: Vec<String>,
    /// How it is compiled, and whether it has derivatives.
    pub compiled: String,
    /// How float arithmetic was read.
    pub note: String,
}

/// A line of source.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Line {
    /// Its number in the file.
    pub number: u32,
    /// Its text.
    pub text: String,
}

const NOTE: &str = "Sums of floats are taken in any order; NaN and infinities are left aside.";

impl Kernel {
    /// The report of `fidelity explain`.
    ///
    /// ```
    /// let report = kernel::article::ssm_step::kernel().explain()?;
    /// assert_eq!(report.raised[0].op, "ssm.state_update");
    /// assert!(report.to_string().contains("ssm.output"));
    /// # Ok::<(), kernel::KernelError>(())
    /// ```
    ///
    /// # Errors
    /// [`KernelError::Type`](crate::KernelError::Type).
    pub fn explain(&self) -> Result<Explanation> {
        let mut found = self.raise()?;
        for r in &mut found.raised {
            r.lines.iter_mut().for_each(|l| *l = self.line(*l));
        }
        for d in found.declined.iter_mut().filter(|d| d.line > 0) {
            d.line = self.line(d.line);
        }
        let compiled = compiled(&found);
        let line = |(n, text): (u32, &str)| Line { number: self.line(n), text: text.to_string() };
        Ok(Explanation {
            kernel: self.name().to_string(),
            file: self.file().to_string(),
            source: self.lines().map(line).collect(),
            raised: found.raised,
            declined: found.declined,
            requires: found.requires,
            compiled,
            note: NOTE.into(),
        })
    }
}

/// A kernel is a graph where every formula is known; the rest is compiled as it is written.
fn compiled(found: &Findings) -> String {
    let unknown = found.declined.iter().find(|d| d.formula.is_none());
    match unknown {
        None => "as its graph, which is differentiable; or lowered to scf/arith/memref as written".into(),
        Some(d) => {
            let at = if d.line > 0 { format!("line {}: ", d.line) } else { String::new() };
            format!("lowered to scf/arith/memref; not differentiable: `{}`: {at}{}", d.output, d.reason)
        }
    }
}

/// 3, 4, 5, 9 as `3-5, 9`.
fn ranges(lines: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = vec![];
    for l in lines {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == *l => *end = *l,
            _ => parts.push((*l, *l)),
        }
    }
    let text = parts.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    text.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.source.first().map_or(0, |l| l.number);
        writeln!(f, "{} ({}:{first})", self.kernel, self.file)?;
        let wide = self.source.last().map_or(1, |l| l.number.to_string().len());
        for l in &self.source {
            writeln!(f, "{:>wide$} | {}", l.number, l.text)?;
        }
        writeln!(f, "\ncompiled\n  {}", self.compiled)?;
        if !self.raised.is_empty() {
            writeln!(f, "\nraised")?;
        }
        let mut told: Vec<&str> = vec![];
        for r in &self.raised {
            // The formula and the lines of a result are told once.
            if told.contains(&r.output.as_str()) {
                writeln!(f, "  {} in `{}`", r.op, r.output)?;
            } else {
                writeln!(f, "  {} gives `{}`, from lines {}", r.op, r.output, ranges(&r.lines))?;
                writeln!(f, "      {} = {}", r.output, r.formula)?;
                told.push(&r.output);
            }
            let mut roles = String::new();
            for (role, text) in &r.operands {
                writeln!(roles, "      {role:10} {text}")?;
            }
            f.write_str(&roles)?;
        }
        if !self.declined.is_empty() {
            writeln!(f, "\nnot raised")?;
        }
        for d in &self.declined {
            let at = if d.line > 0 { format!("line {}: ", d.line) } else { String::new() };
            writeln!(f, "  `{}`: {at}{}", d.output, d.reason)?;
            if let Some(formula) = &d.formula {
                writeln!(f, "      {} = {formula}", d.output)?;
            }
        }
        if !self.requires.is_empty() {
            writeln!(f, "\nrequires")?;
        }
        for r in &self.requires {
            writeln!(f, "  {r}")?;
        }
        writeln!(f, "\n{}", self.note)
    }
}
