//! The program of the guide is one that is compiled and run: `cargo xtask web --test` calls it in a browser.

use std::path::Path;

#[test]
fn the_guide_shows_the_program_that_is_built() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text =
        |path: &str| std::fs::read_to_string(package.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (guide, program) = (text("../../docs/browser.md"), text("src/fit.rs"));
    let shown = guide.split("```rust,ignore\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(program.as_str()));
    assert!(program.lines().count() <= 20, "twenty lines are promised");
}
