//! The numbers of training: equal for any number of threads, equal for a batch in parts, those of the reference run,
//! and an error where they stop being numbers.

mod common;

use common::golden;
use common::training::{Done, Workshop, checkpoints, log, losses, records, weights};
use models::config::MatMulFreeConfig;
use models::folder::{SaveOptions, save_folder};
use models::safetensors::Values;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn no_number_depends_on_the_number_of_threads() {
    let shop = Workshop::new();
    // Large enough that every kernel has something to share out.
    let settings = ["model.hidden_size=128", "train.batch_size=8", "data.seq_len=64", "train.steps=4"];
    for threads in ["1", "2", "3"] {
        shop.train(threads, &[&settings[..], &["--threads", threads]].concat()).ok();
        assert_eq!(log(&shop.path(threads)), log(&shop.path("1")), "{threads} threads");
        assert!(weights(&shop.path(threads)) == weights(&shop.path("1")), "{threads} threads");
    }
}

#[test]
fn batches_that_are_accumulated_are_one_batch() {
    let shop = Workshop::new();
    for sampler in ["random-windows", "shuffled-documents"] {
        let sampler = format!("data.sampler={sampler}");
        let settings = [sampler.as_str(), "train.steps=5", "train.eval_every=0", "data.validation.kind=none"];
        for (dir, batch, parts) in [("one", "6", "1"), ("parts", "2", "3")] {
            let _ = fs::remove_dir_all(shop.path(dir));
            let sizes = [format!("train.batch_size={batch}"), format!("train.accumulate={parts}")];
            shop.train(dir, &[&settings[..], &[&sizes[0], &sizes[1]]].concat()).ok();
        }
        for key in ["loss", "grad_norm"] {
            let values = |dir: &str| -> Vec<f64> {
                records(&shop.path(dir), "train").iter().map(|r| r[key].as_f64().unwrap()).collect()
            };
            for (step, (a, b)) in values("one").into_iter().zip(values("parts")).take(3).enumerate() {
                // A trit that rounds the other way moves the gradient a little, the loss hardly.
                let tolerance = if key == "loss" { 1e-5 } else { 1e-3 };
                assert!((a - b).abs() <= tolerance * a, "{sampler}, step {step}, {key}: {a} and {b}");
            }
        }
        assert_eq!(records(&shop.path("parts"), "train")[0]["tokens"], 6 * 32);
    }
}

/// A model folder with `value` in the middle of tensor `name`.
fn spoilt(folder: &Path, name: &str, value: f32) {
    let config = MatMulFreeConfig {
        vocab_size: 256,
        hidden_size: 32,
        num_hidden_layers: 2,
        intermediate_size: Some(48),
        bos_token_id: None,
        eos_token_id: vec![],
        ..Default::default()
    };
    let mut tensors = config.init(3);
    let tensor = tensors.iter_mut().find(|t| t.name == name).unwrap();
    let Values::F32(values) = &mut tensor.values else { panic!("{name} is no f32") };
    let values = values.to_mut();
    let middle = values.len() / 2;
    values[middle] = value;
    save_folder(folder, &config.to_json(), &tensors, SaveOptions::default()).unwrap();
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let shop = Workshop::new();
    for (name, value, what) in [
        ("model.layers.1.attn.f_proj.weight", f32::NAN, "NaN"),
        ("model.layers.0.mlp.down_proj.weight", f32::INFINITY, "infinity"),
        ("model.norm.weight", f32::NEG_INFINITY, "infinity"),
        ("model.embeddings.weight", f32::NAN, "NaN"),
    ] {
        let _ = fs::remove_dir_all(shop.path("run"));
        spoilt(&shop.path("model"), name, value);
        let holds = format!("`{name}` holds {what} at element ");
        let parts = ["step 0: the initial weight", &holds, "no checkpoint was written yet", "optimizer.lr"];
        shop.train("run", &["model.init_from=model", "train.eval_every=0"]).fails(&parts);
        assert!(checkpoints(&shop.path("run")).is_empty() && !shop.path("run/model").exists());
    }
}

/// The learning rate explodes at update 6 of 12; checkpoints are written after every second update.
const EXPLODES: [&str; 6] = [
    "schedule.kind=two-stage",
    "schedule.second_lr_fraction=1e36",
    "schedule.warmup_steps=0",
    "optimizer.lr=1e-2",
    "train.checkpoint_every=2",
    "train.eval_every=0",
];

#[test]
fn an_explosion_names_op_layer_step_and_the_last_good_checkpoint() {
    let shop = Workshop::new();
    let told = shop.train("run", &EXPLODES).fails(&["is not finite", "step 7", "optimizer.lr"]);
    let good = ["step-000006.ckpt", "(step 6)", "the last good checkpoint is", "model.init_from"];
    assert!(good.iter().all(|part| told.contains(part)), "{told}");
    assert!(told.contains(" in ") && told.contains("result of `"), "op and layer: {told}");
    assert_eq!(losses(&shop.path("run"), "train").len(), 7, "the updates before are in the log");
    assert_eq!(checkpoints(&shop.path("run")), [2, 4, 6]);

    // Again the same, since nothing depends on the moment.
    let again = shop.train("run", &[&EXPLODES[..], &["--resume"]].concat()).fails(&[]);
    assert_eq!(told, again);

    // With gentler settings: not the same run, which is said with what differs ...
    let gentle = [&EXPLODES[..], &["schedule.second_lr_fraction=0.5"]].concat();
    let parts =
        ["does not fit", "schedule.second_lr_fraction: 1e36 → 0.5", "`model.init_from`", "`output.dir`"];
    shop.train("run", &[&gentle[..], &["--resume"]].concat()).fails(&parts);

    // ... but its weights can be gone on from in a run of its own.
    let from = "model.init_from=run/checkpoints/step-000006.ckpt";
    shop.train("next", &[&gentle[..], &[from]].concat()).ok();
    let (before, after) = (losses(&shop.path("run"), "train"), losses(&shop.path("next"), "train"));
    assert_eq!(after.len(), 12);
    assert!((after[0] - before[6]).abs() < 0.5 && after[0] < before[0] - 0.3, "{before:?} {after:?}");
    assert!(after.iter().all(|loss| loss.is_finite()), "{after:?}");
}

#[test]
fn an_absurd_learning_rate_ends_the_run() {
    let shop = Workshop::new();
    for (dir, lr) in [("a", "optimizer.lr=1e30"), ("b", "optimizer.lr=1e39")] {
        let settings = [lr, "schedule.warmup_steps=0", "train.checkpoint_every=1", "train.steps=40"];
        let done = shop.train(dir, &settings);
        let told = done.fails(&["is not finite", "step "]);
        assert!(told.contains("checkpoint"), "{told}");
        // Whatever was saved is whole and finite.
        for step in checkpoints(&shop.path(dir)) {
            let saved =
                common::training::checkpoint(&common::training::checkpoint_path(&shop.path(dir), step));
            assert!(
                saved.tensors.iter().all(|(_, _, data)| data.iter().all(|x| x.is_finite())),
                "{dir} {step}"
            );
        }
    }
}

/// The reference run's configuration for `steps` updates; `None` where there is no golden data.
fn reference_run(shop: &Workshop, more: &[&str]) -> Option<Done> {
    let init = golden("matmulfree/train/init")?;
    let root = init.ancestors().nth(3)?.canonicalize().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../train/examples/golden.toml");
    let mut command = shop.command(&["train", example.to_str().unwrap(), "--set", "output.dir=run"]);
    for set in more {
        command.args(["--set", set]);
    }
    let output = command.env("FIDELITY_GOLDEN", root).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Some(Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) })
}

/// Compares the first eleven losses with the reference's, and says how far they are apart.
fn first_losses(run: &Path) {
    let Some(reference) = golden("matmulfree/train/log_fortunes6_f32_1t.json") else { return };
    let reference: Value = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
    let (mut first, mut later) = (0.0f64, 0.0f64);
    for (step, loss) in losses(run, "train").into_iter().take(11).enumerate() {
        let expected = reference["steps"][step][1].as_f64().unwrap();
        let difference = (loss - expected).abs();
        if step == 0 {
            first = difference
        } else {
            later = later.max(difference)
        }
        assert!(
            difference <= if step == 0 { 1e-3 } else { 5e-3 },
            "step {step}: {loss}, expected {expected}"
        );
    }
    println!("loss of step 0 within {first:.1e}, of steps 1 to 10 within {later:.1e} of the reference");
}

#[test]
fn the_reference_run_begins_as_it_should() {
    let shop = Workshop::new();
    // The schedule's first 20 updates do not depend on how many there are.
    let settings = ["train.steps=11", "train.eval_every=0", "train.eval_windows=2", "train.keep_best=false"];
    let Some(done) = reference_run(&shop, &settings) else { return };
    done.ok();
    assert_eq!(losses(&shop.path("run"), "train").len(), 11);
    first_losses(&shop.path("run"));
}

#[test]
#[ignore = "long: 400 updates of the reference run; `cargo xtask test --long`"]
fn the_whole_reference_run() {
    let shop = Workshop::new();
    let Some(done) = reference_run(&shop, &[]) else { return };
    done.ok();
    first_losses(&shop.path("run"));
    let validation = records(&shop.path("run"), "validation");
    let steps: Vec<u64> = validation.iter().map(|r| r["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..=400).step_by(50).collect::<Vec<_>>());
    let last = validation.last().unwrap()["loss"].as_f64().unwrap();
    println!("validation loss at 400 updates: {last:.4}");
    assert!((2.12..=2.23).contains(&last), "{last}");
}
