//! Names under a prefix: what several optimisers of one network need, each of which calls its learning rate `learning_rate`.
//!
//! Invariants: a prefix holds for as long as the closure runs that it was given with, also if that panics; the states that the
//! graph declares for itself, the counter of steps and the seed of random draws, are one of each whatever the prefix.

use crate::arena::Graph;
use crate::declaration::Init;

impl Graph {
    /// Does `build`, with `PREFIX.` in front of the name of every parameter and state that is declared or shared meanwhile. An
    /// empty prefix changes nothing; one within another stands behind it.
    ///
    /// ```
    /// use arenagrad_graph::{DType, Graph, Init};
    ///
    /// let g = Graph::new();
    /// g.under_prefix("critic", || g.state("learning_rate", [], DType::F32, Init::Constant(0.1)));
    /// assert!(g.declaration_named("critic.learning_rate").is_some());
    /// ```
    pub fn under_prefix<T>(&self, prefix: &str, build: impl FnOnce() -> T) -> T {
        let outer = self.prefix.borrow().clone();
        let whole = match (outer.as_str(), prefix) {
            (outer, "") => outer.to_owned(),
            ("", prefix) => prefix.to_owned(),
            (outer, prefix) => format!("{outer}.{prefix}"),
        };
        self.with_prefix(whole, build)
    }

    /// Does `build` as if there were no prefix.
    pub(crate) fn without_prefix<T>(&self, build: impl FnOnce() -> T) -> T {
        self.with_prefix(String::new(), build)
    }

    /// A name under the present prefix.
    pub(crate) fn prefixed(&self, name: String) -> String {
        match self.prefix.borrow().as_str() {
            "" => name,
            prefix => format!("{prefix}.{name}"),
        }
    }

    /// First values under the present prefix: where they are computed from those of another parameter, that one stands under it too.
    pub(crate) fn prefixed_init(&self, mut init: Init) -> Init {
        if let Some(source) = init.source_mut() {
            source.name = self.prefixed(std::mem::take(&mut source.name));
        }
        init
    }

    fn with_prefix<T>(&self, prefix: String, build: impl FnOnce() -> T) -> T {
        /// Puts the prefix back, also when `build` panics and the graph is used on.
        struct Restored<'a>(&'a Graph, String);
        impl Drop for Restored<'_> {
            fn drop(&mut self) {
                self.0.prefix.replace(std::mem::take(&mut self.1));
            }
        }
        let _restored = Restored(self, self.prefix.replace(prefix));
        build()
    }
}
