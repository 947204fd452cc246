//! The functions around a compiled step, as LLVM IR.
//!
//! They are put behind the translated module before it is optimised, so that the step is inlined into what is exported and
//! everything else loses its name.

use super::{Package, Source};
use std::fmt::Write;

/// Bytes as a constant of LLVM IR.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(3 * bytes.len() + 3);
    text.push_str("c\"");
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'"' && *byte != b'\\' => text.push(*byte as char),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text.push('"');
    text
}

/// `PREFIX_step`, `PREFIX_set_runner`, `PREFIX_check` and `PREFIX_piece`.
pub(super) fn wrapper(p: &Package) -> String {
    let mut text = String::new();
    data(p, &mut text);
    step(p, &mut text);
    set_runner(p, &mut text);
    check(p, &mut text);
    piece(p, &mut text);
    text
}

/// What the library holds itself.
fn data(p: &Package, text: &mut String) {
    for (k, source) in p.bindings.iter().enumerate() {
        if let Source::Data(bytes) = source {
            let (name, n) = (&p.name, bytes.len());
            let _ =
                writeln!(text, "@{name}.data.{k} = internal constant [{n} x i8] {}, align 64", quoted(bytes));
        }
    }
}

fn step(p: &Package, text: &mut String) {
    let (name, count) = (&p.name, p.bindings.len());
    let _ = writeln!(
        text,
        "\ndefine i32 @{name}_step(ptr %weights, ptr %state, ptr %arena, i64 %token, i64 %position, ptr %logits) {{\n  \
         %bindings = alloca [{count} x ptr], align 64\n  \
         %token.at = alloca i64, align 64\n  \
         %position.at = alloca i64, align 64\n  \
         store i64 %token, ptr %token.at, align 64\n  \
         store i64 %position, ptr %position.at, align 64"
    );
    for (k, source) in p.bindings.iter().enumerate() {
        let from = match source {
            Source::Weights(offset) | Source::State(offset) => {
                let base = if matches!(source, Source::Weights(_)) { "weights" } else { "state" };
                let _ = writeln!(text, "  %from.{k} = getelementptr inbounds i8, ptr %{base}, i64 {offset}");
                format!("%from.{k}")
            }
            Source::Token => "%token.at".into(),
            Source::Position => "%position.at".into(),
            Source::Logits => "%logits".into(),
            Source::Data(_) => format!("@{name}.data.{k}"),
        };
        let _ = writeln!(
            text,
            "  %to.{k} = getelementptr inbounds ptr, ptr %bindings, i64 {k}\n  store ptr {from}, ptr %to.{k}, align 8"
        );
    }
    let entry = &p.entry;
    if p.dealt {
        let _ = writeln!(text, "  %runner = load ptr, ptr @{name}.runner, align 8");
    }
    let third = if p.dealt { ", ptr %runner" } else { "" };
    let _ = writeln!(
        text,
        "  %status = call i32 @{entry}(ptr %arena, ptr %bindings{third})\n  ret i32 %status\n}}"
    );
}

/// Who runs tasks: nobody, until the program says.
fn set_runner(p: &Package, text: &mut String) {
    let name = &p.name;
    let _ = writeln!(
        text,
        "\n@{name}.runner = internal global ptr null, align 8\n\n\
         define void @{name}_set_runner(ptr %runner) {{\n  store ptr %runner, ptr @{name}.runner, align 8\n  ret void\n}}"
    );
}

/// Whether these are the weights: their length, and the checksum of the checksums at their end.
fn check(p: &Package, text: &mut String) {
    let (name, (_, length, end)) = (&p.name, &p.weights);
    let (last, end) = (length - 8, u64::from_le_bytes(*end));
    let _ = writeln!(
        text,
        "\ndefine i32 @{name}_check(ptr %weights, i64 %length) {{\n  \
         %long = icmp eq i64 %length, {length}\n  br i1 %long, label %look, label %other\n\
         look:\n  %at = getelementptr inbounds i8, ptr %weights, i64 {last}\n  %end = load i64, ptr %at, align 8\n  \
         %same = icmp eq i64 %end, {end}\n  br i1 %same, label %good, label %other\n\
         good:\n  ret i32 0\nother:\n  ret i32 1\n}}"
    );
}

/// The bytes of a token.
fn piece(p: &Package, text: &mut String) {
    let (name, count) = (&p.name, p.pieces.len());
    let all = p.pieces.concat();
    let mut places = vec![0];
    for piece in &p.pieces {
        places.push(places.last().unwrap_or(&0) + piece.len());
    }
    let list: Vec<String> = places.iter().map(|n| format!("i32 {n}")).collect();
    let _ = writeln!(
        text,
        "\n@{name}.pieces = internal constant [{} x i8] {}\n@{name}.places = internal constant [{} x i32] [{}], align 64\n\n\
         define ptr @{name}_piece(i64 %token, ptr %length) {{\n  \
         %known = icmp ult i64 %token, {count}\n  br i1 %known, label %give, label %none\n\
         give:\n  \
         %first = getelementptr inbounds i32, ptr @{name}.places, i64 %token\n  \
         %next = getelementptr inbounds i32, ptr %first, i64 1\n  \
         %from = load i32, ptr %first, align 4\n  %to = load i32, ptr %next, align 4\n  \
         %long = sub i32 %to, %from\n  %wide = zext i32 %long to i64\n  store i64 %wide, ptr %length, align 8\n  \
         %start = zext i32 %from to i64\n  %piece = getelementptr inbounds i8, ptr @{name}.pieces, i64 %start\n  ret ptr %piece\n\
         none:\n  store i64 0, ptr %length, align 8\n  ret ptr null\n}}",
        all.len(),
        quoted(&all),
        places.len(),
        list.join(", "),
    );
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn bytes_that_are_no_plain_text_are_escaped() {
        assert_eq!(quoted(b"a\"b\\\n\xff "), r#"c"a\22b\5C\0A\FF ""#);
    }
}
