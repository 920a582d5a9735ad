//! The tests of the examples' library in one program, which is quicker to build than one for each file.

mod jobs;
mod language;
#[path = "../../crates/graph/tests/listed/mod.rs"]
mod listed;
mod primer;
mod primer_network;

#[test]
fn every_test_file_is_listed() {
    listed::assert_every_file_is_listed(env!("CARGO_MANIFEST_DIR"));
}
