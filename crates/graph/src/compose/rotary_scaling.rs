//! How rotary position embeddings are stretched over more positions than a network was first trained with.
//!
//! Each way is a change of the frequencies, made on the host, and perhaps a factor by which all turned numbers grow. Names and numbers are those
//! of the `rope_scaling` in the `config.json` of a model.

use std::f64::consts::TAU;

/// By what the frequencies of a rotary position embedding differ from powers of theta. Of `n` pairs, pair `i` has the frequency
/// `f = theta^(-i / n)` radians a position without any.
///
/// Every factor is positive and finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum RotaryScaling {
    /// In nothing.
    #[default]
    None,
    /// `f / factor`: positions are closer together (Chen et al. 2023, "Extending Context Window of Large Language Models via Positional
    /// Interpolation"; `"linear"`).
    Linear {
        /// By how much.
        factor: f64,
    },
    /// Llama 3.1's (`"llama3"`): with `r = original_positions f / (2 pi)` turns over the original positions, `f` from
    /// `high_frequency_factor` turns on, `f / factor` up to `low_frequency_factor` turns, and between them
    /// `(1 - s) f / factor + s f` with `s = (r - low) / (high - low)`.
    Llama3 {
        /// By how much slow pairs are slower: 8 in Llama 3.1, 32 in Llama 3.2.
        factor: f64,
        /// At most so many turns: 1.
        low_frequency_factor: f64,
        /// At least so many turns, more than the lower number: 4.
        high_frequency_factor: f64,
        /// How many positions the network was first trained with: 8192.
        original_positions: usize,
    },
    /// Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large Language Models" (`"yarn"`): `f` for pairs that turn more than
    /// `beta_fast` times over the original positions, `f / factor` for those that turn less than `beta_slow` times, and a ramp over the pairs
    /// between, whose ends are whole pairs from the first to the last: pairs that all turn less often than `beta_slow` stay as they are. Turned numbers
    /// grow by `attention_factor`.
    Yarn {
        /// By how much slow pairs are slower.
        factor: f64,
        /// How many positions the network was first trained with.
        original_positions: usize,
        /// 32 in the paper.
        beta_fast: f64,
        /// 1 in the paper.
        beta_slow: f64,
        /// `None` is `0.1 ln(factor) + 1`, or 1 for a factor below 1.
        attention_factor: Option<f64>,
    },
}

/// What is wrong with a scaling: what it is of, its value, and what is expected.
pub(super) type Mistake = (&'static str, f64, &'static str);

impl RotaryScaling {
    /// The frequencies of that many pairs, fast ones first, and by what turned numbers grow.
    pub(super) fn frequencies(self, theta: f64, pairs: usize) -> Result<(Vec<f64>, f64), Mistake> {
        let depth = 2.0 * pairs as f64;
        let plain = (0..pairs).map(|pair| theta.powf(-(2.0 * pair as f64) / depth));
        match self {
            RotaryScaling::None => Ok((plain.collect(), 1.0)),
            RotaryScaling::Linear { factor } => {
                let factor = positive("the factor of a scaling", factor)?;
                Ok((plain.map(|frequency| frequency / factor).collect(), 1.0))
            }
            RotaryScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_positions } => {
                let factor = positive("the factor of a scaling", factor)?;
                let low = positive("the low frequency factor", low_frequency_factor)?;
                let high = positive("the high frequency factor", high_frequency_factor)?;
                let positions = positive("the number of original positions", original_positions as f64)?;
                if high <= low {
                    return Err(("the high frequency factor", high, "more than the low frequency factor"));
                }
                let scaled = |frequency: f64| {
                    let turns = positions * frequency / TAU;
                    let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - share) * frequency / factor + share * frequency
                };
                Ok((plain.map(scaled).collect(), 1.0))
            }
            RotaryScaling::Yarn { factor, original_positions, beta_fast, beta_slow, attention_factor } => {
                let factor = positive("the factor of a scaling", factor)?;
                let positions = positive("the number of original positions", original_positions as f64)?;
                let (fast, slow) = (positive("beta_fast", beta_fast)?, positive("beta_slow", beta_slow)?);
                if slow >= fast {
                    return Err(("beta_slow", slow, "less than beta_fast"));
                }
                if theta == 1.0 {
                    return Err(("theta", theta, "another number than 1, as pairs of one frequency make no ramp"));
                }
                // The pair that turns so often over the original positions.
                let pair_of = |turns: f64| depth * (positions / (turns * TAU)).ln() / (2.0 * theta.ln());
                let low = pair_of(fast).floor().max(0.0);
                let mut high = pair_of(slow).ceil().min(depth - 1.0);
                if high == low {
                    high += 0.001;
                }
                let scaled = |(pair, frequency): (usize, f64)| {
                    let slow = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    slow * frequency / factor + (1.0 - slow) * frequency
                };
                let usual = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
                let grows = positive("the attention factor", attention_factor.unwrap_or(usual))?;
                Ok((plain.enumerate().map(scaled).collect(), grows))
            }
        }
    }
}

fn positive(what: &'static str, value: f64) -> Result<f64, Mistake> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err((what, value, "a finite number above 0")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `ROPE_INIT_FUNCTIONS` of Hugging Face's transformers 5 has them in f32, for heads of 16.
    #[test]
    fn frequencies_are_those_of_published_models() {
        let (low_frequency_factor, high_frequency_factor) = (1.0, 4.0);
        let cases = [
            (
                RotaryScaling::Linear { factor: 4.0 },
                500.0,
                [
                    0.25,
                    0.114965819,
                    0.05286856,
                    0.0243123118,
                    0.0111803403,
                    0.00514142821,
                    0.00236435398,
                    0.00108727964,
                ],
                1.0,
            ),
            (
                RotaryScaling::Llama3 {
                    factor: 8.0,
                    low_frequency_factor,
                    high_frequency_factor,
                    original_positions: 32,
                },
                500.0,
                [
                    1.0,
                    0.237489685,
                    0.0311854575,
                    0.0121561559,
                    0.00559017016,
                    0.0025707141,
                    0.00118217699,
                    0.000543639821,
                ],
                1.0,
            ),
            (
                RotaryScaling::Yarn {
                    factor: 4.0,
                    original_positions: 64,
                    beta_fast: 8.0,
                    beta_slow: 1.0,
                    attention_factor: None,
                },
                500.0,
                [1.0, 0.344897449, 0.10573712, 0.0243123118, 0.0111803403, 0.00514142821, 0.00236435398, 0.00108727964],
                1.138629436111989,
            ),
            (
                RotaryScaling::Yarn {
                    factor: 40.0,
                    original_positions: 4096,
                    beta_fast: 32.0,
                    beta_slow: 1.0,
                    attention_factor: Some(1.5),
                },
                10_000.0,
                [1.0, 0.316227764, 0.1, 0.0239147246, 0.00512499968, 0.000849862176, 2.49999994e-5, 7.90569447e-6],
                1.5,
            ),
        ];
        for (scaling, theta, expected, grows) in cases {
            let (found, found_grows) = scaling.frequencies(theta, 8).unwrap();
            assert!((found_grows - grows).abs() < 1e-15, "{scaling:?}: {found_grows}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < 1e-6, "{scaling:?}: {found} is not {expected}");
            }
        }
    }
}
