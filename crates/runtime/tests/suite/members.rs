//! Members of a group as threads, and data that they share.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arenagrad::data::{Batches, Dataset};
use arenagrad::group::{Group, Share, Threads};
use arenagrad::{Error, Tensor};

/// What each of `size` members comes to, by rank. None waits longer than 20 seconds for another.
pub fn members<R: Send>(size: usize, work: impl Fn(Arc<dyn Group>) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let members = Threads::with_patience(size, Duration::from_secs(20)).into_iter();
        let threads: Vec<_> = members.map(|member| scope.spawn(move || work(Arc::new(member)))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a member does not panic")).collect()
    })
}

/// Samples of six features and one of three classes, by a rule that a small network can learn.
pub fn samples(count: usize) -> Dataset {
    let mut state = 12345u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) * 2.0 - 1.0
    };
    let mut x = Vec::with_capacity(count * 6);
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        let own: Vec<f64> = (0..6).map(|_| draw()).collect();
        let scores = [own[0] + own[1] * own[2], own[3] - own[4], 0.3 * own[5]];
        let best = (0..3).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        labels.push(best as i32);
        x.extend(own.iter().map(|x| *x as f32));
    }
    let x = Tensor::new([count, 6], x).unwrap();
    Dataset::of([("x", x), ("labels", Tensor::new([count], labels).unwrap())]).unwrap()
}

/// The part that a member has of each batch, with as many shards as members or as many as are given.
pub fn shared(data: &Dataset, size: usize, group: &dyn Group, shards: Option<usize>) -> Result<Batches, Error> {
    let share = Share::new(group.rank(), group.size(), shards.unwrap_or(group.size()))?;
    Ok(data.batches(size).shuffled(3, 0).share(share))
}
