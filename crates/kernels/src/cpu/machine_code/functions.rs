//! The functions of f32 that are several instructions, as fragments have them: operation by operation those of [`crate::cpu::functions`] and [`crate::cpu::scalar`], and so with the
//! same bits, which a test holds.

use super::assembler::{Opcode, Relation, Shift, Vectors};
use super::fragment::{Fragment, Value};
use crate::cpu::functions::{ERF_LARGE, ERF_SMALL, EXPM1, LN_2_HIGH, LN_2_LOW, LOG1P, ROUNDER};

impl Fragment {
    /// What holds `n` in its lowest bits, `n` as a float, and `expm1(x - n ln 2)`.
    fn rounded_expm1(&mut self, x: Value) -> (Value, Value, Value) {
        let (log2_e, rounder) = (self.constant(std::f32::consts::LOG2_E), self.constant(ROUNDER));
        let shifted = self.mul_add(x, log2_e, rounder);
        let rounded = self.sub(shifted, rounder);
        let high = self.constant(-LN_2_HIGH);
        let r = self.mul_add(rounded, high, x);
        let low = self.constant(-LN_2_LOW);
        let r = self.mul_add(rounded, low, r);
        let p = self.polynomial(r, &EXPM1);
        let square = self.mul(r, r);
        (shifted, rounded, self.mul_add(square, p, r))
    }

    /// `n`, an integer, and `expm1(x - n ln 2)`.
    fn reduced_expm1(&mut self, x: Value) -> (Value, Value) {
        let (shifted, _, em1) = self.rounded_expm1(x);
        let rounder = self.constant(ROUNDER);
        (self.sub_integers(shifted, rounder), em1)
    }

    /// `2^n`.
    fn power_of_two(&mut self, n: Value) -> Value {
        let bias = self.bits(127);
        let exponent = self.add_integers(n, bias);
        self.shift(Shift::Left, exponent, 23)
    }

    /// -1, 0 or 1; NaN of NaN.
    pub(super) fn sign(&mut self, x: Value) -> Value {
        let (zero, one, minus_one) = (self.constant(0.0), self.constant(1.0), self.constant(-1.0));
        let sum = self.add(x, zero);
        let is_positive = self.compare(Relation::Less, zero, x);
        let value = self.choose(is_positive, one, sum);
        let is_negative = self.compare(Relation::Less, x, zero);
        self.choose(is_negative, minus_one, value)
    }

    /// 0 where `x` is negative, else `x`.
    pub(super) fn relu(&mut self, x: Value) -> Value {
        let zero = self.constant(0.0);
        self.larger_or_second(zero, x)
    }

    /// 0 where `x` is at most 0, else `upstream`.
    pub(super) fn relu_backward(&mut self, upstream: Value, x: Value) -> Value {
        let zero = self.constant(0.0);
        let is_off = self.compare(Relation::LessEqual, x, zero);
        self.choose(is_off, zero, upstream)
    }

    /// The larger; NaN if either is.
    pub(super) fn maximum(&mut self, a: Value, b: Value) -> Value {
        let larger = self.larger_or_second(a, b);
        let is_nan = self.compare(Relation::NotEqual, a, a);
        self.choose(is_nan, a, larger)
    }

    /// The smaller; NaN if either is.
    pub(super) fn minimum(&mut self, a: Value, b: Value) -> Value {
        let smaller = self.smaller_or_second(a, b);
        let is_nan = self.compare(Relation::NotEqual, a, a);
        self.choose(is_nan, a, smaller)
    }

    /// `e^x`.
    pub(super) fn exp(&mut self, x: Value) -> Value {
        let x = self.limit(x, -104.0, 89.0);
        let (shifted, rounded, em1) = self.rounded_expm1(x);
        let one = self.constant(1.0);
        let value = self.add(em1, one);
        if self.vectors == Vectors::Evex {
            // Rounds once, as the second of two factors does.
            return self.scale(value, rounded);
        }
        let rounder = self.constant(ROUNDER);
        let n = self.sub_integers(shifted, rounder);
        let half = self.shift(Shift::RightArithmetic, n, 1);
        let rest = self.sub_integers(n, half);
        let first = self.power_of_two(half);
        let value = self.mul(value, first);
        let second = self.power_of_two(rest);
        self.mul(value, second)
    }

    /// `e^x - 1`.
    pub(super) fn expm1(&mut self, x: Value) -> Value {
        let limited = self.limit(x, -18.0, 89.0);
        let (n, em1) = self.reduced_expm1(limited);
        let one = self.bits(1);
        let n = self.sub_integers(n, one);
        let scale = self.power_of_two(n);
        let half = self.constant(0.5);
        let less = self.sub(scale, half);
        let sum = self.mul_add(scale, em1, less);
        let two = self.constant(2.0);
        let value = self.mul(two, sum);
        self.small_is_itself(x, value, 1e-7)
    }

    /// `x` where it is that small, else `value`; with the sign of `x`.
    fn small_is_itself(&mut self, x: Value, value: Value, bound: f32) -> Value {
        let (magnitude, bound) = (self.abs(x), self.constant(bound));
        let is_small = self.compare(Relation::Less, magnitude, bound);
        let value = self.choose(is_small, x, value);
        self.copysign(value, x)
    }

    /// The hyperbolic tangent.
    pub(super) fn tanh(&mut self, x: Value) -> Value {
        let (two, one, magnitude) = (self.constant(2.0), self.constant(1.0), self.abs(x));
        let twice = self.mul(two, magnitude);
        let limited = self.limit(twice, 0.0, 20.0);
        let (n, em1) = self.reduced_expm1(limited);
        let scale = self.power_of_two(n);
        let less = self.sub(scale, one);
        let t = self.mul_add(scale, em1, less);
        let more = self.add(t, two);
        let value = self.div(t, more);
        self.small_is_itself(x, value, 1e-7)
    }

    /// `1 / (1 + e^-x)`.
    pub(super) fn sigmoid(&mut self, x: Value) -> Value {
        let magnitude = self.abs(x);
        let negative = self.neg(magnitude);
        let e = self.exp(negative);
        let (zero, one) = (self.constant(0.0), self.constant(1.0));
        let is_negative = self.compare(Relation::Less, x, zero);
        let numerator = self.choose(is_negative, e, one);
        let denominator = self.add(one, e);
        self.div(numerator, denominator)
    }

    /// The error function.
    pub(super) fn erf(&mut self, x: Value) -> Value {
        let magnitude = self.abs(x);
        let square = self.mul(magnitude, magnitude);
        let small = self.polynomial(square, &ERF_SMALL);
        let small = self.mul_add(magnitude, small, magnitude);
        let t = self.limit(magnitude, 0.0, 4.0);
        let g = self.polynomial(t, &ERF_LARGE);
        let minus = self.neg(t);
        let exponent = self.mul_add(minus, g, minus);
        let e = self.exp(exponent);
        let one = self.constant(1.0);
        let large = self.sub(one, e);
        let border = self.constant(0.9375);
        let is_small = self.compare(Relation::Less, magnitude, border);
        let value = self.choose(is_small, small, large);
        self.copysign(value, x)
    }

    /// The natural logarithm.
    pub(super) fn log(&mut self, x: Value) -> Value {
        let (least, zero) = (self.constant(f32::MIN_POSITIVE), self.constant(0.0));
        let is_subnormal = self.compare(Relation::Less, x, least);
        let (scale, lifted) = (self.constant(8_388_608.0), self.constant(23.0));
        let scaled = self.mul(x, scale);
        let normal = self.choose(is_subnormal, scaled, x);
        let bias = self.choose(is_subnormal, lifted, zero);
        let from = self.bits(0x3F80_0000 - 0x3F35_04F3);
        let offset = self.add_integers(normal, from);
        let exponent = self.shift(Shift::Right, offset, 23);
        let middle = self.bits(127);
        let exponent = self.sub_integers(exponent, middle);
        let fraction = self.bits(0x007F_FFFF);
        let mantissa = self.and(offset, fraction);
        let least = self.bits(0x3F35_04F3);
        let mantissa = self.add_integers(mantissa, least);
        let exponent = self.unary(Opcode::CVTDQ2PS, exponent, None);
        let e = self.sub(exponent, bias);
        let one = self.constant(1.0);
        let f = self.sub(mantissa, one);
        let q = self.polynomial(f, &LOG1P);
        let square = self.mul(f, f);
        let cube = self.mul(square, f);
        let minus_half = self.constant(-0.5);
        let half = self.mul(minus_half, square);
        let tail = self.mul_add(cube, q, half);
        let low = self.constant(LN_2_LOW);
        let tail = self.mul_add(e, low, tail);
        let sum = self.add(f, tail);
        let high = self.constant(LN_2_HIGH);
        let value = self.mul_add(e, high, sum);
        let infinity = self.constant(f32::INFINITY);
        let is_infinite = self.compare(Relation::Equal, x, infinity);
        let value = self.choose(is_infinite, infinity, value);
        let is_zero = self.compare(Relation::Equal, x, zero);
        let lowest = self.constant(f32::NEG_INFINITY);
        let value = self.choose(is_zero, lowest, value);
        let has_logarithm = self.compare(Relation::LessEqual, zero, x);
        let nan = self.constant(f32::NAN);
        self.choose(has_logarithm, value, nan)
    }
}
