//! Convolutions as what a plan computes: padding, views that slide, and one matrix product, or a fold where a product would have
//! single rows and what runs the plan does not compute those by windows ([`Depthwise`]). Where it reads vectors of a buffer much faster than
//! single elements, channels stand side by side in fours, four depths of the product ([`ChannelOrder`]).
//!
//! No column matrix is ever stored: a product reads windows where they stand. Zeros between the elements of an input, which are there in
//! the gradient of a strided convolution by its input, are not multiplied where that costs: [`spread`] makes dense convolutions of
//! it, whose results interleave. Nor is what lies outside of an input, where that is much of what windows see ([`outside`]).
//!
//! Which of two equal forms is the faster is decided here, by extents and by that alone; kernels know nothing of convolutions.

mod build;
mod outside;
mod spread;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Arrangement, BinaryFunction, ConvolutionAxis, Extents, Op, ReduceFunction, Windows};
use crate::ops::convolution::LEADING;
use crate::passes::rebuild::Rebuild;
use crate::passes::{ChannelOrder, Depthwise};
use crate::shape::{AxisSet, Shape};
use build::Build;

/// The results along all axes, of one element of the batch and one feature, below which the batch is part of the columns or rows of one
/// product, instead of a product each.
const FEW_RESULTS: usize = 48;

/// The length of sums from which results are rows and features columns of the product, where the batch is part of it: then the depth
/// is read along both operands.
const LONG_SUM: usize = 1024;

/// The length of sums up to which a fold writes them out, term by term.
const SHORT_SUM: usize = 128;

/// From how many products on a convolution takes longer than to turn its weights.
const MANY_PRODUCTS: usize = 1 << 20;

/// The node that computes a convolution.
pub(super) fn lower(
    input: NodeId,
    weight: NodeId,
    axes: &[ConvolutionAxis],
    dtype: DType,
    graph: &mut Rebuild,
) -> Result<NodeId, GraphError> {
    let mut build = Build { graph, dtype };
    let (x, w) = (build.shape(input), build.shape(weight));
    // What has no neighbours may be any distance from them.
    let axes: Vec<ConvolutionAxis> = axes
        .iter()
        .enumerate()
        .map(|(place, axis)| ConvolutionAxis {
            stride: if axis.extent == 1 { 1 } else { axis.stride },
            dilation: if w[LEADING + place] == 1 { 1 } else { axis.dilation },
            input_dilation: if x[LEADING + place] == 1 { 1 } else { axis.input_dilation },
            ..*axis
        })
        .collect();
    build.convolution(input, weight, axes)
}

impl Build<'_> {
    fn convolution(&mut self, input: NodeId, weight: NodeId, axes: Vec<ConvolutionAxis>) -> Result<NodeId, GraphError> {
        let (x, w) = (self.shape(input), self.shape(weight));
        let leading = [x[0], x[1], w[1]];
        let result: Shape = leading.into_iter().chain(axes.iter().map(|axis| axis.extent)).collect();
        if x.contains(&0) || w.contains(&0) || result.contains(&0) {
            return self.constant(0.0, &result);
        }
        if axes.iter().any(|axis| axis.input_dilation > 1) {
            return self.spread(input, weight, axes);
        }
        if let Some(result) = self.without_outside(input, weight, &axes)? {
            return Ok(result);
        }
        self.dense(input, weight, &axes)
    }

    /// A convolution of an input whose elements are neighbours.
    fn dense(&mut self, input: NodeId, weight: NodeId, axes: &[ConvolutionAxis]) -> Result<NodeId, GraphError> {
        let (w, rank) = (self.shape(weight), axes.len());
        let in_fours = self.pays_in_fours(input, weight, axes);
        let mut padded = if in_fours { self.in_fours(input)? } else { input };
        for (place, axis) in axes.iter().enumerate() {
            let kernel = w[LEADING + place];
            let reach = (axis.extent - 1) * axis.stride + (kernel - 1) * axis.dilation + 1;
            padded = self.fitted(padded, LEADING + place, -axis.low, reach)?;
        }
        let spatial = LEADING..LEADING + rank;
        let windows = self.inferred_view(
            padded,
            Arrangement::Windows(Box::new(Windows {
                axes: spatial.clone().collect(),
                extents: w[LEADING..].into(),
                steps: axes.iter().map(|axis| axis.stride).collect(),
                dilations: axes.iter().map(|axis| axis.dilation).collect(),
            })),
        )?;
        let windowed = self.shape(windows);
        let [n, g, c] = [windowed[0], windowed[1], w[2]];
        let o = w[1];
        let results: usize = axes.iter().map(|axis| axis.extent).product();
        let taps: usize = w[LEADING..].iter().product();
        let result: Shape = [n, g, o].into_iter().chain(axes.iter().map(|axis| axis.extent)).collect();
        if g > 1 && c == 1 && o == 1 && self.graph.rewrites.convolutions.depthwise == Depthwise::Sums {
            return self.folded(windows, weight, &result, rank);
        }
        let depth = c * taps;
        let flat_weight = if in_fours { self.in_fours(weight)? } else { weight };
        let flat_weight = self.reshape(flat_weight, &Shape::from([g, o, depth]))?;
        let outputs = spatial.clone();
        let behind = LEADING + rank;
        let along_depth: Extents = if in_fours {
            [2].into_iter().chain(behind + 1..behind + 1 + rank).chain([behind]).collect()
        } else {
            [2].into_iter().chain(behind..behind + rank).collect()
        };
        if n > 1 && results < FEW_RESULTS {
            if depth >= LONG_SUM {
                // [g, n results, depth] x [g, depth, o].
                let order = [1, 0].into_iter().chain(outputs).chain(along_depth).collect();
                let rows = self.permute(windows, order)?;
                let rows = self.reshape(rows, &Shape::from([g, n * results, depth]))?;
                let product = self.product(rows, flat_weight, true)?;
                let shape: Shape = [g, n].into_iter().chain(result[LEADING..].iter().copied()).chain([o]).collect();
                let product = self.reshape(product, &shape)?;
                let order = [1, 0, 2 + rank].into_iter().chain(2..2 + rank).collect();
                return self.permute(product, order);
            }
            // [g, o, depth] x [g, depth, n results].
            let order = [1].into_iter().chain(along_depth).chain([0]).chain(outputs).collect();
            let columns = self.permute(windows, order)?;
            let columns = self.reshape(columns, &Shape::from([g, depth, n * results]))?;
            let product = self.product(flat_weight, columns, false)?;
            let shape: Shape = [g, o, n].into_iter().chain(result[LEADING..].iter().copied()).collect();
            let product = self.reshape(product, &shape)?;
            return self.permute(product, [2, 0, 1].into_iter().chain(spatial).collect());
        }
        // [g, o, depth] x [n, g, depth, results].
        let columns = self.permute(windows, [0, 1].into_iter().chain(along_depth).chain(outputs).collect())?;
        let columns = self.reshape(columns, &Shape::from([n, g, depth, results]))?;
        let product = self.product(flat_weight, columns, false)?;
        self.reshape(product, &result)
    }

    /// Whether a convolution reads a copy of its input whose channels stand side by side in fours: it makes a copy anyway, of a padded input.
    fn pays_in_fours(&self, input: NodeId, weight: NodeId, axes: &[ConvolutionAxis]) -> bool {
        let (x, w) = (self.shape(input), self.shape(weight));
        let is_padded = axes.iter().enumerate().any(|(place, axis)| {
            let reach = (axis.extent - 1) * axis.stride + (w[LEADING + place] - 1) * axis.dilation + 1;
            axis.low != 0 || reach != x[LEADING + place]
        });
        let results = axes.iter().map(|axis| axis.extent).fold(x[0], usize::saturating_mul);
        let products = results.saturating_mul(w.elements());
        let is_wanted = self.graph.rewrites.convolutions.channels == ChannelOrder::Fours;
        is_wanted && is_padded && x[2].is_multiple_of(4) && products >= MANY_PRODUCTS
    }

    /// `[a, b, c, spatial..]` as `[a, b, c / 4, spatial.., 4]`.
    fn in_fours(&mut self, operand: NodeId) -> Result<NodeId, GraphError> {
        let shape = self.shape(operand);
        let split: Shape =
            [shape[0], shape[1], shape[2] / 4, 4].into_iter().chain(shape[LEADING..].iter().copied()).collect();
        let split = self.reshape(operand, &split)?;
        self.permute(split, (0..LEADING).chain(LEADING + 1..=shape.rank()).chain([LEADING]).collect())
    }

    /// A convolution of single channels and features, which as a product would have single rows: a sum of elementwise products.
    fn folded(&mut self, windows: NodeId, weight: NodeId, result: &Shape, rank: usize) -> Result<NodeId, GraphError> {
        let (windowed, w) = (self.shape(windows), self.shape(weight));
        let (n, g) = (windowed[0], windowed[1]);
        let taps: usize = w[LEADING..].iter().product();
        let kernel: Extents = w[LEADING..].into();
        let ones = || std::iter::repeat_n(1, rank);
        if taps > SHORT_SUM {
            // [1, g, 1, 1.., kernel..] beside [n, g, 1, results.., kernel..].
            let shape: Shape = [1, g, 1].into_iter().chain(ones()).chain(kernel.iter().copied()).collect();
            let weights = self.reshape(weight, &shape)?;
            let weights = self.broadcast(weights, &windowed)?;
            let products = self.binary(BinaryFunction::Mul, windows, weights)?;
            let axes: AxisSet = (LEADING + rank..LEADING + 2 * rank).collect();
            let operand = products;
            let sum = self.graph.inferred(Op::Reduce { function: ReduceFunction::Sum, operand, axes })?;
            return self.reshape(sum, result);
        }
        let shape: Shape = [1, g, 1].into_iter().chain(ones()).collect();
        let flat = self.reshape(weight, &Shape::from([g, taps]))?;
        let mut total = None;
        for tap in 0..taps {
            let mut place: Extents = thin_vec::thin_vec![0; rank];
            let mut left = tap;
            for axis in (0..rank).rev() {
                (place[axis], left) = (left % kernel[axis], left / kernel[axis]);
            }
            let mut starts: Extents = thin_vec::thin_vec![0; LEADING + rank];
            starts.extend(place);
            let extents: Shape = windowed[..LEADING + rank].iter().copied().chain(ones()).collect();
            let of_tap = self.slice(windows, starts, thin_vec::thin_vec![1; LEADING + 2 * rank], &extents)?;
            let of_tap = self.reshape(of_tap, result)?;
            let factor =
                self.slice(flat, thin_vec::thin_vec![0, tap], thin_vec::thin_vec![1; 2], &Shape::from([g, 1]))?;
            let factor = self.reshape(factor, &shape)?;
            let factor = self.broadcast(factor, result)?;
            let term = self.binary(BinaryFunction::Mul, of_tap, factor)?;
            total = Some(match total {
                Some(total) => self.binary(BinaryFunction::Add, total, term)?,
                None => term,
            });
        }
        debug_assert!(n > 0 && total.is_some(), "results of no elements were left out before");
        match total {
            Some(total) => Ok(total),
            None => self.constant(0.0, result),
        }
    }
}
