//! How a source is cut into batches: order, size, and what is done to each on its way.

use std::sync::Arc;

use super::DataError;
use super::batch::{Batch, NamedTensors};
use super::draws::Draws;
use super::epoch::{Epoch, Maker};
use super::rows::gathered;
use super::sampling::{Order, Visit};
use super::source::{Source, stacked, unstacked};
use crate::error::Error;
use crate::group::Share;
use crate::tensor::Tensor;

/// A place in the data: the batch that comes next. A small value for checkpoints; as numbers by [`Position::to_numbers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The pass over the data, from 0.
    pub epoch: u64,
    /// The batch of that pass, from 0.
    pub batch: u64,
}

impl Position {
    /// The first batch of an epoch.
    #[must_use]
    pub fn start_of(epoch: u64) -> Self {
        Position { epoch, batch: 0 }
    }

    /// Epoch and batch.
    #[must_use]
    pub fn to_numbers(self) -> [u64; 2] {
        [self.epoch, self.batch]
    }

    /// The position that [`Position::to_numbers`] gave.
    #[must_use]
    pub fn from_numbers([epoch, batch]: [u64; 2]) -> Self {
        Position { epoch, batch }
    }
}

/// A batch on its way, and of which samples it is.
type BatchStep = Arc<dyn Fn(Batch) -> Result<Batch, Error> + Send + Sync>;
type SampleStep = Arc<dyn Fn(Batch, &mut Draws) -> Result<Batch, Error> + Send + Sync>;

#[derive(Clone)]
enum Step {
    Batch(BatchStep),
    Sample { seed: u64, change: SampleStep },
}

/// Batches of a [`Dataset`](super::Dataset) or any other [`Source`]: a description, which gives an iterator for each epoch.
/// (PyTorch's `DataLoader`.)
///
/// What a batch holds depends on the description and its [`Position`] alone. So it is the same with and without prefetching, and
/// training that goes on from a checkpoint sees what it would have seen.
///
/// ```
/// use arenagrad::{Tensor, data::{Dataset, Position}};
///
/// let data = Dataset::new().with("x", Tensor::new([10], (0..10).collect::<Vec<i32>>())?)?;
/// let batches = data.batches(4).shuffled(7, 0).prefetch(2);
/// assert_eq!(batches.len(), 3); // of 4, 4 and 2 samples
///
/// let mut position = Position::default();
/// while position.epoch < 2 {
///     let mut epoch = batches.resume(position);
///     while let Some(batch) = epoch.next() {
///         let _x = batch?.get("x").cloned();
///         position = epoch.position(); // what a checkpoint keeps
///     }
/// }
/// assert_eq!(position, Position { epoch: 2, batch: 0 });
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone)]
pub struct Batches {
    source: Arc<dyn Source>,
    size: usize,
    order: Order,
    start: Position,
    drop_last: bool,
    prefetch: usize,
    steps: Vec<Step>,
    share: Option<Share>,
}

impl Batches {
    /// Batches of `size` samples of a source, in their order, the last one smaller if need be, made when they are asked for.
    ///
    /// A size of 0 is an error that the first batch reports ([`DataError::BatchSize`]).
    #[must_use]
    pub fn new(source: impl Source + 'static, size: usize) -> Self {
        let (order, start, drop_last, prefetch) = (Order::AsTheyStand, Position::default(), false, 0);
        Batches { source: Arc::new(source), size, order, start, drop_last, prefetch, steps: Vec::new(), share: None }
    }

    /// In an order that depends on the seed and the epoch ([`shuffled`](crate::train::shuffled)), each sample once an epoch.
    /// `epoch` is the one that an iterator begins with if nothing else is said.
    #[must_use]
    pub fn shuffled(mut self, seed: u64, epoch: u64) -> Self {
        self.order = Order::Shuffled { seed };
        self.start = Position::start_of(epoch);
        self
    }

    /// Of samples that are drawn with these weights, one for each sample of the source, which need not add up to 1: an epoch goes over as many as the source has,
    /// some of them several times and some not at all, in an order that depends on the seed and the epoch. What is rare comes as often as what is
    /// frequent where each sample weighs 1 over the count of its class. (PyTorch's `WeightedRandomSampler` with replacement.)
    ///
    /// ```
    /// use arenagrad::{Tensor, data::Dataset};
    ///
    /// let labels = [0, 0, 0, 0, 0, 0, 0, 1];
    /// let data = Dataset::new().with("label", Tensor::from(labels))?;
    /// let weights = labels.map(|label| if label == 1 { 1.0 } else { 1.0 / 7.0 });
    /// let mut rare = 0;
    /// for epoch in 0..100 {
    ///     for batch in data.batches(4).weighted(weights, 3, epoch) {
    ///         rare += batch?.get("label").map_or(0, |label| label.to_f64_vec().iter().sum::<f64>() as usize);
    ///     }
    /// }
    /// assert!((350..450).contains(&rare)); // of 800
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// Another number of weights than of samples, a weight below 0 or that is no finite number, and none above 0 are errors that the first batch reports
    /// ([`DataError::WeightCount`], [`DataError::SampleWeight`], [`DataError::NoSampleWeight`]).
    #[must_use]
    pub fn weighted(mut self, weights: impl Into<Vec<f64>>, seed: u64, epoch: u64) -> Self {
        self.order = Order::Weighted { seed, weights: weights.into() };
        self.start = Position::start_of(epoch);
        self
    }

    /// Without the last batch of an epoch if it is smaller than the others. By default it is kept.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Of each batch only the part of one member of a group ([`Share`], [`share_of`](crate::group::share_of)): `size` stays that of the whole
    /// batch. The members' parts together are the batch, each sample once, whatever divides what; a part may be empty. Of such a part the tensors are made of one sample of the
    /// whole batch, and of that sample twice if there are changes of batches, and have no rows; those that are as long for two samples as for one stay. Order and
    /// augmentation are those of the whole. PyTorch's `DistributedSampler`, which repeats samples where they do not divide.
    ///
    /// ```
    /// # use arenagrad::{Tensor, data::Dataset, group::Share};
    /// # let data = Dataset::new().with("x", Tensor::new([7, 1], vec![0.0f32; 7])?)?;
    /// let mut sizes = Vec::new();
    /// for rank in 0..3 {
    ///     for batch in data.batches(4).share(Share::new(rank, 3, 3)?) {
    ///         sizes.push(batch?.get("x").map_or(0, |x| x.shape()[0]));
    ///     }
    /// }
    /// assert_eq!(sizes, [1, 1, 1, 1, 2, 1]); // of a batch of 4 and one of 3, by rank
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use]
    pub fn share(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// Makes batches on a thread of its own, up to `count` before they are asked for, but no more than 16,384; 0 makes them when they are
    /// asked for.
    ///
    /// The thread ends with its iterator. A panic in it is [`DataError::Panicked`] for whoever asks for the batch.
    #[must_use]
    pub fn prefetch(mut self, count: usize) -> Self {
        self.prefetch = count;
        self
    }

    /// Changes each batch, behind what was said before. It stays one of as many samples, whatever tensors it has then, unless the change says another
    /// number ([`Batch::of_samples`]).
    #[must_use]
    pub fn map(mut self, change: impl Fn(Batch) -> Result<Batch, Error> + Send + Sync + 'static) -> Self {
        self.steps.push(Step::Batch(Arc::new(change)));
        self
    }

    /// Changes each sample, behind what was said before: an image is cut, turned or made noisy. The sample comes without the
    /// axis of samples. Its random numbers depend on `seed`, on the epoch and on the sample's number in the source, and on
    /// nothing else: neither on the batch that it is in nor on the order. A sample that comes several times in an epoch has others each time.
    ///
    /// ```
    /// # use arenagrad::{Tensor, data::{Batch, Dataset}};
    /// # let data = Dataset::new().with("x", Tensor::new([4, 2], vec![0.0f32; 8])?)?;
    /// let noisy = data.batches(2).augment(3, |sample, draws| {
    ///     let mut x = sample.get("x").cloned().unwrap_or_else(|| Tensor::scalar(0.0f32));
    ///     x.as_mut_slice::<f32>()?.iter_mut().for_each(|x| *x += draws.normal(0.0, 0.1) as f32);
    ///     Ok(sample.with("x", x))
    /// });
    /// assert_eq!(noisy.epoch(0).count(), 2);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use]
    pub fn augment(
        mut self,
        seed: u64,
        change: impl Fn(Batch, &mut Draws) -> Result<Batch, Error> + Send + Sync + 'static,
    ) -> Self {
        self.steps.push(Step::Sample { seed, change: Arc::new(change) });
        self
    }

    /// How many batches an epoch has.
    pub fn len(&self) -> usize {
        let samples = self.source.samples();
        match samples.checked_div(self.size) {
            Some(whole) if self.drop_last || samples.is_multiple_of(self.size) => whole,
            Some(whole) => whole + 1,
            None => 0,
        }
    }

    /// Whether an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many samples an epoch goes over, those of a last batch that is left out not counted.
    pub fn samples(&self) -> usize {
        self.source.samples().min(self.len().saturating_mul(self.size))
    }

    /// The batches of one epoch, from its first.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.resume(Position::start_of(epoch))
    }

    /// The batches of the epoch of a position, from that position on; none at an epoch's end. A position past that is
    /// [`DataError::Position`], which the first batch reports.
    pub fn resume(&self, position: Position) -> Epoch {
        match self.maker(position) {
            Ok(maker) => Epoch::new(maker, position, self.len() as u64, self.prefetch),
            Err(error) => Epoch::failed(error, position),
        }
    }

    fn maker(&self, position: Position) -> Result<Maker, Error> {
        if self.size == 0 {
            return Err(DataError::BatchSize { what: "batches".to_owned() }.into());
        }
        let batches = self.len() as u64;
        if position.batch > batches {
            return Err(DataError::Position { batch: position.batch, batches }.into());
        }
        let samples = self.source.samples();
        let order = self.order.of_epoch(samples, position.epoch)?;
        let batches = self.clone();
        Ok(Box::new(move |batch| {
            // No overflow: the batch is one of those that `len` counts.
            let whole = batch as usize * batches.size..samples.min((batch as usize + 1).saturating_mul(batches.size));
            let first = whole.start;
            let places = match batches.share {
                Some(share) => {
                    let own = share.range(whole.len());
                    whole.start + own.start..whole.start + own.end
                }
                None => whole,
            };
            let visit = |place: usize| order.as_ref().map_or(Visit { sample: place, before: 0 }, |order| order[place]);
            if places.is_empty() {
                return batches.make_empty(visit(first), position.epoch);
            }
            let visits: Vec<Visit> = places.map(visit).collect();
            batches.make(&visits, position.epoch)
        }))
    }

    /// A member's part of a batch that has no samples: the columns of a batch without rows. What is in each batch alike, such as weights of classes,
    /// is there as it is. `visit` is of a sample of the whole batch, so what cannot be made of it stops the member that has it too.
    fn make_empty(&self, visit: Visit, epoch: u64) -> Result<Batch, Error> {
        let of_one = self.make(&[visit], epoch)?;
        // All that a source and samples give is of samples. What a change of a whole batch gives is not if it is as long for twice as many.
        let is_any_alike = self.steps.iter().any(|step| matches!(step, Step::Batch(_)));
        let of_two = if is_any_alike { Some(self.make(&[visit, visit], epoch)?) } else { None };
        let is_of_samples = |name: &str, tensor: &Tensor| {
            let other = of_two.as_ref().and_then(|batch| batch.get(name));
            other.is_none_or(|other| other.shape().first() != tensor.shape().first())
        };
        let none = of_one.named_tensors().into_iter().try_fold(Batch::new(), |batch, (name, tensor)| {
            let is_emptied = tensor.shape().rank() > 0 && is_of_samples(name, tensor);
            let none = if is_emptied { gathered(tensor, std::iter::empty())? } else { tensor.clone() };
            Ok::<_, Error>(batch.with(name, none))
        })?;
        Ok(none.of_samples(0))
    }

    /// The batch of these samples with all steps done to it. It knows how many samples it is of, unless a step has said something else.
    fn make(&self, visits: &[Visit], epoch: u64) -> Result<Batch, Error> {
        let indices: Vec<usize> = visits.iter().map(|visit| visit.sample).collect();
        let indices = &indices[..];
        let batch = self.source.batch(indices)?.of_samples(indices.len());
        self.steps.iter().try_fold(batch, |batch, step| match step {
            Step::Batch(change) => Ok(change(batch)?.or_of_samples(indices.len())),
            Step::Sample { seed, change } => {
                let draws = Draws::new(*seed).of(epoch);
                let samples = unstacked(&batch, indices.len())?;
                // A sample that comes again is changed otherwise.
                let of = |visit: &Visit| match (draws.of(visit.sample as u64), visit.before) {
                    (first, 0) => first,
                    (first, before) => first.of(before),
                };
                let changed = samples
                    .into_iter()
                    .zip(visits)
                    .map(|(sample, visit)| change(sample, &mut of(visit)))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(stacked(&changed, indices)?.of_samples(indices.len()))
            }
        })
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("samples", &self.source.samples())
            .field("size", &self.size)
            .field("order", &self.order.name())
            .field("start", &self.start)
            .field("drop_last", &self.drop_last)
            .field("prefetch", &self.prefetch)
            .field("steps", &self.steps.len())
            .field("share", &self.share)
            .finish()
    }
}

impl IntoIterator for Batches {
    type Item = Result<Batch, Error>;
    type IntoIter = Epoch;

    /// The batches of the epoch that [`Batches::shuffled`] named, or of epoch 0.
    fn into_iter(self) -> Epoch {
        self.resume(self.start)
    }
}

impl IntoIterator for &Batches {
    type Item = Result<Batch, Error>;
    type IntoIter = Epoch;

    /// The batches of the epoch that [`Batches::shuffled`] named, or of epoch 0.
    fn into_iter(self) -> Epoch {
        self.resume(self.start)
    }
}
