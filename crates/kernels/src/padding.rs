//! Padding that a matrix product does itself, so that the padded operand of a convolution is stored nowhere.
//!
//! The padded tensor is equal blocks, one after the other, such as the images of a batch. A product fills one block, or the few that a part of
//! the depth reads, in memory that stays in a near cache, and reads them there. It knows nothing of images: where the
//! elements of the operand stand in the padded tensor its [`Matrices`] say.

use crate::kernel::{Matrices, Piece};
use crate::view::{Axes, Axis};

/// The most elements of a block: as many as stay in a near cache.
const MOST_ELEMENTS: usize = 256 * 1024;

/// The most elements of blocks that are padded at once for the sake of their depth: as many as stay in the second cache.
const MOST_AT_ONCE: usize = 64 * 1024;

/// How much of the depth blocks are to have that are padded at once, if there are so many.
const DEPTH_AT_ONCE: usize = 512;

/// How much of it they have to have: a product takes its sums up again behind each such part of the depth.
const LEAST_DEPTH: usize = 256;

/// What an operand of a product is made of: the operand stands in a tensor of blocks, of which each is a part of the product's input and what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Padding {
    /// How many blocks there are.
    pub blocks: usize,
    /// The elements of a block.
    pub elements: usize,
    /// How far apart in the input the parts are that blocks hold.
    pub stride: usize,
    /// Where the elements of the first block's part stand in the input, and where in the block.
    pub piece: Piece,
    /// The value of all other elements.
    pub fill: f64,
}

impl Padding {
    /// Whether each matrix of a right operand that lies so lies in one block.
    pub fn suits_rhs(&self, rhs: &Matrices) -> bool {
        let matrix = || rhs.rows.as_slice().iter().chain(rhs.columns.as_slice());
        let all = rhs.batch.as_slice().iter().chain(matrix());
        // How far an axis of the batch goes within a block: an axis of both blocks and parts of them, as of images and groups of
        // channels, goes from the first part to the last and on to the next block.
        let within = rhs.batch.as_slice().iter().map(|axis| match axis.stride.unsigned_abs() {
            stride if stride.is_multiple_of(self.elements) => 0,
            stride if self.elements.is_multiple_of(stride) => reach(axis).min(self.elements - stride),
            _ => reach(axis),
        });
        all.clone().all(|axis| axis.stride >= 0)
            && self.is_near(rhs.offset % self.elements, within.chain(matrix().map(reach)))
            && rhs.offset + all.map(reach).sum::<usize>() < self.blocks * self.elements
    }

    /// Whether a left operand that lies so is a single matrix whose depth goes through one block after the other.
    pub fn suits_lhs(&self, lhs: &Matrices) -> bool {
        let all = lhs.rows.as_slice().iter().chain(lhs.columns.as_slice());
        let outer = usize::from(self.blocks > 1);
        let depth = lhs.columns.as_slice();
        let goes_through =
            outer == 0 || depth.first() == Some(&Axis { extent: self.blocks, stride: self.elements as isize });
        lhs.batch.count() == 1
            && goes_through
            && self.is_deep(lhs)
            && all.clone().all(|axis| axis.stride >= 0)
            && self.is_near(lhs.offset, lhs.rows.as_slice().iter().chain(&depth[outer..]).map(reach))
    }

    /// How many blocks of a left operand are padded at once, and how many places of the depth these have.
    pub(crate) fn at_once(&self, lhs: &Matrices) -> (usize, usize) {
        let of_block = lhs.columns.count() / self.blocks;
        let room = (MOST_AT_ONCE / self.elements).clamp(1, self.blocks);
        let blocks = (DEPTH_AT_ONCE / of_block.max(1)).clamp(1, room);
        (blocks, blocks * of_block)
    }

    /// Whether enough of the depth of a left operand is padded at once.
    fn is_deep(&self, lhs: &Matrices) -> bool {
        let (blocks, depth) = self.at_once(lhs);
        depth >= LEAST_DEPTH || blocks == self.blocks
    }

    /// Whether all that is reached from an element on is in its block, which is no larger than what stays in a near cache.
    fn is_near(&self, offset: usize, reaches: impl Iterator<Item = usize>) -> bool {
        (2..=MOST_ELEMENTS).contains(&self.elements) && offset + reaches.sum::<usize>() < self.elements
    }
}

impl Matrices {
    /// The same elements of a tensor `[blocks, channels, elements]`, where they stand in `[channels, blocks, elements]` now. None where an axis
    /// of them is more than one of the tensor, or where they go from one block or channel into the next by way of another axis.
    pub fn blocks_first(&self, [channels, blocks, elements]: [usize; 3]) -> Option<Matrices> {
        let channel = blocks * elements;
        if channel == 0 {
            return None;
        }
        let (first, rest) = (self.offset / channel, self.offset % channel);
        // How far along the blocks, and within one, all axes go together.
        let (mut furthest_block, mut furthest_within) = (rest / elements, rest % elements);
        let offset = (furthest_block * channels + first) * elements + furthest_within;
        let mut moved = |axes: &Axes| -> Option<Axes> {
            let moved = axes.as_slice().iter().map(|axis| {
                let distance = usize::try_from(axis.stride).ok()?;
                let stride = if distance.is_multiple_of(channel) {
                    distance / blocks
                } else if distance.is_multiple_of(elements) {
                    furthest_block += reach(axis) / elements;
                    distance * channels
                } else {
                    furthest_within += reach(axis);
                    distance
                };
                Some(Axis { extent: axis.extent, stride: stride as isize })
            });
            Some(Axes::new(moved.collect::<Option<Vec<Axis>>>()?))
        };
        let [batch, rows, columns] = [moved(&self.batch)?, moved(&self.rows)?, moved(&self.columns)?];
        (furthest_block < blocks && furthest_within < elements).then_some(Matrices { offset, batch, rows, columns })
    }
}

/// How far the last position of an axis is from the first.
pub(crate) fn reach(axis: &Axis) -> usize {
    axis.extent.saturating_sub(1) * axis.stride.unsigned_abs()
}
