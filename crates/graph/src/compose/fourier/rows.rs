//! Transforms of the rows of a matrix, by products.
//!
//! A row of `a b` elements is a matrix `[a, b]`. The transforms of its columns, each element then turned by a root of unity, and the transforms of
//! the rows of that are the transform of all, with the axes changed about (Cooley and Tukey 1965); and those of the rows are taken
//! apart in the same way. Each of these small transforms is a product with a matrix of roots. The axes are changed about on the way (Stockham
//! 1966), so that nothing is sorted in the end.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::elements::Elements;
use crate::expr::Expr;
use crate::method::Method;
use crate::shape::Shape;

use super::roots::{Direction, radices};

/// Rows of complex numbers: `[count, length]`. Without an imaginary part they are real.
#[derive(Clone, Copy)]
pub(super) struct Rows<'g> {
    pub(super) real: Expr<'g>,
    pub(super) imaginary: Option<Expr<'g>>,
    pub(super) count: usize,
    pub(super) length: usize,
}

impl<'g> Rows<'g> {
    /// The lines along an axis, as rows.
    pub(super) fn of(real: Expr<'g>, imaginary: Option<Expr<'g>>, shape: &Shape, axis: usize) -> Self {
        let length = shape[axis];
        let count = shape.without([axis].into_iter().collect()).elements();
        let rows = |part: Expr<'g>| part.movedim([axis as isize], [-1]).reshape([count, length]);
        Rows { real: rows(real), imaginary: imaginary.map(rows), count, length }
    }

    /// The rows as lines along that axis of a shape that is otherwise as it was: real and imaginary part.
    pub(super) fn in_place(self, shape: &Shape, axis: usize) -> (Expr<'g>, Expr<'g>) {
        let mut extents: Vec<usize> = shape.dims().to_vec();
        extents.remove(axis);
        extents.push(self.length);
        let lines = |part: Expr<'g>| part.reshape(extents.as_slice()).movedim([-1], [axis as isize]);
        (lines(self.real), lines(self.imaginary_or_zero()))
    }

    /// [`Rows::in_place`], as the results of a method.
    pub(super) fn given_by(self, method: &Method<'g>, shape: &Shape, axis: usize) -> (Expr<'g>, Expr<'g>) {
        let parts = self.in_place(shape, axis);
        method.gives(&[parts.0, parts.1]);
        parts
    }

    /// Each part by a function.
    pub(super) fn map(self, function: impl Fn(Expr<'g>) -> Expr<'g>) -> Self {
        Rows { real: function(self.real), imaginary: self.imaginary.map(function), ..self }
    }

    pub(super) fn imaginary_or_zero(self) -> Expr<'g> {
        self.imaginary.unwrap_or_else(|| self.real.zeros_like())
    }

    /// The transform of each row, without a scale.
    pub(super) fn transformed(self, direction: Direction) -> Self {
        if self.real.id().is_err() {
            // What went wrong is told; no roots are computed for it.
            return self;
        }
        // What a product rounds is an error in every frequency.
        let _full_precision = self.graph().in_full_precision();
        match radices(self.length) {
            Some(radices) => self.transformed_by(&radices, direction),
            None => self.transformed_by_chirp(direction),
        }
    }

    /// The first half of the transform of real rows: `[count, length / 2 + 1]`.
    pub(super) fn half_spectrum(self) -> Self {
        let length = self.length / 2 + 1;
        Rows { length, ..self.transformed(Direction::Forward).map(|part| part.slice(-1, 0, length)) }
    }

    /// The `n` real numbers of which this is the first half of the transform.
    pub(super) fn of_half_spectrum(self, n: usize) -> Self {
        let known = self.length.min(n / 2 + 1);
        // The parts of the other half are those of this one backwards, but for the first and, of an even number, the middle one.
        let mirrored = known.min(n.div_ceil(2));
        let zeros = |length| self.graph().zeros([self.count, length], self.dtype());
        let gap = zeros(n - known - (mirrored - 1));
        let whole = |part: Expr<'g>, sign: f64| {
            let other = part.slice(-1, 1, mirrored).flip(-1) * sign;
            self.graph().concat(&[part, gap, other], -1)
        };
        let real = whole(self.real.slice(-1, 0, known), 1.0);
        // Parts that belong to no real numbers are left out, so that they are exactly nothing.
        let between = self.imaginary_or_zero().slice(-1, 1, mirrored);
        let imaginary = self.graph().concat(&[zeros(1), between, zeros(known - mirrored)], -1);
        let spectrum = Rows { real, imaginary: Some(whole(imaginary, -1.0)), count: self.count, length: n };
        Rows { imaginary: None, ..spectrum.transformed(Direction::Inverse).map(|part| part / n as f64) }
    }

    fn transformed_by(self, radices: &[usize], direction: Direction) -> Self {
        let (mut rows, mut done, mut rest) = (self, 1, self.length);
        for radix in radices {
            rest /= radix;
            rows = rows.columns_transformed([done, *radix, rest], direction);
            done *= radix;
        }
        rows
    }

    /// The rows as matrices `[radix, rest]` of which each column is transformed and turned. There are `done` of them, for the frequencies of what was
    /// transformed before; behind them the frequency of this one comes first, so that all are in order in the end.
    fn columns_transformed(self, [done, radix, rest]: [usize; 3], direction: Direction) -> Self {
        let roots = self.roots(radix, direction);
        // Each gives both parts of the roots times a part: `[count, radix, done, rest]`, or what has as many elements in the same order.
        let by_roots = |part: Expr<'g>| {
            let halves =
                |products: Expr<'g>, axis: isize| [0, radix].map(|start| products.slice(axis, start, start + radix));
            match (done, rest) {
                (1, 1) => halves(part.matmul(roots.t()), -1),
                (_, 1) => halves(roots.matmul(part.reshape([self.count, done, radix]).transpose(1, 2)), 1),
                _ => halves(roots.matmul(part.reshape([self.count, done, radix, rest])), 2)
                    .map(|half| half.transpose(1, 2)),
            }
        };
        let [real, imaginary] = by_roots(self.real);
        let (real, imaginary) = match self.imaginary.map(by_roots) {
            None => (real, imaginary),
            Some([by_real_roots, by_imaginary_roots]) => (real - by_imaginary_roots, imaginary + by_real_roots),
        };
        let columns = Rows { real, imaginary: Some(imaginary), ..self };
        let turned = if rest == 1 { columns } else { columns.turned(radix, rest, direction) };
        turned.map(|part| part.reshape([self.count, self.length]))
    }

    /// Both parts of the roots, one below the other: `[2 radix, radix]`.
    fn roots(self, radix: usize, direction: Direction) -> Expr<'g> {
        self.table(&[2 * radix, radix], |number| {
            let (place, column) = (number / radix, number % radix);
            let (real, imaginary) = direction.root((place % radix) as u64 * column as u64, radix as u64);
            if place < radix { real } else { imaginary }
        })
    }

    /// `[count, radix, done, rest]` of which element `[k, .., j]` is multiplied by the `k j`-th power of the root of `radix rest`.
    fn turned(self, radix: usize, rest: usize, direction: Direction) -> Self {
        let root = |number: usize| {
            let (row, column) = (number / rest, number % rest);
            direction.root(row as u64 * column as u64, (radix * rest) as u64)
        };
        let shape = [radix, 1, rest];
        self.times(self.table(&shape, |number| root(number).0), self.table(&shape, |number| root(number).1))
    }

    /// Times complex numbers that broadcast.
    pub(super) fn times(self, real: Expr<'g>, imaginary: Expr<'g>) -> Self {
        let (left, right) = match self.imaginary {
            None => (self.real * real, self.real * imaginary),
            Some(own) => (self.real * real - own * imaginary, self.real * imaginary + own * real),
        };
        Rows { real: left, imaginary: Some(right), ..self }
    }

    /// Constants of a shape in the dtype of the rows, by their number.
    pub(super) fn table(self, shape: &[usize], element: impl Fn(usize) -> f64) -> Expr<'g> {
        let elements = 0..shape.iter().product::<usize>();
        let data: Elements = match self.dtype() {
            DType::F64 => elements.map(element).collect::<Vec<f64>>().into(),
            DType::F32 | DType::I32 | DType::Bool => {
                elements.map(|number| element(number) as f32).collect::<Vec<f32>>().into()
            }
        };
        self.graph().literal(shape, data)
    }

    fn dtype(self) -> DType {
        // Of an expression that failed there is none, and whatever is made beside it fails without a word.
        self.real.dtype().unwrap_or(DType::F32)
    }

    pub(super) fn graph(self) -> &'g Graph {
        self.real.graph()
    }
}
