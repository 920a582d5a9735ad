//! What a graph keeps of the first mistake, as tests ask for it.

use arenagrad_graph::Graph;

/// Asserts that the line above the call made a mistake, and the message that follows its file and line.
#[track_caller]
pub(crate) fn says(g: &Graph, message: &str) {
    let caller = std::panic::Location::caller();
    let error = g.take_error().expect("a mistake").to_string();
    let (origin, text) = error.split_once(": ").expect("an origin");
    assert_eq!(text, message);
    assert_eq!(origin, format!("{}:{}", caller.file(), caller.line() - 1));
}
