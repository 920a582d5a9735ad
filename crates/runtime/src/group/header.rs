//! What members tell each other before a step: that they make the same one, and how many samples each has.
//!
//! It is one gathering of a few numbers, the same for everything that begins with it. So members that are not at the same place of their
//! programs find out before they exchange anything of another size, or of the same size and another meaning.

use super::{Group, GroupError, gather_numbers};

/// What a member is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A run of a plan with exchanges that trains nothing, such as an evaluation.
    #[default]
    Run,
    /// A training step.
    Step,
    /// The gradients of a training step.
    Gradients,
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
            Purpose::Step => 2,
            Purpose::Gradients => 3,
            Purpose::Shards => 4,
            Purpose::Compare => 5,
            Purpose::Save => 6,
        }
    }
}

/// All that must be the same of what members are about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) purpose: Purpose,
    /// Which training function it is done with, by its name: that of a session and the first of a trainer have an empty one. 0 for what trains
    /// nothing: evaluations have no names, and their numbers tell nothing, for a member may have others of its own, or a plan more for another
    /// number of samples.
    pub(crate) function: u64,
    /// What depends on everything that is exchanged, in order: what it is, its length and its type; and on the types and numbers of axes of what
    /// is computed, which tell most evaluations apart. Lengths alone do not tell one parameter from another, and extents depend on how many
    /// samples a member has.
    pub(crate) signature: u64,
}

impl Intent {
    /// To do what has no plan.
    pub(crate) fn to(purpose: Purpose) -> Self {
        Intent { purpose, ..Intent::default() }
    }
}

/// What a member says of what it is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) intent: Intent,
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
    /// Members that do the same with other exchanges, if there are any: most likely their networks differ, and whoever knows these
    /// can say where. All members find this, or none.
    pub(crate) differing: Option<GroupError>,
}

impl Header {
    /// Tells it to all, and learns what they tell. Errors: a member that is about to do something else.
    pub(crate) fn exchange(self, group: &dyn Group) -> Result<Headers, GroupError> {
        let Header { intent: Intent { purpose, function, signature }, samples, is_new } = self;
        let numbers = [purpose.number(), function, signature, samples as u64, u64::from(is_new)];
        let all = gather_numbers(group, numbers)?;
        let own = group.rank();
        // The first member whose first numbers are others than this one's.
        let differing = |count: usize| {
            let rank = all.iter().position(|theirs| theirs[..count] != numbers[..count])?;
            let (theirs, ours) = (described(all[rank]), described(numbers));
            Some(GroupError::StepsDiffer { rank, own, theirs, ours })
        };
        if let Some(error) = differing(2) {
            return Err(error);
        }
        Ok(Headers {
            samples: all.iter().map(|&[_, _, _, samples, _]| samples as usize).collect(),
            is_new: all.iter().any(|&[.., is_new]| is_new != 0),
            differing: differing(3),
        })
    }
}

/// What a member is about to do, in words.
fn described([purpose, function, signature, _, _]: [u64; 5]) -> String {
    let what = match purpose {
        1 => "an evaluation",
        2 => "a step",
        3 => "gradients",
        4 => "a deterministic step",
        5 => "a comparison",
        6 => "the writing of a file",
        _ => "something unknown",
    };
    match (function, signature) {
        (0, 0) => what.to_owned(),
        (0, _) => format!("{what} with the exchanges {signature:016x}"),
        (_, _) => format!("{what} of the function {function:016x} with the exchanges {signature:016x}"),
    }
}
