//! Functions of terms: known values, symmetries, inverses, and arguments whose sign is known.

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Sign, Term, Terms};

impl Terms {
    /// A function of a term.
    pub(super) fn call(&mut self, function: FormulaFunction, argument: Term) -> Term {
        match function {
            FormulaFunction::Exp => self.pow(Terms::EULER, argument),
            FormulaFunction::Sqrt => {
                let half = self.number(Number::HALF);
                self.pow(argument, half)
            }
            FormulaFunction::Log => self.logarithm(argument),
            FormulaFunction::Sin | FormulaFunction::Cos | FormulaFunction::Tan => self.circular(function, argument),
            FormulaFunction::Tanh => match self.negated(argument) {
                Some(positive) => self.minus_call(function, positive),
                None if argument == Terms::ZERO => Terms::ZERO,
                None => self.intern(Kind::Call(function, argument)),
            },
            FormulaFunction::Sigmoid if argument == Terms::ZERO => self.number(Number::HALF),
            FormulaFunction::Sigmoid => self.intern(Kind::Call(function, argument)),
            FormulaFunction::Abs => self.switch(Switch::Abs, argument),
            FormulaFunction::Sign => self.switch(Switch::Sign, argument),
            FormulaFunction::Relu => self.switch(Switch::Relu, argument),
            FormulaFunction::Step => self.switch(Switch::Step, argument),
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

    fn minus_call(&mut self, function: FormulaFunction, argument: Term) -> Term {
        let value = self.call(function, argument);
        self.scale(value, Number::MINUS_ONE)
    }

    fn logarithm(&mut self, argument: Term) -> Term {
        if argument == Terms::ONE {
            return Terms::ZERO;
        }
        if argument == Terms::EULER {
            return Terms::ONE;
        }
        // log(a^x) = x log(a) where a is above 0, and log(exp(x)) = x.
        if let Kind::Product(coefficient, factors) = self.kind(argument)
            && let [(base, exponent)] = **factors
            && *coefficient == Number::ONE
            && (self.sign(base) == Sign::Positive || base == Terms::EULER)
        {
            let logarithm = self.logarithm(base);
            return self.mul(&[exponent, logarithm]);
        }
        self.intern(Kind::Call(FormulaFunction::Log, argument))
    }

    fn circular(&mut self, function: FormulaFunction, argument: Term) -> Term {
        if let Some(positive) = self.negated(argument) {
            let is_even = function == FormulaFunction::Cos;
            return if is_even { self.call(function, positive) } else { self.minus_call(function, positive) };
        }
        let halves = match self.split(argument) {
            (_, Terms::ONE) if argument == Terms::ZERO => Some(Number::ZERO),
            (turns, Terms::PI) => Some(turns.mul(Number::integer(2))),
            (_, _) => None,
        };
        // Right angles, of which four are a whole turn.
        let quarter = halves.and_then(Number::as_integer).map(|halves| halves.rem_euclid(4));
        let known = quarter.and_then(|quarter| {
            let turned = if function == FormulaFunction::Cos { (quarter + 1) % 4 } else { quarter };
            let sine = [0, 1, 0, -1][turned as usize];
            // A tangent has a value at every other right angle.
            if function == FormulaFunction::Tan { (sine == 0).then_some(0) } else { Some(sine) }
        });
        match known {
            Some(value) => self.number(Number::integer(value)),
            None => self.intern(Kind::Call(function, argument)),
        }
    }

    /// A function that depends on the sign of its argument.
    fn switch(&mut self, switch: Switch, argument: Term) -> Term {
        if let Some(value) = self.as_number(argument) {
            return self.number(switch.of_number(value));
        }
        match (switch, self.sign(argument)) {
            (Switch::Sign | Switch::Step, Sign::Positive) => return Terms::ONE,
            (Switch::Abs | Switch::Relu, Sign::Positive | Sign::NotNegative) => return argument,
            (Switch::Sign, Sign::NotNegative) => return self.switch(Switch::Step, argument),
            (Switch::Step, Sign::NotNegative | Sign::Unknown) => {
                // relu(x) is above 0 exactly where x is.
                if let Some(inner) = self.argument(FormulaFunction::Relu, argument) {
                    return self.switch(Switch::Step, inner);
                }
            }
            (Switch::Abs | Switch::Sign | Switch::Relu, Sign::Unknown) => {}
        }
        let function = switch.function();
        if matches!(switch, Switch::Abs | Switch::Sign)
            && let Some(positive) = self.negated(argument)
        {
            let is_even = switch == Switch::Abs;
            return if is_even { self.call(function, positive) } else { self.minus_call(function, positive) };
        }
        // A factor above 0 changes no sign, and leaves `abs` and `relu`.
        let (coefficient, factors) = self.factors(argument);
        let (outside, inside): (Vec<_>, Vec<_>) = factors.iter().partition(|&&(base, exponent)| {
            let selects = exponent == Terms::ONE && self.condition(base).is_some();
            let is_positive = self.sign_of_power(base, exponent) == Sign::Positive;
            // 0 times an infinity is no number, where the infinity alone would have been cut off.
            selects || is_positive && (switch != Switch::Relu || self.is_total_power(base, exponent))
        });
        let size = coefficient.abs();
        if outside.is_empty() && size == Number::ONE {
            return self.intern(Kind::Call(function, argument));
        }
        let sign = if coefficient.is_negative() { Number::MINUS_ONE } else { Number::ONE };
        let rest = self.product_of(sign, inside.into());
        let value = self.call(function, rest);
        match switch {
            Switch::Abs | Switch::Relu => {
                let outside = self.product_of(size, outside.into());
                self.mul(&[outside, value])
            }
            Switch::Sign | Switch::Step => {
                let selects =
                    |&&(base, exponent): &&(Term, Term)| exponent == Terms::ONE && self.condition(base).is_some();
                let selections: Vec<_> = outside.iter().filter(selects).copied().collect();
                let selections = self.product_of(Number::ONE, selections.into());
                self.mul(&[selections, value])
            }
        }
    }
}

/// The functions that depend on the sign of their argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Abs,
    Sign,
    Relu,
    Step,
}

impl Switch {
    fn function(self) -> FormulaFunction {
        match self {
            Switch::Abs => FormulaFunction::Abs,
            Switch::Sign => FormulaFunction::Sign,
            Switch::Relu => FormulaFunction::Relu,
            Switch::Step => FormulaFunction::Step,
        }
    }

    fn of_number(self, value: Number) -> Number {
        let truth = |holds: bool| if holds { Number::ONE } else { Number::ZERO };
        match self {
            Switch::Abs => value.abs(),
            Switch::Relu if value.is_negative() => Number::ZERO,
            Switch::Relu => value,
            Switch::Sign if value.is_negative() => Number::MINUS_ONE,
            Switch::Sign | Switch::Step => truth(value.is_positive()),
        }
    }
}
