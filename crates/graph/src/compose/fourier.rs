//! Discrete Fourier transforms along one axis. A complex number is two expressions of one shape, its real and its imaginary part.
//!
//! A transform is a composition: products with small matrices of roots of unity, turned by such roots between them ([`rows`]). So it runs wherever
//! products run, and derivatives of any order are those of the products. This does not know of frequencies' units.

mod chirp;
mod roots;
mod rows;
mod short_time;
mod window;

use crate::error::GraphError;
use crate::expr::Expr;
use crate::method::Method;
use crate::node::Origin;
use crate::shape::Shape;
use roots::{Direction, LONGEST};
use rows::Rows;

impl<'g> Expr<'g> {
    /// The discrete Fourier transform along an axis of n elements, of numbers that have this as their real and `imaginary` as their imaginary part:
    /// `X[k] = sum_j x[j] e^(-2 pi i j k / n)`. `[.., n, ..], [.., n, ..]` to real and imaginary part of the same shape. (PyTorch's `fft.fft`.) Floats of one
    /// dtype.
    ///
    /// Two axes, as in PyTorch's `fft2`, are one after the other. A magnitude is `real.hypot(imaginary)`, a phase `imaginary.atan2(real)`;
    /// `roll` by half of an axis does what `fftshift` does. An axis of up to 64 elements is one product with a matrix; a longer one is taken apart into
    /// such, mostly of up to 32 elements, or, with a prime factor above 64, into two transforms of 2 to 4 times the length. Products keep full precision in mixed
    /// precision, but not in the body of a loop.
    ///
    /// The gradients are those of both parts as functions of both. Errors: parts of two shapes or dtypes; an expression that holds no floats; an axis that is
    /// none, is empty, or has more than 2^24 elements.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (real, imaginary) = (g.input("real", [8, 400]), g.input("imaginary", [8, 400]));
    /// let (real, imaginary) = real.fft(imaginary, -1);
    /// let power = real.square() + imaginary.square();
    /// assert_eq!(power.shape()?.dims(), &[8, 400]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn fft(self, imaginary: Expr<'g>, axis: isize) -> (Expr<'g>, Expr<'g>) {
        self.complex("fft", imaginary, axis, |rows| rows.transformed(Direction::Forward))
    }

    /// The inverse of [`Expr::fft`]: `x[j] = 1/n sum_k X[k] e^(2 pi i j k / n)`. `[.., n, ..], [.., n, ..]` to real and imaginary part of the same shape.
    /// (PyTorch's `fft.ifft`.) Gradients and errors are those of [`Expr::fft`].
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let image = g.input("image", [3, 28, 28]);
    /// // Both axes there and back.
    /// let (real, imaginary) = image.fft(image.zeros_like(), -1);
    /// let (real, imaginary) = real.fft(imaginary, -2);
    /// let (real, imaginary) = real.ifft(imaginary, -2);
    /// let (image, _) = real.ifft(imaginary, -1);
    /// assert_eq!(image.shape()?.dims(), &[3, 28, 28]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn ifft(self, imaginary: Expr<'g>, axis: isize) -> (Expr<'g>, Expr<'g>) {
        self.complex("ifft", imaginary, axis, |rows| {
            let scale = 1.0 / rows.length as f64;
            rows.transformed(Direction::Inverse).map(|part| part * scale)
        })
    }

    /// The first half of [`Expr::fft`] of real numbers, which says what the other half is: `[.., n, ..]` to real and imaginary part
    /// of `[.., n / 2 + 1, ..]`. (PyTorch's `fft.rfft`.) Floats.
    ///
    /// Gradients and errors are those of [`Expr::fft`].
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (real, imaginary) = g.input("signal", [8, 400]).rfft(-1);
    /// assert_eq!(real.hypot(imaginary).shape()?.dims(), &[8, 201]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn rfft(self, axis: isize) -> (Expr<'g>, Expr<'g>) {
        let op = "rfft";
        let Some(method) = self.enter_floats(op, &[]) else { return self.poisoned_parts() };
        let Some((shape, axis)) = self.transformed_axis(op, axis, &method) else { return self.poisoned_parts() };
        Rows::of(self, None, &shape, axis).half_spectrum().given_by(&method, &shape, axis)
    }

    /// The `n` real numbers of which [`Expr::rfft`] gives this as real and `imaginary` as imaginary part: `[.., n / 2 + 1, ..], [.., n / 2 + 1, ..] -> [.., n, ..]`.
    /// (PyTorch's `fft.irfft`.) Floats of one dtype.
    ///
    /// Of an axis that is longer the rest is not read, and a shorter one is as if zeros followed. The imaginary parts of the first number and, of an even `n`, of
    /// the one at `n / 2` belong to no real numbers: they are not read either. Gradients and errors are those of [`Expr::fft`], for the result's axis too.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let signal = g.input("signal", [8, 400]);
    /// let (real, imaginary) = signal.rfft(-1);
    /// // Without its higher frequencies.
    /// let smooth = real.slice(-1, 0, 20).irfft(imaginary.slice(-1, 0, 20), 400, -1);
    /// assert_eq!(smooth.shape()?.dims(), &[8, 400]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn irfft(self, imaginary: Expr<'g>, n: usize, axis: isize) -> Expr<'g> {
        let (op, poisoned) = ("irfft", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[Some(imaginary)]) else { return poisoned };
        if self.form_shared_with(imaginary, op).is_none() {
            return poisoned;
        }
        let Some((shape, axis)) = self.transformed_axis(op, axis, &method) else { return poisoned };
        if let Err(error) = check_length(op, n, method.origin()) {
            return self.fail(error);
        }
        Rows::of(self, Some(imaginary), &shape, axis).of_half_spectrum(n).in_place(&shape, axis).0
    }

    #[track_caller]
    fn complex(
        self,
        op: &'static str,
        imaginary: Expr<'g>,
        axis: isize,
        transformed: impl FnOnce(Rows<'g>) -> Rows<'g>,
    ) -> (Expr<'g>, Expr<'g>) {
        let Some(method) = self.enter_floats(op, &[Some(imaginary)]) else { return self.poisoned_parts() };
        if self.form_shared_with(imaginary, op).is_none() {
            return self.poisoned_parts();
        }
        let Some((shape, axis)) = self.transformed_axis(op, axis, &method) else { return self.poisoned_parts() };
        transformed(Rows::of(self, Some(imaginary), &shape, axis)).given_by(&method, &shape, axis)
    }

    /// The shape, and which of its axes that is; an error is kept of one that is none, or of which no transform is.
    fn transformed_axis(self, op: &'static str, axis: isize, method: &Method<'g>) -> Option<(Shape, usize)> {
        let origin: Origin = method.origin();
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let axis = match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail_without(error),
        };
        if shape[axis] == 0 {
            let (function, operand) = ("Fourier transform", self.describe());
            return self.fail_without(GraphError::EmptyAxis { origin, op, function, operand, shape, axis });
        }
        if let Err(error) = check_length(op, shape[axis], origin) {
            return self.fail_without(error);
        }
        Some((shape, axis))
    }

    fn poisoned_parts(self) -> (Expr<'g>, Expr<'g>) {
        (Expr::poisoned(self.graph()), Expr::poisoned(self.graph()))
    }
}

fn check_length(op: &'static str, n: usize, origin: Origin) -> Result<(), GraphError> {
    if (1..=LONGEST).contains(&n) {
        return Ok(());
    }
    let (what, value, expected) = ("the length of the transform", n as f64, "1 to 16777216");
    Err(GraphError::Argument { origin, op, what, value, expected })
}
