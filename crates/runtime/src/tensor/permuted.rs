//! Elements in the order of other axes.

use arenagrad_graph::{AlignedVec, Elements};

/// The elements that stand at these distances along axes of these extents, in row-major order. Every element stands in one place.
pub(super) fn permuted(elements: &Elements, extents: &[usize], strides: &[usize]) -> Elements {
    match elements {
        Elements::F32(data) => Elements::F32(turned(data, extents, strides)),
        Elements::F64(data) => Elements::F64(turned(data, extents, strides)),
        Elements::I32(data) => Elements::I32(turned(data, extents, strides)),
        Elements::Bool(data) => Elements::Bool(turned(data, extents, strides)),
        Elements::F16(data) => Elements::F16(turned(data, extents, strides)),
        Elements::Bf16(data) => Elements::Bf16(turned(data, extents, strides)),
        Elements::U8(data) => Elements::U8(turned(data, extents, strides)),
        Elements::I8(data) => Elements::I8(turned(data, extents, strides)),
        Elements::I64(data) => Elements::I64(turned(data, extents, strides)),
    }
}

/// An axis of the result: how many elements it has, how far apart they stand in what is read, and how far in the result.
#[derive(Clone, Copy)]
struct Axis {
    extent: usize,
    from: usize,
    to: usize,
}

/// The side of the squares in which elements are turned: a line of the cache of most types, or a few.
const SIDE: usize = 16;

fn turned<T: Copy + Default>(data: &[T], extents: &[usize], strides: &[usize]) -> AlignedVec<T> {
    let mut result = AlignedVec::zeros(data.len());
    if data.is_empty() {
        return result;
    }
    let mut to = data.len();
    let mut axes = Vec::with_capacity(extents.len());
    for (&extent, &from) in extents.iter().zip(strides) {
        to /= extent;
        if extent > 1 {
            axes.push(Axis { extent, from, to });
        }
    }
    // A square lies on the axis whose neighbours are read side by side and on that whose are written so; where these are one, it is a line.
    let Some(last) = axes.pop() else {
        result.copy_from_slice(data);
        return result;
    };
    let near = axes.iter().position(|axis| axis.from == 1).map(|place| axes.remove(place));
    let near = near.unwrap_or(Axis { extent: 1, from: 0, to: 0 });
    let mut counts = vec![0; axes.len()];
    let (mut from, mut to) = (0, 0);
    loop {
        if last.from == 1 {
            result[to..to + last.extent].copy_from_slice(&data[from..from + last.extent]);
        } else {
            turn(&data[from..], &mut result[to..], near, last);
        }
        // The next place along the other axes.
        let mut is_done = true;
        for (axis, count) in axes.iter().zip(&mut counts).rev() {
            *count += 1;
            (from, to) = (from + axis.from, to + axis.to);
            if *count < axis.extent {
                is_done = false;
                break;
            }
            (from, to, *count) = (from - axis.from * axis.extent, to - axis.to * axis.extent, 0);
        }
        if is_done {
            return result;
        }
    }
}

/// Turns a rectangle square by square. Between reading and writing a square is kept by itself, so that no line of the cache is needed twice:
/// those of one column of a matrix may all fall on the same few places of the cache.
fn turn<T: Copy + Default>(data: &[T], result: &mut [T], near: Axis, last: Axis) {
    let mut square = [[T::default(); SIDE]; SIDE];
    for along_near in (0..near.extent).step_by(SIDE) {
        let height = SIDE.min(near.extent - along_near);
        for along_last in (0..last.extent).step_by(SIDE) {
            let width = SIDE.min(last.extent - along_last);
            for column in 0..width {
                let line = &data[(along_last + column) * last.from + along_near..][..height];
                for (row, &element) in square.iter_mut().zip(line) {
                    row[column] = element;
                }
            }
            for (row, elements) in square[..height].iter().enumerate() {
                result[(along_near + row) * near.to + along_last..][..width].copy_from_slice(&elements[..width]);
            }
        }
    }
}
