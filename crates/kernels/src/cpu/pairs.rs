//! Two f32 operations made one instruction, where the first one's value is an operand of the second and nothing else.
//!
//! Each of the two still rounds, so the result has the same bits; it only does not go through a register's memory in between.

use arenagrad_graph::{BinaryFunction, DType};

use super::code::Code;
use super::registers::Register;

/// The first of two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Add,
    Sub,
    Mul,
    Div,
}

/// What is done to the value of the first operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    Add,
    Mul,
    /// The other operand is taken from it.
    Sub,
    /// It is taken from the other operand.
    SubFrom,
}

/// The varying f32 registers whose value is still read.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Vec<bool>);

impl Live {
    /// Notes that a register is read.
    pub(super) fn read(&mut self, dtype: DType, register: Register) {
        if dtype == DType::F32 && !register.uniform {
            let index = register.index as usize;
            if self.0.len() <= index {
                self.0.resize(index + 1, false);
            }
            self.0[index] = true;
        }
    }

    /// Notes that a register is written: its value before is not read.
    fn write(&mut self, dtype: DType, register: Register) {
        if self.contains(register) && dtype == DType::F32 {
            self.0[register.index as usize] = false;
        }
    }

    fn contains(&self, register: Register) -> bool {
        !register.uniform && self.0.get(register.index as usize).is_some_and(|&live| live)
    }

    /// Goes back over an instruction.
    fn step_over(&mut self, code: Code) {
        let (dtype, target) = code.target();
        self.write(dtype, target);
        let (dtype, operands) = code.operands();
        operands.into_iter().flatten().for_each(|operand| self.read(dtype, operand));
    }
}

/// Joins operations of straight-line code after which `live` registers are read; `live` are then those that it reads.
pub(super) fn join(body: &mut Vec<Code>, live: &mut Live) {
    let mut joined: Vec<Code> = Vec::with_capacity(body.len());
    while let Some(code) = body.pop() {
        let Some((pair, loaded)) = pair(body, code, live) else {
            live.step_over(code);
            joined.push(code);
            continue;
        };
        body.truncate(body.len() - 1 - loaded.iter().len());
        for code in [Some(pair), loaded].into_iter().flatten() {
            live.step_over(code);
            joined.push(code);
        }
    }
    joined.reverse();
    *body = joined;
}

/// The one instruction for `code` and the operation before it, and what an input's load between them was.
fn pair(before: &[Code], code: Code, live: &Live) -> Option<(Code, Option<Code>)> {
    let Code::Binary { function: second, dtype: DType::F32, lhs, rhs, target } = code else { return None };
    let (&last, rest) = before.split_last()?;
    let (operation, loaded) = match last {
        Code::Load { .. } => (*rest.last()?, Some(last)),
        _ => (last, None),
    };
    let Code::Binary { function: first, dtype: DType::F32, lhs: a, rhs: b, target: between } = operation else {
        return None;
    };
    // The load must not write what the first operation reads, once it comes before that.
    let is_in_the_way = loaded.is_some_and(|code| {
        let (dtype, loaded) = code.target();
        dtype == DType::F32 && [a, b, between].contains(&loaded)
    });
    if between.uniform || target == between || live.contains(between) || is_in_the_way || lhs == rhs {
        return None;
    }
    let first = match first {
        BinaryFunction::Add => First::Add,
        BinaryFunction::Sub => First::Sub,
        BinaryFunction::Mul => First::Mul,
        BinaryFunction::Div => First::Div,
        BinaryFunction::Pow
        | BinaryFunction::Maximum
        | BinaryFunction::Minimum
        | BinaryFunction::ReluBackward
        | BinaryFunction::And
        | BinaryFunction::Or => return None,
    };
    let (second, c) = match (second, lhs == between, rhs == between) {
        (BinaryFunction::Add, true, false) => (Second::Add, rhs),
        (BinaryFunction::Add, false, true) => (Second::Add, lhs),
        (BinaryFunction::Mul, true, false) => (Second::Mul, rhs),
        (BinaryFunction::Mul, false, true) => (Second::Mul, lhs),
        (BinaryFunction::Sub, true, false) => (Second::Sub, rhs),
        (BinaryFunction::Sub, false, true) => (Second::SubFrom, lhs),
        _ => return None,
    };
    Some((Code::Pair { first, second, a, b, c, memory: between, target }, loaded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(index: u32) -> Register {
        Register { index, uniform: false }
    }

    fn binary(function: BinaryFunction, lhs: u32, rhs: u32, target: u32) -> Code {
        let (lhs, rhs, target) = (register(lhs), register(rhs), register(target));
        Code::Binary { function, dtype: DType::F32, lhs, rhs, target }
    }

    fn load(target: u32) -> Code {
        Code::Load { dtype: DType::F32, input: 0, target: register(target), borrows: true }
    }

    /// How many pairs the code has after which the registers `live` are read.
    fn pairs(mut body: Vec<Code>, live: &[u32]) -> (usize, usize) {
        let mut set = Live::default();
        live.iter().for_each(|&index| set.read(DType::F32, register(index)));
        join(&mut body, &mut set);
        (body.iter().filter(|code| matches!(code, Code::Pair { .. })).count(), body.len())
    }

    #[test]
    fn operations_are_joined_where_the_value_between_is_not_read_again() {
        use BinaryFunction::{Add, Maximum, Mul, Sub};
        let (product, sum) = (binary(Mul, 0, 1, 2), binary(Add, 2, 3, 0));
        assert_eq!(pairs(vec![product, sum], &[0]), (1, 1));
        assert_eq!(pairs(vec![product, sum], &[0, 2]), (0, 2));
        assert_eq!(pairs(vec![product, sum, binary(Maximum, 2, 0, 4)], &[4]), (0, 3));
        assert_eq!(pairs(vec![product, sum, binary(Sub, 0, 0, 2)], &[2]), (1, 2));
        assert_eq!(pairs(vec![product, binary(Mul, 2, 2, 4)], &[4]), (0, 2));
        assert_eq!(pairs(vec![product, binary(Sub, 3, 2, 0), binary(Mul, 0, 1, 5)], &[5]), (1, 2));
        // An input that is loaded in between comes first, unless it takes an operand's place.
        assert_eq!(pairs(vec![product, load(3), sum], &[0]), (1, 2));
        assert_eq!(pairs(vec![product, load(1), binary(Add, 2, 1, 0)], &[0]), (0, 3));
    }
}
