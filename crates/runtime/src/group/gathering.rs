//! What members tell each other beside tensors: a few numbers, or texts.

use super::{Exchange, Group, GroupError, Values, digest, values};

/// The numbers that each member gives, as many each, by rank.
pub(crate) fn gather_numbers<const N: usize>(
    group: &(impl Group + ?Sized),
    own: [u64; N],
) -> Result<Vec<[u64; N]>, GroupError> {
    let bytes = own.iter().flat_map(|number| number.to_le_bytes()).collect();
    let all = group.begin(Exchange::Gather, Values::Bytes(bytes)).wait()?.to_bytes()?;
    let numbers = |bytes: &[u8]| std::array::from_fn(|place| values::number(&bytes[8 * place..]));
    Ok(all.chunks_exact(8 * N).map(numbers).collect())
}

/// What each member says, by rank; nothing where all say the same. Their hashes are gathered, and the texts themselves only where these
/// differ.
pub(crate) fn differing_texts(group: &dyn Group, own: String) -> Result<Option<Vec<String>>, GroupError> {
    let hashes = gather_numbers(group, [digest(own.bytes())])?;
    if hashes.iter().all(|hash| *hash == hashes[0]) {
        return Ok(None);
    }
    let texts = group.all_gather(own.into_bytes().into())?.into_iter();
    let texts = texts.map(|text| Ok(String::from_utf8_lossy(&text.to_bytes()?).into_owned()));
    texts.collect::<Result<Vec<String>, GroupError>>().map(Some)
}
