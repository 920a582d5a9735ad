//! Transposed convolutions: the gradients of convolutions by their inputs, as functions of their own.

use crate::compose::convolution::{ConvolutionTranspose, Convolved, check_bias};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::ConvolutionAxis;
use crate::shape::{AxisSet, Shape};

macro_rules! transposed_convolutions {
    ($($(#[$doc:meta])* $method:ident, $rank:literal;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(
                self,
                weight: Expr<'g>,
                bias: Option<Expr<'g>>,
                convolution: &ConvolutionTranspose<$rank>,
            ) -> Expr<'g> {
                let method = self.enter(stringify!($method));
                self.transposed_convolution(stringify!($method), weight, bias, convolution, method.origin())
            }
        )*}
    };
}
transposed_convolutions! {
    /// The transposed convolution along one axis (PyTorch's `conv_transpose1d`): `[n, c, l], [c, o / groups, k] -> [n, o, m]`,
    /// or without a batch `[c, l] -> [o, m]`, with `m = (l - 1) stride - 2 padding + dilation (k - 1) + output padding + 1`:
    ///
    /// `y[n, o, i] = bias[o] + sum of weight[c, o, t] x[n, c, j]` over all c, j, t with `j stride + t dilation - padding = i`.
    ///
    /// It is the gradient of [`Expr::conv1d`] of the same numbers with respect to its input, at the upstream gradient x. Floats.
    /// No product by a zero is computed for the zeros that a stride puts between elements.
    ///
    /// ```
    /// # use arenagrad_graph::{ConvolutionTranspose, Graph};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [8, 16, 50]), g.input("w", [16, 3, 5]));
    /// let y = x.conv_transpose1d(w, None, &ConvolutionTranspose::new().stride(2).padding(2).output_padding(1));
    /// assert_eq!(y.shape()?.dims(), [8, 3, 100]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: ranks and dtypes that do not fit; channels that groups do not divide, or that are not the weight's; a bias that is not
    /// of `[o]`; a stride, dilation or number of groups of 0; output padding that is neither less than the stride nor than the
    /// dilation; a result without elements.
    conv_transpose1d, 1;
    /// The transposed convolution along two axes (PyTorch's `conv_transpose2d`): `[n, c, h, w], [c, o / groups, kh, kw] ->
    /// [n, o, h', w']`, or without a batch. Formula, derivatives and errors are those of [`Expr::conv_transpose1d`], along each axis.
    ///
    /// ```
    /// # use arenagrad_graph::{ConvolutionTranspose, Graph};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [1, 8, 7, 7]), g.input("w", [8, 4, 2, 2]));
    /// let y = x.conv_transpose2d(w, None, &ConvolutionTranspose::new().stride(2));
    /// assert_eq!(y.shape()?.dims(), [1, 4, 14, 14]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    conv_transpose2d, 2;
    /// The transposed convolution along three axes (PyTorch's `conv_transpose3d`): `[n, c, d, h, w], [c, o / groups, kd, kh, kw] ->
    /// [n, o, d', h', w']`, or without a batch. Formula, derivatives and errors are those of [`Expr::conv_transpose1d`], along each
    /// axis.
    ///
    /// ```
    /// # use arenagrad_graph::{ConvolutionTranspose, Graph};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [1, 2, 3, 4, 4]), g.input("w", [2, 1, 1, 3, 3]));
    /// let y = x.conv_transpose3d(w, None, &ConvolutionTranspose::new().padding([0, 1, 1]));
    /// assert_eq!(y.shape()?.dims(), [1, 1, 3, 4, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    conv_transpose3d, 3;
}

impl<'g> Expr<'g> {
    pub(crate) fn transposed_convolution<const D: usize>(
        self,
        op: &'static str,
        weight: Expr<'g>,
        bias: Option<Expr<'g>>,
        convolution: &ConvolutionTranspose<D>,
        origin: Origin,
    ) -> Expr<'g> {
        let ConvolutionTranspose { stride, padding, output_padding, dilation, groups } = *convolution;
        let Some(operands) = self.convolved(op, weight, bias, D, groups, origin) else {
            return Expr::poisoned(self.graph());
        };
        let Convolved { shape, input, weight_shape, .. } = &operands;
        let fail = |error| self.fail(error);
        for (what, numbers) in [("the stride", stride), ("the dilation", dilation)] {
            if numbers.contains(&0) {
                return fail(GraphError::Argument { origin, op, what, value: 0.0, expected: "at least 1" });
            }
        }
        if let Err(error) = operands.check_channels(Some(weight_shape[0]), (self, weight, op, origin)) {
            return fail(error);
        }
        let Some(features) = weight_shape[1].checked_mul(groups) else {
            return fail(GraphError::TooManyElements { origin, op, shape: weight_shape.clone() });
        };
        if let Err(error) = check_bias(bias, features, (weight, weight_shape, op, origin)) {
            return fail(error);
        }
        let mut axes = Vec::with_capacity(D);
        for place in 0..D {
            let (axis, stride, dilation) = (shape.rank() - D + place, stride[place], dilation[place]);
            let output_padding = output_padding[place];
            if output_padding >= stride && output_padding >= dilation {
                return fail(GraphError::OutputPadding { origin, op, axis, output_padding, stride, dilation });
            }
            // In i128, whatever the numbers: products of two of them are below 2^127.
            let [elements, kernel] = [input[2 + place] as i128, weight_shape[2 + place] as i128];
            let reach = (kernel - 1) * dilation as i128;
            let extent =
                (elements - 1) * stride as i128 - 2 * padding[place] as i128 + reach + output_padding as i128 + 1;
            if extent < 1 {
                let (operand, shape, extent) = (self.describe(), shape.clone(), extent.max(i64::MIN.into()) as i64);
                return fail(GraphError::EmptyResult { origin, op, operand, shape, axis, extent });
            }
            let (Ok(extent), Ok(low)) = (usize::try_from(extent), isize::try_from(reach - padding[place] as i128))
            else {
                return fail(GraphError::TooManyElements { origin, op, shape: shape.clone() });
            };
            axes.push(ConvolutionAxis { extent, stride: 1, dilation, input_dilation: stride, low });
        }
        let leading = |leading: [usize; 3], shape: &Shape| -> Shape {
            leading.into_iter().chain(shape[2..].iter().copied()).collect()
        };
        let x = self.reshape_node(&leading([input[0], groups, input[1] / groups], input), origin);
        let kernels = leading([groups, input[1] / groups, weight_shape[1]], weight_shape);
        let order: Vec<isize> = [0, 2, 1].into_iter().chain((0..D).map(|place| 3 + place as isize)).collect();
        let spatial: AxisSet = (3..3 + D).collect();
        let kernels = weight.reshape_node(&kernels, origin).permute(order).flip_node(spatial, origin);
        let result = x.convolution_node(kernels, axes.into(), origin);
        operands.finished(result, features, bias, origin)
    }
}
