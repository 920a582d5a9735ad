//! Training steps of which several processes compute a part each.
//!
//! The objective of a group is the mean of the loss over all samples: the sum over its members of their losses, each weighted by its share of
//! the samples. So each member differentiates its weighted loss, and the gradients are summed over the group between the backward pass
//! and the update ([`Expr::all_reduce`]); clipping, accumulation and the optimiser itself see the sums. These are operations of the graph
//! like any other: a plan begins each as early as it can and does something else meanwhile.
//!
//! Gradients are exchanged in buckets, in the order in which the backward pass has them, so that the first are under way while the last are
//! computed. A bucket's content follows from the graph alone, so it is the same for all members.
//!
//! Other floats that a step carries on, such as running statistics, become the weighted means over the members. Integers are left alone: each
//! member counts the same.

use std::collections::HashSet;

use arenagrad_graph::{DType, Expr, Graph, NodeId, Shape};

use crate::error::Error;
use crate::plan::Request;
use crate::precision::Precision;
use crate::session::grouped::{WEIGHT, samples_of};
use crate::train::loss_scale::{Overflows, TracedStep, append_traced_step};
use crate::train::request::append_rounded_gradients;
use crate::train::{Optimizer, Trained, require_scalar};

/// What a bucket holds at least, in bytes, unless it is said otherwise: enough that the time for a message's way is small beside that for its
/// bytes on networks of any kind.
pub(crate) const BUCKET_BYTES: usize = 4 << 20;

/// The sums over a group of an expression of this graph, exchanged in buckets.
pub(crate) struct Buckets {
    /// What a bucket holds at least, in bytes.
    pub(crate) bytes: usize,
    /// Whether this member has samples. One that has none takes part in each sum with zeros: what it would compute may not be numbers.
    has_samples: bool,
}

impl Buckets {
    fn new(graph: &Graph, bytes: usize) -> Self {
        Buckets { bytes, has_samples: samples_of(&graph.declarations()) > 0 }
    }

    /// The sums of these over the group, each in its shape.
    fn summed<'g>(&self, graph: &'g Graph, parts: &[Expr<'g>]) -> Result<Vec<Expr<'g>>, Error> {
        let mut sums: Vec<Option<Expr<'g>>> = vec![None; parts.len()];
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let mut bucket: Vec<(usize, Shape)> = Vec::new();
            let mut elements = 0;
            for (place, part) in parts.iter().enumerate() {
                let shape = part.shape()?;
                if part.dtype()? != dtype || shape.elements() == 0 {
                    continue;
                }
                elements += shape.elements();
                bucket.push((place, shape));
                if elements * dtype.bytes() >= self.bytes {
                    self.exchange(graph, parts, &std::mem::take(&mut bucket), dtype, &mut sums)?;
                    elements = 0;
                }
            }
            self.exchange(graph, parts, &bucket, dtype, &mut sums)?;
        }
        Ok(sums.into_iter().zip(parts).map(|(sum, part)| sum.unwrap_or(*part)).collect())
    }

    fn exchange<'g>(
        &self,
        graph: &'g Graph,
        parts: &[Expr<'g>],
        bucket: &[(usize, Shape)],
        dtype: DType,
        sums: &mut [Option<Expr<'g>>],
    ) -> Result<(), Error> {
        if bucket.is_empty() {
            return Ok(());
        }
        let flat = bucket.iter().map(|(place, shape)| {
            if self.has_samples {
                parts[*place].reshape([shape.elements()])
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

/// An optimiser in a group: it is given the gradients of all members.
struct InGroup<'o> {
    optimizer: &'o dyn Optimizer,
    buckets: &'o Buckets,
    /// The node of this member's weight.
    weight: NodeId,
}

impl Optimizer for InGroup<'_> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        // What layers carry on goes with the gradients.
        let weight = graph.expr(self.weight);
        let mut carried: Vec<(Expr<'g>, Expr<'g>)> = Vec::new();
        for (state, next) in graph.updates() {
            let (state, next) = (graph.expr(state), graph.expr(next));
            let dtype = next.dtype()?;
            if dtype.is_float() {
                carried.push((state, next * weight.cast(dtype)));
            }
        }
        let parts: Vec<Expr<'g>> = carried.iter().map(|(_, next)| *next).collect();
        let means = self.buckets.summed(graph, &parts)?;
        let trained = summed_gradients(graph, trained, self.buckets)?;
        let mut pairs = self.optimizer.update(graph, &trained)?;
        let updated: HashSet<NodeId> = pairs.iter().filter_map(|(target, _)| target.id().ok()).collect();
        let carried = carried.into_iter().zip(means).map(|((state, _), mean)| (state, mean));
        pairs.extend(carried.filter(|(state, _)| state.id().is_ok_and(|id| !updated.contains(&id))));
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.optimizer.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.optimizer.patterns()
    }
}

/// The same parameters with the sums of their gradients over the group.
fn summed_gradients<'g>(
    graph: &'g Graph,
    trained: &[Trained<'g>],
    buckets: &Buckets,
) -> Result<Vec<Trained<'g>>, Error> {
    // The order in which reverse mode made them is that in which a backward pass has them.
    let mut order = Vec::with_capacity(trained.len());
    for (number, one) in trained.iter().enumerate() {
        order.push((graph.ordinal(one.gradient.id()?)?, number));
    }
    order.sort_unstable();
    let gradients: Vec<Expr<'g>> = order.iter().map(|&(_, number)| trained[number].gradient).collect();
    let sums = buckets.summed(graph, &gradients)?;
    let mut summed = trained.to_vec();
    for (&(_, number), sum) in order.iter().zip(sums) {
        summed[number] = trained[number].with_gradient(sum);
    }
    Ok(summed)
}

/// The weight of this member's samples, which a run is given, and the loss by it.
fn weighted<'g>(loss: Expr<'g>) -> Result<(Expr<'g>, Expr<'g>), Error> {
    let graph = loss.graph();
    require_scalar(loss)?;
    let weight = graph.input_of(WEIGHT, [], loss.dtype()?).check()?;
    Ok((weight, (loss * weight).check()?))
}

/// What all members report: of floats of one element the weighted mean, of integers of one element the sum; what has more elements is each
/// member's own.
fn reported<'g>(buckets: &Buckets, weight: Expr<'g>, results: &[Expr<'g>]) -> Result<Vec<NodeId>, Error> {
    let graph = weight.graph();
    let (mut places, mut parts) = (Vec::new(), Vec::new());
    for (place, result) in results.iter().enumerate() {
        let (shape, dtype) = (result.shape()?, result.dtype()?);
        if shape.elements() != 1 || dtype == DType::Bool {
            continue;
        }
        places.push(place);
        parts.push(if dtype.is_float() { *result * weight.cast(dtype) } else { *result });
    }
    let mut reported = results.to_vec();
    for (place, sum) in places.into_iter().zip(buckets.summed(graph, &parts)?) {
        reported[place] = sum;
    }
    reported.into_iter().map(|result| Ok(result.check()?.id()?)).collect()
}

/// A training step in a group: as [`training_request`](super::request::training_request), with gradients, loss and metrics of all members.
pub(crate) fn group_training_request(
    loss: Expr<'_>,
    metrics: &[NodeId],
    optimizer: &dyn Optimizer,
    bucket_bytes: usize,
    (precision, prefix): (&Precision, &str),
) -> Result<Request, Error> {
    let graph = loss.graph();
    precision.check_patterns(graph)?;
    let mark = graph.mark();
    let request = (|| {
        let buckets = Buckets::new(graph, bucket_bytes);
        let (weight, target) = weighted(loss)?;
        let results: Vec<Expr<'_>> = std::iter::once(loss).chain(metrics.iter().map(|id| graph.expr(*id))).collect();
        let outputs = reported(&buckets, weight, &results)?;
        let optimizer = InGroup { optimizer, buckets: &buckets, weight: weight.id()? };
        let TracedStep { step, backward, update, sources } = append_traced_step(
            target,
            &optimizer,
            precision.scale(),
            prefix,
            Overflows::OfGroup { has_samples: buckets.has_samples },
        )?;
        let local = results.iter().map(|result| result.id()).collect::<Result<Vec<_>, _>>()?;
        let gradients = step.trained.iter().map(|trained| trained.gradient.id()).collect::<Result<Vec<_>, _>>()?;
        Ok(Request {
            stages: vec![("forward", local), ("backward", gradients)],
            rest: "update",
            outputs,
            updates: step.updates,
            rounding: precision.rounding(graph, backward, update, &sources)?,
            ..Request::default()
        })
    })();
    if request.is_err() {
        graph.rewind(mark)?;
    }
    request
}

/// The loss and the gradients of all members; nothing is changed.
pub(crate) fn group_gradients_request(
    loss: Expr<'_>,
    optimizer: &dyn Optimizer,
    bucket_bytes: usize,
    precision: &Precision,
) -> Result<(Request, Vec<String>), Error> {
    let graph = loss.graph();
    let buckets = Buckets::new(graph, bucket_bytes);
    let (weight, target) = weighted(loss)?;
    let mut outputs = reported(&buckets, weight, &[loss])?;
    let (trained, rounding) = append_rounded_gradients(target, optimizer, precision)?;
    let local = trained.iter().map(|trained| trained.gradient.id()).collect::<Result<Vec<_>, _>>()?;
    for trained in summed_gradients(graph, &trained, &buckets)? {
        outputs.push(trained.gradient.id()?);
    }
    let names = trained.into_iter().map(|trained| trained.name).collect();
    let stages = vec![("forward", vec![loss.id()?]), ("backward", local)];
    Ok((Request { stages, rest: "update", outputs, rounding, ..Request::default() }, names))
}
