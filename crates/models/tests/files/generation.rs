//! Sampling: distributions, edges, and a stream that stays the same.

use models::generation::{FinishReason, Sampler, Sampling, StopRule, greedy};

const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, -1.0, f32::NEG_INFINITY];

/// Relative frequencies of many draws.
fn frequencies(options: Sampling, logits: &[f32]) -> Vec<f64> {
    const DRAWS: usize = 40_000;
    let mut sampler = Sampler::new(options).unwrap();
    let mut counts = vec![0_u32; logits.len()];
    for _ in 0..DRAWS {
        counts[sampler.sample(logits, &[]).unwrap() as usize] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / DRAWS as f64).collect()
}

fn assert_distribution(options: Sampling, kept: &[usize]) {
    let weight = |id: usize| (f64::from(LOGITS[id]) / options.temperature).exp();
    let total = kept.iter().map(|id| weight(*id)).sum::<f64>();
    for (id, found) in frequencies(options, &LOGITS).into_iter().enumerate() {
        let expected = if kept.contains(&id) { weight(id) / total } else { 0.0 };
        // Five standard deviations of 40,000 draws.
        let slack = 5.0 * (expected * (1.0 - expected) / 40_000.0).sqrt() + 1e-12;
        assert!((found - expected).abs() <= slack, "token {id}: {found} against {expected}, {options:?}");
    }
}

#[test]
fn draws_follow_the_distribution() {
    let plain = Sampling { seed: 11, ..Sampling::default() };
    assert_distribution(plain, &[0, 1, 2, 3]);
    assert_distribution(Sampling { temperature: 0.6, ..plain }, &[0, 1, 2, 3]);
    assert_distribution(Sampling { temperature: 2.5, top_k: 3, ..plain }, &[0, 1, 2]);
    // Probabilities are 0.657, 0.242, 0.089, 0.012: 0.7 needs two, 0.95 three.
    assert_distribution(Sampling { top_p: 0.7, ..plain }, &[1, 2]);
    assert_distribution(Sampling { top_p: 0.95, ..plain }, &[0, 1, 2]);
    assert_distribution(Sampling { top_p: 0.95, top_k: 2, ..plain }, &[1, 2]);
}

#[test]
fn edges_of_the_options() {
    let plain = Sampling { seed: 4, ..Sampling::default() };
    for only_best in [
        Sampling { top_p: 0.0, ..plain },
        Sampling { top_k: 1, ..plain },
        Sampling { temperature: 1e-9, ..plain },
        Sampling::greedy(),
    ] {
        assert_eq!(frequencies(only_best, &LOGITS)[1], 1.0, "{only_best:?}");
    }
    for all in
        [Sampling { top_p: 1.0, ..plain }, Sampling { top_k: 99, ..plain }, Sampling { top_k: 5, ..plain }]
    {
        assert_distribution(all, &[0, 1, 2, 3]);
    }
    assert_eq!(frequencies(Sampling { temperature: 1e-300, ..plain }, &LOGITS)[1], 1.0);
    assert_eq!(frequencies(plain, &[-3.0]), [1.0]);
}

#[test]
fn ties_go_to_the_lowest_id() {
    assert_eq!(greedy(&[1.0, 2.0, 2.0]).unwrap(), 1);
    assert_eq!(greedy(&[-0.0, 0.0]).unwrap(), 0);
    let frequency = frequencies(Sampling { top_k: 2, ..Sampling::default() }, &[2.0; 4]);
    assert!(frequency[2] == 0.0 && frequency[3] == 0.0);
}

#[test]
fn logits_that_are_no_distribution_are_refused() {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    for (logits, part) in [
        (&[1.0, f32::NAN][..], "token 1"),
        (&[f32::INFINITY, 0.0][..], "token 0"),
        (&[f32::NEG_INFINITY; 2][..], "none in 2"),
        (&[][..], "none in 0"),
    ] {
        let text = sampler.sample(logits, &[]).unwrap_err().to_string();
        assert!(text.contains(part) && text.contains("logits"), "{text}");
        assert!(greedy(logits).is_err());
    }
}

#[test]
fn options_outside_their_range_are_refused() {
    let plain = Sampling::default();
    for (options, name) in [
        (Sampling { temperature: -1.0, ..plain }, "temperature"),
        (Sampling { temperature: f64::NAN, ..plain }, "temperature"),
        (Sampling { top_p: 1.5, ..plain }, "top_p"),
        (Sampling { top_p: f64::NAN, ..plain }, "top_p"),
        (Sampling { repetition_penalty: 0.0, ..plain }, "repetition_penalty"),
    ] {
        assert!(Sampler::new(options).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn repeated_tokens_lose() {
    let mut sampler = Sampler::new(Sampling { repetition_penalty: 2.0, ..Sampling::greedy() }).unwrap();
    assert_eq!(sampler.sample(&LOGITS, &[]).unwrap(), 1);
    // 3 becomes 1.5, once however often it occurred; ids outside the vocabulary are nobody's.
    assert_eq!(sampler.sample(&LOGITS, &[1, 1, 1, 77]).unwrap(), 2);
    assert_eq!(sampler.sample(&[-1.0, -1.5], &[0]).unwrap(), 1);
}

#[test]
fn a_seed_gives_the_same_tokens_for_ever() {
    let mut sampler = Sampler::new(Sampling { seed: 42, temperature: 1.5, ..Sampling::default() }).unwrap();
    let mut again = sampler.clone();
    let first = (0..12).map(|_| sampler.sample(&LOGITS, &[]).unwrap()).collect::<Vec<_>>();
    let second = (0..12).map(|_| again.sample(&LOGITS, &[]).unwrap()).collect::<Vec<_>>();
    assert_eq!(first, second);
    assert_eq!(first, PINNED);
}

/// Changing this list changes every sampled text that anybody has pinned.
const PINNED: [u32; 12] = [2, 1, 3, 2, 2, 1, 0, 1, 1, 2, 1, 2];

#[test]
fn generation_stops_at_an_end_token_or_the_limit() {
    let rule = StopRule { end_tokens: vec![2, 9], max_tokens: 3 };
    assert_eq!(rule.after(5, 1), None);
    assert_eq!(rule.after(9, 3), Some(FinishReason::Stop));
    assert_eq!(rule.after(5, 3), Some(FinishReason::Length));
    assert_eq!(FinishReason::Length.name(), "length");
}
