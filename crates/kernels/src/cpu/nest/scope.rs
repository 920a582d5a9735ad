//! The registers of one space of a nest while its code is written.

use arenagrad_graph::DType;

use crate::Space;
use crate::cpu::code::Setup;
use crate::cpu::registers::{Allocation, Register};

/// The registers of one space while its code is written.
pub(super) struct Scope {
    pub(super) space: Space,
    pub(super) allocation: Allocation,
    pub(super) setup: Setup,
    /// Where each value stands.
    pub(super) registers: Vec<Option<Register>>,
    /// How often each value is still read; a value that is not counted stays where it is.
    pub(super) uses: Vec<Option<u32>>,
}

impl Scope {
    pub(super) fn new(space: Space, values: usize) -> Scope {
        Scope {
            space,
            allocation: Allocation::default(),
            setup: Setup::default(),
            registers: vec![None; values],
            uses: vec![None; values],
        }
    }

    pub(super) fn define(&mut self, number: usize, dtype: DType, uniform: bool) -> Register {
        let register = self.allocation.define(dtype, uniform);
        self.registers[number] = Some(register);
        register
    }

    /// As [`Scope::define`], of a value that is not computed of others; see [`is_source`](crate::cpu::code::is_source).
    pub(super) fn define_source(&mut self, number: usize, dtype: DType) -> Register {
        let register = self.allocation.define_source(dtype, false);
        self.registers[number] = Some(register);
        register
    }

    /// Notes that a value has been read once more, and frees its register after the last time.
    pub(super) fn release(&mut self, number: usize, dtype: DType, is_source: bool) {
        if let Some(uses) = &mut self.uses[number] {
            *uses -= 1;
            if *uses == 0
                && let Some(register) = self.registers[number].take()
                && !is_source
            {
                self.allocation.release(dtype, register);
            }
        }
    }
}
