//! Elements behind elements of the same type.

use arenagrad_graph::{AlignedVec, Element, Elements};

/// Makes room for so many more elements.
pub(crate) fn reserve(elements: &mut Elements, count: usize) {
    match elements {
        Elements::F32(data) => data.reserve_exact(count),
        Elements::F64(data) => data.reserve_exact(count),
        Elements::I32(data) => data.reserve_exact(count),
        Elements::Bool(data) => data.reserve_exact(count),
        Elements::F16(data) => data.reserve_exact(count),
        Elements::Bf16(data) => data.reserve_exact(count),
        Elements::U8(data) => data.reserve_exact(count),
        Elements::I8(data) => data.reserve_exact(count),
        Elements::I64(data) => data.reserve_exact(count),
    }
}

/// Appends `count` elements of `source` from `start` on; both are of one type.
pub(crate) fn append(target: &mut Elements, source: &Elements, start: usize, count: usize) {
    fn of<T: Element>(target: &mut AlignedVec<T>, source: &Elements, start: usize, count: usize) {
        let source = T::slice(source).expect("elements of one type are put together");
        target.extend_from_slice(&source[start..start + count]);
    }
    match target {
        Elements::F32(target) => of(target, source, start, count),
        Elements::F64(target) => of(target, source, start, count),
        Elements::I32(target) => of(target, source, start, count),
        Elements::Bool(target) => {
            // Truth values are bytes, which are no element type of their own.
            if let Elements::Bool(source) = source {
                target.extend_from_slice(&source[start..start + count]);
            }
        }
        Elements::F16(target) => of(target, source, start, count),
        Elements::Bf16(target) => of(target, source, start, count),
        Elements::U8(target) => of(target, source, start, count),
        Elements::I8(target) => of(target, source, start, count),
        Elements::I64(target) => of(target, source, start, count),
    }
}
