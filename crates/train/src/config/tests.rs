use super::*;

fn set(overrides: &[&str]) -> Result<TrainConfig> {
    let mut config = TrainConfig::default();
    let overrides: Vec<String> = overrides.iter().map(|s| (*s).to_owned()).collect();
    config.apply_overrides(&overrides)?;
    Ok(config)
}

#[test]
fn the_printed_file_shows_every_key_and_reads_back() {
    let text = TrainConfig::default().to_commented_toml();
    assert_eq!(TrainConfig::from_toml(&text, "printed").unwrap(), TrainConfig::default());
    TrainConfig::default().validate().unwrap();
    for (key, _) in overrides::flatten(&TrainConfig::default()) {
        assert!(comments::comment(&key).is_some(), "no comment on {key}");
        assert!(
            format!("\n{text}").contains(&format!("\n{} = ", key.rsplit('.').next().unwrap())),
            "{key} is not printed"
        );
        // Keys at the head of the file are in no section.
        let Some((section, _)) = key.rsplit_once('.') else { continue };
        assert!(comments::comment(section).is_some(), "no comment on [{section}]");
        assert!(text.contains(&format!("\n[{section}]\n")), "[{section}] is not printed");
    }
    let odd = set(&["train.sample_prompt=a = \"b\"\\n [x]"]).unwrap();
    assert_eq!(TrainConfig::from_toml(&odd.to_commented_toml(), "odd").unwrap(), odd);
}

#[test]
fn an_unknown_key_lists_what_was_meant() {
    let message = |text: &str| TrainConfig::from_toml(text, "run.toml").unwrap_err().to_string();
    let found = message("[optimizer]\nweight_decai = 0.1\n");
    assert!(found.contains("run.toml") && found.contains("`optimizer.weight_decay`"), "{found}");
    assert!(message("[train]\nlr = 1\n").contains("`optimizer.lr`"));
    assert!(message("[data.validation]\nblock = 1\n").contains("`data.validation.block_bytes`"));
    assert!(message("[zzz]\n").contains("--print-config"));
    assert!(message("[train]\nsteps = \"many\"\n").contains("line 2"));
    assert!(message("[train\n").contains("run.toml"));
    let found = set(&["train.stepps=3"]).unwrap_err().to_string();
    assert!(found.contains("--set train.stepps=3") && found.contains("`train.steps`"), "{found}");
}

#[test]
fn the_optimiser_has_two_names_and_auto_is_a_number_or_a_word() {
    let lion = set(&["optimizer.name=lion"]).unwrap();
    assert_eq!(lion.optimizer.kind, OptimizerKind::Lion);
    let file = "[optimizer]\nname = \"lion\"\n[quantizer]\nsurrogate = \"ramp\"\nfrom = 0.25\nuntil = 1\n";
    let read = TrainConfig::from_toml(file, "file").unwrap();
    assert_eq!(read.optimizer, lion.optimizer);
    assert_eq!((read.quantizer.from, read.quantizer.until), (Auto(Some(0.25)), Auto(Some(1.0))));
    assert_eq!(TrainConfig::from_toml(&read.to_commented_toml(), "printed").unwrap(), read);
    assert_eq!(set(&["quantizer.to=0.5"]).unwrap().quantizer.to, Auto(Some(0.5)));
    assert!(set(&["quantizer.to=half"]).unwrap_err().to_string().contains("a number or \"auto\""));
}

#[test]
fn overrides_take_toml_and_bare_texts() {
    let config = set(&[
        "train.steps=1_000",
        "optimizer.lr = 1",
        "optimizer.betas=[0.8, 0.9]",
        "data.tokenizer=tok/tokenizer.json",
        "data.train=book.txt",
        "model.mlgru_form=\"paper\"",
        "schedule.kind=two-stage",
        "output.dir=a b",
        "data.validation.kind=none",
        "model.init_from=7",
    ])
    .unwrap();
    assert_eq!((config.train.steps, config.optimizer.lr), (1000, 1.0));
    assert_eq!(config.optimizer.betas, [0.8, 0.9]);
    assert_eq!(config.data.tokenizer, "tok/tokenizer.json");
    assert_eq!(config.data.train, ["book.txt"]);
    assert_eq!(config.model.mlgru_form, MlgruForm::Paper);
    assert_eq!(config.schedule.kind, ScheduleKind::TwoStage);
    assert_eq!(config.output.dir, Path::new("a b"));
    assert_eq!(config.data.validation.kind, SplitKind::None);
    assert_eq!(config.model.init_from, "7");
    assert_eq!(set(&["data.train=[\"a\", \"b\"]"]).unwrap().data.train, ["a", "b"]);

    for (given, part) in [
        ("train.steps", "no `=`"),
        ("train.steps=many", "not a TOML value"),
        ("train.steps=1.5", "train.steps"),
        ("train.steps=-1", "train.steps"),
        ("train=3", "is a section"),
        ("schedule.kind=sawtooth", "cosine"),
        ("train.steps=1\nthreads = 3", "not a TOML value"),
    ] {
        let message = set(&[given]).unwrap_err().to_string();
        assert!(message.contains(part), "{given}: {message}");
    }
}

#[test]
fn values_are_checked() {
    for (given, key) in [
        ("train.batch_size=0", "train.batch_size"),
        ("optimizer.lr=nan", "optimizer.lr"),
        ("optimizer.betas=[0.9, 1.0]", "optimizer.betas"),
        ("data.seq_len=1", "data.seq_len"),
        ("data.validation.fraction=1.0", "data.validation.fraction"),
        ("data.validation.offset=10", "data.validation.offset"),
        ("data.validation.kind=files", "data.validation.files"),
        ("model.architecture=rnn", "model.architecture"),
        ("model.num_heads=3", "model.num_heads"),
        ("optimizer.no_decay=[\"***\"]", "optimizer.no_decay"),
        ("output.dir=", "output.dir"),
    ] {
        let message = set(&[given]).unwrap().validate().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{key}` is")) && message.contains("expected"),
            "{given}: {message}"
        );
    }
}

#[test]
fn environment_variables_stand_in_paths() {
    let mut config = set(&["data.train=[\"${ROOT}/a\", \"${NONE:-here}/b\"]", "output.dir=${ROOT}"]).unwrap();
    let lookup = |name: &str| (name == "ROOT").then(|| "/data".to_owned());
    config.expand_paths(&lookup).unwrap();
    assert_eq!(config.data.train, ["/data/a", "here/b"]);
    assert_eq!(config.output.dir, Path::new("/data"));
    assert_eq!(config.cache_dir().unwrap(), Path::new("/data/cache"));
    config.data.tokenizer = "${GONE}/t".into();
    let message = config.expand_paths(&lookup).unwrap_err().to_string();
    assert!(message.contains("`GONE` is not set"), "{message}");
}

#[test]
fn the_fingerprint_covers_what_decides_the_numbers() {
    let base = TrainConfig::default();
    for same in [
        "train.threads=4",
        "output.dir=x",
        "train.log_every=5",
        "data.cache=false",
        "train.eval_every=7",
        "train.trits_every=3",
    ] {
        assert_eq!(set(&[same]).unwrap().fingerprint(), base.fingerprint(), "{same}");
    }
    for other in ["train.steps=401", "data.seed=1", "optimizer.lr=0.1", "model.hidden_size=64"] {
        assert_ne!(set(&[other]).unwrap().fingerprint(), base.fingerprint(), "{other}");
    }
    let changed = set(&["optimizer.lr=0.1", "train.threads=4"]).unwrap();
    assert_eq!(changed.differences(&base), ["optimizer.lr: 0.004 → 0.1"]);
}

#[test]
fn norms_are_not_decayed() {
    let optimizer = OptimizerConfig::default();
    assert!(optimizer.decays("model.layers.0.attn.i_proj.weight"));
    for name in [
        "model.norm.weight",
        "model.layers.2.attn_norm.weight",
        "model.lower_bounds",
        "model.embeddings.weight",
    ] {
        assert!(!optimizer.decays(name), "{name}");
    }
}
