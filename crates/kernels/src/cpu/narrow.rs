//! Loads and stores of buffers whose elements are not the values they hold: narrower, or integers that are wider.
//!
//! Most kernels do nothing but load elements as values, in order or by a view ([`Source`]), and store a block of values. A matrix
//! product loads as it packs ([`PackNarrow`]), so that no buffer is widened beside what it packs.

use arenagrad_graph::{Bf16, Elements, F16, I8, I64, Stores, U8};
use pulp::{Simd, WithSimd};

use super::buffer::{Element, wrong_storage};
use super::cache_lines::AtLine;
use super::pack::{MOST_LANES, put_pieces};
use super::processor::{Vectorise, detect, dispatch};
use super::real::{MOST_PIECE, Real};
use super::registers::Lane;
use super::walk::{self, Run, Walk};
use crate::view::{Axes, View};

/// `$body` with `$element` for the Rust type of elements of that storage type.
macro_rules! of_storage {
    ($storage:expr, $element:ident => $body:expr) => {
        match $storage {
            arenagrad_graph::StorageType::F32 => {
                type $element = f32;
                $body
            }
            arenagrad_graph::StorageType::F64 => {
                type $element = f64;
                $body
            }
            arenagrad_graph::StorageType::I32 => {
                type $element = i32;
                $body
            }
            arenagrad_graph::StorageType::Bool => {
                type $element = u8;
                $body
            }
            arenagrad_graph::StorageType::F16 => {
                type $element = arenagrad_graph::F16;
                $body
            }
            arenagrad_graph::StorageType::Bf16 => {
                type $element = arenagrad_graph::Bf16;
                $body
            }
            arenagrad_graph::StorageType::U8 => {
                type $element = arenagrad_graph::U8;
                $body
            }
            arenagrad_graph::StorageType::I8 => {
                type $element = arenagrad_graph::I8;
                $body
            }
            arenagrad_graph::StorageType::I64 => {
                type $element = arenagrad_graph::I64;
                $body
            }
        }
    };
}
pub(super) use of_storage;

/// A type of elements that kernels load as values and store values in.
pub(super) trait Source: Element + Stores<Self::Value> {
    /// The type of the values.
    type Value: Lane;
    /// Loads as many elements as there are values.
    fn load_all(source: &[Self], target: &mut [Self::Value]);
    /// Loads the domain positions `start..start + target.len()` of a view.
    fn read(source: &[Self], view: &View, start: usize, target: &mut [Self::Value]);
    /// Stores as many values as there are elements.
    fn store_all(values: &[Self::Value], target: &mut [Self]);
}

macro_rules! native {
    ($($element:ty),*) => {$(
        impl Source for $element {
            type Value = $element;

            #[inline(always)]
            fn load_all(source: &[Self], target: &mut [Self]) {
                walk::copy(source, target);
            }

            #[inline(always)]
            fn read(source: &[Self], view: &View, start: usize, target: &mut [Self]) {
                walk::read(source, view, start, target);
            }

            #[inline(always)]
            fn store_all(values: &[Self], target: &mut [Self]) {
                target.copy_from_slice(values);
            }
        }
    )*};
}
native!(f32, f64, i32, u8);

macro_rules! narrow {
    ($($element:ty => $value:ty),*) => {$(
        impl Source for $element {
            type Value = $value;

            fn load_all(source: &[Self], target: &mut [$value]) {
                dispatch(detect(), Load { source, target });
            }

            fn read(source: &[Self], view: &View, start: usize, target: &mut [$value]) {
                dispatch(detect(), Read { source, view, start, target });
            }

            fn store_all(values: &[$value], target: &mut [Self]) {
                dispatch(detect(), Store { values, target });
            }
        }
    )*};
}
narrow!(F16 => f32, Bf16 => f32, U8 => i32, I8 => i32, I64 => i32);

/// Loads elements that stand side by side.
struct Load<'a, E, T> {
    source: &'a [E],
    target: &'a mut [T],
}

impl<E: Stores<T>, T> Vectorise for Load<'_, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        load(self.source, self.target);
    }
}

#[inline(always)]
fn load<E: Stores<T>, T>(source: &[E], target: &mut [T]) {
    for (value, &element) in target.iter_mut().zip(source) {
        *value = element.load();
    }
}

/// Loads what a view shows.
struct Read<'a, E, T> {
    source: &'a [E],
    view: &'a View,
    start: usize,
    target: &'a mut [T],
}

impl<E: Stores<T>, T: Copy> Vectorise for Read<'_, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Read { source, view, start, target } = self;
        if let [axis] = view.axes()
            && axis.stride == 1
        {
            let first = view.offset() + start;
            load(&source[first..first + target.len()], target);
            return;
        }
        let mut walk = Walk::new(view, start);
        let mut done = 0;
        while done < target.len() {
            let run = walk.next(target.len() - done);
            let piece = &mut target[done..done + run.length];
            match run.stride {
                0 => piece.fill(source[run.position].load()),
                1 => load(&source[run.position..run.position + run.length], piece),
                _ => {
                    for (i, value) in piece.iter_mut().enumerate() {
                        *value = source[run.at(i)].load();
                    }
                }
            }
            done += run.length;
        }
    }
}

/// Stores values side by side.
struct Store<'a, E, T> {
    values: &'a [T],
    target: &'a mut [E],
}

impl<E: Stores<T>, T: Copy> Vectorise for Store<'_, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (element, &value) in self.target.iter_mut().zip(self.values) {
            *element = E::store(value);
        }
    }
}

/// A part of a matrix that is packed: `packed[p * width + i]` is the element at `places[i] + depth.distance(from + p)`, and 0 past the last
/// place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a> {
    /// Where each line along the depth begins, at most `width` of them.
    pub(super) places: &'a [usize],
    pub(super) depth: &'a Axes,
    pub(super) from: usize,
    pub(super) width: usize,
}

/// A type of values that matrix products pack from narrower elements.
pub(super) trait PackNarrow: Sized {
    /// Packs a part of a matrix; `packed` is as long as the depth is.
    fn pack(source: &Elements, panel: Panel<'_>, packed: &mut [Self]);
}

impl PackNarrow for f32 {
    fn pack(source: &Elements, panel: Panel<'_>, packed: &mut [f32]) {
        match source {
            Elements::F16(source) => detect().dispatch(Pack { source, panel, packed }),
            Elements::Bf16(source) => detect().dispatch(Pack { source, panel, packed }),
            Elements::F32(_) | Elements::F64(_) | Elements::Bool(_) => {
                wrong_storage("elements narrower than f32", source.storage())
            }
            Elements::I32(_) | Elements::U8(_) | Elements::I8(_) | Elements::I64(_) => {
                wrong_storage("elements narrower than f32", source.storage())
            }
        }
    }
}

impl PackNarrow for f64 {
    fn pack(source: &Elements, _: Panel<'_>, _: &mut [f64]) {
        wrong_storage("f64", source.storage())
    }
}

struct Pack<'a, E> {
    source: &'a [E],
    panel: Panel<'a>,
    packed: &'a mut [f32],
}

/// The elements of a line that are loaded at once where lines are exchanged for columns one by one.
const SQUARE: usize = 16;

impl<E: Stores<f32>> WithSimd for Pack<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pack { source, panel: Panel { places, depth, from, width }, packed } = self;
        // A single line is read along the depth.
        let are_neighbours = places.len() > 1 && places.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        let lanes = f32::lanes::<S>();
        let mut walk = Walk::over(depth, 0, from);
        let mut lines = packed;
        while !lines.is_empty() {
            let run = walk.next(lines.len() / width);
            let (head, tail) = lines.split_at_mut(run.length * width);
            lines = tail;
            if are_neighbours {
                for (p, line) in head.chunks_exact_mut(width).enumerate() {
                    let (values, rest) = line.split_at_mut(places.len());
                    load(&source[places[0].wrapping_add(run.at(p))..][..values.len()], values);
                    rest.fill(0.0);
                }
                continue;
            }
            let whole = if run.stride == 1 && const { !S::IS_SCALAR } { run.length / lanes * lanes } else { 0 };
            let (vectors, rest) = head.split_at_mut(whole * width);
            for (number, lines) in vectors.chunks_exact_mut(lanes * width).enumerate() {
                exchange_vectors(simd, source, places, run.at(number * lanes), (lines, width));
            }
            exchange(source, places, Run { position: run.at(whole), length: run.length - whole, ..run }, width, rest);
        }
    }
}

/// Packs as many places of the depth as a vector has lanes, of lines along it that begin `distance` past `places` and apart.
#[inline(always)]
fn exchange_vectors<E: Stores<f32>, S: Simd>(
    simd: S,
    source: &[E],
    places: &[usize],
    distance: usize,
    (lines, width): (&mut [f32], usize),
) {
    let lanes = f32::lanes::<S>();
    for first in (0..width).step_by(f32::PIECE) {
        let count = f32::PIECE.min(width - first);
        let mut vectors = [f32::splat(simd, 0.0); MOST_PIECE];
        for (vector, place) in vectors.iter_mut().zip(places.iter().skip(first).take(count)) {
            let AtLine(values) = &mut AtLine([0.0; MOST_LANES]);
            load(&source[place.wrapping_add(distance)..][..lanes], &mut values[..lanes]);
            *vector = f32::vectors::<S>(&values[..lanes])[0];
        }
        if count == f32::PIECE {
            // Of a length that the compiler knows.
            put_pieces::<f32, S>(simd, vectors, (lines, width), first, f32::PIECE);
        } else {
            put_pieces::<f32, S>(simd, vectors, (lines, width), first, count);
        }
    }
}

/// Packs lines along a run of the depth that begin apart, element by element.
#[inline(always)]
fn exchange<E: Stores<f32>>(source: &[E], places: &[usize], run: Run, width: usize, packed: &mut [f32]) {
    for (square, lines) in packed.chunks_mut(SQUARE * width).enumerate() {
        let first = square * SQUARE;
        let length = lines.len() / width;
        let mut values = [0.0; SQUARE];
        let values = &mut values[..length];
        for i in 0..width {
            match places.get(i) {
                None => values.fill(0.0),
                Some(place) if run.stride == 1 => {
                    load(&source[place.wrapping_add(run.at(first))..][..length], values);
                }
                Some(place) => {
                    for (p, value) in values.iter_mut().enumerate() {
                        *value = source[place.wrapping_add(run.at(first + p))].load();
                    }
                }
            }
            for (line, &value) in lines.chunks_exact_mut(width).zip(&*values) {
                line[i] = value;
            }
        }
    }
}
