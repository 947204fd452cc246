//! Nothing is lost: runs that are killed, stopped, out of disk space or left with a damaged checkpoint go on, and
//! their numbers are those of the uninterrupted run, bit for bit.

mod common;

use common::training::{
    Random, Workshop, checkpoint_path, checkpoints, half_written, log, names, records, same, weights,
};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// `kill -9` at 20 moments of a run of 200 updates: in the start-up, in the middle of an update, while a checkpoint
/// is being written; each time the run goes on with `--resume`.
fn killed_twenty_times(sampler: &str, seed: u64) {
    let shop = Workshop::new();
    let sampler = format!("data.sampler={sampler}");
    let settings = [sampler.as_str(), "train.steps=200", "train.eval_every=10"];
    shop.train("whole", &settings).ok();

    let run = shop.path("killed");
    let mut random = Random(seed);
    let mut while_writing = 0;
    for kill in 0..20u64 {
        let mut settings = settings.to_vec();
        if checkpoints(&run).is_empty() {
            // Nothing to go on from yet: the command says so, and what to do instead.
            if kill > 0 {
                let more = [&settings[..], &["--resume"]].concat();
                shop.train("killed", &more).fails(&["no usable checkpoint", "start without `--resume`"]);
            }
        } else {
            settings.push("--resume");
        }
        let mut running = shop.begin("killed", &settings);
        match kill % 4 {
            // Anywhere in the start-up: reading, the text's cache, compiling, the first evaluation.
            0 => std::thread::sleep(Duration::from_millis(random.below(80))),
            // A file that is begun and not yet whole.
            1 | 3 => {
                running.wait_for_step(5 * kill + random.below(5));
                let folder = run.join("checkpoints");
                running.wait_until(|| names(&folder).iter().any(|name| name.ends_with(".partial")));
            }
            // Anywhere in an update.
            _ => {
                running.wait_for_step(5 * kill + random.below(5));
                std::thread::sleep(Duration::from_micros(random.below(12_000)));
            }
        }
        running.kill();
        while_writing += usize::from(!half_written(&run).is_empty());
    }
    shop.train("killed", &[&settings[..], &["--resume"]].concat()).ok();
    assert!(while_writing > 0, "no kill fell into the writing of a file");
    same(&shop.path("whole"), &run);
    assert_eq!(records(&run, "train").len(), 200);
    assert_eq!(half_written(&run), Vec::<String>::new(), "left over");
}

#[test]
fn killed_twenty_times_with_shuffled_documents() {
    killed_twenty_times("shuffled-documents", 1);
}

#[test]
fn killed_twenty_times_with_random_windows() {
    killed_twenty_times("random-windows", 2);
}

#[test]
fn a_finished_run_resumes_to_itself() {
    let shop = Workshop::new();
    shop.train("once", &[]).ok();
    shop.train("twice", &[]).ok();
    let told = shop.train("twice", &["--resume", "--json"]).json();
    same(&shop.path("once"), &shop.path("twice"));
    assert_eq!(told["steps"], 12);
    assert!(told["train_loss"].as_f64().unwrap() > 1.0, "the losses of earlier sessions count: {told}");
    assert_eq!(told["validation"].as_array().unwrap().len(), 4, "{told}");
}

#[test]
fn a_run_without_checkpoints_on_the_way_has_one_at_the_end() {
    let shop = Workshop::new();
    shop.train("run", &["train.checkpoint_every=0"]).ok();
    assert_eq!(checkpoints(&shop.path("run")), [12]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_in_order() {
    let shop = Workshop::new();
    let settings = ["train.steps=200", "train.checkpoint_every=0"];
    shop.train("whole", &settings).ok();
    for (signal, step) in [("-TERM", 20), ("-INT", 60)] {
        let resume: &[&str] = if step == 20 { &[] } else { &["--resume"] };
        let mut running = shop.begin("run", &[&settings[..], resume].concat());
        running.wait_for_step(step);
        let done = running.end_with(signal);
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(checkpoints(&shop.path("run")).iter().any(|s| *s > step), "a checkpoint is saved");
        assert!(shop.path("run/model/model.safetensors").exists(), "and a model");
    }
    shop.train("run", &[&settings[..], &["--resume"]].concat()).ok();
    assert_eq!(log(&shop.path("whole")), log(&shop.path("run")));
    assert!(weights(&shop.path("whole")) == weights(&shop.path("run")));
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let shop = Workshop::new();
    let settings = ["train.steps=150", "train.checkpoint_every=5"];
    shop.train("whole", &settings).ok();
    shop.killed_after("run", 15, &settings);
    let run = shop.path("run");
    let newest = *checkpoints(&run).last().unwrap();
    let path = checkpoint_path(&run, newest);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    let resume = [&settings[..], &["--resume"]].concat();
    let done = shop.train("run", &resume);
    let name = format!("step-{newest:06}.ckpt` was passed over, it is damaged");
    assert!(done.err.contains(&name), "{}", done.err);
    done.ok();
    same(&shop.path("whole"), &run);

    // None that is whole: an error, and not a silent new beginning.
    for step in checkpoints(&run) {
        fs::write(checkpoint_path(&run, step), "nonsense").unwrap();
    }
    shop.train("run", &resume).fails(&["no usable checkpoint", "damaged", "step-000150.ckpt"]);
    shop.train("run", &settings).fails(&["already holds checkpoints", "output.dir"]);
}

#[test]
fn damaged_best_weights_do_not_cost_the_run() {
    let shop = Workshop::new();
    // Nothing is ever better than the first evaluation, so nothing replaces its file.
    let settings = ["train.early_stopping_min_delta=10"];
    shop.train("last", &["train.keep_best=false", settings[0]]).ok();
    shop.train("run", &settings).ok();
    assert!(weights(&shop.path("run")) != weights(&shop.path("last")));
    fs::write(shop.path("run/checkpoints/best.ckpt"), "nonsense").unwrap();
    let done = shop.train("run", &["--resume", settings[0]]);
    assert!(
        done.err.contains("the last weights are exported, not the best") && done.err.contains("best.ckpt")
    );
    done.ok();
    assert!(weights(&shop.path("run")) == weights(&shop.path("last")));
}

#[test]
fn one_run_at_a_time() {
    let shop = Workshop::new();
    let long = ["train.steps=100000", "train.eval_every=0"];
    let mut running = shop.begin("run", &long);
    running.wait_for_step(1);
    for more in [&long[..], &[&long[..], &["--resume"]].concat()] {
        shop.train("run", more).fails(&["another run is writing to `run`", "wait for it", "output.dir"]);
    }
    running.kill();
    // The lock went with the process.
    let told = shop.train("run", &["train.steps=5"]);
    assert!(!told.err.contains("another run"), "{}", told.err);
}

/// A full disk, as the file-size limit gives it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_previous_checkpoint() {
    let shop = Workshop::new();
    let settings = ["train.steps=150", "train.eval_every=0", "train.checkpoint_every=5"];
    let resume = [&settings[..], &["--resume"]].concat();
    shop.train("whole", &settings).ok();
    let size = fs::metadata(checkpoint_path(&shop.path("whole"), 150)).unwrap().len();
    assert!(size > 300_000, "the limit below is meant for checkpoints: {size}");

    // From the beginning: not even the first checkpoint fits.
    let told =
        shop.train_limited("early", 250, &settings).fails(&["cannot write", "step-000005.ckpt", "--resume"]);
    assert!(told.contains("ulimit -f"), "{told}");
    assert!(checkpoints(&shop.path("early")).is_empty() && half_written(&shop.path("early")).is_empty());

    // Later: what was saved before is as it was, and the run goes on from there.
    shop.killed_after("run", 15, &settings);
    let run = shop.path("run");
    let before = content(&run);
    let newest = *checkpoints(&run).last().unwrap();
    let next = format!("step-{:06}.ckpt", newest + 5);
    shop.train_limited("run", 250, &resume).fails(&["cannot write", &next, "previous checkpoint is intact"]);
    assert!(before == content(&run), "a checkpoint changed");
    shop.train("run", &resume).ok();
    same(&shop.path("whole"), &run);
}

/// Every checkpoint's bytes; what a killed run had left half written is none.
fn content(run: &Path) -> Vec<Vec<u8>> {
    checkpoints(run).into_iter().map(|step| fs::read(checkpoint_path(run, step)).unwrap()).collect()
}

#[test]
fn other_settings_are_named() {
    let shop = Workshop::new();
    shop.train("run", &[]).ok();
    let told = shop
        .train("run", &["--resume", "optimizer.lr=1e-3", "model.hidden_size=64", "data.seed=7"])
        .fails(&[
            "does not fit this run",
            "optimizer.lr: 0.004 → 0.001",
            "model.hidden_size: 32 → 64",
            "data.seed: 42 → 7",
            "config.toml",
            "model.init_from",
        ]);
    assert!(!told.contains("betas") && !told.contains("output.dir:"), "only what differs: {told}");
    // Another text under the same name.
    shop.write("text.txt", common::training::text(20_000));
    shop.train("run", &["--resume"]).fails(&["the training text has changed", "[data]", "model.init_from"]);
    // What may change does.
    shop.write("text.txt", common::training::text(24_000));
    shop.train("run", &["--resume", "train.log_every=5", "train.keep_checkpoints=1", "--threads=2"]).ok();
    // The file that the message names is good for it.
    shop.run(&["train", "run/config.toml", "--resume"]).ok();
    // A new run does not overwrite an old one's checkpoints.
    let parts = ["already holds checkpoints", "--resume", "output.dir"];
    shop.train("run", &[]).fails(&parts);
}

#[test]
fn the_best_weights_of_an_aborted_run_are_not_the_next_ones() {
    let shop = Workshop::new();
    let mut running =
        shop.begin("run", &["train.steps=100000", "train.checkpoint_every=0", "model.init_seed=5"]);
    running.wait_for_step(3);
    running.kill();
    assert!(shop.path("run/checkpoints/best.ckpt").exists() && checkpoints(&shop.path("run")).is_empty());
    for dir in ["run", "fresh"] {
        shop.train(dir, &["data.validation.kind=none", "model.intermediate_size=64"]).ok();
    }
    same(&shop.path("run"), &shop.path("fresh"));
}
