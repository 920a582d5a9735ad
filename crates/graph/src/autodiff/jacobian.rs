//! Jacobians, Hessians and Hessian-vector products.
//!
//! A Jacobian is built by reverse mode from the identity as upstream gradients, one for each element of the output, or by
//! forward mode from the identity as tangents, one for each element of the input, whichever are fewer; see [`Mode`]. Either
//! way the derivative is built once and computed for all directions in one batch.

use crate::arena::{Graph, Role};
use crate::autodiff::WithRespectTo;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Leaf, Op};
use crate::shape::Shape;

/// How a Jacobian of `m` outputs and `n` inputs is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `m` upstream gradients go backward: cheaper if `m < n`.
    Reverse,
    /// `n` tangents go forward: cheaper if `n <= m`, for a tangent costs less than an upstream gradient and needs no value
    /// of the forward pass kept.
    Forward,
}

/// The most sweeps of forward mode for one call of [`Graph::jacobians`].
const MOST_SWEEPS: usize = 16;

impl Graph {
    /// The Jacobians of `output` with respect to each of `wrt`: for an output of shape `[a..]` and an input of shape `[b..]`
    /// the result has shape `[a.., b..]`, with element `[i.., j..]` the derivative of output element `i..` by input element
    /// `j..`. An input that the output does not depend on has a Jacobian of zeros.
    ///
    /// `mode` of `None` takes the cheaper one: forward if the elements of all inputs together are at most those of the
    /// output.
    ///
    /// Errors: a poisoned or foreign expression, one that is not a float, a result of too many axes or elements.
    #[track_caller]
    pub fn jacobians<'g>(
        &'g self,
        output: Expr<'g>,
        wrt: &[Expr<'g>],
        mode: Option<Mode>,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter_derivatives("jacobians");
        let (origin, op) = (method.origin(), method.name());
        self.check()?;
        let (_, shape, _) = self.float_node(output, op, origin)?;
        let dtype = output.dtype()?;
        let mut inputs = Vec::with_capacity(wrt.len());
        for input in wrt {
            let (_, shape, _) = self.float_node(*input, op, origin)?;
            inputs.push(End { expr: *input, shape, dtype: input.dtype()? });
        }
        let elements = inputs.iter().fold(0usize, |sum, input| sum.saturating_add(input.shape.elements()));
        let mode = mode.unwrap_or(if elements <= shape.elements() { Mode::Forward } else { Mode::Reverse });
        let output = End { expr: output, shape, dtype };
        self.attempt(|| {
            self.at(origin, || match mode {
                Mode::Reverse => self.jacobians_reverse(&output, &inputs, origin),
                Mode::Forward => self.jacobians_forward(&output, &inputs, origin),
            })
        })
    }

    fn jacobians_reverse<'g>(
        &'g self,
        output: &End<'g>,
        inputs: &[End<'g>],
        origin: Origin,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let rows = output.shape.elements();
        let wrt: Vec<Expr<'g>> = inputs.iter().map(|input| input.expr).collect();
        let joined = |input: &End<'g>, rows: Expr<'g>| rows.reshape_node(&joined(&output.shape, &input.shape), origin);
        if rows == 1 {
            let one = self.ones(&output.shape, output.dtype);
            let gradients = self.gradients(&[output.expr], &[one], &wrt)?;
            return Ok(inputs.iter().zip(gradients).map(|(input, row)| joined(input, row)).collect());
        }
        let (placeholder, upstream) = self.placeholder(&output.shape, output.dtype, origin)?;
        let gradients = self.gradients(&[output.expr], &[upstream], &wrt)?;
        let ids = gradients.iter().map(|gradient| gradient.id()).collect::<Result<Vec<_>, _>>()?;
        let identity = self.identity(&output.shape, output.dtype, origin);
        let batched = self.batch(&ids, &[(placeholder, identity)], rows, origin)?;
        Ok(inputs.iter().zip(batched).map(|(input, rows)| joined(input, rows)).collect())
    }

    /// A few inputs are swept one by one, so that what depends on one of them is computed for its own directions alone. Many
    /// are swept together, in groups, so that the nodes do not grow with the inputs times the graph.
    fn jacobians_forward<'g>(
        &'g self,
        output: &End<'g>,
        inputs: &[End<'g>],
        origin: Origin,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let mut jacobians = Vec::with_capacity(inputs.len());
        for group in inputs.chunks(inputs.len().div_ceil(MOST_SWEEPS).max(1)) {
            match group {
                [input] => jacobians.push(self.jacobian_forward(output, input, origin)?),
                group => jacobians.extend(self.jacobians_together(output, group, origin)?),
            }
        }
        Ok(jacobians)
    }

    fn jacobian_forward<'g>(
        &'g self,
        output: &End<'g>,
        input: &End<'g>,
        origin: Origin,
    ) -> Result<Expr<'g>, GraphError> {
        let columns = input.shape.elements();
        let shape = joined(&output.shape, &input.shape);
        if columns == 1 {
            let one = self.ones(&input.shape, input.dtype);
            let column = self.jvp(&[output.expr], &[input.expr], &[one])?;
            return Ok(column[0].reshape_node(&shape, origin));
        }
        let jacobians = self.jacobians_together(output, std::slice::from_ref(input), origin)?;
        Ok(jacobians[0])
    }

    /// The Jacobians by one sweep over the directions of all inputs together.
    fn jacobians_together<'g>(
        &'g self,
        output: &End<'g>,
        inputs: &[End<'g>],
        origin: Origin,
    ) -> Result<Vec<Expr<'g>>, GraphError> {
        let columns = inputs.iter().fold(0usize, |sum, input| sum.saturating_add(input.shape.elements()));
        let (mut tangents, mut batched, mut first) = (Vec::new(), Vec::new(), 0);
        let wrt: Vec<Expr<'g>> = inputs.iter().map(|input| input.expr).collect();
        for input in inputs {
            let (placeholder, tangent) = self.placeholder(&input.shape, input.dtype, origin)?;
            tangents.push(tangent);
            batched.push((placeholder, self.unit_rows(&input.shape, columns, first, input.dtype, origin)));
            first += input.shape.elements();
        }
        let pushed = self.jvp(&[output.expr], &wrt, &tangents)?;
        let rows = self.batch(&[pushed[0].id()?], &batched, columns, origin)?[0];
        // One row for each input element: the transposition has one for each output element.
        let rows = rows.reshape_node(&Shape::from([columns, output.shape.elements()]), origin);
        let mut first = 0;
        let own = |input: &End<'g>| {
            let end = first + input.shape.elements();
            let columns = rows.slice(0, first, end).t();
            first = end;
            columns.reshape_node(&joined(&output.shape, &input.shape), origin)
        };
        Ok(inputs.iter().map(own).collect())
    }

    /// A node that stands for a tensor of that shape and dtype.
    pub(crate) fn placeholder(
        &self,
        shape: &Shape,
        dtype: DType,
        origin: Origin,
    ) -> Result<(NodeId, Expr<'_>), GraphError> {
        let id = self.insert_node(Op::Leaf(Leaf::Placeholder), Some(shape), Some(dtype), origin)?;
        Ok((id, Expr::from_id(self, id)))
    }

    /// Such a node, which errors call by its role.
    pub(crate) fn standing_for(
        &self,
        role: Role,
        (shape, dtype): (&Shape, DType),
        origin: Origin,
    ) -> Result<(NodeId, Expr<'_>), GraphError> {
        let (id, expr) = self.placeholder(shape, dtype, origin)?;
        self.arena_mut().roles.insert(id.key, role);
        Ok((id, expr))
    }

    /// `[n, ..]` for a shape `[..]` of `n` elements: row `i` is 1 at element `i` and 0 elsewhere.
    fn identity(&self, shape: &Shape, dtype: DType, origin: Origin) -> Expr<'_> {
        self.unit_rows(shape, shape.elements(), 0, dtype, origin)
    }

    /// `[rows, ..]` for a shape `[..]`: row `first + i` is 1 at element `i`, and all else is 0.
    fn unit_rows(&self, shape: &Shape, rows: usize, first: usize, dtype: DType, origin: Origin) -> Expr<'_> {
        let table = Shape::from([rows, shape.elements()]);
        let (row, column) = (self.iota(&table, 0), self.iota(&table, 1));
        let diagonal = row.equal(if first == 0 { column } else { column + first as f64 });
        let units = diagonal.where_(self.ones(&table, dtype), self.zeros(&table, dtype));
        let shape = std::iter::once(rows).chain(shape.iter().copied()).collect();
        units.reshape_node(&shape, origin)
    }
}

/// An end of a Jacobian.
struct End<'g> {
    expr: Expr<'g>,
    shape: Shape,
    dtype: DType,
}

impl<'g> Expr<'g> {
    /// The Jacobian of this expression, of shape `[a..]`, with respect to `wrt`, of shape `[b..]`: `[a.., b..]`, by reverse
    /// or forward mode, whichever is cheaper. See [`Graph::jacobians`].
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let (w, x) = (g.input("w", [3, 2]), g.input("x", [2]));
    /// let jacobian = w.matmul(x).tanh().jacobian(x)?;
    /// assert_eq!(jacobian.shape()?.dims(), &[3, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn jacobian(self, wrt: Expr<'g>) -> Result<Expr<'g>, GraphError> {
        let _method = self.enter_derivatives("jacobian");
        Ok(self.graph().jacobians(self, &[wrt], None)?[0])
    }

    /// The Hessian of this scalar with respect to `wrt`, of shape `[b..]`: the symmetric `[b.., b..]` of second derivatives,
    /// as the Jacobian of the gradient, forward over reverse mode.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let x = g.input("x", [4]);
    /// let hessian = (x * x * x).sum(..).hessian(x)?; // 6 x on the diagonal
    /// assert_eq!(hessian.shape()?.dims(), &[4, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn hessian(self, wrt: Expr<'g>) -> Result<Expr<'g>, GraphError> {
        let method = self.enter_derivatives("hessian");
        self.graph().check()?;
        self.graph().attempt(|| {
            self.graph().at(method.origin(), || {
                let [gradient] = self.grad([wrt])?;
                gradient.jacobian(wrt)
            })
        })
    }

    /// The Hessian-vector product of this scalar, without the Hessian: for each of `wrt` the directional derivative of its
    /// gradient along `directions`, which have the shapes of `wrt`. Forward over reverse mode (Pearlmutter 1994): about twice
    /// the cost of the gradient.
    #[track_caller]
    pub fn hvp<W: WithRespectTo<'g>>(self, wrt: W, directions: W) -> Result<W::Gradients, GraphError> {
        let method = self.enter_derivatives("hvp");
        self.graph().check()?;
        let products = self.graph().attempt(|| {
            self.graph().at(method.origin(), || {
                let gradients = self.grad(wrt.expressions())?;
                self.graph().jvp(&gradients, wrt.expressions(), directions.expressions())
            })
        })?;
        Ok(wrt.of_list(products))
    }
}

/// The axes of both, one after the other.
fn joined(output: &Shape, input: &Shape) -> Shape {
    output.iter().chain(input.iter()).copied().collect()
}
