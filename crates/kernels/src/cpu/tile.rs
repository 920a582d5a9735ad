//! The innermost loop of a matrix product: a tile of the result that stays in vector registers, over operands that are packed or stand.

use std::cell::Cell;
use std::ops::Range;

use pulp::Simd;

use super::cache_lines::AtLine;
use super::real::Real;

/// How many products are summed one after the other before the sum joins those of other runs: so few that rounding hardly
/// counts, so many that joining hardly does.
pub(super) const RUN: usize = 64;

/// How many places of the depth are multiplied before it is asked whether there are more. To ask at each takes a sixth more instructions, and they, not
/// multiplications, are what a core that executes two threads has too few of.
const GROUP: usize = 4;

/// How many vectors of columns a tile has; it has one where no more columns are left.
pub(super) const VECTORS: usize = 2;

/// Rows of a tile where a processor has 32 vector registers.
pub(super) const ROWS_WIDE: usize = 8;

/// Rows of a tile where it has 16.
pub(super) const ROWS_NARROW: usize = 6;

/// Rows of a low tile, for the last rows of a result, where usual ones have [`ROWS_NARROW`]. Beside those of [`ROWS_WIDE`] there is none: each is all the
/// code of a tile once more.
pub(super) const ROWS_LOW: usize = 4;

/// The rows of the next tile where so many are left: those of a usual one, or of a low one where fewer are then computed that do not exist.
#[inline(always)]
pub(super) const fn rows_of_next(left: usize, tile_rows: usize) -> usize {
    let is_low = left <= ROWS_LOW || (tile_rows < left && left <= 2 * ROWS_LOW);
    if tile_rows == ROWS_NARROW && is_low { ROWS_LOW } else { tile_rows }
}

/// Where a tile's result goes: its first element, and the distance from one row to the next.
pub(super) struct TileTarget<'a, T> {
    pub(super) data: &'a mut [T],
    pub(super) row_stride: usize,
    /// The rows and columns of the tile that exist.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether the product is added to what stands there.
    pub(super) add: bool,
}

/// A panel of `ROWS` rows of a left operand over a part of the depth. Methods and loops over them do without closures, which
/// are not compiled for the instruction set that their caller is.
pub(super) trait RowPanel<T, const ROWS: usize>: Copy {
    /// Whether elements are read a group at a time. Where finding one takes a register of its own, a group of them takes too many.
    const BY_GROUPS: bool = true;
    /// The part `range` of that part.
    fn part(self, range: Range<usize>) -> Self;
    /// The element of row `row` at place `p` of the depth.
    fn at(&self, p: usize, row: usize) -> &T;

    /// The elements of each row at the places of group `group`.
    #[inline(always)]
    fn group(&self, group: usize) -> [[&T; ROWS]; GROUP] {
        let mut elements = [[self.at(group * GROUP, 0); ROWS]; GROUP];
        for (place, elements) in elements.iter_mut().enumerate() {
            for (row, element) in elements.iter_mut().enumerate() {
                *element = self.at(group * GROUP + place, row);
            }
        }
        elements
    }
}

/// Packed rows, `self.0[p][row]`.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a, T, const ROWS: usize>(pub(super) &'a [[T; ROWS]]);

/// Rows where they stand, `self.0[row][p]`.
#[derive(Clone, Copy)]
pub(super) struct Unpacked<'a, T, const ROWS: usize>(pub(super) [&'a [T]; ROWS]);

impl<T: Copy, const ROWS: usize> RowPanel<T, ROWS> for Packed<'_, T, ROWS> {
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        Packed(&self.0[range])
    }

    #[inline(always)]
    fn at(&self, p: usize, row: usize) -> &T {
        &self.0[p][row]
    }

    #[inline(always)]
    fn group(&self, group: usize) -> [[&T; ROWS]; GROUP] {
        // So that the compiler checks one place, not four.
        let (groups, _) = self.0.as_chunks::<GROUP>();
        groups[group].each_ref().map(|elements| elements.each_ref())
    }
}

impl<T: Copy, const ROWS: usize> RowPanel<T, ROWS> for Unpacked<'_, T, ROWS> {
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        let mut rows = self.0;
        for row in &mut rows {
            *row = &row[range.start..range.end];
        }
        Unpacked(rows)
    }

    #[inline(always)]
    fn at(&self, p: usize, row: usize) -> &T {
        &self.0[row][p]
    }

    #[inline(always)]
    fn group(&self, group: usize) -> [[&T; ROWS]; GROUP] {
        let mut elements = [[&self.0[0][group * GROUP]; ROWS]; GROUP];
        for (row, line) in self.0.iter().enumerate() {
            let (groups, _) = line.as_chunks::<GROUP>();
            for (elements, element) in elements.iter_mut().zip(&groups[group]) {
                elements[row] = element;
            }
        }
        elements
    }
}

/// Rows whose elements stand apart: `self.lines[row][self.distances[p]]`.
#[derive(Clone, Copy)]
pub(super) struct Spread<'a, T, const ROWS: usize> {
    pub(super) lines: [&'a [T]; ROWS],
    pub(super) distances: &'a [usize],
}

impl<T: Copy, const ROWS: usize> RowPanel<T, ROWS> for Spread<'_, T, ROWS> {
    const BY_GROUPS: bool = false;

    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        let Spread { mut lines, distances } = self;
        // So that the compiler sees that it is one length, and checks a place once.
        let length = lines[0].len();
        for line in &mut lines {
            *line = &line[..length];
        }
        Spread { lines, distances: &distances[range] }
    }

    #[inline(always)]
    fn at(&self, p: usize, row: usize) -> &T {
        &self.lines[row][self.distances[p]]
    }
}

/// The vectors at the places of a group.
pub(super) type Group<T, S, const VECTORS: usize> = [[<T as Real>::Vector<S>; VECTORS]; GROUP];

/// A panel of so many vectors of columns of a right operand over a part of the depth.
pub(super) trait VectorPanel<T: Real, S: Simd, const VECTORS: usize>: Copy {
    /// The length of that part.
    fn len(&self) -> usize;
    /// The vectors at place `p` of the depth.
    fn at(&self, p: usize) -> [T::Vector<S>; VECTORS];
    /// Those of whole groups from the first place on, where they lie in memory one behind the other; none where they do not.
    fn groups(&self) -> &[Group<T, S, VECTORS>];
}

/// Packed columns, `self[p][vector]`.
impl<T: Real, S: Simd, const VECTORS: usize> VectorPanel<T, S, VECTORS> for &[[T::Vector<S>; VECTORS]] {
    #[inline(always)]
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    #[inline(always)]
    fn at(&self, p: usize) -> [T::Vector<S>; VECTORS] {
        self[p]
    }

    #[inline(always)]
    fn groups(&self) -> &[Group<T, S, VECTORS>] {
        self.as_chunks::<GROUP>().0
    }
}

/// Columns where they stand, each vector of them by itself, which are packed as they are read: so the first of the tiles that they are multiplied
/// with reads them, and the others what it packed. That of place `p` begins at `vectors[number][distances[p]]`. All have one length.
struct StandingVectors<'a, T: Real, S: Simd, const VECTORS: usize> {
    vectors: [&'a [T]; VECTORS],
    distances: &'a [u32],
    /// As many as there are distances.
    packed: &'a [Cell<[T::Vector<S>; VECTORS]>],
}

impl<T: Real, S: Simd, const VECTORS: usize> Clone for StandingVectors<'_, T, S, VECTORS> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Real, S: Simd, const VECTORS: usize> Copy for StandingVectors<'_, T, S, VECTORS> {}

impl<T: Real, S: Simd, const VECTORS: usize> VectorPanel<T, S, VECTORS> for StandingVectors<'_, T, S, VECTORS> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.distances.len()
    }

    #[inline(always)]
    fn at(&self, p: usize) -> [T::Vector<S>; VECTORS] {
        let first = self.distances[p] as usize;
        let mut read = [T::vectors::<S>(&self.vectors[0][first..first + T::lanes::<S>()])[0]; VECTORS];
        for (vector, elements) in read.iter_mut().zip(&self.vectors) {
            *vector = T::vectors::<S>(&elements[first..first + T::lanes::<S>()])[0];
        }
        self.packed[p].set(read);
        read
    }

    #[inline(always)]
    fn groups(&self) -> &[Group<T, S, VECTORS>] {
        &[]
    }
}

/// A panel of so many vectors of columns, before it is known how many elements a vector has.
pub(super) trait Columns<T: Real, const VECTORS: usize> {
    fn panel<S: Simd>(self) -> impl VectorPanel<T, S, VECTORS>;
}

/// Packed columns, vector by vector of one place of the depth after the other.
pub(super) struct PackedColumns<'a, T>(pub(super) &'a [T]);

impl<T: Real, const VECTORS: usize> Columns<T, VECTORS> for PackedColumns<'_, T> {
    #[inline(always)]
    fn panel<S: Simd>(self) -> impl VectorPanel<T, S, VECTORS> {
        T::vectors::<S>(self.0).as_chunks::<VECTORS>().0
    }
}

/// Columns where they stand, which are packed as they are read. The vector of place `p` begins at `vectors[number][distances[p]]`.
pub(super) struct Standing<'a, T, const VECTORS: usize> {
    pub(super) vectors: [&'a [T]; VECTORS],
    /// Of 32 bits, so that no place past a distance can be one before it, which would be checked too.
    pub(super) distances: &'a [u32],
    /// Room for as many vectors of each number as there are distances.
    pub(super) packed: &'a mut [T],
}

impl<T: Real, const VECTORS: usize> Columns<T, VECTORS> for Standing<'_, T, VECTORS> {
    #[inline(always)]
    fn panel<S: Simd>(self) -> impl VectorPanel<T, S, VECTORS> {
        let Standing { mut vectors, distances, packed } = self;
        // So that the compiler sees that it is one length, and checks a place once.
        let length = vectors[0].len();
        for vector in &mut vectors {
            *vector = &vector[..length];
        }
        let (packed, _) = T::vectors_mut::<S>(packed).as_chunks_mut::<VECTORS>();
        let packed = Cell::from_mut(&mut packed[..distances.len()]).as_slice_of_cells();
        StandingVectors::<T, S, VECTORS> { vectors, distances, packed }
    }
}

/// The product of a panel of rows and one of columns.
#[inline(always)]
pub(super) fn multiply_tile<
    T: Real,
    S: Simd,
    A: RowPanel<T, ROWS>,
    B: VectorPanel<T, S, VECTORS>,
    const ROWS: usize,
    const VECTORS: usize,
>(
    simd: S,
    a: A,
    b: B,
    target: TileTarget<'_, T>,
) {
    let depth = b.len();
    // Of a length that the compiler sees, so that it need not check each place.
    let a = a.part(0..depth);
    let groups = if A::BY_GROUPS { b.groups() } else { &[] };
    let mut total = Sums([[T::splat(simd, T::default()); VECTORS]; ROWS]);
    let mut from = 0;
    while from < depth {
        let to = depth.min(from + RUN);
        let run = sum_run::<T, S, A, B, ROWS, VECTORS>(simd, a, (b, groups), from..to);
        if from == 0 {
            total = run;
        } else {
            for (total, run) in total.0.iter_mut().zip(&run.0) {
                for (total, &run) in total.iter_mut().zip(run) {
                    *total = T::add(simd, *total, run);
                }
            }
        }
        from = to;
    }
    store_tile(simd, &total.0, target);
}

/// The sums of a tile. A vector may be of any alignment; where the compiler keeps these in memory, none lies across two lines of
/// the cache.
#[repr(align(64))]
struct Sums<V, const VECTORS: usize, const ROWS: usize>([[V; VECTORS]; ROWS]);

/// The sum of a run of products, each of a column of rows and a row of vectors, at the places `run`: first by whole groups of vectors where there are any.
/// A run begins with a group.
#[inline(always)]
fn sum_run<
    T: Real,
    S: Simd,
    A: RowPanel<T, ROWS>,
    B: VectorPanel<T, S, VECTORS>,
    const ROWS: usize,
    const VECTORS: usize,
>(
    simd: S,
    a: A,
    (b, groups): (B, &[Group<T, S, VECTORS>]),
    run: Range<usize>,
) -> Sums<T::Vector<S>, VECTORS, ROWS> {
    const { assert!(RUN.is_multiple_of(GROUP)) };
    let mut sums = [[T::splat(simd, T::default()); VECTORS]; ROWS];
    let whole = run.start / GROUP..groups.len().min(run.end / GROUP);
    let rest = run.start.max(whole.end * GROUP)..run.end;
    for group in whole {
        // One after the other: as a loop the compiler would keep the sums in memory.
        let ([first, second, third, fourth], a) = (&groups[group], a.group(group));
        sums = add_products::<T, S, ROWS, VECTORS>(simd, a[0], *first, sums);
        sums = add_products::<T, S, ROWS, VECTORS>(simd, a[1], *second, sums);
        sums = add_products::<T, S, ROWS, VECTORS>(simd, a[2], *third, sums);
        sums = add_products::<T, S, ROWS, VECTORS>(simd, a[3], *fourth, sums);
    }
    for p in rest {
        let b = b.at(p);
        for (row, sums) in sums.iter_mut().enumerate() {
            let x = T::splat(simd, *a.at(p, row));
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = T::mul_add(simd, x, b, *sum);
            }
        }
    }
    Sums(sums)
}

/// `sums` and the products of an element of each row with vectors.
#[inline(always)]
fn add_products<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    a: [&T; ROWS],
    b: [T::Vector<S>; VECTORS],
    mut sums: [[T::Vector<S>; VECTORS]; ROWS],
) -> [[T::Vector<S>; VECTORS]; ROWS] {
    for (&element, sums) in a.into_iter().zip(&mut sums) {
        let x = T::splat(simd, element);
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = T::mul_add(simd, x, b, *sum);
        }
    }
    sums
}

#[inline(always)]
fn store_tile<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &[[T::Vector<S>; VECTORS]; ROWS],
    target: TileTarget<'_, T>,
) {
    let TileTarget { data, row_stride, rows, columns, add } = target;
    let width = VECTORS * T::lanes::<S>();
    if columns == width && rows == ROWS {
        let mut rest = data;
        for (row, sums) in sums.iter().enumerate() {
            if row > 0 {
                rest = &mut rest[row_stride..];
            }
            let line = T::vectors_mut::<S>(&mut rest[..width]);
            for (element, &sum) in line.iter_mut().zip(sums) {
                *element = if add { T::add(simd, *element, sum) } else { sum };
            }
        }
        return;
    }
    // At an edge: by way of a whole row.
    let AtLine(line) = &mut AtLine([T::default(); 64]);
    for (row, sums) in sums.iter().enumerate().take(rows) {
        for (element, &sum) in T::vectors_mut::<S>(&mut line[..width]).iter_mut().zip(sums) {
            *element = sum;
        }
        let start = row * row_stride;
        for (element, &sum) in data[start..start + columns].iter_mut().zip(&*line) {
            *element = if add { T::plus(*element, sum) } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_tiles_leave_the_fewest_rows_that_do_not_exist() {
        let computed = |mut left: usize, tile_rows: usize| {
            let mut rows = 0;
            while left > 0 {
                let height = rows_of_next(left, tile_rows);
                rows += height;
                left = left.saturating_sub(height);
            }
            rows
        };
        let narrow = (1..=16).map(|rows| computed(rows, ROWS_NARROW));
        assert!(narrow.eq([4, 4, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14, 16, 16]));
        assert!((1..100).all(|rows| computed(rows, ROWS_WIDE) == rows.next_multiple_of(ROWS_WIDE)));
    }
}
