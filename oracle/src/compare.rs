//! When a computed tensor counts as equal to the oracle's.
//!
//! The rules are those of the oracle's format: an error of at most `atol + rtol * |expected|`, and in f32, for a value
//! that is a sum of `k` terms, of at most `4 * sqrt(k) * 2^-24 * (the sum of the terms' absolute values)` where that is
//! larger. NaN equals NaN, an infinity only itself.

use arenagrad::{DType, Tensor};

use super::case::{Element, Values};

/// A relative and an absolute tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

impl Tolerance {
    const F64: Tolerance = Tolerance { relative: 1e-10, absolute: 1e-12 };
    const F32: Tolerance = Tolerance { relative: 1.3e-6 * 8.0, absolute: 1e-5 };

    /// The tolerance for a value computed in `computed`, expected in `expected`: that of the coarser of the two.
    pub(crate) fn of(computed: DType, expected: Element) -> Tolerance {
        let computed = match computed {
            DType::F64 => Tolerance::F64,
            DType::F32 => Tolerance::F32,
            DType::I32 | DType::Bool => Tolerance { relative: 0.0, absolute: 0.0 },
        };
        match expected {
            Element::F64 => computed,
            Element::F32 => Tolerance::F32,
            Element::I64 | Element::I32 | Element::U8 | Element::Bool => Tolerance { relative: 0.0, absolute: 0.0 },
        }
    }
}

/// What is known of a value that is computed as a sum: how many terms it has, and the sum of their absolute values, one
/// element for each element of the value.
#[derive(Clone, Debug)]
pub(crate) struct SumBound {
    pub(crate) terms: usize,
    pub(crate) absolute: Vec<f64>,
}

impl SumBound {
    /// The error that this bound grants element `index` in f32.
    fn allows(&self, index: usize) -> f64 {
        4.0 * (self.terms as f64).sqrt() * (-24f64).exp2() * self.absolute[index]
    }
}

/// Compares a computed tensor with the expected one; the error describes the worst element. `bound` is looked at in f32
/// alone.
pub(crate) fn compare(computed: &Tensor, expected: &Values, bound: Option<&SumBound>) -> Result<(), String> {
    if computed.shape().dims() != expected.shape {
        return Err(format!("the shape is {}, expected {:?}", computed.shape(), expected.shape));
    }
    if !holds(computed.dtype(), expected.element) {
        return Err(format!("the dtype is {}, expected {:?}", computed.dtype(), expected.element));
    }
    let tolerance = Tolerance::of(computed.dtype(), expected.element);
    let coarse = tolerance == Tolerance::F32;
    let mut worst: Option<(f64, String)> = None;
    for (index, (&found, &exact)) in computed.to_f64_vec().iter().zip(&expected.data).enumerate() {
        // The oracle computes in f64: what overflows there as an f32 can only be an infinity here.
        let wanted = if coarse && computed.dtype() == DType::F32 { overflowed(exact) } else { exact };
        let mut allowed = tolerance.absolute + tolerance.relative * wanted.abs();
        if let (true, Some(bound)) = (coarse, bound) {
            // `max` keeps `allowed` where the bound is NaN, that is where a term was.
            allowed = allowed.max(bound.allows(index));
        }
        if agrees(found, wanted, allowed) {
            continue;
        }
        let excess = if (found - wanted).is_finite() { (found - wanted).abs() / allowed } else { f64::INFINITY };
        if worst.as_ref().is_none_or(|(most, _)| excess > *most) {
            let message = format!("element {index} is {found:e}, expected {exact:e} (allowed error {allowed:.1e})");
            worst = Some((excess, message));
        }
    }
    match worst {
        None => Ok(()),
        Some((_, message)) => Err(message),
    }
}

/// Whether the engine holds elements of that type in that dtype: integers are never floats, nor truth values integers.
fn holds(computed: DType, expected: Element) -> bool {
    match expected {
        Element::F64 | Element::F32 => computed.is_float(),
        Element::I64 | Element::I32 | Element::U8 => computed == DType::I32,
        Element::Bool => computed == DType::Bool,
    }
}

/// Whether the two agree: NaN with NaN, an infinity with itself, and finite values within `allowed`.
fn agrees(found: f64, wanted: f64, allowed: f64) -> bool {
    if found.is_nan() || wanted.is_nan() {
        found.is_nan() && wanted.is_nan()
    } else if found.is_infinite() || wanted.is_infinite() {
        found == wanted
    } else {
        (found - wanted).abs() <= allowed
    }
}

/// The value, or the infinity that rounding it to f32 gives.
fn overflowed(value: f64) -> f64 {
    let rounded = value as f32;
    if rounded.is_infinite() { f64::from(rounded) } else { value }
}

#[cfg(test)]
mod tests {
    use arenagrad::Elements;

    use super::*;

    fn values(data: &[f64]) -> Values {
        Values { element: Element::F64, shape: vec![data.len()], data: data.to_vec() }
    }

    fn f32s(data: &[f32]) -> Tensor {
        Tensor::new([data.len()], data.to_vec()).unwrap()
    }

    fn f64s(data: &[f64]) -> Tensor {
        Tensor::new([data.len()], data.to_vec()).unwrap()
    }

    #[test]
    fn each_dtype_has_its_tolerance() {
        assert!(compare(&f64s(&[1.0 + 0.9e-10]), &values(&[1.0]), None).is_ok());
        assert!(compare(&f64s(&[1.0 + 1.1e-10]), &values(&[1.0]), None).is_err());
        assert!(compare(&f64s(&[1.1e-12]), &values(&[0.0]), None).is_err());
        assert!(compare(&f32s(&[1.0 + 1.9e-5]), &values(&[1.0]), None).is_ok());
        assert!(compare(&f32s(&[1.0 + 2.2e-5]), &values(&[1.0]), None).is_err());
    }

    #[test]
    fn a_sum_is_allowed_more_in_f32_only() {
        let bound = SumBound { terms: 100, absolute: vec![1000.0] };
        let allowed = 4.0 * 10.0 * (-24f64).exp2() * 1000.0;
        assert!(compare(&f32s(&[(0.99 * allowed) as f32]), &values(&[0.0]), Some(&bound)).is_ok());
        assert!(compare(&f32s(&[(1.01 * allowed) as f32]), &values(&[0.0]), Some(&bound)).is_err());
        assert!(compare(&f64s(&[1e-6]), &values(&[0.0]), Some(&bound)).is_err());
        let unknown = SumBound { terms: 100, absolute: vec![f64::NAN] };
        assert!(compare(&f32s(&[1e-3]), &values(&[0.0]), Some(&unknown)).is_err());
    }

    #[test]
    fn special_values_equal_only_themselves() {
        let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert!(compare(&f64s(&special), &values(&special), None).is_ok());
        for found in special.into_iter().chain([0.0]) {
            for wanted in special {
                let same = found == wanted || (found.is_nan() && wanted.is_nan());
                assert_eq!(compare(&f64s(&[found]), &values(&[wanted]), None).is_ok(), same, "{found} {wanted}");
            }
        }
        assert!(compare(&f32s(&[f32::INFINITY]), &values(&[1e39]), None).is_ok());
        assert!(compare(&f32s(&[f32::MAX]), &values(&[1e39]), None).is_err());
    }

    #[test]
    fn shape_and_dtype_are_part_of_the_value() {
        assert!(compare(&f64s(&[1.0]), &Values { shape: vec![], ..values(&[1.0]) }, None).is_err());
        let truth = Tensor::from_bools([1], &[true]).unwrap();
        assert!(compare(&truth, &values(&[1.0]), None).is_err());
        let expected = Values { element: Element::Bool, ..values(&[1.0]) };
        assert!(compare(&truth, &expected, None).is_ok());
        let integer = Tensor::from_data([1].into(), Elements::I32(vec![1].into())).unwrap();
        assert!(compare(&integer, &expected, None).is_err());
        let expected = Values { element: Element::I64, ..values(&[1.0]) };
        assert!(compare(&integer, &expected, None).is_ok());
        assert!(compare(&truth, &expected, None).is_err());
    }
}
