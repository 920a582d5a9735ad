//! About how long a term is when it is written: what the choice between forms goes by.

use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

impl Terms {
    /// The number of characters that a term of that kind is written with, not counting spaces.
    pub(super) fn cost_of(&self, kind: &Kind) -> u64 {
        match kind {
            Kind::Number(value) => cost_of_number(*value) + u64::from(value.is_negative()),
            Kind::Pi => 2,
            Kind::Euler => 6,
            // All names cost the same, so that a form does not depend on what its symbols are called.
            Kind::Symbol(_) => 1,
            Kind::Call(function, argument) => (function.name().len() as u64 + 2).saturating_add(self.cost(*argument)),
            Kind::Product(coefficient, factors) => {
                self.cost_of_product(*coefficient, factors).saturating_add(u64::from(coefficient.is_negative()))
            }
            Kind::Sum(entries) => {
                let terms = entries.iter().map(|&(term, coefficient)| self.cost_of_scaled(coefficient, term));
                let signs = entries.len() as u64 - 1;
                let leads = u64::from(entries.iter().all(|(_, coefficient)| coefficient.is_negative()));
                terms.fold(signs + leads, u64::saturating_add)
            }
        }
    }

    /// The same for a term times the size of a coefficient.
    fn cost_of_scaled(&self, coefficient: Number, term: Term) -> u64 {
        match self.kind(term) {
            _ if coefficient.abs() == Number::ONE => self.cost(term),
            Kind::Number(_) => cost_of_number(coefficient),
            Kind::Product(_, factors) => self.cost_of_product(coefficient, factors),
            Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => {
                self.cost_of_product(coefficient, &[(term, Terms::ONE)])
            }
        }
    }

    fn cost_of_product(&self, coefficient: Number, factors: &[(Term, Term)]) -> u64 {
        let (mut above, mut below, mut count_above, mut count_below) = (0u64, 0u64, 0u64, 0u64);
        if let Some(fraction) = coefficient.as_fraction() {
            let (numerator, denominator) = (fraction.numer().unsigned_abs(), fraction.denom().unsigned_abs());
            if numerator != 1 {
                (above, count_above) = (digits(numerator), 1);
            }
            if denominator != 1 {
                (below, count_below) = (digits(denominator), 1);
            }
        } else {
            (above, count_above) = (cost_of_number(coefficient), 1);
        }
        for &(base, exponent) in factors {
            let exponent_number = self.as_number(exponent);
            let inverted = base != Terms::EULER && exponent_number.is_some_and(Number::is_negative);
            let size = self.cost_of_power(base, exponent, exponent_number.map(Number::abs));
            let (side, count) = if inverted { (&mut below, &mut count_below) } else { (&mut above, &mut count_above) };
            *side = side.saturating_add(size);
            *count += 1;
        }
        let above = above.saturating_add(count_above.saturating_sub(1)).max(1);
        match count_below {
            0 => above,
            1 => above.saturating_add(below).saturating_add(1),
            count => above.saturating_add(below).saturating_add(count + 2),
        }
    }

    /// A power, with an exponent that is a number made positive.
    fn cost_of_power(&self, base: Term, exponent: Term, size: Option<Number>) -> u64 {
        if base == Terms::EULER {
            return self.cost(exponent).saturating_add(5);
        }
        let whole = self.cost(base).saturating_add(match self.kind(base) {
            Kind::Sum(_) | Kind::Product(..) => 2,
            Kind::Number(_) | Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) => 0,
        });
        match (size, self.kind(exponent)) {
            (Some(size), _) if size == Number::ONE => whole,
            (Some(size), _) if size == Number::HALF => self.cost(base).saturating_add(6),
            (Some(size), _) => whole.saturating_add(1 + cost_of_number(size)),
            (None, Kind::Sum(_) | Kind::Product(..)) => whole.saturating_add(self.cost(exponent)).saturating_add(3),
            (None, _) => whole.saturating_add(self.cost(exponent)).saturating_add(1),
        }
    }
}

fn cost_of_number(value: Number) -> u64 {
    match value.as_fraction() {
        Some(fraction) if fraction.is_integer() => digits(fraction.numer().unsigned_abs()),
        Some(fraction) => digits(fraction.numer().unsigned_abs()) + digits(fraction.denom().unsigned_abs()) + 1,
        None => crate::symbolic::render::number(value.to_f64().abs()).len() as u64,
    }
}

fn digits(value: u128) -> u64 {
    u64::from(value.checked_ilog10().unwrap_or(0)) + 1
}
