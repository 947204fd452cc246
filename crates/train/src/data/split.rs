//! Which part of the text is held back for validation.

use crate::config::{SplitConfig, SplitKind};
use crate::error::{Result, TrainError};
use crate::random::{SplitMix64, fnv1a};

/// With fewer documents than this, a split by documents would measure one document's peculiarities.
const DOCUMENTS_FOR_AUTO: usize = 20;

/// Documents, each one its bytes.
pub(super) type Documents = Vec<Vec<u8>>;

/// The two sides of a split.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sides {
    pub train: Documents,
    pub validation: Documents,
    /// How the split was made, for the user.
    pub note: String,
}

/// Splits documents. `validation` holds the documents of the files named for it, if the kind is `files`.
/// `whole_characters` keeps blocks from cutting a UTF-8 character.
pub(super) fn split(
    documents: Documents,
    validation: Documents,
    config: &SplitConfig,
    whole_characters: bool,
) -> Result<Sides> {
    let kind = match config.kind {
        SplitKind::Auto if documents.len() >= DOCUMENTS_FOR_AUTO => SplitKind::Documents,
        SplitKind::Auto => SplitKind::Blocks,
        kind => kind,
    };
    match kind {
        SplitKind::None => Ok(Sides { train: documents, validation, note: "no validation".into() }),
        SplitKind::Files => {
            let note = format!("{} document(s) of their own files", validation.len());
            Ok(Sides { train: documents, validation, note })
        }
        SplitKind::Documents => by_documents(documents, config),
        SplitKind::Blocks | SplitKind::Auto => by_blocks(documents, config, whole_characters),
    }
}

/// A document is held back if the hash of its text, seeded, falls below the fraction. By text rather than by
/// number, so that a document stays on its side when others are added, and copies of it stay together.
fn by_documents(documents: Documents, config: &SplitConfig) -> Result<Sides> {
    let rank = |document: &[u8]| SplitMix64::new(fnv1a(document) ^ config.seed).next();
    let threshold = (config.fraction * u64::MAX as f64) as u64;
    let mut ranks: Vec<u64> = documents.iter().map(|d| rank(d)).collect();
    ranks.sort_unstable();
    let (Some(&lowest), Some(&highest)) = (ranks.first(), ranks.last()) else {
        return Ok(Sides::default()); // empty text, which the caller reports
    };
    if lowest == highest {
        return Err(TrainError::Split {
            by: "documents",
            part: "validation",
            detail: format!("{} document(s), all alike", documents.len()),
            remedy: "set `data.validation.kind` to \"blocks\", or set `data.document_separator`",
        });
    }
    // Chance may leave a side empty when there are few documents: one goes over then.
    let threshold = threshold.clamp(lowest.saturating_add(1), highest);
    let (validation, train): (Documents, Documents) =
        documents.into_iter().partition(|document| rank(document) < threshold);
    let note = format!("{} of {} documents held back", validation.len(), validation.len() + train.len());
    Ok(Sides { train, validation, note })
}

/// Block `k` of the concatenated text is held back if `k % every == offset`. Each side is one document.
fn by_blocks(documents: Documents, config: &SplitConfig, whole_characters: bool) -> Result<Sides> {
    let text = documents.concat();
    let mut sides = [Vec::new(), Vec::new()];
    let mut start = 0;
    let mut block = 0;
    while start < text.len() {
        let mut end = ((block + 1) * config.block_bytes).clamp(start, text.len());
        while whole_characters && end < text.len() && text[end] & 0xC0 == 0x80 {
            end += 1;
        }
        sides[usize::from(block % config.every == config.offset)].extend_from_slice(&text[start..end]);
        start = end;
        block += 1;
    }
    let [train, validation] = sides;
    for (part, side) in [("training", &train), ("validation", &validation)] {
        if side.is_empty() && !text.is_empty() {
            return Err(TrainError::Split {
                by: "blocks",
                part,
                detail: format!("{block} block(s) of {} bytes", config.block_bytes),
                remedy: "use more text, smaller `data.validation.block_bytes`, or `data.validation.kind = \"none\"`",
            });
        }
    }
    let note = format!(
        "block {} of every {} blocks of {} bytes held back",
        config.offset, config.every, config.block_bytes
    );
    Ok(Sides { train: vec![train], validation: vec![validation], note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: SplitKind) -> SplitConfig {
        SplitConfig { kind, ..SplitConfig::default() }
    }

    #[test]
    fn blocks_go_where_their_number_says() {
        let split_config = SplitConfig { block_bytes: 2, every: 3, offset: 1, ..config(SplitKind::Blocks) };
        let sides = split(vec![b"aab".to_vec(), b"bccddeef".to_vec()], vec![], &split_config, false).unwrap();
        assert_eq!(sides.train, [b"aaccddf".to_vec()]);
        assert_eq!(sides.validation, [b"bbee".to_vec()]);
    }

    #[test]
    fn blocks_do_not_cut_a_character_that_the_tokenizer_needs_whole() {
        let split_config = SplitConfig { block_bytes: 2, every: 2, offset: 1, ..config(SplitKind::Blocks) };
        let text = "aééé世b".as_bytes().to_vec();
        let sides = split(vec![text.clone()], vec![], &split_config, true).unwrap();
        let (train, validation) = (&sides.train[0], &sides.validation[0]);
        assert!(std::str::from_utf8(train).is_ok() && std::str::from_utf8(validation).is_ok());
        assert_eq!(train.len() + validation.len(), text.len());
    }

    #[test]
    fn documents_stay_on_their_side_when_others_come() {
        let documents =
            |n: usize| -> Documents { (0..n).map(|i| format!("text {i}").into_bytes()).collect() };
        let split_config = SplitConfig { fraction: 0.2, ..config(SplitKind::Documents) };
        let few = split(documents(100), vec![], &split_config, false).unwrap();
        let many = split(documents(200), vec![], &split_config, false).unwrap();
        assert!((10..30).contains(&few.validation.len()), "{}", few.validation.len());
        assert!(few.validation.iter().all(|d| many.validation.contains(d)));
        let other = SplitConfig { seed: 1, ..split_config };
        assert_ne!(split(documents(100), vec![], &other, false).unwrap().validation, few.validation);
    }

    #[test]
    fn neither_side_is_left_empty() {
        for fraction in [0.001, 0.999] {
            let split_config = SplitConfig { fraction, ..config(SplitKind::Documents) };
            let sides = split(vec![b"a".to_vec(), b"b".to_vec()], vec![], &split_config, false).unwrap();
            assert_eq!((sides.train.len(), sides.validation.len()), (1, 1));
            let message = split(vec![b"a".to_vec()], vec![], &split_config, false).unwrap_err().to_string();
            assert!(message.contains("1 document(s)") && message.contains("\"blocks\""), "{message}");
        }
        let message = split(vec![b"short".to_vec()], vec![], &config(SplitKind::Blocks), false).unwrap_err();
        assert!(message.to_string().contains("validation side empty"), "{message}");
        assert_eq!(
            split(vec![], vec![], &config(SplitKind::Blocks), false).unwrap().train,
            [Vec::<u8>::new()]
        );
    }

    #[test]
    fn auto_takes_documents_when_there_are_enough() {
        let documents = |n: usize| -> Documents { (0..n).map(|i| vec![i as u8; 2000]).collect() };
        assert!(
            split(documents(20), vec![], &config(SplitKind::Auto), false).unwrap().note.contains("documents")
        );
        assert!(
            split(documents(19), vec![], &config(SplitKind::Auto), false).unwrap().note.contains("blocks")
        );
    }
}
