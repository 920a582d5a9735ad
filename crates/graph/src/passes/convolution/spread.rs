//! Convolutions of an input with zeros between its elements, without the products by these zeros.
//!
//! Results whose coordinates have the same residue see the same places of the weight on elements, and all its other places on zeros.
//!
//! * *Phases*: the results of each residue are a dense convolution with every so manieth place of the weight; they interleave. No
//!   product is in vain, but there are as many convolutions as residues.
//! * *Blocks*: the weight is cut into blocks as long as elements are apart, and the places within a block become features of one
//!   dense convolution, whose results, these features in the place of the axis, stand in order. Where the weight is no whole number
//!   of blocks, zeros fill the last.
//! * *Zeros*: as it stands, where neither can be or there would be too many phases.

use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::ConvolutionAxis;
use crate::ops::convolution::LEADING;
use crate::passes::convolution::build::Build;
use crate::shape::Shape;

/// The share of products with zeros, and by results that nobody wants, up to which blocks are better than phases.
const BLOCKS_WITH_ZEROS: f64 = 1.3;

/// The most phases: each is a step of the plan.
const MOST_PHASES: usize = 16;

impl Build<'_> {
    /// A convolution some of whose axes have zeros between elements.
    pub(super) fn spread(
        &mut self,
        input: NodeId,
        weight: NodeId,
        axes: Vec<ConvolutionAxis>,
    ) -> Result<NodeId, GraphError> {
        let w = self.shape(weight);
        let spread = |(_, axis): &(usize, &ConvolutionAxis)| axis.input_dilation > 1;
        let can_be_blocks =
            axes.iter().enumerate().filter(spread).all(|(_, axis)| (axis.stride, axis.dilation) == (1, 1));
        let of_blocks: f64 = axes
            .iter()
            .enumerate()
            .filter(spread)
            .map(|(place, axis)| {
                let (kernel, block) = (w[LEADING + place], w[LEADING + place].min(axis.input_dilation));
                let results = steps_of_blocks(axis, block).1 * axis.input_dilation;
                (kernel.next_multiple_of(block) * results) as f64 / (kernel * axis.extent) as f64
            })
            .product();
        let phases = axes.iter().fold(1usize, |phases, axis| phases.saturating_mul(count(axis)));
        if can_be_blocks && (of_blocks <= BLOCKS_WITH_ZEROS || phases > MOST_PHASES) {
            let place = axes.iter().position(|axis| axis.input_dilation > 1).unwrap_or(0);
            return self.blocks(input, weight, axes, place);
        }
        if phases <= MOST_PHASES {
            return self.phases(input, weight, &axes);
        }
        self.zeros(input, weight, axes)
    }

    /// The elements with zeros between them.
    fn zeros(&mut self, input: NodeId, weight: NodeId, mut axes: Vec<ConvolutionAxis>) -> Result<NodeId, GraphError> {
        let mut padded = input;
        for (place, axis) in axes.iter_mut().enumerate() {
            let extent = self.shape(padded)[LEADING + place];
            let reach = (extent - 1) * axis.input_dilation + 1;
            padded = self.padded(padded, LEADING + place, 0, axis.input_dilation - 1, reach)?;
            axis.input_dilation = 1;
        }
        self.convolution(padded, weight, axes)
    }

    /// One dense convolution for each residue of each axis.
    fn phases(&mut self, input: NodeId, weight: NodeId, axes: &[ConvolutionAxis]) -> Result<NodeId, GraphError> {
        let rank = axes.len();
        let counts: Vec<usize> = axes.iter().map(count).collect();
        let mut convolutions = Vec::with_capacity(counts.iter().product());
        for number in 0..counts.iter().product() {
            let mut residues = vec![0; rank];
            let mut left: usize = number;
            for place in (0..rank).rev() {
                (residues[place], left) = (left % counts[place], left / counts[place]);
            }
            convolutions.push(self.phase(input, weight, axes, &residues)?);
        }
        // Each axis is followed by its residues, the last axis joined first: [n, g, o, j, residue, ..].
        for place in (0..rank).rev() {
            let behind = LEADING + 2 * place + 1;
            let joined = convolutions.chunks(counts[place]).map(<[NodeId]>::to_vec).collect::<Vec<_>>();
            convolutions = Vec::with_capacity(joined.len());
            for phases in joined {
                convolutions.push(if phases.len() == 1 { phases[0] } else { self.concat(phases, behind)? });
            }
        }
        let interleaved = self.shape(convolutions[0]);
        let whole: Shape = interleaved[..LEADING]
            .iter()
            .copied()
            .chain((0..rank).map(|place| interleaved[LEADING + 2 * place] * counts[place]))
            .collect();
        let mut result = self.reshape(convolutions[0], &whole)?;
        for (place, axis) in axes.iter().enumerate() {
            result = self.along(result, LEADING + place, [0, 1, axis.extent])?;
        }
        Ok(result)
    }

    /// The results whose coordinates have these residues, as `[n, g, o, j, 1, ..]`.
    fn phase(
        &mut self,
        input: NodeId,
        weight: NodeId,
        axes: &[ConvolutionAxis],
        residues: &[usize],
    ) -> Result<NodeId, GraphError> {
        let (x, w) = (self.shape(input), self.shape(weight));
        let mut dense = Vec::with_capacity(axes.len());
        let mut taps = weight;
        let mut sees_elements = true;
        for (place, (axis, &residue)) in axes.iter().zip(residues).enumerate() {
            let ConvolutionAxis { extent, stride, dilation, input_dilation, low } = *axis;
            let (phases, kernel) = (count(axis), w[LEADING + place]);
            let extent = extent.div_ceil(phases);
            // Every so manieth place sees elements: from the first one on whose distance is a whole number of them.
            let step = input_dilation / gcd(dilation, input_dilation);
            let distance = |tap: usize| (residue * stride + tap * dilation) as isize - low;
            let first = (0..step.min(kernel)).find(|&tap| distance(tap).rem_euclid(input_dilation as isize) == 0);
            let Some(first) = first else {
                sees_elements = false;
                dense.push(ConvolutionAxis::dense(extent));
                continue;
            };
            taps = self.along(taps, LEADING + place, [first, step, (kernel - first).div_ceil(step)])?;
            dense.push(ConvolutionAxis {
                extent,
                stride: if extent == 1 { 1 } else { phases * stride / input_dilation },
                dilation: step * dilation / input_dilation,
                input_dilation: 1,
                low: -(distance(first) / input_dilation as isize),
            });
        }
        let apart: Shape =
            [x[0], x[1], w[1]].into_iter().chain(dense.iter().flat_map(|axis| [axis.extent, 1])).collect();
        if !sees_elements {
            return self.constant(0.0, &apart);
        }
        let result = self.convolution(input, taps, dense)?;
        self.reshape(result, &apart)
    }

    /// The axis at `place` in blocks, of which each place is a feature.
    fn blocks(
        &mut self,
        input: NodeId,
        weight: NodeId,
        mut axes: Vec<ConvolutionAxis>,
        place: usize,
    ) -> Result<NodeId, GraphError> {
        let (w, along) = (self.shape(weight), LEADING + place);
        let ConvolutionAxis { extent, input_dilation: apart, low, .. } = axes[place];
        let (kernel, features) = (w[along], w[1]);
        let block = kernel.min(apart);
        let number = kernel.div_ceil(block);
        let whole = self.padded(weight, along, 0, 0, number * block)?;
        // [g, o, c, .., number, block, ..] -> [g, o block, c, .., number, ..].
        let cut: Shape =
            w[..along].iter().copied().chain([number, block]).chain(w[along + 1..].iter().copied()).collect();
        let cut = self.reshape(whole, &cut)?;
        let inner = along + 1;
        let order = [0, 1, inner].into_iter().chain((2..=w.rank()).filter(|&axis| axis != inner)).collect();
        let cut = self.permute(cut, order)?;
        let of_blocks = w.with_extent(1, features * block).with_extent(along, number);
        let of_blocks = self.reshape(cut, &of_blocks)?;
        let (first, steps) = steps_of_blocks(&axes[place], block);
        axes[place] = ConvolutionAxis { low: -first, ..ConvolutionAxis::dense(steps) };
        let convolution = self.convolution(input, of_blocks, axes)?;
        // [n, g, o block, .., j, ..] -> [n, g, o, .., j, block reversed, ..].
        let shape = self.shape(convolution);
        let cut: Shape =
            shape[..2].iter().copied().chain([features, block]).chain(shape[LEADING..].iter().copied()).collect();
        let cut = self.reshape(convolution, &cut)?;
        let order =
            (0..LEADING).chain(LEADING + 1..=along + 1).chain([LEADING]).chain(along + 2..=shape.rank()).collect();
        let cut = self.permute(cut, order)?;
        let cut = self.flip(cut, [along + 1].into_iter().collect())?;
        let cut = self.padded(cut, along + 1, 0, 0, apart)?;
        let joined = shape.with_extent(2, features).with_extent(along, steps * apart);
        let joined = self.reshape(cut, &joined)?;
        let begin = first * apart as isize + low - (block as isize - 1);
        self.fitted(joined, along, -begin, extent)
    }
}

/// The place `v` of a block sees element `j + i` of block `i` at coordinate `j apart + low - v`: the first `j` with a coordinate that is a result, and
/// how many there are to the last.
fn steps_of_blocks(axis: &ConvolutionAxis, block: usize) -> (isize, usize) {
    let ConvolutionAxis { extent, input_dilation, low, .. } = *axis;
    let apart = input_dilation as isize;
    let first = (-low).div_euclid(apart) + isize::from((-low).rem_euclid(apart) != 0);
    let last = (extent as isize - 1 - low + block as isize - 1).div_euclid(apart);
    (first, (last - first + 1).max(0) as usize)
}

/// How many residues of coordinates there are along an axis: after so many, results see the same places of the weight again.
fn count(axis: &ConvolutionAxis) -> usize {
    axis.input_dilation / gcd(axis.stride, axis.input_dilation)
}

fn gcd(a: usize, b: usize) -> usize {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
