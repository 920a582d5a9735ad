//! A trainer that is a member of a group, and the deterministic step.

use std::sync::Arc;
use std::time::Instant;

use arenagrad_graph::DType;

use crate::error::Error;
#[cfg(feature = "fit")]
use crate::group::gather_numbers;
#[cfg(feature = "fit")]
use crate::group::{Exchange, Values};
use crate::group::{Group, GroupError, Intent, Purpose as Doing, Share, StepReport, digest};
use crate::plan::Plan;
use crate::tensor::Tensor;
use crate::train::in_group::Bucketing;
use crate::train::shards::Joining;
use crate::train::trainer::cut::{cut, require_same_cut};
use crate::train::trainer::function::Purpose;
use crate::train::trainer::given::{Given, Piece, join};
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{FunctionId, Outcome, Trainer, Use, empty};

/// How a trainer takes part in a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Participation {
    pub(super) bucket_bytes: usize,
    /// In how many shards batches are cut in the deterministic mode.
    pub(super) shards: Option<usize>,
}

/// What the shards of a member give, those that have samples, and what that is.
type OfShards = (Vec<Given>, Option<Vec<Piece>>);

impl Trainer<'_> {
    /// As a member of a group: steps are made together with all members, each with its share of a batch
    /// ([`Batches::share`](crate::data::Batches::share)). With [`Alone`](crate::group::Alone), or any group of one, it is as without.
    ///
    /// Before the first step, and after parameters were loaded, all members take the values of the first one's parameters and states, and compare
    /// them. A step's gradients are the means over all samples of all members, before clipping and whatever else stands around or in
    /// the optimiser; so are the loss and the metrics that are a float without axes, and running statistics. Metrics that are an integer without axes are
    /// summed; those with axes are each member's own. How many samples a member has its batch says
    /// ([`NamedTensors::samples`](crate::data::NamedTensors::samples)), whatever the function asks for; it may be 0. Dropout and whatever else draws at random draws something else on each
    /// member.
    ///
    /// Evaluations are each member's own. Join before the first plan is made.
    ///
    /// Errors of steps: [`Error::Group`], on WebAssembly in any group of more than one; a batch of which no member has a sample
    /// ([`Error::EmptyBatch`]), after which the group goes on. A step that fails for whatever reason ends the group: the other members get an error that
    /// names this one.
    #[must_use]
    pub fn in_group(mut self, group: Arc<dyn Group>) -> Self {
        self.session.join(group);
        self
    }

    /// With gradients exchanged in buckets of at least so many bytes; 4 MiB unless set. Smaller ones are on their way earlier, and take more
    /// messages.
    #[must_use]
    pub fn bucket_bytes(mut self, bytes: usize) -> Self {
        self.participation.bucket_bytes = bytes;
        self
    }

    /// In the deterministic mode: a step has the same bits however many members there are, one included. A batch is cut in `shards` parts
    /// ([`Share`]), each is computed on its own, and what they give is gathered and summed by a fixed tree on every member.
    ///
    /// Inputs whose first axis has as many elements as the batch has samples are cut along it; others are given to each shard whole. So an
    /// input that is not of samples, such as weights of classes, must not be as long as a member's share: one that is on some members and not on others
    /// is refused; one that happens to be on all would be cut. It costs `shards` times the bytes, and as many runs of a smaller batch; nothing overlaps.
    /// Shards without samples, as there are where they are more than samples, cost nothing.
    ///
    /// Errors of steps: a share that is not this member's ([`GroupError::NotItsShare`]); such an input; what needs the whole batch at once, such as
    /// synchronised batch normalisation, and metrics of more than one element ([`GroupError::NotDeterministic`]).
    #[must_use]
    pub fn deterministic(mut self, shards: usize) -> Self {
        self.participation.shards = Some(shards);
        self
    }

    /// What the last step cost in the group: how long it computed, waited and exchanged, and how many bytes. All zero without a group.
    pub fn group_report(&self) -> StepReport {
        self.session.group_report()
    }

    /// Writes all parameters and states to a file, as [`Session::save`](crate::Session::save) does. In a group the first member writes it, and all
    /// return when it is there; all must call it. Every member reads such a file itself
    /// ([`Session::load`](crate::Session::load)); those on other hosts need the same folder, or a copy.
    pub fn save(&mut self, path: impl AsRef<std::path::Path>) -> Result<(), Error> {
        let Some(group) = self.session.group().cloned() else { return self.session.save(path) };
        self.session.meet(Intent::to(Doing::Save), "", 0)?;
        let saved = group.on_first(|| self.session.save(path));
        self.session.noted(saved)
    }

    /// The number of this member of the group, 0 without one.
    #[cfg(feature = "fit")]
    pub(crate) fn group_rank(&self) -> usize {
        self.session.group().map_or(0, |group| group.rank())
    }

    /// Has all members take the first one's parameters and states; nothing without a group.
    #[cfg(feature = "fit")]
    pub(crate) fn follow_first(&mut self) -> Result<(), Error> {
        self.session.distrust();
        self.session.compare_members()
    }

    /// Whether that is so on any member of the group.
    #[cfg(feature = "fit")]
    pub(crate) fn anyone(&mut self, is_so: bool) -> Result<bool, Error> {
        let Some(group) = self.session.group().cloned() else { return Ok(is_so) };
        let count = group.begin(Exchange::Sum, Values::from(vec![i32::from(is_so)])).wait();
        let count = self.session.noted(count.map_err(Error::from))?;
        Ok(count != Values::from(vec![0i32]))
    }

    /// The numbers that each member gives, as many each, by rank: this one's alone without a group.
    #[cfg(feature = "fit")]
    pub(crate) fn numbers_of_all<const N: usize>(&mut self, own: [u64; N]) -> Result<Vec<[u64; N]>, Error> {
        let Some(group) = self.session.group().cloned() else { return Ok(vec![own]) };
        let all = gather_numbers(&*group, own);
        self.session.noted(all.map_err(Error::from))
    }

    /// Tells the others of an error that they may not have: they would wait for this member.
    #[cfg(feature = "fit")]
    pub(crate) fn tell<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.session.noted(result)
    }

    /// Whether steps are deterministic ones, and in how many shards.
    pub(super) fn shards(&self) -> Option<usize> {
        self.participation.shards
    }

    /// By which buckets gradients are exchanged, if they are, of a batch with samples or of one without.
    pub(super) fn exchanges_by(&self, has_samples: bool) -> Option<Bucketing> {
        self.session.group().map(|_| Bucketing { bytes: self.participation.bucket_bytes, has_samples })
    }

    /// A step in the deterministic mode.
    pub(super) fn deterministic_step(
        &mut self,
        function: FunctionId,
        shards: usize,
        tensors: &Tensors<'_>,
    ) -> Result<Outcome, Error> {
        self.session.require_waiting("a deterministic step")?;
        self.refuse_empty(tensors)?;
        if self.precision.scale().is_some() {
            return Err(GroupError::NotDeterministic { what: "a scale of the loss".to_owned() }.into());
        }
        let group = self.session.group().cloned();
        let (rank, size) = group.as_ref().map_or((0, 1), |group| (group.rank(), group.size()));
        let share = Share::new(rank, size, shards)?;
        let samples = tensors.samples;
        if size == 1 {
            self.plan_alone(function, share, tensors)?;
        }
        // Planned before the others are met, so that the parameters are known which are compared then.
        let (number, place) = self.planned_together(function, Purpose::Update, tensors)?;
        let batch = if group.is_some() {
            let (intent, told) = self.functions[number].kept(place).intent();
            let signature = digest([intent.signature, shards as u64].into_iter().flat_map(u64::to_le_bytes));
            let told = format!("{told}\nin {shards} shards");
            self.session.meet(Intent { purpose: Doing::Shards, signature, ..intent }, &told, samples)?.samples
        } else {
            vec![samples]
        };
        if batch.iter().all(|samples| *samples == 0) {
            // All members find that, and the group goes on.
            return Err(empty(tensors));
        }
        // Alone nothing is measured: a page in a browser has no such clock.
        let begun = group.as_ref().map(|_| Instant::now());
        let stepped = self.deterministic_part(function, share, &batch, tensors, group.as_deref());
        let (outcome, mut report) = self.session.noted(stepped)?;
        if let Some(begun) = begun {
            report.compute = begun.elapsed().saturating_sub(report.wait);
        }
        self.session.set_group_report(report);
        self.note_step();
        Ok(outcome)
    }

    /// Makes the plans of a first step of a member that is alone, and keeps none if it refuses one or what it is given. In a group of several
    /// the shards are known when all have met, and an error is the end of the group.
    fn plan_alone(&mut self, function: FunctionId, share: Share, tensors: &Tensors<'_>) -> Result<(), Error> {
        let samples = tensors.samples;
        if samples == 0 {
            return Err(empty(tensors));
        }
        let number = self.place(function)?;
        self.now += 1;
        if self.functions[number].find(Purpose::Update, tensors, self.now).is_some() {
            return Ok(());
        }
        let mut made = vec![self.checked(number, Purpose::Update, tensors, Use::Run)?];
        for (_, range) in share.occupied_shards(samples) {
            let len = range.len();
            let part = cut(tensors, samples, range)?;
            let part = Tensors::of_part(&part, len);
            match made.iter().find(|(_, parts)| parts.fits(Purpose::Shard, &part)) {
                Some((plan, parts)) => self.session.refuse_inputs(plan, &parts.chosen(&part))?,
                None => {
                    let (plan, parts) = self.checked(number, Purpose::Shard, &part, Use::Run)?;
                    layout(&plan, parts.reported, &parts.names)?;
                    made.push((plan, parts));
                }
            }
        }
        for (plan, parts) in made {
            self.keep_plan(number, plan, parts, Use::Run)?;
        }
        Ok(())
    }

    fn deterministic_part(
        &mut self,
        function: FunctionId,
        share: Share,
        batch: &[usize],
        tensors: &Tensors<'_>,
        group: Option<&dyn Group>,
    ) -> Result<(Outcome, StepReport), Error> {
        let (rank, size) = group.map_or((0, 1), |group| (group.rank(), group.size()));
        let (whole, samples): (usize, usize) = (batch.iter().sum(), tensors.samples);
        if let Some(group) = group {
            require_same_cut(group, tensors, samples)?;
        }
        for (rank, &found) in batch.iter().enumerate() {
            let shards = share.shards();
            let expected = Share::new(rank, size, shards)?.range(whole).len();
            if found != expected {
                return Err(GroupError::NotItsShare { rank, found, batch: whole, shards, expected }.into());
            }
        }
        let seed = self.session.first_random_seed()?;
        let ran = self.run_shards(function, share, whole, tensors, seed.as_ref());
        // Also where a shard was refused: this member draws as itself again.
        if let Some(seed) = &seed {
            self.session.draw_as(seed, rank)?;
        }
        let (given, layout) = ran?;
        let layout = match layout {
            Some(layout) => layout,
            None => {
                // A member without a shard must know what is exchanged all the same.
                let part = cut(tensors, samples, 0..0)?;
                let (number, place) = self.planned(function, Purpose::Shard, &Tensors::of_part(&part, 0), Use::Look)?;
                self.layout(number, place)?
            }
        };
        let mut report = StepReport::default();
        let joined = join(given, &layout, share, whole, group, &mut report)?;
        let results = joined.results(&layout)?;
        self.finish_deterministic(function, tensors, &results, &layout, report)
    }

    /// Runs those of this member's shards that have samples: what each gives, and what that is.
    fn run_shards(
        &mut self,
        function: FunctionId,
        share: Share,
        whole: usize,
        tensors: &Tensors<'_>,
        seed: Option<&Tensor>,
    ) -> Result<OfShards, Error> {
        let own = share.range(whole);
        let mut given = Vec::new();
        let mut layout: Option<Vec<Piece>> = None;
        for (shard, range) in share.occupied_shards(whole) {
            let (begin, end) = (range.start - own.start, range.end - own.start);
            let part = cut(tensors, tensors.samples, begin..end)?;
            let part = Tensors::of_part(&part, end - begin);
            let (number, place) = self.planned(function, Purpose::Shard, &part, Use::Run)?;
            let layout = match &mut layout {
                Some(layout) => layout,
                none => none.insert(self.layout(number, place)?),
            };
            if let Some(seed) = seed {
                self.session.draw_as(seed, shard)?;
            }
            let kept = self.functions[number].kept(place);
            let inputs = kept.chosen(&part);
            let results = self.session.start_outside(&mut kept.prepared, &inputs, part.samples)?.wait()?;
            let weight = (end - begin) as f64 / whole as f64;
            given.push(Given::new(&results, layout, weight, range.start == 0)?);
        }
        Ok((given, layout))
    }

    /// Updates by what all shards have given, and says what the step has come to.
    fn finish_deterministic(
        &mut self,
        function: FunctionId,
        tensors: &Tensors<'_>,
        results: &[Tensor],
        layout: &[Piece],
        report: StepReport,
    ) -> Result<(Outcome, StepReport), Error> {
        let (number, place) = self.planned(function, Purpose::Update, tensors, Use::Look)?;
        let named = layout.iter().zip(results).filter(|(piece, _)| piece.is_update);
        let inputs: Vec<(&str, &Tensor)> = named.map(|(piece, tensor)| (piece.name.as_str(), tensor)).collect();
        let kept = self.functions[number].kept(place);
        self.session.advance_outside(&mut kept.prepared, &inputs, tensors.samples)?.wait()?;
        let loss = results[0].item()?;
        let metrics = layout.iter().zip(results).skip(1).filter(|(piece, _)| !piece.is_update);
        let metrics = metrics.map(|(piece, tensor)| (piece.name.clone(), tensor.clone())).collect();
        Ok((Outcome { loss, metrics }, report))
    }

    /// What the results of a shard's plan are.
    fn layout(&mut self, number: usize, place: usize) -> Result<Vec<Piece>, Error> {
        let kept = self.functions[number].kept(place);
        layout(kept.prepared.plan(), kept.reported, &kept.names)
    }
}

/// What the results of a shard's plan are, of which so many are metrics.
fn layout(plan: &Plan, reported: usize, names: &[String]) -> Result<Vec<Piece>, Error> {
    if !plan.exchanges.is_empty() {
        let what = "a sum over the group within the network, such as that of synchronised batch normalisation";
        return Err(GroupError::NotDeterministic { what: what.to_owned() }.into());
    }
    let mut pieces = Vec::with_capacity(plan.outputs.len());
    for (place, output) in plan.outputs.iter().enumerate() {
        let is_update = place > reported;
        let name = if place == 0 { "loss".to_owned() } else { names[place - 1].clone() };
        let (shape, dtype) = (output.shape.clone(), output.dtype);
        if !is_update && (shape.elements() != 1 || dtype == DType::Bool) {
            let what = format!("the metric {name:?}, which is {dtype}{shape} and not one number");
            return Err(GroupError::NotDeterministic { what }.into());
        }
        let joining = match (dtype.is_float(), is_update) {
            (true, _) => Joining::Mean,
            (false, true) => Joining::First,
            (false, false) => Joining::Sum,
        };
        pieces.push(Piece { name, shape, dtype, joining, is_update });
    }
    Ok(pieces)
}
