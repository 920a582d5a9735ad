//! First values of parameters: the distributions, bounds and structures of `nn::init`.

use arenagrad::nn::init::{
    self, Fan, Nonlinearity, calculate_gain, dirac, eye, kaiming_normal, kaiming_uniform, orthogonal, sparse,
    trunc_normal, xavier_normal, xavier_uniform,
};
use arenagrad::{DType, Device, Graph, Init, Session};

/// The elements of a parameter of that name under a seed.
fn drawn(name: &str, shape: &[usize], init: Init, seed: u64) -> Vec<f64> {
    let g = Graph::new();
    let w = g.parameter_of(name, shape.to_vec(), DType::F64, init);
    let session = Session::builder(Device::cpu()).seed(seed).evaluate(&g, &[w.sum(..)]);
    session.unwrap_or_else(|error| panic!("{error}")).parameter(name).unwrap().to_f64_vec()
}

fn values(shape: &[usize], init: Init) -> Vec<f64> {
    drawn("w", shape, init, 7)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Holds values against a mean of 0 and a deviation, within five deviations of what so many draws give.
fn assert_moments(values: &[f64], expected: f64, kurtosis: f64, what: &str) {
    let root = (values.len() as f64).sqrt();
    assert!(mean(values).abs() <= 5.0 * expected / root, "{what}: mean {}", mean(values));
    let within = 5.0 * expected * ((kurtosis - 1.0) / 4.0).sqrt() / root;
    assert!((deviation(values) - expected).abs() <= within, "{what}: deviation {}, not {expected}", deviation(values));
}

#[test]
fn gains_are_those_of_pytorch() {
    let gains = [
        (Nonlinearity::Linear, 1.0),
        (Nonlinearity::Sigmoid, 1.0),
        (Nonlinearity::Tanh, 1.6666666666666667),
        (Nonlinearity::Relu, std::f64::consts::SQRT_2),
        (Nonlinearity::LeakyRelu(0.01), 1.4141428569978354),
        (Nonlinearity::LeakyRelu(2.0), 0.6324555320336759),
        (Nonlinearity::Selu, 0.75),
    ];
    for (nonlinearity, gain) in gains {
        assert!((calculate_gain(nonlinearity) - gain).abs() < 1e-15, "{nonlinearity:?}");
    }
}

#[test]
fn scaled_draws_have_the_fans_of_pytorch() {
    // Convolutions of 6 channels to 40 features, 3x5: fan in 90, fan out 600.
    let shape = [40, 6, 3, 5];
    let (relu, slope) = (Nonlinearity::Relu, Nonlinearity::LeakyRelu(0.5));
    let cases = [
        (xavier_normal(1.0), (2.0f64 / 690.0).sqrt(), 3.0),
        (xavier_normal(2.5), 2.5 * (2.0f64 / 690.0).sqrt(), 3.0),
        (xavier_uniform(1.0), (2.0f64 / 690.0).sqrt(), 1.8),
        (kaiming_normal(Fan::In, relu), (2.0f64 / 90.0).sqrt(), 3.0),
        (kaiming_normal(Fan::Out, relu), (2.0f64 / 600.0).sqrt(), 3.0),
        (kaiming_uniform(Fan::In, slope), (1.6f64 / 90.0).sqrt(), 1.8),
        (kaiming_uniform(Fan::Out, slope), (1.6f64 / 600.0).sqrt(), 1.8),
        (init::normal(0.0, 0.02), 0.02, 3.0),
        (init::uniform(-0.5, 0.5), (1.0f64 / 12.0).sqrt(), 1.8),
    ];
    for (init, expected, kurtosis) in cases {
        let values = values(&shape, init.clone());
        assert_moments(&values, expected, kurtosis, &format!("{init:?}"));
        let largest = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let bound = 3.0f64.sqrt() * expected;
        if kurtosis < 2.0 {
            assert!(largest <= bound && largest > 0.99 * bound, "{init:?}: {largest}, not {bound}");
        } else {
            assert!(largest > 1.5 * bound, "{init:?}: {largest}");
        }
    }
    // The same kernel transposed has the fans exchanged.
    let transposed = values(&[6, 40, 3, 5], kaiming_normal(Fan::In, relu));
    assert_moments(&transposed, (2.0f64 / 600.0).sqrt(), 3.0, "transposed");
}

#[test]
fn truncated_draws_are_those_of_the_distribution_between_the_bounds() {
    // Between one deviation below and two above: mean and deviation by their formulas.
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let below = |x: f64| 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    let (a, b) = (-1.0, 2.0);
    let mass = below(b) - below(a);
    let shift = (density(a) - density(b)) / mass;
    let spread = (1.0 + (a * density(a) - b * density(b)) / mass - shift * shift).sqrt();
    let drawn = values(&[20_000], trunc_normal(3.0, 0.5, 2.5, 4.0));
    assert!(drawn.iter().all(|value| (2.5..=4.0).contains(value)));
    assert!((mean(&drawn) - (3.0 + 0.5 * shift)).abs() < 5.0 * 0.5 * spread / 141.0, "{}", mean(&drawn));
    assert!((deviation(&drawn) - 0.5 * spread).abs() < 0.01, "{}", deviation(&drawn));
    let (low, high) = drawn.iter().fold((9.0f64, 0.0f64), |(low, high), &value| (low.min(value), high.max(value)));
    assert!(low < 2.51 && high > 3.95, "{low} {high}");
    // Far from the mean, where almost nothing of the distribution is, the bounds hold all the same.
    assert!(values(&[100], trunc_normal(0.0, 1.0, 30.0, 31.0)).iter().all(|value| (30.0..=31.0).contains(value)));
}

/// The largest distance of the products of rows from `gain^2` times the identity.
fn distance_from_orthogonal(values: &[f64], columns: usize, gain: f64) -> f64 {
    let rows: Vec<&[f64]> = values.chunks_exact(columns).collect();
    let product = |i: usize, j: usize| rows[i].iter().zip(rows[j]).map(|(left, right)| left * right).sum::<f64>();
    let expected = |i, j| if i == j { gain * gain } else { 0.0 };
    let pairs = (0..rows.len()).flat_map(|i| (0..rows.len()).map(move |j| (i, j)));
    pairs.map(|(i, j)| (product(i, j) - expected(i, j)).abs()).fold(0.0, f64::max)
}

#[test]
fn orthogonal_values_are_orthogonal() {
    let wide = values(&[7, 5, 3], orthogonal(1.5));
    assert!(distance_from_orthogonal(&wide, 15, 1.5) < 1e-13);
    let tall = values(&[15, 7], orthogonal(1.0));
    let columns: Vec<f64> = (0..7)
        .flat_map(|column| (0..15).map(move |row| (row, column)))
        .map(|(row, column)| tall[row * 7 + column])
        .collect();
    assert!(distance_from_orthogonal(&columns, 15, 1.0) < 1e-13);
    let square = values(&[64, 64], orthogonal(1.0));
    assert!(distance_from_orthogonal(&square, 64, 1.0) < 1e-13);
    assert_moments(&square, 1.0 / 8.0, 3.0, "square");
    assert_eq!(values(&[0, 3], orthogonal(1.0)), [0.0; 0]);
}

#[test]
fn sparse_values_have_their_share_of_zeros_in_each_column() {
    let (rows, columns) = (50, 40);
    let values = values(&[rows, columns], sparse(0.33, 0.01));
    let mut places = std::collections::BTreeSet::new();
    for column in 0..columns {
        let zeros: Vec<usize> = (0..rows).filter(|row| values[row * columns + column] == 0.0).collect();
        assert_eq!(zeros.len(), 17); // 16.5, rounded up
        places.insert(zeros);
    }
    assert_eq!(places.len(), columns, "columns have zeros at the same places");
    let others: Vec<f64> = values.into_iter().filter(|value| *value != 0.0).collect();
    assert_moments(&others, 0.01, 3.0, "others");
}

#[test]
fn identities() {
    assert_eq!(values(&[2, 3], eye()), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(
        values(&[3, 2, 3], dirac(1)),
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
    // Two groups of two features, of one channel of 2x2 each: the middle of an even extent is the element behind it.
    assert_eq!(
        values(&[4, 1, 2, 2], dirac(2)),
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn values_are_a_function_of_seed_and_name_alone() {
    for init in [orthogonal(1.0), sparse(0.5, 1.0), xavier_normal(1.0), trunc_normal(0.0, 1.0, -2.0, 2.0)] {
        let first = drawn("w", &[6, 6], init.clone(), 1);
        assert_eq!(first, drawn("w", &[6, 6], init.clone(), 1));
        assert_ne!(first, drawn("w", &[6, 6], init.clone(), 2));
        assert_ne!(first, drawn("v", &[6, 6], init, 1));
    }
}
