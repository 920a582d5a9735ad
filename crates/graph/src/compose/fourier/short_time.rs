//! Short-time Fourier transforms: of windows that slide over a signal, and the signal that has them.

use crate::compose::SlidingBlocks;
use crate::compose::padding::PadMode;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::method::Method;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// The spectra ([`Expr::rfft`]) of windows of `n` elements that begin `hop` elements apart, each times `window`: `[.., t], [n]` to real and imaginary part of
    /// `[.., n / 2 + 1, (t - n) / hop + 1]`. (PyTorch's `stft` of real numbers, where n is `n_fft` and `win_length`.) Floats of one dtype.
    ///
    /// Where it `is_centered`, as in PyTorch without further words, `n / 2` elements are put before and behind the signal, mirrored at its ends, so that window `i`
    /// has its middle at element `i hop`; there are `t / hop + 1` of them, or one less of an odd n where hop divides t. Gradients are those of [`Expr::rfft`], also
    /// of the window. Errors: a scalar; a window that is not of rank 1, or has no elements; a hop of 0; a signal that is shorter than the window, or
    /// centered, no longer than half of it; a signal of as many axes as a shape may have.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// // What Whisper listens to, before its filters.
    /// let window = g.hann_window(400, true, DType::F32);
    /// let (real, imaginary) = g.input("audio", [2, 16000]).stft(window, 160, true);
    /// let power = (real.square() + imaginary.square()).slice(-1, 0, 100);
    /// assert_eq!(power.shape()?.dims(), &[2, 201, 100]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn stft(self, window: Expr<'g>, hop: usize, is_centered: bool) -> (Expr<'g>, Expr<'g>) {
        let op = "stft";
        let Some(method) = self.enter_floats(op, &[Some(window)]) else { return self.poisoned_parts() };
        let Some(n) = window.window_length(op, hop, &method) else { return self.poisoned_parts() };
        let half = (n / 2) as isize;
        let signal = if is_centered { self.pad_with([(half, half)], PadMode::Reflect) } else { self };
        let (real, imaginary) = (signal.unfold(-1, n, hop) * window).rfft(-1);
        let results = (real.transpose(-2, -1), imaginary.transpose(-2, -1));
        method.gives(&[results.0, results.1]);
        results
    }

    /// The signal of which [`Expr::stft`] gives this as real and `imaginary` as imaginary part: `[.., n / 2 + 1, frames], [.., n / 2 + 1, frames], [n] -> [.., t]`.
    /// (PyTorch's `istft`.) Floats of one dtype.
    ///
    /// It is the sum of the windows' inverse transforms, each times `window`, over the sum of the windows' squares: the signal that is nearest to the spectra
    /// (Griffin and Lim 1984). It has `n + (frames - 1) hop` elements, of which `n / 2` are left out at both ends where it `is_centered`. A `length` cuts it, or has zeros
    /// follow it; centered, it is of what is behind the first `n / 2`. An element at which all windows are 0 is 0 / 0 and NaN, where PyTorch refuses the call: so are the
    /// first of Hann's windows that are not centered.
    ///
    /// Gradients are those of [`Expr::irfft`]. Errors: those of [`Expr::stft`]; parts of two shapes; a rank below 2; other than `n / 2 + 1` frequencies; no frames;
    /// windows that leave nothing between the halves of the first and the last.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let window = g.hann_window(400, true, DType::F32);
    /// let (real, imaginary) = g.input("noisy", [2, 16000]).stft(window, 100, true);
    /// let mask = g.input("mask", [2, 201, 161]);
    /// let clean = (real * mask).istft(imaginary * mask, window, 100, true, Some(16000));
    /// assert_eq!(clean.shape()?.dims(), &[2, 16000]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn istft(
        self,
        imaginary: Expr<'g>,
        window: Expr<'g>,
        hop: usize,
        is_centered: bool,
        length: Option<usize>,
    ) -> Expr<'g> {
        let (op, poisoned) = ("istft", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[Some(imaginary), Some(window)]) else { return poisoned };
        let origin = method.origin();
        let Some(shape) = self.form_shared_with(imaginary, op) else { return poisoned };
        let Some(n) = window.window_length(op, hop, &method) else { return poisoned };
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let (frequencies, frames) = (shape[rank - 2], shape[rank - 1]);
        if frequencies != n / 2 + 1 {
            let (axis, lhs, lhs_shape, left) = (rank - 2, self.describe(), shape, frequencies);
            let (rhs, right) = (format!("the spectrum of {}", window.describe()), n / 2 + 1);
            let rhs_shape = Shape::from([right]);
            return self.fail(GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right });
        }
        if frames == 0 {
            let (function, operand, axis) = ("signal", self.describe(), rank - 1);
            return self.fail(GraphError::EmptyAxis { origin, op, function, operand, shape, axis });
        }
        let whole = (frames - 1).saturating_mul(hop).saturating_add(n);
        let margin = if is_centered { n / 2 } else { 0 };
        let left = whole.saturating_sub(2 * margin);
        if left == 0 && length.is_none() {
            let (operand, axis, extent) = (self.describe(), rank - 1, 0);
            return self.fail(GraphError::EmptyResult { origin, op, operand, shape, axis, extent });
        }
        let blocks = SlidingBlocks::new([1, n]).stride([1, hop]);
        let count = shape[..rank - 2].iter().product::<usize>();
        let added = |frames_of: Expr<'g>, count: usize| frames_of.col2im([1, whole], &blocks).reshape([count, whole]);
        let framed = self.irfft(imaginary, n, -2) * window.unsqueeze(1);
        let sums = added(framed.reshape([count, n, frames]), count);
        let weights = added(window.square().unsqueeze(1).broadcast_to([n, frames]).unsqueeze(0), 1);
        let end = length.map_or(whole - margin, |length| margin.saturating_add(length).min(whole));
        let within = |all: Expr<'g>| all.slice(-1, margin.min(end), end);
        let signal = within(sums) / within(weights);
        let present = end - margin.min(end);
        let missing = length.map_or(0, |length| length - present);
        let signal = if missing == 0 { signal } else { signal.pad([(0, 0), (0, missing)], 0.0) };
        let extents: Shape = shape[..rank - 2].iter().copied().chain([present.saturating_add(missing)]).collect();
        signal.reshape(extents)
    }

    /// How long this window is; an error is kept if it is none.
    fn window_length(self, op: &'static str, hop: usize, method: &Method<'g>) -> Option<usize> {
        let origin = method.origin();
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let (operand, rank) = (self.describe(), shape.rank());
        if rank != 1 {
            let expected = "rank 1".to_owned();
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if shape[0] == 0 {
            let (function, axis) = ("Fourier transform", 0);
            return self.fail_without(GraphError::EmptyAxis { origin, op, function, operand, shape, axis });
        }
        if hop == 0 {
            let (what, value, expected) = ("the hop", 0.0, "1 or more");
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected });
        }
        Some(shape[0])
    }
}
