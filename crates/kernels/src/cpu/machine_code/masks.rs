//! Instructions of fragments on masks: registers of their own with AVX-512, vectors of all ones and none with AVX2.

use super::assembler::{Combination, Opcode, Place, R11, Relation, Shift, Vectors};
use super::emit::{CONSTANT, Emitter, TooManyValues};
use super::fragment::{Slot, Value};
use super::values::Home;

impl Emitter<'_> {
    pub(super) fn compare(
        &mut self,
        number: usize,
        (relation, integers): (Relation, bool),
        [a, b]: [Value; 2],
    ) -> Result<(), TooManyValues> {
        // Only vectors of AVX2 need it: integers are less than others where the others are greater.
        let swaps = self.vectors == Vectors::Vex && integers && relation == Relation::Less;
        let (a, b) = if swaps { (b, a) } else { (a, b) };
        let (second, scratch) = self.vector(a)?;
        let last = self.operand(b);
        if self.vectors == Vectors::Evex {
            self.release([a, b], scratch);
            let mask = self.free_masks.pop().ok_or(TooManyValues)?;
            if self.reads[number] == 0 {
                self.free_masks.push(mask);
            }
            self.homes[number] = Home::Mask(mask);
            if integers {
                self.assembler.compare_integers(relation, mask, second, last);
            } else {
                self.assembler.compare(relation, mask, second, last);
            }
            return Ok(());
        }
        self.release([a, b], scratch);
        let target = self.define(number)?;
        match (integers, relation) {
            (false, _) => self.assembler.compare_to_vector(relation, target, second, last),
            (true, Relation::Equal) => self.assembler.equal_to_vector(target, second, last),
            (true, Relation::Less) => self.assembler.greater_to_vector(target, second, last),
            // The lowering makes others of these.
            (true, Relation::LessEqual | Relation::NotEqual) => return Err(TooManyValues),
        }
        Ok(())
    }

    pub(super) fn combine_masks<const N: usize>(
        &mut self,
        number: usize,
        combination: Combination,
        operands: [Value; N],
    ) -> Result<(), TooManyValues> {
        let homes = operands.map(|mask| self.homes[mask.0 as usize]);
        self.release(operands, None);
        match (homes[0], homes[N - 1]) {
            (Home::Mask(first), Home::Mask(last)) => {
                let mask = self.free_masks.pop().ok_or(TooManyValues)?;
                self.homes[number] = Home::Mask(mask);
                self.assembler.combine_masks(combination, mask, first, last);
            }
            (Home::Vector(first), Home::Vector(last)) => {
                let target = self.define(number)?;
                let signs = Place { base: R11, index: None, displacement: CONSTANT as i32 };
                match combination {
                    Combination::And => self.assembler.binary(Opcode::PAND, target, first, last),
                    Combination::Or => self.assembler.binary(Opcode::POR, target, first, last),
                    Combination::Not => self.assembler.binary(Opcode::PXOR, target, first, signs),
                }
            }
            _ => panic!("masks are computed before they are read, and all in registers of one kind"),
        }
        Ok(())
    }

    pub(super) fn load_mask(&mut self, number: usize, slot: Slot) -> Result<(), TooManyValues> {
        let place = self.moving_place(slot);
        let vector = self.take_vector()?;
        self.assembler.load_bytes(vector, place);
        match self.vectors {
            Vectors::Evex => {
                self.free.push(vector);
                let mask = self.free_masks.pop().ok_or(TooManyValues)?;
                self.homes[number] = Home::Mask(mask);
                self.assembler.test(mask, vector);
            }
            Vectors::Vex => {
                // A 1 becomes the sign, which is what chooses.
                self.assembler.shift(Shift::Left, vector, vector, 31);
                self.homes[number] = Home::Vector(vector);
            }
        }
        Ok(())
    }

    pub(super) fn store_mask(&mut self, slot: Slot, value: Value) -> Result<(), TooManyValues> {
        let place = self.moving_place(slot);
        let ones = Place { base: R11, index: None, displacement: 0 };
        let vector = self.take_vector()?;
        match self.homes[value.0 as usize] {
            Home::Mask(mask) => {
                self.assembler.load_masked(vector, mask, ones);
                self.assembler.store_bytes(place, vector);
            }
            Home::Vector(mask) => {
                let scratch = self.take_vector()?;
                self.assembler.shift(Shift::Right, vector, mask, 31);
                self.assembler.store_bytes_of_vector(place, vector, scratch);
                self.free.push(scratch);
            }
            Home::Nowhere => panic!("a mask is computed before it is stored"),
        }
        self.free.push(vector);
        self.release([value], None);
        Ok(())
    }
}
