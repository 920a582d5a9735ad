//! In the place of [`super::machine_code`] for processors that none is written for: the interpreter runs all code.

use std::convert::Infallible;

use super::body::{Beside, BlockPlace, Named, Run};
use super::code::Code;
use super::interpret::{Outputs, Sources};
use super::processor::Arch;
use super::registers::Bank;

/// There are no vectors to compile for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors(Infallible);

/// There are no fragments.
#[derive(Clone, Debug)]
pub(super) struct Compiled(Infallible);

pub(super) fn vectors(_: Arch) -> Option<Vectors> {
    None
}

pub(super) fn is_lowered(_: &Code) -> bool {
    false
}

impl Compiled {
    pub(super) fn new(vectors: Vectors, _: &Run<'_>) -> Option<Compiled> {
        match vectors.0 {}
    }

    pub(super) fn reads(&self, _: Named) -> bool {
        match self.0 {}
    }

    pub(super) fn writes_register(&self, _: Named) -> bool {
        match self.0 {}
    }

    pub(super) fn write_output(&mut self, _: Named, _: u32) {
        match self.0 {}
    }

    pub(super) fn reads_before_writing(&self, _: Named, _: u32) -> bool {
        match self.0 {}
    }

    pub(super) fn writes(&self, _: u32) -> bool {
        match self.0 {}
    }

    pub(super) fn run(&self, _: &mut Bank, _: &Sources<'_>, _: &mut Outputs<'_, '_>, _: &Beside, _: &BlockPlace) {
        match self.0 {}
    }
}
