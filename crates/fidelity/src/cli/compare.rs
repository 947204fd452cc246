//! `fidelity compare`: several architectures at equal parameters and equal tokens.

use super::print;
use anyhow::Result;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
The configuration is one of `fidelity train` with a section more:
  [compare]
  models = [\"transformer\", \"mamba\", \"matmulfree\"]   values of model.architecture
  parameters = 1000000                              of each; the width is chosen for it
  lengths = [64, 1024, 4096]                        where a token is timed
  [compare.set.mamba]                               overrides for one of them
  \"optimizer.lr\" = 3e-3

Examples:
  fidelity compare compare.toml
  fidelity compare compare.toml --set train.steps=200 --set output.dir=runs/short
  fidelity compare compare.toml --plan              widths and parameters, nothing trained
  fidelity compare compare.toml --json";

#[derive(clap::Args)]
pub(super) struct Args {
    /// The configuration, a TOML file
    config: PathBuf,
    /// Overrides a key of all models' configurations; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Print which models would be trained, and stop
    #[arg(long)]
    plan: bool,
    /// Print the results as one JSON value
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let comparison = fidelity::compare::load(&args.config, &args.overrides)?;
    if args.plan {
        let rows: Vec<serde_json::Value> = comparison
            .entries
            .iter()
            .map(|entry| {
                serde_json::json!({
                    "name": entry.name,
                    "architecture": entry.train.model.architecture,
                    "hidden_size": entry.train.model.hidden_size,
                    "parameters": entry.parameters,
                    "dir": entry.train.output.dir,
                })
            })
            .collect();
        if args.json {
            return print::json(&rows);
        }
        let lines = comparison.entries.iter().map(|entry| {
            format!(
                "{}: {} parameters at width {}, in {}\n",
                entry.name,
                entry.parameters,
                entry.train.model.hidden_size,
                entry.train.output.dir.display()
            )
        });
        return print::text(&lines.collect::<String>());
    }
    let outcomes = fidelity::compare::run(&comparison, &mut |text| eprintln!("{text}"))?;
    let page = fidelity::compare::write(&comparison, &outcomes)?;
    if args.json {
        return print::json(&outcomes);
    }
    print::text(&format!("{}\npage: {}\n", fidelity::compare::table(&outcomes), page.display()))
}
