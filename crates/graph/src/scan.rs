//! Loops over sequences: a body of expressions, applied to one element after the other (`jax.lax.scan`).
//!
//! A loop costs as many nodes as its body, and its plan as many steps, however long the sequence is. Its derivatives are loops too. The
//! body is built over placeholders in the caller's graph and then cut out of it, so it may use any expression of that graph: what does not
//! depend on carry or element is computed once, outside, and captured.
//!
//! What this does not know: how a loop is differentiated (`autodiff/scan.rs`), and what of its body is better done for all
//! steps at once (`passes/loops.rs`).

use std::sync::Arc;

use crate::arena::{Graph, Role};
use crate::autodiff::scan::Loop;
use crate::body::{Body, Cut, ScanResult};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, NodeKey, Origin};
use crate::op::{Leaf, Op};
use slotmap::Key;

/// How a loop goes over its sequences. [`Default`] is from the first element to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// From the last element to the first. What is stacked stands in the order of the sequences all the same.
    pub reverse: bool,
    /// How many steps there are: the extent of the sequences, or where there are none, what is wanted.
    pub length: Option<usize>,
}

/// The results of a loop.
#[derive(Clone, Debug)]
#[must_use = "what is dropped is not computed"]
pub struct Scanned<'g> {
    /// The last value of each carry.
    pub carries: Vec<Expr<'g>>,
    /// What the body gave in each step, `[steps, ..]`.
    pub outputs: Vec<Expr<'g>>,
}

/// Why there is no loop.
enum Mistake<E> {
    /// What the loop is given, or the body of it.
    OfLoop(GraphError),
    /// What the body says itself.
    OfBody(E),
}

impl<E> From<GraphError> for Mistake<E> {
    fn from(error: GraphError) -> Self {
        Mistake::OfLoop(error)
    }
}

impl Graph {
    /// Applies `body` to the elements of `sequences` along their first axes, one after the other: `jax.lax.scan`.
    ///
    /// `body(carries, elements)` gives the next carries, of the shapes and dtypes of these, and outputs. The first carries are `initial`.
    /// The results are the last carries, and each output stacked along a new first axis. A sequence of shape `[steps, ..]` has elements of shape `[..]`; without
    /// elements the initial carries come back, and stacks of extent 0. The body may use other expressions of the graph, weights among them, and
    /// layers: what it declares is declared once, for all steps. Indices that are elements of a sequence are not checked on the host: one
    /// out of range gives NaN. An input of indices that the body uses as it is, the same in each step, is checked at each run. Handles of what
    /// depends on carries or elements, and of views and constants that the body made, are stale afterwards. By what stood before there are derivatives, whatever it is.
    ///
    /// The plan of a loop has as many steps for two elements as for a million. Both modes of differentiation give loops, which can be
    /// differentiated again; reverse mode keeps of each step what it needs. What of the body no carry goes into, or no next carry
    /// comes out of, is computed for all steps at once, as far as each tensor then takes no more than 4 MiB or four times the memory of
    /// the loop's operands and results together: so a loop over chunks, whose steps have something large between their inputs and
    /// outputs, holds that for one step at a time.
    ///
    /// Errors: sequences of different extents, without axes, or none and no length given; another number of next carries than of
    /// carries, a shape or dtype that differs; an expression of another graph; a state that the body updates, or a draw without a seed and a
    /// step of its own; a body that rewinds the graph to before the loop, or removes what the loop is made of. Nothing is left in the
    /// graph then.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (x, w) = (g.input("x", [10, 3]), g.input("w", [3]));
    /// let running = g.scan(&[g.zeros([3], arenagrad_graph::DType::F32)], &[x], |carries, elements| {
    ///     let sum = (carries[0] * w + elements[0]).tanh();
    ///     (vec![sum], vec![sum])
    /// })?;
    /// assert_eq!(running.outputs[0].shape()?.dims(), &[10, 3]);
    /// assert_eq!(running.carries[0].shape()?.dims(), &[3]);
    /// let [dw] = running.carries[0].sum(..).grad([w])?;
    /// # let _ = dw;
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn scan<'g>(
        &'g self,
        initial: &[Expr<'g>],
        sequences: &[Expr<'g>],
        body: impl FnOnce(&[Expr<'g>], &[Expr<'g>]) -> (Vec<Expr<'g>>, Vec<Expr<'g>>),
    ) -> Result<Scanned<'g>, GraphError> {
        self.scan_with(ScanOptions::default(), initial, sequences, body)
    }

    /// [`Graph::scan`] with options: `reverse` goes from the last element to the first, `length` says how many steps a loop without
    /// sequences has.
    ///
    /// ```
    /// use arenagrad_graph::{DType, Graph, ScanOptions};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", []);
    /// let options = ScanOptions { length: Some(20), ..ScanOptions::default() };
    /// let root = g.scan_with(options, &[x], &[], |y, _| (vec![(y[0] + x / y[0]) * 0.5], vec![]))?;
    /// assert_eq!(root.carries[0].shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn scan_with<'g>(
        &'g self,
        options: ScanOptions,
        initial: &[Expr<'g>],
        sequences: &[Expr<'g>],
        body: impl FnOnce(&[Expr<'g>], &[Expr<'g>]) -> (Vec<Expr<'g>>, Vec<Expr<'g>>),
    ) -> Result<Scanned<'g>, GraphError> {
        let body = |carries: &[Expr<'g>], elements: &[Expr<'g>]| Ok::<_, GraphError>(body(carries, elements));
        self.try_scan(options, initial, sequences, body)
    }

    /// [`Graph::scan_with`] for a body that may fail, as one does that takes gradients or loops itself: its error is that of the loop, and nothing is left in the
    /// graph.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, GraphError, ScanOptions};
    ///
    /// let g = Graph::new();
    /// let (start, rate) = (g.input("start", [3]), g.input("rate", []));
    /// let options = ScanOptions { length: Some(10), ..ScanOptions::default() };
    /// // Ten steps downhill, in each of which the body differentiates.
    /// let descended = g.try_scan(options, &[start], &[], |carries, _| {
    ///     let x = carries[0];
    ///     let loss = (x.square() - 2.0).square().sum(..);
    ///     let [slope] = loss.grad([x])?;
    ///     Ok::<_, GraphError>((vec![x - rate * slope], vec![loss]))
    /// })?;
    /// assert_eq!(descended.outputs[0].shape()?.dims(), &[10]);
    /// # Ok::<(), GraphError>(())
    /// ```
    #[track_caller]
    pub fn try_scan<'g, E: From<GraphError>>(
        &'g self,
        options: ScanOptions,
        initial: &[Expr<'g>],
        sequences: &[Expr<'g>],
        body: impl FnOnce(&[Expr<'g>], &[Expr<'g>]) -> Result<(Vec<Expr<'g>>, Vec<Expr<'g>>), E>,
    ) -> Result<Scanned<'g>, E> {
        let origin = self.origin_or(Origin::here());
        self.check()?;
        let result = self.attempt(|| self.scan_at(options, initial, sequences, body, origin));
        result.map_err(|error| match error {
            Mistake::OfLoop(error) => self.in_method(error).into(),
            Mistake::OfBody(error) => error,
        })
    }

    fn scan_at<'g, E>(
        &'g self,
        options: ScanOptions,
        initial: &[Expr<'g>],
        sequences: &[Expr<'g>],
        body: impl FnOnce(&[Expr<'g>], &[Expr<'g>]) -> Result<(Vec<Expr<'g>>, Vec<Expr<'g>>), E>,
        origin: Origin,
    ) -> Result<Scanned<'g>, Mistake<E>> {
        let initial_ids = self.own(initial, origin)?;
        let sequence_ids = self.own(sequences, origin)?;
        let length = self.steps(options, &sequence_ids, origin)?;
        // The body may rewind the graph, but not what the loop is made of.
        let start = self.mark();
        let (first, once) = {
            let arena = self.arena();
            (arena.next_ordinal() as usize, (arena.updates.len(), arena.draws))
        };
        let mut carries: Vec<Expr<'g>> = Vec::with_capacity(initial.len());
        let mut elements: Vec<Expr<'g>> = Vec::with_capacity(sequences.len());
        for (number, id) in initial_ids.iter().enumerate() {
            let node = self.node(*id)?;
            carries.push(self.standing_for(Role::Carry(number), (&node.shape, node.dtype), origin)?.1);
        }
        for (number, id) in sequence_ids.iter().enumerate() {
            let node = self.node(*id)?;
            let shape = node.shape.iter().skip(1).copied().collect();
            elements.push(self.standing_for(Role::Element(number), (&shape, node.dtype), origin)?.1);
        }
        let (next, outputs) = body(&carries, &elements).map_err(Mistake::OfBody)?;
        self.check()?;
        self.at(origin, || self.require_mark(start, "scan"))?;
        let (updates, draws) = {
            let arena = self.arena();
            (arena.updates.len(), arena.draws)
        };
        for (is_done, what, instead) in [
            (updates > once.0, "updates a state", "do it outside and use the result inside"),
            (
                draws > once.1,
                "draws random numbers without a seed and a step of its own",
                "carry a counter and pass it as the step, or draw outside and take the numbers as a sequence",
            ),
        ] {
            if is_done {
                return Err(GraphError::OnceInside { origin, op: "scan", what, instead }.into());
            }
        }
        let (next, outputs) = (self.own(&next, origin)?, self.own(&outputs, origin)?);
        let (carries, elements) = (self.own(&carries, origin)?, self.own(&elements, origin)?);
        self.check_next(&carries, &next, origin)?;

        let wanted: Vec<NodeId> = next.iter().chain(&outputs).copied().collect();
        let is_inside = self.depending(first);
        let (captured, belonging) = self.captured(&wanted, first, &is_inside);
        let cut = Cut {
            carries: &carries,
            elements: &elements,
            captured: &captured,
            next: &next,
            stacked: &outputs,
            length,
            reverse: options.reverse,
        };
        let (body, places) = Body::cut(self, &cut)?;
        self.forget(first, &is_inside, &belonging);
        let operands: Vec<NodeId> = [initial_ids, sequence_ids, captured].concat();
        let place = Loop { graph: self, body: &Arc::new(body), operands: &operands, origin };
        let finals = (0..next.len() as u32).map(ScanResult::Final);
        let of = |result| Ok(Expr::from_id(self, place.result(result)?));
        Ok(Scanned {
            carries: finals.map(of).collect::<Result<_, GraphError>>()?,
            outputs: places.into_iter().map(ScanResult::Stacked).map(of).collect::<Result<_, GraphError>>()?,
        })
    }

    /// The ids of expressions that must be alive and of this graph.
    fn own(&self, expressions: &[Expr<'_>], origin: Origin) -> Result<Vec<NodeId>, GraphError> {
        expressions.iter().map(|expr| expr.id_in(self, "scan", origin)).collect()
    }

    /// How many steps a loop over these sequences has.
    fn steps(&self, options: ScanOptions, sequences: &[NodeId], origin: Origin) -> Result<usize, GraphError> {
        let (arena, op) = (self.arena(), "scan");
        let mut first: Option<(NodeId, usize)> = None;
        for &id in sequences {
            let shape = &arena.nodes[id.key].shape;
            let Some(&extent) = shape.first() else {
                let (operand, expected) = (arena.describe(id), String::from("at least rank 1"));
                return Err(GraphError::Rank { origin, op, operand, shape: shape.clone(), rank: 0, expected });
            };
            if let Some(length) = options.length.filter(|&length| length != extent) {
                let (what, expected) = ("the length", "the extent of the sequences' first axis");
                return Err(GraphError::Argument { origin, op, what, value: length as f64, expected });
            }
            match first {
                Some((other, left)) if left != extent => {
                    let (lhs, lhs_shape) = (arena.describe(other), arena.nodes[other.key].shape.clone());
                    let (rhs, rhs_shape) = (arena.describe(id), shape.clone());
                    let (axis, right) = (0, extent);
                    return Err(GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right });
                }
                Some(_) => {}
                None => first = Some((id, extent)),
            }
        }
        let length = first.map(|(_, extent)| extent).or(options.length);
        length.ok_or(GraphError::NoLength { origin, op })
    }

    /// Whether the next carries are of the shapes and dtypes of the carries.
    fn check_next(&self, carries: &[NodeId], next: &[NodeId], origin: Origin) -> Result<(), GraphError> {
        let (arena, op) = (self.arena(), "scan");
        if next.len() != carries.len() {
            return Err(GraphError::CarryCount { origin, op, carries: carries.len(), next: next.len() });
        }
        for (number, (carry, next)) in carries.iter().zip(next).enumerate() {
            let (old, new) = (&arena.nodes[carry.key], &arena.nodes[next.key]);
            let names = || (format!("carry {number}"), format!("its next value {}", arena.describe(*next)));
            if old.shape != new.shape {
                let ((lhs, rhs), lhs_shape, rhs_shape) = (names(), old.shape.clone(), new.shape.clone());
                return Err(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
            if old.dtype != new.dtype {
                let ((lhs, rhs), left, right) = (names(), old.dtype, new.dtype);
                return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
            }
        }
        Ok(())
    }

    /// For each ordinal from `first` on whether the node is a placeholder, or depends on one from there on.
    fn depending(&self, first: usize) -> Vec<bool> {
        let arena = self.arena();
        let mut depends = vec![false; arena.order.len() - first];
        for key in arena.alive(first..) {
            let node = &arena.nodes[key];
            let mut found = matches!(node.op, Op::Leaf(Leaf::Placeholder));
            node.op.for_each_operand(|operand| {
                let ordinal = arena.nodes[operand.key].ordinal as usize;
                found |= ordinal.checked_sub(first).is_some_and(|place| depends[place]);
            });
            depends[node.ordinal as usize - first] = found;
        }
        depends
    }

    /// What the body uses and what does not depend on its inputs, in the order of first use. Constants, coordinates and views that
    /// were made with the body belong to it. Those that were there before are captured as everything else is, for somebody
    /// may differentiate by them; a plan takes them into the body ([`crate::passes`]), where they cost nothing. Behind what is captured: what belongs to the
    /// body of that.
    fn captured(&self, wanted: &[NodeId], first: usize, is_inside: &[bool]) -> (Vec<NodeId>, Vec<NodeId>) {
        let arena = self.arena();
        let (mut captured, mut belonging) = (Vec::new(), Vec::new());
        self.with_places(|seen| {
            let mut waiting: Vec<NodeId> = wanted.iter().rev().copied().collect();
            while let Some(id) = waiting.pop() {
                let node = &arena.nodes[id.key];
                if !seen.insert(node.ordinal, 0) {
                    continue;
                }
                let place = (node.ordinal as usize).checked_sub(first);
                let is_inside = place.is_some_and(|place| is_inside[place]);
                let belongs = place.is_some() && node.op.costs_nothing();
                if !is_inside && !belongs {
                    captured.push(id);
                    continue;
                }
                if !is_inside {
                    belonging.push(id);
                }
                node.op.operands().into_iter().rev().for_each(|operand| waiting.push(operand));
            }
        });
        (captured, belonging)
    }

    /// Takes the nodes out of which a body was cut out of the graph, and of what belongs to it whatever nothing else uses: a derivative by what was
    /// copied into the body would be 0.
    fn forget(&self, first: usize, is_inside: &[bool], belonging: &[NodeId]) {
        let mut arena = self.arena_mut();
        for place in (0..is_inside.len()).rev().filter(|&place| is_inside[place]) {
            let key = std::mem::replace(&mut arena.order[first + place], NodeKey::null());
            arena.discard(key);
        }
        let mut places: Vec<usize> = belonging.iter().map(|id| arena.nodes[id.key].ordinal as usize).collect();
        // Operands stand before their users.
        places.sort_unstable_by(|left, right| right.cmp(left));
        for place in places {
            let key = arena.order[place];
            if arena.nodes[key].users == 0 {
                arena.order[place] = NodeKey::null();
                arena.discard(key);
            }
        }
    }
}
