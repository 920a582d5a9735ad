//! Products: powers of one base are merged, and functions that cancel or absorb each other find each other.

use std::collections::BTreeMap;

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Sign, Term, Terms};

/// A product inside another is opened up to this many factors, so that products that grow one by one cost no square.
const OPENED: usize = 1000;

/// A product in the making: a coefficient, and the exponents of each base.
pub(super) struct Powers {
    pub(super) coefficient: Number,
    pub(super) exponents: BTreeMap<Term, Term>,
}

impl Terms {
    /// The product of terms.
    pub(super) fn mul(&mut self, parts: &[Term]) -> Term {
        let mut coefficient = Number::ONE;
        let mut powers = Vec::with_capacity(parts.len());
        for &part in parts {
            if matches!(self.kind(part), Kind::Product(_, factors) if factors.len() > OPENED) {
                powers.push((part, Terms::ONE));
            } else {
                let (own, factors) = self.factors(part);
                coefficient = coefficient.mul(own);
                powers.extend(factors.iter().copied());
            }
        }
        self.product(coefficient, &powers)
    }

    /// A term to the power of another.
    pub(super) fn pow(&mut self, base: Term, exponent: Term) -> Term {
        self.product(Number::ONE, &[(base, exponent)])
    }

    /// The product of a number and of powers, whatever their bases are.
    pub(super) fn product(&mut self, coefficient: Number, powers: &[(Term, Term)]) -> Term {
        let mut product = Powers { coefficient, exponents: BTreeMap::new() };
        let mut waiting = powers.to_vec();
        loop {
            // Every power is brought to its normal form, which may be powers of other bases, and merged with what is there. What
            // was merged is a power to be brought to its normal form again.
            while let Some((base, exponent)) = waiting.pop() {
                if product.coefficient.is_zero() {
                    return self.nothing_times(powers);
                }
                if exponent == Terms::ZERO {
                    continue;
                }
                let selects = |exponent| self.as_number(exponent).is_some_and(Number::is_positive);
                let merged = match product.exponents.remove(&base) {
                    // What a step selects does not come back when it is divided by.
                    Some(present) if self.condition(base).is_some() && (selects(present) || selects(exponent)) => {
                        Terms::ONE
                    }
                    Some(present) => self.add(&[(present, Number::ONE), (exponent, Number::ONE)]),
                    None => exponent,
                };
                if merged == Terms::ZERO {
                    continue;
                }
                if !self.open_power(base, merged, &mut product.coefficient, &mut waiting) {
                    product.exponents.insert(base, merged);
                    self.absorb(base, &mut product, &mut waiting);
                }
            }
            self.join_opposites(&mut product, &mut waiting);
            self.join_products(&mut product, &mut waiting);
            self.gather_secants(&mut product, &mut waiting);
            if waiting.is_empty() {
                self.settle_selections(&mut product, &mut waiting);
            }
            if waiting.is_empty() {
                break;
            }
        }
        if product.coefficient.is_zero() {
            return self.nothing_times(powers);
        }
        let factors: Vec<(Term, Term)> = product.exponents.into_iter().collect();
        self.product_of(product.coefficient, factors.into())
    }

    /// A whole power of a sum joins another power of the same sum with all its signs changed.
    fn join_opposites(&mut self, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let rooted = product.exponents.iter().find_map(|(&base, &exponent)| {
            let entries = self.entries(base)?;
            if self.as_integer(exponent).is_some() {
                return None;
            }
            let negated = entries.iter().map(|&(term, coefficient)| (term, coefficient.neg())).collect();
            let opposite = self.made(&Kind::Sum(negated))?;
            let times = product.exponents.get(&opposite).and_then(|&times| self.as_integer(times))?;
            Some((base, opposite, times))
        });
        if let Some((base, opposite, times)) = rooted {
            if times % 2 != 0 {
                product.coefficient = product.coefficient.neg();
            }
            let exponent = product.exponents.remove(&opposite);
            waiting.extend(exponent.map(|exponent| (base, exponent)));
        }
    }

    /// `x (c x)^y` is `(c x)^(y + 1)/c`.
    fn join_products(&mut self, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let found = product.exponents.keys().find_map(|&base| {
            let Kind::Product(inner, factors) = self.kind(base) else { return None };
            let is_there = factors.iter().all(|&(base, exponent)| {
                // A step does not leave the product that it selects.
                if self.condition(base).is_some() {
                    return false;
                }
                let Some(&present) = product.exponents.get(&base) else { return false };
                let whole = self.as_integer(exponent).zip(self.as_integer(present));
                present == exponent || whole.is_some_and(|(own, present)| own > 0 && present >= own)
            });
            (is_there && factors.len() <= OPENED).then(|| (base, *inner, factors.clone()))
        });
        if let Some((base, inner, factors)) = found
            && let Some(inverse) = inner.reciprocal()
        {
            product.coefficient = product.coefficient.mul(inverse);
            for &(base, exponent) in factors.iter() {
                let less = self.scale(exponent, Number::MINUS_ONE);
                waiting.push((base, less));
            }
            waiting.push((base, Terms::ONE));
        }
    }

    /// In a formula with tangents of an argument, `1/cos^2` of it is `tan^2 + 1`, so that the terms of a tangent's derivatives
    /// meet in one form, and `tan^2 + 1` beside a cosine is `1/cos^2` again.
    fn gather_secants(&mut self, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let arguments: Vec<Term> =
            product.exponents.keys().filter_map(|&base| self.argument(FormulaFunction::Cos, base)).collect();
        for argument in arguments {
            let Some(tan) = self.made(&Kind::Call(FormulaFunction::Tan, argument)) else { continue };
            let [sin, cos] = [FormulaFunction::Sin, FormulaFunction::Cos].map(|function| self.call(function, argument));
            let two = self.number(Number::integer(2));
            let square = self.pow(tan, two);
            let sum = self.add(&[(square, Number::ONE), (Terms::ONE, Number::ONE)]);
            let exponent = |terms: &Terms, base| product.exponents.get(&base).map_or(Some(0), |&e| terms.as_integer(e));
            let (Some(s), Some(c), Some(k)) = (exponent(self, sin), exponent(self, cos), exponent(self, sum)) else {
                continue;
            };
            let Some(total) = k.checked_mul(2).and_then(|twice| c.checked_sub(twice)) else { continue };
            let secants = match s.checked_add(total) {
                Some(surplus) if s >= 0 && surplus < 0 && surplus % 2 == 0 => -surplus / 2,
                Some(_) | None => 0,
            };
            let parts = match (k != 0, secants > 0) {
                (false, false) => continue,
                (_, true) => [(tan, s), (sum, secants)],
                (true, false) => [(sin, s), (cos, total)],
            };
            for base in [sin, cos, sum] {
                product.exponents.remove(&base);
            }
            for (base, exponent) in parts {
                waiting.push((base, self.number(Number::integer(exponent))));
            }
        }
    }

    /// Merges the function that was inserted last with what it cancels or absorbs. What comes of it waits to be inserted.
    fn absorb(&mut self, base: Term, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let Kind::Call(function, argument) = *self.kind(base) else {
            return self.absorb_switch(base, product, waiting);
        };
        match function {
            FormulaFunction::Sin | FormulaFunction::Cos | FormulaFunction::Tan => {
                self.absorb_tangent(argument, product, waiting)
            }
            FormulaFunction::Sign | FormulaFunction::Step | FormulaFunction::Abs | FormulaFunction::Relu => {
                self.absorb_switch(argument, product, waiting);
            }
            FormulaFunction::Exp
            | FormulaFunction::Log
            | FormulaFunction::Sqrt
            | FormulaFunction::Tanh
            | FormulaFunction::Sigmoid => {
                self.absorb_switch(base, product, waiting);
            }
        }
    }

    /// `sin^n/cos^n` is `tan^n`, and a tangent beside a sine or cosine of the same argument is opened.
    fn absorb_tangent(&mut self, argument: Term, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let functions = [FormulaFunction::Sin, FormulaFunction::Cos, FormulaFunction::Tan];
        let [sin, cos, tan] = functions.map(|function| self.made(&Kind::Call(function, argument)));
        let exponent = |terms: &Terms, base: Option<Term>| {
            let exponent = base.and_then(|base| product.exponents.get(&base));
            exponent.map_or(Some(0), |&exponent| terms.as_integer(exponent))
        };
        let (Some(s), Some(c), Some(t)) = (exponent(self, sin), exponent(self, cos), exponent(self, tan)) else {
            return;
        };
        let mixed = t != 0 && (s != 0 || c != 0);
        let (Some(s), Some(c)) = (s.checked_add(t), c.checked_sub(t)) else { return };
        let balanced = s != 0 && c == s.saturating_neg();
        let opposite = balanced && t == 0;
        if !(mixed || opposite) {
            return;
        }
        for base in [sin, cos, tan].into_iter().flatten() {
            product.exponents.remove(&base);
        }
        let [sin, cos, tan] = functions.map(|function| self.call(function, argument));
        let mut give = |terms: &mut Terms, base, exponent| {
            let exponent = terms.number(Number::integer(exponent));
            waiting.push((base, exponent));
        };
        if balanced {
            give(self, tan, s);
        } else {
            give(self, sin, s);
            give(self, cos, c);
        }
    }

    /// What the sign of an argument does to the argument itself and to its absolute value.
    fn absorb_switch(&mut self, argument: Term, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let find = |terms: &Terms, function| {
            let call = terms.made(&Kind::Call(function, argument))?;
            product.exponents.get(&call).and_then(|&exponent| Some((call, terms.as_integer(exponent)?)))
        };
        let itself = product.exponents.get(&argument).and_then(|&exponent| self.as_integer(exponent)).unwrap_or(0);
        let (sign, abs) = (find(self, FormulaFunction::Sign), find(self, FormulaFunction::Abs));
        let one = |terms: &mut Terms, by: i64| terms.number(Number::integer(by));
        match (sign, abs) {
            // sign(x) is x/|x| wherever a power of |x| beside it is defined, or is 0 with it.
            (Some((sign, 1)), Some((abs, _))) => {
                product.exponents.remove(&sign);
                let less = one(self, -1);
                // The absolute value is merged first, so that it does not meet its argument as it is.
                waiting.extend([(argument, Terms::ONE), (abs, less)]);
            }
            // x sign(x) = |x|
            (Some((sign, 1)), None) if itself >= 1 => {
                product.exponents.remove(&sign);
                let less = one(self, -1);
                let abs = self.call(FormulaFunction::Abs, argument);
                waiting.extend([(abs, Terms::ONE), (argument, less)]);
            }
            // x/|x| and |x|/x are sign(x), where they are defined.
            (None, Some((abs, times))) if times == -1 && itself >= 1 || times == 1 && itself <= -1 => {
                product.exponents.remove(&abs);
                let less = one(self, times);
                let sign = self.call(FormulaFunction::Sign, argument);
                waiting.extend([(sign, Terms::ONE), (argument, less)]);
            }
            _ => {}
        }
    }

    /// Takes a power apart that is not in its normal form: its parts wait to be inserted instead. Whether it was.
    fn open_power(
        &mut self,
        base: Term,
        exponent: Term,
        coefficient: &mut Number,
        waiting: &mut Vec<(Term, Term)>,
    ) -> bool {
        if let Some(number) = self.as_number(exponent)
            && let Number::Exact { ratio, decimal: true } = number
            && (*ratio.numer() == 1 || *ratio.numer() == -1)
            && *ratio.denom() == 2
        {
            // A power of 0.5 is a square root, and to be merged with others.
            let exponent = self.number(Number::Exact { ratio, decimal: false });
            waiting.push((base, exponent));
            return true;
        }
        match self.kind(base) {
            Kind::Number(value) => {
                let value = *value;
                self.open_power_of_number(value, exponent, coefficient, waiting)
            }
            Kind::Euler => self.open_exponential(exponent, waiting),
            // One too long to be opened stays a factor of its own.
            Kind::Product(_, factors) if factors.len() > OPENED && exponent == Terms::ONE => false,
            Kind::Product(inner, factors) => {
                let (inner, factors) = (*inner, factors.clone());
                self.open_power_of_product(inner, &factors, exponent, coefficient, waiting)
            }
            Kind::Sum(entries) => {
                let (entries, Some(times)) = (entries.clone(), self.as_integer(exponent)) else { return false };
                let content = self.content(&entries);
                if content == Number::ONE {
                    return false;
                }
                let Some(power) = content.to_the(times) else { return false };
                *coefficient = coefficient.mul(power);
                let primitive = self.divided(&entries, content);
                waiting.push((primitive, exponent));
                true
            }
            Kind::Call(FormulaFunction::Step, _) => {
                // 0 and 1 are their own powers.
                let Some(number) = self.as_number(exponent) else { return false };
                let own = if number.is_negative() { Terms::MINUS_ONE } else { Terms::ONE };
                if own != exponent {
                    waiting.push((base, own));
                }
                own != exponent
            }
            Kind::Call(function, argument) => {
                let (function, argument) = (*function, *argument);
                let Some(times) = self.as_integer(exponent) else { return false };
                let (mine, rest) = match function {
                    // The sign of an odd power is all that is left of the absolute value.
                    FormulaFunction::Abs if times % 2 == 0 => (0, times),
                    FormulaFunction::Abs if times.abs() > 1 => (times.signum(), times - times.signum()),
                    FormulaFunction::Sign if times > 2 => (2 - times % 2, 0),
                    FormulaFunction::Abs
                    | FormulaFunction::Step
                    | FormulaFunction::Sign
                    | FormulaFunction::Exp
                    | FormulaFunction::Log
                    | FormulaFunction::Sqrt
                    | FormulaFunction::Sin
                    | FormulaFunction::Cos
                    | FormulaFunction::Tan
                    | FormulaFunction::Tanh
                    | FormulaFunction::Sigmoid
                    | FormulaFunction::Relu => return false,
                };
                let [mine, rest] = [mine, rest].map(|exponent| self.number(Number::integer(exponent)));
                waiting.extend([(base, mine), (argument, rest)]);
                true
            }
            Kind::Pi | Kind::Symbol(_) => false,
        }
    }

    /// `(c a^p b^q ..)^e`
    fn open_power_of_product(
        &mut self,
        inner: Number,
        factors: &[(Term, Term)],
        exponent: Term,
        coefficient: &mut Number,
        waiting: &mut Vec<(Term, Term)>,
    ) -> bool {
        // One over 0 is infinite, whatever else was selected away.
        let is_negative = self.as_number(exponent).is_none_or(Number::is_negative);
        let selects = |&(base, own): &(Term, Term)| own == Terms::ONE && self.condition(base).is_some();
        if is_negative
            && factors.iter().any(selects)
            && !factors.iter().all(|&(base, own)| self.is_total_power(base, own))
        {
            return false;
        }
        if let Some(power) = self.as_integer(exponent).and_then(|times| inner.to_the(times)) {
            *coefficient = coefficient.mul(power);
            for &(base, own) in factors {
                let exponent = self.mul(&[own, exponent]);
                waiting.push((base, exponent));
            }
            return true;
        }
        if let [(base, own)] = factors
            && inner == Number::ONE
            && let Some(power) = self.power_of_power(*base, *own, exponent)
        {
            waiting.push(power);
            return true;
        }
        // What is above 0 can leave a power with any exponent, and does if that takes a root; the rest stays together.
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for &(base, own) in factors {
            // A factor that is 0 or infinite somewhere would leave a root that has no value there.
            let is_total = if base == Terms::EULER { self.is_total(own) } else { self.is_total_power(base, own) };
            let leaves = is_total && self.sign(base) == Sign::Positive && {
                let power = self.mul(&[own, exponent]);
                base == Terms::EULER || self.as_integer(power).is_some()
            };
            let leaves = leaves || own == Terms::ONE && !is_negative && self.condition(base).is_some();
            if leaves { &mut outside } else { &mut inside }.push((base, own));
        }
        let size = inner.abs();
        let root = if size == Number::ONE { None } else { self.exact_power(size, exponent) };
        if outside.is_empty() && root.is_none() || inside.is_empty() && inner.is_negative() {
            return false;
        }
        let rest = match root {
            Some(root) => {
                *coefficient = coefficient.mul(root);
                if inner.is_negative() { Number::MINUS_ONE } else { Number::ONE }
            }
            None => inner,
        };
        for (base, own) in outside {
            let exponent = self.mul(&[own, exponent]);
            waiting.push((base, exponent));
        }
        let rest = self.product_of(rest, inside.into());
        waiting.push((rest, exponent));
        true
    }

    /// `(b^p)^e` as one power, where that is the same wherever the first is defined.
    fn power_of_power(&mut self, base: Term, own: Term, exponent: Term) -> Option<(Term, Term)> {
        let combined = |terms: &mut Terms| terms.mul(&[own, exponent]);
        if self.sign(base) != Sign::Unknown {
            // An inner exponent may be infinite where the outer one is 0, and the power 1.
            let is_defined = self.as_number(exponent).is_some() || self.is_total(own);
            return is_defined.then(|| (base, combined(self)));
        }
        match (self.as_number(own)?, self.as_integer(own)) {
            (number, None) if !number.is_broken() => None,
            // An even power forgets the sign of its base.
            (_, Some(times)) if times % 2 == 0 => {
                self.as_number(exponent)?;
                let size = self.call(FormulaFunction::Abs, base);
                Some((size, combined(self)))
            }
            // Either way the base may be negative only where the outer exponent is whole.
            (_, Some(_)) | (_, None) => Some((base, combined(self))),
        }
    }

    /// `exp` of a sum with logarithms: they come out as powers.
    fn open_exponential(&mut self, exponent: Term, waiting: &mut Vec<(Term, Term)>) -> bool {
        let entries = match self.entries(exponent) {
            Some(entries) => entries.to_vec(),
            None => vec![self.split(exponent)].into_iter().map(|(coefficient, term)| (term, coefficient)).collect(),
        };
        let mut rest = Vec::new();
        let mut powers = Vec::new();
        for (term, coefficient) in entries {
            let (_, factors) = self.factors(term);
            let logarithm = factors.iter().find_map(|&(base, power)| {
                (power == Terms::ONE).then(|| self.argument(FormulaFunction::Log, base)).flatten().map(|x| (base, x))
            });
            match logarithm {
                Some((logarithm, argument)) => powers.push((term, coefficient, logarithm, argument)),
                None => rest.push((term, coefficient)),
            }
        }
        if powers.is_empty() {
            return false;
        }
        for (term, coefficient, logarithm, argument) in powers {
            let (_, factors) = self.factors(term);
            let others = factors.iter().copied().filter(|&(base, _)| base != logarithm).collect::<Vec<_>>();
            let exponent = self.product_of(coefficient, others.into());
            waiting.push((argument, exponent));
        }
        let rest = self.add(&rest);
        waiting.push((Terms::EULER, rest));
        true
    }
}
