//! A group of one.

use super::{Exchange, Group, GroupError, Pending, Values};

/// A process on its own: every exchange gives back what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone;

impl Group for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn begin(&self, exchange: Exchange, values: Values) -> Pending {
        Pending::ready(match exchange {
            Exchange::Sum if !values.is_number() => Err(GroupError::NoSum { what: "sum", values: values.type_name() }),
            Exchange::Sum | Exchange::Gather | Exchange::Broadcast { .. } | Exchange::Barrier => Ok(values),
        })
    }

    fn abandon(&self, _reason: &str) {}
}
