//! `fidelity generate` through the binary: exact tokens, the JSON form, streaming, the chat prompt.

mod cli_support;
mod common;

use cli_support::{Tiny, config, fidelity, fidelity_fed, save};
use common::golden;
use models::config::MatMulFreeConfig;
use models::safetensors::TensorFile;
use serde_json::json;

#[test]
fn golden_tokens_are_exact() {
    for case in ["case_a", "case_b", "case_c_shortconv_patched"] {
        let Some(dir) = golden(&format!("matmulfree/{case}")) else { continue };
        let inputs = TensorFile::open(dir.join("inputs.safetensors")).unwrap();
        let ids = inputs.to_i64("input_ids").unwrap();
        let mask = inputs.to_i64("attention_mask").unwrap_or_else(|_| vec![1; ids.len()]);
        let length = inputs.tensor("input_ids").unwrap().shape[1];
        let wanted = TensorFile::open(dir.join("generation.safetensors")).unwrap();
        let wanted = wanted.to_i64("generated").unwrap();
        let steps = wanted.len() / (ids.len() / length);
        for row in 0..ids.len() / length {
            let at = row * length..(row + 1) * length;
            let real: Vec<i64> = at.filter(|i| mask[*i] == 1).map(|i| ids[i]).collect();
            let list = real.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
            let greedy = ["--greedy", "--ignore-eos", "--max-tokens", "32", "--json"];
            let mut run = args!["generate", dir, "--tokens", list].to_vec();
            run.extend(greedy.iter().map(std::ffi::OsString::from));
            let found = fidelity(&run).json();
            let tokens = &wanted[row * steps..(row + 1) * steps];
            let expected =
                json!({"prompt_tokens": real, "tokens": tokens, "text": null, "finish_reason": "length"});
            assert_eq!(found, expected, "{case} row {row}");
        }
    }
}

#[test]
fn json_has_exactly_four_keys_and_the_text_of_the_tokens() {
    let tiny = Tiny::new();
    let run = fidelity(&args!["generate", tiny.model, "ab", "--greedy", "--max-tokens", "9", "--json"]);
    assert_eq!(run.err, "", "nothing to say");
    let found = run.json();
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["prompt_tokens", "tokens", "text", "finish_reason"]);
    assert_eq!(found["prompt_tokens"], json!([97, 98]));
    assert_eq!(found["finish_reason"], "length");
    let bytes: Vec<u8> =
        found["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u8).collect();
    assert_eq!(bytes.len(), 9);
    assert_eq!(found["text"], String::from_utf8_lossy(&bytes).as_ref());
    // The same from ids, without a tokenizer in the folder.
    std::fs::remove_file(tiny.model.join("tokenizer.json")).unwrap();
    let same = fidelity(&args![
        "generate",
        tiny.model,
        "--tokens",
        "97,98",
        "--greedy",
        "--max-tokens",
        "9",
        "--json"
    ]);
    let same = same.json();
    assert_eq!((&same["tokens"], &same["text"]), (&found["tokens"], &serde_json::Value::Null));
}

#[test]
fn the_end_token_ends_and_is_not_shown() {
    let plain = Tiny::new();
    let free =
        fidelity(&args!["generate", plain.model, "ab", "--greedy", "--max-tokens", "12", "--json"]).json();
    let tokens: Vec<u32> =
        free["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
    // The token of the fifth step, or wherever it occurs first.
    let end = tokens[4];
    let first = tokens.iter().position(|t| *t == end).unwrap();
    let tiny = Tiny::with(&MatMulFreeConfig { eos_token_id: vec![end], ..config() });
    let run = |more: &[&str]| {
        let mut list =
            args!["generate", tiny.model, "ab", "--greedy", "--max-tokens", "12", "--json"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list).json()
    };
    let found = run(&[]);
    assert_eq!(found["finish_reason"], "stop");
    assert_eq!(found["tokens"], json!(&tokens[..=first]));
    let shown: Vec<u8> = tokens[..first].iter().map(|t| *t as u8).collect();
    assert_eq!(found["text"], String::from_utf8_lossy(&shown).as_ref());
    assert_eq!(run(&["--ignore-eos"])["tokens"], json!(tokens));
}

#[test]
fn a_seed_fixes_the_text_and_is_told() {
    let tiny = Tiny::new();
    let run = |more: &[&str]| {
        let mut list = args!["generate", tiny.model, "ab", "--max-tokens", "20"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list)
    };
    let (a, b, c) = (run(&["--seed", "5"]), run(&["--seed", "5", "--threads", "1"]), run(&["--seed", "6"]));
    assert!(a.err.contains("seed 5"), "{}", a.err);
    assert_eq!(a.out, b.out);
    assert_ne!(a.out, c.out);
    assert!(run(&[]).err.contains("seed "));
    let top = run(&["--top-k", "1"]).ok();
    assert_eq!(top, run(&["--greedy"]).ok());
    assert_eq!(top, run(&["--temperature", "0"]).ok());
}

#[test]
fn streamed_text_equals_the_json_text() {
    let tiny = Tiny::new();
    let fixed = ["--seed", "3", "--max-tokens", "60"];
    let mut list = args!["generate", tiny.model, "é"].to_vec();
    list.extend(fixed.iter().map(std::ffi::OsString::from));
    let run = fidelity(&list);
    assert!(run.err.contains("tokens/s"), "{}", run.err);
    let streamed = run.ok();
    list.push("--json".into());
    let whole = fidelity(&list).json();
    assert_eq!(streamed.strip_suffix('\n').unwrap(), whole["text"].as_str().unwrap());
}

#[test]
fn prompts_from_files_pipes_and_the_first_token() {
    let tiny = Tiny::new();
    let file = tiny.text("prompt.txt", "ab");
    let tail = ["--greedy", "--max-tokens", "5", "--json"];
    let run = |head: &[std::ffi::OsString], input: &[u8]| {
        let mut list = head.to_vec();
        list.extend(tail.iter().map(std::ffi::OsString::from));
        fidelity_fed(&list, input)
    };
    let want = run(&args!["generate", tiny.model, "ab"], b"").json();
    assert_eq!(run(&args!["generate", tiny.model, "--text-file", file], b"").json(), want);
    assert_eq!(run(&args!["generate", tiny.model, "--text-file", "-"], b"ab").json(), want);
    let begun = Tiny::with(&MatMulFreeConfig { bos_token_id: Some(1), ..config() });
    let found = run(&args!["generate", begun.model], b"").json();
    assert_eq!(found["prompt_tokens"], json!([1]));
    let none = fidelity(&args!["generate", tiny.model, "a", "--max-tokens", "0", "--json"]).json();
    assert_eq!(
        (&none["tokens"], &none["text"], &none["finish_reason"]),
        (&json!([]), &json!(""), &json!("length"))
    );
}

#[test]
fn a_conversation_keeps_its_state() {
    let tiny = Tiny::new();
    let chat = args!["generate", tiny.model, "--interactive", "--greedy", "--max-tokens", "6"];
    let once = |prompt: &[u8]| -> (String, Vec<u8>) {
        let ids = prompt.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let run = fidelity(&args![
            "generate",
            tiny.model,
            "--tokens",
            ids,
            "--greedy",
            "--max-tokens",
            "6",
            "--json"
        ]);
        let found = run.json();
        let tokens = found["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u8).collect();
        (found["text"].as_str().unwrap().to_owned(), tokens)
    };
    let (first, tokens) = once(b"hello");
    let whole = [b"hello".as_slice(), &tokens, b"\nyou"].concat();
    let (second, _) = once(&whole);
    let run = fidelity_fed(&chat, b"hello\nyou\n/reset\nhello\n/quit\nnever read\n");
    assert!(run.err.contains("forgotten"), "{}", run.err);
    assert_eq!(run.ok(), format!("{first}\n{second}\n{first}\n"));
    // The end of the input ends it too; an initial prompt is the first turn.
    let mut with_prompt = chat.to_vec();
    with_prompt.push("hello".into());
    assert_eq!(fidelity_fed(&with_prompt, b"you").ok(), format!("{first}\n{second}\n"));
}

#[test]
fn a_tokenizer_of_another_model_is_noticed() {
    let small = MatMulFreeConfig { vocab_size: 64, ..config() };
    let tiny = Tiny::new();
    let model = tiny.path("small");
    save(&model, &small, &small.init(1), true);
    fidelity(&args!["generate", model, "abc"]).fails(1, &["token id 97", "vocabulary of 64", "tokenizer"]);
}

#[test]
fn greedy_tokens_do_not_depend_on_the_number_of_threads() {
    // Large enough that products and rows are cut into several tasks.
    let wide = MatMulFreeConfig { hidden_size: 512, intermediate_size: Some(1408), ..config() };
    let tiny = Tiny::with(&wide);
    let prompt = "a prompt that is longer than one chunk ".repeat(5);
    for more in [&[][..], &["--repetition-penalty", "1.2", "--frequency-penalty", "0.5"]] {
        let run = |threads: &str| {
            let fixed = ["--greedy", "--max-tokens", "48", "--json", "--threads", threads];
            let mut list = args!["generate", tiny.model, prompt].to_vec();
            list.extend(fixed.iter().chain(more).map(std::ffi::OsString::from));
            fidelity(&list).json()
        };
        let one = run("1");
        assert_eq!(one["tokens"].as_array().unwrap().len(), 48);
        for threads in ["2", "3"] {
            assert_eq!(run(threads), one, "{threads} threads, {more:?}");
        }
    }
}

#[test]
fn a_stop_string_ends_the_text_and_is_not_shown() {
    let tiny = Tiny::new();
    let run = |more: &[&str]| {
        let mut list = args!["generate", tiny.model, "ab", "--seed", "9", "--max-tokens", "60"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list)
    };
    let free = run(&["--json"]).json();
    let text = free["text"].as_str().unwrap();
    let tokens = free["tokens"].as_array().unwrap();
    // Two characters from the middle, where they stand first.
    let cut: Vec<(usize, char)> = text.char_indices().skip(20).take(3).collect();
    let wanted = &text[cut[0].0..cut[2].0];
    let before = &text[..text.find(wanted).unwrap()];
    let escaped = wanted.replace('\\', "\\\\");
    let found = run(&["--json", "--stop", "not to be found", "--stop", &escaped]).json();
    assert_eq!((found["text"].as_str().unwrap(), &found["finish_reason"]), (before, &json!("stop")));
    let drawn = found["tokens"].as_array().unwrap();
    assert!(drawn.len() < tokens.len() && tokens.starts_with(drawn));
    assert_eq!(run(&["--stop", &escaped]).ok(), format!("{before}\n"));
    // What was held back appears where the text ends otherwise.
    let whole = text.chars().rev().take(2).collect::<Vec<_>>();
    let tail: String = [whole[1], whole[0], '\u{1F600}'].iter().collect();
    let held = run(&["--json", "--stop", &tail.replace('\\', "\\\\")]).json();
    assert_eq!(held, free);
    run(&["--stop", ""]).fails(2, &["at least one character"]);
    std::fs::remove_file(tiny.model.join("tokenizer.json")).unwrap();
    fidelity(&args!["generate", tiny.model, "--tokens", "97", "--stop", "x"]).fails(1, &["tokenizer.json"]);
}

#[test]
fn biases_and_penalties_reach_the_draw() {
    let tiny = Tiny::new();
    let run = |more: &[&str]| {
        let mut list =
            args!["generate", tiny.model, "ab", "--greedy", "--max-tokens", "30", "--json"].to_vec();
        list.extend(more.iter().map(std::ffi::OsString::from));
        fidelity(&list)
    };
    let tokens = |value: serde_json::Value| -> Vec<u64> {
        value["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect()
    };
    let plain = tokens(run(&[]).json());
    let forbidden = plain[0];
    let without = tokens(run(&["--logit-bias", &format!("{forbidden}=-inf")]).json());
    assert!(!without.contains(&forbidden), "{without:?}");
    assert_eq!(tokens(run(&["--logit-bias", "120=1000,121=-5"]).json()), [120; 30]);
    let mut once = tokens(run(&["--presence-penalty", "1000"]).json());
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), 30, "no token twice");
    run(&["--logit-bias", "256=1"]).fails(1, &["token 256", "vocabulary of 256"]);
    run(&["--logit-bias", "x=1"]).fails(2, &["42=-1.5"]);
    run(&["--min-p", "0.1"]).fails(2, &["--greedy"]);
}

#[test]
fn placement_changes_no_token() {
    let tiny = Tiny::new();
    let bundle = tiny.path("tiny.fid");
    fidelity(&args!["pack", tiny.model, bundle, "--layout", "compute"]).ok();
    let run = |model: &std::path::Path, more: &[&str]| {
        let fixed = ["ab", "--seed", "4", "--max-tokens", "20", "--json", "--threads", "2"];
        let mut list = args!["generate", model].to_vec();
        list.extend(fixed.iter().chain(more).map(std::ffi::OsString::from));
        fidelity(&list)
    };
    let plain = run(&bundle, &[]).json();
    assert_eq!(run(&bundle, &["--huge-pages"]).json(), plain);
    assert_eq!(run(&bundle, &["--pin"]).json(), plain);
    let folder = run(&tiny.model, &["--huge-pages"]);
    assert!(folder.err.contains("is for bundles"), "{}", folder.err);
    assert_eq!(folder.json(), plain);
    std::fs::write(&bundle, b"FIDELITY").unwrap();
    run(&bundle, &["--huge-pages"]).fails(1, &["tiny.fid"]);
}
