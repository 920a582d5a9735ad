//! Tensors whose elements are known: constants in the shape of another, evenly spaced numbers, the identity.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// A tensor of this one's shape and dtype whose every element is `value`. (PyTorch's `full_like`.) No gradient flows to this.
    /// Errors: a value that i32 or bool does not hold.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).full_like(0.5).shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn full_like(self, value: f64) -> Expr<'g> {
        let method = self.enter("full_like");
        self.constant_beside(value, method.origin())
    }

    /// Zeros of this tensor's shape and dtype. (PyTorch's `zeros_like`.) No gradient flows to this.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).zeros_like().shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn zeros_like(self) -> Expr<'g> {
        let method = self.enter("zeros_like");
        self.constant_beside(0.0, method.origin())
    }

    /// Ones of this tensor's shape and dtype. (PyTorch's `ones_like`.) No gradient flows to this.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).ones_like().shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn ones_like(self) -> Expr<'g> {
        let method = self.enter("ones_like");
        self.constant_beside(1.0, method.origin())
    }
}

impl Graph {
    /// `start`, `start + step`, and so on, up to before `end`: `[ceil((end - start) / step)]`. (PyTorch's `arange`.) Element `i` is
    /// `start + i * step`, computed in the dtype, and not a sum of `i` steps.
    ///
    /// Errors: a step of 0, or one that leads away from the end; a number that is not finite; of i32 a start or step that is no whole
    /// number, or an element that i32 does not hold; bool; more than 2147483647 elements.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.arange(1.0, 2.5, 0.5, DType::F32).shape()?.dims(), [3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn arange(&self, start: f64, end: f64, step: f64, dtype: DType) -> Expr<'_> {
        let method = self.enter("arange");
        let origin = method.origin();
        let refuse = |what, value, expected| {
            self.finish(Err(GraphError::Argument { origin, op: "arange", what, value, expected }))
        };
        for (what, value) in [("the start", start), ("the end", end), ("the step", step)] {
            if !value.is_finite() {
                return refuse(what, value, "a finite number");
            }
        }
        if dtype == DType::Bool {
            let (op, operand, expected) = ("arange", "the result".to_owned(), "a float or i32");
            return self.finish(Err(GraphError::DType { origin, op, operand, dtype, expected }));
        }
        // Signs are compared, for the product of two small numbers is 0.
        let is_away = end != start && (end > start) != (step > 0.0);
        if step == 0.0 || is_away {
            return refuse("the step", step, "one that leads from the start to the end");
        }
        // The start is one of them, however small the way is beside the step.
        let count = ((end - start) / step).ceil().max(if end == start { 0.0 } else { 1.0 });
        if count > f64::from(i32::MAX) {
            return refuse("the number of elements", count, "at most 2147483647");
        }
        for (what, value) in
            [("the start", start), ("the step", step), ("the last element", start + (count - 1.0) * step)]
        {
            if count > 0.0 && !dtype.holds(value) {
                let (op, operand) = ("arange", "the result".to_owned());
                return self.finish(Err(GraphError::Number { origin, op, what, value, operand, dtype }));
            }
        }
        self.at(origin, || {
            let steps = self.iota([count as usize], 0).cast(dtype);
            let scaled = if step == 1.0 { steps } else { steps * step };
            if start == 0.0 { scaled } else { scaled + start }
        })
    }

    /// `count` numbers from `start` to `end`, both among them, at even distances: `start + i * (end - start) / (count - 1)`; one is `start`
    /// alone. (PyTorch's `linspace`.) The second half is counted from the end, so that the last is exactly `end`.
    ///
    /// Errors: a dtype that is no float; more than 2147483647 elements.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.linspace(-1.0, 1.0, 5, DType::F32).shape()?.dims(), [5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn linspace(&self, start: f64, end: f64, count: usize, dtype: DType) -> Expr<'_> {
        let method = self.enter("linspace");
        let (origin, op) = (method.origin(), "linspace");
        if !dtype.is_float() {
            let (operand, expected) = ("the result".to_owned(), "a dtype of floats");
            return self.finish(Err(GraphError::DType { origin, op, operand, dtype, expected }));
        }
        if i32::try_from(count).is_err() {
            let (what, value) = ("the number of elements", count as f64);
            return self.finish(Err(GraphError::Argument { origin, op, what, value, expected: "at most 2147483647" }));
        }
        self.at(origin, || {
            if count < 2 {
                return self.full([count], start, dtype);
            }
            let step = (end - start) / (count - 1) as f64;
            let half = (count / 2) as f64;
            let place = self.iota([count], 0);
            let from_start = place.cast(dtype) * step + start;
            let from_end = (place.full_like((count - 1) as f64) - place).cast(dtype) * -step + end;
            place.less(half).where_(from_start, from_end)
        })
    }

    /// The matrix `[rows, columns]` with 1 on the main diagonal and 0 elsewhere. (PyTorch's `eye`.) Any dtype.
    /// Errors: more elements than can be counted.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.eye(3, 4, DType::F32).shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn eye(&self, rows: usize, columns: usize, dtype: DType) -> Expr<'_> {
        let method = self.enter("eye");
        self.at(method.origin(), || {
            let shape = Shape::from([rows, columns]);
            self.iota(&shape, 0).equal(self.iota(&shape, 1)).cast(dtype)
        })
    }
}
