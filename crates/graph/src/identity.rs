//! What tells operations apart besides their operands, shapes and dtypes, as words that can be hashed and compared.

use crate::op::{Arrangement, Assembly, Elementwise, Indexing, Leaf, Op};

/// Calls `word` with what identifies an op: its kind and its attributes, numbers by their bits, so that -0 stays apart from 0
/// and NaN is equal to itself. Of a literal it is the length alone; the elements are for the caller to compare. An op's shape
/// and its words before tell how many there are, so that words of several ops, one after the other, are read in one way only.
pub(crate) fn words(op: &Op, mut word: impl FnMut(u64)) {
    let mut all = |words: &[u64]| words.iter().for_each(|&number| word(number));
    match op {
        Op::Leaf(leaf) => match leaf {
            Leaf::Input { declaration } => all(&[1, u64::from(*declaration)]),
            Leaf::Parameter { declaration } => all(&[2, u64::from(*declaration)]),
            Leaf::Constant { value } => all(&[3, value.to_bits()]),
            Leaf::Literal { data } => all(&[4, data.len() as u64]),
            Leaf::Iota { axis } => all(&[5, *axis as u64]),
            Leaf::Placeholder => all(&[6]),
        },
        Op::Uniform { seed, .. } => all(&[7, *seed]),
        Op::Elementwise(elementwise) => match elementwise {
            Elementwise::Unary { function, .. } => all(&[8, *function as u64]),
            Elementwise::Binary { function, .. } => all(&[9, *function as u64]),
            Elementwise::Compare { function, .. } => all(&[10, *function as u64]),
            Elementwise::Where { .. } => all(&[11]),
            Elementwise::Cast { .. } => all(&[12]),
        },
        Op::StopGradient { .. } => all(&[13]),
        Op::CustomGradient { operands, .. } => all(&[14, operands.len() as u64]),
        Op::View { arrangement, .. } => match arrangement {
            Arrangement::Reshape => all(&[15]),
            Arrangement::Permute { axes } => {
                all(&[16]);
                axes.iter().for_each(|&axis| word(axis as u64));
            }
            Arrangement::Broadcast => all(&[17]),
            Arrangement::Slice { starts, steps } => {
                all(&[18]);
                starts.iter().chain(steps).for_each(|&number| word(number as u64));
            }
            Arrangement::Flip { axes } => all(&[26, axes.iter().fold(0, |set, axis| set | 1 << axis)]),
            Arrangement::Windows { axes, extents, steps, dilations } => {
                all(&[27, axes.len() as u64]);
                axes.iter().chain(extents).chain(steps).chain(dilations).for_each(|&number| word(number as u64));
            }
        },
        Op::Assembly(Assembly::Pad { lows, interiors, value, .. }) => {
            all(&[19, value.to_bits()]);
            lows.iter().chain(interiors).for_each(|&number| word(number as u64));
        }
        Op::Assembly(Assembly::Concat { axis, operands }) => all(&[20, *axis as u64, operands.len() as u64]),
        Op::Reduce { function, axes, .. } => {
            // One word for all axes: how many words an op has must be certain from those before.
            all(&[21, *function as u64, axes.iter().fold(0, |set, axis| set | 1 << axis)]);
        }
        Op::ArgMax { axis, .. } => all(&[22, *axis as u64]),
        Op::MatMul { transpose_lhs, transpose_rhs, .. } => {
            all(&[23, u64::from(*transpose_lhs), u64::from(*transpose_rhs)]);
        }
        Op::Indexing(Indexing::Gather { axis, .. }) => all(&[24, *axis as u64]),
        Op::Indexing(Indexing::ScatterAdd { axis, .. }) => all(&[25, *axis as u64]),
        Op::Indexing(Indexing::ScatterReduce { function, axis, .. }) => all(&[60, *function as u64, *axis as u64]),
    }
}
