//! Just enough reading of Rust to tell code from comments and text.

/// How far above a block its reason may begin.
const REASON_WITHIN: usize = 4;

/// One line for each `unsafe` that stands in the wrong place or does not say why it holds.
pub(crate) fn unsafe_faults(text: &str, allowed: bool) -> Vec<String> {
    let lines = text.lines().collect::<Vec<_>>();
    let mut faults = Vec::new();
    let code = code_only(text);
    let words = words(&code);
    for (index, (line, word)) in words.iter().enumerate() {
        let number = line + 1;
        if *word == "unsafe_code" && !allowed && is_allowed_by(&words[..index]) {
            faults.push(format!("{number}: allows `unsafe_code` outside the places for it"));
        }
        if *word != "unsafe" {
            continue;
        }
        if !allowed {
            faults.push(format!("{number}: `unsafe` outside the places for it"));
            continue;
        }
        let next = words.get(index + 1).map_or("", |(_, word)| *word);
        // An `unsafe fn` states what its caller must hold in its documentation instead.
        let proves = matches!(next, "{" | "impl" | "(");
        let above = &lines[line.saturating_sub(REASON_WITHIN)..=*line];
        if proves && !above.iter().any(|line| line.contains("SAFETY:")) {
            faults.push(format!(
                "{number}: `unsafe` without a SAFETY: line within {REASON_WITHIN} lines above"
            ));
        }
    }
    faults
}

/// True if the lint named next is being allowed or expected, not denied.
fn is_allowed_by(before: &[(usize, &str)]) -> bool {
    let level = before.iter().rev().map(|(_, word)| *word).find(|word| !matches!(*word, "(" | ","));
    matches!(level, Some("allow" | "expect" | "warn"))
}

/// Identifiers, and single punctuation characters, with the line each is on.
fn words(code: &str) -> Vec<(usize, &str)> {
    let mut list = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            let end =
                if name(first) { rest.find(|c| !name(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
            if !first.is_whitespace() {
                list.push((number, &rest[..end]));
            }
            rest = &rest[end..];
        }
    }
    list
}

/// The text with comments and literals replaced by spaces; line ends stay.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut last = ' ';
    while let Some(first) = rest.chars().next() {
        let prefix = !(last.is_alphanumeric() || last == '_');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            1 + quoted(&rest[1..])
        } else if let Some(hashes) = Some(rest).filter(|_| prefix).and_then(raw_string) {
            hashes
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            out.push(first);
            last = first;
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            last = ' ';
            rest = &rest[skipped..];
        }
    }
    out
}

/// Length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length up to and with the closing quote.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `r"…"`, `r#"…"#`, `br"…"` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let start =
        text.strip_prefix("br").or_else(|| text.strip_prefix("cr")).or_else(|| text.strip_prefix('r'))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(text.len() - body.len() + end)
}

/// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    match inner.chars().next() {
        Some('\\') => inner[1..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 3),
        Some(c) if inner[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 0,
    }
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "a /* unsafe /* { */ */ b // unsafe {\n\"unsafe \\\" {\" c r#\"unsafe \" {\"# d '\"' e '\\'' f 'g h b\"unsafe\"";
    let code = code_only(text);
    assert!(!code.contains("unsafe"), "{code}");
    let found = words(&code).into_iter().map(|(_, word)| word).collect::<String>();
    assert_eq!(found, "abcdef'ghb");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn unsafe_needs_a_place_and_a_reason() {
    let block = "// SAFETY: checked above\nunsafe { f() }";
    assert_eq!(unsafe_faults(block, true), Vec::<String>::new());
    assert_eq!(unsafe_faults(block, false).len(), 1);
    assert_eq!(unsafe_faults("unsafe { f() }", true).len(), 1);
    assert_eq!(unsafe_faults("// SAFETY: far away\n\n\n\n\nunsafe impl Send for A {}", true).len(), 1);
    assert_eq!(unsafe_faults("unsafe fn f() {}", true), Vec::<String>::new());
    assert_eq!(unsafe_faults("#![allow(unsafe_code)]", false).len(), 1);
    assert_eq!(unsafe_faults("#![deny(unsafe_code)]", false), Vec::<String>::new());
}
