//! What members tell each other before a step: that they make the same one, and how many samples each has.
//!
//! It is one gathering of a few numbers, the same for everything that begins with it. So members that are not at the same place of their
//! programs find out before they exchange anything of another size.

use super::{Exchange, Group, GroupError, Values, values};

/// What a member is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A run of a plan with exchanges.
    Run,
    /// A step of the deterministic mode.
    Shards,
    /// A comparison of all parameters.
    Compare,
    /// A file that the first member writes.
    Save,
}

impl Purpose {
    fn number(self) -> u64 {
        match self {
            Purpose::Run => 1,
            Purpose::Shards => 2,
            Purpose::Compare => 3,
            Purpose::Save => 4,
        }
    }
}

/// What a member says of what it is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) purpose: Purpose,
    /// What depends on everything that must be the same: the exchanges of the plan, in order.
    pub(crate) signature: u64,
    /// How many samples it has.
    pub(crate) samples: usize,
    /// Whether its parameters may differ from the others'.
    pub(crate) is_new: bool,
}

/// What all members said.
pub(crate) struct Headers {
    /// How many samples each has.
    pub(crate) samples: Vec<usize>,
    /// Whether anyone's parameters may differ.
    pub(crate) is_new: bool,
}

const NUMBERS: usize = 4;

impl Header {
    /// Tells it to all, and learns what they tell. Errors: a member that is about to do something else.
    pub(crate) fn exchange(self, group: &dyn Group) -> Result<Headers, GroupError> {
        let numbers = [self.purpose.number(), self.signature, self.samples as u64, u64::from(self.is_new)];
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let all = group.begin(Exchange::Gather, Values::Bytes(bytes)).wait()?.to_bytes()?;
        let all: Vec<u64> = all.chunks_exact(8).map(values::number).collect();
        let own = group.rank();
        for (rank, theirs) in all.chunks_exact(NUMBERS).enumerate() {
            if theirs[..2] != numbers[..2] {
                let (theirs, ours) = (described(theirs), described(&numbers));
                return Err(GroupError::StepsDiffer { rank, own, theirs, ours });
            }
        }
        let of = |place: usize| all.iter().skip(place).step_by(NUMBERS);
        Ok(Headers {
            samples: of(2).map(|&samples| samples as usize).collect(),
            is_new: of(3).any(|&is_new| is_new != 0),
        })
    }
}

/// What a member is about to do, in words.
fn described(numbers: &[u64]) -> String {
    let what = match numbers[0] {
        1 => "a step",
        2 => "a deterministic step",
        3 => "a comparison",
        4 => "the writing of a file",
        _ => "something unknown",
    };
    format!("{what} with the exchanges {:016x}", numbers[1])
}
