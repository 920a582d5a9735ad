//! Padding by what the operand itself has at its ends: mirrored, repeated, or wrapped around.
//!
//! Each mode is a concatenation of views of the operand, and its gradient one of sums of views of the upstream gradient: a *run* is a view of neighbours along an
//! axis, and the operand's axis is cut where runs begin and end.

use std::ops::Range;

use crate::error::GraphError;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::shape::{AxisSet, Shape};

/// What stands in the padding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// That number.
    Constant(f64),
    /// The elements mirrored at the first and the last, which are not repeated: `c b | a b c d | c b`.
    Reflect,
    /// The first and the last element again and again: `a a | a b c d | d d`. PyTorch's `replicate`.
    Replicate,
    /// The elements of the other end, as on a ring: `c d | a b c d | a b`.
    Circular,
}

/// Some neighbouring elements of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// Elements `start..start + count` in order.
    Forward { start: usize, count: usize },
    /// Elements from `start + count - 1` down to `start`.
    Backward { start: usize, count: usize },
    /// One element, several times.
    Repeated { start: usize, count: usize },
}

impl<'g> Expr<'g> {
    /// The last axes padded before and after their elements: one pair `(before, after)` for each of as many last axes as there are pairs,
    /// outermost first; `[.., h, w] -> [.., before_h + h + after_h, before_w + w + after_w]` by two. A negative number takes elements away
    /// instead. Any dtype.
    ///
    /// PyTorch's `F.pad` lists the last axis first: `F.pad(x, (left, right, top, bottom), mode="reflect")` is
    /// `x.pad_with([(top, bottom), (left, right)], PadMode::Reflect)`.
    ///
    /// The gradient of an element is the sum over all places where it stands.
    ///
    /// Errors: more pairs than axes; more elements taken away than there are; of [`PadMode::Reflect`] padding that is not shorter than the
    /// axis, of [`PadMode::Circular`] padding longer than what is left of the axis, of [`PadMode::Replicate`] an axis without elements;
    /// a constant that i32 or bool does not hold.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, PadMode};
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 3, 5, 5]);
    /// let mirrored = x.pad_with([(1, 1), (2, 2)], PadMode::Reflect);
    /// assert_eq!(mirrored.shape()?.dims(), &[1, 3, 7, 9]);
    /// let cropped = x.pad_with([(-1, 0)], PadMode::Constant(0.0));
    /// assert_eq!(cropped.shape()?.dims(), &[1, 3, 5, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pad_with(self, amounts: impl AsRef<[(isize, isize)]>, mode: PadMode) -> Expr<'g> {
        let method = self.enter("pad_with");
        let origin = method.origin();
        let amounts = amounts.as_ref();
        let Some(shape) = self.read("pad_with", origin, |_, node| node.shape.clone()) else { return self };
        let Some(first) = shape.rank().checked_sub(amounts.len()) else {
            let expected = format!("rank {} or more, that of the amounts,", amounts.len());
            let (op, operand, rank) = ("pad_with", self.describe(), shape.rank());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        };
        let axes = || amounts.iter().enumerate().map(|(place, &amount)| (first + place, amount));
        // All axes are checked before anything is built.
        for (axis, amount) in axes() {
            if let Err(error) = self.check_padding(&shape, axis, amount, mode, origin) {
                return self.fail(error);
            }
        }
        self.graph().at(origin, || match mode {
            PadMode::Constant(value) => {
                let mut cropped = self;
                let mut around = vec![(0, 0); shape.rank()];
                for (axis, (before, after)) in axes() {
                    let (low, high) = (before.min(0).unsigned_abs(), after.min(0).unsigned_abs());
                    // What is taken away may go past the elements, into the padding of the other side.
                    let (extent, padded) = (shape[axis], [before, after].map(|amount| amount.max(0).unsigned_abs()));
                    let start = low.min(extent);
                    let end = extent - high.min(extent - start);
                    cropped = cropped.slice(axis as isize, start, end);
                    around[axis] =
                        (padded[0].saturating_sub(high - (extent - end)), padded[1].saturating_sub(low - start));
                }
                cropped.pad(around, value)
            }
            PadMode::Reflect | PadMode::Replicate | PadMode::Circular => {
                let axes = axes().map(|(axis, amount)| Padded::new(axis, shape[axis], amount, mode)).collect();
                let padding = Padding { axes };
                // Integers have no gradient that could be given.
                match self.dtype() {
                    Ok(dtype) if dtype.is_float() => self.graph().apply(&padding, &[self]),
                    Ok(_) | Err(_) => padding.pad(self),
                }
            }
        })
    }

    /// Refuses amounts that an axis cannot be padded by.
    fn check_padding(
        self,
        shape: &Shape,
        axis: usize,
        (before, after): (isize, isize),
        mode: PadMode,
        origin: Origin,
    ) -> Result<(), GraphError> {
        let (op, extent) = ("pad_with", shape[axis]);
        let wide = |extent: usize| i128::try_from(extent).unwrap_or(i128::MAX);
        let left = wide(extent) + (before as i128).min(0) + (after as i128).min(0);
        let argument = |value: isize, expected| {
            Err(GraphError::Argument { origin, op, what: "the padding", value: value as f64, expected })
        };
        let least = before.min(after);
        match mode {
            PadMode::Constant(_) | PadMode::Reflect | PadMode::Replicate | PadMode::Circular if left < 0 => {
                argument(least, "a cut of no more elements than there are")
            }
            PadMode::Constant(_) => Ok(()),
            PadMode::Reflect | PadMode::Replicate | PadMode::Circular if before <= 0 && after <= 0 => Ok(()),
            PadMode::Reflect if before.max(after) as i128 >= wide(extent) => {
                argument(before.max(after), "less than the elements of the axis")
            }
            PadMode::Circular if before.max(after) as i128 > left => {
                argument(before.max(after), "at most the elements of the axis")
            }
            PadMode::Replicate if extent == 0 => {
                let (operand, shape) = (self.describe(), shape.clone());
                Err(GraphError::EmptyAxis { origin, op, function: "border", operand, shape, axis })
            }
            PadMode::Reflect | PadMode::Replicate | PadMode::Circular => Ok(()),
        }
    }

    fn run(self, axis: usize, run: Run) -> Expr<'g> {
        let along = axis as isize;
        match run {
            Run::Forward { start, count } => self.slice(along, start, start + count),
            Run::Backward { start, count } => self.slice(along, start, start + count).flip(along),
            Run::Repeated { start, count } => {
                let one = self.slice(along, start, start + 1);
                match one.shape() {
                    Ok(shape) => one.broadcast_to(shape.with_extent(axis, count)),
                    Err(_) => one,
                }
            }
        }
    }
}

impl Run {
    fn count(self) -> usize {
        match self {
            Run::Forward { count, .. } | Run::Backward { count, .. } | Run::Repeated { count, .. } => count,
        }
    }

    /// The elements that it shows.
    fn elements(self) -> Range<usize> {
        match self {
            Run::Forward { start, count } | Run::Backward { start, count } => start..start + count,
            Run::Repeated { start, .. } => start..start + 1,
        }
    }
}

/// An axis padded by its own elements.
#[derive(Clone, Debug)]
struct Padded {
    axis: usize,
    /// The elements of the operand.
    extent: usize,
    /// What stands in the result one behind the other, none of it empty but for a result without elements.
    runs: Vec<Run>,
}

impl Padded {
    fn new(axis: usize, extent: usize, (before, after): (isize, isize), mode: PadMode) -> Self {
        let [low, high] = [before, after].map(|amount| amount.max(0).unsigned_abs());
        let [taken_low, taken_high] = [before, after].map(|amount| amount.min(0).unsigned_abs());
        let (start, end) = (taken_low, extent - taken_high);
        let within = Run::Forward { start, count: end - start };
        let around = match mode {
            PadMode::Reflect => Some((
                Run::Backward { start: 1, count: low },
                Run::Backward { start: extent.saturating_sub(1 + high), count: high },
            )),
            PadMode::Replicate => Some((
                Run::Repeated { start: 0, count: low },
                Run::Repeated { start: extent.saturating_sub(1), count: high },
            )),
            // What is taken away is no part of the ring.
            PadMode::Circular => {
                Some((Run::Forward { start: end.saturating_sub(low), count: low }, Run::Forward { start, count: high }))
            }
            PadMode::Constant(_) => None,
        };
        let runs = match around {
            Some((in_front, behind)) => vec![in_front, within, behind],
            None => vec![within],
        };
        let mut runs: Vec<Run> = runs.into_iter().filter(|run| run.count() > 0).collect();
        if runs.is_empty() {
            runs.push(within);
        }
        Padded { axis, extent, runs }
    }

    /// Where the operand's axis is cut: at its ends, and where runs begin and end.
    fn cuts(&self) -> Vec<usize> {
        let ends =
            self.runs.iter().filter(|run| run.count() > 0).flat_map(|run| [run.elements().start, run.elements().end]);
        let mut cuts: Vec<usize> = ends.chain([0, self.extent]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The gradient of the operand's elements between two neighbouring cuts, given that of the result; none if no run shows them.
    fn gradient_of<'g>(&self, upstream: Expr<'g>, start: usize, end: usize) -> Option<Expr<'g>> {
        let (along, mut first) = (self.axis as isize, 0);
        let mut sum: Option<Expr<'g>> = None;
        for run in &self.runs {
            let (elements, place) = (run.elements(), first);
            first += run.count();
            if run.count() == 0 || elements.start > start || elements.end < end {
                continue;
            }
            let (low, high) = (start - elements.start, end - elements.start);
            let share = match run {
                Run::Forward { .. } => upstream.slice(along, place + low, place + high),
                Run::Backward { count, .. } => {
                    upstream.slice(along, place + count - high, place + count - low).flip(along)
                }
                Run::Repeated { count, .. } => {
                    let axes: AxisSet = [self.axis].into_iter().collect();
                    upstream.slice(along, place, place + count).sum_keepdims(axes)
                }
            };
            sum = Some(sum.map_or(share, |sum| sum + share));
        }
        sum
    }
}

/// The most pieces that a result is put together of at once; one of more is padded an axis at a time.
const MOST_PIECES: usize = 32;

/// Some axes padded by their own elements.
struct Padding {
    axes: Vec<Padded>,
}

impl Padding {
    fn pad<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let pieces = |axis: &Padded, x: Expr<'g>| axis.runs.iter().map(|&run| x.run(axis.axis, run)).collect();
        put_together(x, &self.axes, &|axis: &Padded| axis.runs.len(), &pieces)
    }
}

/// Something of which each axis is replaced by pieces one behind the other, which `pieces` makes: as one concatenation of concatenations, which a plan makes at once.
fn put_together<'g>(
    x: Expr<'g>,
    axes: &[Padded],
    count: &dyn Fn(&Padded) -> usize,
    pieces: &dyn Fn(&Padded, Expr<'g>) -> Vec<Expr<'g>>,
) -> Expr<'g> {
    let Some((first, rest)) = axes.split_first() else { return x };
    let join = |pieces: Vec<Expr<'g>>| match pieces.as_slice() {
        [piece] => *piece,
        pieces => x.graph().concat(pieces, first.axis as isize),
    };
    let all = axes.iter().fold(1usize, |product, axis| product.saturating_mul(count(axis)));
    if all > MOST_PIECES {
        return put_together(join(pieces(first, x)), rest, count, pieces);
    }
    join(pieces(first, x).into_iter().map(|piece| put_together(piece, rest, count, pieces)).collect())
}

impl Function for Padding {
    fn name(&self) -> &'static str {
        "pad_with"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        self.pad(operands[0])
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let pieces = |axis: &Padded, x: Expr<'g>| {
            let Ok((shape, dtype)) = x.shape().and_then(|shape| Ok((shape, x.dtype()?))) else { return vec![x] };
            let cuts = axis.cuts();
            let piece = |pair: &[usize]| {
                let zeros = || context.graph().zeros(shape.with_extent(axis.axis, pair[1] - pair[0]), dtype);
                axis.gradient_of(x, pair[0], pair[1]).unwrap_or_else(zeros)
            };
            let pieces: Vec<Expr<'g>> = cuts.windows(2).map(piece).collect();
            if pieces.is_empty() { vec![context.graph().zeros(shape.with_extent(axis.axis, 0), dtype)] } else { pieces }
        };
        vec![Some(put_together(upstream, &self.axes, &|axis: &Padded| axis.cuts().len().saturating_sub(1), &pieces))]
    }
}
