//! Reverse mode: one sweep from the outputs back to what they depend on, in descending insertion order.
//!
//! Every node between a wanted node and an output receives the sum of what its users pass back (fan-out accumulates), and
//! passes its own share on by its op's rule in [`crate::ops`]. Nodes that lead to no wanted node are not visited, so a
//! gradient that nobody asked for is never built. The sweep is iterative, over tables indexed by ordinal.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::ops::{self, Differentiated};
use crate::shape::Shape;

impl Graph {
    /// The gradients of `sum over i of <upstreams[i], outputs[i]>` with respect to each of `wrt`, as new nodes of this
    /// graph. An upstream gradient has its output's shape and dtype. A node that the outputs do not depend on has the
    /// gradient zero.
    ///
    /// Errors: a poisoned or foreign expression, another number of upstreams than of outputs, a shape or dtype that
    /// differs, and anything in `outputs` or `wrt` that is not a float.
    #[track_caller]
    pub fn gradients<'g>(
        &'g self,
        outputs: &[Expr<'g>],
        upstreams: &[Expr<'g>],
        wrt: &[Expr<'g>],
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let origin = self.origin_or(Origin::here());
        let op = "gradient";
        self.check()?;
        if outputs.len() != upstreams.len() {
            let (outputs, upstreams) = (outputs.len(), upstreams.len());
            return Err(GraphError::UpstreamCount { origin, op, outputs, upstreams });
        }
        let wanted = wrt.iter().map(|x| self.float_node(*x, op, origin)).collect::<Result<Vec<_>, _>>()?;
        let mut seeds = Vec::with_capacity(outputs.len());
        for (output, upstream) in outputs.iter().zip(upstreams) {
            let (id, shape, _) = self.float_node(*output, op, origin)?;
            let (_, upstream_shape, _) = self.float_node(*upstream, op, origin)?;
            if shape != upstream_shape {
                return Err(GraphError::ShapesDiffer {
                    origin,
                    op,
                    lhs: format!("the output {}", output.describe()),
                    lhs_shape: shape,
                    rhs: format!("its upstream gradient {}", upstream.describe()),
                    rhs_shape: upstream_shape,
                });
            }
            let (left, right) = (output.dtype()?, upstream.dtype()?);
            if left != right {
                let (lhs, rhs) = (output.describe(), upstream.describe());
                return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
            }
            seeds.push((id, *upstream));
        }
        let restored = self.set_origin(None);
        let result = self.sweep(&seeds, &wanted, origin);
        self.set_origin(restored);
        self.check()?;
        Ok(result)
    }

    fn sweep<'g>(
        &'g self,
        seeds: &[(NodeId, Expr<'g>)],
        wanted: &[(NodeId, Shape, u32)],
        origin: Origin,
    ) -> Vec<Expr<'g>> {
        let (first, last) = {
            let arena = self.arena();
            let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal as usize;
            (
                wanted.iter().map(|(id, ..)| ordinal(id)).min().unwrap_or(0),
                seeds.iter().map(|(id, _)| ordinal(id)).max().unwrap_or(0),
            )
        };
        let span = (last + 1).saturating_sub(first);
        let nodes = self.nodes_between(first, last);
        let leads_to_wanted = self.leads_to(&nodes, wanted, first, span);

        let mut gradients: Vec<Option<Expr<'g>>> = vec![None; span];
        let place = |ordinal: u32| (ordinal as usize).checked_sub(first).filter(|&place| place < span);
        for (id, upstream) in seeds {
            let ordinal = self.arena().nodes[id.key].ordinal;
            if let Some(place) = place(ordinal) {
                accumulate(&mut gradients[place], *upstream);
            }
        }
        for &id in nodes.iter().rev() {
            let (op, shape, ordinal, node_origin) = {
                let arena = self.arena();
                let node = &arena.nodes[id.key];
                let Some(place) = place(node.ordinal) else { continue };
                if gradients[place].is_none() || !leads_to_wanted[place] {
                    continue;
                }
                (node.op.clone(), node.shape.clone(), place, node.origin)
            };
            let Some(upstream) = gradients[ordinal] else { continue };
            self.set_origin(Some(node_origin));
            let ordinal_of = |id: NodeId| self.arena().nodes[id.key].ordinal;
            let wants = |operand: NodeId| place(ordinal_of(operand)).is_some_and(|place| leads_to_wanted[place]);
            let output = Expr::from_id(self, id);
            let node = Differentiated { output, shape: &shape, upstream, origin: node_origin, wants: &wants };
            ops::vjp(&op, &node, &mut |operand, gradient| {
                if let Some(place) = place(ordinal_of(operand)) {
                    accumulate(&mut gradients[place], gradient);
                }
            });
        }
        self.set_origin(Some(origin));
        wanted
            .iter()
            .map(|(id, shape, ordinal)| {
                let gradient = place(*ordinal).and_then(|place| gradients[place]);
                gradient.unwrap_or_else(|| self.zeros(shape, self.arena_dtype(*id)))
            })
            .collect()
    }

    /// The live nodes with ordinals in `first..=last`, in insertion order.
    fn nodes_between(&self, first: usize, last: usize) -> Vec<NodeId> {
        let arena = self.arena();
        let start = arena.order.partition_point(|&key| (arena.nodes[key].ordinal as usize) < first);
        let end = arena.order.partition_point(|&key| (arena.nodes[key].ordinal as usize) <= last);
        arena.order[start.min(end)..end].iter().map(|&key| NodeId { key, graph: self.tag() }).collect()
    }

    /// For each ordinal of the span: whether the node is wanted, or differentiably depends on a wanted one.
    fn leads_to(&self, nodes: &[NodeId], wanted: &[(NodeId, Shape, u32)], first: usize, span: usize) -> Vec<bool> {
        let arena = self.arena();
        let mut leads = vec![false; span];
        for (_, _, ordinal) in wanted {
            if let Some(lead) = (*ordinal as usize).checked_sub(first).and_then(|place| leads.get_mut(place)) {
                *lead = true;
            }
        }
        for id in nodes {
            let node = &arena.nodes[id.key];
            let place = node.ordinal as usize - first;
            if leads[place] || !node.dtype.is_float() || matches!(node.op, crate::Op::StopGradient { .. }) {
                continue;
            }
            let mut found = false;
            node.op.for_each_operand(|operand| {
                let ordinal = arena.nodes[operand.key].ordinal as usize;
                found |= ordinal >= first && leads[ordinal - first];
            });
            leads[place] = found;
        }
        leads
    }

    fn arena_dtype(&self, id: NodeId) -> crate::DType {
        self.arena().nodes[id.key].dtype
    }

    /// The id, shape and ordinal of an expression that must be alive, of this graph, and a float.
    fn float_node(&self, expr: Expr<'_>, op: &'static str, origin: Origin) -> Result<(NodeId, Shape, u32), GraphError> {
        let id = expr.id()?;
        if expr.graph().tag() != self.tag() {
            return Err(GraphError::ForeignNode { origin, op });
        }
        let arena = self.arena();
        let node = &arena.nodes[id.key];
        if !node.dtype.is_float() {
            return Err(GraphError::NotDifferentiable { origin, op, operand: arena.describe(id), dtype: node.dtype });
        }
        Ok((id, node.shape.clone(), node.ordinal))
    }
}

impl<'g> Expr<'g> {
    /// The gradients of this scalar with respect to each of `wrt`, as new nodes of the graph. They have the shapes of
    /// `wrt`; one that this does not depend on is zero.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (a, b) = (g.input("a", []), g.input("b", []));
    /// let c = a + b;
    /// let d = c + a;
    /// let [da, db] = d.grad([a, b])?; // 2 and 1
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn grad<const N: usize>(self, wrt: [Expr<'g>; N]) -> Result<[Expr<'g>; N], GraphError> {
        let origin = self.graph().origin_or(Origin::here());
        let op = "gradient";
        self.graph().check()?;
        let (_, shape, _) = self.graph().float_node(self, op, origin)?;
        if shape.elements() != 1 {
            return Err(GraphError::NotScalar { origin, op, operand: self.describe(), shape });
        }
        let one = self.graph().ones(&shape, self.dtype()?);
        let gradients = self.graph().gradients(&[self], &[one], &wrt)?;
        let mut result = wrt;
        result.copy_from_slice(&gradients);
        Ok(result)
    }

    /// The vector-Jacobian product: the gradients of `<upstream, self>` with respect to each of `wrt`, for an upstream
    /// gradient of this expression's shape.
    #[track_caller]
    pub fn vjp<const N: usize>(self, upstream: Expr<'g>, wrt: [Expr<'g>; N]) -> Result<[Expr<'g>; N], GraphError> {
        let gradients = self.graph().gradients(&[self], &[upstream], &wrt)?;
        let mut result = wrt;
        result.copy_from_slice(&gradients);
        Ok(result)
    }
}

/// Adds a share of a gradient to what other users of the node passed back before.
fn accumulate<'g>(sum: &mut Option<Expr<'g>>, share: Expr<'g>) {
    *sum = Some(match *sum {
        Some(earlier) => earlier + share,
        None => share,
    });
}
