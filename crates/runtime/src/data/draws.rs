//! Random numbers for what is done to data on the host: where an image is cut, which window is taken.

use arenagrad_kernels::cpu::random::threefry_2x32;

/// A sequence of random numbers that a seed, and numbers such as those of the epoch and the sample, determine: the same on every
/// machine, in every run, and whatever was drawn elsewhere. (Threefry-2x32, a counter-based generator: Salmon, Moraes, Dror and
/// Shaw 2011.)
///
/// ```
/// use arenagrad::data::Draws;
///
/// let (mut draws, mut again) = (Draws::new(7).of(3), Draws::new(7).of(3));
/// let angle = draws.between(-10.0, 10.0);
/// assert_eq!(angle, again.between(-10.0, 10.0));
/// assert!(draws.below(6) < 6);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    key: u64,
    next: u64,
}

impl Draws {
    /// The sequence of that seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Draws { key: seed, next: 0 }
    }

    /// A sequence of its own for that number, such as a sample's: independent of this one and of those of other numbers.
    #[must_use]
    pub fn of(&self, number: u64) -> Self {
        // Mixed twice, so that no key is a number that this sequence draws.
        let key = words(words(self.key, number), u64::MAX);
        Draws { key, next: 0 }
    }

    /// The next number of `[0, 1)`, a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// The next number between `low` and `high`: `low + (high - low) uniform()`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// The next integer of `0..bound`, each as likely; 0 if the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The upper half of a product of 128 bits (Lemire 2019): what is not even about it is at most bound / 2^64.
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// Whether something of that probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// The next number of a normal distribution.
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        mean + deviation * normal_of(u, v)
    }

    fn word(&mut self) -> u64 {
        let word = words(self.key, self.next);
        self.next = self.next.wrapping_add(1);
        word
    }
}

/// A number of the normal distribution of mean 0 and deviation 1, of two that are uniform in `[0, 1)` (Box and Muller 1958).
pub(crate) fn normal_of(u: f64, v: f64) -> f64 {
    // 1 - u lies in (0, 1], whose logarithm is finite.
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Both words of the generator as one.
fn words(key: u64, counter: u64) -> u64 {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let [low, high] = threefry_2x32(halves(key), halves(counter));
    u64::from(low) | u64::from(high) << 32
}
