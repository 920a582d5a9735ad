//! Convolutions many of whose windows reach past the input, without the products by what is outside of it.
//!
//! They are what gradients of convolutions by their inputs are where a kernel is large beside the results, and what a transposed convolution of a few
//! elements is.
//!
//! * *Single elements*: along an axis with one element, a result sees that element by one place of the weight, if at all. The
//!   places become features of a convolution with one result there, and what sees nothing is zeros.
//! * *Parts*: an axis of results is cut into parts, each a convolution with those places of the weight that see an element from
//!   there; they stand side by side.

use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::ConvolutionAxis;
use crate::ops::convolution::LEADING;
use crate::passes::convolution::build::Build;
use crate::shape::Shape;

/// The most parts of an axis. Each is a step of the plan, or several where other axes are cut too.
const MOST_PARTS: usize = 4;

/// By what each part beyond the first must pay for itself.
const COST_OF_PART: f64 = 0.05;

/// How many times the products of all parts there must be, along an axis, for it to be cut.
const WORTH_CUTTING: f64 = 1.25;

/// How many results each place of the weight must have a part in. What parts see of the weight is copied.
const RESULTS_OF_PLACE: usize = 512;

/// The multiplications of a convolution below which its steps are what costs.
const WORK: usize = 1 << 21;

impl Build<'_> {
    /// The convolution, if it has products by what is outside of the input and a form without them is better.
    pub(super) fn without_outside(
        &mut self,
        input: NodeId,
        weight: NodeId,
        axes: &[ConvolutionAxis],
    ) -> Result<Option<NodeId>, GraphError> {
        let (x, w) = (self.shape(input), self.shape(weight));
        let is_single = |&(place, axis): &(usize, &ConvolutionAxis)| {
            let (elements, kernel) = (x[LEADING + place], w[LEADING + place]);
            elements == 1 && kernel > 1 && (axis.stride, axis.dilation) == (1, 1)
        };
        if let Some((place, _)) = axes.iter().enumerate().find(is_single) {
            return self.single(input, weight, axes.to_vec(), place).map(Some);
        }
        self.cut(input, weight, axes, 0)
    }

    /// The convolution in parts of the first axis from `from` on that is better cut, and of those behind it.
    fn cut(
        &mut self,
        input: NodeId,
        weight: NodeId,
        axes: &[ConvolutionAxis],
        from: usize,
    ) -> Result<Option<NodeId>, GraphError> {
        let (x, w) = (self.shape(input), self.shape(weight));
        let [c, o] = [w[2], w[1]];
        if (c, o) == (1, 1) {
            // Sums of so few terms cost less than another step.
            return Ok(None);
        }
        let results = axes.iter().fold(x[0], |results, axis| results.saturating_mul(axis.extent));
        if results < RESULTS_OF_PLACE || results.saturating_mul(w.elements()) < WORK {
            return Ok(None);
        }
        for (place, axis) in axes.iter().enumerate().skip(from) {
            let sight = Sight { elements: x[LEADING + place], kernel: w[LEADING + place], axis };
            let parts = sight.best_parts();
            if parts > 1 {
                return self.parts(input, weight, axes, (place, parts)).map(Some);
            }
        }
        Ok(None)
    }

    /// The axis at `place`, of a single element, with the places of the weight that its results see as features.
    fn single(
        &mut self,
        input: NodeId,
        weight: NodeId,
        mut axes: Vec<ConvolutionAxis>,
        place: usize,
    ) -> Result<NodeId, GraphError> {
        let (w, along, rank) = (self.shape(weight), LEADING + place, axes.len());
        let (kernel, features) = (w[along], w[1]);
        let ConvolutionAxis { extent: all, low, .. } = axes[place];
        // Result `r` sees the element by place `low - r`, which is `kernel - 1 - low + r` of the places from the last on. Those that see it:
        let (last, count) = (kernel as isize - 1, all as isize);
        let (first, end) = ((low - last).clamp(0, count), (low + 1).clamp(0, count));
        if first >= end {
            let shape = [self.shape(input)[0], self.shape(input)[1], features];
            return self.constant(0.0, &shape.into_iter().chain(axes.iter().map(|axis| axis.extent)).collect());
        }
        let extent = (end - first) as usize;
        let flipped = self.flip(weight, [along].into_iter().collect())?;
        let seen = self.along(flipped, along, [(last - low + first) as usize, 1, extent])?;
        // [g, o, c, .., extent, ..] -> [g, o extent, c, .., 1, ..].
        let order = [0, 1, along].into_iter().chain((2..LEADING + rank).filter(|&axis| axis != along)).collect();
        let seen = self.permute(seen, order)?;
        let seen = self.reshape(seen, &w.with_extent(1, features * extent).with_extent(along, 1))?;
        axes[place] = ConvolutionAxis::dense(1);
        let convolution = self.convolution(input, seen, axes)?;
        // [n, g, o extent, .., 1, ..] -> [n, g, o, .., extent, ..].
        let shape = self.shape(convolution);
        let others = (LEADING..LEADING + rank).filter(|&axis| axis != along).map(|axis| shape[axis]);
        let cut: Shape = shape[..2].iter().copied().chain([features, extent]).chain(others).collect();
        let cut = self.reshape(convolution, &cut)?;
        let behind = |axis: usize| axis + 1;
        let order = (0..LEADING)
            .chain((LEADING..along).map(behind))
            .chain([LEADING])
            .chain((along..LEADING + rank - 1).map(behind))
            .collect();
        let seeing = self.permute(cut, order)?;
        self.padded(seeing, along, first as usize, 0, all)
    }

    /// The axis at `place` in so many parts.
    fn parts(
        &mut self,
        input: NodeId,
        weight: NodeId,
        axes: &[ConvolutionAxis],
        (place, parts): (usize, usize),
    ) -> Result<NodeId, GraphError> {
        let (x, w, along) = (self.shape(input), self.shape(weight), LEADING + place);
        let sight = Sight { elements: x[along], kernel: w[along], axis: &axes[place] };
        let mut results = Vec::with_capacity(parts);
        for (first, extent) in sight.parts(parts) {
            let (tap, taps) = sight.taps(first, extent);
            let mut axes = axes.to_vec();
            let axis = &mut axes[place];
            // Result `first + r` sees by place `tap + t` what result `r` sees by place `t` from there on.
            axis.low -= (first * axis.stride + tap * axis.dilation) as isize;
            axis.extent = extent;
            results.push(if taps == 0 {
                let leading = [x[0], x[1], w[1]].into_iter();
                self.constant(0.0, &leading.chain(axes.iter().map(|axis| axis.extent)).collect())?
            } else {
                let seen = self.along(weight, along, [tap, 1, taps])?;
                match self.cut(input, seen, &axes, place + 1)? {
                    Some(result) => result,
                    None => self.dense(input, seen, &axes)?,
                }
            });
        }
        self.concat(results, along)
    }
}

/// What results along an axis see of its elements.
struct Sight<'a> {
    elements: usize,
    kernel: usize,
    axis: &'a ConvolutionAxis,
}

impl Sight<'_> {
    /// The first of the places of the weight by which any of `extent` results from `first` on sees an element, and how many there are up to the last.
    fn taps(&self, first: usize, extent: usize) -> (usize, usize) {
        let ConvolutionAxis { stride, dilation, low, .. } = *self.axis;
        let [first, last] = [first, first + extent - 1].map(|result| (result * stride) as isize - low);
        let (dilation, kernel) = (dilation as isize, self.kernel as isize);
        // The last result reaches furthest, and sees the first element by the earliest place.
        let from = (-last).div_euclid(dilation) + isize::from((-last).rem_euclid(dilation) != 0);
        let end = (self.elements as isize - 1 - first).div_euclid(dilation) + 1;
        let (from, end) = (from.clamp(0, kernel), end.clamp(0, kernel));
        (from as usize, (end - from).max(0) as usize)
    }

    /// So many parts of the results, each with its first one and how many it has.
    fn parts(&self, parts: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let extent = self.axis.extent;
        let start = move |part: usize| extent * part / parts;
        (0..parts).map(move |part| (start(part), start(part + 1) - start(part)))
    }

    /// The products along the axis in so many parts.
    fn products(&self, parts: usize) -> usize {
        self.parts(parts).map(|(first, extent)| extent * self.taps(first, extent).1).sum()
    }

    /// In how many parts the axis is best computed.
    fn best_parts(&self) -> usize {
        let whole = self.axis.extent * self.kernel;
        let cost = |parts: usize| self.products(parts) as f64 * (1.0 + COST_OF_PART * (parts - 1) as f64);
        let most = MOST_PARTS.min(self.axis.extent);
        let best = (2..=most).min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
        best.filter(|&parts| cost(parts) * WORTH_CUTTING <= whole as f64).unwrap_or(1)
    }
}
