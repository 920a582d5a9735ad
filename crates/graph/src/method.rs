//! Which public method a caller is in: what errors name, and what is taken back if any part of it is refused.
//!
//! Methods are built from one another: a softmax takes a maximum, a linear layer a matrix product. A mistake must be told in
//! the words of the one that the caller wrote, so each public method enters its name, the first to enter keeps it, and every
//! error is kept under that name.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::operation::Operation;

/// That a public method is running. The outermost one's name is given back when it is dropped, on whatever way.
pub(crate) struct Method<'g> {
    graph: &'g Graph,
    origin: Origin,
    name: &'static str,
    is_outermost: bool,
    /// Whether nodes get this method's caller for theirs until it ends.
    sets_origin: bool,
    /// What the method inserts is one operation.
    _operation: Operation<'g>,
}

impl Method<'_> {
    /// The caller's file and line, which the nodes of the method get for theirs.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
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
            _operation: self.operation(),
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
}
