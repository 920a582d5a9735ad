//! The order of steps.
//!
//! A step runs after the steps whose results it reads, and a step that overwrites a parameter in place after every other
//! step that reads the old value. Among those that may run, updates go first, which frees gradients early; then the order
//! of the graph decides.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::plan::fuse::NONE;
use crate::plan::step::Step;

/// Which entries are the next values of parameters, and whether each may be written over the old one.
pub(crate) struct Updates {
    /// For each update: the entry of the parameter and the entry of its next value.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// For each update: whether the step that computes it writes the parameter's buffer; otherwise a copy does at the end.
    pub(crate) direct: Vec<bool>,
}

/// The steps in the order in which they run.
pub(crate) fn schedule(steps: Vec<Step>, entry_count: usize, updates: &mut Updates) -> Vec<Step> {
    let (writer, mut followers) = dependencies(&steps, entry_count);
    let mut is_update = vec![false; steps.len()];
    for number in 0..updates.pairs.len() {
        let (parameter, next) = updates.pairs[number];
        let step = writer[next as usize];
        updates.direct[number] =
            updates.direct[number] && step != NONE && overwrite(&steps, &mut followers, parameter, step);
        if updates.direct[number] {
            is_update[step as usize] = true;
        }
    }

    let key = |number: u32| (!is_update[number as usize], steps[number as usize].writes[0]);
    let order = in_order(&followers, key);
    debug_assert_eq!(order.len(), steps.len(), "the steps of a plan have no cycle");
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    order.into_iter().filter_map(|number| steps[number as usize].take()).collect()
}

/// Whether steps can be put in order at all.
pub(crate) fn is_acyclic(steps: &[Step], entry_count: usize) -> bool {
    let (_, followers) = dependencies(steps, entry_count);
    in_order(&followers, |number| number).len() == steps.len()
}

/// For each entry the step that computes it, and for each step those that read what it computes.
fn dependencies(steps: &[Step], entry_count: usize) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut writer: Vec<u32> = vec![NONE; entry_count];
    for (number, step) in steps.iter().enumerate() {
        for write in &step.writes {
            writer[*write as usize] = number as u32;
        }
    }
    let mut followers: Vec<Vec<u32>> = vec![Vec::new(); steps.len()];
    for (number, step) in steps.iter().enumerate() {
        for read in &step.reads {
            let producer = writer[*read as usize];
            if producer != NONE {
                followers[producer as usize].push(number as u32);
            }
        }
    }
    (writer, followers)
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

/// Makes `step`, which computes the next value of `parameter`, run after every other reader of the old value. Says whether
/// that is possible: not when such a reader needs what `step` computes.
fn overwrite(steps: &[Step], followers: &mut [Vec<u32>], parameter: u32, step: u32) -> bool {
    let readers: Vec<u32> = (0..steps.len() as u32)
        .filter(|&reader| reader != step && steps[reader as usize].reads.contains(&parameter))
        .collect();
    let mut reached = vec![false; steps.len()];
    let mut stack = vec![step];
    while let Some(number) = stack.pop() {
        if std::mem::replace(&mut reached[number as usize], true) {
            continue;
        }
        stack.extend(&followers[number as usize]);
    }
    if readers.iter().any(|&reader| reached[reader as usize]) {
        return false;
    }
    for reader in readers {
        followers[reader as usize].push(step);
    }
    true
}
