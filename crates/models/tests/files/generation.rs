//! Sampling: distributions, edges, and a stream that stays the same.

use models::generation::{FinishReason, History, LogitsProcessor, Sampler, Sampling, StopRule, greedy};
use proptest::prelude::*;

const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, -1.0, f32::NEG_INFINITY];

fn none() -> History {
    History::default()
}

/// Relative frequencies of many draws.
fn frequencies(options: Sampling, logits: &[f32]) -> Vec<f64> {
    const DRAWS: usize = 40_000;
    let mut sampler = Sampler::new(options).unwrap();
    let mut counts = vec![0_u32; logits.len()];
    for _ in 0..DRAWS {
        counts[sampler.sample(logits, &none()).unwrap() as usize] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / DRAWS as f64).collect()
}

fn assert_distribution(options: Sampling, kept: &[usize]) {
    let weight = |id: usize| (f64::from(LOGITS[id]) / options.temperature).exp();
    let total = kept.iter().map(|id| weight(*id)).sum::<f64>();
    for (id, found) in frequencies(options.clone(), &LOGITS).into_iter().enumerate() {
        let expected = if kept.contains(&id) { weight(id) / total } else { 0.0 };
        // Five standard deviations of 40,000 draws.
        let slack = 5.0 * (expected * (1.0 - expected) / 40_000.0).sqrt() + 1e-12;
        assert!((found - expected).abs() <= slack, "token {id}: {found} against {expected}, {options:?}");
    }
}

#[test]
fn draws_follow_the_distribution() {
    let plain = Sampling { seed: 11, ..Sampling::default() };
    assert_distribution(plain.clone(), &[0, 1, 2, 3]);
    assert_distribution(Sampling { temperature: 0.6, ..plain.clone() }, &[0, 1, 2, 3]);
    assert_distribution(Sampling { temperature: 2.5, top_k: 3, ..plain.clone() }, &[0, 1, 2]);
    // Probabilities are 0.657, 0.242, 0.089, 0.012: 0.7 needs two, 0.95 three.
    assert_distribution(Sampling { top_p: 0.7, ..plain.clone() }, &[1, 2]);
    assert_distribution(Sampling { top_p: 0.95, ..plain.clone() }, &[0, 1, 2]);
    assert_distribution(Sampling { top_p: 0.95, top_k: 2, ..plain.clone() }, &[1, 2]);
}

#[test]
fn min_p_and_typical_p_cut() {
    let plain = Sampling { seed: 12, ..Sampling::default() };
    // Shares of the best: 1, 0.37, 0.14, 0.02.
    assert_distribution(Sampling { min_p: 0.2, ..plain.clone() }, &[1, 2]);
    assert_distribution(Sampling { min_p: 0.1, ..plain.clone() }, &[0, 1, 2]);
    assert_distribution(Sampling { min_p: 0.1, top_k: 2, ..plain.clone() }, &[1, 2]);
    assert_distribution(Sampling { min_p: 0.1, top_p: 0.7, ..plain.clone() }, &[1, 2]);
    assert_distribution(Sampling { min_p: 0.2, temperature: 2.0, ..plain.clone() }, &[0, 1, 2]);
    // The entropy is 0.89, surprises are 0.42, 1.42, 2.42, 4.42: distances 0.47, 0.53, 1.53, 3.53.
    assert_distribution(Sampling { typical_p: 0.6, ..plain.clone() }, &[1]);
    assert_distribution(Sampling { typical_p: 0.7, ..plain.clone() }, &[1, 2]);
    assert_distribution(Sampling { typical_p: 0.95, ..plain.clone() }, &[0, 1, 2]);
    // Even the likeliest goes where it is further from the entropy than the others: 0.52 against 0.48.
    let found = frequencies(Sampling { typical_p: 0.4, ..plain }, &[1.0, 0.0, 0.0, 0.0]);
    assert!(found[0] == 0.0 && found[3] > 0.3, "{found:?}");
}

#[test]
fn edges_of_the_options() {
    let plain = Sampling { seed: 4, ..Sampling::default() };
    for only_best in [
        Sampling { top_p: 0.0, ..plain.clone() },
        Sampling { top_k: 1, ..plain.clone() },
        Sampling { temperature: 1e-9, ..plain.clone() },
        Sampling::greedy(),
    ] {
        assert_eq!(frequencies(only_best.clone(), &LOGITS)[1], 1.0, "{only_best:?}");
    }
    for all in [
        Sampling { top_p: 1.0, ..plain.clone() },
        Sampling { top_k: 99, ..plain.clone() },
        Sampling { top_k: 5, ..plain.clone() },
    ] {
        assert_distribution(all, &[0, 1, 2, 3]);
    }
    assert_eq!(frequencies(Sampling { temperature: 1e-300, ..plain.clone() }, &LOGITS)[1], 1.0);
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
        let text = sampler.sample(logits, &none()).unwrap_err().to_string();
        assert!(text.contains(part) && text.contains("logits"), "{text}");
        assert!(greedy(logits).is_err());
    }
}

#[test]
fn options_outside_their_range_are_refused() {
    let plain = Sampling::default();
    for (options, name) in [
        (Sampling { temperature: -1.0, ..plain.clone() }, "temperature"),
        (Sampling { temperature: f64::NAN, ..plain.clone() }, "temperature"),
        (Sampling { top_p: 1.5, ..plain.clone() }, "top_p"),
        (Sampling { top_p: f64::NAN, ..plain.clone() }, "top_p"),
        (Sampling { repetition_penalty: 0.0, ..plain.clone() }, "repetition_penalty"),
        (Sampling { min_p: -0.1, ..plain.clone() }, "min_p"),
        (Sampling { typical_p: 2.0, ..plain.clone() }, "typical_p"),
        (Sampling { frequency_penalty: f64::INFINITY, ..plain.clone() }, "frequency_penalty"),
        (Sampling { presence_penalty: f64::NAN, ..plain.clone() }, "presence_penalty"),
        (Sampling { logit_bias: vec![(3, f64::INFINITY)], ..plain.clone() }, "token 3"),
    ] {
        assert!(Sampler::new(options).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn repeated_tokens_lose() {
    let mut sampler = Sampler::new(Sampling { repetition_penalty: 2.0, ..Sampling::greedy() }).unwrap();
    assert_eq!(sampler.sample(&LOGITS, &none()).unwrap(), 1);
    // 3 becomes 1.5, once however often it occurred; ids outside the vocabulary are nobody's.
    assert_eq!(sampler.sample(&LOGITS, &History::from_prompt(&[1, 1, 1, 77])).unwrap(), 2);
    assert_eq!(sampler.sample(&[-1.0, -1.5], &History::from_prompt(&[0])).unwrap(), 1);
}

#[test]
fn a_seed_gives_the_same_tokens_for_ever() {
    let mut sampler = Sampler::new(Sampling { seed: 42, temperature: 1.5, ..Sampling::default() }).unwrap();
    let mut again = Sampler::new(sampler.options().clone()).unwrap();
    let first = (0..12).map(|_| sampler.sample(&LOGITS, &none()).unwrap()).collect::<Vec<_>>();
    let second = (0..12).map(|_| again.sample(&LOGITS, &none()).unwrap()).collect::<Vec<_>>();
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

#[test]
fn penalties_count_what_was_drawn_and_biases_what_they_name() {
    let mut history = History::from_prompt(&[1, 1]);
    let greedy = |more: Sampling, history: &History| {
        Sampler::new(Sampling { temperature: 0.0, ..more }).unwrap().sample(&LOGITS, history).unwrap()
    };
    let plain = Sampling::default();
    let frequency = Sampling { frequency_penalty: 0.4, ..plain.clone() };
    let presence = Sampling { presence_penalty: 1.5, ..plain.clone() };
    // The prompt does not count.
    assert_eq!((greedy(frequency.clone(), &history), greedy(presence.clone(), &history)), (1, 1));
    history.drew(1);
    history.drew(1);
    // 3 - 0.8 is still above 2, 3 - 1.5 is not.
    assert_eq!((greedy(frequency.clone(), &history), greedy(presence, &history)), (1, 2));
    history.drew(1);
    assert_eq!(greedy(frequency, &history), 2);
    let bias = |list: &[(u32, f64)]| Sampling { logit_bias: list.to_vec(), ..plain.clone() };
    assert_eq!(greedy(bias(&[(3, 100.0)]), &none()), 3);
    assert_eq!(greedy(bias(&[(1, f64::NEG_INFINITY), (2, -1.5)]), &none()), 0);
    assert_eq!(greedy(bias(&[(4, 100.0)]), &none()), 1, "a forbidden token stays so");
    // First the bias, then the penalty: (3 - 2) / 4 against 1.
    let both = Sampling { repetition_penalty: 4.0, ..bias(&[(1, -2.0), (2, -9.0)]) };
    assert_eq!(greedy(both, &History::from_prompt(&[1])), 0);
    let outside = Sampler::new(bias(&[(5, 1.0)])).unwrap().sample(&LOGITS, &none()).unwrap_err().to_string();
    assert!(outside.contains("token 5") && outside.contains("vocabulary of 5"), "{outside}");
}

#[test]
fn own_processors_follow_the_penalties() {
    struct Double;
    impl LogitsProcessor for Double {
        fn process(&mut self, logits: &mut [f32], history: &History) -> models::Result<()> {
            assert_eq!(history.last(), Some(2));
            logits.iter_mut().for_each(|logit| *logit *= 2.0);
            Ok(())
        }
    }
    let mut sampler = Sampler::new(Sampling { logit_bias: vec![(0, 2.5)], ..Sampling::greedy() }).unwrap();
    sampler.add(Double);
    let mut history = none();
    history.drew(2);
    // (1 + 2.5) · 2 = 7 against 6; had it come first, 2 + 2.5 would lose.
    assert_eq!(sampler.sample(&LOGITS, &history).unwrap(), 0);
}

/// Tokens that the options leave, by sorting everything.
fn naive(options: &Sampling, logits: &[f32]) -> Vec<usize> {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut list: Vec<(usize, f64)> = logits
        .iter()
        .enumerate()
        .map(|(id, l)| (id, ((f64::from(*l) - f64::from(best)) / options.temperature).exp()))
        .collect();
    list.sort_by(|a, b| logits[b.0].partial_cmp(&logits[a.0]).unwrap().then(a.0.cmp(&b.0)));
    if options.top_k > 0 {
        list.truncate(options.top_k);
    }
    if options.top_p < 1.0 {
        let limit = options.top_p * list.iter().map(|x| x.1).sum::<f64>();
        let mut mass = 0.0;
        let enough = list.iter().position(|x| {
            mass += x.1;
            mass >= limit
        });
        list.truncate(enough.map_or(list.len(), |at| at + 1));
    }
    list.retain(|x| x.1 >= options.min_p);
    list.into_iter().filter(|x| x.1 > 0.0).map(|x| x.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn cuts_leave_what_a_sort_leaves(
        logits in prop::collection::vec(-6f32..6.0, 1..700),
        top_k in prop_oneof![Just(0usize), 1usize..30, Just(5000)],
        top_p in prop_oneof![Just(1.0), 0f64..1.0],
        min_p in prop_oneof![Just(0.0), 0f64..1.0],
        temperature in 0.05f64..2.0,
        seed in 0u64..1000,
    ) {
        let options = Sampling { top_k, top_p, min_p, temperature, seed, ..Sampling::default() };
        let kept = naive(&options, &logits);
        let mut sampler = Sampler::new(options).unwrap();
        let mut least = usize::MAX;
        for _ in 0..50 {
            let drawn = sampler.sample(&logits, &none()).unwrap() as usize;
            prop_assert!(kept.contains(&drawn), "{drawn} is not in {kept:?}");
            least = least.min(kept.iter().position(|id| *id == drawn).unwrap());
        }
        // 50 draws of two or more tokens find one of the better half, but for one case in 10^15.
        prop_assert!(least <= kept.len() / 2);
    }
}
