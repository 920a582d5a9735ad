//! Cutting the inputs of a deterministic step into shards: which are cut, and that all members cut the same.

use std::collections::BTreeSet;

use arenagrad_graph::Shape;

use crate::error::Error;
use crate::group::{Group, GroupError, differing_texts};
use crate::tensor::Tensor;

/// What members say of an input in the deterministic mode: that it has a part for each shard, that it has none, or that both come to the same.
const CUT: char = 'c';
const WHOLE: char = 'w';
const EITHER: char = 'e';

/// The samples of that range of the tensors that have as many as there are in all; the others whole.
pub(super) fn cut(
    tensors: &[(&str, &Tensor)],
    samples: usize,
    range: std::ops::Range<usize>,
) -> Result<Vec<(String, Tensor)>, Error> {
    let cut = tensors.iter().map(|(name, tensor)| {
        let part = if is_cut(tensor, samples) { rows(tensor, range.clone())? } else { (*tensor).clone() };
        Ok(((*name).to_owned(), part))
    });
    cut.collect()
}

/// Whether a tensor is cut into shards, of a member that has so many samples.
fn is_cut(tensor: &Tensor, samples: usize) -> bool {
    tensor.shape().first() == Some(&samples)
}

/// Refuses an input that is as long as the share of some members and not of others: whether it is of samples, and has a part for each shard,
/// cannot be known then, and the results would depend on how many members there are. Of one sample, or of none, the part is the whole, so a member
/// that has no more says of an input of that length neither. Then members say different things each time, and the names are sent too.
pub(super) fn require_same_cut(group: &dyn Group, tensors: &[(&str, &Tensor)], samples: usize) -> Result<(), Error> {
    let said = |tensor: &Tensor| match is_cut(tensor, samples) {
        true if samples <= 1 => EITHER,
        true => CUT,
        false => WHOLE,
    };
    let mut lines: Vec<String> = tensors.iter().map(|(name, tensor)| format!("{}{name}", said(tensor))).collect();
    lines.sort_unstable();
    let Some(texts) = differing_texts(group, lines.join("\n"))? else { return Ok(()) };
    let (mut cut, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some(name) = line.strip_prefix(CUT) {
            cut.insert(name);
        } else if let Some(name) = line.strip_prefix(WHOLE) {
            whole.insert(name);
        }
    }
    let Some(name) = cut.intersection(&whole).next() else { return Ok(()) };
    let what = format!(
        "the input {name:?}, whose first axis is as long as the share of some ranks and not as that of others, so that it cannot be \
         known whether it is of samples"
    );
    Err(GroupError::NotDeterministic { what }.into())
}

/// So many elements of the first axis.
fn rows(tensor: &Tensor, range: std::ops::Range<usize>) -> Result<Tensor, Error> {
    let shape = tensor.shape();
    let width = shape[1..].iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
    let places = range.start.saturating_mul(width)..range.end.saturating_mul(width);
    let extents: Shape = std::iter::once(range.len()).chain(shape[1..].iter().copied()).collect();
    Tensor::from_data(extents, tensor.data().at(places))
}
