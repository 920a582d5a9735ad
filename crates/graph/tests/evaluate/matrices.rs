//! Functions of matrices by other ways than a decomposition's usual one: Gauss-Jordan elimination, minors, Gram-Schmidt, and Jacobi's
//! rotations. They are for small matrices that are far from singular.

use arenagrad_graph::MatrixFunction;

/// A row-major matrix.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    data: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, element: impl Fn(usize, usize) -> f64) -> Matrix {
        let data = (0..rows * columns).map(|place| element(place / columns, place % columns)).collect();
        Matrix { rows, columns, data }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.columns + column]
    }

    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.data[row * self.columns + column] = value;
    }

    fn transposed(&self) -> Matrix {
        Matrix::new(self.columns, self.rows, |row, column| self.at(column, row))
    }

    fn times(&self, other: &Matrix) -> Matrix {
        let product = |row, column| (0..self.columns).map(|k| self.at(row, k) * other.at(k, column)).sum();
        Matrix::new(self.rows, other.columns, product)
    }

    fn identity(n: usize) -> Matrix {
        Matrix::new(n, n, |row, column| f64::from(u8::from(row == column)))
    }

    fn without(&self, row: usize, column: usize) -> Matrix {
        let past = |at: usize, left_out: usize| if at < left_out { at } else { at + 1 };
        Matrix::new(self.rows - 1, self.columns - 1, |r, c| self.at(past(r, row), past(c, column)))
    }

    /// The columns in that order, each times its factor.
    fn columns_by(&self, order: &[usize], factor: impl Fn(usize) -> f64) -> Matrix {
        Matrix::new(self.rows, order.len(), |row, place| self.at(row, order[place]) * factor(order[place]))
    }

    /// -1 if the first of the largest elements of a column is negative, else 1.
    fn sign(&self, column: usize) -> f64 {
        let mut largest = 0.0f64;
        for row in 0..self.rows {
            if self.at(row, column).abs() > largest.abs() * (1.0 + 1e-8) {
                largest = self.at(row, column);
            }
        }
        if largest < 0.0 { -1.0 } else { 1.0 }
    }
}

/// The function of one row-major matrix and its right-hand side, row-major.
pub fn apply(function: MatrixFunction, shape: [usize; 2], data: &[f64], rhs: &[f64]) -> Vec<f64> {
    let [rows, columns] = shape;
    let matrix = Matrix { rows, columns, data: data.to_vec() };
    let rhs = |of: usize| Matrix { rows: of, columns: rhs.len() / of.max(1), data: rhs.to_vec() };
    match function {
        MatrixFunction::Solve => solve(&matrix, &rhs(rows)).data,
        MatrixFunction::SolveTriangular { upper, unitriangular } => {
            let is_read = |row: usize, column: usize| if upper { column >= row } else { column <= row };
            let triangle = Matrix::new(rows, columns, |row, column| match (row == column, is_read(row, column)) {
                (true, _) if unitriangular => 1.0,
                (_, true) => matrix.at(row, column),
                (_, false) => 0.0,
            });
            solve(&triangle, &rhs(rows)).data
        }
        MatrixFunction::Inverse => solve(&matrix, &Matrix::identity(rows)).data,
        MatrixFunction::Determinant => vec![determinant(&matrix)],
        MatrixFunction::SignLogDeterminant => {
            let determinant = determinant(&matrix);
            vec![determinant.signum(), determinant.abs().ln()]
        }
        MatrixFunction::Cofactors => {
            let sign = |row: usize, column: usize| if (row + column).is_multiple_of(2) { 1.0 } else { -1.0 };
            let cofactor = |row, column| sign(row, column) * determinant(&matrix.without(row, column));
            Matrix::new(rows, columns, cofactor).data
        }
        MatrixFunction::Cholesky => cholesky(&matrix).data,
        MatrixFunction::Orthonormal => orthonormal(&matrix).data,
        MatrixFunction::Eigenvectors => {
            let mirrored = Matrix::new(rows, rows, |row, column| matrix.at(row.max(column), row.min(column)));
            let (values, vectors) = jacobi(mirrored);
            let order = ascending(&values);
            vectors.columns_by(&order, |column| vectors.sign(column)).data
        }
        MatrixFunction::SingularVectors => singular_vectors(&matrix),
    }
}

fn solve(matrix: &Matrix, rhs: &Matrix) -> Matrix {
    let (mut a, mut x) = (matrix.clone(), rhs.clone());
    for step in 0..a.rows {
        let pivot = (step..a.rows).max_by(|&p, &q| a.at(p, step).abs().total_cmp(&a.at(q, step).abs())).unwrap();
        for of in [&mut a, &mut x] {
            for column in 0..of.columns {
                let (upper, lower) = (of.at(step, column), of.at(pivot, column));
                of.set(step, column, lower);
                of.set(pivot, column, upper);
            }
        }
        for row in (0..a.rows).filter(|&row| row != step) {
            let factor = a.at(row, step) / a.at(step, step);
            for of in [&mut a, &mut x] {
                for column in 0..of.columns {
                    of.set(row, column, of.at(row, column) - factor * of.at(step, column));
                }
            }
        }
    }
    Matrix::new(x.rows, x.columns, |row, column| x.at(row, column) / a.at(row, row))
}

/// By the first row's minors.
fn determinant(matrix: &Matrix) -> f64 {
    if matrix.rows == 0 {
        return 1.0;
    }
    let term = |column: usize| {
        let sign = if column.is_multiple_of(2) { 1.0 } else { -1.0 };
        sign * matrix.at(0, column) * determinant(&matrix.without(0, column))
    };
    (0..matrix.columns).map(term).sum()
}

fn cholesky(matrix: &Matrix) -> Matrix {
    let n = matrix.rows;
    let mut lower = Matrix::new(n, n, |_, _| 0.0);
    for row in 0..n {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| lower.at(row, k) * lower.at(column, k)).sum();
            let rest = matrix.at(row, column) - known;
            lower.set(row, column, if row == column { rest.sqrt() } else { rest / lower.at(column, column) });
        }
    }
    lower
}

/// Gram-Schmidt, each column made orthogonal twice.
fn orthonormal(matrix: &Matrix) -> Matrix {
    let mut q = matrix.clone();
    for column in 0..q.columns {
        for other in (0..column).chain(0..column) {
            let share: f64 = (0..q.rows).map(|row| q.at(row, other) * q.at(row, column)).sum();
            (0..q.rows).for_each(|row| q.set(row, column, q.at(row, column) - share * q.at(row, other)));
        }
        let length = (0..q.rows).map(|row| q.at(row, column).powi(2)).sum::<f64>().sqrt();
        (0..q.rows).for_each(|row| q.set(row, column, q.at(row, column) / length));
    }
    q
}

/// Eigenvalues and eigenvectors of a symmetric matrix by rotations that make one element after the other 0.
fn jacobi(mut a: Matrix) -> (Vec<f64>, Matrix) {
    let n = a.rows;
    let mut vectors = Matrix::identity(n);
    for _ in 0..60 {
        for p in 0..n {
            for q in p + 1..n {
                if a.at(p, q) == 0.0 {
                    continue;
                }
                let theta = (a.at(q, q) - a.at(p, p)) / (2.0 * a.at(p, q));
                let tangent = if theta == 0.0 { 1.0 } else { theta.signum() / (theta.abs() + theta.hypot(1.0)) };
                let cosine = 1.0 / tangent.hypot(1.0);
                let mut rotation = Matrix::identity(n);
                rotation.set(p, p, cosine);
                rotation.set(q, q, cosine);
                rotation.set(p, q, tangent * cosine);
                rotation.set(q, p, -tangent * cosine);
                a = rotation.transposed().times(&a).times(&rotation);
                vectors = vectors.times(&rotation);
            }
        }
    }
    ((0..n).map(|i| a.at(i, i)).collect(), vectors)
}

fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order
}

/// V from the eigenvectors of `A^T A`, and U as `A V / s`; of a wide matrix the other way round.
fn singular_vectors(matrix: &Matrix) -> Vec<f64> {
    let is_wide = matrix.columns > matrix.rows;
    let tall = if is_wide { matrix.transposed() } else { matrix.clone() };
    let (values, vectors) = jacobi(tall.transposed().times(&tall));
    let order: Vec<usize> = ascending(&values).into_iter().rev().collect();
    let right = vectors.columns_by(&order, |_| 1.0);
    let image = tall.times(&right);
    let length = |column: usize| (0..image.rows).map(|row| image.at(row, column).powi(2)).sum::<f64>().sqrt();
    let places: Vec<usize> = (0..order.len()).collect();
    let left = image.columns_by(&places, |column| 1.0 / length(column));
    let (u, v) = if is_wide { (right, left) } else { (left, right) };
    let mut packed = u.columns_by(&places, |column| u.sign(column)).data;
    packed.extend(v.columns_by(&places, |column| u.sign(column)).data);
    packed
}
