//! What tells operations apart besides their operands, shapes and dtypes, as words that can be hashed and compared.

use crate::body::ScanResult;
use crate::op::{
    Arrangement, Assembly, AttentionNode, ConvolutionAxis, Elementwise, Indexing, Leaf, Op, Ordered, Windows,
};

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
            Elementwise::RoundTo { half, .. } => all(&[65, *half as u64]),
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
            Arrangement::Windows(windows) => {
                let Windows { axes, extents, steps, dilations } = &**windows;
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
        Op::Attention(attention) => {
            let AttentionNode { mask, is_causal, scale, backward, result, .. } = **attention;
            let flags = u64::from(mask.is_some()) | u64::from(is_causal) << 1 | u64::from(backward.is_some()) << 2;
            all(&[40, result as u64, flags, scale.to_bits()]);
        }
        Op::Convolution { axes, .. } => {
            all(&[29, axes.len() as u64]);
            for axis in axes {
                let ConvolutionAxis { extent, stride, dilation, input_dilation, low } = *axis;
                [extent, stride, dilation, input_dilation].iter().for_each(|&number| word(number as u64));
                word(low as u64);
            }
        }
        Op::Indexing(Indexing::Gather { axis, .. }) => all(&[24, *axis as u64]),
        Op::Indexing(Indexing::ScatterAdd { axis, .. }) => all(&[25, *axis as u64]),
        Op::Scan { body, result, .. } => {
            all(&[28, body.key().len() as u64]);
            all(body.key());
            match result {
                ScanResult::Final(carry) => all(&[0, u64::from(*carry)]),
                ScanResult::Stacked(place) => all(&[1, u64::from(*place)]),
            }
        }
        Op::AllReduce { number, .. } => all(&[66, u64::from(*number)]),
        Op::LinearAlgebra { function, .. } => all(&[41, function.number()]),
        Op::Ordered(ordered) => match ordered {
            Ordered::Cumulative { function, axis, is_reversed, .. } => {
                all(&[60, *function as u64, *axis as u64, u64::from(*is_reversed)]);
            }
            Ordered::Recurrence { axis, is_reversed, .. } => all(&[61, *axis as u64, u64::from(*is_reversed)]),
            Ordered::ArgSort { axis, is_descending, count, .. } => {
                all(&[62, *axis as u64, u64::from(*is_descending), *count as u64]);
            }
            Ordered::SearchSorted { is_right, .. } => all(&[63, u64::from(*is_right)]),
        },
        Op::Indexing(Indexing::ScatterReduce { function, axis, .. }) => all(&[64, *function as u64, *axis as u64]),
    }
}
