//! The functions of `shaders/functions`, by name, and what each needs.
//!
//! A file holds items (functions and structures, each with its comment) that blank lines separate. A generated module
//! takes the items that it calls and, transitively, those that they call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

macro_rules! files {
    ($($stem:literal),* $(,)?) => {
        [$(include_str!(concat!("../../shaders/functions/", $stem, ".wgsl"))),*]
    };
}

/// The text of every file.
const FILES: [&str; 38] = files![
    "abs",
    "add",
    "and",
    "cast",
    "ceil",
    "cos",
    "div",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "greater",
    "greater_equal",
    "is_nan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "not",
    "not_equal",
    "or",
    "pow",
    "relu",
    "relu_backward",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "storage",
    "sub",
    "tanh",
    "uniform",
];

/// A function or structure.
struct Item {
    text: &'static str,
    /// The names of the items that its text mentions.
    uses: Vec<&'static str>,
}

/// Writes the items `names`, and all that they need, each after what it needs.
pub(super) fn write_items(names: &BTreeSet<&'static str>, text: &mut String) {
    let items = items();
    let mut written = BTreeSet::new();
    // An item is visited twice: first to put what it uses on top of it, then, with that written, to be written itself.
    let mut stack: Vec<(&'static str, bool)> = names.iter().rev().map(|name| (*name, false)).collect();
    while let Some((name, ready)) = stack.pop() {
        if written.contains(name) {
            continue;
        }
        let item = &items[name];
        if ready {
            written.insert(name);
            text.push('\n');
            text.push_str(item.text);
            text.push('\n');
        } else {
            stack.push((name, true));
            stack.extend(item.uses.iter().rev().map(|used| (*used, false)));
        }
    }
}

fn items() -> &'static BTreeMap<&'static str, Item> {
    static ITEMS: OnceLock<BTreeMap<&'static str, Item>> = OnceLock::new();
    ITEMS.get_or_init(|| {
        let texts: BTreeMap<&str, &str> = FILES
            .iter()
            .flat_map(|file| file.trim().split("\n\n"))
            .map(|text| (item_name(text).expect("each item of a function file is a fn or a struct"), text.trim()))
            .collect();
        texts
            .iter()
            .map(|(name, text)| {
                let uses = words(text)
                    .filter(|word| word != name)
                    .filter_map(|word| texts.get_key_value(word).map(|(used, _)| *used))
                    .collect();
                (*name, Item { text, uses })
            })
            .collect()
    })
}

/// The name that an item's text declares.
fn item_name(text: &'static str) -> Option<&'static str> {
    text.lines()
        .find_map(|line| line.strip_prefix("fn ").or_else(|| line.strip_prefix("struct ")))
        .and_then(|rest| rest.split(|c: char| !is_word(c)).next())
}

/// The identifiers of the code of a text, comments left out.
fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .flat_map(|line| line.split(|c: char| !is_word(c)))
        .filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_found_with_what_it_needs() {
        let mut text = String::new();
        write_items(&BTreeSet::from(["sigmoid"]), &mut text);
        let (exp, sigmoid) = (text.find("fn exp_f32(").unwrap(), text.find("fn sigmoid(").unwrap());
        assert!(text.find("fn power_of_two(").unwrap() < exp && exp < sigmoid);
        assert!(!text.contains("fn relu("));
    }
}
