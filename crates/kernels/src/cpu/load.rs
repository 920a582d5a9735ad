//! What code brings into registers that it has not computed: elements of inputs, accumulators, coordinates and random numbers.

use arenagrad_graph::StorageType;

use super::interpret::{Block, is_written_in_place};
use super::narrow::{Source, of_storage};
use super::random::uniform;
use super::registers::{Borrowed, LANES, Lane, Lanes, Register};
use super::walk;

impl Block<'_, '_> {
    /// The type of an input's elements.
    #[inline(always)]
    pub(super) fn stored(&self, input: u32) -> StorageType {
        match self.sources.inputs[input as usize].in_place {
            Some(output) => self.outputs.parts()[output as usize].storage(),
            None => self.sources.operands.buffer(self.sources.first + input as usize).storage(),
        }
    }

    /// Loads an input whose elements are narrower than the values.
    #[inline(never)]
    pub(super) fn load_narrow(&mut self, input: u32, target: Register) {
        of_storage!(self.stored(input), E => self.load_elements::<E>(input, target));
    }

    fn load_elements<E: Source>(&mut self, input: u32, target: Register) {
        let described = &self.sources.inputs[input as usize];
        let (start, length) = (self.start, self.length);
        if let Some(output) = described.in_place {
            let at = start - self.base;
            let data = &self.outputs.parts()[output as usize].typed::<E>()[at..at + length];
            E::load_all(data, &mut self.bank.varying_mut::<E::Value>(target)[..length]);
            return;
        }
        let data = self.sources.operands.typed::<E>(self.sources.first + input as usize);
        if target.is_uniform() {
            self.bank.set_uniform(target, data[described.view.offset()].load());
        } else {
            E::read(data, &described.view, start, &mut self.bank.varying_mut::<E::Value>(target)[..length]);
        }
    }

    #[inline(always)]
    pub(super) fn load<T: Lane>(&mut self, input: u32, target: Register, borrows: bool) {
        let described = &self.sources.inputs[input as usize];
        let (start, length) = (self.start, self.length);
        if let Some(output) = described.in_place {
            let at = start - self.base;
            let data = self.outputs.parts()[output as usize].typed::<T>();
            self.bank.varying_mut::<T>(target)[..length].copy_from_slice(&data[at..at + length]);
            return;
        }
        let data = self.sources.input::<T>(input);
        if target.is_uniform() {
            self.bank.set_uniform(target, data[described.view.offset()]);
            return;
        }
        // Elements past the block fill its last chunk up; nobody looks at what becomes of them.
        if borrows
            && let Some(position) = walk::contiguous(&described.view, start, length)
            && position + self.chunks() * LANES <= data.len()
        {
            self.bank.borrow::<T>(target, Borrowed::Input { input, position });
        } else if borrows && let Some(position) = walk::repeated(&described.view, start, length) {
            self.bank.repeat(target, data[position]);
        } else {
            walk::read(data, &described.view, start, &mut self.bank.varying_mut::<T>(target)[..length]);
        }
    }

    /// Leaves what shares the memory of an output there, or copies it where the block is not whole chunks.
    #[inline(always)]
    pub(super) fn borrow_output<T: Lane>(&mut self, input: u32, target: Register) {
        let output = self.sources.inputs[input as usize].in_place.expect("it shares the memory of an output");
        if is_written_in_place(&self.outputs.parts()[output as usize], self.length) {
            self.bank.borrow::<T>(target, Borrowed::Output { output, position: self.start - self.base });
        } else {
            self.load::<T>(input, target, false);
        }
    }

    #[inline(always)]
    pub(super) fn accumulator<T: Lane>(&mut self, values: &[T], target: Register, borrows: bool) {
        let at = self.start - self.sources.accumulator_base;
        let length = self.length;
        if borrows && at + self.chunks() * LANES <= values.len() {
            self.bank.borrow::<T>(target, Borrowed::Accumulators { position: at });
            return;
        }
        self.bank.varying_mut::<T>(target)[..length].copy_from_slice(&values[at..at + length]);
    }

    #[inline(always)]
    pub(super) fn iota(&mut self, inner: usize, extent: usize, first: usize, target: Register) {
        let (start, length) = (first + self.start, self.length);
        let elements = &mut self.bank.varying_mut::<i32>(target)[..length];
        let mut done = length.min(inner.saturating_mul(extent));
        let mut rest = &mut elements[..done];
        let (mut coordinate, mut within) = (start / inner % extent, start % inner);
        while !rest.is_empty() {
            // A run along the axis, or of one coordinate.
            let run = if inner == 1 { extent - coordinate } else { inner - within }.min(rest.len());
            let (head, tail) = rest.split_at_mut(run);
            rest = tail;
            if inner == 1 {
                let first = coordinate as i32;
                for (element, i) in head.iter_mut().zip(0..) {
                    *element = first.wrapping_add(i);
                }
                coordinate = 0;
            } else {
                head.fill(coordinate as i32);
                within = 0;
                coordinate = if coordinate + 1 == extent { 0 } else { coordinate + 1 };
            }
        }
        // Coordinates repeat with the axis: what has been written is a whole number of periods.
        while done < length {
            let copied = done.min(length - done);
            elements.copy_within(..copied, done);
            done += copied;
        }
    }

    #[inline(always)]
    pub(super) fn uniform(&mut self, seed: u64, step: Register, first: usize, target: Register) {
        let chunks = self.chunks();
        let mut out = self.bank.take::<f32>(target);
        let steps = self.lanes::<i32>(step, chunks);
        let mut index = (first + self.start) as u32;
        for (i, chunk) in out.chunks(chunks).iter_mut().enumerate() {
            let steps = match steps {
                Lanes::Uniform(steps) => steps,
                Lanes::Varying(steps) => &steps[i],
            };
            for lane in 0..LANES {
                chunk[lane] = uniform(seed, steps[lane], u64::from(index.wrapping_add(lane as u32)));
            }
            index = index.wrapping_add(LANES as u32);
        }
        self.bank.put(target, out);
    }
}
