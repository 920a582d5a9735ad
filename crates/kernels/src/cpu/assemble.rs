//! Regions of one result, copied from several inputs: concatenation and padding. Runs on one thread.

use arenagrad_graph::{DType, Elements};

use super::buffer::{Element, Operands, typed_mut};
use super::narrow::{Source, of_storage};
use super::registers::BLOCK;
use super::walk;
use crate::kernel::Piece;
use crate::view::View;

/// An assembly made ready; see [`crate::Kernel::Assemble`].
#[derive(Clone, Debug)]
pub(super) struct Assemble {
    dtype: DType,
    elements: usize,
    fill: Option<f64>,
    pieces: Vec<Piece>,
}

impl Assemble {
    pub(super) fn new(dtype: DType, elements: usize, fill: Option<f64>, pieces: &[Piece]) -> Self {
        Assemble { dtype, elements, fill, pieces: pieces.to_vec() }
    }

    pub(super) fn run(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let storage = outputs[0].storage();
        if !storage.is_native() {
            // Pieces of the same type are moved as they stand.
            of_storage!(storage, E => self.run_stored::<E>(operands, outputs));
            return;
        }
        match self.dtype {
            DType::F32 => self.run_typed::<f32>(operands, outputs),
            DType::F64 => self.run_typed::<f64>(operands, outputs),
            DType::I32 => self.run_typed::<i32>(operands, outputs),
            DType::Bool => self.run_typed::<u8>(operands, outputs),
        }
    }

    fn run_stored<E: Element>(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let result = &mut typed_mut::<E>(&mut outputs[0])[..self.elements];
        if let Some(value) = self.fill {
            result.fill(E::from_f64(value));
        }
        for (input, piece) in self.pieces.iter().enumerate() {
            copy(operands.typed::<E>(input), piece, result, walk::read);
        }
    }

    fn run_typed<T: Element>(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        if let Some(value) = self.fill {
            typed_mut::<T>(&mut outputs[0])[..self.elements].fill(T::from_f64(value));
        }
        for (input, piece) in self.pieces.iter().enumerate() {
            of_storage!(operands.buffer(input).storage(), E => {
                copy(operands.typed::<E>(input), piece, &mut typed_mut(&mut outputs[0])[..self.elements], E::read);
            });
        }
    }
}

/// Copies a piece to where it belongs; `read` reads elements of a view as they stand in the result.
fn copy<E, V: Copy + Default>(
    source: &[E],
    piece: &Piece,
    result: &mut [V],
    read: impl Fn(&[E], &View, usize, &mut [V]),
) {
    let mut block = [V::default(); BLOCK];
    let mut destinations = walk::Walk::new(&piece.destination, 0);
    let elements = piece.source.elements();
    let mut done = 0;
    while done < elements {
        // Runs of the destination that are contiguous are read into place, others by way of a block.
        let run = destinations.next(elements - done);
        if run.stride == 1 {
            read(source, &piece.source, done, &mut result[run.position..run.position + run.length]);
        } else {
            let mut at = 0;
            while at < run.length {
                let length = BLOCK.min(run.length - at);
                read(source, &piece.source, done + at, &mut block[..length]);
                for (i, &value) in block[..length].iter().enumerate() {
                    result[run.at(at + i)] = value;
                }
                at += length;
            }
        }
        done += run.length;
    }
}
