//! Registers for the values of a fragment, and its instructions as bytes.
//!
//! Values are given registers in the order of their instructions and lose them behind their last reader; none is put aside, so a fragment with more
//! living values than there are registers is refused, and whoever asks for it cuts it in two. Constants, and what is uniform, stand in memory or,
//! where registers are left over, in registers that are filled before the loop.
//!
//! The code is a function of the System V calling convention. Its first argument is the address of its [entries](super::Entry), one a slot and, where it goes
//! over rows, one that says how many bytes of lanes its first chunk stands behind the beginning of its row, and how many bytes of one lane its first row does
//! behind the first whose values stand. Its second is how many bytes of lanes it goes over, at least one vector.

use super::assembler::{
    Assembler, Combination, General, Mask, Opcode, Place, R11, RAX, RCX, RDI, RDX, RSI, Vector, Vectors,
};
use super::fragment::{Fragment, Instruction, Slot, Value};
use super::values::Home;
use crate::cpu::body::{FOLDED_CHUNKS, RowsOfChunks};
use crate::cpu::registers::{BLOCK, LANES};

/// What a slot is read or written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotLayout {
    pub(super) stride: Stride,
    /// The entry may say that the slot is one vector for all chunks.
    pub(super) may_repeat: bool,
}

impl SlotLayout {
    /// Whether it asks which row and which column a chunk is of.
    pub(super) fn goes_by_rows(&self) -> bool {
        match self.stride {
            Stride::Elements | Stride::Bytes | Stride::FoldedChunks { .. } => false,
            Stride::FoldedRows | Stride::Rows | Stride::Columns => true,
        }
    }
}

/// Where a slot's next vector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stride {
    /// Behind the last one.
    Elements,
    /// As many bytes further as a vector has lanes.
    Bytes,
    /// Behind the last one, and after [`FOLDED_CHUNKS`] at the beginning again; if `long`, behind these for each further [`BLOCK`].
    FoldedChunks { long: bool },
    /// As [`Stride::FoldedChunks`], in each row behind those of the row before.
    FoldedRows,
    /// One lane for all of a row, behind that of the row before.
    Rows,
    /// Behind the last one, and in each row at the beginning again.
    Columns,
}

/// A fragment as bytes.
#[derive(Debug)]
pub(super) struct Emitted {
    pub(super) bytes: Vec<u8>,
    /// Where the function begins; before it are its constants.
    pub(super) start: usize,
}

/// There are not enough registers.
#[derive(Debug)]
pub(super) struct TooManyValues;

/// The bytes of a constant, and of an entry.
pub(super) const CONSTANT: usize = 64;
pub(super) const ENTRY: i32 = 16;

/// Registers that keep the addresses of the first slots; those from the third on are saved for the caller.
const ADDRESSES: [General; 8] =
    [General(8), General(9), General(3), General(5), General(12), General(13), General(14), General(15)];
const UNSAVED: usize = 2;
/// The register that says where the chunk is into which this one is folded.
const FOLDED: General = General(10);
/// Over rows, the registers of the column in bytes of lanes, and of the row in bytes of one lane; so many fewer keep addresses.
const COLUMN: General = General(14);
const ROW: General = General(15);
const OVER_ROWS: usize = 2;

/// A fragment's bytes, which go over these rows if a slot does.
pub(super) fn emit(fragment: &Fragment, slots: &[SlotLayout], rows: &RowsOfChunks) -> Result<Emitted, TooManyValues> {
    let mut lean = Emitter::new(fragment, (slots, rows), Vec::new());
    lean.run()?;
    let spare = lean.vector_count - lean.most;
    let mut fixed: Vec<(usize, usize)> = fragment
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.is_fixed())
        .map(|(number, _)| (lean.reads[number], number))
        .collect();
    if fixed.is_empty() || spare == 0 {
        return Ok(lean.finish());
    }
    fixed.sort_by_key(|&(reads, number)| (std::cmp::Reverse(reads), number));
    let hoisted = fixed.into_iter().take(spare).map(|(_, number)| number).collect();
    let mut emitter = Emitter::new(fragment, (slots, rows), hoisted);
    Ok(if emitter.run().is_ok() { emitter.finish() } else { lean.finish() })
}

/// A fragment whose instructions are being written.
pub(super) struct Emitter<'a> {
    fragment: &'a Fragment,
    slots: &'a [SlotLayout],
    /// The bytes of a row's lanes, if the code goes over rows.
    row: Option<i32>,
    /// The bytes of one lane of each row after which these begin again, if they do.
    period: Option<i32>,
    /// The registers that keep addresses.
    addresses: &'static [General],
    pub(super) assembler: Assembler,
    pub(super) vectors: Vectors,
    pub(super) vector_count: usize,
    /// How often each value is still read, and was in the beginning.
    pub(super) left: Vec<usize>,
    pub(super) reads: Vec<usize>,
    pub(super) homes: Vec<Home>,
    pub(super) free: Vec<Vector>,
    pub(super) free_masks: Vec<Mask>,
    /// The most vectors that have been in use at once.
    pub(super) most: usize,
    /// The constants, by bits.
    pool: Vec<u32>,
    /// The values that are put into registers before the loop.
    hoisted: Vec<usize>,
}

impl<'a> Emitter<'a> {
    fn new(
        fragment: &'a Fragment,
        (slots, rows): (&'a [SlotLayout], &RowsOfChunks),
        hoisted: Vec<usize>,
    ) -> Emitter<'a> {
        let row = slots.iter().any(SlotLayout::goes_by_rows).then_some((rows.width * size_of::<f32>()) as i32);
        let vectors = fragment.vectors;
        let count = fragment.instructions.len();
        let mut reads = vec![0; count];
        for instruction in &fragment.instructions {
            instruction.operands().for_each(|value| reads[value.0 as usize] += 1);
        }
        let vector_count = match vectors {
            Vectors::Evex => 32,
            Vectors::Vex => 16,
        };
        // Masks are stored as ones, and those in vectors are turned by their signs.
        let mut pool = vec![1, 0x8000_0000];
        for instruction in &fragment.instructions {
            if let Instruction::Constant(bits) = *instruction
                && !pool.contains(&bits)
            {
                pool.push(bits);
            }
        }
        Emitter {
            fragment,
            slots,
            row,
            period: rows.period.map(|period| (period * size_of::<f32>()) as i32),
            addresses: &ADDRESSES[..ADDRESSES.len() - if row.is_some() { OVER_ROWS } else { 0 }],
            assembler: Assembler::new(vectors),
            vectors,
            vector_count,
            left: reads.clone(),
            reads,
            homes: vec![Home::Nowhere; count],
            free: (0..vector_count as u8).rev().map(Vector).collect(),
            free_masks: (1..8).rev().map(Mask).collect(),
            most: 0,
            pool,
            hoisted,
        }
    }

    fn finish(self) -> Emitted {
        let mut bytes: Vec<u8> = Vec::with_capacity(self.pool.len() * CONSTANT + self.assembler.bytes.len());
        for bits in &self.pool {
            (0..CONSTANT / 4).for_each(|_| bytes.extend(bits.to_le_bytes()));
        }
        let start = bytes.len();
        bytes.extend(self.assembler.bytes);
        Emitted { bytes, start }
    }

    fn run(&mut self) -> Result<(), TooManyValues> {
        self.assembler.enter();
        let mut saved = self.addresses[UNSAVED..self.slots.len().clamp(UNSAVED, self.addresses.len())].to_vec();
        if self.row.is_some() {
            saved.extend([COLUMN, ROW]);
        }
        saved.iter().for_each(|&register| self.assembler.push(register));
        for (slot, &register) in self.addresses.iter().enumerate().take(self.slots.len()) {
            self.assembler.load_general(register, entry(slot, 0));
        }
        let pool = -((self.pool.len() * CONSTANT) as i32);
        self.assembler.address_in_code(R11, pool);
        for number in std::mem::take(&mut self.hoisted) {
            let place = self.fixed_place(number);
            let vector = self.take_vector()?;
            self.assembler.unary(Opcode::MOVUPS_LOAD, vector, place, None);
            self.homes[number] = Home::Vector(vector);
            // It is never given back.
            self.left[number] += 1;
        }
        self.assembler.clear_general(RCX);
        if self.row.is_some() {
            self.assembler.load_general(COLUMN, entry(self.slots.len(), 0));
            self.assembler.load_general(ROW, entry(self.slots.len(), 8));
        }
        let top = self.assembler.bytes.len();
        self.find_folded_chunk();
        for number in 0..self.fragment.instructions.len() {
            self.instruction(number)?;
        }
        let bytes = match self.vectors {
            Vectors::Evex => 64,
            Vectors::Vex => 32,
        };
        self.assembler.advance(RCX, bytes);
        if let Some(row) = self.row {
            self.assembler.advance(COLUMN, bytes);
            let period = self.period;
            self.assembler.at_number(COLUMN, row, |assembler| {
                assembler.clear_general(COLUMN);
                assembler.advance(ROW, size_of::<f32>() as i32);
                if let Some(period) = period {
                    assembler.at_number(ROW, period, |assembler| assembler.clear_general(ROW));
                }
            });
        }
        self.assembler.loop_below(RCX, RSI, top);
        saved.iter().rev().for_each(|&register| self.assembler.pop(register));
        self.assembler.return_clean();
        Ok(())
    }

    fn instruction(&mut self, number: usize) -> Result<(), TooManyValues> {
        match self.fragment.instructions[number] {
            Instruction::Constant(_) | Instruction::Uniform(_) => {}
            Instruction::Load(slot) => {
                let place = self.moving_place(slot);
                let vector = self.define(number)?;
                let is_of_row = self.slots[slot.0 as usize].stride == Stride::Rows;
                let opcode = if is_of_row { Opcode::BROADCASTSS } else { Opcode::MOVUPS_LOAD };
                self.assembler.unary(opcode, vector, place, None);
            }
            Instruction::LoadMask(slot) => self.load_mask(number, slot)?,
            Instruction::Binary { opcode, commutes, operands: [a, b] } => {
                let (a, b) = if commutes && !self.is_in_register(a) { (b, a) } else { (a, b) };
                let (first, scratch) = self.vector(a)?;
                let last = self.operand(b);
                self.release([a, b], scratch);
                let target = self.define(number)?;
                self.assembler.binary(opcode, target, first, last);
            }
            Instruction::MultiplyAdd(operands) => self.multiply_add(number, operands)?,
            Instruction::Shift { shift, operand, bits } => {
                let (vector, scratch) = self.vector(operand)?;
                self.release([operand], scratch);
                let target = self.define(number)?;
                self.assembler.shift(shift, target, vector, bits);
            }
            Instruction::Unary { opcode, operand, immediate } => {
                let last = self.operand(operand);
                self.release([operand], None);
                let target = self.define(number)?;
                self.assembler.unary(opcode, target, last, immediate);
            }
            Instruction::Compare { relation, integers, operands } => {
                self.compare(number, (relation, integers), operands)?;
            }
            Instruction::Choose([mask, on_true, on_false]) => {
                let (otherwise, scratch) = self.vector(on_false)?;
                let last = self.operand(on_true);
                let home = self.homes[mask.0 as usize];
                self.release([mask, on_true, on_false], scratch);
                let target = self.define(number)?;
                match home {
                    Home::Mask(mask) => self.assembler.choose(target, mask, last, otherwise),
                    Home::Vector(mask) => self.assembler.choose_by_vector(target, mask, last, otherwise),
                    Home::Nowhere => panic!("a mask is computed before it is read"),
                }
            }
            Instruction::And([a, b]) => self.combine_masks(number, Combination::And, [a, b])?,
            Instruction::Or([a, b]) => self.combine_masks(number, Combination::Or, [a, b])?,
            Instruction::Not(mask) => self.combine_masks(number, Combination::Not, [mask])?,
            Instruction::Store(slot, value) => {
                let (vector, scratch) = self.vector(value)?;
                let place = self.moving_place(slot);
                self.assembler.store(place, vector);
                self.release([value], scratch);
            }
            Instruction::StoreMask(slot, value) => self.store_mask(slot, value)?,
            Instruction::Prefetch { slot, is_written } => {
                let place = self.moving_place(slot);
                self.assembler.prefetch(place, is_written);
            }
        }
        Ok(())
    }

    fn multiply_add(&mut self, number: usize, operands: [Value; 3]) -> Result<(), TooManyValues> {
        let [mut a, mut b, c] = operands;
        if !self.is_in_register(a) {
            (a, b) = (b, a);
        }
        // The target is one of the operands. It may be one that is read for the last time, as which only one place of the instruction may have it.
        let dies = |emitter: &Emitter<'_>, value: Value| {
            let number = value.0 as usize;
            let times = operands.iter().filter(|&&operand| operand == value).count();
            times == 1 && emitter.left[number] == 1 && matches!(emitter.homes[number], Home::Vector(_))
        };
        if dies(self, c) {
            let (second, scratch) = self.vector(a)?;
            let last = self.operand(b);
            let target = self.inherit(number, c);
            self.assembler.binary(Opcode::FMADD231PS, target, second, last);
            self.release([a, b], scratch);
        } else if dies(self, a) || dies(self, b) {
            let (dying, other) = if dies(self, a) { (a, b) } else { (b, a) };
            if self.is_in_register(other) {
                let (second, _) = self.vector(other)?;
                let last = self.operand(c);
                let target = self.inherit(number, dying);
                self.assembler.binary(Opcode::FMADD213PS, target, second, last);
                self.release([other, c], None);
            } else {
                let (second, scratch) = self.vector(c)?;
                let last = self.operand(other);
                let target = self.inherit(number, dying);
                self.assembler.binary(Opcode::FMADD132PS, target, second, last);
                self.release([other, c], scratch);
            }
        } else {
            let (second, scratch) = self.vector(a)?;
            let addend = self.operand(c);
            let target = self.define(number)?;
            self.assembler.unary(Opcode::MOVUPS_LOAD, target, addend, None);
            let last = self.operand(b);
            self.assembler.binary(Opcode::FMADD231PS, target, second, last);
            self.release([a, b, c], scratch);
        }
        Ok(())
    }

    /// Where a constant or a uniform value stands. For the latter a general register may be overwritten, so no other place may be asked for before it is used.
    pub(super) fn fixed_place(&mut self, number: usize) -> Place {
        if let Instruction::Uniform(slot) = self.fragment.instructions[number] {
            return Place { base: self.address(slot, RDX), index: None, displacement: 0 };
        }
        let Instruction::Constant(bits) = self.fragment.instructions[number] else {
            panic!("value {number} has no place")
        };
        let place = self.pool.iter().position(|&other| other == bits).expect("constants are in the pool");
        Place { base: R11, index: None, displacement: (place * CONSTANT) as i32 }
    }

    /// Where the vector of a slot stands that is computed now; as for [`Emitter::fixed_place`], no other may be asked for before it is used.
    pub(super) fn moving_place(&mut self, slot: Slot) -> Place {
        let SlotLayout { stride, may_repeat } = self.slots[slot.0 as usize];
        let base = self.address(slot, RAX);
        match stride {
            Stride::Elements if !may_repeat => return Place { base, index: Some(RCX), displacement: 0 },
            Stride::Elements => self.assembler.move_general(RDX, RCX),
            Stride::Bytes => {
                self.assembler.move_general(RDX, RCX);
                self.assembler.shift_general(RDX, 2);
            }
            Stride::FoldedChunks { .. } if self.row.is_some() => {
                self.find_chunk(RDX);
                return Place { base, index: Some(RDX), displacement: 0 };
            }
            Stride::FoldedChunks { .. } | Stride::FoldedRows => {
                return Place { base, index: Some(FOLDED), displacement: 0 };
            }
            Stride::Rows => return Place { base, index: Some(ROW), displacement: 0 },
            Stride::Columns => return Place { base, index: Some(COLUMN), displacement: 0 },
        }
        if may_repeat {
            self.assembler.and_general(RDX, entry(slot.0 as usize, 8));
        }
        Place { base, index: Some(RDX), displacement: 0 }
    }

    /// Finds where the chunk is into which this one is folded, relative to the first: where rows are folded, that of its row; other folds then
    /// [find](Emitter::find_chunk) theirs when they need it.
    fn find_folded_chunk(&mut self) {
        let has = |stride: Stride| self.slots.iter().any(|slot| slot.stride == stride);
        if has(Stride::FoldedRows) {
            // A row's chunks take 64 times the bytes of its lane.
            const { assert!(FOLDED_CHUNKS * LANES == 1 << 6, "64 lanes") };
            self.assembler.lowest_byte(FOLDED, COLUMN);
            self.assembler.move_general(RDX, ROW);
            self.assembler.shift_general_left(RDX, 6);
            self.assembler.or_general(FOLDED, RDX);
            return;
        }
        if has(Stride::FoldedChunks { long: true }) {
            self.find_chunk(FOLDED);
        } else if has(Stride::FoldedChunks { long: false }) {
            self.assembler.lowest_byte(FOLDED, RCX);
        }
    }

    /// Where the chunk is into which this one is folded whatever its row, relative to the first.
    fn find_chunk(&mut self, register: General) {
        const { assert!(FOLDED_CHUNKS * LANES * size_of::<f32>() == 1 << 8, "a byte counts them") };
        const { assert!(BLOCK * size_of::<f32>() == 1 << 12, "a block has so many bytes") };
        self.assembler.move_general(register, RCX);
        self.assembler.shift_general(register, 12);
        self.assembler.shift_general_left(register, 8);
        self.assembler.move_lowest_byte(register, RCX);
    }

    /// A register that holds the address of a slot, if need be `otherwise`.
    fn address(&mut self, Slot(slot): Slot, otherwise: General) -> General {
        let slot = slot as usize;
        if let Some(&register) = self.addresses.get(slot) {
            return register;
        }
        self.assembler.load_general(otherwise, entry(slot, 0));
        otherwise
    }
}

/// Part of an entry.
fn entry(slot: usize, offset: i32) -> Place {
    Place { base: RDI, index: None, displacement: slot as i32 * ENTRY + offset }
}
