//! Reverse mode: one sweep from the outputs back to what they depend on, in descending insertion order.
//!
//! Every node on a way from a wanted node to an output receives the sum of what its users pass back (fan-out accumulates), and
//! passes its own share on by its op's rule in [`crate::ops`]. A view of a part passes its gradient straight to the node that
//! it shows a part of, and a gather to what it gathered from, where all such shares are put together at once: see
//! [`crate::autodiff::shares`]. What is written again for each part is one node there: see [`crate::autodiff::repeated`]. Nodes that
//! lead to no wanted node are not visited, so a gradient that nobody asked for is never built. The sweep is iterative, over tables indexed by ordinal.

use crate::arena::Graph;
use crate::autodiff::WithRespectTo;
use crate::autodiff::repeated;
use crate::autodiff::scan::{Groups, Loop};
use crate::autodiff::shares::Shares;
use crate::autodiff::shares::view::View;
use crate::autodiff::span::Span;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Indexing, Op};
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
        let method = self.enter_derivatives("gradients");
        let origin = method.origin();
        let reached = self.at(origin, || self.gradients_where_reached(outputs, upstreams, wrt))?;
        let or_zero = |(gradient, wrt): (Option<Expr<'g>>, &Expr<'g>)| match gradient {
            Some(gradient) => Ok(gradient),
            None => {
                let (shape, dtype) = (wrt.shape()?, wrt.dtype()?);
                Ok(self.at(origin, || self.zeros(shape, dtype)))
            }
        };
        let gradients = reached.into_iter().zip(wrt).map(or_zero).collect::<Result<Vec<_>, GraphError>>()?;
        self.check()?;
        Ok(gradients)
    }

    /// As [`Graph::gradients`], with `None` for what no gradient reaches: no way leads there from the outputs through
    /// floats whose derivatives are heeded. Behind `stop_gradient`, a comparison or a cast to integers there is none. A
    /// derivative that happens to be zero, such as that of `floor`, is a gradient all the same.
    ///
    /// Optimisers need the difference: weight decay shrinks a parameter whose gradient is zero, and leaves one alone that
    /// has none.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (a, b) = (g.input("a", []), g.input("b", []));
    /// let y = a * b.stop_gradient();
    /// let gradients = g.gradients_where_reached(&[y], &[g.scalar(1.0)], &[a, b])?;
    /// assert!(gradients[0].is_some() && gradients[1].is_none());
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn gradients_where_reached<'g>(
        &'g self,
        outputs: &[Expr<'g>],
        upstreams: &[Expr<'g>],
        wrt: &[Expr<'g>],
    ) -> Result<Vec<Option<Expr<'g>>>, GraphError> {
        let method = self.enter_derivatives("gradients_where_reached");
        let origin = method.origin();
        self.at(origin, || self.gradients_by_source(outputs, upstreams, wrt, &mut |_, _| {}))
    }

    /// As [`Graph::gradients_where_reached`], and calls `source` with a node before anything is built that the node passes back: its
    /// derivatives are the nodes from that ordinal on, up to the one of the next call. So a caller knows of each node of a backward pass
    /// which one of the forward pass it belongs to.
    #[track_caller]
    pub fn gradients_by_source<'g>(
        &'g self,
        outputs: &[Expr<'g>],
        upstreams: &[Expr<'g>],
        wrt: &[Expr<'g>],
        source: &mut dyn FnMut(usize, NodeId),
    ) -> Result<Vec<Option<Expr<'g>>>, GraphError> {
        let method = self.enter_derivatives("gradients_by_source");
        let (origin, op) = (method.origin(), method.name());
        self.check()?;
        if outputs.len() != upstreams.len() {
            let (outputs, upstreams) = (outputs.len(), upstreams.len());
            return Err(GraphError::UpstreamCount { origin, op, outputs, upstreams });
        }
        let wanted = wrt.iter().map(|x| self.float_node(*x, op, origin)).collect::<Result<Vec<_>, _>>()?;
        let mut seeds = Vec::with_capacity(outputs.len());
        for (output, upstream) in outputs.iter().zip(upstreams) {
            let what = ["the output", "its upstream gradient"];
            seeds.push((self.matching_node(*output, *upstream, what, op, origin)?, *upstream));
        }
        self.attempt(|| {
            let restored = self.set_origin(None);
            let result = self.sweep(&seeds, &wanted, origin, source);
            self.set_origin(restored);
            Ok(result)
        })
    }

    fn sweep<'g>(
        &'g self,
        seeds: &[(NodeId, Expr<'g>)],
        wanted: &[(NodeId, Shape, u32)],
        origin: Origin,
        source: &mut dyn FnMut(usize, NodeId),
    ) -> Vec<Option<Expr<'g>>> {
        let inputs: Vec<NodeId> = wanted.iter().map(|(id, ..)| *id).collect();
        let outputs: Vec<NodeId> = seeds.iter().map(|(id, _)| *id).collect();
        let span = Span::between(self, &inputs, &outputs);
        let on_the_way = span.differentiable_way(self, &inputs, &outputs);

        let views = self.views(&span, &inputs, &on_the_way);
        let firsts = repeated::firsts(self, &span, &inputs, &on_the_way);
        // Where a node's gradients are added up.
        let receiver = |id: NodeId| {
            let place = span.place(self, id)?;
            Some(firsts.as_ref().map_or(place, |firsts| firsts[place]))
        };
        let mut loops = Groups::find(self, &span, &on_the_way);
        let mut shares: Vec<Shares<'g>> = (0..span.len()).map(|_| Shares::default()).collect();
        for (id, upstream) in seeds {
            if let Some(place) = receiver(*id) {
                shares[place].add(*upstream);
            }
        }
        for &id in span.nodes().iter().rev() {
            let (op, shape, dtype, place, node_origin) = {
                let arena = self.arena();
                let node = &arena.nodes[id.key];
                let Some(place) = span.place_of(node.ordinal) else { continue };
                if !on_the_way[place] || (shares[place].is_empty() && !loops.is_reached(place)) {
                    continue;
                }
                (node.op.clone(), node.shape.clone(), node.dtype, place, node.origin)
            };
            self.set_origin(Some(node_origin));
            source(self.ordinal_bound(), id);
            let wants = |operand: NodeId| span.place(self, operand).is_some_and(|place| on_the_way[place]);
            if let Op::Scan { body, operands, result } = &op {
                if let Some(upstream) = shares[place].total(self, &shape, dtype, node_origin) {
                    loops.add(place, *result, upstream);
                }
                let Some(reached) = loops.take(place) else { continue };
                let derived = Loop { graph: self, body, operands, origin: node_origin };
                let derived = derived.vjp(&reached, &wants, &mut |operand, gradient| {
                    if let Some(place) = receiver(operand) {
                        shares[place].add(gradient);
                    }
                });
                if let Err(error) = derived {
                    let _poisoned = self.finish(Err(error));
                }
                continue;
            }
            let Some(upstream) = shares[place].total(self, &shape, dtype, node_origin) else { continue };
            if let Some(view) = views[place].as_ref().filter(|view| view.is_sliced) {
                if let Some(place) = receiver(view.node) {
                    shares[place].add_part(view, upstream, node_origin);
                }
                continue;
            }
            if let Op::Indexing(Indexing::Gather { operand, indices, axis }) = op {
                if let Some(place) = receiver(operand) {
                    shares[place].add_updates(indices, axis, upstream);
                }
                continue;
            }
            let output = Expr::from_id(self, id);
            let node = Differentiated { output, shape: &shape, upstream, origin: node_origin, wants: &wants };
            ops::vjp(&op, &node, &mut |operand, gradient| {
                if let Some(place) = receiver(operand) {
                    shares[place].add(gradient);
                }
            });
        }
        self.set_origin(Some(origin));
        wanted
            .iter()
            .map(|(id, shape, ordinal)| {
                let place = span.place_of(*ordinal).filter(|&place| on_the_way[place])?;
                let dtype = self.arena_dtype(*id);
                // A rule that has nothing to pass on, as of `floor`, stands for a derivative of zero.
                let gradient = shares[place].total(self, shape, dtype, origin);
                Some(gradient.unwrap_or_else(|| self.zeros(shape, dtype)))
            })
            .collect()
    }

    /// For each place what it is a view of, if it is a view: of the first node that is none, or that is wanted itself and so
    /// must receive all of its own gradient.
    fn views(&self, span: &Span, wanted: &[NodeId], leads_to_wanted: &[bool]) -> Vec<Option<Box<View>>> {
        let arena = self.arena();
        let mut is_wanted = vec![false; span.len()];
        let place = |id: NodeId| span.place_of(arena.nodes[id.key].ordinal);
        wanted.iter().filter_map(|id| place(*id)).for_each(|place| is_wanted[place] = true);
        let mut views: Vec<Option<Box<View>>> = vec![None; span.len()];
        for &id in span.nodes() {
            let node = &arena.nodes[id.key];
            let Op::View { operand, .. } = node.op else { continue };
            let (Some(own), Some(source)) = (place(id), place(operand)) else { continue };
            if !leads_to_wanted[own] || !leads_to_wanted[source] {
                continue;
            }
            let shown = &arena.nodes[operand.key];
            let view = match views[source].as_ref().filter(|_| !is_wanted[source]) {
                Some(view) => view.through(shown, node),
                None => View::of(operand, &shown.shape).through(shown, node),
            };
            views[own] = view.map(Box::new);
        }
        views
    }

    fn arena_dtype(&self, id: NodeId) -> DType {
        self.arena().nodes[id.key].dtype
    }
}

impl<'g> Expr<'g> {
    /// The gradients of this scalar with respect to each of `wrt`, as new nodes of the graph. They have the shapes of
    /// `wrt`; one that this does not depend on is zero. `wrt` is an expression, an array or a slice: see [`WithRespectTo`].
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
    pub fn grad<W: WithRespectTo<'g>>(self, wrt: W) -> Result<W::Gradients, GraphError> {
        let method = self.enter_derivatives("grad");
        let (origin, op) = (method.origin(), method.name());
        self.graph().check()?;
        let (_, shape, _) = self.graph().float_node(self, op, origin)?;
        if shape.elements() != 1 {
            return Err(GraphError::NotScalar { origin, op, operand: self.describe(), shape });
        }
        let dtype = self.dtype()?;
        let gradients = self.graph().attempt(|| {
            let one = self.graph().at(origin, || self.graph().ones(&shape, dtype));
            self.graph().at(origin, || self.graph().gradients(&[self], &[one], wrt.expressions()))
        })?;
        Ok(wrt.of_list(gradients))
    }

    /// The vector-Jacobian product: the gradients of `<upstream, self>` with respect to each of `wrt`, for an upstream
    /// gradient of this expression's shape.
    #[track_caller]
    pub fn vjp<W: WithRespectTo<'g>>(self, upstream: Expr<'g>, wrt: W) -> Result<W::Gradients, GraphError> {
        let _method = self.enter_derivatives("vjp");
        let gradients = self.graph().gradients(&[self], &[upstream], wrt.expressions())?;
        Ok(wrt.of_list(gradients))
    }
}
