//! `fidelity derive`: derivatives of an expression as formulas, values and a picture.

use super::{common, print};
use anyhow::Result;
use fidelity::derive::{Arithmetic, Feature, Found, Kind, MOST_DIGITS, MOST_ORDERS, Point, Study, draw};
use fidelity::error::Fault;
use furnace::FurnaceError;
use furnace::symbolic::{MOST_NODES, Rules, to_rust};
use models::atomic;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
An expression has numbers, variables, + - * / ^, functions (exp log sqrt sin cos tan asin acos
atan sinh cosh tanh abs sign max min clamp floor ceil round relu leaky_relu elu sigmoid silu
softplus gelu gelu_tanh erf), pi, e, pieces (if x < 0 then … elif … then … else …,
with and, or, not) and names for parts (let a = x*x; a + 1/a). A number is that decimal in
every precision.

Examples:
  fidelity derive 'tanh(x)' --order 3
  fidelity derive 'if x < 0 then 0.1*(exp(x)-1) else x/(1+x)' --order 4 --at x=0.1 --digits 40
  fidelity derive 'x*sigmoid(x)' --order 2 --real-rules --plot silu.svg
  fidelity derive '(1-a)^2 + 100*(b-a^2)^2' --wrt a --at a=1.5,b=2.5 --at a=1,b=1
  fidelity derive 'clamp(x, -1, 1)' --plot clip.svg --range -2:2
  fidelity derive 'gelu(x)' --order 2 --rust > gelu.rs";

#[derive(clap::Args)]
pub(super) struct Args {
    /// The expression, in quotes
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// The variable to differentiate by; may be left out where there is one, or one called x
    #[arg(long, value_name = "NAME")]
    wrt: Option<String>,
    /// The highest order; all from 0 on are shown
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=MOST_ORDERS as i64))]
    order: u32,
    /// Values at a point, such as x=0.1,y=pi/4; can be given several times
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    at: Vec<String>,
    /// Values to that many significant digits, all of them right, instead of in doubles
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_DIGITS as i64))]
    digits: Option<u32>,
    /// Simplify with rules that hold for real numbers but round otherwise, or cancel what can be 0: shorter formulas
    #[arg(long)]
    real_rules: bool,
    /// Draw the function and its derivatives, broken at jumps and poles, with kinks marked
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Where to draw, and to look for kinks
    #[arg(long, value_name = "A:B", default_value = "-4:4", allow_hyphen_values = true)]
    range: String,
    /// Print the formulas as LaTeX
    #[arg(long, conflicts_with_all = ["rust", "json"])]
    latex: bool,
    /// Print the formulas as Rust functions
    #[arg(long, conflicts_with = "json")]
    rust: bool,
    /// Print everything as one JSON value
    #[arg(long)]
    json: bool,
}

/// The values at a point, one an order; where there is none, why.
struct Row {
    point: Point,
    values: Vec<Result<Found, FurnaceError>>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(file) = &args.plot {
        common::check_output(file)?;
    }
    let rules = if args.real_rules { Rules::Real } else { Rules::Exact };
    let study =
        Study::new(&args.expression, args.wrt.as_deref(), args.order as usize, rules).map_err(told)?;
    let arithmetic = args.digits.map_or(Arithmetic::Double, |n| Arithmetic::Digits(n as usize));
    let mut rows = vec![];
    for text in &args.at {
        let point = Point::read(text, &study)?;
        let values: Vec<_> = (0..study.orders.len()).map(|k| study.value(k, &point, arithmetic)).collect();
        // Without the function's own value there is nothing to study at that point.
        if let Some(Err(error)) = values.first() {
            return Err(Fault::new(
                format!("f at {point}: {error}"),
                "choose a point at which the function has a value",
            )
            .into());
        }
        rows.push(Row { point, values });
    }
    let features = match &args.plot {
        Some(file) => {
            let range = range(&args.range)?;
            let (plot, features) = draw(&study, fixed(&study, &rows)?, range);
            atomic::write_bytes(file, plot.to_svg().as_bytes())?;
            features
        }
        None => vec![],
    };
    for row in &rows {
        for (order, value) in study.orders.iter().zip(&row.values) {
            if let Err(error) = value {
                print::note(&format!("note: {} at {}: {error}", order.name, row.point));
            }
        }
    }
    match args {
        _ if args.json => print::json(&value(args, &study, &rows, &features)?),
        _ if args.latex => print::text(&latex(&study)?),
        _ if args.rust => print::text(&rust(&study)?),
        _ => print::text(&text(&study, &rows, &features)),
    }
}

/// An error of the expression with a remedy.
fn told(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<FurnaceError>() {
        Some(FurnaceError::Expression { .. }) => {
            Fault::new(error.to_string(), "`fidelity derive --help` shows what an expression may have").into()
        }
        _ => error,
    }
}

fn range(text: &str) -> Result<(f64, f64)> {
    let ends = text.split_once(':').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match ends {
        Some((a, b)) if a < b && f64::is_finite(a) && f64::is_finite(b) && f64::is_finite(b - a) => {
            Ok((a, b))
        }
        _ => Err(Fault::new(
            format!("--range {text}: expected two numbers, the smaller first"),
            "write it as --range -4:4",
        )
        .into()),
    }
}

/// The other variables where the picture is drawn: those of the first point.
fn fixed(study: &Study, rows: &[Row]) -> Result<Vec<(String, f64)>> {
    let variables = study.orders[0].expression.variables();
    let others: Vec<&str> = variables.into_iter().filter(|v| *v != study.variable).collect();
    match (rows.first(), others.is_empty()) {
        (_, true) => Ok(vec![]),
        (Some(row), _) => {
            let kept = row.point.values.iter().filter(|(n, _)| others.contains(&n.as_str()));
            kept.map(|(n, v)| Ok((n.clone(), v.value::<f64>(&[])?))).collect()
        }
        (None, _) => Err(Fault::new(
            format!("--plot: the other variables have no values: {}", others.join(", ")),
            "give them with --at; the picture is drawn through the first point",
        )
        .into()),
    }
}

fn text(study: &Study, rows: &[Row], features: &[Feature]) -> String {
    let mut out = String::new();
    let wide = study.orders.iter().map(|o| o.name.chars().count()).max().unwrap_or(1);
    for (k, o) in study.orders.iter().enumerate() {
        let nodes = match (k, o.nodes_nested) {
            (0, _) => format!("{} nodes", o.nodes),
            (_, Some(before)) => format!("{} nodes, {before} before simplification", o.nodes),
            _ => format!("{} nodes, more than {MOST_NODES} before simplification", o.nodes),
        };
        out.push_str(&format!("{:wide$} = {}\n{:wide$}   {nodes}\n", o.name, o.expression, ""));
    }
    let cell = |v: &Result<Found, FurnaceError>| v.as_ref().map_or("undefined".into(), |v| v.text.clone());
    for row in rows {
        out.push_str(&format!("\n{}\n", row.point));
        for (o, v) in study.orders.iter().zip(&row.values) {
            let v = cell(v);
            let gap = if v.starts_with('-') { "" } else { " " };
            out.push_str(&format!("  {:wide$}  {gap}{v}\n", o.name));
        }
    }
    if !features.is_empty() {
        out.push('\n');
    }
    for f in features {
        out.push_str(&format!("{} at {} = {}: {}\n", f.kind.name(), study.variable, f.x, story(study, f)));
    }
    out
}

fn story(study: &Study, f: &Feature) -> String {
    let name = &study.orders[f.order].name;
    let side = |v: Option<f64>| v.map_or("no value".into(), |v| format!("{v:.6}"));
    let (a, b) = (side(f.sides.0), side(f.sides.1));
    match f.kind {
        Kind::Pole => format!("{name} grows without bound"),
        Kind::Edge if f.sides.0.is_none() => format!("{name} begins"),
        Kind::Edge => format!("{name} ends"),
        _ => format!("{name} goes from {a} to {b}"),
    }
}

fn latex(study: &Study) -> Result<String> {
    let mut out = String::new();
    for (k, o) in study.orders.iter().enumerate() {
        let several = o.expression.variables().len() > 1;
        let x = if several { String::new() } else { format!("({})", study.variable) };
        let name = match (k, several) {
            (0, _) => format!("f{x}"),
            (1..=3, false) => format!("f{}{x}", "'".repeat(k)),
            (_, false) => format!("f^{{({k})}}{x}"),
            (1, true) => format!("\\frac{{\\partial f}}{{\\partial {}}}", study.variable),
            (_, true) => format!("\\frac{{\\partial^{{{k}}} f}}{{\\partial {}^{{{k}}}}}", study.variable),
        };
        out.push_str(&format!("{name} = {}\n", o.expression.to_latex()?));
    }
    Ok(out)
}

fn rust(study: &Study) -> Result<String> {
    let names: Vec<String> = (0..study.orders.len())
        .map(|k| match k {
            0 => "f".into(),
            1 => "df".into(),
            k => format!("d{k}f"),
        })
        .collect();
    let list: Vec<_> =
        names.iter().map(String::as_str).zip(study.orders.iter().map(|o| &o.expression)).collect();
    Ok(to_rust(&list)?)
}

fn value(args: &Args, study: &Study, rows: &[Row], features: &[Feature]) -> Result<Value> {
    let mut derivatives = vec![];
    for (k, o) in study.orders.iter().enumerate() {
        derivatives.push(json!({
            "order": k,
            "name": o.name,
            "text": o.expression.to_string(),
            "latex": o.expression.to_latex()?,
            "nodes": o.nodes,
            "nodes_before_simplification": o.nodes_nested,
        }));
    }
    let number = |v: &Result<Found, FurnaceError>| match (v, args.digits) {
        (Ok(v), None) => json!(v.double),
        (Ok(v), Some(_)) => json!(v.text),
        (Err(_), _) => Value::Null,
    };
    let points: Vec<Value> = rows
        .iter()
        .map(|row| {
            let at: serde_json::Map<String, Value> =
                row.point.values.iter().map(|(n, v)| (n.clone(), json!(v.to_string()))).collect();
            let problems: Vec<Value> = (row.values.iter())
                .map(|v| v.as_ref().err().map_or(Value::Null, |e| json!(e.to_string())))
                .collect();
            json!({
                "at": at,
                "values": row.values.iter().map(number).collect::<Vec<_>>(),
                "problems": problems,
            })
        })
        .collect();
    let found: Vec<Value> = features
        .iter()
        .map(|f| json!({"x": f.x, "kind": f.kind.name(), "order": f.order, "left": f.sides.0, "right": f.sides.1}))
        .collect();
    Ok(json!({
        "expression": args.expression,
        "variable": study.variable,
        "rules": if args.real_rules { "real" } else { "exact" },
        "digits": args.digits,
        "derivatives": derivatives,
        "points": points,
        "features": found,
    }))
}
