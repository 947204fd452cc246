//! The report as text.

use super::Report;
use crate::machine::Source;
use std::collections::BTreeMap;
use std::fmt;

/// Nanoseconds in a unit that a person reads.
pub(super) fn time(ns: f64) -> String {
    match ns {
        _ if !ns.is_finite() => "–".into(),
        x if x < 1e3 => format!("{x:.0} ns"),
        x if x < 1e6 => format!("{:.1} µs", x / 1e3),
        x if x < 1e9 => format!("{:.2} ms", x / 1e6),
        x => format!("{:.2} s", x / 1e9),
    }
}

/// Bytes in a unit that a person reads.
pub(super) fn bytes(n: f64) -> String {
    match n {
        x if x < 1024.0 => format!("{x:.0} B"),
        x if x < 1024.0 * 1024.0 => format!("{:.1} KiB", x / 1024.0),
        x if x < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", x / 1024.0 / 1024.0),
        x => format!("{:.2} GiB", x / 1024.0 / 1024.0 / 1024.0),
    }
}

/// A count in a unit that a person reads.
fn count(n: f64) -> String {
    match n {
        x if x < 1e3 => format!("{x:.0}"),
        x if x < 1e6 => format!("{:.1} k", x / 1e3),
        x if x < 1e9 => format!("{:.1} M", x / 1e6),
        x => format!("{:.2} G", x / 1e9),
    }
}

/// At most `width` characters, the beginning cut: the end says more of a part's path.
fn tail(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width {
        text.to_owned()
    } else {
        std::iter::once('…').chain(text.chars().skip(n + 1 - width)).collect()
    }
}

fn head(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        text.to_owned()
    } else {
        text.chars().take(width - 1).chain(['…']).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let threads = if self.threads == 1 { "1 thread".into() } else { format!("{} threads", self.threads) };
        writeln!(f, "target      {}, {threads}", self.target)?;
        let source = match self.source {
            Source::Measured => "measured",
            Source::Default => "default figures: run `fidelity calibrate` for those of this machine",
            Source::Datasheet => "data sheet, never measured: times are bounds from below",
        };
        writeln!(f, "machine     {} ({source})", self.machine)?;
        writeln!(f, "            {}", self.note)?;
        if !self.without.is_empty() {
            let list: Vec<_> = self.without.iter().map(|o| o.name()).collect();
            writeln!(f, "without     {}", list.join(", "))?;
        }
        let least = if self.source == Source::Datasheet { "at least " } else { "" };
        writeln!(
            f,
            "predicted   {least}{} in {} steps, {} barriers",
            time(self.predicted_ns),
            self.steps.len(),
            self.barriers
        )?;
        let operations: Vec<String> = self
            .operations
            .iter()
            .filter(|o| *o.1 > 0.0)
            .map(|(k, n)| format!("{} {k}", count(*n)))
            .collect();
        writeln!(f, "operations  {}", operations.join(", "))?;
        let traffic: Vec<String> = self
            .traffic
            .iter()
            .map(|(k, t)| format!("{k} {} + {}", bytes(t.read), bytes(t.written)))
            .collect();
        writeln!(f, "traffic     {} (read + written)", traffic.join(", "))?;
        self.steps(f)?;
        self.parts(f)?;
        self.lay(f)
    }
}

impl Report {
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:>4}  {:<30} {:<18} {:>9} {:>10} {:>10} {:>9}  {:<10} cut",
            "step", "what", "result", "ops", "read", "written", "predicted", "limit"
        )?;
        let mut part = "";
        for s in &self.steps {
            if s.part != part {
                part = &s.part;
                writeln!(f, "      ── {}", tail(part, 100))?;
            }
            let all: f64 = s.operations.values().sum();
            let read: f64 = s.traffic.values().map(|t| t.read).sum();
            let written: f64 = s.traffic.values().map(|t| t.written).sum();
            let cut: Vec<String> = s
                .rounds
                .iter()
                .filter(|r| r.tasks > 1)
                .map(|r| format!("{} × {}", r.tasks, r.task))
                .collect();
            let cut = if cut.is_empty() { "one thread".to_owned() } else { cut.join("; ") };
            writeln!(
                f,
                "{:>4}  {:<30} {:<18} {:>9} {:>10} {:>10} {:>9}  {:<10} {cut}",
                s.step,
                head(&s.name, 30),
                head(&s.ty, 18),
                count(all),
                bytes(read),
                bytes(written),
                time(s.predicted_ns),
                s.bound
            )?;
        }
        Ok(())
    }

    fn parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<34} {:>5} {:>6} {:>10} {:>6}",
            "fusion group", "steps", "nodes", "predicted", "share"
        )?;
        for g in &self.groups {
            writeln!(
                f,
                "{:<34} {:>5} {:>6} {:>10} {:>5.1} %",
                g.name,
                g.steps,
                g.nodes,
                time(g.predicted_ns),
                100.0 * g.share
            )?;
        }
        let mut joins: BTreeMap<&str, (usize, usize, f64)> = BTreeMap::new();
        for j in &self.joins {
            let e = joins.entry(j.pattern).or_default();
            *e = (e.0 + 1, e.1 + j.bytes, e.2 + j.saves_ns);
        }
        if !joins.is_empty() {
            writeln!(
                f,
                "\n{:<34} {:>5} {:>12} {:>10}",
                "could be one kernel", "pairs", "between", "would save"
            )?;
            for (name, (n, size, saves)) in joins {
                writeln!(f, "{name:<34} {n:>5} {:>12} {:>10}", bytes(size as f64), time(saves))?;
            }
        }
        Ok(())
    }

    fn lay(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<(&str, &str), (usize, usize, f64)> = BTreeMap::new();
        for l in &self.layouts {
            let e = kinds.entry((l.layout, l.about)).or_default();
            *e = (e.0 + 1, e.1 + l.bytes, l.bits);
        }
        for ((layout, about), (n, size, bits)) in kinds {
            let many = if n == 1 { "matrix" } else { "matrices" };
            writeln!(
                f,
                "\nlayout {layout}: {n} {many}, {} ({bits:.1} bits a weight)\n  {about}",
                bytes(size as f64)
            )?;
        }
        let m = &self.memory;
        let saved = 100.0 * (1.0 - m.arena as f64 / m.unshared.max(1) as f64);
        writeln!(
            f,
            "\narena       {} ({} bytes; {} without reuse, {saved:.0} % saved); most alive {} in step {}",
            bytes(m.arena as f64),
            m.arena,
            bytes(m.unshared as f64),
            bytes(m.peak as f64),
            m.peak_step
        )?;
        writeln!(
            f,
            "outside     inputs {}, outputs {}, {} updates in place",
            bytes(m.inputs as f64),
            bytes(m.outputs as f64),
            m.in_place
        )?;
        if m.recomputed > 0 {
            writeln!(f, "            {} nodes are computed twice to save memory", m.recomputed)?;
        }
        Ok(())
    }
}
