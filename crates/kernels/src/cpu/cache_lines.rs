//! Memory that begins at a line of the processor's caches and is as long as some of them, seen as elements of any type.
//!
//! A vector of AVX-512 is as long as a line: beside a line each would be read from two. Registers are this and no
//! [`AlignedVec`](arenagrad_graph::AlignedVec), since they are taken out and put back for every instruction of a block, and a box is moved in
//! fewer words.

use bytemuck::{Pod, Zeroable};

use super::buffer::Element;
use super::registers::{Chunk, LANES};

/// So many bytes, beginning where a line of the caches does.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct CacheLine([u8; 64]);

// SAFETY: it is bytes, as many as its alignment, so there is nothing between or behind them.
unsafe impl Zeroable for CacheLine {}
// SAFETY: as above; all bytes are valid as such.
unsafe impl Pod for CacheLine {}

/// The bytes of a line of the caches.
pub(super) const LINE: usize = size_of::<CacheLine>();

/// A value that begins at a line of the caches: what the compiler keeps of it on the stack is read and written by whole lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct AtLine<T>(pub(super) T);

/// Lines that have room for so many chunks of elements, all zero.
pub(super) fn zeros<T: Element>(chunks: usize) -> Box<[CacheLine]> {
    // Chunks that are several lines make them a multiple of those.
    let lines = (chunks * size_of::<Chunk<T>>()).next_multiple_of(size_of::<Chunk<T>>().max(LINE)) / LINE;
    vec![CacheLine::zeroed(); lines].into_boxed_slice()
}

/// The chunks that lines hold.
#[inline(always)]
pub(super) fn chunks<T: Pod>(lines: &[CacheLine]) -> &[[T; LANES]] {
    bytemuck::cast_slice(lines)
}

/// The chunks that lines hold.
#[inline(always)]
pub(super) fn chunks_mut<T: Pod>(lines: &mut [CacheLine]) -> &mut [[T; LANES]] {
    bytemuck::cast_slice_mut(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_begins_at_a_line_and_has_room() {
        fn of<T: Element + Pod>() {
            for count in [0, 1, 2, 3, 4, 5, 63, 64] {
                let mut lines = zeros::<T>(count);
                assert!(chunks::<T>(&lines).len() >= count && chunks::<T>(&lines).len() < count + 4);
                assert!(chunks::<T>(&lines).as_ptr().addr().is_multiple_of(64));
                assert!(chunks_mut::<T>(&mut lines).as_flattened().iter().all(|&x| x == T::default()));
            }
        }
        of::<f32>();
        of::<f64>();
        of::<i32>();
        of::<u8>();
    }
}
