//! Variables: what define-by-run programs are written with.

use std::fmt;
use std::rc::Rc;

use arenagrad_graph::{DType, Expr, Origin, Shape};

use crate::error::Error;
use crate::tape::backward;
use crate::tape::record::{Place, Record};
use crate::tape::value::Value;
use crate::tape::{Inner, Tape};
use crate::tensor::Tensor;

/// A value on a [`Tape`]: a leaf, or what an operation made of others. Operators and methods record operations.
///
/// A variable is a handle; a clone is the same variable. It keeps alive what its value and its gradient need, and nothing
/// else does, so operators take references: `&a + &b`.
///
/// A mistake (shapes that do not fit, a variable of another tape) poisons the result, and whatever is made of it: the error,
/// with the caller's file and line, comes out of [`Variable::data`], [`Variable::backward`] and [`Variable::check`].
#[derive(Clone)]
#[must_use = "a variable that is dropped is forgotten, with what only it needs"]
pub struct Variable {
    tape: Rc<Inner>,
    record: Rc<Record>,
}

/// What an operation recorded, with the tape that it did so on.
pub(crate) struct Recorded {
    pub(crate) tape: Rc<Inner>,
    pub(crate) record: Rc<Record>,
}

/// What a leaf can be made of: a number (`f64` and `f32` give f32 scalars, `i32` an i32 scalar), an array up to rank 4, vector or slice of
/// numbers, which give the same dtypes, or a [`Tensor`], which keeps its own.
pub trait LeafValue {
    /// The value as a tensor.
    fn into_tensor(self) -> Tensor;
}

impl Variable {
    /// The value, computed now if it was not before.
    ///
    /// Errors: the mistake that poisoned the variable, or anything that planning and running report.
    pub fn data(&self) -> Result<Tensor, Error> {
        Ok((*self.tape_inner().value_of(&self.record)?.tensor()?).clone())
    }

    /// The only element of the value, as `f64`.
    pub fn item(&self) -> Result<f64, Error> {
        self.tape_inner().value_of(&self.record)?.tensor()?.item()
    }

    /// Gives the variable another value, of any shape. What was recorded from it keeps the old one, and gradients that flow
    /// through that still arrive here; those of another shape or dtype are an error, unless the gradient was cleared. A result
    /// becomes a leaf.
    pub fn set_data(&self, value: Tensor) {
        self.record.become_leaf();
        self.record.set_place(Place::Value(Value::new(value.into_native())));
    }

    /// Asks for gradients from now on: `let w = tape.leaf(1.0).requires_grad()`. What was recorded from it before has none. A
    /// result that requires none becomes a leaf that does. Only floats have gradients: a backward pass from what was made of others is an error
    /// that says where they were asked for ([`Error::GradientOfNoFloats`]).
    #[track_caller]
    pub fn requires_grad(self) -> Variable {
        self.ask_for_gradients(Origin::here());
        self
    }

    fn ask_for_gradients(&self, origin: Origin) {
        self.record.set_requires_grad(true);
        if self.dtype().is_ok_and(|dtype| !dtype.is_float()) {
            let mut asked = self.tape.without_floats.borrow_mut();
            asked.retain(|(record, _)| record.upgrade().is_some_and(|record| !Rc::ptr_eq(&record, &self.record)));
            asked.push((Rc::downgrade(&self.record), origin));
        }
    }

    /// Asks for gradients from now on, as [`Variable::requires_grad`], or for none: a leaf that is frozen is a constant for what
    /// is recorded after, and no backward pass adds to its gradient.
    ///
    /// ```
    /// use arenagrad::{Device, Tape};
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let (w, v) = (tape.leaf(2.0).requires_grad(), tape.leaf(3.0).requires_grad());
    /// w.set_requires_grad(false)?;
    /// (&w * &v).backward()?;
    /// assert_eq!((w.has_grad(), v.grad()?.item()?), (false, 2.0));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// Errors: [`Error::NotFrozen`] for a result that gradients flow through; [`Variable::detach`] makes a constant of it.
    #[track_caller]
    pub fn set_requires_grad(&self, requires_grad: bool) -> Result<(), Error> {
        if !requires_grad && !self.record.is_leaf() {
            return Err(Error::NotFrozen { variable: self.record.describe() });
        }
        if requires_grad {
            self.ask_for_gradients(Origin::here());
        } else {
            self.record.set_requires_grad(false);
        }
        if self.record.uncomputed_node().is_some() {
            // Through what is frozen no gradient flows any more.
            self.tape.records.borrow_mut().open(&self.record);
        }
        Ok(())
    }

    /// Gives the variable a name, by which errors refer to it: `let w = tape.leaf(1.0).requires_grad().named("w")`.
    pub fn named(self, name: impl Into<String>) -> Variable {
        let name = name.into();
        if let Some(node) = self.record.node() {
            self.tape.graph.call(node, Some(name.clone()));
        }
        self.record.set_name(name);
        self
    }

    /// The name that [`Variable::named`] gave.
    pub fn name(&self) -> Option<String> {
        self.record.name()
    }

    /// Whether gradients flow into this variable.
    pub fn does_require_grad(&self) -> bool {
        self.record.requires_grad()
    }

    /// Whether gradients end here: no operation made the variable, or none through which they flow.
    pub fn is_leaf(&self) -> bool {
        self.record.is_leaf()
    }

    /// The op that made the variable; `None` for a leaf.
    pub fn grad_fn(&self) -> Option<&'static str> {
        self.record.function()
    }

    /// How many operations have consumed the variable.
    pub fn consumers(&self) -> u32 {
        self.record.consumers()
    }

    /// The gradient that backward passes have accumulated here: of a leaf, since it was last cleared; of a result, also.
    ///
    /// Errors: [`Error::NoGradient`] if none has reached it, and what running reports.
    pub fn grad(&self) -> Result<Tensor, Error> {
        Ok((*backward::gradient_of(self.tape_inner(), &self.record)?.tensor()?).clone())
    }

    /// Whether a gradient has reached this variable.
    pub fn has_grad(&self) -> bool {
        self.record.gradient().is_some()
    }

    /// Clears the gradient.
    pub fn zero_grad(&self) {
        self.record.clear_gradient();
    }

    /// Adds the gradients of this variable, one element, to every leaf that requires one and that it depends on, and
    /// releases its graph: a second call is an error.
    ///
    /// Errors: [`Error::NoGradientRequired`]; [`Error::GraphReleased`]; a mistake made while recording; a value of several
    /// elements.
    #[track_caller]
    pub fn backward(&self) -> Result<(), Error> {
        backward::backward(self.tape_inner(), self, None, false, Origin::here())
    }

    /// As [`Variable::backward`], and keeps the graph for another call.
    #[track_caller]
    pub fn backward_retained(&self) -> Result<(), Error> {
        backward::backward(self.tape_inner(), self, None, true, Origin::here())
    }

    /// As [`Variable::backward`], of a value of any shape: the gradients of `sum of upstream * self`. The upstream gradient
    /// has this variable's shape and dtype.
    #[track_caller]
    pub fn backward_with(&self, upstream: Tensor) -> Result<(), Error> {
        self.backward_from(upstream, false, Origin::here())
    }

    /// As [`Variable::backward_with`], and keeps the graph for another call.
    #[track_caller]
    pub fn backward_with_retained(&self, upstream: Tensor) -> Result<(), Error> {
        self.backward_from(upstream, true, Origin::here())
    }

    /// The same value as a leaf of its own, through which no gradient flows.
    #[track_caller]
    pub fn detach(&self) -> Variable {
        let origin = Origin::here();
        let detached = self.unary("detach", origin, |x| x.stop_gradient());
        detached.record.set_requires_grad(false);
        detached.record.become_leaf();
        detached
    }

    /// Records what `function` makes of this variable's expression: everything that [`Expr`] can do, layers and networks among it. The
    /// name of the result's op is `map`; [`Tape::record`] gives another, takes several operands, and says what may not be done there.
    ///
    /// A layer's parameters are kept by the tape, which knows them by name: [`Tape::parameters`].
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Device, Tape, Tensor};
    ///
    /// let (hidden, head) = (Linear::new("hidden", 4, 8), Linear::new("head", 8, 2));
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf(Tensor::new([3, 4], vec![0.5f32; 12])?);
    /// let y = x.map(|x| head.apply(hidden.apply(x).relu()));
    /// assert_eq!((y.shape()?.dims(), tape.parameters().len()), (&[3, 2][..], 4));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn map(&self, function: impl for<'g> FnOnce(Expr<'g>) -> Expr<'g>) -> Variable {
        self.unary("map", Origin::here(), function)
    }

    /// [`Variable::map`] with a `function` that may fail, as [`Tape::try_record`] has it: `x.try_map(|x| Ok(x.split(2, 0)?[0]))`.
    ///
    /// ```
    /// use arenagrad::{Device, Tape, Tensor};
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf([1.0, 2.0, 3.0]).requires_grad();
    /// let sums = x.try_map(|x| {
    ///     let start = x.graph().scalar(0.0);
    ///     Ok(x.graph().scan(&[start], &[x], |sum, x| (vec![sum[0] + x[0]], vec![sum[0] + x[0]]))?.outputs[0])
    /// });
    /// assert_eq!(sums.data()?, Tensor::from([1.0f32, 3.0, 6.0]));
    /// assert!(x.try_map(|x| Ok(x.split(2, 7)?[0])).check().is_err());
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map(&self, function: impl for<'g> FnOnce(Expr<'g>) -> Result<Expr<'g>, Error>) -> Variable {
        Variable::new(self.tape_inner().record("map", &[self], Origin::here(), |_, x| function(x[0])))
    }

    /// The shape of the value, which need not be computed for that.
    pub fn shape(&self) -> Result<Shape, Error> {
        match self.record.place() {
            Place::Value(value) | Place::Node(_, Some(value)) => Ok(value.shape().clone()),
            Place::Node(node, None) => Ok(self.tape_inner().graph.node(node)?.shape),
            Place::Poisoned(error) => Err(error),
        }
    }

    /// The dtype of the value.
    pub fn dtype(&self) -> Result<DType, Error> {
        match self.record.place() {
            Place::Value(value) | Place::Node(_, Some(value)) => Ok(value.dtype()),
            Place::Node(node, None) => Ok(self.tape_inner().graph.node(node)?.dtype),
            Place::Poisoned(error) => Err(error),
        }
    }

    /// `Err` with the mistake that poisoned this variable, if there was one.
    pub fn check(&self) -> Result<(), Error> {
        match self.record.place() {
            Place::Value(_) | Place::Node(..) => Ok(()),
            Place::Poisoned(error) => Err(error),
        }
    }

    /// The tape that the variable is of.
    pub fn tape(&self) -> Tape {
        Tape { inner: self.tape_inner().clone() }
    }

    pub(crate) fn new(Recorded { tape, record }: Recorded) -> Variable {
        Variable { tape, record }
    }

    pub(crate) fn of(tape: &Rc<Inner>, record: Rc<Record>) -> Variable {
        Variable { tape: tape.clone(), record }
    }

    pub(crate) fn record(&self) -> &Rc<Record> {
        &self.record
    }

    pub(crate) fn tape_inner(&self) -> &Rc<Inner> {
        &self.tape
    }

    /// Records an operation of this variable alone.
    pub(crate) fn unary(
        &self,
        name: &'static str,
        origin: Origin,
        function: impl for<'g> FnOnce(Expr<'g>) -> Expr<'g>,
    ) -> Variable {
        Variable::new(self.tape_inner().record(name, &[self], origin, |_, x| Ok(function(x[0]))))
    }

    /// Records an operation of this variable and another.
    pub(crate) fn binary(
        &self,
        name: &'static str,
        other: &Variable,
        origin: Origin,
        function: impl for<'g> FnOnce(Expr<'g>, Expr<'g>) -> Expr<'g>,
    ) -> Variable {
        Variable::new(self.tape_inner().record(name, &[self, other], origin, |_, x| Ok(function(x[0], x[1]))))
    }

    fn backward_from(&self, upstream: Tensor, retain: bool, origin: Origin) -> Result<(), Error> {
        let record = Record::leaf(self.tape_inner(), upstream.into_native(), false, origin);
        let upstream = Variable::of(self.tape_inner(), record);
        backward::backward(self.tape_inner(), self, Some(&upstream), retain, origin)
    }
}

/// The value if it is known, else the shape; then the op that made it.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variable(")?;
        let number = self.record.value().filter(|value| value.shape().elements() == 1);
        match (number.and_then(|value| value.tensor().ok()), self.shape(), self.dtype()) {
            (Some(value), ..) => write!(f, "{:?}", value.to_f64_vec()[0])?,
            (_, Ok(shape), Ok(dtype)) => write!(f, "{dtype}{shape}")?,
            (_, Err(error), _) | (_, _, Err(error)) => write!(f, "{error}")?,
        }
        if let Some(function) = self.grad_fn() {
            write!(f, ", grad_fn = {function}")?;
        } else if self.does_require_grad() {
            f.write_str(", requires_grad")?;
        }
        f.write_str(")")
    }
}

/// Numbers and what is made of them, in the dtype that numbers have beside expressions: literals of floats are f64 where nothing says
/// otherwise, and f32 is what is computed with.
macro_rules! leaf_values {
    ($($number:ty => $dtype:expr),* $(,)?) => {$(
        leaf_values! { @of $dtype;
            [] $number;
            [] Vec<$number>;
            [] &[$number];
            [const A: usize] [$number; A];
            [const A: usize, const B: usize] [[$number; B]; A];
            [const A: usize, const B: usize, const C: usize] [[[$number; C]; B]; A];
            [const A: usize, const B: usize, const C: usize, const D: usize] [[[[$number; D]; C]; B]; A];
        }
    )*};
    (@of $dtype:expr; $([$($parameters:tt)*] $value:ty;)*) => {$(
        impl<$($parameters)*> LeafValue for $value {
            fn into_tensor(self) -> Tensor {
                let tensor = Tensor::from(self);
                if tensor.dtype() == $dtype { tensor } else { tensor.cast($dtype) }
            }
        }
    )*};
}
leaf_values! {
    f64 => DType::F32,
    f32 => DType::F32,
    i32 => DType::I32,
}

impl LeafValue for Tensor {
    fn into_tensor(self) -> Tensor {
        self
    }
}

impl LeafValue for &Tensor {
    fn into_tensor(self) -> Tensor {
        self.clone()
    }
}
