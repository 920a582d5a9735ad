//! What users pass back to one node in reverse mode, added up.
//!
//! A user of the whole node passes a gradient of the node's shape. A user of a part of it, through slices and other views,
//! passes the gradient of that part and where it stands ([`View`]); padded to the whole node, the gradients of `n` parts would
//! cost `n` times the node. Here they are put together instead, by [`assemble`]: what does not overlap is concatenated. A
//! gather passes updates at indices, which are added one after the other to one tensor.
//!
//! What this does not know: which node it is for, and what the gradients are of.

pub(crate) mod assemble;
pub(crate) mod view;

use std::collections::HashMap;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Indexing, Op};
use crate::shape::Shape;
use assemble::{Piece, assemble};
use view::{View, Whole};

/// The shares of one node's gradient that have come so far.
#[derive(Default)]
pub(crate) struct Shares<'g> {
    /// The sum of those of the whole node.
    sum: Option<Expr<'g>>,
    /// The others, which few nodes have.
    partial: Option<Box<Partial<'g>>>,
}

/// Shares that are not of the whole node.
#[derive(Default)]
struct Partial<'g> {
    /// Those of views, by how the node was looked at, in the order of their coming.
    pieces: Vec<(Whole, Vec<Piece<'g>>)>,
    places: HashMap<Whole, usize>,
    /// Those of gathers.
    updates: Vec<Updates<'g>>,
}

/// Gradients of what was gathered along an axis.
struct Updates<'g> {
    indices: NodeId,
    axis: usize,
    gradient: Expr<'g>,
}

impl<'g> Shares<'g> {
    /// Whether none has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.sum.is_none() && self.partial.is_none()
    }

    /// Adds the share of a user of the whole node.
    pub(crate) fn add(&mut self, gradient: Expr<'g>) {
        self.sum = Some(self.sum.map_or(gradient, |earlier| earlier + gradient));
    }

    /// Adds the share of a view of the node: the gradient of what the view shows.
    pub(crate) fn add_part(&mut self, view: &View, gradient: Expr<'g>, origin: Origin) {
        let Partial { pieces, places, .. } = &mut **self.partial.get_or_insert_default();
        let place = *places.entry(view.whole.clone()).or_insert_with(|| {
            pieces.push((view.whole.clone(), Vec::new()));
            pieces.len() - 1
        });
        let gradient = view.ordered(gradient, origin);
        pieces[place].1.push(Piece { region: view.region.clone(), gradient });
    }

    /// Adds the share of a gather along `axis`.
    pub(crate) fn add_updates(&mut self, indices: NodeId, axis: usize, gradient: Expr<'g>) {
        self.partial.get_or_insert_default().updates.push(Updates { indices, axis, gradient });
    }

    /// The sum of all shares, of the node's shape; `None` if there were none.
    pub(crate) fn total(&mut self, graph: &'g Graph, shape: &Shape, dtype: DType, origin: Origin) -> Option<Expr<'g>> {
        let Some(partial) = self.partial.take() else { return self.sum };
        for (whole, pieces) in partial.pieces {
            let assembled = assemble(graph, &whole.shape, dtype, pieces, origin);
            self.add(whole.turned_back(assembled, origin));
        }
        for Updates { indices, axis, gradient } in partial.updates {
            let sum = self.sum.unwrap_or_else(|| graph.zeros(shape, dtype));
            let added = match (sum.raw(), gradient.raw()) {
                (Some(operand), Some(updates)) => sum.insert(
                    Op::Indexing(Indexing::ScatterAdd { operand, indices, updates, axis }),
                    None,
                    None,
                    origin,
                ),
                (None, _) | (_, None) => Expr::poisoned(graph),
            };
            self.sum = Some(added);
        }
        self.sum
    }
}
