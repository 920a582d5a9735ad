//! Value numbering: finds the node that already computes what another would.
//!
//! Two nodes are the same if op, attributes, operands, shape and dtype are, numbers compared by their bits, so that -0
//! stays apart from 0 and NaN is equal to itself. The table is open-addressed over indices into a list of nodes, so that
//! the ops themselves stand in the arena alone.

use std::sync::Arc;

use slotmap::Key;

use crate::arena::Arena;
use crate::body::ScanResult;
use crate::dtype::DType;
use crate::identity;
use crate::node::NodeId;
use crate::op::{Assembly, Elementwise, Exchange, Leaf, Op};
use crate::shape::Shape;

/// The nodes seen so far, by what they compute.
#[derive(Default)]
pub(super) struct Shared {
    /// The length is a power of two, or 0.
    slots: Vec<Slot>,
    entries: Vec<(u64, NodeId)>,
}

/// A place in the table: a position in `entries` plus one, or 0 if it is free, and half of that entry's hash, which tells
/// most of the others apart without a look at the entry.
#[derive(Clone, Copy, Default)]
struct Slot {
    position: u32,
    tag: u32,
}

impl Shared {
    /// The node that computes this op, if there is one.
    pub(super) fn find(&self, hash: u64, arena: &Arena, op: &Op, shape: &Shape, dtype: DType) -> Option<NodeId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            let position = (slot.position as usize).checked_sub(1)?;
            if slot.tag == tag(hash) {
                let id = self.entries[position].1;
                let node = &arena.nodes[id.key];
                if node.dtype == dtype && node.shape == *shape && same_op(&node.op, op) {
                    return Some(id);
                }
            }
            place = (place + 1) & mask;
        }
    }

    /// Adds a node that [`Shared::find`] did not find.
    pub(super) fn add(&mut self, hash: u64, id: NodeId) {
        self.entries.push((hash, id));
        // At most half of the slots are taken, so that searches end soon.
        if self.entries.len() * 2 > self.slots.len() {
            self.slots = vec![Slot::default(); (self.entries.len() * 2).next_power_of_two().max(16)];
            for position in 0..self.entries.len() {
                self.take_slot(position);
            }
        } else {
            self.take_slot(self.entries.len() - 1);
        }
    }

    fn take_slot(&mut self, position: usize) {
        let mask = self.slots.len() - 1;
        let hash = self.entries[position].0;
        let mut place = hash as usize & mask;
        while self.slots[place].position != 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = Slot { position: position as u32 + 1, tag: tag(hash) };
    }
}

/// The half of a hash that does not choose the slot.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Whether exchanging the operands changes no bit of the result.
fn is_symmetric(exchange: Exchange) -> bool {
    match exchange {
        Exchange::SameBits => true,
        Exchange::SameValue | Exchange::Differs => false,
    }
}

/// The operands of an elementwise operation that are the same in either order.
fn exchangeable(elementwise: &Elementwise<NodeId>) -> Option<(NodeId, NodeId)> {
    match *elementwise {
        Elementwise::Binary { function, lhs, rhs } => is_symmetric(function.row().exchange).then_some((lhs, rhs)),
        Elementwise::Compare { function, lhs, rhs } => is_symmetric(function.row().exchange).then_some((lhs, rhs)),
        Elementwise::Unary { .. }
        | Elementwise::Where { .. }
        | Elementwise::Cast { .. }
        | Elementwise::RoundTo { .. } => None,
    }
}

/// Whether two operations compute the same from their operands, bit for bit.
pub(crate) fn same_op(known: &Op, op: &Op) -> bool {
    match (known, op) {
        (Op::Leaf(Leaf::Constant { value: a }), Op::Leaf(Leaf::Constant { value: b })) => a.to_bits() == b.to_bits(),
        (Op::Leaf(Leaf::Literal { data: a }), Op::Leaf(Leaf::Literal { data: b })) => {
            Arc::ptr_eq(a, b) || a.has_bits_of(b)
        }
        (
            Op::Assembly(Assembly::Pad { operand: a, lows: a_lows, interiors: a_interiors, value: a_value }),
            Op::Assembly(Assembly::Pad { operand: b, lows: b_lows, interiors: b_interiors, value: b_value }),
        ) => (a, a_lows, a_interiors, a_value.to_bits()) == (b, b_lows, b_interiors, b_value.to_bits()),
        (Op::Elementwise(a), Op::Elementwise(b)) => {
            let exchanged = || exchangeable(a).zip(exchangeable(b)).is_some_and(|(a, b)| a == (b.1, b.0));
            a == b || (a.kind() == b.kind() && exchanged())
        }
        (known, op) => known == op,
    }
}

/// A number that equal nodes share: ops that [`same_op`] holds equal have the same.
pub(crate) fn hash(op: &Op, shape: &Shape, dtype: DType) -> u64 {
    let mut mix = Mix(dtype as u64);
    shape.iter().for_each(|&extent| mix.word(extent as u64));
    if let Op::Scan { body, result, .. } = op {
        // In the place of all the words of a body, which each result of its loop has.
        mix.word(body.digest());
        match result {
            ScanResult::Final(carry) => mix.word(u64::from(*carry)),
            ScanResult::Stacked(place) => mix.word(!u64::from(*place)),
        }
    } else {
        identity::words(op, |word| mix.word(word));
    }
    if let Op::Leaf(Leaf::Literal { data }) = op {
        data.for_each_bits(|bits| mix.word(bits));
    }
    if let Op::Elementwise(elementwise) = op
        && let Some((lhs, rhs)) = exchangeable(elementwise)
    {
        mix.unordered(lhs, rhs);
    } else {
        op.for_each_operand(|operand| mix.word(key(operand)));
    }
    mix.finish()
}

/// Which slot of the arena, and its generation.
fn key(id: NodeId) -> u64 {
    id.key.data().as_ffi()
}

/// A multiplicative hash in the manner of rustc's: fast, and good enough for keys that nobody chooses maliciously.
pub(crate) struct Mix(u64);

impl Mix {
    /// A number that equal words share.
    pub(crate) fn of(words: &[u64]) -> u64 {
        let mut mix = Mix(0);
        words.iter().for_each(|&word| mix.word(word));
        mix.finish()
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0xF135_7AEA_2E62_A9C5);
    }

    /// Two operands that may be exchanged: their order does not tell.
    fn unordered(&mut self, lhs: NodeId, rhs: NodeId) {
        let (lhs, rhs) = (key(lhs), key(rhs));
        self.word(lhs.min(rhs));
        self.word(lhs.max(rhs));
    }

    /// The upper bits of a product are the well-mixed ones, and the table takes the lower.
    fn finish(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
