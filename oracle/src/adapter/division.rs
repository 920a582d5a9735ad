//! Quotients, and quotients rounded to integers as PyTorch rounds them.
//!
//! A floor division by rounding the quotient of two floats is wrong wherever that quotient itself was rounded to an integer:
//! 1 / 0.1 is 10 in f32, but 0.1 fits into 1 only nine times. So that of floats is `floor_divide`, and that of integers is found by long division.

use arenagrad::{DType, Expr};

use super::Refusal;
use super::arguments::{Call, Operand};

/// `div(input, other, *, rounding_mode)`. Two integers give an integer if the quotient is rounded, else a float.
pub(super) fn div<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let operands: [Operand<'g>; 2] = [call.operand("input")?, call.operand("other")?];
    let dtype = call.common_dtype(&operands);
    let (input, other) = call.floats("input", "other")?;
    let rounding = match call.text_or("rounding_mode", "none")? {
        "none" => return Ok(input / other),
        "floor" => Rounding::Floor,
        "trunc" => Rounding::Truncate,
        mode => return Err(Refusal::failed(format!("no rounding mode {mode:?}"))),
    };
    if dtype.is_float() {
        return Ok(of_floats(call, input, other, rounding));
    }
    let (input, other) = (operands[0].expr(call.graph, DType::I32), operands[1].expr(call.graph, DType::I32));
    Ok(of_integers(call, input, other, rounding))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// To the next integer below.
    Floor,
    /// To the next integer towards zero.
    Truncate,
}

/// The quotients of floats. `floor` is defined by the remainder, `(input - fmod(input, other)) / other` less one where the
/// signs differ. `trunc` is the rounded quotient's whole part, and the oracle rounds it as an f64.
fn of_floats<'g>(call: &Call<'_, 'g>, input: Expr<'g>, other: Expr<'g>, rounding: Rounding) -> Expr<'g> {
    // No gradient passes through a whole number.
    let (input, other) = (input.stop_gradient(), other.stop_gradient());
    let quotient = input / other;
    match rounding {
        Rounding::Floor => input.floor_divide(other),
        Rounding::Truncate if call.dtype == DType::F64 => quotient.trunc(),
        // That of two f32 may be an integer which the true one does not reach.
        Rounding::Truncate => {
            let whole = input.abs().floor_divide(other.abs()).copysign(quotient);
            quotient.abs().equal(f64::INFINITY).where_(quotient, whole)
        }
    }
}

/// The quotients of integers. Their negative half reaches one further than the positive one, so magnitudes are negative
/// here. PyTorch refuses a divisor of 0.
fn of_integers<'g>(call: &Call<'_, 'g>, input: Expr<'g>, other: Expr<'g>, rounding: Rounding) -> Expr<'g> {
    let negated = |x: Expr<'g>| x.less(0).where_(x, -x);
    let (mut remainder, divisor) = (negated(input), negated(other));
    let mut whole = call.graph.full([], 0.0, DType::I32);
    // The largest quotient is 2^31, the largest weight in 32 bits 2^30: it is taken twice.
    for place in std::iter::once(30).chain((0..=30).rev()) {
        let weight = f64::from(place).exp2();
        let part = divisor * weight;
        // A part past the smallest integer has wrapped, and does not fit.
        let fits = divisor.greater_equal(f64::from(i32::MIN) / weight) & remainder.less_equal(part);
        remainder = fits.where_(remainder - part, remainder);
        whole = fits.where_(whole - weight, whole);
    }
    let negative = input.less(0).not_equal(other.less(0));
    let down = match rounding {
        Rounding::Floor => whole - (negative & remainder.not_equal(0)).cast(DType::I32),
        Rounding::Truncate => whole,
    };
    negative.where_(down, -whole)
}

#[cfg(test)]
mod tests {
    use arenagrad::{Device, Graph, Session, Tensor};

    use super::super::arguments::{Call, Value};
    use super::*;
    use crate::case::{Element, Values};

    /// The rounded quotients, with floats in that dtype.
    fn quotients(mode: &str, element: Element, dtype: DType, pairs: &[(f64, f64)]) -> Vec<f64> {
        let graph = Graph::new();
        let held = if element.is_float() { dtype } else { DType::I32 };
        let values = |data: Vec<f64>| Values { element, shape: vec![pairs.len()], data };
        let sides =
            [values(pairs.iter().map(|pair| pair.0).collect()), values(pairs.iter().map(|pair| pair.1).collect())];
        let operand = |name: &str, values| Value::Tensor { expr: graph.input_of(name, [pairs.len()], held), values };
        let positional = vec![operand("input", &sides[0]), operand("other", &sides[1])];
        let signature = &["input", "other", "*", "rounding_mode"];
        let call =
            Call::bind(&graph, dtype, signature, positional, vec![("rounding_mode", Value::Text(mode))]).unwrap();
        let result = div(&call).unwrap();
        let tensors = sides.each_ref().map(|values| super::super::tensor(values, dtype).unwrap());
        let mut session = Session::evaluate(&graph, &[result], &Device::cpu()).unwrap();
        let inputs: [(&str, &Tensor); 2] = [("input", &tensors[0]), ("other", &tensors[1])];
        session.run(&inputs).unwrap()[0].to_f64_vec()
    }

    /// Inputs, divisors, and PyTorch's `div` with the modes `floor` and `trunc`.
    const FLOATS: &[(f64, f64, f64, f64)] = &[
        (f64::INFINITY, 1.0, f64::NAN, f64::INFINITY),
        (f64::NEG_INFINITY, 1.0, f64::NAN, f64::NEG_INFINITY),
        (f64::INFINITY, f64::INFINITY, f64::NAN, f64::NAN),
        (f64::INFINITY, 0.0, f64::INFINITY, f64::INFINITY),
        (1.0, f64::INFINITY, 0.0, 0.0),
        (-1.0, f64::INFINITY, -1.0, -0.0),
        (5.0, f64::NEG_INFINITY, -1.0, -0.0),
        (-5.0, f64::NEG_INFINITY, 0.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (-0.0, 1.0, -0.0, -0.0),
        (0.0, -1.0, -0.0, -0.0),
        (-0.0, -1.0, 0.0, 0.0),
        (-0.0, f64::INFINITY, -0.0, -0.0),
        (1.0, 0.0, f64::INFINITY, f64::INFINITY),
        (1.0, -0.0, f64::NEG_INFINITY, f64::NEG_INFINITY),
        (0.0, 0.0, f64::NAN, f64::NAN),
        (f64::NAN, 1.0, f64::NAN, f64::NAN),
        (1.0, f64::NAN, f64::NAN, f64::NAN),
        (f64::NAN, f64::NEG_INFINITY, f64::NAN, f64::NAN),
        (f64::NAN, f64::INFINITY, f64::NAN, f64::NAN),
        (7.0, 2.0, 3.0, 3.0),
        (-7.0, 2.0, -4.0, -3.0),
        (7.0, -2.0, -4.0, -3.0),
        (-7.0, -2.0, 3.0, 3.0),
        (-6.0, 2.0, -3.0, -3.0),
        (0.25, 1.0, 0.0, 0.0),
        (-0.25, 1.0, -1.0, -0.0),
        (1.0, 0.1f32 as f64, 9.0, 9.0),
        (-1.0, 0.1f32 as f64, -10.0, -9.0),
        (0.5, 0.1f32 as f64, 4.0, 4.0),
        (100.0, 0.1f32 as f64, 999.0, 999.0),
        (1.0e30, 3.0, 1.0e30 / 3.0, 1.0e30 / 3.0),
        (16_777_215.0, 1.0, 16_777_215.0, 16_777_215.0),
        (-16_777_215.0, 2.0, -8_388_608.0, -8_388_607.0),
    ];

    #[test]
    fn floats_are_rounded_as_pytorch_rounds_them() {
        let pairs: Vec<(f64, f64)> = FLOATS.iter().map(|row| (row.0, row.1)).collect();
        for dtype in [DType::F64, DType::F32] {
            for (mode, column) in [("floor", 0), ("trunc", 1)] {
                let found = quotients(mode, Element::F64, dtype, &pairs);
                for (row, found) in FLOATS.iter().zip(found) {
                    let wanted = if column == 0 { row.2 } else { row.3 };
                    let close = (found - wanted).abs() <= 2e-7 * wanted.abs() && wanted.abs() > 1e9;
                    let same = found == wanted && found.is_sign_negative() == wanted.is_sign_negative();
                    let both_nan = found.is_nan() && wanted.is_nan();
                    assert!(close || same || both_nan, "{dtype} {mode} of {row:?}: {found}");
                }
            }
        }
    }

    #[test]
    fn a_rounded_scalar_divisor_goes_by_the_rule_of_its_mode() {
        // 0.1 is above a tenth: nine fit into 1, but the quotient of two f64 is rounded to 10.
        assert_eq!(quotients("floor", Element::F64, DType::F64, &[(1.0, 0.1)]), [9.0]);
        assert_eq!(quotients("trunc", Element::F64, DType::F64, &[(1.0, 0.1)]), [10.0]);
    }

    #[test]
    fn integers_stay_integers() {
        let (least, most) = (f64::from(i32::MIN), f64::from(i32::MAX));
        let rows = [
            (7.0, 2.0, 3.0, 3.0),
            (-7.0, 2.0, -4.0, -3.0),
            (7.0, -2.0, -4.0, -3.0),
            (-7.0, -2.0, 3.0, 3.0),
            (0.0, 3.0, 0.0, 0.0),
            (0.0, -3.0, 0.0, 0.0),
            (least, 1.0, least, least),
            (least, 2.0, least / 2.0, least / 2.0),
            (least, least, 1.0, 1.0),
            (most, least, -1.0, 0.0),
            (least, most, -2.0, -1.0),
            (most, -1.0, -most, -most),
            (most, 3.0, 715_827_882.0, 715_827_882.0),
            (-1_000_000_007.0, 10.0, -100_000_001.0, -100_000_000.0),
        ];
        let pairs = rows.map(|row| (row.0, row.1));
        assert_eq!(quotients("floor", Element::I64, DType::F32, &pairs), rows.map(|row| row.2));
        assert_eq!(quotients("trunc", Element::I64, DType::F32, &pairs), rows.map(|row| row.3));
    }
}
