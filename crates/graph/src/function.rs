//! Functions with derivatives of their own: extending automatic differentiation.
//!
//! A [`Function`] builds its value from expressions and, for an upstream gradient that a placeholder stands for, the
//! gradients of its operands. Both are nodes, so they run on every device, fuse with what is around them, and differentiate
//! again; nothing calls back into Rust when a plan runs. Reverse mode puts the true upstream gradient in the placeholder's
//! place, and forward mode transposes the gradients, which are linear in it.
//!
//! What this does not know: how to check that the gradients are right. That is what a numerical check is for.

use crate::arena::{Graph, Role};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::Op;

/// A function whose gradient is written by hand, as in PyTorch's `torch.autograd.Function`.
///
/// ```
/// use arenagrad_graph::{Context, Expr, Function, Graph};
///
/// /// `e^x`, whose gradient needs only the result.
/// struct Exp;
///
/// impl Function for Exp {
///     fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
///         let result = operands[0].exp();
///         context.save_for_backward(&[result]);
///         result
///     }
///
///     fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
///         vec![Some(upstream * context.saved()[0])]
///     }
/// }
///
/// let g = Graph::new();
/// let x = g.input("x", [3]);
/// let y = g.apply(&Exp, &[x]);
/// let [dx] = y.sum(..).grad([x])?;
/// assert_eq!(dx.shape()?.dims(), &[3]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
pub trait Function {
    /// What the function is called in errors and, on a tape, as the op that made a variable.
    fn name(&self) -> &'static str {
        "function"
    }

    /// The value, and what `context` shall keep for the backward pass.
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g>;

    /// The gradient of each operand, of its shape and dtype, given the upstream gradient of the value. `None` says that no
    /// gradient flows into that operand.
    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>>;
}

/// What a function keeps between its forward and its backward pass.
#[derive(Clone, Debug)]
pub struct Context<'g> {
    graph: &'g Graph,
    operands: Vec<Expr<'g>>,
    saved: Vec<Expr<'g>>,
}

impl<'g> Context<'g> {
    /// Keeps expressions: operands, the result, or anything computed on the way. They stay connected to what they were computed of: a
    /// backward pass that differentiates ([`Expr::grad`], [`Graph::gradients`]) goes back through them, unless
    /// [`Expr::stop_gradient`] of what was kept is used there.
    pub fn save_for_backward(&mut self, expressions: &[Expr<'g>]) {
        self.saved.extend_from_slice(expressions);
    }

    /// What was kept, in order, and connected to what it was computed of: see [`Context::save_for_backward`].
    pub fn saved(&self) -> &[Expr<'g>] {
        &self.saved
    }

    /// The operands that the function was applied to.
    pub fn operands(&self) -> &[Expr<'g>] {
        &self.operands
    }

    /// The graph that the function builds in, for constants and coordinates.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }
}

impl Graph {
    /// `function` of `operands`: the value of its forward pass, whose derivatives are those of its backward pass, in reverse
    /// and in forward mode, as often as it is differentiated.
    ///
    /// Forward mode takes the backward pass as linear in the upstream gradient; of one that is not (a gradient that is
    /// clipped), it takes the part that is linear at an upstream gradient of zero.
    ///
    /// Errors, kept as the graph's first: a value that is not a float; another number of gradients than of operands; a
    /// gradient whose shape or dtype is not its operand's; what the two passes do wrong themselves.
    #[track_caller]
    pub fn apply<'g>(&'g self, function: &dyn Function, operands: &[Expr<'g>]) -> Expr<'g> {
        let origin = self.origin_or(Origin::here());
        if self.check().is_err() {
            // The operands may be good, but the function could not tell its own mistakes from that one.
            self.note_refusal();
            return Expr::poisoned(self);
        }
        match self.attempt(|| self.at(origin, || self.apply_at(function, operands, origin))) {
            Ok(expr) => expr,
            Err(error) => self.finish(Err(error)),
        }
    }

    fn apply_at<'g>(
        &'g self,
        function: &dyn Function,
        operands: &[Expr<'g>],
        origin: Origin,
    ) -> Result<Expr<'g>, GraphError> {
        for operand in operands {
            // A foreign expression must not reach the function's own code.
            operand.id_in(self, "apply", origin)?;
        }
        let mut context = Context { graph: self, operands: operands.to_vec(), saved: Vec::new() };
        let value = function.forward(&mut context, operands);
        self.check()?;
        let value_id = value.id_in(self, "apply", origin)?;
        let (shape, dtype) = self.read(value_id, "apply", origin, |node| (node.shape.clone(), node.dtype))?;
        if !dtype.is_float() {
            let (op, operand, expected) = ("custom_gradient", value.describe(), "a float");
            return Err(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let (upstream, upstream_expr) = self.standing_for(Role::UpstreamGradient, (&shape, dtype), origin)?;
        let gradients = function.backward(&context, upstream_expr);
        self.check()?;
        if gradients.len() != operands.len() {
            return Err(GraphError::GradientCount {
                origin,
                op: "custom_gradient",
                function: function.name().to_owned(),
                operands: operands.len(),
                gradients: gradients.len(),
            });
        }
        let mut differentiated = Vec::new();
        for (number, (operand, gradient)) in operands.iter().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            let ids = (operand.id_in(self, "apply", origin)?, gradient.id_in(self, "apply", origin)?);
            let form = |id| self.read(id, "apply", origin, |node| (node.dtype, node.shape.clone()));
            let ((dtype, shape), (found, found_shape)) = (form(ids.0)?, form(ids.1)?);
            if (dtype, &shape) != (found, &found_shape) {
                let (op, function, operand) = ("custom_gradient", function.name().to_owned(), operand.describe());
                let (gradient, expected) = (format!("{found}{found_shape}"), format!("{dtype}{shape}"));
                return Err(GraphError::GradientShape { origin, op, function, number, gradient, operand, expected });
            }
            differentiated.push(ids);
        }
        let op = Op::CustomGradient {
            value: value_id,
            operands: differentiated.iter().map(|(operand, _)| *operand).collect(),
            upstream,
            gradients: differentiated.iter().map(|(_, gradient)| *gradient).collect(),
        };
        let id = self.insert_node(op, None, None, origin)?;
        if self.method().is_none() {
            self.arena_mut().call(id.key, function.name());
        }
        Ok(Expr::from_id(self, id))
    }
}
