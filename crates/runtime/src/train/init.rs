//! The first values of parameters: a function of the seed and the parameter's name, shape and [`Init`], and of nothing else.
//! They are made on the host, so they are the same on every device.

use arenagrad_graph::{Elements, Init, Shape, StorageType};
use arenagrad_kernels::cpu::random::uniform;

use crate::error::Error;
use crate::tensor::Tensor;

/// The elements that the parameter of that name starts with.
pub(crate) fn initial_value(
    init: &Init,
    name: &str,
    shape: &Shape,
    storage: StorageType,
    seed: u64,
) -> Result<Tensor, Error> {
    let elements = shape.elements();
    let (fan_in, fan_out) = match shape.dims() {
        [] => (1, 1),
        [fan] => ((*fan).max(1), (*fan).max(1)),
        [.., fan_in, fan_out] => ((*fan_in).max(1), (*fan_out).max(1)),
    };
    let key = mixed(mixed(seed) ^ hash(name));
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
    Ok(Tensor::from_data(shape.clone(), Elements::F64(values))?.cast(storage))
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
