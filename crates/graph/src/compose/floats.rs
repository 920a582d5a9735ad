//! What methods of floats ask before they build anything, so that a mistake is told of what the caller gave and not of a part of the formula.

use crate::compose::Reduction;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::method::Method;
use crate::node::Origin;

impl<'g> Expr<'g> {
    /// Enters a public method ([`Expr::enter`]) whose operands, this one and the others, are floats; none if one is not, and that is kept as the mistake.
    #[track_caller]
    pub(crate) fn enter_floats(self, name: &'static str, others: &[Option<Expr<'g>>]) -> Option<Method<'g>> {
        let method = self.enter(name);
        let origin = method.origin();
        self.same_graph_all(others, name, origin)?;
        self.require_floats(name, origin)?;
        others.iter().flatten().try_for_each(|other| other.require_floats(name, origin))?;
        Some(method)
    }

    /// [`Expr::enter_floats`] for a loss that integers have too, but for their mean.
    #[track_caller]
    pub(super) fn enter_loss(self, name: &'static str, reduction: Reduction) -> Option<Method<'g>> {
        match reduction {
            Reduction::Mean => self.enter_floats(name, &[]),
            Reduction::None | Reduction::Sum => Some(self.enter(name)),
        }
    }

    fn require_floats(self, op: &'static str, origin: Origin) -> Option<()> {
        let dtype = self.read(op, origin, |_, node| node.dtype)?;
        if dtype.is_float() {
            return Some(());
        }
        let operand = self.describe();
        self.fail_without(GraphError::DType { origin, op, operand, dtype, expected: "a float" })
    }
}
