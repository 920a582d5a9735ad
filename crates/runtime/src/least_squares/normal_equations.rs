//! The normal equations of a linearised problem, scaled so that parameters of different sizes do not spoil them.

use nalgebra::{Cholesky, DMatrix, DVector, SymmetricEigen};

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
        let j = DMatrix::from_row_slice(errors.len(), columns, jacobian);
        let lengths: Vec<f64> =
            j.column_iter().map(|column| Some(column.norm()).filter(|&length| length > 0.0).unwrap_or(1.0)).collect();
        let mut scaled = j;
        for (mut column, length) in scaled.column_iter_mut().zip(&lengths) {
            column /= *length;
        }
        let right = scaled.tr_mul(&DVector::from_column_slice(errors));
        let gradient = right.iter().zip(&lengths).map(|(element, length)| element * length).collect();
        NormalEquations { matrix: scaled.tr_mul(&scaled), right, lengths, gradient }
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
        let step = Cholesky::new(matrix)?.solve(&self.right);
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
    fn factor(&self) -> Option<Cholesky<f64, nalgebra::Dyn>> {
        let factor = Cholesky::new(self.matrix.clone())?;
        let least = (self.matrix.nrows() as f64) * f64::EPSILON;
        let diagonal = factor.l_dirty().diagonal();
        diagonal.iter().all(|pivot| pivot * pivot > least).then_some(factor)
    }

    fn unscaled(&self, step: &DVector<f64>) -> Vec<f64> {
        step.iter().zip(&self.lengths).map(|(element, length)| element / length).collect()
    }
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
}
