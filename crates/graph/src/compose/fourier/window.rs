//! Windows by which parts of a signal are multiplied before they are transformed: sums of a few cosines.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::expr::Expr;

use super::roots::{Direction, LONGEST};

impl Graph {
    /// Hann's window: `[n]` of `0.5 - 0.5 cos(2 pi i / n)`; with `n - 1` in the place of n where it is not `is_periodic`, so that it ends at 0. (PyTorch's
    /// `hann_window`.)
    ///
    /// Periodic windows are for [`Expr::stft`]: shifted ones add up evenly. Errors: a dtype that is no float; more than 2^24 elements, the longest that
    /// is transformed.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.hann_window(4, true, DType::F32).shape()?.dims(), &[4]); // 0, 0.5, 1, 0.5
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn hann_window(&self, n: usize, is_periodic: bool, dtype: DType) -> Expr<'_> {
        self.cosine_window("hann_window", &[0.5, -0.5], n, is_periodic, dtype)
    }

    /// Hamming's window: `[n]` of `0.54 - 0.46 cos(2 pi i / n)`, and what [`Graph::hann_window`] says. (PyTorch's `hamming_window`.)
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.hamming_window(4, true, DType::F32).shape()?.dims(), &[4]); // 0.08, 0.54, 1, 0.54
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn hamming_window(&self, n: usize, is_periodic: bool, dtype: DType) -> Expr<'_> {
        self.cosine_window("hamming_window", &[0.54, -0.46], n, is_periodic, dtype)
    }

    /// Blackman's window: `[n]` of `0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)`, and what [`Graph::hann_window`] says. (PyTorch's
    /// `blackman_window`.)
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.blackman_window(4, true, DType::F32).shape()?.dims(), &[4]); // 0, 0.34, 1, 0.34
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn blackman_window(&self, n: usize, is_periodic: bool, dtype: DType) -> Expr<'_> {
        self.cosine_window("blackman_window", &[0.42, -0.5, 0.08], n, is_periodic, dtype)
    }

    /// The sum of `coefficients[k] cos(2 pi k i / n)`.
    #[track_caller]
    fn cosine_window(
        &self,
        op: &'static str,
        coefficients: &[f64],
        n: usize,
        is_periodic: bool,
        dtype: DType,
    ) -> Expr<'_> {
        let method = self.enter(op);
        let origin = method.origin();
        let period = if is_periodic || n == 0 { n } else { n - 1 };
        // A window of one element leaves it as it is, as PyTorch's do.
        let element = |place: usize| match period {
            0 => 1.0,
            _ if n == 1 => 1.0,
            _ => {
                let cosine = |order: usize| Direction::Forward.root((order * place) as u64, period as u64).0;
                coefficients.iter().zip(0..).map(|(coefficient, order)| coefficient * cosine(order)).sum::<f64>()
            }
        };
        if n > LONGEST {
            let (what, value) = ("the number of elements", n as f64);
            return self.finish(Err(GraphError::Argument { origin, op, what, value, expected: "at most 16777216" }));
        }
        let elements: Elements = match dtype {
            DType::F32 => (0..n).map(|place| element(place) as f32).collect::<Vec<f32>>().into(),
            DType::F64 => (0..n).map(element).collect::<Vec<f64>>().into(),
            DType::I32 | DType::Bool => {
                let (operand, expected) = ("the result".to_owned(), "a dtype of floats");
                return self.finish(Err(GraphError::DType { origin, op, operand, dtype, expected }));
            }
        };
        self.literal([n], elements)
    }
}
