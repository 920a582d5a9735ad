//! Instructions on general registers, which hold addresses and places, and the ends of loops.

use super::assembler::{Assembler, General, Place};

impl Assembler {
    /// An instruction on 64 bits of general registers.
    fn general(&mut self, opcode: u8, reg: General, place: Place) {
        let index = place.index.map_or(0, |index| index.0 >> 3 & 1);
        self.bytes.extend([0x48 | (reg.0 >> 3) << 2 | index << 1 | place.base.0 >> 3, opcode]);
        self.place(reg.0 & 7, place, 1);
    }

    /// `register` = the 8 bytes at a place.
    pub(super) fn load_general(&mut self, register: General, place: Place) {
        self.general(0x8B, register, place);
    }

    /// `register` = its bits that are set at a place too.
    pub(super) fn and_general(&mut self, register: General, place: Place) {
        self.general(0x23, register, place);
    }

    /// `register` = the address of what stands so many bytes behind the beginning of this code, or before it.
    pub(super) fn address_in_code(&mut self, register: General, offset: i32) {
        self.bytes.extend([0x48 | (register.0 >> 3) << 2, 0x8D, (register.0 & 7) << 3 | 5]);
        // Relative to the next instruction.
        let next = self.bytes.len() as i32 + 4;
        self.bytes.extend((offset - next).to_le_bytes());
    }

    /// `register` = its value shifted to the right.
    pub(super) fn shift_general(&mut self, register: General, bits: u8) {
        self.bytes.extend([0x48 | register.0 >> 3, 0xC1, 0xE8 | register.0 & 7, bits]);
    }

    /// `register` = its value shifted to the left.
    pub(super) fn shift_general_left(&mut self, register: General, bits: u8) {
        self.bytes.extend([0x48 | register.0 >> 3, 0xC1, 0xE0 | register.0 & 7, bits]);
    }

    /// `to` = the bits that are set in either.
    pub(super) fn or_general(&mut self, to: General, from: General) {
        self.bytes.extend([0x48 | (from.0 >> 3) << 2 | to.0 >> 3, 0x09, 0xC0 | (from.0 & 7) << 3 | to.0 & 7]);
    }

    /// Asks for the line of memory at a place, for this processor alone if it will be written. Those that do not know the latter do nothing.
    pub(super) fn prefetch(&mut self, place: Place, is_written: bool) {
        let index = place.index.map_or(0, |index| index.0 >> 3 & 1);
        let opcode = if is_written { 0x0D } else { 0x18 };
        self.bytes.extend([0x40 | index << 1 | place.base.0 >> 3, 0x0F, opcode]);
        self.place(1, place, 1);
    }

    /// `register = 0`.
    pub(super) fn clear_general(&mut self, register: General) {
        self.bytes.extend([
            0x48 | (register.0 >> 3) << 2 | register.0 >> 3,
            0x31,
            0xC0 | (register.0 & 7) << 3 | register.0 & 7,
        ]);
    }

    /// `to = from`.
    pub(super) fn move_general(&mut self, to: General, from: General) {
        self.bytes.extend([0x48 | (from.0 >> 3) << 2 | to.0 >> 3, 0x89, 0xC0 | (from.0 & 7) << 3 | to.0 & 7]);
    }

    /// `to` = the lowest byte of `from`.
    pub(super) fn lowest_byte(&mut self, to: General, from: General) {
        self.bytes.extend([0x40 | (to.0 >> 3) << 2 | from.0 >> 3, 0x0F, 0xB6, 0xC0 | (to.0 & 7) << 3 | from.0 & 7]);
    }

    /// The lowest byte of `to` = that of `from`.
    pub(super) fn move_lowest_byte(&mut self, to: General, from: General) {
        self.bytes.extend([0x40 | (from.0 >> 3) << 2 | to.0 >> 3, 0x88, 0xC0 | (from.0 & 7) << 3 | to.0 & 7]);
    }

    pub(super) fn push(&mut self, register: General) {
        self.bytes.extend([0x40 | register.0 >> 3, 0x50 | register.0 & 7]);
    }

    pub(super) fn pop(&mut self, register: General) {
        self.bytes.extend([0x40 | register.0 >> 3, 0x58 | register.0 & 7]);
    }

    /// Adds to `register`.
    pub(super) fn advance(&mut self, register: General, by: i32) {
        self.bytes.extend([0x48 | register.0 >> 3, 0x81, 0xC0 | register.0 & 7]);
        self.bytes.extend(by.to_le_bytes());
    }

    /// Goes on at the byte `target` while `register` is below `limit`.
    pub(super) fn loop_below(&mut self, register: General, limit: General, target: usize) {
        self.bytes.extend([
            0x48 | (limit.0 >> 3) << 2 | register.0 >> 3,
            0x39,
            0xC0 | (limit.0 & 7) << 3 | register.0 & 7,
        ]);
        self.bytes.extend([0x0F, 0x82]);
        let next = self.bytes.len() as i32 + 4;
        self.bytes.extend((target as i32 - next).to_le_bytes());
    }

    /// Does something if `register` has come to `limit`.
    pub(super) fn at_number(&mut self, register: General, limit: i32, then: impl FnOnce(&mut Assembler)) {
        self.bytes.extend([0x48 | register.0 >> 3, 0x81, 0xF8 | register.0 & 7]);
        self.bytes.extend(limit.to_le_bytes());
        // Over what follows, of which it is known then how long it is.
        self.bytes.extend([0x72, 0]);
        let start = self.bytes.len();
        then(self);
        self.bytes[start - 1] = i8::try_from(self.bytes.len() - start).expect("a few instructions") as u8;
    }
}
