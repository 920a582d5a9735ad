//! What the shards of a deterministic step give, and what all of them come to: gathered from all members, and summed in an order that depends
//! on nothing but the number of shards.

use std::time::Instant;

use arenagrad_graph::{AlignedVec, DType, Elements, Shape};

use crate::error::Error;
use crate::group::{Exchange, Group, Share, StepReport, Values, tree_sum};
use crate::tensor::Tensor;
use crate::train::shards::Joining;

/// How many values of each shard are gathered at once in the deterministic mode.
const GATHERED: usize = 1 << 18;

/// A result of a shard.
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) dtype: DType,
    pub(super) joining: Joining,
    /// Whether the update is given it, and not the caller.
    pub(super) is_update: bool,
}

/// What a shard gives, one result after the other: those of f32, and all others in f64, which holds every i32 exactly.
pub(super) struct Given {
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Given {
    pub(super) fn new(results: &[Tensor], layout: &[Piece], weight: f64, is_first: bool) -> Result<Given, Error> {
        let mut given = Given { single: Vec::new(), double: Vec::new() };
        for (result, piece) in results.iter().zip(layout) {
            let factor = match piece.joining {
                Joining::Mean => weight,
                Joining::Sum => 1.0,
                Joining::First => f64::from(u8::from(is_first)),
            };
            let data = result.data();
            if let Elements::F32(list) = data {
                given.single.extend(list.iter().map(|x| x * factor as f32));
            } else {
                given.double.extend((0..data.len()).map(|place| data.get(place).unwrap_or(0.0) * factor));
            }
        }
        Ok(given)
    }

    /// The results, each of its shape and dtype.
    pub(super) fn results(&self, layout: &[Piece]) -> Result<Vec<Tensor>, Error> {
        let (mut single, mut double) = (self.single.as_slice(), self.double.as_slice());
        let mut results = Vec::with_capacity(layout.len());
        for Piece { shape, dtype, .. } in layout {
            let count = shape.elements();
            let tensor = if *dtype == DType::F32 {
                let (own, rest) = single.split_at(count);
                single = rest;
                Tensor::new(shape.clone(), own.to_vec())?
            } else {
                let (own, rest) = double.split_at(count);
                double = rest;
                Tensor::new(shape.clone(), own.to_vec())?.cast(*dtype)
            };
            results.push(tensor);
        }
        Ok(results)
    }
}

/// What all shards together give: gathered from all members, a stretch at a time, and summed by a fixed tree.
pub(super) fn join(
    given: Vec<Given>,
    layout: &[Piece],
    share: Share,
    whole: usize,
    group: Option<&dyn Group>,
    report: &mut StepReport,
) -> Result<Given, Error> {
    let is_single = |piece: &&Piece| piece.dtype == DType::F32;
    let count = |is_wanted: &dyn Fn(&&Piece) -> bool| {
        layout.iter().filter(is_wanted).map(|piece| piece.shape.elements()).sum::<usize>()
    };
    let singles = count(&|piece| is_single(piece));
    let doubles = count(&|piece| !is_single(piece));
    let mut all = Given { single: Vec::with_capacity(singles), double: Vec::with_capacity(doubles) };
    let mut stretch = |start: usize, len: usize, single: bool| {
        let own = given.iter().map(|given| {
            if single {
                Values::F32(given.single[start..start + len].into())
            } else {
                Values::F64(given.double[start..start + len].into())
            }
        });
        summed(own.collect(), len, single, share, whole, group, report)
    };
    for start in (0..singles).step_by(GATHERED) {
        all.single.extend(stretch(start, GATHERED.min(singles - start), true)?.to_f32()?);
    }
    for start in (0..doubles).step_by(GATHERED) {
        all.double.extend(stretch(start, GATHERED.min(doubles - start), false)?.to_f64()?);
    }
    Ok(all)
}

/// The sum over all shards that have samples of a stretch of what they give, of which these are this member's.
fn summed(
    own: Vec<Values>,
    len: usize,
    single: bool,
    share: Share,
    whole: usize,
    group: Option<&dyn Group>,
    report: &mut StepReport,
) -> Result<Values, Error> {
    let nothing = || if single { Values::F32(AlignedVec::new()) } else { Values::F64(AlignedVec::new()) };
    let Some(group) = group else {
        return Ok(tree_sum(own).unwrap_or_else(|| nothing().padded(len)));
    };
    let size = group.size();
    let shares = (0..size).map(|rank| Share::new(rank, size, share.shards())).collect::<Result<Vec<_>, _>>()?;
    let counts: Vec<usize> = shares.iter().map(|share| share.occupied_shards(whole).count()).collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut joined = nothing();
    own.iter().for_each(|list| joined.append(list));
    let waiting = Instant::now();
    let gathered = group.begin(Exchange::Gather, joined.padded(most * len)).wait_timed()?;
    report.exchanged(most * len * if single { 4 } else { 8 }, gathered.took, waiting.elapsed());
    let mut lists = Vec::with_capacity(counts.iter().sum());
    for (rank, count) in counts.iter().enumerate() {
        lists.extend((0..*count).map(|place| gathered.values.part((rank * most + place) * len, len)));
    }
    Ok(tree_sum(lists).unwrap_or_else(|| nothing().padded(len)))
}
