//! Products of runs that pass over both ends of the range of f64, and whether they do.

/// A product that neither overflows nor underflows: `mantissa * 2^exponent`, with a mantissa far from both ends of the range, or 0,
/// infinite or NaN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    pub(super) mantissa: f64,
    exponent: i32,
}

impl Default for Scaled {
    fn default() -> Self {
        Scaled { mantissa: 1.0, exponent: 0 }
    }
}

/// Mantissas are brought within `2^-NEAR ..= 2^NEAR`.
const NEAR: i32 = 256;

impl Scaled {
    #[inline(always)]
    pub(super) fn new(value: f64) -> Self {
        // Three times as far, so that the least and the largest number end up well within the range.
        Scaled { mantissa: value, exponent: 0 }.brought_near(3 * NEAR)
    }

    #[inline(always)]
    fn brought_near(self, by: i32) -> Self {
        let Scaled { mantissa, exponent } = self;
        let magnitude = mantissa.abs();
        if magnitude > power_of_two(NEAR) && magnitude < f64::INFINITY {
            Scaled { mantissa: mantissa * power_of_two(-by), exponent: exponent.saturating_add(by) }
        } else if magnitude < power_of_two(-NEAR) && magnitude > 0.0 {
            Scaled { mantissa: mantissa * power_of_two(by), exponent: exponent.saturating_sub(by) }
        } else {
            self
        }
    }

    #[inline(always)]
    pub(super) fn times(self, other: Scaled) -> Self {
        let exponent = self.exponent.saturating_add(other.exponent);
        Scaled { mantissa: self.mantissa * other.mantissa, exponent }.brought_near(2 * NEAR)
    }

    /// The power of two at or below a number's magnitude. Of 0, and of what is infinite or NaN, it means nothing.
    #[inline(always)]
    fn power(self) -> i32 {
        let power = ((self.mantissa.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        self.exponent.saturating_add(power)
    }

    /// The number, rounded once if it is in the range of normal numbers.
    #[inline(always)]
    pub(super) fn value(self) -> f64 {
        let mut value = self.mantissa;
        // Each step is exact until the last: what is far out of range needs no more of them to get there.
        let mut exponent = self.exponent.clamp(-4 * 1024, 4 * 1024);
        while exponent != 0 {
            let step = exponent.clamp(-512, 512);
            value *= power_of_two(step);
            exponent -= step;
        }
        value
    }
}

/// `2^exponent`, for exponents of normal numbers.
#[inline(always)]
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The product of a run, and how far the products of its first elements went: by powers of two, of 1 in front of the run on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Course {
    pub(super) product: Scaled,
    most: i32,
    least: i32,
    /// The most by which a product is larger than an earlier one.
    rise: i32,
}

/// Products between `2^-FAR` and `2^FAR` are far from both ends of the range, however they were rounded.
const FAR: i32 = 1000;

/// What is less than `2^-LOST` is 0 in f64.
const LOST: i32 = 1100;

/// The power of what is infinite or NaN.
const ENDLESS: i32 = i32::MAX;

impl Course {
    /// That of one element.
    #[inline(always)]
    pub(super) fn new(value: f64) -> Self {
        Course::default().grown(value)
    }

    /// That of a run and of the element behind it.
    #[inline(always)]
    pub(super) fn grown(self, value: f64) -> Self {
        let product = self.product.times(Scaled::new(value));
        let Course { mut most, mut least, mut rise, .. } = self;
        if !product.mantissa.is_finite() {
            most = ENDLESS;
        } else if product.mantissa != 0.0 {
            let power = product.power();
            most = most.max(power);
            least = least.min(power);
            rise = rise.max(power.saturating_sub(least));
        }
        Course { product, most, least, rise }
    }

    /// That of a run whose products of its first elements have been computed as they are: the last, between which magnitudes all were, that
    /// of none among them, and more than 0 if one was larger than an earlier. None where one was too near to an end of the range.
    #[inline(always)]
    pub(super) fn of_plain(product: f64, [least, most]: [f64; 2], rise: f64) -> Option<Self> {
        // What overflowed is infinite or NaN to the end, and what was lost is 0.
        let is_plain = product.is_finite() && most <= power_of_two(3 * NEAR) && least >= power_of_two(-3 * NEAR);
        let [most, least] = [most, least].map(|magnitude| Scaled { mantissa: magnitude, exponent: 0 }.power());
        let product = Scaled { mantissa: product, exponent: 0 }.brought_near(2 * NEAR);
        is_plain.then_some(Course { product, most, least, rise: i32::from(rise > 0.0) })
    }

    /// What holds a product, where nobody asks how far others went.
    #[inline(always)]
    pub(super) fn of_product(product: Scaled) -> Self {
        Course { product, ..Course::default() }
    }

    /// Whether the products of `before` and of the first elements of this run may leave the range of f64, so that what comes after is not
    /// what the products as they are rounded one after the other would be: infinite once they were, and 0 once they were lost.
    #[inline(always)]
    pub(super) fn leaves_range_behind(self, before: Scaled) -> bool {
        if self.most == ENDLESS || !before.mantissa.is_finite() {
            return true;
        }
        if before.mantissa == 0.0 {
            return false;
        }
        let power = before.power();
        let (most, least) = (power.saturating_add(self.most), power.saturating_add(self.least));
        // What falls and does not rise again is 0 either way.
        most > FAR || (least < -FAR && most > -LOST && self.rise > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_pass_over_both_ends_of_the_range() {
        let product = |factors: &[f64]| {
            factors.iter().fold(Scaled::default(), |product, &factor| product.times(Scaled::new(factor))).value()
        };
        assert_eq!(product(&[f64::MAX, 4.0, f64::MIN_POSITIVE, 0.25]), f64::MAX * f64::MIN_POSITIVE);
        assert_eq!(product(&[5e-324, 5e-324, f64::powi(2.0, 1023), f64::powi(2.0, 1023)]), f64::powi(2.0, -102));
        assert_eq!(product(&[f64::MAX; 100]), f64::INFINITY);
        assert_eq!(product(&[1e-300; 100]), 0.0);
        assert_eq!(product(&[0.0, f64::MAX, f64::MAX]), 0.0);
        assert!(product(&[0.0, f64::INFINITY]).is_nan() && product(&[f64::NAN, 0.0]).is_nan());
    }

    #[test]
    fn a_course_says_whether_products_leave_the_range() {
        let of = |factors: &[f64]| factors.iter().fold(Course::default(), |course, &factor| course.grown(factor));
        let leaves = |before: f64, factors: &[f64]| of(factors).leaves_range_behind(Scaled::new(before));
        assert!(!leaves(1.0, &[2.0, 0.5, -3.0, 0.0, 7.0]) && !leaves(1e-300, &[1e300, 1e-300]));
        // Out of the range and back, above and below.
        assert!(leaves(1e200, &[1e200, 1e-200]) && leaves(1e-200, &[1e-200, 1e200]));
        // It falls for good, and rises from far below to where it is 0 all the same.
        assert!(!leaves(1.0, &[1e-200; 4]));
        assert!(!of(&[1e200]).leaves_range_behind(of(&[1e-200; 4]).product));
        assert!(of(&[1e200, 1e200, 1e200]).leaves_range_behind(of(&[1e-200; 4]).product));
        assert!(leaves(0.0, &[f64::INFINITY]) && leaves(1.0, &[0.0, f64::NAN]) && leaves(f64::NAN, &[1.0]));
        assert!(!leaves(0.0, &[1e200, 1e200]));
    }
}
