//! What members tell each other before a step: that they make the same one, and how many samples each has.
//!
//! It is one gathering of a few numbers, the same for everything that begins with it. So members that are not at the same place of their
//! programs find out before they exchange anything of another size, or of the same size and another meaning.

use super::{Group, GroupError, Values, gather_numbers};

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
    /// Tells it to all, and learns what they tell. Where that differs, all tell in words what they are about to do: what stands behind the purpose, and
    /// in further lines what may differ. Errors: a member that is about to do something else.
    pub(crate) fn exchange(self, told: &str, group: &dyn Group) -> Result<Headers, GroupError> {
        let Header { intent: Intent { purpose, function, signature }, samples, is_new } = self;
        let numbers = [purpose.number(), function, signature, samples as u64, u64::from(is_new)];
        let all = gather_numbers(group, numbers)?;
        let own = group.rank();
        // The first member whose first numbers are others than this one's. If any two differ, each differs from one.
        let other = |count: usize| all.iter().position(|theirs| theirs[..count] != numbers[..count]);
        let differing = |rank: usize| {
            let words = in_words(&all, told, group)?;
            let (theirs, ours) = first_difference(&words[rank], &words[own]);
            Ok::<_, GroupError>(GroupError::StepsDiffer { rank, own, theirs, ours })
        };
        if let Some(rank) = other(2) {
            return Err(differing(rank)?);
        }
        Ok(Headers {
            samples: all.iter().map(|&[_, _, _, samples, _]| samples as usize).collect(),
            is_new: all.iter().any(|&[.., is_new]| is_new != 0),
            differing: other(3).map(differing).transpose()?,
        })
    }
}

/// What each member is about to do, which have told these numbers, a line for each thing that may differ.
fn in_words(all: &[[u64; 5]], told: &str, group: &dyn Group) -> Result<Vec<String>, GroupError> {
    let purposes: Vec<Option<&str>> = all.iter().map(|&[purpose, ..]| described(purpose)).collect();
    if purposes.iter().any(Option::is_none) {
        // Someone is in the midst of another exchange, and takes part in no further one of these.
        let elsewhere = "an exchange that begins no step, as where a rank has more batches or fewer";
        return Ok(purposes.into_iter().map(|purpose| purpose.unwrap_or(elsewhere).to_owned()).collect());
    }
    let told = group.all_gather(Values::from(told.as_bytes().to_vec()))?.into_iter();
    let told = told.map(|text| Ok(String::from_utf8_lossy(&text.to_bytes()?).into_owned()));
    let told = told.collect::<Result<Vec<String>, GroupError>>()?;
    Ok(purposes.into_iter().flatten().zip(told).map(|(purpose, told)| format!("{purpose}{told}")).collect())
}

/// What two members do, with the first thing that differs, if the first line does not.
fn first_difference(theirs: &str, ours: &str) -> (String, String) {
    let (mut theirs, mut ours) = (theirs.lines(), ours.lines());
    let (their_first, our_first) = (theirs.next().unwrap_or_default(), ours.next().unwrap_or_default());
    if their_first != our_first {
        return (their_first.to_owned(), our_first.to_owned());
    }
    loop {
        let with = |first: &str, line: &str| format!("{first} {line}");
        match (theirs.next(), ours.next()) {
            (Some(theirs), Some(ours)) if theirs == ours => {}
            (Some(theirs), Some(ours)) => return (with(their_first, theirs), with(our_first, ours)),
            // What is exchanged under which name is not told.
            (None, _) | (_, None) => {
                let order = "with other values in its exchanges";
                return (with(their_first, order), our_first.to_owned());
            }
        }
    }
}

/// What a purpose is in words; nothing if the number is of none.
fn described(purpose: u64) -> Option<&'static str> {
    match purpose {
        1 => Some("an evaluation"),
        2 => Some("a step"),
        3 => Some("gradients"),
        4 => Some("a deterministic step"),
        5 => Some("a comparison"),
        6 => Some("the writing of a file"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_difference_is_told() {
        let told = |theirs: &str, ours: &str| {
            let (theirs, ours) = first_difference(theirs, ours);
            format!("{theirs} | {ours}")
        };
        assert_eq!(told("a step of a\nx", "a step of b\nx"), "a step of a | a step of b");
        assert_eq!(told("a step\nx\ny", "a step\nx\nz"), "a step y | a step z");
        assert_eq!(told("a step\nx", "a step\nx"), "a step with other values in its exchanges | a step");
        assert_eq!(told("", ""), " with other values in its exchanges | ");
    }
}
