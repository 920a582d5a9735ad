//! The order of steps.
//!
//! A step runs after the steps whose results it reads, and a step that overwrites a parameter in place after every other
//! step that reads the old value. Among those that may run, updates go first, which frees gradients early; then the order
//! of the graph decides, in which a step that leaves little of a large result stands right behind that result, whatever else it computes.
//!
//! Exchanges with other processes are begun in the order of the graph, which is the same in all of them, and as early as can be. What waits
//! for one comes after everything that does not, so that there is work to do while it is under way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::plan::cluster::NONE;
use crate::plan::entries::{Entry, Work};
use crate::plan::step::{Step, dependencies};
use crate::plan::update::Updates;

/// The steps in the order in which they run.
pub(crate) fn order(steps: Vec<Step>, entries: &[Entry], updates: &mut Updates) -> Vec<Step> {
    let (writer, mut followers) = dependencies(&steps, entries.len());
    let is_exchange: Vec<bool> = steps.iter().map(|step| is_exchange(entries, step)).collect();
    let mut exchanges: Vec<u32> = (0..steps.len() as u32).filter(|&number| is_exchange[number as usize]).collect();
    exchanges.sort_by_key(|&number| steps[number as usize].writes[0]);
    for pair in exchanges.windows(2) {
        followers[pair[0] as usize].push(pair[1]);
    }
    let mut readers: HashMap<u32, Vec<u32>> =
        updates.pairs.iter().map(|(parameter, _)| (*parameter, Vec::new())).collect();
    for (number, step) in steps.iter().enumerate() {
        for read in &step.reads {
            if let Some(readers) = readers.get_mut(read).filter(|readers| readers.last() != Some(&(number as u32))) {
                readers.push(number as u32);
            }
        }
    }
    let mut is_update = vec![false; steps.len()];
    for (_, next) in updates.pairs.iter().zip(&updates.direct).filter(|(_, direct)| **direct).map(|(pair, _)| pair) {
        if let Some(is_update) = is_update.get_mut(writer[*next as usize] as usize) {
            *is_update = true;
        }
    }
    let mut precedence = Precedence::new(followers, &is_update);
    is_update.fill(false);
    // Those that were certain first: nothing may stand in their way.
    let mut numbers: Vec<usize> = (0..updates.pairs.len()).collect();
    numbers.sort_by_key(|&number| !updates.certain[number]);
    for number in numbers {
        let (parameter, next) = updates.pairs[number];
        let step = writer[next as usize];
        updates.direct[number] =
            updates.direct[number] && step != NONE && precedence.put_after(&readers[&parameter], step);
        if updates.direct[number] {
            is_update[step as usize] = true;
        }
    }
    let followers = precedence.followers;
    let waits = exchanges_waited_for(&followers, &is_exchange);
    // What nothing but exchanges reads, such as the gradients put together for one, goes as early as they do.
    let is_early = |number: usize| {
        let mut after = followers[number].iter();
        is_exchange[number] || (after.len() > 0 && after.all(|&follower| is_exchange[follower as usize]))
    };
    let early: Vec<bool> = (0..steps.len()).map(is_early).collect();

    let places = places(&steps, entries, &writer);
    let key = |number: u32| {
        let place = number as usize;
        (waits[place], !early[place], !is_update[place], places[place])
    };
    let order = in_order(&followers, key);
    debug_assert_eq!(order.len(), steps.len(), "the steps of a plan have no cycle");
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    order.into_iter().filter_map(|number| steps[number as usize].take()).collect()
}

/// Where each step stands in the order of the graph, as the number of an entry: of its first result; or, of a step that leaves little of a result that
/// it reads, of that result. Such steps are fused with what comes much later, as the sums for biases' gradients are with a question about all
/// gradients, and until they have run the large result is held. What little they need beside it, such as the size of an update's step, is then
/// computed that early too.
fn places(steps: &[Step], entries: &[Entry], writer: &[u32]) -> Vec<u32> {
    let bytes = |entry: u32| {
        let Entry { shape, storage, .. } = &entries[entry as usize];
        shape.elements().saturating_mul(storage.bytes())
    };
    let all = |list: &[u32]| list.iter().map(|&entry| bytes(entry)).fold(0, usize::saturating_add);
    let is_little = |part: usize, whole: usize| part.saturating_mul(LITTLE) <= whole;
    // The results of which a step leaves little, and how much that is.
    let large = |step: &Step| -> (Vec<u32>, usize) {
        let written = all(&step.writes);
        let is_large = |read: &u32| writer[*read as usize] != NONE && is_little(written, bytes(*read));
        (step.reads.iter().copied().filter(is_large).collect(), written)
    };
    let large: Vec<(Vec<u32>, usize)> = steps.iter().map(large).collect();
    // What such steps leave of a result all together: many parts of it may be as much as it is.
    let mut left: HashMap<u32, usize> = HashMap::new();
    for (reads, written) in &large {
        for read in reads {
            let left = left.entry(*read).or_default();
            *left = left.saturating_add(*written);
        }
    }
    let mut places: Vec<u32> = steps.iter().map(|step| step.writes[0]).collect();
    let mut early: Vec<(u32, u32)> = Vec::new();
    for ((number, step), (reads, _)) in (0..).zip(steps).zip(&large) {
        let freed = reads.iter().copied().filter(|read| left[read].saturating_mul(2) <= bytes(*read)).max();
        if let Some(freed) = freed.filter(|freed| *freed < step.writes[0]) {
            early.push((freed, number));
        }
    }
    // In their order, so that no step is brought forward twice.
    early.sort_unstable();
    let mut stack = Vec::new();
    for (freed, number) in early {
        stack.push(number);
        while let Some(number) = stack.pop() {
            let place = &mut places[number as usize];
            if *place <= freed {
                continue;
            }
            *place = freed;
            let producers = steps[number as usize].reads.iter().map(|read| writer[*read as usize]);
            let is_light = |step: &Step| is_little(all(&step.reads).saturating_add(all(&step.writes)), bytes(freed));
            stack.extend(producers.filter(|&producer| producer != NONE && is_light(&steps[producer as usize])));
        }
    }
    places
}

/// How many times smaller than a result is what counts as little of it.
const LITTLE: usize = 4;

/// Whether a step is an exchange with other processes.
pub(crate) fn is_exchange(entries: &[Entry], step: &Step) -> bool {
    step.writes.first().is_some_and(|&entry| entries[entry as usize].work == Work::AllReduce)
}

/// For each step, how many exchanges must be over before it may run, one after the other.
fn exchanges_waited_for(followers: &[Vec<u32>], is_exchange: &[bool]) -> Vec<u32> {
    let mut waits = vec![0; followers.len()];
    if !is_exchange.contains(&true) {
        return waits;
    }
    for number in in_order(followers, |number| number) {
        for &follower in &followers[number as usize] {
            // An exchange is begun behind another, but does not wait for its end.
            let further = u32::from(is_exchange[number as usize] && !is_exchange[follower as usize]);
            waits[follower as usize] = waits[follower as usize].max(waits[number as usize] + further);
        }
    }
    waits
}

/// Kahn's algorithm: every step after those that it follows, and among those that may come next the one of the least key.
/// Steps on a cycle, and after one, are left out.
fn in_order<K: Ord>(followers: &[Vec<u32>], key: impl Fn(u32) -> K) -> Vec<u32> {
    let count = followers.len();
    let mut waiting: Vec<u32> = vec![0; count];
    for follower in followers.iter().flatten() {
        waiting[*follower as usize] += 1;
    }
    let mut ready: BinaryHeap<_> = (0..count as u32)
        .filter(|&number| waiting[number as usize] == 0)
        .map(|number| Reverse((key(number), number)))
        .collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse((_, number))) = ready.pop() {
        order.push(number);
        for &follower in &followers[number as usize] {
            waiting[follower as usize] -= 1;
            if waiting[follower as usize] == 0 {
                ready.push(Reverse((key(follower), follower)));
            }
        }
    }
    order
}

/// Which step comes before which, as it grows.
struct Precedence {
    followers: Vec<Vec<u32>>,
    /// A place of each step, greater than that of every step that it follows.
    places: Vec<u32>,
    /// Whether that holds: a step was put after one of a greater place since.
    is_placed: bool,
    /// For each step the search that reached it last.
    reached: Vec<u32>,
    searches: u32,
}

impl Precedence {
    /// Updates are placed as late as may be, so that what they shall come after has lesser places already.
    fn new(followers: Vec<Vec<u32>>, is_update: &[bool]) -> Self {
        let mut places = vec![0; followers.len()];
        for (place, number) in (0..).zip(in_order(&followers, |number| (is_update[number as usize], number))) {
            places[number as usize] = place;
        }
        let reached = vec![0; followers.len()];
        Precedence { followers, places, is_placed: true, reached, searches: 0 }
    }

    /// Makes `step`, which computes the next value of a parameter, run after every other of the steps that read the old value.
    /// Says whether that is possible: not when such a reader needs what `step` computes.
    fn put_after(&mut self, readers: &[u32], step: u32) -> bool {
        let place = |number: u32| self.places[number as usize];
        let last = readers.iter().filter(|&&reader| reader != step).map(|&reader| place(reader)).max();
        let Some(last) = last else { return true };
        // What comes after the step has a greater place than it: no reader does, if none of them is greater.
        if !self.is_placed || last > place(step) {
            self.search(step, last);
            if readers.iter().any(|&reader| reader != step && self.reached[reader as usize] == self.searches) {
                return false;
            }
        }
        self.is_placed &= last < self.places[step as usize];
        for &reader in readers.iter().filter(|&&reader| reader != step) {
            self.followers[reader as usize].push(step);
        }
        true
    }

    /// Marks what comes after `step`, as far as the place `last`.
    fn search(&mut self, step: u32, last: u32) {
        self.searches += 1;
        let mut stack = vec![step];
        while let Some(number) = stack.pop() {
            let is_beyond = self.is_placed && self.places[number as usize] > last;
            if is_beyond || std::mem::replace(&mut self.reached[number as usize], self.searches) == self.searches {
                continue;
            }
            stack.extend(&self.followers[number as usize]);
        }
    }
}
