//! The variables by which tests have an adapter taken for another: those of the environment, or, in a page, which has no environment, those
//! that the page has set.

#[cfg(target_family = "wasm")]
use std::collections::BTreeMap;
#[cfg(target_family = "wasm")]
use std::sync::{Mutex, PoisonError};

#[cfg(target_family = "wasm")]
static OF_PAGE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The value of a variable, if it has one that is text.
pub(super) fn variable(name: &str) -> Option<String> {
    #[cfg(not(target_family = "wasm"))]
    return std::env::var(name).ok();
    #[cfg(target_family = "wasm")]
    OF_PAGE.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// Gives a variable a value in this page. An adapter that is open stays what it was taken for.
#[cfg(target_family = "wasm")]
pub(crate) fn set_variable(name: &str, value: &str) {
    OF_PAGE.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
}
