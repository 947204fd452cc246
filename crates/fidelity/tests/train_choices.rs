//! Surrogates, gradient transformations and optimisers as a configuration chooses them: each trains, none is another,
//! each resumes bit for bit, and what is exported is the hard ternary model.

mod common;

use common::training::{Workshop, log, losses, records, same, weights};
use models::folder::ModelFolder;

const SURROGATES: [&str; 13] = [
    "ste",
    "clipped",
    "hard-tanh",
    "tanh",
    "dsq",
    "reste",
    "softmax",
    "lsq",
    "ramp",
    "tequila",
    "trust",
    "stochastic",
    "proximal",
];
const OPTIMISERS: [&str; 7] = ["adamw", "adam", "sgd", "lion", "muon", "bop", "schedule-free"];

/// Settings that suit an optimiser: rates differ by their units.
fn suited(kind: &str) -> Vec<String> {
    let lr = match kind {
        "sgd" => "0.1",
        "lion" => "5e-4",
        "schedule-free" => "1e-2",
        _ => "4e-3",
    };
    let mut settings = vec![format!("optimizer.kind={kind}"), format!("optimizer.lr={lr}")];
    if kind == "schedule-free" {
        settings.push("schedule.kind=constant".into());
    }
    if kind == "adam" {
        settings.push("optimizer.weight_decay=0.1".into());
    }
    settings
}

fn refs(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

/// Every pair of runs differs in its last loss.
fn all_differ(list: &[(&str, f64)]) {
    for (i, (a, x)) in list.iter().enumerate() {
        for (b, y) in &list[i + 1..] {
            assert!(x != y, "{a} and {b} train to the same loss {x}");
        }
    }
}

#[test]
fn every_surrogate_trains_in_its_own_way() {
    let shop = Workshop::new();
    let mut last = vec![];
    for name in SURROGATES {
        let setting = format!("quantizer.surrogate={name}");
        let told = shop.train(name, &["train.steps=20", &setting]);
        if ["dsq", "softmax", "ramp", "tequila", "proximal"].contains(&name) {
            assert!(told.err.contains(&format!("the schedule of `{name}` is over")), "{}", told.err);
        }
        told.ok();
        let run = losses(&shop.path(name), "train");
        assert!(run.len() == 20 && run.iter().all(|x| x.is_finite()), "{name}: {run:?}");
        assert!(run[19] < run[0] - 0.1, "{name} does not learn: {run:?}");
        last.push((name, run[19]));
        // The published layout, whatever trained it.
        let folder = ModelFolder::open(shop.path(&format!("{name}/model"))).unwrap();
        let model = models::config::MatMulFreeConfig::from_folder(&folder).unwrap();
        assert!(model.warnings.is_empty(), "{name}");
    }
    all_differ(&last);
    // The default is the plain estimator, with or without its name.
    shop.train("default", &["train.steps=20"]).ok();
    assert!(weights(&shop.path("default")) == weights(&shop.path("ste")));
}

#[test]
fn every_transformation_trains_in_its_own_way() {
    let shop = Workshop::new();
    let mut last = vec![];
    for name in ["none", "ewgs", "ags-literal", "ags-bounded", "ags-flip-rate"] {
        let setting = format!("quantizer.transform={name}");
        shop.train(name, &["train.steps=20", &setting]).ok();
        let run = losses(&shop.path(name), "train");
        assert!(run.iter().all(|x| x.is_finite()), "{name}: {run:?}");
        assert!(run[19] < run[0] - 0.1, "{name} does not learn: {run:?}");
        last.push((name, run[19]));
    }
    all_differ(&last);
}

#[test]
fn every_optimiser_trains_and_resumes_to_the_bit() {
    let shop = Workshop::new();
    let mut last = vec![];
    for kind in OPTIMISERS {
        let mut settings = suited(kind);
        settings.push("train.steps=60".into());
        let (whole, parts) = (format!("{kind}-whole"), format!("{kind}-parts"));
        shop.train(&whole, &refs(&settings)).ok();
        let run = losses(&shop.path(&whole), "train");
        assert!(run.iter().all(|x| x.is_finite()), "{kind}: {run:?}");
        assert!(run[59] < run[0] - 0.2, "{kind} does not learn: {run:?}");
        last.push((kind, run[59]));
        shop.killed_after(&parts, 6, &refs(&settings));
        settings.push("--resume".into());
        shop.train(&parts, &refs(&settings)).ok();
        same(&shop.path(&whole), &shop.path(&parts));
    }
    all_differ(&last);
}

#[test]
fn surrogates_with_a_state_or_noise_resume_to_the_bit() {
    let shop = Workshop::new();
    for settings in [
        &["quantizer.surrogate=lsq"][..],
        &["quantizer.surrogate=stochastic"],
        // The schedule ends in the middle: the resumed run compiles the step that it needs.
        &["quantizer.surrogate=ramp", "quantizer.until=0.3"],
        &["quantizer.transform=ags-flip-rate"],
        &["quantizer.surrogate=proximal", "train.accumulate=2", "train.products=float"],
    ] {
        let more = [settings, &["train.steps=60"]].concat();
        for dir in ["whole", "parts"] {
            let _ = std::fs::remove_dir_all(shop.path(dir));
        }
        shop.train("whole", &more).ok();
        shop.killed_after("parts", 6, &more);
        shop.train("parts", &[&more[..], &["--resume"]].concat()).ok();
        same(&shop.path("whole"), &shop.path("parts"));
    }
}

/// The knob of a ramp at 1 from the start is the quantiser: the float form of the plain step.
#[test]
fn a_ramp_that_is_over_is_the_plain_step() {
    let shop = Workshop::new();
    shop.train("plain", &[]).ok();
    shop.train("over", &["quantizer.surrogate=ramp", "quantizer.until=0"]).ok();
    assert!(weights(&shop.path("plain")) == weights(&shop.path("over")));
    let told = shop.train("again", &["quantizer.surrogate=ramp", "quantizer.from=1", "quantizer.until=1"]);
    told.ok();
    let (a, b) = (losses(&shop.path("plain"), "train"), losses(&shop.path("again"), "train"));
    assert!((a[0] - b[0]).abs() < 1e-4, "λ = 1 is the quantised model: {} and {}", a[0], b[0]);
}

#[test]
fn looks_have_histograms_of_distances() {
    let shop = Workshop::new();
    shop.train("run", &["train.trits_every=4"]).ok();
    let looks = records(&shop.path("run"), "trits");
    assert!(looks.len() >= 3);
    let run = &records(&shop.path("run"), "run")[0];
    for look in &looks {
        for (matrix, counts) in
            run["matrices"].as_array().unwrap().iter().zip(look["distance"].as_array().unwrap())
        {
            let counts: Vec<u64> = counts.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            let weights = matrix["rows"].as_u64().unwrap() * matrix["columns"].as_u64().unwrap();
            assert_eq!((counts.len(), counts.iter().sum::<u64>()), (16, weights));
        }
        // Four bins lie below the threshold: what they hold are the zeros, but for weights at the very edge.
        let below: u64 = (look["distance"].as_array().unwrap().iter())
            .flat_map(|c| c.as_array().unwrap()[..4].iter().map(|n| n.as_u64().unwrap()))
            .sum();
        let zeros: u64 = look["zeros"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
        assert!(below.abs_diff(zeros) <= 4, "{below} weights below the threshold, {zeros} zeros");
    }
    let page = std::fs::read_to_string(shop.path("run/report.html")).unwrap();
    assert!(page.contains("Distance to the threshold"));
    assert!(log(&shop.path("run")).iter().any(|line| line.contains("\"distance\":[[")));
}

#[test]
fn a_wider_scalar_trains_in_the_same_loop_and_resumes_to_the_bit() {
    let shop = Workshop::new();
    let plain = ["train.steps=24", "data.seq_len=8", "train.batch_size=2"];
    let wide = [&plain[..], &["precision.scalar=f64"]].concat();
    shop.train("single", &plain).ok();
    shop.train("whole", &wide).ok();
    let (single, double) = (losses(&shop.path("single"), "train"), losses(&shop.path("whole"), "train"));
    assert!((single[0] - double[0]).abs() < 1e-5 * single[0], "{} and {}", single[0], double[0]);
    assert!(single.len() == 24 && double.len() == 24 && single != double, "the run was done in f32");
    assert!(double[23] < double[0] - 0.1, "{double:?}");
    shop.killed_after("parts", 6, &wide);
    shop.train("parts", &[&wide[..], &["--resume"]].concat()).ok();
    same(&shop.path("whole"), &shop.path("parts"));
}

#[test]
fn choices_that_are_none_are_refused_with_what_there_is() {
    let shop = Workshop::new();
    for (setting, parts) in [
        (
            "quantizer.surrogate=straight",
            &["quantizer.surrogate", "`straight`", "ste, clipped", "tequila"][..],
        ),
        ("quantizer.transform=ags", &["quantizer.transform", "ags-bounded"]),
        ("quantizer.from=3", &["`ste` has no parameter"]),
        ("quantizer.surogate=ramp", &["unknown key", "`quantizer.surrogate`"]),
        ("optimizer.kind=adagrad", &["adagrad", "lion", "schedule-free"]),
        ("optimizer.momentum=1.5", &["optimizer.momentum", "below 1"]),
        ("optimizer.bop_gamma=0", &["optimizer.bop_gamma", "above 0"]),
        ("quantizer.flip_rate=2", &["quantizer.flip_rate", "up to 1"]),
        ("quantizer.horizon=0", &["quantizer.horizon", "above 0"]),
        ("precision.scalar=interval", &["`interval`", "bounds grow", "digits:N"]),
        ("precision.scalar=f16", &["`f16`", "f32, f64"]),
    ] {
        shop.train("run", &[setting]).fails(parts);
    }
}
