//! What a run shows of itself: the page has every record of the log, the flip rates are those of the weights, and a
//! resumed run has neither twice.

mod common;

use common::training::{Workshop, checkpoint, checkpoint_path, half_written, log, records, same};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn page(run: &Path) -> String {
    let html = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"), "the page is whole");
    assert!(
        !html.contains("NaN") && !html.contains("<script") && !html.contains("src="),
        "nothing is loaded or run"
    );
    html
}

/// Points of a curve: of the picture with this title, the first series whose name begins so.
fn points(html: &str, title: &str, name: &str) -> usize {
    let picture = html.split(&format!("aria-label=\"{title}\"")).nth(1).expect("a picture");
    let curve =
        picture.split("</svg>").next().unwrap().split("data-series=\"").skip(1).find(|c| c.starts_with(name));
    let path = curve.map_or("", |c| c.split(" d=\"").nth(1).unwrap().split('"').next().unwrap());
    path.matches(['M', 'L']).count()
}

/// Every series of the page against the lines of the log.
fn complete(run: &Path) {
    let html = page(run);
    let count = |kind: &str| records(run, kind).len();
    let compared = records(run, "trits").iter().filter(|look| !look["since"].is_null()).count();
    for (title, name, expected) in [
        ("Loss", "training", count("train")),
        ("Loss", "validation", count("validation")),
        ("Learning rate", "", count("train")),
        ("Gradient norm", "", count("train")),
        ("Throughput", "", count("train")),
        ("Flip rate", "", compared),
        ("Zeros and dead weights", "zero", count("trits")),
        ("Zeros and dead weights", "dead", count("trits")),
        ("Dead output units", "", count("trits")),
        ("Memory", "plan", count("memory")),
        ("Memory", "resident", if cfg!(target_os = "linux") { count("memory") } else { 0 }),
    ] {
        assert_eq!(points(&html, title, name), expected, "{title}: {name}");
    }
    assert_eq!(html.matches("<article>").count(), count("sample").min(12));
}

const SETTINGS: [&str; 3] = ["train.steps=60", "train.trits_every=7", "train.eval_every=20"];

#[test]
fn the_page_holds_the_log_and_a_resumed_run_doubles_nothing() {
    let shop = Workshop::new();
    let settings =
        [&SETTINGS[..], &["train.sample_prompt=<script>the river", "train.sample_tokens=8"]].concat();
    let told = shop.train("whole", &settings).ok();
    assert!(told.contains("page: whole/report.html"), "{told}");
    let whole = shop.path("whole");
    complete(&whole);
    assert!(page(&whole).contains("<i>&lt;script&gt;the river</i>"));
    let looks: Vec<u64> = records(&whole, "trits").iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(looks, [0, 7, 14, 21, 28, 35, 42, 49, 56, 60], "and one at the end");

    // Checkpoints come every third step, looks every seventh: the look before is in the checkpoint.
    shop.killed_after("killed", 24, &settings);
    shop.train("killed", &[&settings[..], &["--resume"]].concat()).ok();
    let killed = shop.path("killed");
    complete(&killed);
    same(&whole, &killed);
    let lines = log(&killed);
    assert_eq!(lines.iter().filter(|l| l.contains("\"kind\":\"run\"")).count(), 1);
    assert_eq!(half_written(&killed), Vec::<String>::new());

    // From the folder alone the same page comes again, but for its last line.
    let body = |html: String| html.split("<footer>").next().unwrap().to_owned();
    let before = body(page(&whole));
    fs::remove_file(whole.join("report.html")).unwrap();
    let told = shop.train("whole", &["--report-only"]).ok();
    assert_eq!(told, "page: whole/report.html\n");
    assert_eq!(body(page(&whole)), before);
    shop.train("nothing", &["--report-only"]).fails(&["cannot read", "nothing/metrics.jsonl"]);
}

/// The trits of a matrix by the rule of BitNet b1.58, with plain loops.
fn trits(weights: &[f32]) -> Vec<i32> {
    let mean = weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / weights.len() as f64;
    let scale = 1.0 / (mean as f32).max(1e-5);
    weights.iter().map(|w| (w * scale).round_ties_even().clamp(-1.0, 1.0) as i32).collect()
}

#[test]
fn flip_rates_are_those_of_the_checkpoints_weights() {
    let shop = Workshop::new();
    // A checkpoint is written before the look at the same step.
    shop.train("run", &["train.steps=30", "train.trits_every=6", "train.keep_checkpoints=99"]).ok();
    let run = shop.path("run");
    let facts = &records(&run, "run")[0];
    let matrices = facts["matrices"].as_array().unwrap();
    assert_eq!(matrices.len(), 2 * 6 + 1);
    let weights = |step: u64, name: &str| -> Vec<i32> {
        let name = if name == "lm_head" { "lm_head.weight".into() } else { format!("model.{name}.weight") };
        let checkpoint = checkpoint(&checkpoint_path(&run, step));
        trits(&checkpoint.tensors.iter().find(|t| t.0 == name).unwrap().2)
    };
    let mut flipped = 0;
    for look in records(&run, "trits").iter().filter(|look| look["step"].as_u64() >= Some(12)) {
        let (step, since) = (look["step"].as_u64().unwrap(), look["since"].as_u64().unwrap());
        assert_eq!(step - since, 6);
        for (i, matrix) in matrices.iter().enumerate() {
            let name = matrix["name"].as_str().unwrap();
            let (now, before) = (weights(step, name), weights(since, name));
            let columns = matrix["columns"].as_u64().unwrap() as usize;
            assert_eq!(now.len() as u64, columns as u64 * matrix["rows"].as_u64().unwrap());
            let flips = now.iter().zip(&before).filter(|(a, b)| a != b).count();
            let zeros = now.iter().filter(|t| **t == 0).count();
            let rows = now.chunks(columns).filter(|row| row.iter().all(|t| *t == 0)).count();
            assert_eq!(look["flips"][i], flips, "{name} at step {step}");
            assert_eq!(look["zeros"][i], zeros, "{name} at step {step}");
            assert_eq!(look["dead_rows"][i], rows, "{name} at step {step}");
            flipped += flips;
        }
    }
    assert!(flipped > 100, "the comparison is worth something: {flipped}");
    // Dead: zero at the first look, which no checkpoint shows, and at all the later ones; it can only fall.
    let dead: Vec<u64> = records(&run, "trits").iter().map(|l| l["dead"][0].as_u64().unwrap()).collect();
    assert!(dead.windows(2).all(|pair| pair[1] <= pair[0]) && dead[0] > 0, "{dead:?}");
    let later: Vec<Vec<i32>> = (1..=5).map(|k| weights(6 * k, "layers.0.attn.i_proj")).collect();
    let never = (0..later[0].len()).filter(|&i| later.iter().all(|look| look[i] == 0)).count() as u64;
    assert!(*dead.last().unwrap() <= never);
}

#[test]
fn zeros_are_those_of_the_packed_model() {
    let shop = Workshop::new();
    for tied in [false, true] {
        let name = format!("tied-{tied}");
        let tie = format!("model.tie_word_embeddings={tied}");
        shop.train(&name, &["train.keep_best=false", &tie]).ok();
        let run = shop.path(&name);
        let last = records(&run, "trits").pop().unwrap();
        let matrices = records(&run, "run").pop().unwrap()["matrices"].clone();
        let described = shop.run(&["inspect", &format!("{name}/model"), "--trits", "--json"]).json();
        let mut compared = 0;
        for (i, matrix) in matrices.as_array().unwrap().iter().enumerate() {
            let name = format!("{}.weight", matrix["name"].as_str().unwrap());
            let parameters = described["parameters"].as_array().unwrap();
            let found = parameters.iter().find(|p| p["name"].as_str().unwrap().ends_with(&name));
            let Some(found) = found.filter(|p| p["trits"].is_array()) else { continue };
            assert_eq!(found["trits"][1], last["zeros"][i], "{name}");
            compared += 1;
        }
        assert_eq!(compared, if tied { 12 } else { 13 });
        complete(&run);
    }
}

#[test]
fn runs_without_this_or_that_have_a_page_too() {
    let shop = Workshop::new();
    for (dir, settings) in [
        ("no-validation", vec!["data.validation.kind=none"]),
        ("rarely-logged", vec!["train.log_every=1000"]),
        ("no-looks", vec!["train.trits_every=0"]),
        ("one-step", vec!["train.steps=1", "train.eval_every=0", "data.validation.kind=none"]),
    ] {
        shop.train(dir, &settings).ok();
        let run = shop.path(dir);
        if dir == "no-looks" {
            assert_eq!(records(&run, "trits").len(), 0);
            assert!(!page(&run).contains("Ternary weights"));
        } else {
            complete(&run);
        }
    }
    let logged: Vec<Value> = records(&shop.path("rarely-logged"), "train");
    assert_eq!(logged.iter().map(|l| l["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 11]);
    shop.train("none", &["output.page=false"]).ok();
    assert!(!shop.path("none/report.html").exists());
    // The looks are switched on when the run goes on: they begin there.
    shop.train("no-looks", &["--resume", "train.trits_every=4"]).ok();
    let looks = records(&shop.path("no-looks"), "trits");
    assert!(looks.len() == 1 && looks[0]["since"].is_null(), "{looks:?}");
    complete(&shop.path("no-looks"));
}

/// A full disk, as the file-size limit gives it: 20 blocks hold the configuration and not the page.
#[cfg(target_os = "linux")]
#[test]
fn a_page_that_cannot_be_written_ends_the_run_with_a_reason() {
    let shop = Workshop::new();
    let settings = ["data.validation.kind=none", "data.cache=false"];
    let told = shop.train_limited("run", 20, &settings).fails(&["cannot write", "report.html", "--resume"]);
    assert!(told.contains("ulimit -f"), "{told}");
    assert!(!shop.path("run/report.html").exists() && half_written(&shop.path("run")).is_empty());
}

#[test]
fn a_failed_run_says_so_on_its_page() {
    let shop = Workshop::new();
    let told = shop.train("run", &["optimizer.lr=1e38", "optimizer.grad_clip=0", "train.steps=200"]);
    let told = told.fails(&["is not finite"]);
    let html = page(&shop.path("run"));
    assert!(html.contains("ended early") && html.contains("is not finite"), "{told}");
    assert!(!html.contains("http-equiv=\"refresh\""), "nothing more will come");
}

#[test]
fn tensorboard_has_the_flip_rates() {
    let shop = Workshop::new();
    shop.train("run", &["train.trits_every=6"]).ok();
    let folder = shop.path("run/tensorboard");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(file).unwrap();
    let count = |tag: &str| bytes.windows(tag.len()).filter(|w| *w == tag.as_bytes()).count();
    for (tag, expected) in [
        ("flip_rate/all", 2),
        ("flip_rate/layers.1.mlp.down_proj", 2),
        ("zeros/lm_head", 3),
        ("dead/layers.0.attn.i_proj", 3),
        ("dead_rows/all", 3),
    ] {
        assert_eq!(count(tag), expected, "{tag}: looks at 0, 6 and 12");
    }
}
