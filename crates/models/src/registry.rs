//! The architectures that are listed in one table, each with one line: what a `config.json` of their `model_type` is read by.
//!
//! [`Listed`] is the configuration of any of them. An architecture joins by a folder of its own with the configuration, its
//! [`Architecture`], and a line in [`TABLE`].

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::architecture::Architecture;
use crate::bitnet_b1::BitNetB1Config;
use crate::config::Parsed;
use crate::error::Result;
use crate::hybrid::HybridConfig;
use crate::linear_attention::LinearAttentionConfig;
use crate::mamba::MambaConfig;
use crate::mamba2::Mamba2Config;
use crate::mega::MegaConfig;
use crate::performer::PerformerConfig;
use crate::s4::S4Config;
use crate::s5::S5Config;
use crate::transformer::TransformerConfig;
use crate::xlstm::XlstmConfig;
use crate::xlstm_orig::XlstmOrigConfig;

/// A line of the table.
pub struct Entry {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// Reads such a `config.json`.
    pub read: fn(&Path, &Value) -> Result<Parsed<Listed>>,
}

/// Every listed architecture.
pub static TABLE: &[Entry] = &[
    Entry {
        model_type: BitNetB1Config::MODEL_TYPE,
        read: |path, value| Ok(BitNetB1Config::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: HybridConfig::MODEL_TYPE,
        read: |path, value| Ok(HybridConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: LinearAttentionConfig::MODEL_TYPE,
        read: |path, value| Ok(LinearAttentionConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: MambaConfig::MODEL_TYPE,
        read: |path, value| Ok(MambaConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: Mamba2Config::MODEL_TYPE,
        read: |path, value| Ok(Mamba2Config::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: MegaConfig::MODEL_TYPE,
        read: |path, value| Ok(MegaConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: PerformerConfig::MODEL_TYPE,
        read: |path, value| Ok(PerformerConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry { model_type: "s4", read: |path, value| Ok(S4Config::from_json(path, value)?.map(Listed::new)) },
    Entry { model_type: "s4d", read: |path, value| Ok(S4Config::from_json(path, value)?.map(Listed::new)) },
    Entry {
        model_type: S5Config::MODEL_TYPE,
        read: |path, value| Ok(S5Config::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: TransformerConfig::MODEL_TYPE,
        read: |path, value| Ok(TransformerConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: XlstmConfig::MODEL_TYPE,
        read: |path, value| Ok(XlstmConfig::from_json(path, value)?.map(Listed::new)),
    },
    Entry {
        model_type: XlstmOrigConfig::MODEL_TYPE,
        read: |path, value| Ok(XlstmOrigConfig::from_json(path, value)?.map(Listed::new)),
    },
];

/// The line of a `model_type`.
pub fn entry(model_type: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.model_type == model_type)
}

/// The configuration of a listed architecture.
#[derive(Clone)]
pub struct Listed(Arc<dyn Architecture + Send + Sync>);

impl Listed {
    /// Any architecture.
    pub fn new(architecture: impl Architecture + Send + Sync + 'static) -> Self {
        Self(Arc::new(architecture))
    }
}

impl Deref for Listed {
    type Target = dyn Architecture + Send + Sync;

    fn deref(&self) -> &(dyn Architecture + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_json())
    }
}

/// Two configurations are equal where they are written alike.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.0.model_type() == other.0.model_type() && self.0.to_json() == other.0.to_json()
    }
}
