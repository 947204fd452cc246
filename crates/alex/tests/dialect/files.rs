//! Text files: each case says in its first line what the verdict is, and MLIR's verifier is asked as well.
//!
//! `// check: accept`; `// check: reject MESSAGE`, where ours must contain MESSAGE; `// check: reject here MESSAGE` where MLIR
//! cannot see the problem (sizes of builtin tensors); `// check: accept here` where only our parser takes the spelling. Cases
//! are parted by `// -----`. With `FIDELITY_BLESS=1`, a message `?` is filled in.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use alex::dialect::{DialectError, Module, table, verify};

use crate::tools::{irdl_file, tool, verdicts};

const CUT: &str = "// -----\n";

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "mlir"))
        .collect();
    files.sort();
    files
}

#[derive(Clone, PartialEq, Debug)]
enum Wanted {
    Accept { here: bool },
    Reject { here: bool, message: String },
}

fn wanted(case: &str) -> Wanted {
    let head = case
        .lines()
        .find_map(|line| line.strip_prefix("// check: "))
        .unwrap_or_else(|| panic!("no header:\n{case}"));
    match head.split_once(' ') {
        None if head == "accept" => Wanted::Accept { here: false },
        Some(("accept", "here")) => Wanted::Accept { here: true },
        Some(("reject", rest)) => match rest.strip_prefix("here ") {
            Some(message) => Wanted::Reject { here: true, message: message.to_owned() },
            None => Wanted::Reject { here: false, message: rest.to_owned() },
        },
        _ => panic!("`{head}` is no header"),
    }
}

/// A message without its place.
fn message(error: &DialectError) -> String {
    match error {
        DialectError::Parse(error) => error.problem.clone(),
        DialectError::Check(problems) => {
            let first = &problems[0];
            if first.remedy.is_empty() {
                first.problem.clone()
            } else {
                format!("{}; {}", first.problem, first.remedy)
            }
        }
    }
}

#[test]
fn our_verdicts_are_those_of_the_headers() {
    let bless = std::env::var_os("FIDELITY_BLESS").is_some();
    let mut count = (0, 0);
    for path in files() {
        let mut text = std::fs::read_to_string(&path).expect("the file is read");
        for case in text.clone().split(CUT) {
            let found = verify(case);
            match (wanted(case), &found) {
                (Wanted::Accept { .. }, Ok(module)) => {
                    count.0 += 1;
                    assert_eq!(module.remarks(), [], "{case}");
                }
                (Wanted::Reject { message: wanted, .. }, Err(error)) if bless && wanted == "?" => {
                    text = text.replacen(" ?\n", &format!(" {}\n", message(error)), 1);
                }
                (Wanted::Reject { message: wanted, .. }, Err(error)) => {
                    count.1 += 1;
                    assert!(
                        message(error).contains(&wanted),
                        "{}: {}\n{case}",
                        path.display(),
                        message(error)
                    );
                }
                (wanted, _) => panic!("{}: {wanted:?}, found {found:?}\n{case}", path.display()),
            }
        }
        if bless {
            std::fs::write(&path, &text).expect("the file is written");
        }
    }
    println!("{} cases accepted, {} rejected", count.0, count.1);
}

#[test]
fn every_operation_has_accepted_and_rejected_cases() {
    let mut cases: HashMap<String, (usize, usize)> = HashMap::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("the file is read");
        for case in text.split(CUT) {
            let accepted = matches!(wanted(case), Wanted::Accept { .. });
            let names: HashSet<&str> =
                case.split("\"fidelity.").skip(1).filter_map(|t| t.split('"').next()).collect();
            for name in names {
                let entry = cases.entry(name.replace('.', "_")).or_default();
                *(if accepted { &mut entry.0 } else { &mut entry.1 }) += 1;
            }
        }
    }
    for op in table::ops() {
        let (accepted, rejected) = cases.get(&op.symbol()).copied().unwrap_or_default();
        assert!(accepted > 0 && rejected > 0, "{}: {accepted} accepted, {rejected} rejected", op.name());
    }
}

#[test]
fn mlir_gives_the_same_verdicts() {
    if tool("mlir-opt").is_none() {
        return;
    }
    let irdl = irdl_file();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("the file is read");
        let cases: Vec<&str> = text.split(CUT).collect();
        let found = verdicts(irdl.path(), &cases);
        for (case, found) in cases.iter().zip(found) {
            let accepted = match wanted(case) {
                Wanted::Accept { here } => !here,
                Wanted::Reject { here, .. } => here,
            };
            assert_eq!(accepted, found.is_empty(), "{}: {found:?}\n{case}", path.display());
        }
    }
}

/// What is printed reads as the same module, for all accepted cases.
#[test]
fn accepted_cases_print_and_read_back() {
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("the file is read");
        for case in text.split(CUT).filter(|case| matches!(wanted(case), Wanted::Accept { .. })) {
            let module = Module::parse(case).expect("an accepted case");
            let printed = module.to_string();
            assert_eq!(Module::parse(&printed).expect("what was printed"), module, "{printed}");
        }
    }
}
