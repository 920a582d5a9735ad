//! The first values of parameters: a function of the seed and the parameter's name, shape and [`Init`], and of nothing else.
//! They are made on the host, so they are the same on every device.

use arenagrad_graph::nn::init::{Distribution, Fan, Side, Source};
use arenagrad_graph::{Elements, Init, Shape, StorageType, UnaryFunction};
use arenagrad_kernels::cpu::random::uniform;

use crate::data::normal_of;
use crate::error::Error;
use crate::tensor::Tensor;
use crate::train::lbfgs::dot;

/// The elements that the parameter of that name starts with.
pub(crate) fn initial_value(
    init: &Init,
    name: &str,
    shape: &Shape,
    storage: StorageType,
    seed: u64,
) -> Result<Tensor, Error> {
    let elements = shape.checked_elements().unwrap_or(usize::MAX);
    let source = init.source().map_or(0, |source| source.shape.checked_elements().unwrap_or(usize::MAX));
    let drawn = elements.max(source);
    // Found before the numbers are drawn, which would fail without a word.
    if Vec::<f64>::new().try_reserve_exact(drawn).is_err() {
        let bytes = (drawn as u64).saturating_mul(size_of::<f64>() as u64);
        return Err(Error::OutOfMemory { what: format!("the first value of {name:?}, of shape {shape}"), bytes });
    }
    let draws = Draws::of(name, seed);
    Ok(Tensor::from_data(shape.clone(), Elements::from(draws.values(init, shape)))?.cast(storage))
}

/// The random numbers of one parameter.
struct Draws {
    seed: u64,
    key: u64,
}

impl Draws {
    fn of(name: &str, seed: u64) -> Self {
        Draws { seed, key: mixed(mixed(seed) ^ hash(name)) }
    }

    /// Uniform in `[0, 1)`, of 24 bits: the number of that index among those of that step.
    fn uniform(&self, step: i32, index: u64) -> f64 {
        f64::from(uniform(self.key, step, index))
    }

    /// Normal, of mean 0 and deviation 1.
    fn normal(&self, index: u64) -> f64 {
        normal_of(self.uniform(0, index), self.uniform(1, index))
    }

    /// The elements that the init says, row-major.
    fn values(&self, init: &Init, shape: &Shape) -> Vec<f64> {
        let elements = shape.elements();
        let of_each = |draw: &dyn Fn(u64) -> f64| (0..elements as u64).map(draw).collect::<Vec<f64>>();
        let uniform = |low: f64, high: f64| of_each(&|index| low + (high - low) * self.uniform(0, index));
        let normal = |mean: f64, deviation: f64| of_each(&|index| mean + deviation * self.normal(index));
        // Of matrices that stand on the right of a product.
        let (fan_in, fan_out) = match shape.dims() {
            [] => (1, 1),
            [fan] => ((*fan).max(1), (*fan).max(1)),
            [.., fan_in, fan_out] => ((*fan_in).max(1), (*fan_out).max(1)),
        };
        match init {
            Init::Constant(value) => vec![*value; elements],
            Init::Uniform { low, high } => uniform(*low, *high),
            Init::Normal { mean, deviation } => normal(*mean, *deviation),
            Init::KaimingUniform => {
                let bound = (6.0 / fan_in as f64).sqrt();
                uniform(-bound, bound)
            }
            Init::XavierUniform => {
                let bound = (6.0 / (fan_in as f64 + fan_out as f64)).sqrt();
                uniform(-bound, bound)
            }
            Init::Values(values) => values.clone(),
            Init::TruncatedNormal { mean, deviation, low, high } => {
                let (erf, erfinv) = (UnaryFunction::Erf.row().value, UnaryFunction::Erfinv.row().value);
                // A number whose place in the distribution is uniform between those of the bounds.
                let place = |bound: f64| erf((bound - mean) / (deviation * std::f64::consts::SQRT_2));
                let (first, last) = (place(*low), place(*high));
                of_each(&|index| {
                    // In the middle of its step: 0 would be a bound that nothing but the clamp keeps from infinity.
                    let place = first + (last - first) * (self.uniform(0, index) + 0.5 / f64::from(1 << 24));
                    (mean + deviation * std::f64::consts::SQRT_2 * erfinv(place)).clamp(*low, *high)
                })
            }
            Init::VarianceScaling { gain, fan, distribution } => {
                let kernel: f64 = shape.iter().skip(2).map(|&extent| extent as f64).product();
                let extent = |axis: usize| shape.get(axis).map_or(1.0, |&extent| extent as f64);
                let fan = kernel
                    * match fan {
                        Fan::In => extent(1),
                        Fan::Out => extent(0),
                        Fan::Average => (extent(0) + extent(1)) / 2.0,
                    };
                let deviation = gain / fan.max(1.0).sqrt();
                match distribution {
                    Distribution::Normal => normal(0.0, deviation),
                    Distribution::Uniform => uniform(-deviation * 3.0f64.sqrt(), deviation * 3.0f64.sqrt()),
                }
            }
            Init::Orthogonal { gain } => {
                let rows = shape.first().copied().unwrap_or(1);
                orthogonal(*gain, rows, elements / rows.max(1), normal(0.0, 1.0))
            }
            Init::Sparse { sparsity, deviation } => self.sparse(*sparsity, shape, normal(0.0, *deviation)),
            Init::Eye => {
                let columns = shape.last().copied().unwrap_or(1).max(1);
                (0..elements).map(|place| f64::from(u8::from(place / columns == place % columns))).collect()
            }
            Init::Dirac { groups } => dirac(*groups, shape),
            Init::ZeroRow { row, others } => {
                let mut values = self.values(others, shape);
                let width: usize = shape.iter().skip(1).product();
                values.iter_mut().skip(row * width).take(width).for_each(|value| *value = 0.0);
                values
            }
            Init::Norms { of, axis: Some(axis) } => {
                let (matrix, rows) = self.matrix(of, *axis);
                let width = matrix.len() / rows.max(1);
                (0..rows).map(|row| length(&matrix[row * width..][..width])).collect()
            }
            Init::Norms { of, axis: None } => {
                vec![length(&Draws::of(&of.name, self.seed).values(&of.init, &of.shape))]
            }
            Init::SingularVector { of, axis, side, eps } => {
                let (left, right) = self.singular_vectors(of, *axis, *eps);
                match side {
                    Side::Left => left,
                    Side::Right => right,
                }
            }
        }
    }

    /// The first values of another parameter as a matrix of an axis by all others: its rows one after the other, and how many there are.
    fn matrix(&self, of: &Source, axis: usize) -> (Vec<f64>, usize) {
        let values = Draws::of(&of.name, self.seed).values(&of.init, &of.shape);
        let rows = of.shape[axis];
        let inner: usize = of.shape[axis + 1..].iter().product();
        let row = |row| values.chunks_exact(inner.max(1)).skip(row).step_by(rows.max(1)).flatten().copied();
        ((0..rows).flat_map(row).collect(), rows)
    }

    /// The left and the right singular vector of the largest singular value, by the power method from a vector that is drawn for the
    /// other parameter, so that both sides tell of the same steps.
    fn singular_vectors(&self, of: &Source, axis: usize, eps: f64) -> (Vec<f64>, Vec<f64>) {
        let (matrix, rows) = self.matrix(of, axis);
        let columns: usize =
            of.shape.iter().enumerate().filter(|(other, _)| *other != axis).map(|(_, extent)| extent).product();
        let start = Draws::of(&of.name, self.seed);
        // Steps of their own: those before are what its elements are drawn by.
        let draw = |index| normal_of(start.uniform(3, index), start.uniform(4, index));
        let mut right = of_length_one((0..columns as u64).map(draw).collect(), eps);
        let mut left = vec![0.0; rows];
        for _ in 0..POWER_STEPS {
            let along = matrix.chunks_exact(columns.max(1)).map(|row| dot(row, &right)).collect();
            left = if columns > 0 { of_length_one(along, eps) } else { left };
            let mut back = vec![0.0; columns];
            for (row, share) in matrix.chunks_exact(columns.max(1)).zip(&left) {
                back.iter_mut().zip(row).for_each(|(sum, element)| *sum += share * element);
            }
            right = of_length_one(back, eps);
        }
        (left, right)
    }

    /// These elements, but 0 in so many rows of each column, which are the first of an order that is drawn.
    fn sparse(&self, sparsity: f64, shape: &Shape, mut values: Vec<f64>) -> Vec<f64> {
        let (rows, columns) = (shape.first().copied().unwrap_or(1), shape.last().copied().unwrap_or(1));
        let zeros = (sparsity * rows as f64).ceil() as usize;
        let mut order: Vec<usize> = (0..rows).collect();
        for column in 0..columns {
            for place in 0..zeros.min(rows) {
                let draw = self.uniform(2, (column * rows + place) as u64);
                let other = place + (draw * (rows - place) as f64) as usize;
                order.swap(place, other);
                values[order[place] * columns + column] = 0.0;
            }
        }
        values
    }
}

/// Of the rows of a matrix of normal numbers, or of its columns if there are fewer, orthogonal ones of length `gain` that span the
/// same, by Gram and Schmidt; their signs are those of the projections, so that every direction is as likely (Mezzadri 2007).
fn orthogonal(gain: f64, rows: usize, columns: usize, values: Vec<f64>) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors = if rows <= columns { values } else { transposed(&values, rows, columns) };
    for place in 0..count {
        let (before, rest) = vectors.split_at_mut(place * length);
        let vector = &mut rest[..length];
        // What rounding leaves of the others after the first time is gone after the second.
        for _ in 0..2 {
            for other in before.chunks_exact(length) {
                let along = dot(vector, other);
                vector.iter_mut().zip(other).for_each(|(element, other)| *element -= along * other);
            }
            let norm = dot(vector, vector).sqrt();
            vector.iter_mut().for_each(|element| *element /= norm);
        }
    }
    vectors.iter_mut().for_each(|element| *element *= gain);
    if rows <= columns { vectors } else { transposed(&vectors, columns, rows) }
}

/// How many steps of the power method a singular vector is made by at first, as in PyTorch's spectral norm.
const POWER_STEPS: usize = 15;

/// The Euclidean length.
fn length(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// The vector over its length, or over `eps` if that is more.
fn of_length_one(mut vector: Vec<f64>, eps: f64) -> Vec<f64> {
    let length = length(&vector).max(eps);
    vector.iter_mut().for_each(|element| *element /= length);
    vector
}

/// The transposed matrix of `[rows, columns]`.
fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// 1 where a feature of a group takes the channel of its own number at the middle of the kernel, else 0.
fn dirac(groups: usize, shape: &Shape) -> Vec<f64> {
    let mut values = vec![0.0; shape.elements()];
    let (features, channels, kernel) = (shape[0] / groups.max(1), shape[1], &shape[2..]);
    let elements: usize = kernel.iter().product();
    let middle = kernel.iter().fold(0, |middle, &extent| middle * extent + extent / 2);
    if elements > 0 {
        for group in 0..groups {
            for channel in 0..features.min(channels) {
                values[((group * features + channel) * channels + channel) * elements + middle] = 1.0;
            }
        }
    }
    values
}

/// FNV-1a of the name's bytes (Fowler, Noll and Vo): the same on every machine and in every version of Rust.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Spreads the bits of small numbers and of hashes that differ little over a whole key: one step of SplitMix64 (Steele, Lea
/// and Flood 2014).
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
