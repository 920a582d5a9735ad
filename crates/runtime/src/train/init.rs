//! The first values of parameters, the same on every device.

use arenagrad_graph::{DType, Init, Shape};
use arenagrad_kernels::cpu::random::uniform;

use crate::error::Error;
use crate::tensor::{Tensor, TensorData};

/// The elements that a parameter starts with. `number` is its place among the declarations: parameters of one session
/// draw different numbers.
pub(crate) fn initial_value(init: &Init, shape: &Shape, dtype: DType, seed: u64, number: u32) -> Result<Tensor, Error> {
    let elements = shape.elements();
    let (fan_in, fan_out) = match shape.dims() {
        [] => (1, 1),
        [fan] => ((*fan).max(1), (*fan).max(1)),
        [.., fan_in, fan_out] => ((*fan_in).max(1), (*fan_out).max(1)),
    };
    // The golden ratio's bits spread small seeds and numbers over all keys.
    let key = seed ^ u64::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let draw = |low: f64, high: f64| -> Vec<f64> {
        (0..elements as u64).map(|index| low + (high - low) * f64::from(uniform(key, 0, index))).collect()
    };
    let values = match init {
        Init::Constant(value) => vec![*value; elements],
        Init::Uniform { low, high } => draw(*low, *high),
        Init::Normal { mean, deviation } => {
            // Box and Muller 1958; 1 - u lies in (0, 1], whose logarithm is finite.
            let normal = |index| {
                let radius = (-2.0 * (1.0 - f64::from(uniform(key, 0, index))).ln()).sqrt();
                let angle = std::f64::consts::TAU * f64::from(uniform(key, 1, index));
                mean + deviation * radius * angle.cos()
            };
            (0..elements as u64).map(normal).collect()
        }
        Init::KaimingUniform => {
            let bound = (6.0 / fan_in as f64).sqrt();
            draw(-bound, bound)
        }
        Init::XavierUniform => {
            let bound = (6.0 / (fan_in as f64 + fan_out as f64)).sqrt();
            draw(-bound, bound)
        }
        Init::Values(values) => values.clone(),
    };
    Ok(Tensor::from_data(shape.clone(), TensorData::F64(values))?.cast(dtype))
}
