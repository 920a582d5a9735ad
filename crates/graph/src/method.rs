//! Which public method a caller is in: what errors name, and what is taken back if any part of it is refused.
//!
//! Methods are built from one another: a softmax takes a maximum, a linear layer a matrix product. A mistake must be told in
//! the words of the one that the caller wrote, so each public method enters its name, the first to enter keeps it, every
//! error is kept under that name, and later errors call the result by it (`described.rs`).

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{Node, Origin};
use crate::operation::Operation;

/// That a public method is running. The outermost one's name is given back when it is dropped, on whatever way.
pub(crate) struct Method<'g> {
    graph: &'g Graph,
    origin: Origin,
    name: &'static str,
    is_outermost: bool,
    /// Whether nodes get this method's caller for theirs until it ends.
    sets_origin: bool,
    /// Whether errors call the node that it inserts last by its name.
    calls_last: bool,
    /// What the method inserts is one operation.
    operation: Operation<'g>,
}

impl Method<'_> {
    /// The caller's file and line, which the nodes of the method get for theirs.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Says that these are results of the method, which has several: errors call them by the name of the outermost, but for what was there
    /// before.
    pub(crate) fn gives(&self, results: &[Expr<'_>]) {
        if self.is_outermost {
            let ids = results.iter().filter_map(|result| result.raw());
            let keys: Vec<_> = ids.map(|id| id.key).collect();
            let mut arena = self.graph.arena_mut();
            for key in keys {
                let is_new = |node: &Node| node.ordinal >= self.operation.first_ordinal();
                if arena.nodes.get(key).is_some_and(is_new) {
                    arena.call(key, self.name);
                }
            }
        }
    }

    /// The name of the outermost method: what errors say that are returned and not kept.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl Drop for Method<'_> {
    fn drop(&mut self) {
        if self.is_outermost {
            self.graph.set_method(None);
            if self.calls_last {
                self.graph.call_last(self.operation.first_ordinal(), self.name);
            }
        }
        if self.sets_origin {
            self.graph.set_origin(None);
        }
    }
}

impl Graph {
    /// Enters a public method, for as long as what this returns is held. Whatever is built meanwhile, by whatever means, carries the line of
    /// the one that the caller wrote.
    #[track_caller]
    pub(crate) fn enter(&self, name: &'static str) -> Method<'_> {
        self.enter_at(name, Origin::here())
    }

    /// [`Graph::enter`] for what builds derivatives of many nodes. These keep the names of their ops: reports of where a gradient first was
    /// NaN tell them.
    #[track_caller]
    pub(crate) fn enter_derivatives(&self, name: &'static str) -> Method<'_> {
        let mut method = self.enter_at(name, Origin::here());
        method.calls_last = false;
        method
    }

    /// [`Graph::enter`] for a caller whose line is known.
    pub(crate) fn enter_at(&self, name: &'static str, origin: Origin) -> Method<'_> {
        let origin = self.origin_or(origin);
        let outer = self.method();
        if outer.is_none() {
            self.set_method(Some(name));
        }
        let sets_origin = self.set_origin(Some(origin)).is_none();
        Method {
            graph: self,
            origin,
            name: outer.unwrap_or(name),
            is_outermost: outer.is_none(),
            sets_origin,
            calls_last: true,
            operation: self.operation(),
        }
    }

    /// An error, told in the words of the method that the caller wrote.
    pub(crate) fn in_method(&self, error: GraphError) -> GraphError {
        match self.method() {
            Some(name) => error.of(name),
            None => error,
        }
    }
}

impl<'g> Expr<'g> {
    /// [`Graph::enter`] of this expression's graph.
    #[track_caller]
    pub(crate) fn enter(self, name: &'static str) -> Method<'g> {
        self.graph().enter(name)
    }

    /// [`Graph::enter_derivatives`] of this expression's graph.
    #[track_caller]
    pub(crate) fn enter_derivatives(self, name: &'static str) -> Method<'g> {
        self.graph().enter_derivatives(name)
    }
}
