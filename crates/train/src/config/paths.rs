//! Environment variables in paths, so that one file works on more than one machine.

use crate::error::{Result, TrainError};

use super::TrainConfig;

impl TrainConfig {
    /// Replaces `${NAME}` and `${NAME:-default}` in every path by what `lookup` says.
    ///
    /// # Errors
    /// [`TrainError::Config`] for a variable that is not set and has no default.
    pub fn expand_paths(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        for (key, list) in
            [("data.train", &mut self.data.train), ("data.validation.files", &mut self.data.validation.files)]
        {
            for path in list {
                *path = expand(key, path, lookup)?;
            }
        }
        for (key, path) in [
            ("model.init_from", &mut self.model.init_from),
            ("data.tokenizer", &mut self.data.tokenizer),
            ("data.cache_dir", &mut self.data.cache_dir),
        ] {
            *path = expand(key, path, lookup)?;
        }
        if let Some(dir) = self.output.dir.to_str() {
            self.output.dir = expand("output.dir", dir, lookup)?.into();
        }
        Ok(())
    }

    /// Where tokenised text is cached, or `None` when that is switched off.
    pub fn cache_dir(&self) -> Option<std::path::PathBuf> {
        let dir = &self.data.cache_dir;
        self.data.cache.then(|| if dir.is_empty() { self.output.dir.join("cache") } else { dir.into() })
    }
}

fn expand(key: &str, text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let problem = |problem: String| TrainError::Config { place: format!("{key} = \"{text}\""), problem };
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or_else(|| problem("`${` without `}`".to_owned()))?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (&inside[..end], None),
        };
        let value = lookup(name).filter(|value| !value.is_empty()).or(default).ok_or_else(|| {
            problem(format!(
                "the environment variable `{name}` is not set; set it, or write a default as `${{{name}:-path}}`"
            ))
        })?;
        out.push_str(&value);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
