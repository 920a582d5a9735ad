//! Sequences of unequal lengths as one tensor.

use arenagrad_graph::{DType, Elements, Shape};

use super::DataError;
use crate::error::Error;
use crate::tensor::{Tensor, append, reserve};

/// Sequences `[length, ..]` as one tensor `[sequences, longest, ..]`, each from the beginning of its row on and `fill` behind its end, and their lengths, i32
/// `[sequences]`: PyTorch's `pad_sequence(.., batch_first=True, padding_value=fill)`. Recurrent layers take both (`apply_padded`), attention takes the lengths as a mask.
///
/// `fill` is rounded to the sequences' type; of none there is `[0, 0]`. Errors: sequences without axes, or that differ in type or in another axis than the first
/// ([`DataError`]).
///
/// ```
/// use arenagrad::{Tensor, data::padded};
///
/// let (tokens, lengths) = padded(&[Tensor::from([5, 6, 7]), Tensor::from([8])], 0.0)?;
/// assert_eq!(tokens, Tensor::new([2, 3], vec![5, 6, 7, 8, 0, 0])?);
/// assert_eq!(lengths, Tensor::from([3, 1]));
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub fn padded(sequences: &[Tensor], fill: f64) -> Result<(Tensor, Tensor), Error> {
    let Some(first) = sequences.first() else {
        return Ok((Tensor::zeros([0, 0], DType::F32)?, Tensor::new([0], Vec::<i32>::new())?));
    };
    let mut lengths: Vec<i32> = Vec::with_capacity(sequences.len());
    for (number, sequence) in sequences.iter().enumerate() {
        let element = |tensor: &Tensor| tensor.shape().dims().get(1..).map(Shape::from);
        let length = sequence.shape().dims().first().and_then(|length| i32::try_from(*length).ok());
        let (Some(length), true) =
            (length, element(sequence) == element(first) && sequence.storage() == first.storage())
        else {
            return Err(DataError::Sequences {
                number,
                found: (sequence.storage(), sequence.shape().clone()),
                first: (first.storage(), first.shape().clone()),
            }
            .into());
        };
        lengths.push(length);
    }
    let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
    let inner = &first.shape().dims()[1..];
    let width = inner.iter().copied().fold(1, usize::saturating_mul);
    let room = longest.saturating_mul(width);
    let mut elements = Elements::empty(first.storage());
    reserve(&mut elements, room.saturating_mul(sequences.len()));
    let behind = Tensor::new([room], vec![fill; room])?.cast(first.storage());
    for sequence in sequences {
        let count = sequence.shape().elements();
        append(&mut elements, sequence.data(), 0, count);
        append(&mut elements, behind.data(), 0, room - count);
    }
    let dims: Vec<usize> = [sequences.len(), longest].into_iter().chain(inner.iter().copied()).collect();
    Ok((Tensor::from_data(dims.into(), elements)?, Tensor::new([lengths.len()], lengths)?))
}
