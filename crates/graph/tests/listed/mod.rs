//! Whether every test file belongs to a program. Cargo does not look for them itself here (`autotests = false`), so one that
//! is not listed would never run.

use std::path::Path;

/// Fails if a file in a package's folder `tests` is neither a module of `main.rs` nor a `[[test]]` of the manifest.
pub(crate) fn assert_every_file_is_listed(package: &str) {
    let package = Path::new(package);
    let text =
        |path: &str| std::fs::read_to_string(package.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (program, manifest) = (text("tests/main.rs"), text("Cargo.toml"));
    let mut listed = 0;
    for entry in std::fs::read_dir(package.join("tests")).expect("the folder of the tests") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in Unicode");
        if name == "main" || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let is_module = program.lines().any(|line| line.strip_prefix("pub ").unwrap_or(line) == format!("mod {name};"));
        let is_program = manifest.lines().any(|line| line == format!("path = \"tests/{name}.rs\""));
        assert!(
            is_module != is_program,
            "tests/{name}.rs must be a module of tests/main.rs, or a [[test]] of Cargo.toml if it needs a process of its own"
        );
        listed += 1;
    }
    assert!(listed > 0, "no test file was found");
}
