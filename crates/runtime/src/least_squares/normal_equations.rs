//! The normal equations of a linearised problem, scaled so that parameters of different sizes do not spoil them.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SymmetricEigen};

/// `J^T J` and `J^T e`, in units in which the columns of `J` have length 1.
pub(super) struct NormalEquations {
    /// `J^T J` with ones on the diagonal.
    matrix: DMatrix<f64>,
    /// `J^T e`.
    right: DVector<f64>,
    /// The length of each column of `J`; 1 for a column of zeros.
    lengths: Vec<f64>,
    /// `J^T e` in the parameters' own units.
    gradient: Vec<f64>,
}

impl NormalEquations {
    /// Of a row-major Jacobian of as many rows as there are errors, and so many columns.
    pub(super) fn new(jacobian: &[f64], errors: &[f64], columns: usize) -> Self {
        // Row-major, it is its own transposition column by column.
        let mut transposed = DMatrix::from_column_slice(columns, errors.len(), jacobian);
        let mut squares = DVector::zeros(columns);
        for row in transposed.column_iter() {
            squares.zip_apply(&row, |square, element| *square += element * element);
        }
        let lengths = squares.map(|square: f64| if square > 0.0 { square.sqrt() } else { 1.0 });
        transposed.column_iter_mut().for_each(|mut row| row.component_div_assign(&lengths));
        let right = &transposed * DVector::from_column_slice(errors);
        let gradient = right.component_mul(&lengths).as_slice().to_vec();
        let lengths = lengths.as_slice().to_vec();
        NormalEquations { matrix: product_with_transposition(&transposed), right, lengths, gradient }
    }

    /// `J^T e`, half the negative gradient of the sum of squares.
    pub(super) fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// The step of Gauss and Newton; `None` if the matrix is singular to working precision.
    pub(super) fn solve(&self) -> Option<Vec<f64>> {
        let factor = self.factor()?;
        Some(self.unscaled(&factor.solve(&self.right)))
    }

    /// The length of each column of the Jacobian; 1 for a column of zeros.
    pub(super) fn lengths(&self) -> &[f64] {
        &self.lengths
    }

    /// The step of `(J^T J + damping D^2) d = J^T e`, with `D` the diagonal matrix of `scale`; and the fall of the sum of squares
    /// that the linearised problem expects of it. `None` if even so the matrix is singular.
    pub(super) fn solve_damped(&self, damping: f64, scale: &[f64]) -> Option<(Vec<f64>, f64)> {
        let mut matrix = self.matrix.clone();
        let units = scale.iter().zip(&self.lengths).map(|(scale, length)| damping * (scale / length).powi(2));
        let damped = DVector::from_iterator(matrix.nrows(), units);
        for place in 0..matrix.nrows() {
            matrix[(place, place)] += damped[place];
        }
        let step = cholesky(matrix)?.solve(&self.right);
        let expected = step.dot(&(step.component_mul(&damped) + &self.right));
        Some((self.unscaled(&step), expected))
    }

    /// The diagonal of `(J^T J)^-1`; `None` if there is no inverse.
    pub(super) fn variances(&self) -> Option<Vec<f64>> {
        let inverse = self.factor()?.inverse();
        let elements = self.lengths.iter().enumerate();
        Some(elements.map(|(place, length)| inverse[(place, place)] / (length * length)).collect())
    }

    /// The direction along which the residuals change least, in the parameters' own units, its largest element 1.
    pub(super) fn weakest_direction(&self) -> Vec<f64> {
        let eigen = SymmetricEigen::new(self.matrix.clone());
        let weakest =
            (0..eigen.eigenvalues.len()).min_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
        let Some(weakest) = weakest else { return Vec::new() };
        let direction = self.unscaled(&eigen.eigenvectors.column(weakest).into_owned());
        let largest = direction.iter().fold(0.0f64, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
        direction.iter().map(|x| x / largest).collect()
    }

    /// The Cholesky factor, if the matrix is well away from a singular one. With ones on the diagonal a pivot is the share of
    /// its column that the columns before it do not explain.
    fn factor(&self) -> Option<Cholesky<f64, Dyn>> {
        let factor = cholesky(self.matrix.clone())?;
        let least = (self.matrix.nrows() as f64) * f64::EPSILON;
        let diagonal = factor.l_dirty().diagonal();
        diagonal.iter().all(|pivot| pivot * pivot > least).then_some(factor)
    }

    fn unscaled(&self, step: &DVector<f64>) -> Vec<f64> {
        step.iter().zip(&self.lengths).map(|(element, length)| element / length).collect()
    }
}

/// How many columns of a matrix are worked on at once: what is left to do to the others is a product of matrices, which is the
/// fast part.
const BLOCK: usize = 48;

/// `A A^T`, of which only the lower half is computed and the other copied.
fn product_with_transposition(a: &DMatrix<f64>) -> DMatrix<f64> {
    let rows = a.nrows();
    let (transposed, mut product) = (a.transpose(), DMatrix::zeros(rows, rows));
    for first in (0..rows).step_by(4 * BLOCK) {
        let (below, width) = (rows - first, (4 * BLOCK).min(rows - first));
        let mut part = product.view_mut((first, first), (below, width));
        part.gemm(1.0, &a.rows(first, below), &transposed.columns(first, width), 0.0);
    }
    product.fill_upper_triangle_with_lower_triangle();
    product
}

/// The Cholesky factor of a symmetric matrix, of which the lower half is read; `None` if the matrix is not positive definite.
/// It is computed block by block: `[A .; B C] = [L 0; M N] [L 0; M N]^T` with `L L^T = A`, `M = B L^-T` and
/// `N N^T = C - M M^T`.
fn cholesky(mut matrix: DMatrix<f64>) -> Option<Cholesky<f64, Dyn>> {
    let rows = matrix.nrows();
    for first in (0..rows).step_by(BLOCK) {
        let width = BLOCK.min(rows - first);
        let (next, below) = (first + width, rows - first - width);
        let factor = Cholesky::new(matrix.view((first, first), (width, width)).into_owned())?.unpack();
        matrix.view_mut((first, first), (width, width)).copy_from(&factor);
        let mut transposed = matrix.view((next, first), (below, width)).transpose();
        if !factor.solve_lower_triangular_mut(&mut transposed) {
            return None;
        }
        let solved = transposed.transpose();
        matrix.view_mut((next, first), (below, width)).copy_from(&solved);
        matrix.view_mut((next, next), (below, below)).gemm(-1.0, &solved, &transposed, 1.0);
    }
    Some(Cholesky::pack_dirty(matrix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line through (0, 1), (1, 3), (2, 5): `1 + 2 x`, linear and so solved by one step from zero.
    #[test]
    fn a_linear_problem_is_one_step() {
        let equations = NormalEquations::new(&[1.0, 0.0, 1.0, 1.0, 1.0, 2.0], &[1.0, 3.0, 5.0], 2);
        let gradient = equations.gradient();
        assert!((gradient[0] - 9.0).abs() < 1e-14 && (gradient[1] - 13.0).abs() < 1e-14, "{gradient:?}");
        let step = equations.solve().unwrap();
        assert!((step[0] - 1.0).abs() < 1e-14 && (step[1] - 2.0).abs() < 1e-14, "{step:?}");
        // (J^T J)^-1 of [[3, 3], [3, 5]] is [[5, -3], [-3, 3]] / 6.
        let variances = equations.variances().unwrap();
        assert!((variances[0] - 5.0 / 6.0).abs() < 1e-14 && (variances[1] - 0.5).abs() < 1e-14, "{variances:?}");
    }

    #[test]
    fn columns_that_depend_on_each_other_are_singular_at_any_scale() {
        let jacobian = [1.0, 2e6, 0.0, 2.0, 4e6, 1.0, -1.0, -2e6, 3.0];
        let equations = NormalEquations::new(&jacobian, &[1.0, 2.0, 3.0], 3);
        assert_eq!(equations.solve(), None);
        assert!(equations.variances().is_none());
        let direction = equations.weakest_direction();
        assert!((direction[0] - 1.0).abs() < 1e-9 && (direction[1] + 5e-7).abs() < 1e-12, "{direction:?}");
        assert!(direction[2].abs() < 1e-7);
        assert!(equations.solve_damped(1e-3, equations.lengths()).is_some());
    }

    /// A Jacobian with more columns than are worked on at once, against the solution that the errors were made from.
    #[test]
    fn many_parameters_are_solved_for_block_by_block() {
        let (rows, columns) = (3 * BLOCK + 60, 2 * BLOCK + 17);
        let element = |row: usize, column: usize| {
            let scale = if column.is_multiple_of(3) { 1e4 } else { 1.0 };
            scale * (((row * 31 + column * 17) % 97) as f64 / 97.0 + if row == column { 3.0 } else { -0.5 })
        };
        let jacobian: Vec<f64> =
            (0..rows).flat_map(|row| (0..columns).map(move |column| element(row, column))).collect();
        let wanted = |column: usize| (column as f64 - 40.0) / 7.0;
        let errors: Vec<f64> =
            (0..rows).map(|row| (0..columns).map(|column| element(row, column) * wanted(column)).sum()).collect();
        let equations = NormalEquations::new(&jacobian, &errors, columns);
        let matrix = &equations.matrix;
        for (row, column) in [(0, 0), (5, 100), (100, 5), (columns - 1, columns - 2)] {
            let scale = equations.lengths[row] * equations.lengths[column];
            let product: f64 = (0..rows).map(|place| element(place, row) * element(place, column)).sum();
            assert!((matrix[(row, column)] - product / scale).abs() < 1e-13, "{row}, {column}");
        }
        let step = equations.solve().unwrap();
        for (column, found) in step.iter().enumerate() {
            assert!((found - wanted(column)).abs() < 1e-8, "{column}: {found}, not {}", wanted(column));
        }
        let factor = cholesky(matrix.clone()).unwrap();
        let (lower, whole) = (factor.l(), Cholesky::new(matrix.clone()).unwrap().l());
        assert!((&lower - &whole).amax() < 1e-12);
        // The same matrix with one eigenvalue moved below zero.
        let mut indefinite = matrix.clone();
        indefinite[(columns - 1, columns - 1)] -= 2.0;
        assert!(cholesky(indefinite).is_none());
    }
}
