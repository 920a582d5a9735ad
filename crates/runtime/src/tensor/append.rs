//! Elements behind and between elements of the same type.

use arenagrad_graph::{AlignedVec, Element, Elements, StorageType};

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

/// `count` blocks of each source in turn, of which each has as many; all are of that type.
pub(super) fn interleaved<'a>(storage: StorageType, sources: &[&'a Elements], count: usize) -> Elements {
    fn of<T: Copy + Default>(sources: &[&[T]], count: usize) -> AlignedVec<T> {
        let elements: usize = sources.iter().map(|source| source.len()).sum();
        let mut target = AlignedVec::zeros(elements);
        // Of no elements there may be any number of blocks.
        if elements == 0 {
            return target;
        }
        let width = elements / count;
        let mut first = 0;
        for source in sources {
            let block = source.len() / count;
            match block {
                0 => {}
                // To call out for each element takes longer than to write it.
                1 => target[first..].iter_mut().step_by(width).zip(*source).for_each(|(target, &x)| *target = x),
                _ => {
                    let lines = target.chunks_exact_mut(width).zip(source.chunks_exact(block));
                    lines.for_each(|(line, part)| line[first..first + block].copy_from_slice(part));
                }
            }
            first += block;
        }
        target
    }
    fn elements<T: Element + Copy + Default>(sources: &[&Elements], count: usize) -> AlignedVec<T> {
        let slices = sources.iter().map(|source| T::slice(source).expect("elements of one type are put together"));
        of(&slices.collect::<Vec<_>>(), count)
    }
    match storage {
        StorageType::F32 => Elements::F32(elements(sources, count)),
        StorageType::F64 => Elements::F64(elements(sources, count)),
        StorageType::I32 => Elements::I32(elements(sources, count)),
        StorageType::Bool => {
            // Truth values are bytes, which are no element type of their own.
            let bytes = |source: &&'a Elements| if let Elements::Bool(source) = source { &source[..] } else { &[] };
            Elements::Bool(of(&sources.iter().map(bytes).collect::<Vec<&[u8]>>(), count))
        }
        StorageType::F16 => Elements::F16(elements(sources, count)),
        StorageType::Bf16 => Elements::Bf16(elements(sources, count)),
        StorageType::U8 => Elements::U8(elements(sources, count)),
        StorageType::I8 => Elements::I8(elements(sources, count)),
        StorageType::I64 => Elements::I64(elements(sources, count)),
    }
}
