//! Which parameters a data set can tell apart.
//!
//! The Jacobian of all outputs over all samples with respect to the parameters has full rank where each parameter has an
//! effect of its own. A direction in its null space changes no output to first order. Whether it changes none at all is
//! found by going along it. The Jacobian is the engine's, in f64.

use arenagrad::{DType, Device, Graph, PlanId, Session, Tensor};
use nalgebra::DMatrix;

use super::dag::Dag;
use super::data::{DataSet, borrowed};
use super::error::PrimerError;
use super::network::{Network, Partials, set_parameters};

/// Samples beyond these add nothing to a rank.
const MOST_SAMPLES: usize = 20_000;

/// What the outputs of a data set say about the parameters, near certain values of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Identifiability {
    /// The rank of the Jacobian: how many independent combinations of parameters the outputs determine.
    pub rank: usize,
    /// Parameters that are determined only together, or not at all. Disjoint; in the order of the parameters.
    pub groups: Vec<Group>,
    /// The largest eigenvalue of the Gauss-Newton Hessian of the mean squared error. Gradient descent near these values is stable at
    /// learning rates below 2 over this.
    pub curvature: f64,
}

/// Parameters that trade against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their numbers, ascending.
    pub parameters: Vec<usize>,
    /// Independent directions along which no output changes: a coefficient for each of `parameters`.
    pub directions: Vec<Vec<f64>>,
    /// The combinations of `parameters` that the outputs do determine, as coefficients; none if they determine nothing.
    pub combinations: Vec<Vec<f64>>,
    /// Whether outputs also stay the same far along the directions. If not, the directions hold near these values only.
    pub exact: bool,
}

impl Identifiability {
    /// Looks at the network with the parameters `at` over a data set (the first 20,000 samples of it).
    ///
    /// Errors: a number of parameters other than the network's.
    pub fn of(dag: &Dag, data: &DataSet, at: &[f64]) -> Result<Identifiability, PrimerError> {
        let mut outputs = Outputs::new(dag, data)?;
        let jacobian = outputs.jacobian(at)?;
        let (rows, columns) = jacobian.shape();
        if rows == 0 || columns == 0 {
            return Ok(Identifiability { rank: 0, groups: Vec::new(), curvature: 0.0 });
        }
        let largest = jacobian.clone().qr().r().singular_values().iter().copied().fold(0.0, f64::max);
        let curvature = 2.0 * largest * largest / rows as f64;
        let null = null_space(jacobian);
        let rank = columns - null.len();
        let mut groups = Vec::new();
        for (parameters, directions) in components(&null, columns) {
            let combinations = complement(&directions, parameters.len());
            let exact = outputs.constant_along(at, &parameters, &directions)?;
            groups.push(Group { parameters, directions, combinations, exact });
        }
        groups.sort_by(|left, right| left.parameters.cmp(&right.parameters));
        Ok(Identifiability { rank, groups, curvature })
    }

    /// The group of a parameter that is not determined by itself.
    pub fn group_of(&self, parameter: usize) -> Option<&Group> {
        self.groups.iter().find(|group| group.parameters.contains(&parameter))
    }
}

/// The outputs and their Jacobian as plans of one session.
struct Outputs<'d> {
    dag: &'d Dag,
    session: Session,
    jacobian: PlanId,
    columns: Vec<(String, Tensor)>,
    rows: usize,
}

impl<'d> Outputs<'d> {
    fn new(dag: &'d Dag, data: &DataSet) -> Result<Self, PrimerError> {
        let rows = data.len().min(MOST_SAMPLES);
        let positions: Vec<usize> = (0..rows).collect();
        let columns = data.tensors(dag, &positions, DType::F64)?;
        let graph = Graph::new();
        let network = Network::declare(&graph, dag, rows, DType::F64);
        let variables = network.forward(Partials::Engine)?;
        let outputs: Vec<_> = dag.outputs().iter().map(|output| variables[*output]).collect();
        let mut session = Session::evaluate(&graph, &outputs, &Device::cpu())?;
        let jacobian = session.add(&graph, &network.jacobian(&variables)?.concat())?;
        Ok(Outputs { dag, session, jacobian, columns, rows })
    }

    fn jacobian(&mut self, at: &[f64]) -> Result<DMatrix<f64>, PrimerError> {
        set_parameters(&mut self.session, self.dag, at)?;
        let columns = self.session.run_plan(self.jacobian, &borrowed(&self.columns))?;
        let columns: Vec<Vec<f64>> = columns.iter().map(Tensor::to_f64_vec).collect();
        let parameters = self.dag.parameters().len();
        // A derivative that is not finite says nothing of a rank.
        let finite = |output: &[Vec<f64>], sample: usize| output.iter().all(|column| column[sample].is_finite());
        let rows: Vec<(usize, usize)> = (0..self.dag.outputs().len())
            .flat_map(|output| (0..self.rows).map(move |sample| (output * parameters, sample)))
            .filter(|(first, sample)| finite(&columns[*first..*first + parameters], *sample))
            .collect();
        let entry = |row: usize, parameter: usize| columns[rows[row].0 + parameter][rows[row].1];
        Ok(DMatrix::from_fn(rows.len(), parameters, entry))
    }

    /// Whether outputs stay the same a finite way along each direction, forth and back.
    fn constant_along(
        &mut self,
        at: &[f64],
        parameters: &[usize],
        directions: &[Vec<f64>],
    ) -> Result<bool, PrimerError> {
        const WAY: f64 = 0.5;
        const TOLERANCE: f64 = 1e-9;
        let here = self.values(at)?;
        let size = here.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
        for direction in directions {
            for way in [WAY, -WAY] {
                let mut moved = at.to_vec();
                for (parameter, coefficient) in parameters.iter().zip(direction) {
                    moved[*parameter] += way * coefficient;
                }
                let there = self.values(&moved)?;
                if !here.iter().zip(&there).all(|(here, there)| (here - there).abs() <= TOLERANCE * size) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn values(&mut self, at: &[f64]) -> Result<Vec<f64>, PrimerError> {
        set_parameters(&mut self.session, self.dag, at)?;
        let columns = self.session.run(&borrowed(&self.columns))?;
        Ok(columns.iter().flat_map(Tensor::to_f64_vec).collect())
    }
}

/// A basis of the null space of a matrix of finite entries, in reduced row echelon form, which keeps directions of few
/// parameters apart.
fn null_space(matrix: DMatrix<f64>) -> Vec<Vec<f64>> {
    // Columns are brought to one scale first, so that a parameter of small effect counts as much as another.
    const TOLERANCE: f64 = 1e-10;
    let columns = matrix.ncols();
    let norms: Vec<f64> = matrix.column_iter().map(|column| column.norm()).collect();
    let scale = |column: usize| if norms[column] == 0.0 { 1.0 } else { norms[column] };
    let scaled = DMatrix::from_fn(matrix.nrows(), columns, |row, column| matrix[(row, column)] / scale(column));
    let triangle = scaled.qr().r();
    // The decomposition gives as many right singular vectors as there are rows, so a wide triangle is made square.
    let mut square = DMatrix::zeros(columns, columns);
    square.rows_mut(0, triangle.nrows()).copy_from(&triangle);
    let decomposition = square.svd(false, true);
    let largest = decomposition.singular_values.iter().copied().fold(0.0, f64::max);
    let Some(right) = decomposition.v_t else { return Vec::new() };
    let null = decomposition.singular_values.iter().enumerate().filter(|(_, value)| **value <= TOLERANCE * largest);
    let rows = null.map(|(row, _)| (0..columns).map(|column| right[(row, column)] / scale(column)).collect());
    reduced(rows.collect())
}

/// Rows in reduced row echelon form, by Gauss and Jordan's elimination with the largest pivots.
fn reduced(mut rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    const NOTHING: f64 = 1e-8;
    for row in &mut rows {
        let largest = row.iter().fold(0.0, |largest: f64, entry| largest.max(entry.abs()));
        row.iter_mut().for_each(|entry| *entry /= largest);
    }
    let columns = rows.first().map_or(0, Vec::len);
    let mut done = 0;
    for column in 0..columns {
        let size = |row: &usize| rows[*row][column].abs();
        let Some(pivot) = (done..rows.len()).max_by(|left, right| size(left).total_cmp(&size(right))) else { break };
        if size(&pivot) <= NOTHING {
            continue;
        }
        rows.swap(done, pivot);
        let divisor = rows[done][column];
        rows[done].iter_mut().for_each(|entry| *entry /= divisor);
        let pivot_row = rows[done].clone();
        for (number, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if number != done {
                row.iter_mut().zip(&pivot_row).for_each(|(entry, pivot)| *entry -= factor * pivot);
            }
        }
        done += 1;
    }
    for entry in rows.iter_mut().flatten() {
        // What elimination left of a zero, and of a whole number.
        let whole = entry.round();
        if (*entry - whole).abs() <= NOTHING {
            *entry = whole + 0.0;
        }
    }
    rows
}

/// The directions that share parameters, together, with the coefficients of those parameters alone.
fn components(null: &[Vec<f64>], columns: usize) -> Vec<(Vec<usize>, Vec<Vec<f64>>)> {
    let mut found: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (number, direction) in null.iter().enumerate() {
        let mut parameters: Vec<usize> = (0..columns).filter(|column| direction[*column] != 0.0).collect();
        let mut directions = vec![number];
        let (joined, apart) = found
            .into_iter()
            .partition(|(others, _): &(Vec<usize>, _)| others.iter().any(|other| parameters.contains(other)));
        found = apart;
        for (others, numbers) in joined as Vec<(Vec<usize>, Vec<usize>)> {
            parameters.extend(others);
            directions.extend(numbers);
        }
        parameters.sort_unstable();
        parameters.dedup();
        directions.sort_unstable();
        found.push((parameters, directions));
    }
    let restricted = |parameters: &[usize], directions: &[usize]| -> Vec<Vec<f64>> {
        let of = |direction: &usize| parameters.iter().map(|parameter| null[*direction][*parameter]).collect();
        directions.iter().map(of).collect()
    };
    found.into_iter().map(|(parameters, numbers)| (parameters.clone(), restricted(&parameters, &numbers))).collect()
}

/// Combinations that are orthogonal to directions in reduced row echelon form: one for each column without a pivot.
fn complement(directions: &[Vec<f64>], columns: usize) -> Vec<Vec<f64>> {
    let pivots: Vec<usize> = directions.iter().filter_map(|row| row.iter().position(|entry| *entry != 0.0)).collect();
    let free = (0..columns).filter(|column| !pivots.contains(column));
    let combinations = free.map(|column| {
        let mut combination = vec![0.0; columns];
        combination[column] = 1.0;
        for (pivot, row) in pivots.iter().zip(directions) {
            combination[*pivot] = 0.0 - row[column];
        }
        // It reads best with a first coefficient of 1.
        let first = combination.iter().copied().find(|entry| *entry != 0.0).unwrap_or(1.0);
        combination.iter().map(|entry| entry / first + 0.0).collect()
    });
    combinations.collect()
}
