//! Training steps of which several processes compute a part each.
//!
//! The objective of a group is the mean of the loss over all samples: the sum over its members of their losses, each weighted by its share of
//! the samples. So the gradient of each member's loss itself is its weight, and the gradients are summed over the group between the backward pass
//! and the update ([`Expr::all_reduce`]); clipping, accumulation and the optimiser itself see the sums. These are operations of the graph
//! like any other: a plan begins each as early as it can and does something else meanwhile.
//!
//! Gradients are exchanged in buckets, those of the parameters that were declared last first, as PyTorch's `DistributedDataParallel` has it: about the
//! order in which a backward pass has them, so that the first are under way while the last are computed. The order in which reverse mode
//! makes them would be nearer, but it depends on the extents of a batch, which differ between members: where nothing is broadcast, what is passed
//! to a parameter is a node that was there before. What is in which bucket, by name and shape, is part of what members
//! tell each other before a step ([`Intent`]).
//!
//! Other floats that a step carries on, such as running statistics, become the weighted means over the members. Integers are left alone: each
//! member counts the same.

use std::cell::Cell;

use arenagrad_graph::{DType, Expr, Graph, NodeId, Origin, Shape};

use crate::error::Error;
use crate::group::{Intent, Purpose, digest};
use crate::plan::Request;
use crate::precision::Precision;
use crate::session::grouped::WEIGHT;
use crate::train::loss_scale::{Exchanged, Member, TracedStep, append_traced_step};
use crate::train::request::append_step_gradients;
use crate::train::shards::name_of;
use crate::train::{Optimizer, Trained, require_scalar};

/// What a bucket holds at least, in bytes, unless it is said otherwise: enough that the time for a message's way is small beside that for its
/// bytes on networks of any kind.
pub(crate) const BUCKET_BYTES: usize = 4 << 20;

/// How a member takes part in the exchanges of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucketing {
    /// What a bucket holds at least, in bytes.
    pub(crate) bytes: usize,
    /// Whether this member has samples. One that has none takes part in each sum with zeros: what it would compute may not be numbers.
    pub(crate) has_samples: bool,
}

/// The sums over a group of an expression of this graph, exchanged in buckets.
pub(crate) struct Buckets {
    bucketing: Bucketing,
    /// What depends on the names and shapes of everything that was put into a bucket, in order.
    contents: Cell<u64>,
}

/// What is summed, and what it is called: the same on all members.
struct Part<'g> {
    name: String,
    value: Expr<'g>,
}

impl Buckets {
    fn new(bucketing: Bucketing) -> Self {
        Buckets { bucketing, contents: Cell::new(0) }
    }

    /// What members tell each other of a plan whose exchanges these are.
    fn intent(&self, purpose: Purpose) -> Intent {
        Intent { purpose, function: digest([]), signature: self.contents.get() }
    }

    /// The sums of these over the group, each in its shape.
    fn summed<'g>(&self, graph: &'g Graph, parts: &[Part<'g>]) -> Result<Vec<Expr<'g>>, Error> {
        let mut sums: Vec<Option<Expr<'g>>> = vec![None; parts.len()];
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let mut bucket: Vec<(usize, Shape)> = Vec::new();
            let mut elements = 0;
            for (place, part) in parts.iter().enumerate() {
                let shape = part.value.shape()?;
                if part.value.dtype()? != dtype || shape.elements() == 0 {
                    continue;
                }
                elements += shape.elements();
                bucket.push((place, shape));
                if elements * dtype.bytes() >= self.bucketing.bytes {
                    self.exchange(graph, parts, &std::mem::take(&mut bucket), dtype, &mut sums)?;
                    elements = 0;
                }
            }
            self.exchange(graph, parts, &bucket, dtype, &mut sums)?;
        }
        Ok(sums.into_iter().zip(parts).map(|(sum, part)| sum.unwrap_or(part.value)).collect())
    }

    fn exchange<'g>(
        &self,
        graph: &'g Graph,
        parts: &[Part<'g>],
        bucket: &[(usize, Shape)],
        dtype: DType,
        sums: &mut [Option<Expr<'g>>],
    ) -> Result<(), Error> {
        if bucket.is_empty() {
            return Ok(());
        }
        for (place, shape) in bucket {
            let known = self.contents.get().to_le_bytes().into_iter();
            let extents = shape.iter().flat_map(|extent| extent.to_le_bytes());
            self.contents.set(digest(known.chain(parts[*place].name.bytes()).chain(extents)));
        }
        let flat = bucket.iter().map(|(place, shape)| {
            if self.bucketing.has_samples {
                parts[*place].value.reshape([shape.elements()])
            } else {
                graph.zeros([shape.elements()], dtype)
            }
        });
        let flat: Vec<Expr<'g>> = flat.collect();
        let joined = if let [one] = flat.as_slice() { *one } else { graph.concat(&flat, 0) };
        let sum = joined.all_reduce().check()?;
        let mut start = 0;
        for (place, shape) in bucket {
            let end = start + shape.elements();
            let part = if flat.len() == 1 { sum } else { sum.slice(0, start, end) };
            sums[*place] = Some(part.reshape(shape.clone()).check()?);
            start = end;
        }
        Ok(())
    }
}

/// What layers carry on in floats, and what becomes of it: the mean over all members, by their weights. With it go gradients.
fn carried<'g>(graph: &'g Graph, buckets: &Buckets, weight: Expr<'g>) -> Result<Vec<(NodeId, NodeId)>, Error> {
    let (mut states, mut parts) = (Vec::new(), Vec::new());
    for (state, next) in graph.updates() {
        let (name, next) = (name_of(graph, state), graph.expr(next));
        let dtype = next.dtype()?;
        if dtype.is_float() {
            states.push(state);
            parts.push(Part { name, value: next * weight.cast(dtype) });
        }
    }
    let means = buckets.summed(graph, &parts)?;
    states.into_iter().zip(means).map(|(state, mean)| Ok((state, mean.id()?))).collect()
}

/// The same parameters with the sums of their gradients over the group.
fn summed_gradients<'g>(
    graph: &'g Graph,
    trained: &[Trained<'g>],
    buckets: &Buckets,
) -> Result<Vec<Trained<'g>>, Error> {
    // In the order of their declarations reversed.
    let parts = trained.iter().rev().map(|one| Part { name: one.name.clone(), value: one.gradient });
    let sums = buckets.summed(graph, &parts.collect::<Vec<_>>())?;
    Ok(trained.iter().zip(sums.into_iter().rev()).map(|(one, sum)| one.with_gradient(sum)).collect())
}

/// The weight of this member's samples, which a run is given, in the dtype of the loss.
fn weight_beside(loss: Expr<'_>) -> Result<Expr<'_>, Error> {
    require_scalar(loss)?;
    Ok(loss.graph().input_of(WEIGHT, [], loss.dtype()?).check()?)
}

/// What all members report: of floats without axes, and of the loss, which comes first, the weighted mean, of integers without axes the sum; what
/// has axes is each member's own. It may have an element for each sample, and a member one sample.
fn reported<'g>(buckets: &Buckets, weight: Expr<'g>, results: &[Expr<'g>]) -> Result<Vec<NodeId>, Error> {
    let graph = weight.graph();
    let (mut places, mut parts) = (Vec::new(), Vec::new());
    for (place, result) in results.iter().enumerate() {
        let (shape, dtype) = (result.shape()?, result.dtype()?);
        if (shape.rank() > 0 && place > 0) || dtype == DType::Bool {
            continue;
        }
        places.push(place);
        let value = if dtype.is_float() { *result * weight.cast(dtype) } else { *result };
        parts.push(Part { name: format!("result {place}"), value });
    }
    let mut reported = results.to_vec();
    for (place, sum) in places.into_iter().zip(buckets.summed(graph, &parts)?) {
        reported[place] = sum;
    }
    reported.into_iter().map(|result| Ok(result.check()?.id()?)).collect()
}

/// A training step in a group: as [`training_request`](super::request::training_request), with gradients, loss and metrics of all members.
pub(crate) fn group_training_request<'g>(
    loss: Expr<'g>,
    metrics: &[NodeId],
    optimizer: &dyn Optimizer,
    bucketing: Bucketing,
    (precision, prefix): (&Precision, &str),
    origin: Origin,
) -> Result<Request, Error> {
    let graph = loss.graph();
    precision.check_patterns(graph)?;
    let buckets = Buckets::new(bucketing);
    let weight = weight_beside(loss)?;
    let results: Vec<Expr<'_>> = std::iter::once(loss).chain(metrics.iter().map(|id| graph.expr(*id))).collect();
    let outputs = reported(&buckets, weight, &results)?;
    let exchange = |trained: &[Trained<'g>]| -> Result<Exchanged<'g>, Error> {
        let carried = carried(graph, &buckets, weight)?;
        Ok(Exchanged { trained: summed_gradients(graph, trained, &buckets)?, carried })
    };
    let member = Member { weight, exchange: &exchange };
    let TracedStep { step, gradients, backward, update, sources } =
        append_traced_step(loss, optimizer, (precision.scale(), prefix), Some(member), origin)?;
    let local = results.iter().map(|result| result.id()).collect::<Result<Vec<_>, _>>()?;
    Ok(Request {
        stages: vec![("forward", local), ("backward", gradients)],
        rest: "update",
        outputs,
        updates: step.updates,
        rounding: precision.rounding(graph, backward, update, &sources)?,
        intent: buckets.intent(Purpose::Step),
        ..Request::default()
    })
}

/// The loss and the gradients of all members, as the step would have them whose states stand under a prefix; nothing is changed.
pub(crate) fn group_gradients_request(
    loss: Expr<'_>,
    optimizer: &dyn Optimizer,
    bucketing: Bucketing,
    (precision, prefix): (&Precision, &str),
) -> Result<(Request, Vec<String>), Error> {
    let graph = loss.graph();
    let buckets = Buckets::new(bucketing);
    let weight = weight_beside(loss)?;
    let mut outputs = reported(&buckets, weight, &[loss])?;
    let gradients = append_step_gradients(loss, optimizer, (precision, prefix), Some(weight))?;
    let local = gradients.trained.iter().map(|trained| trained.gradient.id()).collect::<Result<Vec<_>, _>>()?;
    for trained in gradients.unscaled(&summed_gradients(graph, &gradients.trained, &buckets)?)? {
        outputs.push(trained.gradient.id()?);
    }
    let rounding = gradients.rounding;
    let names = gradients.trained.into_iter().map(|trained| trained.name).collect();
    let stages = vec![("forward", vec![loss.id()?]), ("backward", local)];
    let intent = buckets.intent(Purpose::Gradients);
    Ok((Request { stages, rest: "update", outputs, rounding, intent, ..Request::default() }, names))
}
