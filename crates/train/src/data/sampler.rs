//! Drawing sequences from the training text, with a position that a checkpoint can hold.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::SamplerKind;
use crate::error::{Result, TrainError};
use crate::random::{Rng, SplitMix64, derive_seed};

use super::tokens::TokenSet;
use crate::tasks::{Side, Task};

/// Sequences of equal length, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `(batch_size, seq_len)` in row-major order.
    pub ids: Vec<u32>,
    /// Labels of the same shape, where they are not the ids: −100 at places that nothing is asked of.
    pub labels: Option<Vec<i64>>,
    /// Number of sequences.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub seq_len: usize,
}

impl Batch {
    /// The windows of `set` that begin at `offsets`.
    pub(super) fn gather(set: &TokenSet, seq_len: usize, offsets: &[usize]) -> Self {
        let mut ids = Vec::with_capacity(offsets.len() * seq_len);
        offsets.iter().for_each(|&offset| set.ids.copy(offset..offset + seq_len, &mut ids));
        Batch { ids, labels: None, batch_size: offsets.len(), seq_len }
    }

    /// The labels, which are the ids where there are no others.
    pub fn targets(&self) -> impl Iterator<Item = i64> + '_ {
        let own = self.labels.iter().flatten().copied();
        let ids =
            self.ids.iter().map(|id| i64::from(*id)).take(if self.labels.is_some() { 0 } else { usize::MAX });
        own.chain(ids)
    }

    /// The sequences.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.ids.chunks(self.seq_len.max(1))
    }

    /// The ids as the graph's integer type holds them.
    pub fn to_i32(&self) -> Vec<i32> {
        self.ids.iter().map(|&id| id as i32).collect()
    }
}

/// Draws the training sequences of a run.
#[derive(Debug, Clone)]
pub struct Sampler {
    data: Arc<TokenSet>,
    fingerprint: u32,
    seq_len: usize,
    seed: u64,
    position: Position,
}

#[derive(Debug, Clone)]
enum Position {
    Windows { random: SplitMix64, drawn: u64 },
    Documents { epoch: Epoch, sequence: usize },
    Task { task: Task, drawn: u64 },
}

/// Where a sampler stands. Small whole numbers only, so that JSON holds it exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SamplerState {
    /// Of `random-windows`.
    RandomWindows {
        /// The state of the splitmix64 generator.
        random: u64,
        /// Sequences drawn.
        drawn: u64,
        /// The fingerprint of the text.
        data: u32,
    },
    /// Of `shuffled-documents`.
    ShuffledDocuments {
        /// Passes over the text that are complete.
        epoch: u64,
        /// Sequences drawn in this pass.
        sequence: u64,
        /// The fingerprint of the text.
        data: u32,
    },
    /// Of a task.
    Task {
        /// Examples drawn.
        drawn: u64,
    },
}

impl Sampler {
    /// A sampler at the start of the run.
    ///
    /// # Errors
    /// [`TrainError::TooShort`] if the text does not hold one sequence (`random-windows`: one and a token more,
    /// because the reference run draws the offset modulo `len − seq_len`).
    pub fn new(kind: SamplerKind, data: Arc<TokenSet>, seq_len: usize, seed: u64) -> Result<Self> {
        let position = match kind {
            SamplerKind::RandomWindows => {
                data.check_length(seq_len + 1)?;
                Position::Windows { random: SplitMix64::new(seed), drawn: 0 }
            }
            SamplerKind::ShuffledDocuments => {
                data.check_length(seq_len.max(1))?;
                Position::Documents { epoch: Epoch::new(&data, seq_len, seed, 0), sequence: 0 }
            }
        };
        let fingerprint = data.fingerprint();
        Ok(Sampler { data, fingerprint, seq_len, seed, position })
    }

    /// A sampler of a task's training examples.
    pub fn of_task(task: Task) -> Self {
        let (seq_len, position) = (task.row(), Position::Task { task, drawn: 0 });
        Sampler { data: Arc::new(TokenSet::empty("training", 0)), fingerprint: 0, seq_len, seed: 0, position }
    }

    /// The next `batch_size` sequences. Never ends: after the last sequence of an epoch comes the next epoch.
    pub fn next_batch(&mut self, batch_size: usize) -> Batch {
        if let Position::Task { task, drawn } = &mut self.position {
            *drawn += batch_size as u64;
            return task.batch(Side::Training, *drawn - batch_size as u64, batch_size);
        }
        let seq_len = self.seq_len;
        let mut ids = Vec::with_capacity(batch_size * seq_len);
        for _ in 0..batch_size {
            match &mut self.position {
                Position::Windows { random, drawn } => {
                    let offset = (random.next() % (self.data.len() - seq_len) as u64) as usize;
                    *drawn += 1;
                    self.data.ids.copy(offset..offset + seq_len, &mut ids);
                }
                Position::Documents { epoch, sequence } => {
                    if *sequence >= epoch.order.len() {
                        *epoch = Epoch::new(&self.data, seq_len, self.seed, epoch.number + 1);
                        *sequence = 0;
                    }
                    epoch.copy(*sequence, &self.data, seq_len, &mut ids);
                    *sequence += 1;
                }
                Position::Task { .. } => {}
            }
        }
        Batch { ids, labels: None, batch_size, seq_len }
    }

    /// How many times the text has been seen, as a fraction.
    pub fn epochs(&self) -> f64 {
        match &self.position {
            Position::Windows { drawn, .. } => *drawn as f64 * self.seq_len as f64 / self.data.len() as f64,
            Position::Documents { epoch, sequence } => {
                epoch.number as f64 + *sequence as f64 / epoch.order.len() as f64
            }
            Position::Task { task, drawn } => {
                task.examples(Side::Training).map_or(0.0, |count| *drawn as f64 / count.max(1) as f64)
            }
        }
    }

    /// Sequences in one pass over the text.
    pub fn sequences_per_epoch(&self) -> usize {
        self.data.len() / self.seq_len.max(1)
    }

    /// The position, for a checkpoint.
    pub fn state(&self) -> SamplerState {
        let data = self.fingerprint;
        match &self.position {
            Position::Windows { random, drawn } => {
                SamplerState::RandomWindows { random: random.state, drawn: *drawn, data }
            }
            Position::Documents { epoch, sequence } => {
                SamplerState::ShuffledDocuments { epoch: epoch.number, sequence: *sequence as u64, data }
            }
            Position::Task { drawn, .. } => SamplerState::Task { drawn: *drawn },
        }
    }

    /// Goes to a position that [`Sampler::state`] gave; the next batch is the one that would have come then.
    ///
    /// # Errors
    /// [`TrainError::Mismatch`] if the text or the kind of sampler has changed: going on would silently train on
    /// other sequences than the uninterrupted run.
    pub fn restore(&mut self, state: &SamplerState) -> Result<()> {
        let written = match state {
            SamplerState::RandomWindows { data, .. } | SamplerState::ShuffledDocuments { data, .. } => *data,
            SamplerState::Task { .. } => 0,
        };
        if written != self.fingerprint {
            return Err(TrainError::Mismatch {
                problem: format!(
                    "the training text has changed (fingerprint {:08x}, the checkpoint's is {written:08x})",
                    self.fingerprint
                ),
                remedy: "restore the files and the `[data]` section of the run, or start anew without `--resume`, \
                         naming the trained model in `model.init_from`",
            });
        }
        self.position = match (state, &self.position) {
            (SamplerState::RandomWindows { random, drawn, .. }, Position::Windows { .. }) => {
                Position::Windows { random: SplitMix64::new(*random), drawn: *drawn }
            }
            (SamplerState::ShuffledDocuments { epoch, sequence, .. }, Position::Documents { .. }) => {
                Position::Documents {
                    epoch: Epoch::new(&self.data, self.seq_len, self.seed, *epoch),
                    sequence: *sequence as usize,
                }
            }
            (SamplerState::Task { drawn }, Position::Task { task, .. }) => {
                Position::Task { task: task.clone(), drawn: *drawn }
            }
            _ => {
                return Err(TrainError::Mismatch {
                    problem: "it was written with another `data.sampler`".to_owned(),
                    remedy: "set `data.sampler` to the run's, or start anew without `--resume`",
                });
            }
        };
        Ok(())
    }
}

/// One pass over the text: the documents in a new order, packed end to end, cut into sequences, those shuffled
/// too (documents alone are no shuffle when there is one document).
#[derive(Debug, Clone)]
struct Epoch {
    number: u64,
    /// The documents in the order of this pass.
    documents: Vec<usize>,
    /// Where each of them begins in the packed text.
    starts: Vec<usize>,
    /// Tokens skipped at the beginning. The length is rarely a multiple of `seq_len`; a new offset in each pass
    /// lets the remainder fall on other tokens and cuts the sequences elsewhere.
    phase: usize,
    /// The sequences in the order of this pass.
    order: Vec<usize>,
}

impl Epoch {
    fn new(data: &TokenSet, seq_len: usize, seed: u64, number: u64) -> Self {
        let mut rng = Rng::new(derive_seed(seed, "epoch", number));
        let mut documents: Vec<usize> = (0..data.documents()).collect();
        rng.shuffle(&mut documents);
        let mut packed = 0;
        let mut starts = Vec::with_capacity(documents.len());
        for &document in &documents {
            starts.push(packed);
            packed += data.document(document).len();
        }
        let sequences = packed / seq_len.max(1);
        let phase = rng.below((packed - sequences * seq_len) as u64 + 1) as usize;
        let mut order: Vec<usize> = (0..sequences).collect();
        rng.shuffle(&mut order);
        Epoch { number, documents, starts, phase, order }
    }

    /// Appends sequence number `index` of this pass.
    fn copy(&self, index: usize, data: &TokenSet, seq_len: usize, out: &mut Vec<u32>) {
        let start = self.phase + self.order[index] * seq_len;
        let goal = out.len() + seq_len;
        // The last document that begins at or before `start`.
        let mut at = self.starts.partition_point(|&s| s <= start).saturating_sub(1);
        let mut skip = start - self.starts[at];
        while out.len() < goal && at < self.documents.len() {
            let range = data.document(self.documents[at]);
            let from = (range.start + skip).min(range.end);
            let until = range.end.min(from + goal - out.len());
            data.ids.copy(from..until, out);
            skip = 0;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Ids;
    use super::*;
    use proptest::prelude::*;

    /// Documents of the given lengths whose tokens are all different: token = position in the joined text.
    fn numbered(lengths: &[usize]) -> Arc<TokenSet> {
        let mut starts = Vec::new();
        let mut total = 0;
        for length in lengths {
            starts.push(total);
            total += length;
        }
        let mut ids = Ids::for_vocab(1 << 20);
        ids.extend(&(0..total as u32).collect::<Vec<_>>());
        Arc::new(TokenSet { part: "training", ids, starts, bytes: total as u64 })
    }

    #[test]
    fn random_windows_are_those_of_the_reference_run() {
        let data = numbered(&[666_310]);
        let mut sampler = Sampler::new(SamplerKind::RandomWindows, data, 64, 42).unwrap();
        let firsts = |batch: &Batch| batch.rows().map(|row| row[0]).collect::<Vec<_>>();
        let batch = sampler.next_batch(8);
        assert_eq!((batch.ids.len(), batch.batch_size, batch.seq_len), (512, 8, 64));
        assert_eq!(firsts(&batch), [592303, 311869, 406980, 171264, 45226, 65874, 373039, 263696]);
        assert!(batch.rows().all(|row| row.windows(2).all(|w| w[1] == w[0] + 1)));
        assert_eq!(
            firsts(&sampler.next_batch(8)),
            [24331, 85118, 232433, 15658, 614384, 93811, 652820, 251102]
        );
    }

    #[test]
    fn text_that_is_too_short_is_refused() {
        for kind in [SamplerKind::RandomWindows, SamplerKind::ShuffledDocuments] {
            let message = Sampler::new(kind, numbered(&[3, 4]), 8, 0).unwrap_err().to_string();
            assert!(message.contains("7 tokens") && message.contains("`data.seq_len`"), "{message}");
        }
        assert!(Sampler::new(SamplerKind::RandomWindows, numbered(&[8]), 8, 0).is_err());
        assert!(Sampler::new(SamplerKind::ShuffledDocuments, numbered(&[8]), 8, 0).is_ok());
    }

    #[test]
    fn a_changed_text_or_sampler_is_refused() {
        let windows = Sampler::new(SamplerKind::RandomWindows, numbered(&[50]), 8, 0).unwrap();
        let mut documents = Sampler::new(SamplerKind::ShuffledDocuments, numbered(&[50]), 8, 0).unwrap();
        assert!(documents.restore(&windows.state()).unwrap_err().to_string().contains("data.sampler"));
        let mut other = Sampler::new(SamplerKind::ShuffledDocuments, numbered(&[25, 25]), 8, 0).unwrap();
        assert!(other.restore(&documents.state()).unwrap_err().to_string().contains("text has changed"));
    }

    #[test]
    fn epochs_differ_and_seeds_differ() {
        let run = |seed: u64| {
            let mut sampler =
                Sampler::new(SamplerKind::ShuffledDocuments, numbered(&[40, 1, 0, 59]), 10, seed).unwrap();
            (sampler.next_batch(9).ids, sampler.next_batch(9).ids, sampler.epochs())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0, run(2).0);
        let (first, second, epochs) = run(1);
        assert_ne!(first, second);
        assert!((epochs - 1.8).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn an_epoch_shows_each_token_once(
            lengths in proptest::collection::vec(0usize..40, 1..12), seq_len in 1usize..20, seed: u64,
        ) {
            let data = numbered(&lengths);
            prop_assume!(data.len() >= seq_len);
            let mut sampler = Sampler::new(SamplerKind::ShuffledDocuments, data.clone(), seq_len, seed).unwrap();
            let count = data.len() / seq_len;
            for _ in 0..2 {
                let mut ids = sampler.next_batch(count).ids;
                prop_assert_eq!(ids.len(), count * seq_len);
                ids.sort_unstable();
                prop_assert!(ids.windows(2).all(|w| w[0] < w[1]), "a token came twice");
            }
        }

        #[test]
        fn a_restored_sampler_goes_on_exactly(
            lengths in proptest::collection::vec(1usize..40, 1..8), windows: bool, seed: u64, done in 0usize..30,
        ) {
            let data = numbered(&lengths);
            prop_assume!(data.len() > 5);
            let kind = if windows { SamplerKind::RandomWindows } else { SamplerKind::ShuffledDocuments };
            let mut sampler = Sampler::new(kind, data.clone(), 5, seed).unwrap();
            sampler.next_batch(done);
            let text = serde_json::to_string(&sampler.state()).unwrap();
            let mut resumed = Sampler::new(kind, data, 5, seed).unwrap();
            resumed.restore(&serde_json::from_str(&text).unwrap()).unwrap();
            for _ in 0..4 {
                prop_assert_eq!(sampler.next_batch(7), resumed.next_batch(7));
            }
            prop_assert_eq!(sampler.state(), resumed.state());
        }
    }
}
