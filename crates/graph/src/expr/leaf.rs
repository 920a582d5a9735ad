//! Where tensors enter a graph: inputs, parameters, constants, coordinates and random numbers.

use std::sync::Arc;

use crate::arena::Graph;
use crate::declaration::{DeclarationKind, Init, STEP};
use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::initial::Refused;
use crate::node::Origin;
use crate::op::{Leaf, Op};
use crate::shape::Shape;
use crate::storage::StorageType;

impl Graph {
    /// An f32 tensor that every run is given under that name.
    #[track_caller]
    pub fn input(&self, name: impl Into<String>, shape: impl Into<Shape>) -> Expr<'_> {
        let _method = self.enter("input");
        self.input_of(name, shape, DType::F32)
    }

    /// A tensor of any dtype that every run is given under that name. A [`StorageType`] in the place of the dtype says in what the
    /// device holds it: `StorageType::F16` is an f32 tensor of half the bytes, whose elements are rounded to what f16 holds.
    #[track_caller]
    pub fn input_of(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        storage: impl Into<StorageType>,
    ) -> Expr<'_> {
        let _method = self.enter("input_of");
        let origin = self.origin_or(Origin::here());
        self.finish(self.declare(name.into(), shape.into(), storage.into(), DeclarationKind::Input, origin))
    }

    /// What stands for an input that a run was not given, for whoever declares inputs by what runs are given: the error
    /// [`GraphError::InputNotGiven`] with the caller's line and the names `given`, and a poisoned expression.
    #[track_caller]
    pub fn input_not_given(&self, name: impl Into<String>, given: &[&str]) -> Expr<'_> {
        let method = self.enter("input_not_given");
        let given = match given {
            [] => "was nothing".to_owned(),
            [one] => format!("was {one:?}"),
            several => {
                let names: Vec<String> = several.iter().map(|name| format!("{name:?}")).collect();
                format!("were {}", names.join(", "))
            }
        };
        self.finish(Err(GraphError::InputNotGiven { origin: method.origin(), name: name.into(), given }))
    }

    /// An f32 tensor that stays on the device between runs and that optimisers train.
    #[track_caller]
    pub fn parameter(&self, name: impl Into<String>, shape: impl Into<Shape>, init: Init) -> Expr<'_> {
        let _method = self.enter("parameter");
        self.parameter_of(name, shape, DType::F32, init)
    }

    /// A tensor of any dtype that stays on the device between runs; optimisers train it if it holds floats. A [`StorageType`] in
    /// the place of the dtype says in what the device holds it: `StorageType::F16` is an f32 tensor of half the bytes. An update is
    /// computed in the dtype and rounded, to nearest with ties to even, as it is stored.
    #[track_caller]
    pub fn parameter_of(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        storage: impl Into<StorageType>,
        init: Init,
    ) -> Expr<'_> {
        let method = self.enter("parameter_of");
        let (storage, init) = (storage.into(), self.prefixed_init(init));
        let (name, shape) = (self.prefixed(name.into()), shape.into());
        if let Some(value) = self.given_value(&name, &shape, storage.value(), method.origin()) {
            return value;
        }
        let kind = DeclarationKind::Parameter { init, trainable: storage.value().is_float() };
        self.declare_parameter(name, shape, storage, kind, Origin::here())
    }

    /// A tensor that stays on the device between runs and that no optimiser touches: running statistics, counters,
    /// moments. A plan that updates it names the node of its next value. Its type is a dtype or a [`StorageType`], as in
    /// [`Graph::parameter_of`].
    #[track_caller]
    pub fn state(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        storage: impl Into<StorageType>,
        init: Init,
    ) -> Expr<'_> {
        let method = self.enter("state");
        let kind = DeclarationKind::Parameter { init: self.prefixed_init(init), trainable: false };
        let (name, shape, storage) = (self.prefixed(name.into()), shape.into(), storage.into());
        if let Some(value) = self.given_value(&name, &shape, storage.value(), method.origin()) {
            return value;
        }
        self.declare_parameter(name, shape, storage, kind, Origin::here())
    }

    /// A tensor whose every element is `value`, rounded to a float dtype. Errors: a value that i32 or bool does not hold.
    #[track_caller]
    pub fn full(&self, shape: impl Into<Shape>, value: f64, dtype: DType) -> Expr<'_> {
        let _method = self.enter("full");
        let origin = self.origin_or(Origin::here());
        if !dtype.holds(value) {
            let (op, what, operand) = ("full", "the value", "the result".to_owned());
            return self.finish(Err(GraphError::Number { origin, op, what, value, operand, dtype }));
        }
        let op = Op::Leaf(Leaf::Constant { value: dtype.round(value) });
        self.finish(self.insert(op, Some(&shape.into()), Some(dtype), origin))
    }

    /// An f32 scalar.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Expr<'_> {
        let _method = self.enter("scalar");
        self.full(Shape::scalar(), value, DType::F32)
    }

    /// A tensor of zeros.
    #[track_caller]
    pub fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Expr<'_> {
        let _method = self.enter("zeros");
        self.full(shape, 0.0, dtype)
    }

    /// A tensor of ones.
    #[track_caller]
    pub fn ones(&self, shape: impl Into<Shape>, dtype: DType) -> Expr<'_> {
        let _method = self.enter("ones");
        self.full(shape, 1.0, dtype)
    }

    /// A tensor that stands in the graph, from its elements, row-major: a `Vec`, slice or array of `f32`, `f64`, `i32` or
    /// `bool`, which decides the dtype.
    #[track_caller]
    pub fn literal(&self, shape: impl Into<Shape>, data: impl Into<Elements>) -> Expr<'_> {
        let _method = self.enter("literal");
        let origin = self.origin_or(Origin::here());
        let op = Op::Leaf(Leaf::Literal { data: Arc::new(data.into().normalised()) });
        self.finish(self.insert(op, Some(&shape.into()), None, origin))
    }

    /// An i32 tensor whose elements are their own coordinates along `axis`: `iota([2, 3], 1)` is `[[0, 1, 2], [0, 1, 2]]`.
    #[track_caller]
    pub fn iota(&self, shape: impl Into<Shape>, axis: usize) -> Expr<'_> {
        let _method = self.enter("iota");
        let origin = self.origin_or(Origin::here());
        self.finish(self.insert(Op::Leaf(Leaf::Iota { axis }), Some(&shape.into()), None, origin))
    }

    /// f32 numbers, uniform in [0, 1). They are a function of `seed`, the value of the i32 scalar `step`, and each
    /// element's flat index, by the counter-based generator Threefry-2x32 (Salmon et al. 2011): the same bits on every
    /// device and in every run. Two draws in one graph need two seeds; [`Graph::step`] makes each training step draw anew.
    #[track_caller]
    pub fn uniform(&self, shape: impl Into<Shape>, step: Expr<'_>, seed: u64) -> Expr<'_> {
        let _method = self.enter("uniform");
        let origin = self.origin_or(Origin::here());
        let shape = shape.into();
        let poisoned = Expr::poisoned(self);
        if poisoned.same_graph(step, "uniform", origin).is_none() {
            return poisoned;
        }
        let Some(step) = step.raw() else { return poisoned };
        self.finish(self.insert(Op::Uniform { step, seed }, Some(&shape), None, origin))
    }

    /// The i32 scalar that counts training steps from 0: a state named `step`, which training sessions advance. Another
    /// declaration of that name is an error.
    #[track_caller]
    pub fn step(&self) -> Expr<'_> {
        let method = self.enter("step");
        let origin = method.origin();
        if self.lender().is_some() {
            return self.without_prefix(|| self.shared_state("step", [], DType::I32, Init::Constant(0.0)));
        }
        let declared = self.declaration_named("step");
        match declared {
            Some(step) if step.counts_steps() => self.expr(step.node),
            Some(other) => {
                let (name, first) = (other.name, other.origin);
                let purpose = STEP;
                self.finish(Err(GraphError::ReservedName { origin, name, purpose, first }))
            }
            None => self.at(origin, || self.without_prefix(|| self.state("step", [], DType::I32, Init::Constant(0.0)))),
        }
    }

    fn declare_parameter(
        &self,
        name: String,
        shape: Shape,
        storage: StorageType,
        kind: DeclarationKind,
        caller: Origin,
    ) -> Expr<'_> {
        let origin = self.origin_or(caller);
        if let DeclarationKind::Parameter { init, trainable } = &kind {
            if let Err(refused) = init.check_shape(&shape) {
                return self.finish(Err(refused.told(origin, &name, &shape)));
            }
            if let Err(Refused { what, value, expected }) = init.check(storage, *trainable) {
                return self.finish(Err(GraphError::InitialValue { origin, name, what, value, expected }));
            }
        }
        self.finish(self.declare(name, shape, storage, kind, origin))
    }
}

impl<'g> Expr<'g> {
    /// A number as a constant of this expression's shape and dtype, so that an operator needs no broadcast. A number that
    /// the dtype does not hold (2.5 beside i32) is an error.
    pub(crate) fn constant_beside(self, value: f64, origin: Origin) -> Expr<'g> {
        let origin = self.graph().origin_or(origin);
        let Some((shape, dtype)) = self.read("constant", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return Expr::poisoned(self.graph());
        };
        if !dtype.holds(value) {
            let (op, what, operand) = ("constant", "the number", self.describe());
            return self.fail(GraphError::Number { origin, op, what, value, operand, dtype });
        }
        self.insert(Op::Leaf(Leaf::Constant { value: dtype.round(value) }), Some(&shape), Some(dtype), origin)
    }
}
