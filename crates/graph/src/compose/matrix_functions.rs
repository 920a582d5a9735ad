//! Functions of square matrices that are made of products: powers, and the exponential.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// How often [`Expr::matrix_exp`] can halve a matrix, and so how large its norm may be: two to this power.
const HALVINGS: i32 = 12;

impl<'g> Expr<'g> {
    /// The product of `n` times this square matrix, by squaring: `[.., k, k] -> [.., k, k]`; of no times the identity, and of a negative `n` the
    /// power `-n` of the inverse. (PyTorch's `linalg.matrix_power`.) Floats, and i32, whose sums wrap, for an `n` of 0 or more. Inverses are
    /// computed on the CPU alone.
    ///
    /// The gradients are those of the products and of [`Expr::inv`]; of `n = 0` it is 0. Errors: a matrix that is not square; another dtype; at run, for
    /// an `n` below 0, a singular matrix.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let transition = g.input("transition", [4, 3, 3]);
    /// assert_eq!(transition.matrix_power(10).shape()?.dims(), &[4, 3, 3]); // four products
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn matrix_power(self, n: i32) -> Expr<'g> {
        let method = self.enter("matrix_power");
        let Some((shape, dtype)) = self.square_matrix("matrix_power", method.origin()) else {
            return Expr::poisoned(self.graph());
        };
        if dtype == DType::Bool {
            let (origin, op, operand) = (method.origin(), "matrix_power", self.describe());
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected: "a float or i32" });
        }
        // What each product rounds, the next ones make larger.
        let _full_precision = self.graph().in_full_precision();
        // Of each bit that is set, from the lowest, a square is a factor.
        let mut square = if n < 0 { self.inv() } else { self };
        let mut left = n.unsigned_abs();
        let mut power = None;
        while left > 0 {
            if left % 2 == 1 {
                power = Some(power.map_or(square, |power: Expr<'g>| power.matmul(square)));
            }
            left /= 2;
            if left > 0 {
                square = square.matmul(square);
            }
        }
        power.unwrap_or_else(|| self.identity(&shape, dtype))
    }

    /// `e^A = I + A + A^2 / 2! + ..` of square matrices: `[.., k, k] -> [.., k, k]`. (PyTorch's `linalg.matrix_exp`.) Floats.
    ///
    /// Each matrix is halved until the largest sum of the magnitudes in a column is at most 1, the Taylor polynomial of degree 11 (f32) or 19 (f64) is
    /// taken, and squared as often as it was halved. A plan has 12 squarings, of which each matrix takes those that it needs, so that sum may be
    /// up to 4096; of a larger one, and of NaN, all is NaN. `e^A` leaves f32 from about 88 on and f64 from about 709, if all elements are positive.
    ///
    /// The gradients are those of the products, with the number of halvings as a constant. Errors: a matrix that is not square; an expression that
    /// holds no floats.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let generator = g.input("generator", [4, 3, 3]);
    /// assert_eq!(generator.matrix_exp().shape()?.dims(), &[4, 3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn matrix_exp(self) -> Expr<'g> {
        let poisoned = Expr::poisoned(self.graph());
        let Some(method) = self.enter_floats("matrix_exp", &[]) else { return poisoned };
        let Some((shape, dtype)) = self.square_matrix("matrix_exp", method.origin()) else { return poisoned };
        if shape.contains(&0) {
            return self;
        }
        // What each product rounds, the next ones make larger.
        let _full_precision = self.graph().in_full_precision();
        let identity = self.identity(&shape, dtype);
        let norm = self.stop_gradient().abs().sum_keepdims(-2).max_keepdims(-1);
        let bound = |halvings: i32| 2f64.powi(halvings);
        // From the largest norm down, so that each takes the largest factor that is small enough.
        let mut factor = norm.less_equal(bound(HALVINGS)).where_(norm.full_like(bound(-HALVINGS)), f64::NAN);
        for halvings in (0..HALVINGS).rev() {
            factor = norm.less_equal(bound(halvings)).where_(bound(-halvings), factor);
        }
        let mut exponential = (self * factor).exponential_series(identity, dtype);
        for halvings in 0..HALVINGS {
            // The identity is chosen before the product too: what is not taken shall not overflow, for 0 times it would be NaN in a gradient.
            let is_taken = norm.greater(bound(halvings));
            let other = is_taken.where_(exponential, identity);
            exponential = is_taken.where_(exponential.matmul(other), exponential);
        }
        exponential
    }

    /// The Taylor polynomial of the exponential of matrices of norm 1 or less: by blocks of four terms, with a product for each but the last.
    #[track_caller]
    fn exponential_series(self, identity: Expr<'g>, dtype: DType) -> Expr<'g> {
        // What is left out is below 1 / 12! = 2e-9, and 1 / 20! = 4e-19.
        let blocks = if dtype == DType::F32 { 3 } else { 5 };
        let square = self.matmul(self);
        let powers = [identity, self, square, square.matmul(self)];
        let fourth = square.matmul(square);
        let block = |number: usize| {
            let terms = powers.iter().enumerate().map(|(place, power)| {
                let factorial: f64 = (1..=4 * number + place).map(|factor| factor as f64).product();
                *power / factorial
            });
            terms.reduce(|sum, term| sum + term).expect("four terms")
        };
        let mut sum = block(blocks - 1);
        for number in (0..blocks - 1).rev() {
            sum = sum.matmul(fourth) + block(number);
        }
        sum
    }

    /// The identity in the place of each matrix of that shape.
    #[track_caller]
    fn identity(self, shape: &Shape, dtype: DType) -> Expr<'g> {
        let side = shape[shape.rank() - 1];
        self.graph().eye(side, side, dtype).broadcast_to(shape)
    }

    /// Shape and dtype, if the last two axes are a square matrix; an error is kept if they are not.
    pub(super) fn square_matrix(self, op: &'static str, origin: Origin) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
        if rows != columns {
            let (operand, expected) = (self.describe(), "a square matrix");
            return self.fail_without(GraphError::MatrixShape { origin, op, operand, shape, rows, columns, expected });
        }
        Some((shape, dtype))
    }
}
