use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

fn history(lines: &[Value]) -> History {
    let mut history = History::default();
    lines.iter().for_each(|line| history.take(line));
    history
}

/// The log of a run of `n` updates with an evaluation, a look and a sample at every fifth.
fn log(n: u64) -> Vec<Value> {
    let matrices = json!([
        {"name": "layers.0.attn.i_proj", "rows": 4, "columns": 5},
        {"name": "lm_head", "rows": 2, "columns": 5},
    ]);
    let mut lines = vec![json!({
        "kind": "run", "step": 0, "parameters": 99, "train_tokens": 1000, "bytes_per_token": 2.0, "matrices": matrices,
    })];
    for step in 0..n {
        if step % 5 == 0 {
            let loss = 5.0 - 0.01 * step as f64;
            lines.push(json!({"kind": "validation", "step": step, "loss": loss, "bits_per_byte": loss, "best": true}));
            let mut look = json!({"kind": "trits", "step": step, "zeros": [6, 10], "dead": [5, 10], "dead_rows": [0, 2]});
            look["since"] = if step > 0 { json!(step - 5) } else { Value::Null };
            look["flips"] = json!([step % 7, 0]);
            lines.push(look);
            lines.push(
                json!({"kind": "memory", "step": step, "seconds": 0.1 * step as f64, "plan_bytes": 5_000_000,
                "state_bytes": 1188, "resident_bytes": 7_000_000, "peak_bytes": 8_000_000}),
            );
            lines.push(json!({"kind": "sample", "step": step, "text": format!("text {step}")}));
        }
        lines.push(json!({"kind": "train", "step": step, "loss": 5.0 - 0.01 * step as f64, "grad_norm": 1.5,
            "lr": 1e-3, "weight_decay": 0.0, "tokens": 512, "seconds": 0.1, "elapsed": 0.1 * (step + 1) as f64}));
    }
    lines
}

/// Points of the first curve with this title of its picture and this name.
fn points(html: &str, title: &str, name: &str) -> usize {
    let picture = html.split(&format!("aria-label=\"{title}\"")).nth(1).expect("a picture");
    let picture = picture.split("</svg>").next().unwrap_or_default();
    let mut curves = picture.split("data-series=\"").skip(1);
    let curve = curves.find(|c| c.starts_with(&format!("{name}\"")) || c.starts_with(&format!("{name} ")));
    curve.map_or(0, |c| {
        let path = c.split(" d=\"").nth(1).and_then(|d| d.split('"').next()).unwrap_or_default();
        path.matches(['M', 'L']).count()
    })
}

fn shown(lines: &[Value]) -> String {
    let html = page(&TrainConfig::default(), &history(lines), &State::Running);
    for wrong in ["NaN", ">inf", "-inf", " inf ", "Linf", "Minf", "<script"] {
        assert!(!html.contains(wrong), "{wrong}");
    }
    html
}

#[test]
fn every_record_is_a_point() {
    for n in [1, 5, 39, 60] {
        let html = shown(&log(n));
        let looks = n.div_ceil(5) as usize;
        assert_eq!(points(&html, "Loss", "training"), n as usize);
        assert_eq!(points(&html, "Loss", "validation"), looks);
        assert_eq!(points(&html, "Learning rate", ""), n as usize);
        assert_eq!(points(&html, "Gradient norm", ""), n as usize);
        assert_eq!(points(&html, "Zeros and dead weights", "zero"), looks);
        assert_eq!(points(&html, "Zeros and dead weights", "dead"), looks);
        assert_eq!(points(&html, "Flip rate", ""), looks - 1, "the first look compares with nothing");
        assert_eq!(points(&html, "Memory", "plan"), looks);
        assert_eq!(html.matches("<article>").count(), looks.min(12));
    }
    assert!(shown(&log(60)).contains("http-equiv=\"refresh\""), "a page of a running run is read again");
    let over = page(&TrainConfig::default(), &history(&log(60)), &State::Over);
    assert!(!over.contains("http-equiv=\"refresh\""));
    // The same log and configuration, the same page, but for the time in its last line.
    let body = |html: &str| html.split("<footer>").next().unwrap().to_owned();
    assert_eq!(body(&over), body(&page(&TrainConfig::default(), &history(&log(60)), &State::Over)));
}

#[test]
fn rates_are_shares_of_the_trits() {
    let html = shown(&log(11));
    // The look at step 10: 10 mod 7 = 3 flips of 20 + 10 trits; 6 + 10 zeros; rows 2 of 6.
    assert!(html.contains("<title>layers.0.attn.i_proj: 15.0 %</title>"), "3 of 20");
    assert!(html.contains("<title>lm_head: 0 %</title>") && html.contains("<title>lm_head: 100 %</title>"));
    assert!(html.contains("data-series=\"zero 53.3 %\"") && html.contains("data-series=\"dead 50.0 %\""));
    assert!(
        html.contains("Of 6 output units") && html.contains("Most of them, 2, are in <code>lm_head</code>")
    );
    assert!(html.contains("(here the last 5 steps)"));
}

#[test]
fn a_sample_is_text_and_nothing_else() {
    let hostile = "</pre><script>alert(1)</script>\u{202e}&amp;\u{0}\u{1b}[2J'\"<img src=x onerror=y>";
    let mut lines = log(3);
    lines.push(json!({"kind": "sample", "step": 3, "text": hostile}));
    lines.push(json!({"kind": "run", "step": 0, "parameters": 1, "bytes_per_token": 1.0,
        "matrices": [{"name": "<script>x</script>", "rows": 4, "columns": 5}, {"name": "\"><b>", "rows": 2, "columns": 5}]}));
    let mut config = TrainConfig::default();
    config.train.sample_prompt = "<script>prompt".into();
    config.output.dir = "runs/<script>".into();
    let html = page(&config, &history(&lines), &State::Ended("<script>".into()));
    assert!(
        !html.contains("<script") && !html.contains("<img") && !html.contains("<b>\""),
        "something ran through"
    );
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}&amp;amp;\u{fffd}\u{fffd}[2J&#39;&quot;")
    );
    assert!(html.contains("<i>&lt;script&gt;prompt</i>"));
}

#[test]
fn a_page_can_be_made_of_nothing() {
    let html = shown(&[]);
    assert!(
        html.contains("no data yet")
            && html.contains("0 of 400 updates")
            && !html.contains("Ternary weights")
    );
    // Without evaluations, without looks, with losses that JSON cannot hold.
    let only: Vec<Value> = log(8).into_iter().filter(|l| l["kind"] == "train").collect();
    assert_eq!(points(&shown(&only), "Loss", "training"), 8);
    let mut broken = only;
    broken[3]["loss"] = Value::Null;
    broken[4]["seconds"] = json!(0.0);
    broken.push(json!({"kind": "validation", "step": 8, "loss": null}));
    broken.push(json!({"kind": "memory", "step": 8, "seconds": 1.0, "plan_bytes": 1, "state_bytes": 1,
        "resident_bytes": null, "peak_bytes": null}));
    let html = shown(&broken);
    assert_eq!(points(&html, "Loss", "training"), 7, "a gap");
    // Looks of another model than the run's line describes.
    let mut other = log(6);
    other[0]["matrices"] = json!([{"name": "a", "rows": 1, "columns": 1}]);
    assert_eq!(points(&shown(&other), "Flip rate", ""), 0);
    // A run whose weights are all zero from the beginning.
    let mut dead = log(11);
    for line in dead.iter_mut().filter(|l| l["kind"] == "trits") {
        (line["flips"], line["zeros"], line["dead"], line["dead_rows"]) =
            (json!([0, 0]), json!([20, 10]), json!([20, 10]), json!([4, 2]));
    }
    assert!(shown(&dead).contains("data-series=\"dead 100 %\""));
}

#[test]
fn a_long_run_has_a_page_of_bounded_size() {
    let mut lines = log(0);
    let matrices: Vec<Value> = (0..24)
        .flat_map(|l| {
            (0..6).map(move |p| json!({"name": format!("layers.{l}.attn.p{p}"), "rows": 10, "columns": 10}))
        })
        .collect();
    lines[0]["matrices"] = json!(matrices);
    for step in 0..2000u64 {
        let list = |f: &dyn Fn(u64) -> u64| (0..144).map(f).collect::<Vec<_>>();
        lines.push(json!({"kind": "trits", "step": 20 * step, "since": step.checked_sub(1).map(|s| 20 * s),
            "flips": list(&|i| (i + step) % 50), "zeros": list(&|_| 30), "dead": list(&|_| 20), "dead_rows": list(&|_| 0)}));
        for k in 0..10 {
            lines.push(
                json!({"kind": "train", "step": 20 * step + k, "loss": 2.0, "grad_norm": 1.0, "lr": 1e-3,
                "tokens": 10, "seconds": 0.1, "elapsed": step}),
            );
        }
    }
    let html = shown(&lines);
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
    assert!(points(&html, "Loss", "training") <= 1000);
}

#[test]
fn the_page_costs_a_hundredth_of_the_run() {
    let start = Instant::now();
    let budget = Budget { last: Some(start), cost: Duration::from_millis(30) };
    assert!(Budget::default().allows(), "the first page is written at once");
    assert!(!budget.allows_at(start + Duration::from_millis(2999)));
    assert!(budget.allows_at(start + Duration::from_millis(3000)));
    let mut budget = Budget::default();
    budget.spend(|| std::thread::sleep(Duration::from_millis(5)));
    assert!(budget.cost >= Duration::from_millis(5) && !budget.allows());
}

#[test]
fn a_page_is_made_again_from_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let error = remake(dir.path()).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl"), "{error}");
    let mut text: String = log(7).iter().map(|line| format!("{line}\n")).collect();
    text.push_str("{\"kind\":\"train\",\"step\":7,\"lo");
    std::fs::write(dir.path().join("metrics.jsonl"), text).unwrap();
    assert!(remake(dir.path()).unwrap_err().to_string().contains("config.toml"));
    std::fs::write(dir.path().join("config.toml"), TrainConfig::default().to_commented_toml()).unwrap();
    let html = std::fs::read_to_string(remake(dir.path()).unwrap()).unwrap();
    assert_eq!(points(&html, "Loss", "training"), 7);
    assert!(html.contains("7 of 400 updates") && html.contains("not finished"));
}
