//! Slots given out anew, the largest results first.
//!
//! While results are placed in the order in which they are computed (`memory`), a small one may take a slot that a larger one needs later, and
//! then there is one more. When it is known when each result is held, the largest choose first, each the smallest slot that is free for as
//! long as it is held (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020: greedy by size for shared
//! objects). Neither way is always the better, so the plan takes the one of fewer bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arenagrad_graph::StorageType;

use crate::plan::entries::Entry;
use crate::plan::memory::{BufferRole, BufferSpec, Memory};

/// How many slots are looked at for a result: the smallest.
const MOST_LOOKED_AT: usize = 256;

/// Results that are written over one another: they stay in one slot.
struct Group {
    storage: StorageType,
    elements: usize,
    first: u32,
    last: u32,
}

struct Slot {
    storage: StorageType,
    elements: usize,
    /// When it is taken: the last step by the first.
    taken: BTreeMap<u32, u32>,
}

/// Gives the results other slots where these take fewer bytes together.
pub(super) fn improve(entries: &[Entry], memory: &mut Memory) {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: Vec<usize> = Vec::with_capacity(memory.held.len());
    for held in &memory.held {
        let entry = &entries[held.entry as usize];
        let last = held.last.unwrap_or(u32::MAX);
        let number = match held.over {
            Some(over) => group_of[over as usize],
            None => {
                groups.push(Group { storage: entry.storage, elements: 0, first: held.first, last });
                groups.len() - 1
            }
        };
        let group = &mut groups[number];
        (group.elements, group.last) = (group.elements.max(entry.shape.elements()), last);
        group_of.push(number);
    }
    let bytes = |storage: StorageType, elements: usize| elements.saturating_mul(storage.bytes()) as u128;
    let present = memory.buffers.iter().filter(|spec| spec.role == BufferRole::Slot);
    let present: u128 = present.map(|spec| bytes(spec.storage, spec.elements)).sum();
    // Where results are all of one size, as they often are, the slots are already as few as can be.
    if present <= fewest(&groups) {
        return;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&number| (Reverse(groups[number].elements), groups[number].first));
    let mut slots: Vec<Slot> = Vec::new();
    // For each storage type its slots, the largest first.
    let mut by_type: BTreeMap<StorageType, Vec<u32>> = BTreeMap::new();
    let mut slot_of: Vec<u32> = vec![0; groups.len()];
    for number in order {
        let Group { storage, elements, first, last } = groups[number];
        let own = by_type.entry(storage).or_default();
        let is_free = |&&slot: &&u32| {
            let before = slots[slot as usize].taken.range(..=last).next_back();
            before.is_none_or(|(_, &end)| end < first)
        };
        let slot = match own.iter().rev().take(MOST_LOOKED_AT).find(is_free) {
            Some(&slot) => slot,
            None => {
                let slot = slots.len() as u32;
                slots.push(Slot { storage, elements, taken: BTreeMap::new() });
                own.push(slot);
                slot
            }
        };
        slots[slot as usize].taken.insert(first, last);
        slot_of[number] = slot;
    }
    let improved: u128 = slots.iter().map(|slot| bytes(slot.storage, slot.elements)).sum();
    if improved >= present {
        return;
    }
    memory.buffers.retain(|spec| spec.role != BufferRole::Slot);
    // In the order in which they are first used, for a reader.
    let mut number_of: Vec<Option<u32>> = vec![None; slots.len()];
    for (held, group) in memory.held.iter_mut().zip(&group_of) {
        let slot = slot_of[*group];
        let number = *number_of[slot as usize].get_or_insert_with(|| {
            let Slot { storage, elements, .. } = slots[slot as usize];
            memory.buffers.push(BufferSpec { role: BufferRole::Slot, storage, elements });
            memory.buffers.len() as u32 - 1
        });
        held.slot = number;
        memory.buffer_of[held.entry as usize] = number;
    }
}

/// The bytes without which no slots can do: of each storage type the most that are held at once.
fn fewest(groups: &[Group]) -> u128 {
    let mut by_type: BTreeMap<StorageType, Vec<(u32, bool, usize)>> = BTreeMap::new();
    for &Group { storage, elements, first, last } in groups {
        // What ends in a step is held with what begins there, so it goes after it.
        by_type.entry(storage).or_default().extend([(first, false, elements), (last, true, elements)]);
    }
    let most = |(storage, mut changes): (StorageType, Vec<(u32, bool, usize)>)| {
        changes.sort_unstable_by_key(|&(step, is_end, _)| (step, is_end));
        let (mut held, mut most) = (0u128, 0);
        for (_, is_end, elements) in changes {
            held = if is_end { held - elements as u128 } else { held + elements as u128 };
            most = most.max(held);
        }
        most * storage.bytes() as u128
    };
    by_type.into_iter().map(most).sum()
}
