//! Which register each value of a fragment stands in while its instructions are written.

use super::assembler::{Mask, Opcode, Operand, Vector};
use super::emit::{Emitter, TooManyValues};
use super::fragment::Value;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Nowhere,
    Vector(Vector),
    Mask(Mask),
}

impl Emitter<'_> {
    pub(super) fn is_in_register(&self, value: Value) -> bool {
        self.homes[value.0 as usize] != Home::Nowhere
    }

    pub(super) fn take_vector(&mut self) -> Result<Vector, TooManyValues> {
        let vector = self.free.pop().ok_or(TooManyValues)?;
        self.most = self.most.max(self.vector_count - self.free.len());
        Ok(vector)
    }

    /// A register for a value. One that nobody reads gives it back at once.
    pub(super) fn define(&mut self, number: usize) -> Result<Vector, TooManyValues> {
        let vector = self.take_vector()?;
        if self.reads[number] == 0 {
            self.free.push(vector);
        } else {
            self.homes[number] = Home::Vector(vector);
        }
        Ok(vector)
    }

    /// The register of a value that is read for the last time, for another.
    pub(super) fn inherit(&mut self, number: usize, from: Value) -> Vector {
        let home = std::mem::replace(&mut self.homes[from.0 as usize], Home::Nowhere);
        let Home::Vector(vector) = home else { panic!("only what is in a vector register leaves one") };
        self.left[from.0 as usize] -= 1;
        if self.reads[number] == 0 {
            self.free.push(vector);
        } else {
            self.homes[number] = home;
        }
        vector
    }

    /// A value in a vector register, and that register if it is for this instruction alone.
    pub(super) fn vector(&mut self, value: Value) -> Result<(Vector, Option<Vector>), TooManyValues> {
        if let Home::Vector(vector) = self.homes[value.0 as usize] {
            return Ok((vector, None));
        }
        let place = self.fixed_place(value.0 as usize);
        let vector = self.take_vector()?;
        self.assembler.unary(Opcode::MOVUPS_LOAD, vector, place, None);
        Ok((vector, Some(vector)))
    }

    /// A value where it stands.
    pub(super) fn operand(&mut self, value: Value) -> Operand {
        match self.homes[value.0 as usize] {
            Home::Vector(vector) => vector.into(),
            Home::Mask(_) => panic!("a mask is no operand"),
            Home::Nowhere => self.fixed_place(value.0 as usize).into(),
        }
    }

    /// Notes that values have been read once more, and takes back the registers of those that are read no more.
    pub(super) fn release<const N: usize>(&mut self, values: [Value; N], scratch: Option<Vector>) {
        self.free.extend(scratch);
        for value in values {
            let number = value.0 as usize;
            self.left[number] -= 1;
            if self.left[number] == 0 {
                match std::mem::replace(&mut self.homes[number], Home::Nowhere) {
                    Home::Vector(vector) => self.free.push(vector),
                    Home::Mask(mask) => self.free_masks.push(mask),
                    Home::Nowhere => {}
                }
            }
        }
    }
}
