//! Elements as integers that order as they do, each with its index: no two are equal, so that whatever sorts them sorts stably.

use crate::cpu::buffer::Element;

/// An element type that is sorted.
pub(in crate::cpu) trait Sortable: Element {
    /// An integer that orders as elements do.
    type Key: Copy + Ord + Send + Sync + std::fmt::Debug + 'static;
    /// A key with the index of its element behind it.
    type Keyed: Copy + Ord + Default + Send + Sync + std::fmt::Debug + 'static;
    /// The last key of all.
    const LAST: Self::Key;
    /// How many digits a key has.
    const DIGITS: usize;

    /// The key of an element. NaN comes last, and both zeros have one key; descending, all is the other way round.
    fn key(self, is_descending: bool) -> Self::Key;
    fn keyed(key: Self::Key, index: u32) -> Self::Keyed;
    fn key_of(keyed: Self::Keyed) -> Self::Key;
    fn index(keyed: Self::Keyed) -> i32;
    /// Digit `place` of the key, counted from the least significant one.
    fn digit(keyed: Self::Keyed, place: usize) -> usize;
}

/// The bits of a digit: so few that the places which a move writes to, one for each value, fit into the nearest cache together.
pub(super) const DIGIT_BITS: usize = 8;

/// How many values a digit has.
pub(super) const VALUES: usize = 1 << DIGIT_BITS;

macro_rules! sortable {
    ($($element:ty, $key:ty, $keyed:ty, |$x:ident| $ordered:expr;)*) => {$(
        impl Sortable for $element {
            type Key = $key;
            type Keyed = $keyed;
            const LAST: $key = <$key>::MAX;
            const DIGITS: usize = (<$key>::BITS as usize).div_ceil(DIGIT_BITS);

            #[inline(always)]
            fn key(self, is_descending: bool) -> $key {
                let $x = self;
                let ordered: $key = $ordered;
                if is_descending { !ordered } else { ordered }
            }

            #[inline(always)]
            fn keyed(key: $key, index: u32) -> $keyed {
                (key as $keyed) << 32 | index as $keyed
            }

            #[inline(always)]
            fn key_of(keyed: $keyed) -> $key {
                (keyed >> 32) as $key
            }

            #[inline(always)]
            fn index(keyed: $keyed) -> i32 {
                keyed as u32 as i32
            }

            #[inline(always)]
            fn digit(keyed: $keyed, place: usize) -> usize {
                (keyed >> (32 + place * DIGIT_BITS)) as usize % VALUES
            }
        }
    )*};
}

sortable! {
    f32, u32, u64, |x| {
        // A negative number has all its bits turned, any other one its sign. What turns -0 into 0 keeps all others.
        let bits = (x + 0.0).to_bits();
        let turned = ((bits as i32) >> 31) as u32 | 1 << 31;
        if x.is_nan() { u32::MAX } else { bits ^ turned }
    };
    f64, u64, u128, |x| {
        let bits = (x + 0.0).to_bits();
        let turned = ((bits as i64) >> 63) as u64 | 1 << 63;
        if x.is_nan() { u64::MAX } else { bits ^ turned }
    };
    i32, u32, u64, |x| x as u32 ^ 1 << 31;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_elements_do() {
        let ascending = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY, f32::NAN];
        assert!(ascending.windows(2).all(|pair| pair[0].key(false) < pair[1].key(false)));
        assert!(ascending.windows(2).all(|pair| pair[0].key(true) > pair[1].key(true)));
        assert!(ascending.windows(2).all(|pair| f64::from(pair[0]).key(false) < f64::from(pair[1]).key(false)));
        assert_eq!((-0.0f32).key(false), 0.0f32.key(false));
        assert_eq!((-f64::NAN).key(false), f64::NAN.key(false));
        assert!([i32::MIN, -1, 0, 1, i32::MAX].windows(2).all(|pair| pair[0].key(false) < pair[1].key(false)));
    }
}
