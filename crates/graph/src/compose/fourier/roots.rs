//! Roots of unity, and how a length is taken apart: on the host, in f64.

/// Which way a transform goes: the sign of its exponents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// `e^(-2 pi i j k / n)`.
    Forward,
    /// `e^(2 pi i j k / n)`.
    Inverse,
}

/// The longest transform that is one product, and the largest prime factor of one that is several.
const LONGEST_PRODUCT: usize = 64;

/// The longest transform of all: its roots are computed when it is said, and stand in the graph.
pub(super) const LONGEST: usize = 1 << 24;

/// What small prime factors are put together up to, in a transform that is several products.
const USUAL_RADIX: usize = 32;

impl Direction {
    /// `e^(± 2 pi i numerator / denominator)`: real and imaginary part. Those of whole quarters are 0 and 1, those of equal angles equal in magnitude.
    pub(super) fn root(self, numerator: u64, denominator: u64) -> (f64, f64) {
        let numerator = u128::from(numerator % denominator);
        let denominator = u128::from(denominator);
        // Within the first eighth of the circle both functions are at their most exact, and the rest is symmetry.
        let eighth = 8 * numerator / denominator;
        let within = 8 * numerator - eighth * denominator;
        let from_its_axis = if eighth.is_multiple_of(2) { within } else { denominator - within };
        let angle = std::f64::consts::FRAC_PI_4 * from_its_axis as f64 / denominator as f64;
        let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
        let (real, imaginary) = match eighth {
            0 => (cosine, sine),
            1 => (sine, cosine),
            2 => (-sine, cosine),
            3 => (-cosine, sine),
            4 => (-cosine, -sine),
            5 => (-sine, -cosine),
            6 => (sine, -cosine),
            _ => (cosine, -sine),
        };
        match self {
            Direction::Forward => (real, -imaginary),
            Direction::Inverse => (real, imaginary),
        }
    }
}

/// The extents of the transforms that one of `length` elements is made of, whose product it is; none if a prime factor is too large for that.
pub(super) fn radices(length: usize) -> Option<Vec<usize>> {
    if length <= LONGEST_PRODUCT {
        return Some(vec![length]);
    }
    let primes = prime_factors(length);
    if primes[0] > LONGEST_PRODUCT {
        return None;
    }
    // As few as hold all factors, each then as large as the others if possible: a product takes its radix for each element.
    let mut radices: Vec<usize> = Vec::new();
    for prime in &primes {
        match radices.iter_mut().find(|radix| **radix * prime <= USUAL_RADIX) {
            Some(radix) => *radix *= prime,
            None => radices.push(*prime),
        }
    }
    let mut balanced = vec![1; radices.len()];
    for prime in primes {
        if let Some(least) = balanced.iter_mut().min() {
            *least *= prime;
        }
    }
    balanced.sort_unstable_by(|left, right| right.cmp(left));
    Some(balanced)
}

/// The prime factors of a number above 1, the largest first.
fn prime_factors(mut number: usize) -> Vec<usize> {
    let mut factors = Vec::new();
    let mut candidate = 2;
    while candidate * candidate <= number {
        while number.is_multiple_of(candidate) {
            factors.push(candidate);
            number /= candidate;
        }
        candidate += 1;
    }
    if number > 1 {
        factors.push(number);
    }
    factors.reverse();
    factors
}

#[cfg(test)]
mod tests {
    use super::{Direction, LONGEST_PRODUCT, radices};

    #[test]
    fn roots_are_exact_at_quarters_and_near_elsewhere() {
        for (numerator, expected) in [(0, (1.0, 0.0)), (3, (0.0, 1.0)), (6, (-1.0, 0.0)), (9, (0.0, -1.0))] {
            assert_eq!(Direction::Inverse.root(numerator + 24, 12), expected);
        }
        for denominator in 1..60_u64 {
            for numerator in 0..denominator {
                let angle = std::f64::consts::TAU * numerator as f64 / denominator as f64;
                let (real, imaginary) = Direction::Forward.root(numerator, denominator);
                // The angle itself is rounded, by up to 1.4e-15.
                assert!(
                    (real - angle.cos()).abs() < 2e-15 && (imaginary + angle.sin()).abs() < 2e-15,
                    "{numerator}/{denominator}"
                );
            }
        }
    }

    #[test]
    fn radices_multiply_to_the_length_and_are_small() {
        assert_eq!(radices(1024), Some(vec![32, 32]));
        assert_eq!(radices(400), Some(vec![20, 20]));
        assert_eq!(radices(2 * 67), None);
        for length in 1..5000 {
            if let Some(radices) = radices(length) {
                assert_eq!(radices.iter().product::<usize>(), length);
                assert!(radices.iter().all(|radix| *radix <= LONGEST_PRODUCT), "{length}: {radices:?}");
            }
        }
    }
}
