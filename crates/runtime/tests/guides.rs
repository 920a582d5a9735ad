//! Every page with a program in it is compiled with the programs of the documentation.

use std::fs;
use std::path::Path;

#[test]
fn every_page_with_a_program_is_tested() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tested = text(&package.join("src/guides.rs"));
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(package.join("../../docs")).expect("the folder of the guides") {
        let name = entry.expect("an entry of the folder").file_name();
        pages.push(format!("docs/{}", name.to_str().expect("a name in Unicode")));
    }
    let mut programs = 0;
    for page in pages.iter().filter(|page| page.ends_with(".md")) {
        let count = text(&package.join("../..").join(page)).lines().filter(|line| *line == "```rust").count();
        let is_tested = tested.contains(&format!("\"{page}\""));
        assert_eq!(
            is_tested,
            count > 0,
            "{page} has {count} programs; crates/runtime/src/guides.rs lists those with any"
        );
        programs += count;
    }
    assert!(programs > 0, "no page has a program");
}

/// What the table of idioms says is code of the page's programs.
#[test]
fn every_idiom_for_users_of_pytorch_is_compiled() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pytorch_users.md");
    let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let programs: String = page.split("```rust").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let mut idioms = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).skip(1) {
        // A bar within code is escaped, so that it does not end the cell.
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 2, "{row}");
        let code = cells[1].split('`').skip(1).step_by(2).filter(|code| *code != "Fit");
        for idiom in code.map(|code| code.replace('\u{1}', "|")) {
            assert!(programs.contains(&idiom), "no program of the page has `{idiom}`");
            idioms += 1;
        }
    }
    assert!(idioms > 50, "{idioms}");
}
