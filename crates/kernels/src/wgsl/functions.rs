//! The functions of `shaders/functions`, by name, and what each needs.
//!
//! A file holds items (functions and structures, each with its comment) that blank lines separate. A generated module
//! takes the items that it calls and, transitively, those that they call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::DType;

macro_rules! files {
    ($($stem:literal),* $(,)?) => {
        [$(include_str!(concat!("../../shaders/functions/", $stem, ".wgsl"))),*]
    };
}

/// The text of every file.
const FILES: [&str; 68] = files![
    "abs",
    "acos",
    "acosh",
    "add",
    "and",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "digamma",
    "div",
    "equal",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
    "is_nan",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
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
    "remainder",
    "round",
    "shift_left",
    "shift_right",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "storage",
    "sub",
    "tanh",
    "trigamma",
    "trunc",
    "uniform",
];

/// A function or structure.
struct Item {
    text: &'static str,
    /// The names of the items that its text mentions.
    uses: Vec<&'static str>,
}

/// The item for a function of that stem of a dtype: where the stem alone would not do, because WGSL has a function of that name
/// or because the function is defined for several dtypes, the dtype stands behind it. Modules hold f32 where a program has f64,
/// which no adapter computes.
///
/// # Panics
/// If there is none: the graph checks for what dtypes a function is defined.
pub(super) fn named(stem: &str, dtype: DType) -> &'static str {
    let dtype = match dtype {
        DType::F32 | DType::F64 => "f32",
        DType::I32 => "i32",
        DType::Bool => "bool",
    };
    let items = items();
    match items.get_key_value(format!("{stem}_{dtype}").as_str()).or_else(|| items.get_key_value(stem)) {
        Some((name, _)) => name,
        None => panic!("shaders/functions has no function {stem} of {dtype}"),
    }
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
    use crate::{BinaryFunction, CompareFunction, UnaryFunction};

    #[test]
    fn every_function_has_an_item_for_each_dtype() {
        let on_gpu = |dtypes: &'static [DType]| dtypes.iter().filter(|&&dtype| dtype != DType::F64);
        for function in UnaryFunction::ALL {
            on_gpu(function.row().dtypes).for_each(|&dtype| assert!(!named(function.name(), dtype).is_empty()));
        }
        for function in BinaryFunction::ALL {
            on_gpu(function.row().dtypes).for_each(|&dtype| assert!(!named(function.name(), dtype).is_empty()));
        }
        for function in CompareFunction::ALL {
            // Truth values are compared as integers.
            on_gpu(&[DType::F32, DType::I32]).for_each(|&dtype| assert!(!named(function.name(), dtype).is_empty()));
        }
        // The functions of one dtype that share a stem are apart.
        assert_ne!(named("maximum", DType::F32), named("maximum", DType::I32));
    }

    /// `&&` and `||` are branches, and a kernel has each function many times over: a compiler that writes every call out takes seconds
    /// over some hundred of them, or does not come back.
    #[test]
    fn truth_values_are_combined_without_branches() {
        for text in FILES {
            let code = text.lines().map(|line| line.split("//").next().unwrap_or(line));
            let branching: Vec<&str> = code.filter(|line| line.contains("&&") || line.contains("||")).collect();
            assert!(branching.is_empty(), "{branching:?}");
        }
    }

    #[test]
    fn every_item_is_found_with_what_it_needs() {
        let mut text = String::new();
        write_items(&BTreeSet::from(["sigmoid"]), &mut text);
        let (exp, sigmoid) = (text.find("fn exp_f32(").unwrap(), text.find("fn sigmoid(").unwrap());
        assert!(text.find("fn power_of_two(").unwrap() < exp && exp < sigmoid);
        assert!(!text.contains("fn relu("));
    }
}
