//! What a configuration can ask for: forms of the model, schedules, early stopping, the best weights, a start from
//! other weights; and what a run reports.

mod common;

use common::training::{
    Workshop, checkpoint, checkpoint_path, checkpoints, log, losses, names, records, same, weights,
};
use models::safetensors::{NamedTensor, TensorFile};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Trains a form of the model and holds its export to what was trained: `eval` gives the validation loss of the last
/// evaluation, in both forms, and `generate` goes on with a text.
fn form(settings: &[&str], in_config: &[(&str, Value)]) {
    let shop = Workshop::new();
    let window = "the old river runs under a bright";
    let window = &window[..32];
    shop.write("window.txt", window);
    let usual = [
        "train.steps=24",
        "train.eval_every=0",
        "train.eval_windows=1",
        "train.keep_best=false",
        "data.validation.kind=files",
        "data.validation.files=window.txt",
        "optimizer.lr=1e-2",
    ];
    shop.train("run", &[&usual[..], settings].concat()).ok();
    let run = shop.path("run");
    let train = losses(&run, "train");
    let last = train[21..].iter().sum::<f64>() / 3.0;
    assert!((5.0..6.5).contains(&train[0]), "{settings:?}: begins at ln 256: {}", train[0]);
    assert!(last < train[0] - 1.0, "{settings:?}: the loss falls from {} to {last}", train[0]);

    let config: Value = serde_json::from_slice(&fs::read(run.join("model/config.json")).unwrap()).unwrap();
    for (key, value) in in_config {
        assert_eq!(&config[*key], value, "{key}");
    }
    let ids: Vec<i64> = window.bytes().map(i64::from).collect();
    let tensors = ["input_ids", "labels"].map(|name| NamedTensor::i64(name, &[1, 32], ids.clone()));
    models::safetensors::write(&shop.path("inputs.safetensors"), &tensors, &Default::default()).unwrap();
    let expected = *losses(&run, "validation").last().unwrap();
    for form in ["sequence", "stream"] {
        let files = ["--inputs", "inputs.safetensors", "--outputs", "out.safetensors"];
        shop.run(&[&["eval", "run/model", "--want", "loss", "--form", form], &files[..]].concat()).ok();
        let loss = TensorFile::open(shop.path("out.safetensors")).unwrap().to_f64("loss").unwrap()[0];
        assert!((loss - expected).abs() < 1e-5, "{settings:?}, {form}: {loss}, in training {expected}");
    }
    let told =
        shop.run(&["generate", "run/model", "the old ", "--greedy", "--max-tokens", "8", "--json"]).json();
    assert_eq!(told["tokens"].as_array().unwrap().len(), 8, "{told}");
}

#[test]
fn the_papers_form() {
    form(&["model.mlgru_form=paper"], &[("mlgru_form", "paper".into())]);
}

#[test]
fn the_articles_form() {
    form(&["model.mlgru_form=article"], &[("mlgru_form", "article".into())]);
}

#[test]
fn short_convolutions() {
    form(&["model.use_short_conv=true"], &[("use_short_conv", true.into())]);
    let own = ["model.use_short_conv=true", "model.share_conv_kernel=false", "model.conv_size=3"];
    form(&own, &[("conv_size", 3.into()), ("share_conv_kernel", false.into())]);
}

#[test]
fn a_wider_state_without_lower_bounds() {
    let settings = ["model.expand_ratio=2", "model.use_lower_bound=false", "model.num_heads=2"];
    form(
        &settings,
        &[("expand_ratio", 2.into()), ("use_lower_bound", false.into()), ("num_heads", 2.into())],
    );
}

#[test]
fn a_head_tied_to_the_embedding() {
    form(&["model.tie_word_embeddings=true"], &[("tie_word_embeddings", true.into())]);
}

#[test]
fn the_released_form_with_every_other_schedule() {
    for kind in ["constant", "linear", "cosine"] {
        form(&[&format!("schedule.kind={kind}")], &[("use_lower_bound", true.into())]);
    }
}

#[test]
fn two_stages() {
    let shop = Workshop::new();
    let settings = ["schedule.kind=two-stage", "schedule.warmup_steps=2", "optimizer.weight_decay=0.1"];
    shop.train("run", &settings).ok();
    let lines = records(&shop.path("run"), "train");
    let of = |key: &str| -> Vec<f64> { lines.iter().map(|r| r[key].as_f64().unwrap()).collect() };
    let (lr, decay) = (of("lr"), of("weight_decay"));
    assert_eq!((lr[0], lr[1]), (2e-3, 4e-3), "warm-up");
    // A straight line over 12 updates, two thirds of it from the sixth on.
    assert!(
        (lr[5] - 4e-3 * 7.0 / 12.0).abs() < 1e-12 && (lr[6] - 4e-3 * 0.5 * 2.0 / 3.0).abs() < 1e-12,
        "{lr:?}"
    );
    assert!(decay[..6].iter().all(|d| *d == 0.1) && decay[6..].iter().all(|d| *d == 0.0), "{decay:?}");
}

#[test]
fn no_warm_up_and_no_validation() {
    let shop = Workshop::new();
    let settings =
        ["schedule.warmup_steps=0", "data.validation.kind=none", "train.early_stopping_patience=1"];
    shop.train("run", &settings).ok();
    let run = shop.path("run");
    assert_eq!(records(&run, "train")[0]["lr"], 4e-3);
    assert!(records(&run, "validation").is_empty() && !run.join("checkpoints/best.ckpt").exists());
    let last = checkpoint(&checkpoint_path(&run, 12));
    assert_exported(&run, &last.tensors);
    shop.run(&["generate", "run/model", "the", "--max-tokens", "4"]).ok();
    // More warm-up than updates is odd and works.
    shop.train("long", &["schedule.warmup_steps=100"]).ok();
}

/// The exported weights are these tensors' (and not their moments).
#[track_caller]
fn assert_exported(run: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let exported = TensorFile::open(run.join("model/model.safetensors")).unwrap();
    let mut count = 0;
    for (name, _, data) in
        tensors.iter().filter(|(name, _, _)| !name.starts_with("m.") && !name.starts_with("v."))
    {
        assert!(exported.to_f32(name).unwrap()[..] == data[..], "{name}");
        count += 1;
    }
    assert_eq!(exported.names().count(), count);
}

#[test]
fn the_best_weights_are_exported() {
    let shop = Workshop::new();
    // The second half undoes the first: a learning rate forty times as high.
    let worse = [
        "schedule.kind=two-stage",
        "schedule.second_lr_fraction=40",
        "optimizer.lr=1e-2",
        "train.eval_every=2",
    ];
    let told = shop.train("run", &[&worse[..], &["--json"]].concat()).json();
    let run = shop.path("run");
    let step = told["best"][0].as_u64().unwrap();
    assert!((2..=8).contains(&step), "{told}");
    let curve = losses(&run, "validation");
    let least = curve.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(told["best"][1].as_f64().unwrap(), least);
    assert_eq!(curve[(step / 2) as usize], least);
    let best = checkpoint(&run.join("checkpoints/best.ckpt"));
    assert_eq!(best.step, step);
    assert_exported(&run, &best.tensors);
    // Without it, the last ones.
    shop.train("last", &[&worse[..], &["train.keep_best=false"]].concat()).ok();
    let last = checkpoint(&checkpoint_path(&shop.path("last"), 12));
    assert_exported(&shop.path("last"), &last.tensors);
    assert!(
        weights(&run) != weights(&shop.path("last")) && !shop.path("last/checkpoints/best.ckpt").exists()
    );
}

#[test]
fn early_stopping() {
    let shop = Workshop::new();
    let settings = [
        "train.steps=100",
        "train.eval_every=2",
        "train.early_stopping_min_delta=10",
        "train.early_stopping_patience=2",
    ];
    let told = shop.train("run", &[&settings[..], &["--json"]].concat()).json();
    let run = shop.path("run");
    // Nothing is better by 10 nats than the first evaluation; the second that is not ends the run.
    assert_eq!((&told["steps"], &told["best"][0]), (&4.into(), &0.into()), "{told}");
    assert!(
        told["ended"].as_str().unwrap().contains("no better validation loss for 2 evaluations"),
        "{told}"
    );
    assert_eq!(checkpoints(&run), [3, 4]);
    let out = shop.train("plain", &settings).ok();
    assert!(out.starts_with("ended early: no better"), "{out}");
    // Going on comes to the same end ...
    let before = (log(&run), weights(&run));
    shop.train("run", &[&settings[..], &["--resume"]].concat()).ok();
    assert!(before == (log(&run), weights(&run)));
    // ... and with more patience, to that of a run which had it from the start.
    let patient = [&settings[..3], &["train.early_stopping_patience=3"]].concat();
    shop.train("run", &[&patient[..], &["--resume"]].concat()).ok();
    shop.train("patient", &patient).ok();
    assert_eq!(log(&run), log(&shop.path("patient")));
    assert_eq!(*checkpoints(&run).last().unwrap(), 6);
}

#[test]
fn a_start_from_other_weights() {
    let shop = Workshop::new();
    shop.train("first", &["train.keep_best=false", "optimizer.lr=1e-2"]).ok();
    // The folder's config.json overrules the sizes that are said here.
    let other = ["model.hidden_size=64", "model.num_hidden_layers=1", "model.mlgru_form=paper"];
    let settings = [&other[..], &["train.eval_every=0", "schedule.warmup_steps=0"]].concat();
    shop.train("folder", &[&settings[..], &["model.init_from=first/model"]].concat()).ok();
    let config = |run: &str| fs::read_to_string(shop.path(run).join("model/config.json")).unwrap();
    assert_eq!(config("folder"), config("first"));
    let (first, second) = (losses(&shop.path("first"), "train"), losses(&shop.path("folder"), "train"));
    assert!((second[0] - first[11]).abs() < 0.5 && second[0] < first[0] - 0.5, "{first:?} {second:?}");
    // A checkpoint holds the same weights; its moments, which a folder does not have, are left behind.
    shop.train(
        "checkpoint",
        &[&settings[..], &["model.init_from=first/checkpoints/step-000012.ckpt"]].concat(),
    )
    .ok();
    assert_eq!(log(&shop.path("folder")), log(&shop.path("checkpoint")));
    assert!(weights(&shop.path("folder")) == weights(&shop.path("checkpoint")));
    assert_eq!(records(&shop.path("checkpoint"), "train")[0]["step"], 0);
    // Such a run resumes like any other.
    let from = "model.init_from=first/model";
    shop.killed_after("killed", 3, &[&settings[..], &[from, "train.steps=60"]].concat());
    shop.train("killed", &[&settings[..], &[from, "train.steps=60", "--resume"]].concat()).ok();
    shop.train("whole", &[&settings[..], &[from, "train.steps=60"]].concat()).ok();
    same(&shop.path("killed"), &shop.path("whole"));

    // What cannot be started from.
    let from = |place: &str| shop.train("bad", &[&format!("model.init_from={place}")]);
    from("nowhere").fails(&["nowhere"]);
    from("text.txt").fails(&["text.txt", "damaged"]);
    fs::create_dir(shop.path("empty")).unwrap();
    from("empty").fails(&["empty", "config.json"]);
    fs::create_dir(shop.path("half")).unwrap();
    fs::copy(shop.path("first/model/model.safetensors"), shop.path("half/model.safetensors")).unwrap();
    fs::write(
        shop.path("half/config.json"),
        config("first").replace("\"hidden_size\": 32", "\"hidden_size\": 16"),
    )
    .unwrap();
    from("half").fails(&["model.embeddings.weight", "[256, 32] instead of [256, 16]"]);
}

#[test]
fn the_log_the_curve_and_the_events() {
    let shop = Workshop::new();
    let settings =
        ["train.steps=60", "train.sample_prompt=the", "train.sample_tokens=5", "train.eval_every=20"];
    shop.killed_after("run", 9, &settings);
    let done = shop.train("run", &[&settings[..], &["--resume"]].concat());
    let run = shop.path("run");
    // Standard error is no terminal here: lines, and no bar that moves.
    assert!(!done.err.contains(['\r', '\u{1b}']) && done.err.contains("step 60/60"), "{:?}", done.err);
    assert!(done.err.contains("step 60: sample: "), "{}", done.err);
    let out = done.ok();
    assert!(
        out.contains("60 updates") && out.contains("model: run/model") && out.contains("bits per byte"),
        "{out}"
    );

    let steps = |kind: &str| -> Vec<u64> {
        records(&run, kind).iter().map(|r| r["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("train"), (0..60).collect::<Vec<_>>(), "each update once");
    assert_eq!(steps("validation"), [0, 20, 40, 60]);
    assert_eq!(steps("sample"), [0, 20, 40, 60]);
    for line in records(&run, "train") {
        let number = |key: &str| line[key].as_f64().unwrap();
        assert!(
            number("loss") > 0.0
                && number("grad_norm") > 0.0
                && number("lr") > 0.0
                && number("seconds") > 0.0
        );
        assert_eq!(line["tokens"], 4 * 32);
    }
    for line in records(&run, "validation") {
        let bits = line["loss"].as_f64().unwrap() / std::f64::consts::LN_2;
        assert!((line["bits_per_byte"].as_f64().unwrap() - bits).abs() < 1e-12, "a byte is a token: {line}");
    }

    let svg = fs::read_to_string(run.join("loss.svg")).unwrap();
    well_formed(&svg);
    assert!(svg.contains("training") && svg.contains("validation"));

    let events = names(&run.join("tensorboard"));
    assert_eq!(events.len(), 2, "one file for each session: {events:?}");
    for name in events {
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        let bytes = fs::read(run.join("tensorboard").join(&name)).unwrap();
        assert!(whole_records(&bytes) > 10, "{name}");
    }
    // Switched off, and thinned out.
    shop.train("less", &["output.tensorboard=false", "train.log_every=5"]).ok();
    assert!(!shop.path("less/tensorboard").exists());
    let logged: Vec<u64> =
        records(&shop.path("less"), "train").iter().map(|r| r["step"].as_u64().unwrap()).collect();
    assert_eq!(logged, [0, 5, 10, 11], "every fifth, and the last");
}

/// Number of the TFRecords of a file, whose checksums must hold; a killed run may have left the last one short.
fn whole_records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((head, rest)) = bytes.split_first_chunk::<12>() {
        let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
        let sum = |data: &[u8], expected: &[u8]| {
            assert_eq!(train::metrics::masked_crc32c(data).to_le_bytes(), expected, "record {count}");
        };
        sum(&head[..8], &head[8..]);
        let Some((data, rest)) = rest.split_at_checked(length) else { break };
        let Some((expected, rest)) = rest.split_first_chunk::<4>() else { break };
        sum(data, expected);
        bytes = rest;
        count += 1;
    }
    count
}

/// Refuses XML whose elements do not nest, whose attributes are not quoted or whose entities are unknown.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = vec![];
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(!text.contains('>') && (!open.is_empty() || text.trim().is_empty()), "stray text {text:?}");
        entities(text);
        let end = rest[start..].find('>').expect("a tag without an end") + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()), "closing tag");
            continue;
        }
        let inner = tag.strip_suffix('/').unwrap_or(tag);
        let name = inner.split_whitespace().next().expect("a tag without a name");
        let attributes: Vec<&str> = inner[name.len()..].split('"').collect();
        assert_eq!(attributes.len() % 2, 1, "quotes in {tag:?}");
        for (k, part) in attributes.iter().enumerate() {
            match k % 2 {
                0 => assert!(part.trim().is_empty() || part.trim_end().ends_with('='), "{tag:?}"),
                _ => entities(part),
            }
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "not closed: {open:?}");
}

fn entities(text: &str) {
    for after in text.split('&').skip(1) {
        let name = after.split(';').next().unwrap_or("");
        assert!(name.starts_with('#') || ["amp", "lt", "gt", "quot", "apos"].contains(&name), "&{after}");
    }
}

/// What a memory limit must not change: every loss of the log, and the weights. The limit is a share of what the plan
/// takes without one.
fn memory_limit(settings: &[&str], share: f64) {
    let shop = Workshop::new();
    let usual =
        ["train.batch_size=16", "train.eval_every=0", "train.keep_best=false", "model.num_hidden_layers=8"];
    let usual = [&usual[..], settings].concat();
    shop.train("free", &usual).ok();
    let held = |dir: &str, what: &str| records(&shop.path(dir), "memory")[0][what].as_f64().unwrap();
    let limit = held("free", "state_bytes") + share * held("free", "plan_bytes");
    shop.train("bound", &[&usual[..], &["--memory", &format!("{limit:.0}")]].concat()).ok();
    let [free, bound] = ["free", "bound"].map(|dir| shop.path(dir));
    assert_eq!(losses(&free, "train"), losses(&bound, "train"));
    assert_eq!(weights(&free), weights(&bound));
    assert!(held("bound", "plan_bytes") + held("bound", "state_bytes") <= limit);
    // Set when a run is resumed: still the run that nobody interrupted.
    shop.killed_after("cut", 6, &usual);
    shop.train("cut", &[&usual[..], &["--resume", "--memory", &format!("{limit:.0}")]].concat()).ok();
    assert_eq!(weights(&free), weights(&shop.path("cut")));
}

#[test]
fn a_memory_limit_changes_no_number() {
    memory_limit(&[], 0.7);
}

#[test]
fn a_memory_limit_with_accumulated_gradients() {
    memory_limit(&["train.accumulate=2"], 0.8);
}

#[test]
fn a_memory_limit_that_cannot_be_kept() {
    let shop = Workshop::new();
    for (limit, told) in [("100kB", "weights, moments"), ("1MiB", "even where values are computed again")] {
        shop.train("run", &["train.batch_size=32", "--memory", limit]).fails(&[told, "allow more"]);
    }
    let message = shop.train("run", &["--memory", "much"]).err;
    assert!(message.contains("such as 64MiB"), "{message}");
}

#[test]
fn gradients_in_bf16() {
    let shop = Workshop::new();
    let settings = ["train.steps=24", "train.eval_every=0", "optimizer.lr=1e-2"];
    for kind in ["f32", "bf16"] {
        shop.train(kind, &[&settings[..], &[&format!("train.gradients={kind}")]].concat()).ok();
    }
    let [full, short] = ["f32", "bf16"].map(|kind| losses(&shop.path(kind), "train"));
    assert_eq!(full[0], short[0]);
    // Rounded gradients give other weights, which learn as well.
    assert_ne!(full[1..], short[1..]);
    let end = |l: &[f64]| l[20..].iter().sum::<f64>() / 4.0;
    assert!(end(&short) < full[0] - 1.0 && (end(&short) - end(&full)).abs() < 0.15, "{full:?} {short:?}");
    let plan = |kind: &str| records(&shop.path(kind), "memory")[0]["plan_bytes"].as_f64().unwrap();
    assert!(plan("bf16") <= plan("f32"));
}

#[test]
fn floats_or_integers_fused_or_not() {
    let shop = Workshop::new();
    let forms = ["train.products=integer", "train.products=float", "train.fuse=false"];
    let first: Vec<Vec<f64>> = forms
        .iter()
        .map(|form| {
            let dir = form.replace(['.', '='], "-");
            shop.train(&dir, &[form, "train.steps=3"]).ok();
            losses(&shop.path(&dir), "train")
        })
        .collect();
    for other in &first[1..] {
        let worst = first[0].iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // Rounding alone, which three updates amplify.
        assert!(worst < 2e-3, "{first:?}");
    }
}
