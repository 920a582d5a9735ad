//! The integers of 8 and of 64 bits as storage types: elements that hold values of i32.
//!
//! Programs compute with integers of 32 bits and no others. [`U8`] and [`I8`] hold fewer of them: a value that is out of range is stored by its
//! lowest eight bits, so it wraps around. [`I64`] is as wide as what other frameworks number classes and count steps with; it holds
//! nothing that an i32 does not, so that every load is exact.

use std::fmt;
use std::num::TryFromIntError;

use crate::storage::Stores;

macro_rules! integer {
    ($(#[$documentation:meta])* $name:ident($integer:ty)) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name($integer);

        impl $name {
            /// The integer.
            #[inline(always)]
            pub const fn get(self) -> $integer {
                self.0
            }
        }

        impl Stores<i32> for $name {
            #[inline(always)]
            fn load(self) -> i32 {
                self.0 as i32
            }

            #[inline(always)]
            fn store(value: i32) -> Self {
                $name(value as $integer)
            }
        }

        impl From<$name> for i32 {
            fn from(element: $name) -> i32 {
                element.load()
            }
        }

        impl From<$name> for f64 {
            fn from(element: $name) -> f64 {
                f64::from(element.load())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

integer! {
    /// An element of eight bits without a sign, 0 to 255, that holds an i32. It is no `u8`, which elements of truth values are.
    ///
    /// ```
    /// use arenagrad_graph::{Stores, U8};
    ///
    /// assert_eq!(U8::from(200).load(), 200);
    /// assert_eq!(U8::store(-1).get(), 255);
    /// ```
    U8(u8)
}

integer! {
    /// An element of eight bits with a sign, -128 to 127, that holds an i32.
    ///
    /// ```
    /// use arenagrad_graph::{I8, Stores};
    ///
    /// assert_eq!(I8::from(-7).load(), -7);
    /// assert_eq!(I8::store(128).get(), -128);
    /// ```
    I8(i8)
}

integer! {
    /// An element of 64 bits that holds an i32, of which its upper half repeats the sign. It is made of an `i64` that fits, or of an i32.
    ///
    /// ```
    /// use arenagrad_graph::I64;
    ///
    /// assert_eq!(I64::try_from(-5i64)?.get(), -5);
    /// assert!(I64::try_from(1i64 << 31).is_err());
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    I64(i64)
}

impl From<u8> for U8 {
    fn from(integer: u8) -> U8 {
        U8(integer)
    }
}

impl From<i8> for I8 {
    fn from(integer: i8) -> I8 {
        I8(integer)
    }
}

impl From<i32> for I64 {
    fn from(integer: i32) -> I64 {
        I64(i64::from(integer))
    }
}

impl TryFrom<i64> for I64 {
    type Error = TryFromIntError;

    fn try_from(integer: i64) -> Result<I64, TryFromIntError> {
        i32::try_from(integer).map(I64::from)
    }
}

impl I64 {
    /// The element whose lower half these bytes begin with, the least significant first. What the upper half says is the sign of an i32 again.
    pub(crate) fn from_le_bytes(bytes: [u8; 8]) -> I64 {
        I64::from(i64::from_le_bytes(bytes) as i32)
    }
}
