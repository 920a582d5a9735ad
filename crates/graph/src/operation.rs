//! Operations as wholes: what is refused leaves nothing behind.
//!
//! Most methods insert several nodes, and the last of them may be the one that is refused. [`Graph::operation`] marks where a method
//! began, and takes back what it inserted if anything in it was refused; [`Graph::attempt`] does the same for code that
//! reports its mistake as a `Result`, and hands the mistake to the caller instead of keeping it in the graph;
//! [`Graph::temporarily`] takes back what succeeded too.
//!
//! Invariants: after a refused operation the graph holds the nodes, declarations, names, requirements and ordinals that it held
//! before; a mark that was taken before is as good as it was. What the owner of the graph (see [`crate::OwnedGraph`]) added
//! meanwhile is the owner's, and is never taken back: then nothing is, and the owner removes what nobody needs.

use crate::arena::{Extent, Graph};
use crate::error::GraphError;

/// An operation that is being built. When it goes out of scope and something was refused since it was made, or a panic passes,
/// the graph forgets what was inserted since.
pub(crate) struct Operation<'g> {
    graph: &'g Graph,
    start: Start,
    refusals: u64,
    panicking: bool,
}

/// Where in a graph's growth an operation began.
#[derive(Clone, Copy)]
struct Start {
    extent: Extent,
    rewinds: u64,
    claims: u64,
}

/// An attempt that is being made: puts back the error that the graph held before it, also when a panic passes.
struct Attempt<'g> {
    graph: &'g Graph,
    start: Start,
    earlier: Option<(u64, GraphError)>,
    is_taken_back: bool,
}

impl Graph {
    /// Does `build`, and takes back everything that it inserted if it fails or panics: if it returns an error, or makes a mistake
    /// with an expression. The mistake is returned and not kept as the graph's first error; an error that the graph held
    /// before is kept, and `build` does not see it.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, GraphError};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 3]);
    /// let refused = g.attempt(|| Ok::<_, GraphError>(x.exp().reshape([7])));
    /// assert!(matches!(refused, Err(GraphError::Reshape { .. })));
    /// assert_eq!((g.len(), g.check()), (1, Ok(())));
    /// ```
    pub fn attempt<T, E: From<GraphError>>(&self, build: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.attempted(build, false)
    }

    /// [`Graph::attempt`] for nodes that are needed only until something has been made of them, such as a plan: what `build` inserts is
    /// taken back if it succeeds too.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, GraphError};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 3]);
    /// let shape = g.temporarily(|| x.sum(1).exp().shape())?;
    /// assert_eq!((shape.dims(), g.len()), (&[2][..], 1));
    /// # Ok::<(), GraphError>(())
    /// ```
    pub fn temporarily<T, E: From<GraphError>>(&self, build: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.attempted(build, true)
    }

    fn attempted<T, E: From<GraphError>>(
        &self,
        build: impl FnOnce() -> Result<T, E>,
        is_temporary: bool,
    ) -> Result<T, E> {
        let earlier = self.arena_mut().first_error.take();
        let mut attempt = Attempt { graph: self, start: self.start(), earlier, is_taken_back: true };
        let result = build();
        // What `build` says itself of its mistake goes before what it may have been made of.
        let result = match (result, self.take_error()) {
            (Ok(_), Some(error)) => Err(error.into()),
            (result, _) => result,
        };
        attempt.is_taken_back = is_temporary || result.is_err();
        if result.is_err() {
            self.note_refusal();
        }
        result
    }

    /// The operation that begins here, until what is returned goes out of scope. Not for code that runs a caller's own: that may
    /// try something, be refused, and go on.
    pub(crate) fn operation(&self) -> Operation<'_> {
        let panicking = std::thread::panicking();
        Operation { graph: self, start: self.start(), refusals: self.refusals(), panicking }
    }

    fn start(&self) -> Start {
        let (arena, claims) = (self.arena(), self.claims());
        Start { extent: arena.extent(), rewinds: arena.rewinds, claims }
    }

    /// Forgets what was inserted since. Whoever rewound the graph to before the start in between has taken all of it back already, and
    /// what came after that is their own.
    fn take_back(&self, start: Start) {
        let mut arena = self.arena_mut();
        if self.claims() == start.claims && arena.holds_from(start.rewinds, start.extent) {
            arena.cut(start.extent);
        }
    }
}

impl Operation<'_> {
    /// The ordinal of the first node that was inserted since the operation began, if any was.
    pub(crate) fn first_ordinal(&self) -> u32 {
        self.start.extent.next_ordinal
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let panics = std::thread::panicking() && !self.panicking;
        if panics || self.graph.refusals() != self.refusals {
            self.graph.take_back(self.start);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_taken_back {
            self.graph.take_back(self.start);
        }
        self.graph.arena_mut().first_error = self.earlier.take();
    }
}
