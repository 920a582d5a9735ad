//! A group of threads of one process.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Done, Exchange, Group, GroupError, Pending, Values};

/// How long a thread waits for one that neither comes nor ends.
const PATIENCE: Duration = Duration::from_secs(600);

/// A member of a group whose members are threads of one process: for programs that drive several devices, and to try out a program of many
/// processes without starting them.
///
/// A member that is dropped has left the group. Sums are added in the order of the ranks.
pub struct Threads {
    rank: usize,
    shared: Arc<Shared>,
}

struct Shared {
    size: usize,
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The exchanges that are not over, by their numbers.
    exchanges: HashMap<u64, Meeting>,
    /// The number of each member's next exchange.
    next: Vec<u64>,
    /// Why members take part no more.
    gone: Vec<Option<String>>,
}

/// An exchange, and what was brought to it.
struct Meeting {
    exchange: Exchange,
    brought: Vec<Option<Values>>,
    result: Option<Result<Values, GroupError>>,
    /// How many members have taken the result.
    taken: usize,
}

impl Threads {
    /// The members of a group of so many, by rank: one for each thread.
    #[must_use]
    pub fn new(size: usize) -> Vec<Threads> {
        Threads::with_patience(size, PATIENCE)
    }

    /// The members of a group in which nobody waits longer than that for a member that does something else.
    #[must_use]
    pub fn with_patience(size: usize, patience: Duration) -> Vec<Threads> {
        let state = State { exchanges: HashMap::new(), next: vec![0; size], gone: vec![None; size] };
        let shared = Arc::new(Shared { size, patience, state: Mutex::new(state), changed: Condvar::new() });
        (0..size).map(|rank| Threads { rank, shared: Arc::clone(&shared) }).collect()
    }

    fn leave(&self, reason: &str) {
        let mut state = self.shared.lock();
        state.gone[self.rank].get_or_insert_with(|| reason.to_owned());
        self.shared.changed.notify_all();
    }
}

impl Group for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.size
    }

    fn begin(&self, exchange: Exchange, values: Values) -> Pending {
        let begun = Instant::now();
        let bytes = values.bytes();
        let number = {
            let mut state = self.shared.lock();
            let number = state.next[self.rank];
            state.next[self.rank] += 1;
            let size = self.shared.size;
            let meeting = state.exchanges.entry(number).or_insert_with(|| Meeting {
                exchange,
                brought: vec![None; size],
                result: None,
                taken: 0,
            });
            meeting.bring(self.rank, exchange, values);
            number
        };
        self.shared.changed.notify_all();
        let (shared, rank) = (Arc::clone(&self.shared), self.rank);
        Pending::new(move || {
            let values = shared.wait(number, rank, exchange, bytes)?;
            Ok(Done { values, took: begun.elapsed() })
        })
    }

    fn abandon(&self, reason: &str) {
        self.leave(reason);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.leave(if std::thread::panicking() { "its thread panicked" } else { "its thread is done" });
    }
}

impl Meeting {
    fn bring(&mut self, rank: usize, exchange: Exchange, values: Values) {
        let describe = |exchange: Exchange, values: &Values| {
            format!("{exchange} of {} values of type {}", values.len(), values.type_name())
        };
        let other = self.brought.iter().enumerate().find_map(|(rank, values)| Some((rank, values.as_ref()?)));
        if let Some((other, known)) = other {
            let is_same =
                exchange == self.exchange && known.len() == values.len() && known.type_name() == values.type_name();
            if !is_same {
                let (theirs, ours) = (describe(exchange, &values), describe(self.exchange, known));
                self.result = Some(Err(GroupError::StepsDiffer { rank, own: other, theirs, ours }));
            }
        }
        self.brought[rank] = Some(values);
        if self.result.is_none() && self.brought.iter().all(Option::is_some) {
            self.result = Some(self.outcome());
        }
    }

    /// What all members get.
    fn outcome(&mut self) -> Result<Values, GroupError> {
        let mut all = self.brought.iter().flatten();
        let Some(first) = all.next() else { return Ok(Values::from(Vec::<u8>::new())) };
        match self.exchange {
            Exchange::Sum if !first.is_number() => Err(GroupError::NoSum { what: "sum", values: first.type_name() }),
            Exchange::Sum => {
                let mut sum = first.clone();
                all.for_each(|values| sum.add(values));
                Ok(sum)
            }
            Exchange::Gather => {
                let mut list = first.clone();
                all.for_each(|values| list.append(values));
                Ok(list)
            }
            Exchange::Broadcast { root } => {
                let root = self.brought.get(root).cloned().flatten();
                Ok(root.unwrap_or_else(|| Values::from(Vec::<u8>::new())))
            }
            Exchange::Barrier => Ok(Values::from(Vec::<u8>::new())),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What is shared is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of the exchange of that number, when all have brought what they have.
    fn wait(&self, number: u64, own: usize, exchange: Exchange, bytes: usize) -> Result<Values, GroupError> {
        let begun = Instant::now();
        let size = self.size;
        let mut state = self.lock();
        loop {
            let State { exchanges, gone, .. } = &mut *state;
            let Some(meeting) = exchanges.get_mut(&number) else {
                unreachable!("an exchange is kept until all have taken its result")
            };
            if let Some(result) = &meeting.result {
                let result = result.clone();
                meeting.taken += 1;
                if meeting.taken == size {
                    exchanges.remove(&number);
                }
                return result;
            }
            let missing = |&rank: &usize| gone[rank].is_some() && meeting.brought[rank].is_none();
            if let Some(rank) = (0..size).find(missing) {
                let reason = gone[rank].clone().unwrap_or_default();
                return Err(GroupError::RankLeft { rank, size, own, reason });
            }
            let left = self.patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let (exchange, seconds) = (exchange.to_string(), self.patience.as_secs());
                return Err(GroupError::TimedOut { exchange, bytes, seconds, size, own });
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
