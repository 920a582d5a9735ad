//! Functions of several results with derivatives of their own.
//!
//! One node stands for all results that are floats: their elements one after the other, in the widest dtype among them. Its upstream gradient
//! is theirs in the same order, so a backward pass sees those of all results at once, whatever it does with them, and each result is a slice.
//! Slices of what is put together are simplified away, so nothing is copied that a kernel reads.

use std::cell::RefCell;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::{NodeId, Origin};
use crate::shape::Shape;

/// A function of several results whose gradient is written by hand: [`Function`] where `forward` returns a tuple in PyTorch's
/// `torch.autograd.Function`.
///
/// ```
/// use arenagrad_graph::{Context, Expr, Graph, MultiFunction};
///
/// /// `x` scaled to a length of 1, and its length.
/// struct Polar;
///
/// impl MultiFunction for Polar {
///     fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
///         let length = operands[0].square().sum(..).sqrt();
///         let direction = operands[0] / length;
///         context.save_for_backward(&[direction, length]);
///         vec![direction, length]
///     }
///
///     fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
///         let [direction, length] = context.saved() else { return Vec::new() };
///         let across = upstream[0] - *direction * (upstream[0] * *direction).sum(..);
///         vec![Some(across / *length + upstream[1] * *direction)]
///     }
/// }
///
/// let g = Graph::new();
/// let x = g.input("x", [3]);
/// let results = g.apply_multi(&Polar, &[x])?;
/// let [dx] = (results[0].max(..) * results[1]).grad([x])?;
/// assert_eq!(dx.shape()?.dims(), &[3]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
pub trait MultiFunction {
    /// What the function is called in errors and, on a tape, as the op that made its variables.
    fn name(&self) -> &'static str {
        "function"
    }

    /// The results, one of them a float at least, and what `context` shall keep for the backward pass.
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>>;

    /// The gradient of each operand, of its shape and dtype, given the upstream gradient of each result, of the result's shape and dtype: zeros
    /// for one that nothing depends on. Those of results that are no floats are zeros in f32. `None` says that no gradient flows into that operand.
    fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>>;
}

/// A function of several results as one of a single result, which holds the elements of all that are floats.
///
/// It is for one application: it knows the results of the last.
#[doc(hidden)]
#[derive(Debug)]
pub struct Packed<'f, F: ?Sized> {
    function: &'f F,
    results: RefCell<Vec<PackedResult>>,
}

/// A result, and where in the packed value it is.
#[derive(Clone, Debug)]
struct PackedResult {
    node: NodeId,
    shape: Shape,
    dtype: DType,
    /// None if it is no float, and no part of the value.
    start: Option<usize>,
}

impl Graph {
    /// `function` of `operands`: the results of its forward pass, whose derivatives are those of its backward pass, as
    /// [`Graph::apply`] has them for one result. Results that are no floats have no derivative.
    ///
    /// Errors, to the caller alone: no result that is a float; what [`Graph::apply`] reports.
    #[track_caller]
    pub fn apply_multi<'g>(
        &'g self,
        function: &dyn MultiFunction,
        operands: &[Expr<'g>],
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let origin = self.origin_or(Origin::here());
        self.check()?;
        let first = self.operation().first_ordinal();
        let results = self.attempt(|| {
            self.at(origin, || {
                let packed = Packed::new(function);
                let value = self.apply(&packed, operands).check()?;
                (0..packed.count()).map(|number| packed.result(value, number).check()).collect::<Result<Vec<_>, _>>()
            })
        })?;
        if self.method().is_none() {
            let ids = results.iter().filter_map(|result| result.raw());
            let keys: Vec<_> = ids.map(|id| id.key).collect();
            let mut arena = self.arena_mut();
            for key in keys {
                // What was there before has a name of its own.
                if arena.nodes.get(key).is_some_and(|node| node.ordinal >= first) {
                    arena.call(key, function.name());
                }
            }
        }
        Ok(results)
    }
}

impl<'f, F: MultiFunction + ?Sized> Packed<'f, F> {
    pub fn new(function: &'f F) -> Self {
        Packed { function, results: RefCell::default() }
    }

    /// How many results there are.
    pub fn count(&self) -> usize {
        self.results.borrow().len()
    }

    /// The node of a result that is no part of the value, if it is none.
    pub fn node_apart(&self, number: usize) -> Option<NodeId> {
        self.results.borrow().get(number).filter(|result| result.start.is_none()).map(|result| result.node)
    }

    /// The result of that number, the value of this function being `value`.
    pub fn result<'g>(&self, value: Expr<'g>, number: usize) -> Expr<'g> {
        let PackedResult { node, shape, dtype, start } = self.results.borrow()[number].clone();
        match start {
            Some(start) => value.slice(0, start, start.saturating_add(shape.elements())).reshape(shape).cast(dtype),
            None => value.graph().expr(node),
        }
    }
}

impl<F: MultiFunction + ?Sized> Function for Packed<'_, F> {
    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let graph = context.graph();
        let found = self.function.forward(context, operands);
        match self.pack(graph, &found) {
            Ok(value) => value,
            Err(error) => graph.finish(Err(error)),
        }
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let results = self.results.borrow();
        let of_result = |(number, result): (usize, &PackedResult)| match result.start {
            Some(_) => self.result(upstream, number),
            None => context.graph().zeros(&result.shape, DType::F32),
        };
        self.function.backward(context, &results.iter().enumerate().map(of_result).collect::<Vec<_>>())
    }
}

impl<F: MultiFunction + ?Sized> Packed<'_, F> {
    fn pack<'g>(&self, graph: &'g Graph, found: &[Expr<'g>]) -> Result<Expr<'g>, GraphError> {
        let origin = graph.origin_or(Origin::here());
        let mut results = Vec::with_capacity(found.len());
        let (mut floats, mut end) = (Vec::new(), 0usize);
        for result in found {
            let node = result.id_in(graph, "apply_multi", origin)?;
            let (shape, dtype) = (result.shape()?, result.dtype()?);
            let start = dtype.is_float().then_some(end);
            if start.is_some() {
                floats.push((*result, dtype));
                // Too many are refused where they are put together.
                end = end.saturating_add(shape.elements());
            }
            results.push(PackedResult { node, shape, dtype, start });
        }
        self.results.replace(results);
        let Some(widest) = floats.iter().map(|(_, dtype)| *dtype).max_by_key(|dtype| dtype.bytes()) else {
            let (op, what, expected) = ("apply_multi", "the number of results that are floats", "at least 1");
            return Err(GraphError::Argument { origin, op, what, value: 0.0, expected });
        };
        let parts: Vec<Expr<'g>> = floats.iter().map(|(float, _)| float.cast(widest).flatten()).collect();
        Ok(graph.concat(&parts, 0))
    }
}
