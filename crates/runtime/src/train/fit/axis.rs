//! Where an axis is marked, and what stands beside its marks.
//!
//! Marks stand at numbers of few digits, and no two have the same label: a mark is a decimal of one, two or five units of
//! some power of ten, and its label is written from that decimal, not rounded from a float.

use std::ops::Range;

/// The range of an axis and its marks: at numbers of few digits, with labels of which no two are equal.
///
/// ```
/// use arenagrad::fit::Axis;
///
/// let axis = Axis::linear([0.13, 0.61]);
/// let labels: Vec<&str> = axis.marks().iter().map(|(_, label)| label.as_str()).collect();
/// assert_eq!(labels, ["0.2", "0.3", "0.4", "0.5", "0.6"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    range: Range<f64>,
    /// Ascending coordinates, each with its label.
    marks: Vec<(f64, String)>,
}

/// No axis has more marks than this.
const MOST: usize = 9;

impl Axis {
    /// From the least to the largest of the numbers, those that are not finite left out. Equal ends are put apart, and ends
    /// that lie closer than nine digits tell.
    #[must_use]
    pub fn linear(numbers: impl IntoIterator<Item = f64>) -> Axis {
        let range = widened(span(numbers));
        let marks = marks(&range, f64::MIN_POSITIVE);
        Axis { marks: labelled(&marks, false, |value| value), range }
    }

    /// Whole numbers from 0 on, such as steps.
    #[must_use]
    pub fn counting(count: usize) -> Axis {
        let range = 0.0..count.max(1) as f64;
        let marks = marks(&range, 1.0);
        Axis { marks: labelled(&marks, false, |value| value), range }
    }

    /// A logarithmic axis, whose coordinates are the decimal logarithms of what it shows: numbers above 0. It is a little
    /// longer than they need, by a twentieth, but by no less than 2 % of the numbers themselves.
    #[must_use]
    pub fn logarithmic(numbers: impl IntoIterator<Item = f64>) -> Axis {
        let decades = span(numbers.into_iter().map(f64::log10));
        let margin = (0.05 * (decades.end - decades.start)).max(0.01);
        let mut range = decades.start - margin..decades.end + margin;
        let mut marks = logarithmic_marks(&range);
        if marks.len() < 2 {
            // The smallest floats have no two round numbers so near to each other.
            range = decades.start.floor() - 1.0..decades.end.ceil() + 1.0;
            marks = logarithmic_marks(&range);
        }
        Axis { marks: labelled(&marks, true, f64::log10), range }
    }

    /// The coordinates of both ends.
    #[must_use]
    pub fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    /// Ascending coordinates within the range, each with its label.
    #[must_use]
    pub fn marks(&self) -> &[(f64, String)] {
        &self.marks
    }

    /// Where a coordinate stands between both ends: 0 at the first, 1 at the last. What is beyond an end stands at it.
    #[must_use]
    pub fn place(&self, coordinate: f64) -> f64 {
        let inside = coordinate.clamp(self.range.start, self.range.end);
        (inside - self.range.start) / (self.range.end - self.range.start)
    }
}

/// Numbers written with as few digits, two at least, as tell them apart.
#[must_use]
pub fn distinct_labels(numbers: &[f64]) -> Vec<String> {
    let rounded = |digits: usize| -> Vec<Decimal> { numbers.iter().map(|x| Decimal::rounded(*x, digits)).collect() };
    let tells_apart = |decimals: &[Decimal]| {
        let mut values: Vec<f64> = decimals.iter().map(|decimal| decimal.value()).collect();
        values.sort_by(f64::total_cmp);
        values.windows(2).all(|pair| pair[0] != pair[1])
    };
    let decimals = (2..=17).map(rounded).find(|decimals| tells_apart(decimals)).unwrap_or_else(|| rounded(2));
    decimals.iter().map(|decimal| decimal.plain_or_scientific()).collect()
}

/// `digits * 10^exponent`.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    digits: i64,
    exponent: i32,
}

impl Decimal {
    /// A number to so many digits.
    fn rounded(number: f64, digits: usize) -> Decimal {
        let text = format!("{number:.*e}", digits.saturating_sub(1));
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Decimal { digits: mantissa.replace('.', "").parse().unwrap_or(0), exponent: exponent - fraction as i32 }
    }

    /// The float nearest to it.
    fn value(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// Whether a reader takes in the number as it is, without a power of ten.
    fn is_plain(self) -> bool {
        self.digits == 0 || (1e-3..1e6).contains(&self.value().abs())
    }

    fn plain(self) -> String {
        let decimals = usize::try_from(-self.exponent).unwrap_or(0);
        format!("{:.decimals$}", self.value())
    }

    /// The shortest mantissa of one digit before the point, and the power of ten.
    fn scientific(self) -> String {
        if self.digits == 0 { "0".to_owned() } else { format!("{:e}", self.value()) }
    }

    fn plain_or_scientific(self) -> String {
        if self.is_plain() { self.plain() } else { self.scientific() }
    }
}

/// The least and the largest of the numbers that are finite; 0 and 1 where there are none.
fn span(numbers: impl IntoIterator<Item = f64>) -> Range<f64> {
    let finite = numbers.into_iter().filter(|number| number.is_finite());
    let ends = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if ends.0 <= ends.1 { ends.0..ends.1 } else { 0.0..1.0 }
}

/// A range whose ends nine digits tell apart, and whose length is a float of full precision.
fn widened(range: Range<f64>) -> Range<f64> {
    const FARTHEST: f64 = f64::MAX / 4.0;
    const NEAREST: f64 = 1e-300;
    let (low, high) = (range.start.clamp(-FARTHEST, FARTHEST), range.end.clamp(-FARTHEST, FARTHEST));
    let largest = low.abs().max(high.abs());
    if high - low > NEAREST.max(1e-9 * largest) {
        return low..high;
    }
    let apart = if largest == 0.0 { 1.0 } else { NEAREST.max(0.1 * largest) };
    low - apart..high + apart
}

/// Marks at one, two or five units of a power of ten apart, at least `least`: as many as there may be.
fn marks(range: &Range<f64>, least: f64) -> Vec<Decimal> {
    let length = range.end - range.start;
    let mut exponent = (length / MOST as f64).max(least).log10().floor().max(-307.0) as i32;
    loop {
        for unit in [1, 2, 5] {
            let step = Decimal { digits: unit, exponent }.value();
            let (first, last) = ((range.start / step).ceil(), (range.end / step).floor());
            if step >= least && last - first < MOST as f64 {
                let multiples = (first as i64..=last as i64).map(|n| Decimal { digits: n * unit, exponent });
                return multiples.filter(|mark| (range.start..=range.end).contains(&mark.value())).collect();
            }
        }
        exponent += 1;
    }
}

/// Marks over logarithms: powers of ten where there are many, else a one, a two and a five in each, else what a linear axis has.
fn logarithmic_marks(decades: &Range<f64>) -> Vec<Decimal> {
    let within = |mark: &Decimal| {
        let value = mark.value();
        value > 0.0 && value.is_finite() && decades.contains(&value.log10())
    };
    let (first, last) = (decades.start.floor() as i32, decades.end.ceil() as i32);
    let length = decades.end - decades.start;
    if length < 1.0 {
        let values = 10f64.powf(decades.start)..10f64.powf(decades.end).min(f64::MAX);
        return marks(&values, f64::MIN_POSITIVE).into_iter().filter(within).collect();
    }
    if length < 3.0 {
        let mantissas = (first..=last).flat_map(|exponent| [1, 2, 5].map(|digits| Decimal { digits, exponent }));
        return mantissas.filter(within).collect();
    }
    let stride = [1, 2, 5, 10, 20, 50].into_iter().find(|stride| length / f64::from(*stride) < MOST as f64 - 1.0);
    let stride = stride.unwrap_or(100);
    let powers = (first.div_euclid(stride)..=last.div_euclid(stride)).map(|n| n * stride);
    powers.map(|exponent| Decimal { digits: 1, exponent }).filter(within).collect()
}

/// Marks at their coordinates, all labelled in one manner: with powers of ten if the largest needs one, and `every` says that
/// the smallest may ask for them too.
fn labelled(marks: &[Decimal], every: bool, coordinate: impl Fn(f64) -> f64) -> Vec<(f64, String)> {
    let largest = marks.iter().max_by(|a, b| a.value().abs().total_cmp(&b.value().abs()));
    let plain =
        if every { marks.iter().all(|mark| mark.is_plain()) } else { largest.is_none_or(|mark| mark.is_plain()) };
    let label = |mark: &Decimal| if plain { mark.plain() } else { mark.scientific() };
    marks.iter().map(|mark| (coordinate(mark.value()), label(mark))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_axes_are_marked_at_round_numbers() {
        assert_eq!(labels(&Axis::linear([0.0, 1.0])), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear([-3.0, 5.0])), ["-3", "-2", "-1", "0", "1", "2", "3", "4", "5"]);
        assert_eq!(labels(&Axis::linear([0.0, 2.5e7])), ["0", "5e6", "1e7", "1.5e7", "2e7", "2.5e7"]);
        assert_eq!(labels(&Axis::linear([1e-7, 4e-7])), ["1e-7", "1.5e-7", "2e-7", "2.5e-7", "3e-7", "3.5e-7", "4e-7"]);
        assert_eq!(
            labels(&Axis::linear([2.0, 2.0])),
            ["1.80", "1.85", "1.90", "1.95", "2.00", "2.05", "2.10", "2.15", "2.20"]
        );
        assert_eq!(labels(&Axis::linear([f64::NAN, 1.0, f64::INFINITY, 3.0]))[0], "1.0");
    }

    #[test]
    fn steps_are_whole_numbers() {
        assert_eq!(labels(&Axis::counting(0)), ["0", "1"]);
        assert_eq!(labels(&Axis::counting(3)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::counting(60)), ["0", "10", "20", "30", "40", "50", "60"]);
        assert_eq!(labels(&Axis::counting(20_000_000)), ["0", "5e6", "1e7", "1.5e7", "2e7"]);
    }

    #[test]
    fn logarithmic_axes_are_marked_at_round_numbers() {
        assert_eq!(labels(&Axis::logarithmic([2.6, 1.9])), ["1.9", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]);
        assert_eq!(labels(&Axis::logarithmic([0.02, 2.3])), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(labels(&Axis::logarithmic([1e-6, 1.0])), ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1", "1e0"]);
        assert_eq!(
            labels(&Axis::logarithmic([1e-30, 1.0])),
            ["1e-30", "1e-25", "1e-20", "1e-15", "1e-10", "1e-5", "1e0"]
        );
        assert_eq!(labels(&Axis::logarithmic([3.0])), ["2.94", "2.96", "2.98", "3.00", "3.02", "3.04", "3.06"]);
    }

    /// On any axis there are some marks, within its ends, and no label says what another says.
    #[test]
    fn any_axis_has_marks_that_a_reader_tells_apart() {
        let numbers = [5e-324, 1e-300, 3e-9, 0.9999, 1.0, 1.0001, 7.0, 7.000_000_1, 12_345.678, 1e16, 1e300, f64::MAX];
        for low in numbers {
            for high in numbers.into_iter().filter(|high| *high >= low) {
                let mirrored = [Axis::linear([-low, high]), Axis::linear([-high, -low])];
                for axis in mirrored.into_iter().chain([Axis::linear([low, high]), Axis::logarithmic([low, high])]) {
                    let mut labels = labels(&axis);
                    let count = labels.len();
                    assert!((2..=MOST).contains(&count), "{low:e}..{high:e}: {axis:?}");
                    assert!(axis.marks.iter().all(|(at, _)| axis.range.start <= *at && *at <= axis.range.end));
                    assert!(labels.iter().all(|label| label.len() <= 14), "{low:e}..{high:e}: {labels:?}");
                    labels.sort_unstable();
                    labels.dedup();
                    assert_eq!(labels.len(), count, "{low:e}..{high:e}: {axis:?}");
                }
            }
        }
        let nothing = [Axis::linear([]), Axis::logarithmic([f64::NAN]), Axis::linear([0.0])];
        assert!(nothing.iter().all(|axis| axis.marks.len() >= 2), "{nothing:?}");
    }

    #[test]
    fn labels_of_any_numbers_are_as_short_as_tells_them_apart() {
        assert_eq!(distinct_labels(&[0.0123, 0.5, 3.4567, 120.0]), ["0.012", "0.50", "3.5", "120"]);
        assert_eq!(distinct_labels(&[1.001, 1.002, 1.003]), ["1.001", "1.002", "1.003"]);
        assert_eq!(distinct_labels(&[1e-8, 2.5e9]), ["1e-8", "2.5e9"]);
        assert_eq!(distinct_labels(&[]), [""; 0]);
    }
}
