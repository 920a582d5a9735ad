//! Batching: a part of a graph computed for many values of some nodes at once, along a new first axis.
//!
//! This is how all rows of a Jacobian are one pass over the graph: reverse mode is built once, for one upstream gradient that
//! a placeholder stands for, and then batched over the identity. Only what depends on a batched node is built anew, with an
//! axis of the batch's extent in front; everything else is shared by the whole batch. The sweep is iterative.

use std::collections::HashSet;

use crate::arena::Graph;
use crate::autodiff::scan::Loop;
use crate::autodiff::span::Span;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Arrangement, Assembly, ConvolutionAxis, Extents, Indexing, Leaf, Op, Ordered};
use crate::ops::matmul::{batch_shape, matrix};
use crate::shape::{AxisSet, Shape};

impl Graph {
    /// `outputs` over a batch: each first node of `batched`, of shape `[..]`, takes the values of the second, of shape
    /// `[batch, ..]`. An output of shape `[..]` becomes one of shape `[batch, ..]`, repeated if it depends on none of them.
    pub(crate) fn batch<'g>(
        &'g self,
        outputs: &[NodeId],
        batched: &[(NodeId, Expr<'g>)],
        batch: usize,
        origin: Origin,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let mut starts: Vec<NodeId> = batched.iter().map(|(id, _)| *id).collect();
        let mut known: HashSet<NodeId> = starts.iter().copied().collect();
        // A function's own gradients are templates over a placeholder of theirs, which is batched with them wherever it
        // stands: further templates may depend on that, until there are no more.
        let (span, affected) = loop {
            let span = Span::between(self, &starts, outputs);
            let affected = span.affected(self, &starts, outputs);
            let templates = self.placeholders_of_functions(&span, &affected, &mut known);
            if templates.is_empty() {
                break (span, affected);
            }
            starts.extend(templates);
        };
        let mut results: Vec<Option<Expr<'g>>> = vec![None; span.len()];
        for (id, values) in batched {
            if let Some(place) = span.place(self, *id) {
                results[place] = Some(*values);
            }
        }
        let restored = self.set_origin(None);
        let mut failed = None;
        for &id in span.nodes() {
            let (place, node) = match (span.place(self, id), self.node(id)) {
                (Some(place), Ok(node)) if results[place].is_none() => (place, node),
                _ => continue,
            };
            if !affected[place] {
                continue;
            }
            self.set_origin(Some(node.origin));
            let batched = |id: NodeId| span.place(self, id).and_then(|place| results[place]);
            let rule = Batch { graph: self, batched: &batched, batch, origin: node.origin };
            let result = rule.node(&node);
            if result.raw().is_none() {
                failed = Some(node.origin);
                break;
            }
            if let Some(new) = result.raw() {
                self.arena_mut().require_as(id, new);
            }
            results[place] = Some(result);
        }
        self.set_origin(restored);
        if failed.is_some() {
            self.check()?;
        }
        let found = |id: &NodeId| span.place(self, *id).and_then(|place| results[place]);
        let batched = |id: NodeId| found(&id);
        let rule = Batch { graph: self, batched: &batched, batch, origin };
        Ok(outputs.iter().map(|id| rule.lifted(*id)).collect())
    }

    /// The placeholders of affected functions with gradients of their own, that are not among `known`, and then are.
    fn placeholders_of_functions(&self, span: &Span, affected: &[bool], known: &mut HashSet<NodeId>) -> Vec<NodeId> {
        let arena = self.arena();
        let mut found: Vec<NodeId> = Vec::new();
        for id in span.nodes() {
            let node = &arena.nodes[id.key];
            if span.place_of(node.ordinal).is_some_and(|place| affected[place])
                && let Op::CustomGradient { upstream, .. } = &node.op
                && known.insert(*upstream)
            {
                found.push(*upstream);
            }
        }
        found
    }
}

/// How one node is batched.
struct Batch<'g, 'a> {
    graph: &'g Graph,
    /// The batched form of a node, if it has one.
    batched: &'a dyn Fn(NodeId) -> Option<Expr<'g>>,
    batch: usize,
    origin: Origin,
}

impl<'g> Batch<'g, '_> {
    fn node(&self, node: &Node) -> Expr<'g> {
        let op = &node.op;
        match op {
            Op::Leaf(leaf) => match leaf {
                Leaf::Placeholder => self.insert(op.clone(), Some(node)),
                // Other leaves depend on nothing, so they are never asked for.
                Leaf::Input { .. }
                | Leaf::Parameter { .. }
                | Leaf::Constant { .. }
                | Leaf::Literal { .. }
                | Leaf::Iota { .. } => self.over(op, node),
            },
            Op::Uniform { .. } => {
                let operand = format!("{} (node {})", op.name(), node.ordinal);
                self.graph.finish(Err(GraphError::NotBatched { origin: self.origin, op: "jacobian", operand }))
            }
            Op::Elementwise(_) | Op::StopGradient { .. } | Op::CustomGradient { .. } | Op::AllReduce { .. } => {
                self.over(op, node)
            }
            Op::View { operand, arrangement } => self.view(*operand, arrangement, node),
            Op::Assembly(Assembly::Pad { operand, lows, interiors, value }) => {
                let (lows, interiors) = (behind(0, lows), behind(0, interiors));
                self.over(&Op::Assembly(Assembly::Pad { operand: *operand, lows, interiors, value: *value }), node)
            }
            Op::Assembly(Assembly::Concat { operands, axis }) => {
                self.over(&Op::Assembly(Assembly::Concat { operands: operands.clone(), axis: axis + 1 }), node)
            }
            Op::Reduce { function, operand, axes } => {
                let axes: AxisSet = axes.iter().map(|axis| axis + 1).collect();
                self.over(&Op::Reduce { function: *function, operand: *operand, axes }, node)
            }
            Op::ArgMax { operand, axis } => self.over(&Op::ArgMax { operand: *operand, axis: axis + 1 }, node),
            Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
                self.matmul(*lhs, *rhs, *transpose_lhs, *transpose_rhs, node)
            }
            // All operands have one rank, so a further axis in front is one of theirs.
            Op::Attention(_) => self.over(op, node),
            Op::LinearAlgebra { function, operands } => match operands[..] {
                // One matrix for the whole batch is decomposed once, for a wider right side.
                [matrix, rhs] if (self.batched)(matrix).is_none() => {
                    self.side_by_side(rhs, node.shape.rank() - 1, node, |rhs| Op::LinearAlgebra {
                        function: *function,
                        operands: [matrix, rhs].into(),
                    })
                }
                _ => self.over(op, node),
            },
            Op::Convolution { input, weight, axes } => self.convolution(*input, *weight, axes, node),
            Op::Indexing(indexing) => self.indexing(*indexing, node),
            Op::Scan { body, operands, result } => {
                let place = Loop { graph: self.graph, body, operands, origin: self.origin };
                let batched = place.batched(*result, self.batched, self.batch);
                batched.unwrap_or_else(|error| self.graph.finish(Err(error)))
            }
            Op::Ordered(ordered) => self.ordered(*ordered, node),
        }
    }

    /// The view with the batch's axis in front of the others.
    fn view(&self, operand: NodeId, arrangement: &Arrangement, node: &Node) -> Expr<'g> {
        let arrangement = match arrangement {
            Arrangement::Reshape => Arrangement::Reshape,
            Arrangement::Permute { axes } => {
                let axes = std::iter::once(0).chain(axes.iter().map(|axis| axis + 1)).collect();
                Arrangement::Permute { axes }
            }
            Arrangement::Broadcast => {
                // Axes are aligned at the last: those that the operand lacks go behind the batch's.
                let aligned = self.aligned(self.lifted(operand), node.shape.rank());
                return aligned.broadcast_node(&self.shape(&node.shape), self.origin);
            }
            Arrangement::Slice { starts, steps } => {
                Arrangement::Slice { starts: behind(0, starts), steps: behind(1, steps) }
            }
            Arrangement::Flip { axes } => Arrangement::Flip { axes: axes.iter().map(|axis| axis + 1).collect() },
            Arrangement::Windows(windows) => {
                let mut windows = windows.clone();
                windows.axes.iter_mut().for_each(|axis| *axis += 1);
                Arrangement::Windows(windows)
            }
        };
        self.over(&Op::View { operand, arrangement }, node)
    }

    /// Along the axis behind the batch's; where one tensor is indexed for the whole batch it is not repeated.
    fn indexing(&self, indexing: Indexing, node: &Node) -> Expr<'g> {
        let mut indexing = indexing;
        match &mut indexing {
            Indexing::Gather { operand, indices, axis } if (self.batched)(*operand).is_none() => {
                let (operand, axis) = (*operand, *axis);
                return self.side_by_side(*indices, axis, node, |indices| {
                    Op::Indexing(Indexing::Gather { operand, indices, axis })
                });
            }
            // The result of a scatter is as large as what it adds to, for each of the batch.
            Indexing::Gather { axis, .. }
            | Indexing::ScatterAdd { axis, .. }
            | Indexing::ScatterReduce { axis, .. } => *axis += 1,
        }
        self.over(&Op::Indexing(indexing), node)
    }

    /// An operation whose operand of that axis is the whole batch, one after the other along it, and whose result is so too.
    fn side_by_side(&self, operand: NodeId, axis: usize, node: &Node, op: impl FnOnce(NodeId) -> Op) -> Expr<'g> {
        let shape = self.graph.arena().nodes[operand.key].shape.clone();
        match self.joined(self.lifted(operand), &shape, axis).raw() {
            Some(joined) => self.parted(self.insert(op(joined), None), &node.shape, axis),
            None => Expr::poisoned(self.graph),
        }
    }

    /// `[batch, .., k, ..]` as `[.., batch * k, ..]`: the batched form of what has that shape, where `k` is the extent of the axis.
    fn joined(&self, batched: Expr<'g>, shape: &Shape, axis: usize) -> Expr<'g> {
        let order: Vec<isize> =
            (1..=axis).chain([0]).chain(axis + 1..=shape.rank()).map(|axis| axis as isize).collect();
        let extent = self.batch.saturating_mul(shape[axis]);
        batched.permute(order).reshape_node(&shape.with_extent(axis, extent), self.origin)
    }

    /// The other way: what has that shape, joined along the axis, with the batch's axis in front.
    fn parted(&self, joined: Expr<'g>, shape: &Shape, axis: usize) -> Expr<'g> {
        let apart: Shape = shape[..axis].iter().chain([&self.batch]).chain(&shape[axis..]).copied().collect();
        let order: Vec<isize> =
            [axis].into_iter().chain(0..axis).chain(axis + 1..=shape.rank()).map(|axis| axis as isize).collect();
        joined.reshape_node(&apart, self.origin).permute(order)
    }

    /// The operation along the axis behind the batch's.
    fn ordered(&self, ordered: Ordered, node: &Node) -> Expr<'g> {
        let mut ordered = ordered;
        match &mut ordered {
            Ordered::Cumulative { axis, .. } | Ordered::Recurrence { axis, .. } | Ordered::ArgSort { axis, .. } => {
                *axis += 1;
            }
            Ordered::SearchSorted { sequence, values, is_right } if (self.batched)(*sequence).is_none() => {
                let (sequence, is_right) = (*sequence, *is_right);
                let rank = self.graph.arena().nodes[sequence.key].shape.rank();
                let searched = |values| Op::Ordered(Ordered::SearchSorted { sequence, values, is_right });
                // One for all values, whatever their shape, or one for each row of them.
                return if rank > 1 {
                    self.side_by_side(*values, rank - 1, node, searched)
                } else {
                    self.lifted(*values)
                        .raw()
                        .map_or(Expr::poisoned(self.graph), |values| self.insert(searched(values), None))
                };
            }
            Ordered::SearchSorted { sequence, values, .. } => {
                // One sequence for all values is one for each row of them.
                let shape = self.graph.arena().nodes[sequence.key].shape.clone();
                let rows = node.shape.rank().max(1);
                let (lifted, values_lifted) = (self.aligned(self.lifted(*sequence), rows), self.lifted(*values));
                let mut rows_of = self.shape(&node.shape);
                if node.shape.rank() > 0 {
                    rows_of = rows_of.with_extent(node.shape.rank(), shape[shape.rank() - 1]);
                } else {
                    rows_of = Shape::from([self.batch, shape[0]]);
                }
                let repeated = lifted.broadcast_node(&rows_of, self.origin);
                // A value without axes is a row of one.
                let column = Shape::from([self.batch, 1]);
                let is_scalar = node.shape.rank() == 0;
                let searched = if is_scalar { values_lifted.reshape_node(&column, self.origin) } else { values_lifted };
                let (Some(new_sequence), Some(new_values)) = (repeated.raw(), searched.raw()) else {
                    return Expr::poisoned(self.graph);
                };
                *sequence = new_sequence;
                *values = new_values;
                let result = self.insert(Op::Ordered(ordered), None);
                let whole = self.shape(&node.shape);
                return if is_scalar { result.reshape_node(&whole, self.origin) } else { result };
            }
        }
        self.over(&Op::Ordered(ordered), node)
    }

    /// The op over operands that all have the batch's axis.
    fn over(&self, op: &Op, node: &Node) -> Expr<'g> {
        let mut poisoned = false;
        let op = op.map_operands(|operand| match self.lifted(operand).raw() {
            Some(lifted) => lifted,
            None => {
                poisoned = true;
                operand
            }
        });
        if poisoned { Expr::poisoned(self.graph) } else { self.insert(op, Some(node)) }
    }

    /// The matrix product `[batch, .., m, k] x [batch, .., k, n]`. An operand that the batch shares is not repeated: it
    /// broadcasts, or, where it is the plain right matrix of `[m, k] x [k, n]`, serves all rows as one matrix.
    fn matmul(&self, lhs: NodeId, rhs: NodeId, transpose_lhs: bool, transpose_rhs: bool, node: &Node) -> Expr<'g> {
        let shape_of = |id: NodeId| self.graph.arena().nodes[id.key].shape.clone();
        let (lhs_shape, rhs_shape) = (shape_of(lhs), shape_of(rhs));
        let shared = |id: NodeId| Expr::from_id(self.graph, id);
        if let (Some(rows), None) = ((self.batched)(lhs), (self.batched)(rhs))
            && lhs_shape.rank() == 2
            && rhs_shape.rank() == 2
            && !transpose_lhs
        {
            let (m, k) = matrix(&lhs_shape, false);
            let stacked = rows.reshape_node(&Shape::from([self.batch.saturating_mul(m), k]), self.origin);
            let product = stacked.matmul_node(shared(rhs), false, transpose_rhs, self.origin);
            return product.reshape_node(&self.shape(&node.shape), self.origin);
        }
        let rank = batch_shape(&lhs_shape).rank().max(batch_shape(&rhs_shape).rank()) + 2;
        let operand = |id: NodeId| match (self.batched)(id) {
            Some(batched) => self.aligned(batched, rank),
            None => shared(id),
        };
        operand(lhs).matmul_node(operand(rhs), transpose_lhs, transpose_rhs, self.origin)
    }

    /// The convolution for the whole batch: a batched input is a longer batch, a batched weight more features, and where both are,
    /// each is a group of its own.
    fn convolution(&self, input: NodeId, weight: NodeId, axes: &[ConvolutionAxis], node: &Node) -> Expr<'g> {
        let shape_of = |id: NodeId| self.graph.arena().nodes[id.key].shape.clone();
        let shared = |id: NodeId| Expr::from_id(self.graph, id);
        let (x, w) = (shape_of(input), shape_of(weight));
        // The result is `[n, groups, features, ..]`.
        let (input, weight, axis) = match ((self.batched)(input), (self.batched)(weight)) {
            (Some(batched), None) => (self.joined(batched, &x, 0), shared(weight), 0),
            (None, Some(batched)) => (shared(input), self.joined(batched, &w, 1), 2),
            (Some(_), Some(_)) | (None, None) => {
                (self.joined(self.lifted(input), &x, 1), self.joined(self.lifted(weight), &w, 0), 1)
            }
        };
        self.parted(input.convolution_node(weight, axes.into(), self.origin), &node.shape, axis)
    }

    /// The batched form of a node, repeated for the whole batch if it is shared.
    fn lifted(&self, id: NodeId) -> Expr<'g> {
        (self.batched)(id).unwrap_or_else(|| {
            let shape = self.shape(&self.graph.arena().nodes[id.key].shape.clone());
            Expr::from_id(self.graph, id).broadcast_node(&shape, self.origin)
        })
    }

    /// A batched expression with axes of extent 1 behind the batch's, until it has `rank` beside that one.
    fn aligned(&self, batched: Expr<'g>, rank: usize) -> Expr<'g> {
        let Some(shape) = batched.read("broadcast", self.origin, |_, node| node.shape.clone()) else { return batched };
        let missing = (rank + 1).saturating_sub(shape.rank());
        let ones = std::iter::repeat_n(1, missing);
        let shape = std::iter::once(self.batch).chain(ones).chain(shape.iter().skip(1).copied()).collect();
        batched.reshape_node(&shape, self.origin)
    }

    fn shape(&self, shape: &Shape) -> Shape {
        std::iter::once(self.batch).chain(shape.iter().copied()).collect()
    }

    /// Inserts a node that requires nothing of its indices yet: what the node did that it is the batched form of comes along.
    fn insert(&self, op: Op, node: Option<&Node>) -> Expr<'g> {
        let shape = node.map(|node| self.shape(&node.shape));
        let result = self.graph.insert_unrequired(op, shape.as_ref(), node.map(|node| node.dtype), self.origin);
        self.graph.finish(result)
    }
}

/// The numbers of each axis, behind that of the batch's axis.
fn behind(first: usize, numbers: &Extents) -> Extents {
    std::iter::once(first).chain(numbers.iter().copied()).collect()
}
