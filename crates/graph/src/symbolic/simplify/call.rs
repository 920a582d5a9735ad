//! Functions of terms: known values, symmetries, inverses, and arguments whose sign is known.

use crate::symbolic::form::Function;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Sign, Term, Terms};

impl Terms {
    /// A function of a term.
    pub(super) fn call(&mut self, function: Function, argument: Term) -> Term {
        match function {
            Function::Exp => self.pow(Terms::EULER, argument),
            Function::Sqrt => {
                let half = self.number(Number::HALF);
                self.pow(argument, half)
            }
            Function::Log => self.logarithm(argument),
            Function::Sin | Function::Cos | Function::Tan => self.circular(function, argument),
            Function::Tanh => match self.negated(argument) {
                Some(positive) => self.minus_call(function, positive),
                None if argument == Terms::ZERO => Terms::ZERO,
                None => self.intern(Kind::Call(function, argument)),
            },
            Function::Sigmoid if argument == Terms::ZERO => self.number(Number::HALF),
            Function::Sigmoid => self.intern(Kind::Call(function, argument)),
            Function::Abs | Function::Sign | Function::Relu | Function::Step => self.switch(function, argument),
        }
    }

    /// Minus the term, if it is written with a minus sign.
    pub(super) fn negated(&mut self, term: Term) -> Option<Term> {
        let negative = match self.kind(term) {
            Kind::Number(value) => value.is_negative(),
            Kind::Product(coefficient, _) => coefficient.is_negative(),
            Kind::Sum(entries) => entries.iter().all(|(_, coefficient)| coefficient.is_negative()),
            Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) => false,
        };
        negative.then(|| self.scale(term, Number::MINUS_ONE))
    }

    fn minus_call(&mut self, function: Function, argument: Term) -> Term {
        let value = self.call(function, argument);
        self.scale(value, Number::MINUS_ONE)
    }

    fn logarithm(&mut self, argument: Term) -> Term {
        if argument == Terms::ONE {
            return Terms::ZERO;
        }
        // log(exp(x)) = x
        match self.kind(argument) {
            Kind::Euler => Terms::ONE,
            Kind::Product(coefficient, factors)
                if *coefficient == Number::ONE && factors.len() == 1 && factors[0].0 == Terms::EULER =>
            {
                factors[0].1
            }
            _ => self.intern(Kind::Call(Function::Log, argument)),
        }
    }

    fn circular(&mut self, function: Function, argument: Term) -> Term {
        if let Some(positive) = self.negated(argument) {
            return match function {
                Function::Cos => self.call(function, positive),
                _ => self.minus_call(function, positive),
            };
        }
        let halves = match self.split(argument) {
            (_, Terms::ONE) if argument == Terms::ZERO => Some(Number::ZERO),
            (turns, Terms::PI) => Some(turns.mul(Number::integer(2))),
            _ => None,
        };
        // Right angles, of which four are a whole turn.
        let quarter = halves.and_then(Number::as_integer).map(|halves| halves.rem_euclid(4));
        let known = match (function, quarter) {
            (Function::Tan, Some(0 | 2)) => Some(0),
            (Function::Sin, Some(quarter)) => Some([0, 1, 0, -1][quarter as usize]),
            (Function::Cos, Some(quarter)) => Some([1, 0, -1, 0][quarter as usize]),
            _ => None,
        };
        match known {
            Some(value) => self.number(Number::integer(value)),
            None => self.intern(Kind::Call(function, argument)),
        }
    }

    /// `abs`, `sign`, `relu` and `step`, which depend on the sign of their argument.
    fn switch(&mut self, function: Function, argument: Term) -> Term {
        if let Some(value) = self.as_number(argument) {
            let (negative, zero) = (value.is_negative(), value.is_zero());
            let value = match function {
                Function::Abs => value.abs(),
                Function::Relu if negative => Number::ZERO,
                Function::Relu => value,
                _ if zero => Number::ZERO,
                Function::Sign if negative => Number::MINUS_ONE,
                Function::Step if negative => Number::ZERO,
                _ => Number::ONE,
            };
            return self.number(value);
        }
        match (self.sign(argument), function) {
            (Sign::Positive, Function::Sign | Function::Step) => return Terms::ONE,
            (Sign::Positive | Sign::NotNegative, Function::Abs | Function::Relu) => return argument,
            (_, Function::Step) => {
                // relu(x) is above 0 exactly where x is.
                if let Some(inner) = self.argument(Function::Relu, argument) {
                    return self.switch(function, inner);
                }
            }
            (Sign::NotNegative, Function::Sign) => return self.switch(Function::Step, argument),
            _ => {}
        }
        if let (Some(positive), Function::Abs | Function::Sign) = (self.negated(argument), function) {
            return if function == Function::Abs {
                self.call(function, positive)
            } else {
                self.minus_call(function, positive)
            };
        }
        // A factor above 0 changes no sign, and leaves `abs` and `relu`.
        let (coefficient, factors) = self.factors(argument);
        let (outside, inside): (Vec<_>, Vec<_>) =
            factors.iter().partition(|&&(base, _)| self.sign(base) == Sign::Positive);
        let size = coefficient.abs();
        if outside.is_empty() && size == Number::ONE {
            return self.intern(Kind::Call(function, argument));
        }
        let sign = if coefficient.is_negative() { Number::MINUS_ONE } else { Number::ONE };
        let rest = self.product_of(sign, inside.into());
        let value = self.call(function, rest);
        match function {
            Function::Abs | Function::Relu => {
                let outside = self.product_of(size, outside.into());
                self.mul(&[outside, value])
            }
            _ => value,
        }
    }
}
