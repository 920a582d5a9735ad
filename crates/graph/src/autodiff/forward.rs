//! Forward mode: one sweep from the differentiated nodes to the outputs, in insertion order.
//!
//! Every node on a way from an input to an output gets a tangent, the directional derivative of its value, by its op's
//! Jacobian-vector product in [`crate::ops`]. A tangent of zero is no node: what does not depend on an input costs nothing.
//! The sweep is iterative, over tables indexed by ordinal.

use crate::arena::Graph;
use crate::autodiff::WithRespectTo;
use crate::autodiff::scan::{Groups, Loop};
use crate::autodiff::span::Span;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::Op;
use crate::ops::{self, Pushed};

impl Graph {
    /// The Jacobian-vector product: for each of `outputs` the tangent `sum over i of J_i tangents[i]`, with `J_i` the
    /// Jacobian of the output with respect to `wrt[i]`, as new nodes of this graph. A tangent has the shape and dtype of what
    /// it belongs to. An output that depends on nothing in `wrt` has the tangent zero.
    ///
    /// This costs about as much as computing the outputs, however many elements they have; reverse mode
    /// ([`Graph::gradients`]) costs as much however many elements `wrt` has.
    ///
    /// Errors: a poisoned or foreign expression, another number of tangents than of `wrt`, a shape or dtype that differs,
    /// and anything that is not a float.
    #[track_caller]
    pub fn jvp<'g>(
        &'g self,
        outputs: &[Expr<'g>],
        wrt: &[Expr<'g>],
        tangents: &[Expr<'g>],
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter_derivatives("jvp");
        let (origin, op) = (method.origin(), method.name());
        self.check()?;
        if wrt.len() != tangents.len() {
            let (inputs, tangents) = (wrt.len(), tangents.len());
            return Err(GraphError::TangentCount { origin, op, inputs, tangents });
        }
        let mut targets = Vec::with_capacity(outputs.len());
        for output in outputs {
            targets.push(self.float_node(*output, op, origin)?.0);
        }
        let mut seeds = Vec::with_capacity(wrt.len());
        for (input, tangent) in wrt.iter().zip(tangents) {
            let what = ["the input", "its tangent"];
            seeds.push((self.matching_node(*input, *tangent, what, op, origin)?, *tangent));
        }
        self.attempt(|| {
            let restored = self.set_origin(None);
            let result = self.push_forward(&targets, &seeds, origin);
            self.set_origin(restored);
            Ok(result)
        })
    }

    fn push_forward<'g>(&'g self, targets: &[NodeId], seeds: &[(NodeId, Expr<'g>)], origin: Origin) -> Vec<Expr<'g>> {
        let inputs: Vec<NodeId> = seeds.iter().map(|(id, _)| *id).collect();
        let span = Span::between(self, &inputs, targets);
        let on_the_way = span.differentiable_way(self, &inputs, targets);
        let mut tangents: Vec<Option<Expr<'g>>> = vec![None; span.len()];
        for (id, tangent) in seeds {
            if let Some(place) = span.place(self, *id) {
                add(&mut tangents[place], *tangent);
            }
        }
        let loops = Groups::find(self, &span, &on_the_way);
        for &id in span.nodes() {
            let (op, shape, place, node_origin) = {
                let arena = self.arena();
                let node = &arena.nodes[id.key];
                let Some(place) = span.place_of(node.ordinal).filter(|&place| on_the_way[place]) else { continue };
                (node.op.clone(), node.shape.clone(), place, node.origin)
            };
            self.set_origin(Some(node_origin));
            let tangent = |operand: NodeId| span.place(self, operand).and_then(|place| tangents[place]);
            if let Op::Scan { body, operands, .. } = &op {
                // All results of a loop have their tangents from one loop, which is built at the first of them.
                let members = loops.members(place);
                let results: Vec<_> = members.iter().map(|(_, result)| *result).collect();
                let derived = Loop { graph: self, body, operands, origin: node_origin };
                let derived = if members.is_empty() { Ok(Vec::new()) } else { derived.jvp(&results, &tangent) };
                match derived {
                    Ok(derived) => {
                        for ((place, _), pushed) in members.iter().zip(derived) {
                            if let Some(pushed) = pushed {
                                add(&mut tangents[*place], pushed);
                            }
                        }
                    }
                    Err(error) => {
                        let _poisoned = self.finish(Err(error));
                    }
                }
                continue;
            }
            let output = Expr::from_id(self, id);
            let node = Pushed { output, shape: &shape, origin: node_origin, tangent: &tangent };
            // An input that depends on another has both tangents: its own, and what reaches it.
            if let Some(pushed) = ops::jvp(&op, &node) {
                add(&mut tangents[place], pushed);
            }
        }
        self.set_origin(Some(origin));
        targets
            .iter()
            .map(|id| {
                let tangent = span.place(self, *id).and_then(|place| tangents[place]);
                tangent.unwrap_or_else(|| {
                    let (shape, dtype) = {
                        let arena = self.arena();
                        let node = &arena.nodes[id.key];
                        (node.shape.clone(), node.dtype)
                    };
                    self.zeros(shape, dtype)
                })
            })
            .collect()
    }
}

impl<'g> Expr<'g> {
    /// The directional derivative of this expression, of its shape: `sum over i of J_i tangents[i]`, with `J_i` the Jacobian
    /// with respect to `wrt[i]`. See [`Graph::jvp`].
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, v) = (g.input("x", [3]), g.input("v", [3]));
    /// let y = x * x;
    /// let dy = y.jvp([x], [v])?; // 2 x v
    /// assert_eq!(dy.shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn jvp<W: WithRespectTo<'g>>(self, wrt: W, tangents: W) -> Result<Expr<'g>, GraphError> {
        let _method = self.enter_derivatives("jvp");
        let tangents = self.graph().jvp(&[self], wrt.expressions(), tangents.expressions())?;
        Ok(tangents.first().copied().unwrap_or(self))
    }
}

fn add<'g>(sum: &mut Option<Expr<'g>>, part: Expr<'g>) {
    *sum = Some(sum.map_or(part, |earlier| earlier + part));
}
