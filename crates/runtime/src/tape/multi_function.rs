//! Functions of several results, with derivatives of their own, of variables.

use arenagrad_graph::{MultiFunction, Origin, Packed};

use crate::error::Error;
use crate::tape::{Tape, Variable};

impl Tape {
    /// A function of several results with a gradient of its own, of variables: see [`MultiFunction`]. Its backward pass sees the upstream gradients
    /// of all results that are floats.
    ///
    /// Errors: what [`Graph::apply_multi`](crate::Graph::apply_multi) reports; a variable of another tape, or whose value cannot be had.
    ///
    /// ```
    /// use arenagrad::{Context, Device, Expr, MultiFunction, Tape};
    ///
    /// /// `e^x` and `e^-x`.
    /// struct Exponentials;
    ///
    /// impl MultiFunction for Exponentials {
    ///     fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Vec<Expr<'g>> {
    ///         let results = [operands[0].exp(), (-operands[0]).exp()];
    ///         context.save_for_backward(&results);
    ///         results.to_vec()
    ///     }
    ///
    ///     fn backward<'g>(&self, context: &Context<'g>, upstream: &[Expr<'g>]) -> Vec<Option<Expr<'g>>> {
    ///         vec![Some(upstream[0] * context.saved()[0] - upstream[1] * context.saved()[1])]
    ///     }
    /// }
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf(0.0).requires_grad();
    /// let results = tape.apply_multi(&Exponentials, &[&x])?;
    /// (2.0 * &results[0] + &results[1]).backward()?;
    /// assert_eq!(x.grad()?.item()?, 1.0);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn apply_multi(&self, function: &dyn MultiFunction, operands: &[&Variable]) -> Result<Vec<Variable>, Error> {
        let (origin, name) = (Origin::here(), function.name());
        let packed = Packed::new(function);
        let value = self.inner.record(name, operands, origin, |graph, operands| Ok(graph.apply(&packed, operands)));
        let value = Variable::new(value);
        value.check()?;
        // What is no part of the value is held before something else is recorded, for until then its nodes are nobody's.
        let apart: Vec<Option<Variable>> = (0..packed.count())
            .map(|number| Some(Variable::new(self.inner.record_beside(packed.node_apart(number)?, name, origin))))
            .collect();
        let results = apart.into_iter().enumerate().map(|(number, apart)| {
            let packed = || value.unary(name, origin, |value| packed.result(value, number));
            let result = apart.unwrap_or_else(packed);
            result.check().map(|()| result)
        });
        results.collect()
    }
}
