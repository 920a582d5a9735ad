//! A session that is a member of a group: its parameters are those of the first member, and its steps are made with all.
//!
//! Invariants: before a run with exchanges every member has told the others what it is about to do; if anyone's parameters may
//! differ, all take those of the first member then, and compare them. Random draws are other ones on each member: the state `random_seed`
//! is the first member's, moved on by the rank. After an error of the group every further run is refused with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arenagrad_graph::{DType, Declaration, DeclarationKind, Elements, StorageType};

use crate::error::Error;
use crate::group::{
    Exchange, Group, GroupError, Header, Intent, Purpose, StepReport, Values, differing_texts, digest, gather_numbers,
};
use crate::plan::Plan;
use crate::session::Session;
use crate::session::feed::Feed;
use crate::session::parameters::{Parameter, RANDOM_SEED};
use crate::session::parts::{intent, told};
use crate::session::store::Memory;
use crate::tensor::Tensor;
use crate::train::listed;

/// The name under which a plan is given its member's share of the weight of a batch.
pub(crate) const WEIGHT: &str = "group_weight";

/// How many bytes of a parameter are sent at once: MPI libraries count what one call takes by an `int`.
const MOST_SENT: usize = 1 << 30;

/// By how much the seed of random draws differs between members: odd, so that none is another's for billions of members.
const STRIDE: i32 = 0x1E37_79B1;

/// What a session knows of its group.
pub(crate) struct Membership {
    pub(crate) group: Arc<dyn Group>,
    /// How many parameters the members are known to have alike.
    compared: Option<usize>,
    failed: Option<GroupError>,
    /// What the last step cost.
    report: StepReport,
    /// How long the last meeting took.
    met: Duration,
    /// How many samples all members together had at the last meeting.
    samples: usize,
}

/// What a session must know of a plan with exchanges.
#[derive(Clone, Debug)]
pub(crate) struct Exchanged {
    intent: Intent,
    /// How many samples its inputs are of.
    samples: usize,
    /// The dtype of the weight that it asks for, if it does.
    pub(super) weight: Option<DType>,
    /// The names of its inputs, as an error lists them.
    inputs: Arc<str>,
    /// What the intent is of in words.
    told: Arc<str>,
}

impl Exchanged {
    /// That of a plan, if it has exchanges.
    pub(crate) fn of(plan: &Plan) -> Option<Exchanged> {
        if plan.exchanges.is_empty() {
            return None;
        }
        let alive = plan.declarations.iter().zip(&plan.alive).filter(|(_, alive)| **alive);
        let weight = alive.map(|(declaration, _)| declaration).find(|declaration| declaration.name == WEIGHT);
        let weight = weight.map(|declaration| declaration.dtype);
        let is_of_samples =
            |declaration: &&Declaration| declaration.kind == DeclarationKind::Input && declaration.shape.rank() > 0;
        let inputs = plan.declarations.iter().filter(is_of_samples).map(|input| input.name.as_str());
        let inputs = listed(inputs).into();
        Some(Exchanged {
            intent: intent(plan),
            samples: samples_of(&plan.declarations),
            weight,
            inputs,
            told: told(plan).into(),
        })
    }

    /// That of a run on a batch which says itself how many samples it has.
    pub(super) fn of_samples(self, samples: usize) -> Exchanged {
        Exchanged { samples, ..self }
    }
}

/// Lends the inputs of a plan for a run, and the weight of this member's samples if the plan asks for it. Nothing is allocated without a weight.
pub(crate) fn lend_weighted(
    feed: &mut Feed,
    memory: &mut Memory,
    inputs: &[(&str, &Tensor)],
    weight: Option<&Tensor>,
) -> Result<(), Error> {
    match weight {
        None => feed.lend(inputs, memory),
        Some(weight) => {
            let weighted: Vec<(&str, &Tensor)> = inputs.iter().copied().chain([(WEIGHT, weight)]).collect();
            feed.lend(&weighted, memory)
        }
    }
}

/// How many samples the inputs of a graph are of, which is not planned for each batch anew: the extent of the first axis of the first input that
/// has axes, or 1.
pub(crate) fn samples_of(declarations: &[Declaration]) -> usize {
    let is_input = |declaration: &&Declaration| declaration.kind == DeclarationKind::Input;
    let mut extents = declarations.iter().filter(is_input).filter_map(|input| input.shape.first());
    extents.next().copied().unwrap_or(1)
}

/// What all members together are about to do.
pub(crate) struct Meeting {
    /// How many samples each has.
    pub(crate) samples: Vec<usize>,
}

impl Membership {
    pub(crate) fn new(group: Arc<dyn Group>) -> Self {
        // There waiting would never end, and reading the clock, which is done around every exchange, ends the program.
        let failed = cfg!(target_family = "wasm").then(|| GroupError::CannotWait { size: group.size() });
        Membership { group, compared: None, failed, report: StepReport::default(), met: Duration::ZERO, samples: 0 }
    }
}

impl Meeting {
    /// The share of the weight that a member's samples have, which is 1 over all members; none if there are no samples, of which a mean is
    /// none either. All members find that alike.
    pub(crate) fn weight(&self, rank: usize) -> Option<f64> {
        let total: usize = self.samples.iter().sum();
        (total > 0).then(|| self.samples[rank] as f64 / total as f64)
    }
}

impl Session {
    /// Makes the session a member of a group. Plans are made for it from then on.
    pub(crate) fn join(&mut self, group: Arc<dyn Group>) {
        // A group of one is as none.
        self.membership = (group.size() > 1).then(|| Membership::new(group));
    }

    /// The group that the session is a member of, if it is of more than one.
    pub(crate) fn group(&self) -> Option<&Arc<dyn Group>> {
        self.membership.as_ref().map(|membership| &membership.group)
    }

    /// What the last step cost in the group.
    pub(crate) fn group_report(&self) -> StepReport {
        self.membership.as_ref().map(|membership| membership.report).unwrap_or_default()
    }

    /// Keeps what a step cost; to meet the others before it is waiting, too.
    pub(crate) fn set_group_report(&mut self, report: StepReport) {
        if let Some(membership) = &mut self.membership {
            membership.report = StepReport { wait: report.wait + membership.met, ..report };
        }
    }

    /// How many samples the last step was of: those of all members, in no group the caller's own.
    pub(crate) fn samples_of_step(&self, own: usize) -> usize {
        self.membership.as_ref().map_or(own, |membership| membership.samples)
    }

    /// Has the members take the first one's parameters before the next step, and compare them: they may have been changed by something
    /// else than steps.
    pub(crate) fn distrust(&mut self) {
        if let Some(membership) = &mut self.membership {
            membership.compared = None;
        }
    }

    /// Tells the other members what comes, which is `told` in words, and has all take the first one's parameters if anyone's may differ.
    pub(crate) fn meet(&mut self, intent: Intent, told: &str, samples: usize) -> Result<Meeting, Error> {
        let Some(membership) = &self.membership else { return Ok(Meeting { samples: vec![samples] }) };
        if let Some(failed) = &membership.failed {
            return Err(failed.clone().into());
        }
        let begun = Instant::now();
        let met = self.meet_with(intent, told, samples);
        if let Some(membership) = &mut self.membership {
            membership.met = begun.elapsed();
        }
        self.noted(met)
    }

    /// Keeps what a run cost in the group, and what ended it.
    pub(crate) fn after_run<T>(&mut self, report: Option<StepReport>, results: Result<T, Error>) -> Result<T, Error> {
        let Some(report) = report else { return results };
        self.set_group_report(report);
        self.noted(results)
    }

    /// Keeps an error of the group: nothing more is done with it.
    pub(crate) fn noted<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let (Err(error), Some(membership)) = (&result, &mut self.membership)
            && membership.failed.is_none()
        {
            let failed = if let Error::Group(failed) = error {
                failed.clone()
            } else {
                let (rank, size) = (membership.group.rank(), membership.group.size());
                GroupError::RankLeft { rank, size, own: rank, reason: error.to_string() }
            };
            membership.group.abandon(&error.to_string());
            membership.failed = Some(failed);
        }
        result
    }

    fn meet_with(&mut self, intent: Intent, told: &str, samples: usize) -> Result<Meeting, Error> {
        let known = self.parameters.len();
        let Some(membership) = &self.membership else { unreachable!("who is in no group meets nobody") };
        let is_new = membership.compared != Some(known);
        let group = Arc::clone(&membership.group);
        let headers = Header { intent, samples, is_new }.exchange(told, &*group)?;
        if let Some(error) = headers.differing {
            // Where networks differ that says more.
            self.compare_declarations(&*group)?;
            return Err(error.into());
        }
        if headers.is_new {
            self.take_from_first(&*group)?;
            self.compare(&*group)?;
            if let Some(membership) = &mut self.membership {
                membership.compared = Some(known);
            }
        }
        if let Some(membership) = &mut self.membership {
            membership.samples = headers.samples.iter().sum();
        }
        Ok(Meeting { samples: headers.samples })
    }

    /// What a run is given beside its inputs: the weight of this member's samples, if its plan asks for it. The other members are met
    /// before. A batch of which nobody has a sample is refused by all alike, and the group goes on.
    pub(crate) fn weight_for(&mut self, exchanged: Option<Exchanged>) -> Result<Option<Tensor>, Error> {
        let Some(Exchanged { intent, samples, weight, inputs, told }) = exchanged else { return Ok(None) };
        let Some(rank) = self.group().map(|group| group.rank()) else { return Ok(None) };
        let meeting = self.meet(intent, &told, samples)?;
        let Some(dtype) = weight else { return Ok(None) };
        let weight = meeting.weight(rank).ok_or_else(|| Error::EmptyBatch { inputs: (*inputs).to_owned() })?;
        Ok(Some(Tensor::scalar(weight).cast(dtype)))
    }

    /// Compares the parameters and states of all members, bit for bit, by their hashes. All members must call it.
    ///
    /// Errors: a parameter that one member has and another has not, or that differs ([`GroupError::ParametersDiffer`],
    /// [`GroupError::ValuesDiffer`]); what ended the group. In a session that is in no group there is nothing to compare.
    pub fn compare_members(&mut self) -> Result<(), Error> {
        let Some(group) = self.group().cloned() else { return Ok(()) };
        let compared = self.meet(Intent::to(Purpose::Compare), "", 0).and_then(|_| self.compare(&*group));
        self.noted(compared)
    }

    /// Takes the values of the first member's parameters, which must be declared alike on all.
    fn take_from_first(&mut self, group: &dyn Group) -> Result<(), Error> {
        self.compare_declarations(group)?;
        let known: Vec<String> = self.by_name().iter().map(|parameter| parameter.name.clone()).collect();
        for name in known {
            let parameter = self.parameters.find(&name)?;
            let (storage, shape, seeds_draws) = (parameter.storage, parameter.shape.clone(), parameter.seeds_draws());
            if shape.elements() == 0 {
                continue;
            }
            let value = self.value_of(parameter)?;
            let first = from_first(group, value.data().to_le_bytes(), MOST_SENT)?;
            let mut data = Elements::from_le_bytes(storage, &first);
            if seeds_draws {
                data = moved_on(&data, group.rank());
            }
            let buffer = self.parameters.find(&name)?.buffer();
            self.put(&name, buffer, Tensor::from_data(shape, data)?)?;
        }
        Ok(())
    }

    /// The value of a parameter as the device holds it.
    fn value_of(&self, parameter: &Parameter) -> Result<Tensor, Error> {
        Ok(self.values_later(&[parameter])?.wait()?.remove(0))
    }

    /// The parameters by their names: in which order they were declared depends on which plan was made first, and a member may have made
    /// one of its own, such as an evaluation.
    fn by_name(&self) -> Vec<&Parameter> {
        let mut parameters: Vec<&Parameter> = self.parameters.iter().collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        parameters
    }

    /// Refuses members that have other parameters than the first.
    fn compare_declarations(&self, group: &dyn Group) -> Result<(), Error> {
        let line = |parameter: &&Parameter| format!("{}\t{}{}", parameter.name, parameter.storage, parameter.shape);
        let text = self.by_name().iter().map(line).collect::<Vec<_>>().join("\n");
        match differing_texts(group, text)? {
            Some(texts) => Err(first_difference(&texts).into()),
            None => Ok(()),
        }
    }

    /// Refuses members whose parameters have other bits than the first's.
    fn compare(&self, group: &dyn Group) -> Result<(), Error> {
        let mut hashes: Vec<(String, u64)> = Vec::new();
        for parameter in self.by_name().into_iter().filter(|parameter| !parameter.seeds_draws()) {
            let value = self.value_of(parameter)?;
            hashes.push((parameter.name.clone(), digest(value.data().to_le_bytes())));
        }
        let whole = digest(hashes.iter().flat_map(|(_, hash)| hash.to_le_bytes()));
        let all = gather_numbers(group, [whole])?;
        if all.iter().all(|other| *other == all[0]) {
            return Ok(());
        }
        let own: Vec<u8> = hashes.iter().flat_map(|(_, hash)| hash.to_le_bytes()).collect();
        let width = own.len();
        let all = group.begin(Exchange::Gather, Values::from(own)).wait()?.to_bytes()?;
        for (rank, theirs) in all.chunks_exact(width.max(1)).enumerate() {
            let differing = theirs.chunks_exact(8).zip(all.chunks_exact(8)).position(|(theirs, first)| theirs != first);
            if let Some(place) = differing {
                let parameter = hashes[place].0.clone();
                return Err(GroupError::ValuesDiffer { rank, parameter }.into());
            }
        }
        Ok(())
    }

    /// The seed of random draws that the first member has, if any are made.
    pub(crate) fn first_random_seed(&self) -> Result<Option<Tensor>, Error> {
        let Some(parameter) = self.parameters.get(RANDOM_SEED).filter(|parameter| parameter.seeds_draws()) else {
            return Ok(None);
        };
        let rank = self.membership.as_ref().map_or(0, |membership| membership.group.rank());
        let value = self.value_of(parameter)?;
        let back = moved_by(value.data(), STRIDE.wrapping_mul(rank as i32).wrapping_neg());
        Tensor::from_data(parameter.shape.clone(), back).map(Some)
    }

    /// Draws as the member or shard of that number from now on, where `first` is what the first one draws by.
    pub(crate) fn draw_as(&mut self, first: &Tensor, number: usize) -> Result<(), Error> {
        let value = Tensor::from_data(first.shape().clone(), moved_on(first.data(), number))?;
        self.set_parameter(RANDOM_SEED, &value)
    }
}

/// The seed of random draws of the member of that number.
fn moved_on(seed: &Elements, number: usize) -> Elements {
    moved_by(seed, STRIDE.wrapping_mul(number as i32))
}

fn moved_by(seed: &Elements, by: i32) -> Elements {
    debug_assert_eq!(seed.storage(), StorageType::from(DType::I32));
    let seed = seed.get(0).unwrap_or(0.0) as i32;
    Elements::I32(vec![seed.wrapping_add(by)].into())
}

/// The bytes that the first member has, of which all have as many: in pieces of no more than `most`.
fn from_first(group: &dyn Group, mut bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, GroupError> {
    let broadcast =
        |bytes: Vec<u8>| group.begin(Exchange::Broadcast { root: 0 }, Values::from(bytes)).wait()?.to_bytes();
    if bytes.len() <= most {
        return broadcast(bytes);
    }
    for piece in bytes.chunks_mut(most) {
        let first = broadcast(piece.to_vec())?;
        piece.copy_from_slice(&first);
    }
    Ok(bytes)
}

/// The first parameter by name that one member declares otherwise than the first member, or that only one of them has.
fn first_difference(texts: &[String]) -> GroupError {
    let declared = |text: &String| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        pairs.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    };
    let differing = texts.iter().position(|text| *text != texts[0]).unwrap_or(0);
    let (first, theirs) = (declared(&texts[0]), declared(&texts[differing]));
    let mut names: Vec<&String> = first.keys().chain(theirs.keys()).collect();
    names.sort_unstable();
    let name = names.into_iter().find(|name| first.get(*name) != theirs.get(*name));
    let parameter = name.cloned().unwrap_or_default();
    let says = |known: &BTreeMap<String, String>| match known.get(&parameter) {
        Some(kind) => format!("declares {parameter:?} as {kind}"),
        None => format!("declares no {parameter:?}"),
    };
    let (theirs, ours) = (says(&theirs), says(&first));
    // Everyone is told of the two that differ, of which this member need not be one.
    GroupError::ParametersDiffer { rank: differing, own: 0, parameter, theirs, ours }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::from_first;
    use crate::group::{Exchange, Group, Pending, Values};

    /// A first member whose others are not there, which notes how much it sends at once.
    #[derive(Default)]
    struct First {
        sent: Mutex<Vec<usize>>,
    }

    impl Group for First {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn begin(&self, exchange: Exchange, values: Values) -> Pending {
            assert_eq!(exchange, Exchange::Broadcast { root: 0 });
            self.sent.lock().unwrap().push(values.len());
            Pending::ready(Ok(values))
        }

        fn abandon(&self, _: &str) {}
    }

    #[test]
    fn large_parameters_are_sent_in_pieces() {
        for (len, pieces) in [(0, vec![0]), (4, vec![4]), (8, vec![8]), (9, vec![8, 1]), (24, vec![8, 8, 8])] {
            let first = First::default();
            let bytes: Vec<u8> = (0..len).collect();
            assert_eq!(from_first(&first, bytes.clone(), 8), Ok(bytes));
            assert_eq!(*first.sent.lock().unwrap(), pieces);
        }
    }
}
