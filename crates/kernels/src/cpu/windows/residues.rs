//! Copies of matrices in which elements stand side by side that are a few apart: those of each residue, line by line.

use pulp::{Simd, WithSimd};

use crate::cpu::real::Real;
use crate::cpu::walk;
use crate::padding::reach;
use crate::view::Axis;

/// A copy of a matrix in lines of equal length, in each of which the elements of a residue are neighbours, and a vector of room behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residues {
    /// How many elements the matrix reaches over.
    pub(super) elements: usize,
    /// The length of a line of it.
    pub(super) line: usize,
    /// How many residues there are.
    pub(super) stride: usize,
}

impl Residues {
    /// How many elements of a line have one residue, at most.
    fn of_residue(&self) -> usize {
        self.line.div_ceil(self.stride)
    }

    /// Where an element comes to stand.
    pub(super) fn place(&self, element: usize) -> usize {
        let (line, within) = (element / self.line, element % self.line);
        (line * self.stride + within % self.stride) * self.of_residue() + within / self.stride
    }

    /// How many elements the copy has.
    pub(super) fn len(&self) -> usize {
        self.elements.div_ceil(self.line) * self.stride * self.of_residue()
    }
}

/// The copying of a matrix.
pub(super) struct CopyByResidue<'a, T> {
    pub(super) residues: Residues,
    pub(super) matrix: &'a [T],
    pub(super) copied: &'a mut [T],
}

impl<T: Real> WithSimd for CopyByResidue<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let CopyByResidue { residues, matrix, copied } = self;
        let of_residue = residues.of_residue();
        let lines = matrix[..residues.elements].chunks(residues.line);
        for (line, copied) in lines.zip(copied.chunks_exact_mut(residues.stride * of_residue)) {
            for (residue, copied) in copied.chunks_exact_mut(of_residue).enumerate().take(line.len()) {
                let elements = &line[residue..];
                let count = elements.len().div_ceil(residues.stride);
                let copied = &mut copied[..count];
                match residues.stride {
                    1 => copied.copy_from_slice(elements),
                    stride => walk::read_apart(&elements[..=(count - 1) * stride], stride, copied),
                }
            }
        }
    }
}

/// The length of lines such that the elements of the axis `along` are in one, and so are those of `other` or its steps are whole lines, as those of the `outer` axes
/// are: what is copied line by line then stays as far apart as it was. None if there is no such length.
pub(super) fn line_of<'a>(
    outer: impl Iterator<Item = &'a Axis>,
    along: Axis,
    other: Axis,
    elements: usize,
) -> Option<usize> {
    let outer = outer.fold(0, |line, axis| greatest_common_divisor(line, axis.stride.unsigned_abs()));
    let with_other = greatest_common_divisor(outer, other.stride.unsigned_abs());
    let line_of = |divisor| if divisor == 0 { elements } else { divisor };
    [(line_of(outer), reach(&along) + reach(&other)), (line_of(with_other), reach(&along))]
        .into_iter()
        .find_map(|(line, within)| (within < line).then_some(line))
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
