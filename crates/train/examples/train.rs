//! Trains from a configuration file, as `fidelity train` does: `cargo run --release --example train -- CONFIG.toml`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: train CONFIG.toml [key=value]…")?;
    let overrides: Vec<String> = args.collect();
    let config = train::TrainConfig::load(path, &overrides)?;
    let summary = train::run(&config, &train::RunOptions::default())?;
    println!("{}", serde_json::to_string_pretty(&summary)?);
    Ok(())
}
