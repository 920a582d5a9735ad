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
    let mut is_update = vec![false; steps.len()];
    for number in 0..updates.pairs.len() {
        let (parameter, next) = updates.pairs[number];
        let step = writer[next as usize];
        updates.direct[number] &= step != NONE && overwrite(&steps, &mut followers, parameter, step);
        if updates.direct[number] {
            is_update[step as usize] = true;
        }
    }

    let mut waiting: Vec<u32> = vec![0; steps.len()];
    for follower in followers.iter().flatten() {
        waiting[*follower as usize] += 1;
    }
    let key = |number: u32| Reverse((!is_update[number as usize], steps[number as usize].writes[0], number));
    let mut ready: BinaryHeap<_> =
        (0..steps.len() as u32).filter(|&number| waiting[number as usize] == 0).map(key).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse((_, _, number))) = ready.pop() {
        order.push(number);
        for &follower in &followers[number as usize] {
            waiting[follower as usize] -= 1;
            if waiting[follower as usize] == 0 {
                ready.push(key(follower));
            }
        }
    }
    debug_assert_eq!(order.len(), steps.len(), "the steps of a plan have no cycle");
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    order.into_iter().filter_map(|number| steps[number as usize].take()).collect()
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
