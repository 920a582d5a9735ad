//! SplitMix64 (Steele, Lea, Flood 2014): random enough for tests, and the same in every run.

/// A generator; its state is the seed.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Uniform in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// True once in `odds` times.
    pub fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// `count` numbers of f32 in `low..high`, so that both float dtypes hold them.
    pub fn floats(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| f64::from((low + (high - low) * self.unit()) as f32)).collect()
    }

    /// `count` integers in `low..=high`.
    pub fn integers(&mut self, count: usize, low: i64, high: i64) -> Vec<f64> {
        (0..count).map(|_| (low + self.below((high - low + 1) as usize) as i64) as f64).collect()
    }

    /// Shuffled numbers of f32 between `low` and `high`, evenly spread, no two alike and none near a multiple of one half,
    /// where roundings, signs and pieces of functions have their kinks.
    pub fn spread(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        let width = (high - low) / count.max(1) as f64;
        let mut elements: Vec<f64> = (0..count)
            .map(|place| {
                let x = low + width * (place as f64 + 0.2 + 0.6 * self.unit());
                let kink = (x * 2.0).round() / 2.0;
                let away = if (x - kink).abs() < 0.01 { kink + 0.01_f64.copysign(x - kink) } else { x };
                f64::from(away as f32)
            })
            .collect();
        for place in (1..count).rev() {
            elements.swap(place, self.below(place + 1));
        }
        elements
    }
}
