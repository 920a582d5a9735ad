//! What layers ask a graph for that belongs to somebody: parameters and states by name, which the owner keeps, and a count of steps.
//!
//! In an [`OwnedGraph`] nobody but the owner declares anything, so [`Graph::shared_parameter`], [`Graph::shared_state`], [`Graph::step`] and
//! [`Graph::update`] ask a [`Lender`], for as long as the owner says that there is one ([`OwnedGraph::lending`]).
//!
//! Invariants: a lender answers for its own graph alone, on the thread that it was named on, and until the closure ends that it was
//! named for, also if that panics. This does not know where values are kept.

use std::cell::RefCell;
use std::rc::Rc;

use crate::arena::Graph;
use crate::declaration::Init;
use crate::declaration::{Declaration, DeclarationKind};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::initial::Refused;
use crate::node::{NodeId, Origin};
use crate::owner::OwnedGraph;
use crate::shape::Shape;
use crate::storage::StorageType;

/// Who keeps what layers ask for in an owned graph.
pub trait Lender {
    /// What is kept under a name: its declaration, whose kind is a parameter's, and whose node is where it stands in the graph now.
    fn kept(&self, name: &str, origin: Origin) -> Result<Option<Declaration>, GraphError>;

    /// Keeps something new under a name that nothing is kept under, and returns where it stands in the graph.
    fn keep(&self, wanted: Wanted) -> Result<NodeId, GraphError>;

    /// Whether a node is where something stands that is kept, so that it can be said what it becomes.
    fn is_kept(&self, node: NodeId) -> bool;
}

/// What a layer asks to be kept: a parameter or a state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wanted {
    /// The name that it is found by.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// In what it would be stored.
    pub storage: StorageType,
    /// Its first elements.
    pub init: Init,
    /// Whether it is trained.
    pub trainable: bool,
    /// The caller's file and line.
    pub origin: Origin,
}

thread_local! {
    /// The lenders that are asked on this thread, by the tags of their graphs. The last of a graph answers.
    static LENDERS: RefCell<Vec<(u32, Rc<dyn Lender>)>> = const { RefCell::new(Vec::new()) };
}

impl OwnedGraph {
    /// Does `build`, in which layers get what they ask for from `lender`. Returns the result, and what states are to become, each state
    /// once, in the order in which it was said.
    ///
    /// Random draws without a seed of their own are numbered from the first in `build` on. What was said of states and layers is
    /// forgotten by the graph.
    pub fn lending<T>(&self, lender: Rc<dyn Lender>, build: impl FnOnce() -> T) -> (T, Vec<(NodeId, NodeId)>) {
        /// Puts everything back, also when `build` panics and the graph is used on.
        struct Ended<'a> {
            graph: &'a Graph,
            draws: u32,
            updates: usize,
            layers: usize,
        }
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                LENDERS.with_borrow_mut(|lenders| drop(lenders.pop()));
                let mut arena = self.graph.arena_mut();
                arena.draws = self.draws;
                arena.updates.truncate(self.updates);
                arena.layers.truncate(self.layers);
            }
        }
        let graph: &Graph = self;
        LENDERS.with_borrow_mut(|lenders| lenders.push((graph.tag(), lender)));
        let ended = {
            let mut arena = graph.arena_mut();
            let draws = std::mem::take(&mut arena.draws);
            Ended { graph, draws, updates: arena.updates.len(), layers: arena.layers.len() }
        };
        let result = build();
        let updates = graph.updates_since(ended.updates);
        (result, updates)
    }
}

impl Graph {
    /// Who is asked for parameters and states here, if it is not the graph itself.
    pub(crate) fn lender(&self) -> Option<Rc<dyn Lender>> {
        self.owner()?;
        let tag = self.tag();
        let of_graph = |(graph, lender): &(u32, Rc<dyn Lender>)| (*graph == tag).then(|| lender.clone());
        LENDERS.with_borrow(|lenders| lenders.iter().rev().find_map(of_graph))
    }

    /// What a lender gives for a name: what it keeps under that, if it is what is wanted, else something new.
    pub(crate) fn lent(&self, lender: &dyn Lender, wanted: Wanted) -> Expr<'_> {
        let Wanted { shape, storage, trainable, origin, .. } = &wanted;
        let what = if *trainable { "a parameter" } else { "a state" };
        let kept = match lender.kept(&wanted.name, *origin) {
            Ok(kept) => kept,
            Err(error) => return self.finish(Err(error)),
        };
        if let Some(kept) = kept {
            return self.found(&kept, what, *trainable, shape, *storage, *origin);
        }
        if let Err(error) = wanted.check() {
            return self.finish(Err(error));
        }
        match lender.keep(wanted) {
            Ok(node) => self.expr(node),
            Err(error) => self.finish(Err(error)),
        }
    }
}

impl Wanted {
    /// Refuses first elements that cannot be its.
    fn check(&self) -> Result<(), GraphError> {
        let Wanted { name, shape, storage, init, trainable, origin } = self;
        let origin = *origin;
        init.check_shape(shape).map_err(|refused| refused.told(origin, name, shape))?;
        if shape.checked_elements().is_none() {
            return Err(GraphError::TooManyElements { origin, op: "parameter", shape: shape.clone() });
        }
        init.check(*storage, *trainable).map_err(|Refused { what, value, expected }| GraphError::InitialValue {
            origin,
            name: name.clone(),
            what,
            value,
            expected,
        })
    }

    /// The declaration of what is kept, whose node is this.
    #[must_use]
    pub fn declaration(&self, node: NodeId) -> Declaration {
        let Wanted { name, shape, storage, init, trainable, origin } = self.clone();
        let kind = DeclarationKind::Parameter { init, trainable };
        Declaration { name, node, shape, dtype: storage.value(), storage, origin, kind }
    }
}
