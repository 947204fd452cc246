//! Every error that a user meets: the real binary, a message with cause and remedy, an exit code other than 0.

mod cli_support;

use cli_support::{Tiny, config, fidelity, fidelity_into, save};
use models::safetensors::NamedTensor;
use std::fs;
use std::path::PathBuf;

/// `eval` of the folder's model on four tokens.
fn eval(tiny: &Tiny) -> Vec<std::ffi::OsString> {
    let inputs = tiny.inputs([1, 4], &[1, 2, 3, 4], None);
    args!["eval", tiny.model, "--inputs", inputs, "--outputs", tiny.path("out.safetensors")].to_vec()
}

fn with(mut list: Vec<std::ffi::OsString>, more: &[&str]) -> Vec<std::ffi::OsString> {
    list.extend(more.iter().map(Into::into));
    list
}

fn weights(tiny: &Tiny) -> PathBuf {
    tiny.model.join("model.safetensors")
}

#[test]
fn truncated_weights() {
    let tiny = Tiny::new();
    let bytes = fs::read(weights(&tiny)).unwrap();
    for length in [0, 4, 100, bytes.len() - 1] {
        fs::write(weights(&tiny), &bytes[..length]).unwrap();
        for run in
            [eval(&tiny), args!["inspect", tiny.model].to_vec(), args!["generate", tiny.model, "a"].to_vec()]
        {
            fidelity(&run).fails(1, &["model.safetensors", "expected", "found"]);
        }
    }
    assert!(!tiny.path("out.safetensors").exists());
}

#[test]
fn hostile_headers() {
    let tiny = Tiny::new();
    let header = |length: u64, json: &str| [&length.to_le_bytes(), json.as_bytes()].concat();
    let whole = |json: &str| header(json.len() as u64, json);
    for bytes in [
        header(u64::MAX, "{}"),
        header(1 << 40, "{}"),
        whole("not json"),
        whole(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#),
        whole(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#),
        whole(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8000000]}}"#),
        whole(r#"{"a":{"dtype":"F99","shape":[],"data_offsets":[0,0]}}"#),
    ] {
        fs::write(weights(&tiny), bytes).unwrap();
        fidelity(&eval(&tiny)).fails(1, &["model.safetensors"]);
    }
}

#[test]
fn damaged_inputs() {
    let tiny = Tiny::new();
    let run = eval(&tiny);
    let inputs = tiny.path("inputs.safetensors");
    let bytes = fs::read(&inputs).unwrap();
    fs::write(&inputs, &bytes[..bytes.len() - 5]).unwrap();
    fidelity(&run).fails(1, &["inputs.safetensors"]);
    let write = |tensors: &[NamedTensor<'_>]| {
        models::safetensors::write(&inputs, tensors, &Default::default()).unwrap();
    };
    write(&[NamedTensor::i64("ids", &[1, 2], vec![1, 2])]);
    fidelity(&run).fails(1, &["inputs.safetensors", "`input_ids`"]);
    write(&[NamedTensor::i64("input_ids", &[2], vec![1, 2])]);
    fidelity(&run).fails(1, &["`input_ids`", "[B, T]", "[2]"]);
    write(&[NamedTensor::f32("input_ids", &[1, 2], vec![1.0, 2.0])]);
    fidelity(&run).fails(1, &["`input_ids`", "F32"]);
    write(&[NamedTensor::i64("input_ids", &[0, 2], vec![])]);
    fidelity(&run).fails(1, &["empty", "at least one"]);
    write(&[
        NamedTensor::i64("input_ids", &[1, 2], vec![1, 2]),
        NamedTensor::i64("labels", &[2, 1], vec![1, 2]),
    ]);
    fidelity(&run).fails(1, &["`labels`", "[1, 2]", "[2, 1]"]);
}

#[test]
fn wrong_shape_and_missing_tensor() {
    let tiny = Tiny::new();
    let mut tensors = config().init(7);
    let gone = tensors.remove(3).name;
    let wrong = tensors.iter_mut().find(|t| t.name == "lm_head.weight").unwrap();
    wrong.shape.reverse();
    save(&tiny.model, &config(), &tensors, true);
    let parts =
        ["1 missing", gone.as_str(), "lm_head.weight", "[32, 256] instead of [256, 32]", "config.json"];
    for run in
        [eval(&tiny), args!["generate", tiny.model, "a"].to_vec(), args!["inspect", tiny.model].to_vec()]
    {
        fidelity(&run).fails(1, &parts);
    }
}

#[test]
fn unknown_architecture() {
    let tiny = Tiny::new();
    let path = tiny.model.join("config.json");
    let text = fs::read_to_string(&path).unwrap().replace("hgrn_bit", "llama4");
    fs::write(&path, text).unwrap();
    fidelity(&eval(&tiny)).fails(1, &["model_type", "llama4", "hgrn_bit"]);
}

#[test]
fn a_configuration_that_is_not_json() {
    let tiny = Tiny::new();
    fs::write(tiny.model.join("config.json"), "{\n \"hidden_size\": }").unwrap();
    fidelity(&eval(&tiny)).fails(1, &["config.json", "line 2"]);
}

#[test]
fn missing_and_unreadable_files() {
    let tiny = Tiny::new();
    let inputs = tiny.inputs([1, 1], &[1], None);
    let nowhere = tiny.path("nowhere");
    let out = tiny.path("o.safetensors");
    let run = |model: &PathBuf, inputs: &PathBuf| {
        fidelity(&args!["eval", *model, "--inputs", *inputs, "--outputs", out])
    };
    run(&nowhere, &inputs).fails(1, &["nowhere", "help: check the path"]);
    run(&tiny.model, &nowhere).fails(1, &["nowhere", "help: check the path"]);
    // A folder where a file should be, and a file where a folder should be: unreadable for every user, root too.
    run(&tiny.model, &tiny.model).fails(1, &["model"]);
    run(&inputs, &inputs).fails(1, &["a folder"]);
    fidelity(&args!["generate", tiny.model, "--text-file", nowhere]).fails(1, &["nowhere"]);
    fidelity(&args!["generate", tiny.model, "--text-file", tiny.model]).fails(1, &["directory"]);
    fidelity(&args!["perplexity", tiny.model, "--text-file", nowhere]).fails(1, &["nowhere"]);
    fidelity(&args!["train", nowhere]).fails(1, &["nowhere", "check the path"]);
    fs::write(tiny.model.join("tokenizer.json"), "{}").unwrap();
    fidelity(&args!["generate", tiny.model, "a"]).fails(1, &["tokenizer.json"]);
}

#[cfg(unix)]
#[test]
fn files_without_the_right_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let tiny = Tiny::new();
    let secret = tiny.text("secret.txt", "text");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&secret).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    for verb in ["generate", "perplexity"] {
        fidelity(&args![verb, tiny.model, "--text-file", secret]).fails(1, &["secret.txt", "permission"]);
    }
}

#[test]
fn token_ids_outside_the_vocabulary() {
    let tiny = Tiny::new();
    for id in [256, -1, i64::MAX] {
        let run = eval(&tiny);
        tiny.inputs([2, 2], &[1, 2, 3, id], None);
        fidelity(&run)
            .fails(1, &[&format!("token id {id}"), "row 1, position 1", "vocabulary of 256", "tokenizer"]);
        let run = with(eval(&tiny), &["--want", "loss"]);
        tiny.inputs([1, 2], &[1, 2], Some(&[-100, id]));
        fidelity(&run).fails(1, &[&format!("label {id}"), "-100"]);
    }
    fidelity(&args!["generate", tiny.model, "--tokens", "1,256"])
        .fails(1, &["token id 256 at position 1", "vocabulary of 256", "tokenizer"]);
    fidelity(&args!["generate", tiny.model, "--tokens", "1,x"]).fails(2, &["--tokens", "x"]);
}

#[test]
fn results_that_cannot_be_written() {
    let tiny = Tiny::new();
    let inputs = tiny.inputs([1, 4], &[1, 2, 3, 4], None);
    let run = |out: &PathBuf| fidelity(&args!["eval", tiny.model, "--inputs", inputs, "--outputs", *out]);
    run(&tiny.path("no/such/folder/o.safetensors"))
        .fails(1, &["cannot write", "no/such/folder", "create the folder"]);
    run(&tiny.model).fails(1, &["cannot write", "folder"]);
    fidelity(&args!["inspect", tiny.model, "--svg", tiny.path("no/m.svg")]).fails(1, &["cannot write"]);
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk() {
    let tiny = Tiny::new();
    let inputs = tiny.inputs([1, 4], &[1, 2, 3, 4], None);
    let full = PathBuf::from("/dev/full");
    fidelity(&args!["eval", tiny.model, "--inputs", inputs, "--outputs", full])
        .fails(1, &["cannot write /dev/full", "No space left", "free some space"]);
    fidelity(&args!["inspect", tiny.model, "--svg", full]).fails(1, &["/dev/full", "free some space"]);
    for verb in [args!["inspect", tiny.model], args!["doctor", "--json"], args!["completions", "bash"]] {
        let out = fs::File::options().write(true).open(&full).unwrap();
        fidelity_into(&verb, out).fails(1, &["standard output", "No space left"]);
    }
}

#[test]
fn empty_prompts_and_texts() {
    let tiny = Tiny::new();
    let empty = tiny.text("empty.txt", "");
    for run in [args!["generate", tiny.model].to_vec(), args!["generate", tiny.model, ""].to_vec()] {
        fidelity(&run).fails(1, &["the prompt is empty", "--text-file", "--tokens"]);
    }
    fidelity(&args!["generate", tiny.model, "--text-file", empty])
        .fails(1, &["empty.txt", "the text is empty"]);
    fidelity(&args!["perplexity", tiny.model, "--text-file", empty])
        .fails(1, &["empty.txt", "the text is empty"]);
    let one = tiny.text("one.txt", "a");
    fidelity(&args!["perplexity", tiny.model, "--text-file", one])
        .fails(1, &["single token", "at least two"]);
    let config = tiny.text("run.toml", "");
    fidelity(&args!["train", config, "--preview"]).fails(1, &["`data.train` is empty"]);
    let set = format!("data.train={}", empty.display());
    fidelity(&args!["train", config, "--set", set, "--set", "data.cache=false", "--preview"])
        .fails(1, &["empty"]);
}

#[test]
fn bad_forms_and_arithmetic() {
    let tiny = Tiny::new();
    let run = eval(&tiny);
    for form in ["sideways", "chunks:", "chunks:0,1", "chunks:-1"] {
        fidelity(&with(run.clone(), &["--form", form])).fails(2, &["--form", "chunks:5,1,8"]);
    }
    for (dtype, says) in [
        ("int4", "write f32, f64"),
        ("digits:0", "1 to 100000"),
        ("digits", "digits:N"),
        ("adaptive", "interval:N"),
        ("adaptive:2", "is no tolerance"),
    ] {
        fidelity(&with(run.clone(), &["--dtype", dtype])).fails(2, &["--dtype", says]);
    }
    fidelity(&with(run.clone(), &["--decimals", "no/such/folder/x.json"])).fails(1, &["no/such/folder"]);
    fidelity(&with(run.clone(), &["--want", "logits,everything"])).fails(2, &["everything", "hidden"]);
    fidelity(&with(run.clone(), &["--want", "loss"])).fails(1, &["`labels`", "leave loss"]);
    fidelity(&with(run.clone(), &["--want", "trace", "--form", "stream"])).fails(1, &["--form sequence"]);
    tiny.inputs([1, 2], &[1, 2], Some(&[1, 2]));
    fidelity(&with(run, &["--want", "grads", "--integer"])).fails(1, &["--integer"]);
    assert!(!tiny.path("out.safetensors").exists());
}

#[test]
fn bad_sampling_options() {
    let tiny = Tiny::new();
    for (option, value) in
        [("--temperature=-1", "-1"), ("--top-p=1.5", "1.5"), ("--repetition-penalty=0", "0")]
    {
        fidelity(&args!["generate", tiny.model, "a", option]).fails(1, &["expected", value]);
    }
    fidelity(&args!["generate", tiny.model, "a", "--tokens", "1"]).fails(2, &["cannot be used with"]);
    fidelity(&args!["generate", tiny.model, "--interactive", "--json"]).fails(2, &["cannot be used with"]);
}

#[test]
fn training_configurations() {
    let tiny = Tiny::new();
    let config = tiny.text("run.toml", "[optimizer]\nweight_decai = 0.1\n");
    fidelity(&args!["train", config])
        .fails(1, &["run.toml", "optimizer.weight_decai", "did you mean `optimizer.weight_decay`"]);
    let config = tiny.text("run.toml", "[train]\nsteps = \"many\"\n");
    fidelity(&args!["train", config]).fails(1, &["run.toml", "line 2", "--print-config"]);
    let config = tiny.text("run.toml", "[train]\nsteps = 0\n");
    fidelity(&args!["train", config]).fails(1, &["`train.steps` is 0", "at least 1", "--print-config"]);
    let config = tiny.text("run.toml", "");
    fidelity(&args!["train", config, "--set", "train.step=3"]).fails(1, &["train.step", "did you mean"]);
    fidelity(&args!["train", config, "--set", "data.train=[\"nowhere.txt\"]", "--preview"])
        .fails(1, &["nowhere.txt"]);
    fidelity::<&str>(&["train"]).fails(2, &["CONFIG"]);
}

#[test]
fn wrong_usage() {
    fidelity::<&str>(&["evaluate"]).fails(2, &["evaluate", "eval"]);
    fidelity::<&str>(&["eval", "model"]).fails(2, &["--inputs"]);
    fidelity::<&str>(&["inspect", "model", "--plan", "--target", "fpga"])
        .fails(2, &["not available yet", "cpu"]);
    fidelity::<&str>(&["completions", "cmd"]).fails(2, &["bash"]);
}
