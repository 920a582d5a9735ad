//! Parameters and states that are declared where they are first used and found again by name afterwards: what layers are made
//! of, which are values and hold no node.

use crate::arena::Graph;
use crate::declaration::{Declaration, DeclarationKind, Init};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::lender::Wanted;
use crate::node::Origin;
use crate::shape::Shape;
use crate::storage::StorageType;

impl Graph {
    /// The parameter of that name: declared if the graph has none, as by [`Graph::parameter_of`], else the one that it has.
    ///
    /// Errors: what has that name is no parameter that is trained, or is of another shape or type
    /// ([`GraphError::SharedDeclaration`]). First values are those of the first declaration.
    #[track_caller]
    pub fn shared_parameter(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        storage: impl Into<StorageType>,
        init: Init,
    ) -> Expr<'_> {
        let method = self.enter("shared_parameter");
        let (name, shape, storage) = (name.into(), shape.into(), storage.into());
        if let Some(value) = self.given_value(&self.prefixed(name.clone()), &shape, storage.value(), method.origin()) {
            return value;
        }
        if let Some(lender) = self.lender() {
            let (trainable, origin) = (storage.value().is_float(), method.origin());
            let init = self.prefixed_init(init);
            return self.lent(&*lender, Wanted { name: self.prefixed(name), shape, storage, init, trainable, origin });
        }
        match self.declaration_named(&self.prefixed(name.clone())) {
            Some(first) => self.found(&first, "a parameter", true, &shape, storage, method.origin()),
            None => self.parameter_of(name, shape, storage, init),
        }
    }

    /// The state of that name: declared if the graph has none, as by [`Graph::state`], else the one that it has. Errors as
    /// [`Graph::shared_parameter`].
    #[track_caller]
    pub fn shared_state(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        storage: impl Into<StorageType>,
        init: Init,
    ) -> Expr<'_> {
        let method = self.enter("shared_state");
        let (name, shape, storage) = (name.into(), shape.into(), storage.into());
        if let Some(value) = self.given_value(&self.prefixed(name.clone()), &shape, storage.value(), method.origin()) {
            return value;
        }
        if let Some(lender) = self.lender() {
            let (trainable, origin, init) = (false, method.origin(), self.prefixed_init(init));
            return self.lent(&*lender, Wanted { name: self.prefixed(name), shape, storage, init, trainable, origin });
        }
        match self.declaration_named(&self.prefixed(name.clone())) {
            Some(first) => self.found(&first, "a state", false, &shape, storage, method.origin()),
            None => self.state(name, shape, storage, init),
        }
    }

    /// The parameters that are trained, with their names, in the order in which they were declared: what a gradient may be asked for, or
    /// [`Graph::with_values`] given. Within that it is these all the same, and not the values that were given. In the graph of a tape layers
    /// declare none.
    ///
    /// ```
    /// use arenagrad_graph::Graph;
    /// use arenagrad_graph::nn::Linear;
    ///
    /// let g = Graph::new();
    /// let loss = Linear::new("layer", 3, 2).apply(g.input("x", [4, 3])).square().mean(..);
    /// let (names, parameters): (Vec<String>, Vec<_>) = g.parameters().into_iter().unzip();
    /// assert_eq!(names, ["layer.weight", "layer.bias"]);
    /// assert_eq!(g.gradients(&[loss], &[loss.full_like(1.0)], &parameters)?.len(), 2);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    pub fn parameters(&self) -> Vec<(String, Expr<'_>)> {
        let declared = self.declarations().into_iter();
        let trained = declared.filter(|one| matches!(one.kind, DeclarationKind::Parameter { trainable: true, .. }));
        trained.filter(|one| self.node(one.node).is_ok()).map(|one| (one.name, self.expr(one.node))).collect()
    }

    /// The node of a declaration, if it is what is asked for.
    pub(crate) fn found(
        &self,
        first: &Declaration,
        what: &str,
        is_trained: bool,
        shape: &Shape,
        storage: StorageType,
        origin: Origin,
    ) -> Expr<'_> {
        let kind = match &first.kind {
            DeclarationKind::Input => "an input",
            DeclarationKind::Parameter { trainable: true, .. } => "a parameter",
            DeclarationKind::Parameter { trainable: false, .. } => "a state",
        };
        let is_same_kind = match &first.kind {
            DeclarationKind::Input => false,
            DeclarationKind::Parameter { trainable, .. } => *trainable == (is_trained && storage.value().is_float()),
        };
        if is_same_kind && first.shape == *shape && first.storage == storage {
            return self.expr(first.node);
        }
        self.finish(Err(GraphError::SharedDeclaration {
            origin,
            name: first.name.clone(),
            expected: format!("{what} {storage}{shape}"),
            found: format!("{kind} {}{}", first.storage, first.shape),
            first: first.origin,
        }))
    }
}
