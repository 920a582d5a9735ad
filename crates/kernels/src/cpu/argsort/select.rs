//! The first few in order, without sorting all: what cannot be among them is passed over, many elements at a time.

use super::keys::Sortable;
use super::radix::Row;
use crate::cpu::processor::Vectorise;

/// How many elements are looked at before any is taken.
const BLOCK: usize = 64;

/// Room for candidates, for as many as are wanted: the larger the room, the seldomer they are sifted.
pub(super) fn room(count: usize) -> usize {
    count + count.max(1024)
}

/// Brings the first `count` in order of a row to the front of `candidates`, in no order, and gives how many there are.
pub(super) struct Select<'a, T: Sortable> {
    pub(super) row: Row<'a, T>,
    pub(super) count: usize,
    /// [`room`] for the count.
    pub(super) candidates: &'a mut [T::Keyed],
}

impl<T: Sortable> Vectorise for Select<'_, T> {
    type Output = usize;
    const WIDEST: bool = false;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> usize {
        let Select { row, count, candidates } = self;
        let mut taken = 0;
        // Whatever has a key above that of the last of the first `count` so far is none of them.
        let mut last = T::LAST;
        for (block, first) in row.elements.chunks(BLOCK).zip((row.first..).step_by(BLOCK)) {
            let is_descending = row.is_descending;
            let any = block.iter().fold(false, |any, element| any | (element.key(is_descending) <= last));
            if !any {
                continue;
            }
            for (element, index) in block.iter().zip(first..) {
                let key = element.key(is_descending);
                // Of equal keys those that came before stay.
                if key < last || (key == last && taken < count) || last == T::LAST {
                    candidates[taken] = T::keyed(key, index);
                    taken += 1;
                    if taken == candidates.len() {
                        taken = sift::<T>(&mut candidates[..taken], count);
                        last = T::key_of(candidates[count - 1]);
                    }
                }
            }
        }
        sift::<T>(&mut candidates[..taken], count)
    }
}

/// Brings the first `count` to the front, the last of them to its place, and gives how many there are.
#[inline(never)]
pub(super) fn sift<T: Sortable>(candidates: &mut [T::Keyed], count: usize) -> usize {
    if candidates.len() > count {
        candidates.select_nth_unstable(count - 1);
    }
    candidates.len().min(count)
}
