//! The configuration, by section; what differs from the defaults stands out.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::config::TrainConfig;
use crate::plot::escape;

/// Writes every key with its value.
pub(super) fn table(html: &mut String, config: &TrainConfig) {
    let defaults: BTreeMap<String, String> = TrainConfig::default().flat().into_iter().collect();
    let keys = config.flat();
    let is_set = |key: &str, value: &str| defaults.get(key).is_none_or(|default| default != value);
    let set = keys.iter().filter(|(key, value)| is_set(key, value)).count();
    let _ = write!(
        html,
        "<details class=\"card\"><summary>{} keys, {set} of them set for this run</summary>\n<div class=\"keys\">",
        keys.len()
    );
    let mut open = "";
    for (key, value) in &keys {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if section != open {
            html.push_str(if open.is_empty() { "" } else { "</div>" });
            let _ = write!(html, "\n<div><h3>[{}]</h3>", escape(section));
            open = section;
        }
        let class = if is_set(key, value) { " class=\"set\"" } else { "" };
        let _ = write!(html, "<p{class}><span>{}</span><span>{}</span></p>", escape(name), escape(value));
    }
    html.push_str(if open.is_empty() { "</div></details>\n" } else { "</div>\n</div></details>\n" });
}
