//! The order in which training sees its examples.

use arenagrad_kernels::cpu::random::uniform;

use crate::error::Error;

/// The numbers `0..count` in an order that depends on `seed` and `epoch` alone: the same on every machine. (The shuffle of
/// Fisher and Yates over the counter-based generator that [`arenagrad_graph::Graph::uniform`] draws from.)
/// [`Error::OutOfMemory`] if there is no memory for so many.
///
/// ```
/// let order = arenagrad::train::shuffled(5, 7, 0)?;
/// let mut sorted = order.clone();
/// sorted.sort();
/// assert_eq!(sorted, [0, 1, 2, 3, 4]);
/// assert_eq!(order, arenagrad::train::shuffled(5, 7, 0)?);
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Result<Vec<usize>, Error> {
    let mut order: Vec<usize> = Vec::new();
    if order.try_reserve_exact(count).is_err() {
        let bytes = (count as u64).saturating_mul(size_of::<usize>() as u64);
        return Err(Error::OutOfMemory { what: format!("an order of {count} examples"), bytes });
    }
    order.extend(0..count);
    let key = seed.wrapping_add(epoch.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for last in (1..count).rev() {
        // Two draws of 24 bits give enough for any count; the minimum guards the rounding of the product.
        let draw = |step| f64::from(uniform(key, step, last as u64));
        let fraction = draw(0) + draw(1) / f64::from(1u32 << 24);
        let other = ((fraction * (last + 1) as f64) as usize).min(last);
        order.swap(last, other);
    }
    Ok(order)
}
