//! What is done to a tile of scores between its products: scale, mask and causality, exponentials.

use std::ops::{Add, Div, Mul, Sub};

use arenagrad_graph::{Elements, StorageType};

use super::product::{BLOCK, Tile};
use crate::attention::{Attention, AttentionMask};
use crate::cpu::buffer::{Operands, typed};
use crate::cpu::double;
use crate::cpu::functions;
use crate::cpu::real::Real;
use crate::kernel::Matrices;

/// An element type of attention.
pub(super) trait Attended:
    Real + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    const NEGATIVE_INFINITY: Self;
    const ONE: Self;
    const HALF: Self;
    /// `e^x` for an `x` of at most about 1; 0 where that is no normal number.
    fn exp<const FUSED: bool>(self) -> Self;
    /// `ln(self) - difference`.
    fn ln_less(self, difference: Self) -> Self;
}

impl Attended for f32 {
    const NEGATIVE_INFINITY: f32 = f32::NEG_INFINITY;
    const ONE: f32 = 1.0;
    const HALF: f32 = 0.5;

    #[inline(always)]
    fn exp<const FUSED: bool>(self) -> f32 {
        functions::exp_normal::<FUSED>(self)
    }

    fn ln_less(self, difference: f32) -> f32 {
        (f64::from(self).ln() - f64::from(difference)) as f32
    }
}

impl Attended for f64 {
    const NEGATIVE_INFINITY: f64 = f64::NEG_INFINITY;
    const ONE: f64 = 1.0;
    const HALF: f64 = 0.5;

    #[inline(always)]
    fn exp<const FUSED: bool>(self) -> f64 {
        const LEAST: f64 = -708.0;
        let value = double::exp::<FUSED>(self);
        if self < LEAST { 0.0 } else { value }
    }

    fn ln_less(self, difference: f64) -> f64 {
        self.ln() - difference
    }
}

/// What the sums of a row of queries are sums of: `e^(score - reference)`.
///
/// Where a score is larger than the reference by half, the largest becomes the reference, and what was summed before is multiplied by what that is
/// worth now. The roundings of that do not add up, for each time makes less than two thirds of what was there before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale<T> {
    /// The largest score so far.
    pub(super) largest: T,
    reference: T,
}

impl<T: Attended> Scale<T> {
    /// That of a row of which no key was met.
    pub(super) const NONE: Self = Scale { largest: T::NEGATIVE_INFINITY, reference: T::NEGATIVE_INFINITY };

    /// The logarithm of the sum of `e^(score - largest)`, given the sum relative to the reference.
    pub(super) fn logarithm(self, sum: T) -> T {
        sum.ln_less(self.largest - self.reference)
    }
}

/// The mask of a step as it is read.
#[derive(Clone, Copy)]
pub(super) struct Mask<'a, T> {
    layout: &'a AttentionMask,
    elements: MaskElements<'a, T>,
}

#[derive(Clone, Copy)]
enum MaskElements<'a, T> {
    Bool(&'a [u8]),
    Added(&'a [T]),
}

impl<'a, T: Attended> Mask<'a, T> {
    pub(super) fn of(attention: &'a Attention, operands: Operands<'a>) -> Option<Self> {
        let layout = attention.mask.as_ref()?;
        let buffer: &Elements = operands.buffer(3);
        let is_bool = buffer.storage() == StorageType::Bool;
        let elements = if is_bool { MaskElements::Bool(typed(buffer)) } else { MaskElements::Added(typed(buffer)) };
        Some(Mask { layout, elements })
    }

    /// Adds the mask of one row to its scores.
    #[inline(always)]
    fn add(&self, head: usize, position: usize, first_key: usize, scores: &mut [T]) {
        let Matrices { rows, columns, .. } = &self.layout.scores;
        let stride = columns.stride().unwrap_or(0);
        let start = self.layout.scores.start(head).wrapping_add_signed(rows.distance(position));
        let start = start.wrapping_add_signed(first_key as isize * stride);
        let at = |key: usize| start.wrapping_add_signed(key as isize * stride);
        match self.elements {
            MaskElements::Bool(elements) if stride == 1 => {
                for (score, &is_attended) in scores.iter_mut().zip(&elements[start..]) {
                    *score = *score + if is_attended != 0 { T::default() } else { T::NEGATIVE_INFINITY };
                }
            }
            MaskElements::Added(elements) if stride == 1 => {
                for (score, &added) in scores.iter_mut().zip(&elements[start..]) {
                    *score = *score + added;
                }
            }
            MaskElements::Bool(elements) => {
                for (key, score) in scores.iter_mut().enumerate() {
                    *score = *score + if elements[at(key)] != 0 { T::default() } else { T::NEGATIVE_INFINITY };
                }
            }
            MaskElements::Added(elements) => {
                for (key, score) in scores.iter_mut().enumerate() {
                    *score = *score + elements[at(key)];
                }
            }
        }
    }
}

/// Where a tile of scores stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a, T> {
    pub(super) mask: Option<&'a Mask<'a, T>>,
    pub(super) is_causal: bool,
    pub(super) scale: T,
    pub(super) head: usize,
    /// Its first query.
    pub(super) position: usize,
    pub(super) positions: usize,
    /// Its first key.
    pub(super) key: usize,
    pub(super) keys: usize,
}

impl<T: Attended> Place<'_, T> {
    /// Makes scores of the products in one row of the tile, and says how many there are. Past the last key, and past the position of a causal row, they
    /// are -inf.
    #[inline(always)]
    fn finish(&self, row: usize, scores: &mut [T; BLOCK]) -> usize {
        for score in scores.iter_mut() {
            *score = *score * self.scale;
        }
        if let Some(mask) = self.mask {
            mask.add(self.head, self.position + row, self.key, &mut scores[..self.keys]);
        }
        let seen = self.seen(row);
        for score in &mut scores[seen..] {
            *score = T::NEGATIVE_INFINITY;
        }
        seen
    }

    /// How many keys of the tile come before what a row does not attend: all, or those up to the position of a causal row.
    #[inline(always)]
    fn seen(&self, row: usize) -> usize {
        if !self.is_causal {
            return self.keys;
        }
        self.keys.min((self.position + row + 1).saturating_sub(self.key))
    }

    /// Makes exponentials of the products of a tile, less what the row's sums are relative to, and brings the sum up to date. `factors` are what
    /// earlier sums and outputs of the rows are worth now.
    #[inline(always)]
    pub(super) fn exponentials<const FUSED: bool>(
        &self,
        tile: &mut Tile<T>,
        scales: &mut [Scale<T>],
        sums: &mut [T],
        factors: &mut [T; BLOCK],
    ) {
        // In three passes, the rows of each of which do not wait for one another.
        let mut shifts = [T::default(); BLOCK];
        let rows = tile.iter_mut().zip(shifts.iter_mut().zip(&*scales));
        for (row, (line, (shift, scale))) in rows.enumerate().take(self.positions) {
            let Some(scores) = line.first_chunk_mut::<BLOCK>() else { return };
            let seen = self.finish(row, scores);
            let mut lanes = [T::NEGATIVE_INFINITY; LANES];
            for chunk in &scores.as_chunks::<LANES>().0[..seen.div_ceil(LANES)] {
                for (lane, &score) in lanes.iter_mut().zip(chunk) {
                    *lane = larger(*lane, score);
                }
            }
            *shift = larger(scale.largest, fold(lanes, larger));
        }
        for ((scale, shift), factor) in scales.iter_mut().zip(&mut shifts).zip(&mut *factors) {
            scale.largest = *shift;
            let now = if scale.largest > scale.reference + T::HALF { scale.largest } else { scale.reference };
            // Where nothing is attended yet, -inf less -inf would be NaN.
            *shift = if now == T::NEGATIVE_INFINITY { T::default() } else { now };
            *factor = (scale.reference - *shift).exp::<FUSED>();
            scale.reference = now;
        }
        let rows = tile.iter_mut().zip(sums).zip(shifts.iter().zip(&*factors));
        for (row, ((line, sum), (&shift, &factor))) in rows.enumerate().take(self.positions) {
            let Some(scores) = line.first_chunk_mut::<BLOCK>() else { return };
            let seen = self.seen(row).div_ceil(LANES);
            let (scores, unseen) = scores.as_chunks_mut::<LANES>().0.split_at_mut(seen);
            let mut lanes = [T::default(); LANES];
            for chunk in scores {
                for (lane, score) in lanes.iter_mut().zip(chunk) {
                    *score = (*score - shift).exp::<FUSED>();
                    *lane = *lane + *score;
                }
            }
            unseen.as_flattened_mut().fill(T::default());
            *sum = *sum * factor + fold(lanes, |a, b| a + b);
        }
    }

    /// Makes probabilities of the products in `tile`, by the softmax statistics of the rows; and of those in `differences`, of
    /// upstream gradients with values, the gradients of the scores, times the scale.
    #[inline(always)]
    pub(super) fn gradients<const FUSED: bool>(
        &self,
        tile: &mut Tile<T>,
        mut differences: Option<&mut Tile<T>>,
        statistics: &[[T; 2]],
        weighted: &[T],
    ) {
        for (row, (line, (&[largest, logarithm], &weighted))) in
            tile.iter_mut().zip(statistics.iter().zip(weighted)).enumerate().take(self.positions)
        {
            let Some(scores) = line.first_chunk_mut::<BLOCK>() else { return };
            let seen = self.finish(row, scores);
            let (scores, unseen) = scores.as_chunks_mut::<LANES>().0.split_at_mut(seen.div_ceil(LANES));
            // The largest score first: beside it the logarithm would lose its digits.
            for score in scores.as_flattened_mut() {
                *score = ((*score - largest) - logarithm).exp::<FUSED>();
            }
            unseen.as_flattened_mut().fill(T::default());
            let Some(differences) = &mut differences else { continue };
            let line = &mut differences[row][..BLOCK];
            for (difference, &probability) in line.iter_mut().zip(scores.as_flattened()) {
                *difference = probability * (*difference - weighted) * self.scale;
            }
            // Products read past the last of them.
            line[seen..].fill(T::default());
        }
    }
}

/// Elements that are folded together.
const LANES: usize = 16;

/// The larger of two; the first if either is NaN.
#[inline(always)]
fn larger<T: Attended>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// What `combine` makes of lanes, by halves.
#[inline(always)]
fn fold<T: Attended>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}
