//! What tells operations apart besides their operands, shapes and dtypes, as words that can be hashed and compared.

use crate::op::Op;

/// Calls `word` with what identifies an op: its kind and its attributes, numbers by their bits, so that -0 stays apart from 0
/// and NaN is equal to itself. Of a literal it is the length alone; the elements are for the caller to compare. An op's shape
/// and its words before tell how many there are, so that words of several ops, one after the other, are read in one way only.
pub(crate) fn words(op: &Op, mut word: impl FnMut(u64)) {
    let mut all = |words: &[u64]| words.iter().for_each(|&number| word(number));
    match op {
        Op::Input { declaration } => all(&[1, u64::from(*declaration)]),
        Op::Parameter { declaration } => all(&[2, u64::from(*declaration)]),
        Op::Constant { value } => all(&[3, value.to_bits()]),
        Op::Literal { data } => all(&[4, data.len() as u64]),
        Op::Iota { axis } => all(&[5, *axis as u64]),
        Op::Uniform { seed, .. } => all(&[6, *seed]),
        Op::Unary { function, .. } => all(&[7, *function as u64]),
        Op::Binary { function, .. } => all(&[8, *function as u64]),
        Op::Compare { function, .. } => all(&[9, *function as u64]),
        Op::Where { .. } => all(&[10]),
        Op::Cast { .. } => all(&[11]),
        Op::StopGradient { .. } => all(&[12]),
        Op::Reshape { .. } => all(&[13]),
        Op::Permute { axes, .. } => {
            all(&[14]);
            axes.iter().for_each(|&axis| word(axis as u64));
        }
        Op::Broadcast { .. } => all(&[15]),
        Op::Slice { starts, steps, .. } => {
            all(&[16]);
            starts.iter().chain(steps).for_each(|&number| word(number as u64));
        }
        Op::Pad { lows, interiors, value, .. } => {
            all(&[17, value.to_bits()]);
            lows.iter().chain(interiors).for_each(|&number| word(number as u64));
        }
        Op::Concat { axis, operands } => all(&[18, *axis as u64, operands.len() as u64]),
        Op::Reduce { function, axes, .. } => {
            // One word for all axes: how many words an op has must be certain from those before.
            all(&[19, *function as u64, axes.iter().fold(0, |set, axis| set | 1 << axis)]);
        }
        Op::ArgMax { axis, .. } => all(&[20, *axis as u64]),
        Op::MatMul { transpose_lhs, transpose_rhs, .. } => {
            all(&[21, u64::from(*transpose_lhs), u64::from(*transpose_rhs)]);
        }
        Op::Gather { axis, .. } => all(&[22, *axis as u64]),
        Op::ScatterAdd { axis, .. } => all(&[23, *axis as u64]),
        Op::CustomGradient { operands, .. } => all(&[24, operands.len() as u64]),
        Op::Placeholder => all(&[25]),
    }
}
