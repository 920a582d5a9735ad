//! Tensors as text: aligned and in brackets, as NumPy prints its arrays.
//!
//! Of more than 1,000 elements the first and the last three along each axis are shown, with an ellipsis between. Floats have the
//! digits that tell them from others of their type, at most eight behind the point or as many as a format asks for (`{:.2}`, NumPy's
//! `precision`), and are printed in scientific notation if one
//! is 1e8 or more, less than 1e-4, or a thousand times another. A line has at most 75 characters.

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
    Scientific { before: usize, behind: usize, exponent: usize, precision: usize },
}

impl Words {
    fn new(tensor: &Tensor, shown: &[Vec<Option<usize>>], precision: usize) -> Words {
        let places = places(shown, &tensor.shape.strides());
        let storage = tensor.storage();
        let values: Vec<f64> = places.iter().filter_map(|&place| tensor.data.get(place)).collect();
        if !storage.value().is_float() {
            let width = values.iter().map(|&value| whole(value, storage).len()).max().unwrap_or(0);
            return Words::Whole { width };
        }
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let sizes = || finite.iter().map(|value| value.abs()).filter(|size| *size > 0.0);
        let (least, greatest) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        let is_scientific = greatest > 0.0 && (greatest >= 1e8 || least < 1e-4 || greatest / least > 1000.0);
        let longest = |parts: &mut dyn Iterator<Item = usize>| parts.max().unwrap_or(0);
        let mut words = if is_scientific {
            let parts: Vec<[String; 3]> = finite.iter().map(|&value| scientific(value, storage, precision)).collect();
            Words::Scientific {
                before: longest(&mut parts.iter().map(|[before, _, _]| before.len())),
                behind: longest(&mut parts.iter().map(|[_, behind, _]| behind.len())),
                exponent: longest(&mut parts.iter().map(|[_, _, exponent]| exponent.len())),
                precision,
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
            Words::Scientific { before, behind, exponent, precision } => {
                let [integer, fraction, power] = scientific(value, storage, *precision);
                let (sign, digits) = power.split_at(1);
                let digits = format!("{digits:0>width$}", width = exponent - 1);
                format!("{integer:>before$}.{fraction:0<behind$}e{sign}{digits}")
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
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
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
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    [before.to_owned(), behind.trim_end_matches('0').to_owned(), signed(power)]
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

/// The fewest digits that tell a float from all others of its type.
fn shortest(value: f64, storage: StorageType, is_scientific: bool) -> String {
    let narrow: Option<fn(f64) -> f64> = match storage {
        StorageType::F16 => Some(|x| F16::from_f64(x).into()),
        StorageType::Bf16 => Some(|x| Bf16::from_f64(x).into()),
        StorageType::F32 => {
            return if is_scientific { format!("{:e}", value as f32) } else { format!("{}", value as f32) };
        }
        StorageType::F64 => None,
        StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 | StorageType::Bool => None,
    };
    let decimal = match narrow {
        // Five digits tell all numbers of 16 bits apart.
        Some(narrow) => (0..5)
            .filter_map(|digits| format!("{value:.digits$e}").parse::<f64>().ok())
            .find(|decimal| narrow(*decimal) == value)
            .unwrap_or(value),
        None => value,
    };
    if is_scientific { format!("{decimal:e}") } else { format!("{decimal}") }
}
