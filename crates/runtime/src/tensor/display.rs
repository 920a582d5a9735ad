//! Tensors as text: aligned and in brackets, as NumPy prints its arrays.
//!
//! Of more than 1,000 elements the first and the last three along each axis are shown, with an ellipsis between. Floats have the
//! digits that tell them from others of their type, at most eight behind the point or as many as a format asks for (`{:.2}`, NumPy's
//! `precision`), and are printed in scientific notation if one is less than 1e-4, more than a thousand times another, or so large that
//! its type does not hold every digit in front of the point: 1e8 or more in f64, 1e6 in f32, 1e3 in 16 bits, as in NumPy 2.4, which has no
//! bf16. In that notation all have as many digits, and those past what tells an element from others are its own too. A line has at most 75
//! characters.

use std::fmt;

use arenagrad_graph::{Bf16, F16, StorageType};

use crate::tensor::Tensor;

/// More elements are not all shown.
const THRESHOLD: usize = 1000;
/// How many are shown at each end of an axis then.
const EDGE: usize = 3;
const LINE: usize = 75;
/// The most digits behind the point, unless a format says otherwise.
const PRECISION: usize = 8;
/// Smaller floats than this, but for 0, are printed in scientific notation.
const LEAST: f64 = 1e-4;
/// How many elements `Debug` shows.
const IN_DEBUG: usize = 16;

/// As NumPy prints an array: `[[1.  2.5]\n [3.  4. ]]`. A precision is NumPy's: `{:.2}` has at most two digits behind the point.
///
/// ```
/// use arenagrad::Tensor;
///
/// let t = Tensor::from([[1.0, 2.5], [-3.0, 4.0]]);
/// assert_eq!(t.to_string(), "[[ 1.   2.5]\n [-3.   4. ]]");
/// assert_eq!(format!("{:.2}", Tensor::from([1.0 / 3.0, 2.5])), "[0.33 2.5 ]");
/// ```
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.shape.rank().checked_sub(1) else {
            let value = self.data.get(0).unwrap_or(f64::NAN);
            return f.write_str(&scalar(value, self.storage(), f.precision().unwrap_or(usize::MAX)));
        };
        if self.data.is_empty() {
            return f.write_str("[]");
        }
        let shown: Vec<Vec<Option<usize>>> = self.shape.iter().map(|&extent| self.shown(extent)).collect();
        let strides = self.shape.strides();
        let words = Words::new(self, &shown, f.precision().unwrap_or(PRECISION));
        // Where the next row begins: the place among what is shown of each axis but the last.
        let mut at = vec![0; last];
        let mut opened = last + 1;
        loop {
            f.write_str(&"[".repeat(opened))?;
            let start: usize =
                at.iter().zip(&shown).zip(&strides).map(|((&at, shown), stride)| shown[at].unwrap_or(0) * stride).sum();
            let row = shown[last].iter().map(|column| column.map(|column| words.word(self, start + column)));
            f.write_str(&wrapped(row, last))?;
            let Some(axis) = advanced(&mut at, &shown, last) else { break };
            opened = last - axis;
            let next = format!("{}{}", "\n".repeat(opened), " ".repeat(axis + 1));
            write!(f, "{}{next}", "]".repeat(opened))?;
            // What is left out is neither first nor last.
            if shown[axis][at[axis]].is_none() {
                at[axis] += 1;
                write!(f, "...{next}")?;
            }
        }
        f.write_str(&"]".repeat(last + 1))
    }
}

/// Short: the type, the shape and the first elements.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}{}, [", self.storage(), self.shape)?;
        for place in 0..self.data.len().min(IN_DEBUG) {
            let separator = if place > 0 { ", " } else { "" };
            write!(f, "{separator}{}", scalar(self.data.get(place).unwrap_or(f64::NAN), self.storage(), usize::MAX))?;
        }
        f.write_str(if self.data.len() > IN_DEBUG { ", ...])" } else { "])" })
    }
}

impl Tensor {
    /// The places of an axis that are shown, and none for what is left out.
    fn shown(&self, extent: usize) -> Vec<Option<usize>> {
        if self.data.len() <= THRESHOLD || extent <= 2 * EDGE {
            return (0..extent).map(Some).collect();
        }
        (0..EDGE).map(Some).chain([None]).chain((extent - EDGE..extent).map(Some)).collect()
    }
}

/// Moves on to the next row, and says which axis moved; none after the last.
fn advanced(at: &mut [usize], shown: &[Vec<Option<usize>>], last: usize) -> Option<usize> {
    for axis in (0..last).rev() {
        at[axis] += 1;
        if at[axis] < shown[axis].len() {
            return Some(axis);
        }
        at[axis] = 0;
    }
    None
}

/// A row's words, broken into lines behind `depth` opened brackets but its own; none is an ellipsis.
fn wrapped(words: impl Iterator<Item = Option<String>>, depth: usize) -> String {
    let indent = " ".repeat(depth + 1);
    let width = LINE - depth.min(LINE) - usize::from(depth < LINE);
    let (mut text, mut line) = (String::new(), indent.clone());
    for (number, word) in words.enumerate() {
        let word = word.unwrap_or_else(|| "...".to_owned());
        if number > 0 {
            line.push(' ');
        }
        if line.chars().count() + word.chars().count() > width && line.len() > indent.len() {
            text += line.trim_end();
            text.push('\n');
            line.clone_from(&indent);
        }
        line += &word;
    }
    text += &line;
    text.split_off(indent.len())
}

/// How the elements that are shown are written, so that they stand below one another.
enum Words {
    /// All right-aligned: integers and truth values.
    Whole { width: usize },
    /// Points below points; the precision is the most digits that one may have behind its point.
    Positional { before: usize, behind: usize, precision: usize },
    /// Points below points, all with as many digits.
    Scientific { before: usize, behind: usize, exponent: usize },
}

impl Words {
    fn new(tensor: &Tensor, shown: &[Vec<Option<usize>>], precision: usize) -> Words {
        let places = places(shown, &tensor.shape.strides());
        let storage = tensor.storage();
        let values: Vec<f64> = places.iter().filter_map(|&place| tensor.data.get(place)).collect();
        if !storage.value().is_float() {
            let width = values.iter().map(|&value| whole(value, storage).len()).max().unwrap_or(0);
            // Truth values are all as wide as the longer one.
            let width = if storage == StorageType::Bool && tensor.shape.rank() > 0 { "False".len() } else { width };
            return Words::Whole { width };
        }
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let sizes = || finite.iter().map(|value| value.abs()).filter(|size| *size > 0.0);
        let (least, greatest) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        let is_large = greatest >= largest(storage).min(1e8);
        let is_wide = || least < rounded(LEAST, storage) || rounded(greatest / least, storage) > 1000.0;
        let is_scientific = greatest > 0.0 && (is_large || is_wide());
        let longest = |parts: &mut dyn Iterator<Item = usize>| parts.max().unwrap_or(0);
        let mut words = if is_scientific {
            let parts: Vec<[String; 3]> = finite.iter().map(|&value| scientific(value, storage, precision)).collect();
            Words::Scientific {
                before: longest(&mut parts.iter().map(|[before, _, _]| before.len())),
                behind: longest(&mut parts.iter().map(|[_, behind, _]| behind.len())),
                exponent: longest(&mut parts.iter().map(|[_, _, exponent]| exponent.len())),
            }
        } else {
            let parts: Vec<[String; 2]> = finite.iter().map(|&value| positional(value, storage, precision)).collect();
            Words::Positional {
                before: longest(&mut parts.iter().map(|[before, _]| before.len())),
                behind: longest(&mut parts.iter().map(|[_, behind]| behind.len())),
                precision,
            }
        };
        // NaN and the infinities take the place before and behind the point.
        let needed = longest(&mut values.iter().filter(|value| !value.is_finite()).map(|value| special(*value).len()));
        let rest = words.behind_point();
        if let Words::Positional { before, .. } | Words::Scientific { before, .. } = &mut words {
            *before = (*before).max(needed.saturating_sub(rest + 1));
        }
        words
    }

    /// The width of what stands behind the point.
    fn behind_point(&self) -> usize {
        match self {
            Words::Whole { .. } => 0,
            Words::Positional { behind, .. } => *behind,
            Words::Scientific { behind, exponent, .. } => behind + 1 + exponent,
        }
    }

    fn word(&self, tensor: &Tensor, place: usize) -> String {
        let (value, storage) = (tensor.data.get(place).unwrap_or(f64::NAN), tensor.storage());
        match self {
            Words::Whole { width } => format!("{:>width$}", whole(value, storage)),
            Words::Positional { before, .. } | Words::Scientific { before, .. } if !value.is_finite() => {
                format!("{:>width$}", special(value), width = before + 1 + self.behind_point())
            }
            Words::Positional { before, behind, precision } => {
                let [integer, fraction] = positional(value, storage, *precision);
                format!("{integer:>before$}.{fraction:<behind$}")
            }
            Words::Scientific { before, behind, exponent } => {
                let [integer, fraction, power] = parts(&lengthened(value, storage, *behind));
                let (sign, digits) = power.split_at(1);
                let digits = format!("{digits:0>width$}", width = exponent - 1);
                format!("{integer:>before$}.{fraction}e{sign}{digits}")
            }
        }
    }
}

/// The places of all elements that are shown.
fn places(shown: &[Vec<Option<usize>>], strides: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (shown, stride) in shown.iter().zip(strides) {
        places = places
            .iter()
            .flat_map(|place| shown.iter().flatten().map(move |position| place + position * stride))
            .collect();
    }
    places
}

/// A scalar: at least one digit behind the point of a float, at most `precision`.
fn scalar(value: f64, storage: StorageType, precision: usize) -> String {
    if !storage.value().is_float() {
        return whole(value, storage);
    }
    if !value.is_finite() {
        return special(value).to_owned();
    }
    if value != 0.0 && !(LEAST..largest(storage)).contains(&value.abs()) {
        let [before, behind, power] = scientific(value, storage, precision);
        let point = if behind.is_empty() { "" } else { "." };
        return format!("{before}{point}{behind}e{power}");
    }
    let [before, behind] = positional(value, storage, precision);
    format!("{before}.{}", if behind.is_empty() { "0" } else { &behind })
}

/// An integer or a truth value.
fn whole(value: f64, storage: StorageType) -> String {
    match storage {
        StorageType::Bool => if value == 0.0 { "False" } else { "True" }.to_owned(),
        StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 => format!("{value}"),
        StorageType::F32 | StorageType::F64 | StorageType::F16 | StorageType::Bf16 => shortest(value, storage, false),
    }
}

fn special(value: f64) -> &'static str {
    if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

/// What stands before and behind the point.
fn positional(value: f64, storage: StorageType, precision: usize) -> [String; 2] {
    let mut text = shortest(value, storage, false);
    if behind_point(&text) > precision {
        text = format!("{value:.precision$}");
        // Without digits behind the point there is no point, and zeros in front of it stay.
        if precision > 0 {
            text.truncate(text.trim_end_matches('0').len());
        }
    }
    let (before, behind) = text.split_once('.').unwrap_or((&text, ""));
    [before.to_owned(), behind.to_owned()]
}

/// What stands before and behind the point, and the exponent of at least two digits with its sign.
fn scientific(value: f64, storage: StorageType, precision: usize) -> [String; 3] {
    let mut text = shortest(value, storage, true);
    if text.split_once('e').is_some_and(|(digits, _)| behind_point(digits) > precision) {
        text = format!("{value:.precision$e}");
    }
    let [before, behind, power] = parts(&text);
    [before, behind.trim_end_matches('0').to_owned(), power]
}

/// In scientific notation, with so many digits behind the point. Those that nothing needs to tell the value from others are not zeros but its own.
fn lengthened(value: f64, storage: StorageType, behind: usize) -> String {
    let text = shortest(value, storage, true);
    let is_as_long = text.split_once('e').is_some_and(|(digits, _)| behind_point(digits) == behind);
    if is_as_long { text } else { format!("{value:.behind$e}") }
}

/// What stands before and behind the point of a text in scientific notation, and the exponent.
fn parts(text: &str) -> [String; 3] {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    [before.to_owned(), behind.to_owned(), signed(power)]
}

/// From which size on a single float is printed in scientific notation: where its type may not hold every digit in front of the point.
fn largest(storage: StorageType) -> f64 {
    match storage {
        StorageType::F16 | StorageType::Bf16 => 1e3,
        StorageType::F32 => 1e6,
        StorageType::F64 => 1e16,
        StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 | StorageType::Bool => f64::INFINITY,
    }
}

/// A number as a type of floats holds it: what is compared with elements is rounded as they are.
fn rounded(value: f64, storage: StorageType) -> f64 {
    match storage {
        StorageType::F16 => F16::from_f64(value).into(),
        StorageType::Bf16 => Bf16::from_f64(value).into(),
        StorageType::F32 => f64::from(value as f32),
        StorageType::F64 => value,
        StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 | StorageType::Bool => value,
    }
}

fn behind_point(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, behind)| behind.len())
}

/// An exponent with its sign and at least two digits.
fn signed(power: &str) -> String {
    match power.strip_prefix('-') {
        Some(digits) => format!("-{digits:0>2}"),
        None => format!("+{power:0>2}"),
    }
}

/// The fewest digits that tell a float from all others of its type; of two that are as near, those whose last digit is even.
fn shortest(value: f64, storage: StorageType, is_scientific: bool) -> String {
    let decimal = match storage {
        StorageType::F16 | StorageType::Bf16 => {
            // Five digits tell all numbers of 16 bits apart.
            (0..5).find_map(|digits| told_apart(value, storage, digits)).unwrap_or(value)
        }
        StorageType::F32 | StorageType::F64 => return nearest(value, storage, is_scientific),
        StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 | StorageType::Bool => value,
    };
    if is_scientific { format!("{decimal:e}") } else { format!("{decimal}") }
}

/// The decimal with so many digits behind its first that is nearest to a number of 16 bits, or the next larger one, if it is none of another.
fn told_apart(value: f64, storage: StorageType, digits: usize) -> Option<f64> {
    let text = format!("{value:.digits$e}");
    let (_, power) = text.split_once('e')?;
    let unit: f64 = format!("1e{}", power.parse::<i32>().ok()? - digits as i32).parse().ok()?;
    let nearest: f64 = text.parse().ok()?;
    // Above a power of two numbers are twice as far apart as below it, so the nearest may be another's, and the one above not.
    let above: f64 = format!("{:.digits$e}", nearest + unit.copysign(value)).parse().ok()?;
    [nearest, above].into_iter().find(|decimal| rounded(*decimal, storage) == value)
}

/// [`shortest`] of 32 and 64 bits.
fn nearest(value: f64, storage: StorageType, is_scientific: bool) -> String {
    let text = match (storage == StorageType::F32, is_scientific) {
        (true, true) => format!("{:e}", value as f32),
        (true, false) => format!("{}", value as f32),
        (false, true) => format!("{value:e}"),
        (false, false) => format!("{value}"),
    };
    let behind = behind_point(text.split('e').next().unwrap_or(&text));
    // That many digits, rounded to the nearest by the value itself. They may be of another number where powers of two meet.
    let even = if is_scientific { format!("{value:.behind$e}") } else { format!("{value:.behind$}") };
    let is_same = match storage == StorageType::F32 {
        true => even.parse::<f32>().is_ok_and(|even| f64::from(even) == value),
        false => even.parse::<f64>().is_ok_and(|even| even == value),
    };
    if is_same { even } else { text }
}
