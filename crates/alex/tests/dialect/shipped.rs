//! What is written from the table and shipped as a file.

use std::path::Path;

use alex::dialect::irdl;

use crate::tools::run;

/// After a change of the table, run with `FIDELITY_BLESS=1` to write the file again.
#[test]
fn the_text_in_irdl_is_that_of_the_table() {
    let written = irdl::generate();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect/fidelity.irdl.mlir");
    if std::env::var_os("FIDELITY_BLESS").is_some() {
        std::fs::write(&path, &written).expect("the file is written");
        return;
    }
    assert_eq!(written, irdl::TEXT, "run this test with FIDELITY_BLESS=1");
}

#[test]
fn mlir_reads_it() {
    if let Some(Err(problem)) = run("mlir-opt", &["-o", "/dev/null"], irdl::TEXT) {
        panic!("{problem}");
    }
}
