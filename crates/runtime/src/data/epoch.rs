//! The batches of one epoch, made when they are asked for or before that, on a thread.
//!
//! The thread lives no longer than its iterator: it ends when it has made the last batch, or failed, or when nobody can ask any
//! more, which it learns when it hands over what it has just made.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::DataError;
use super::batch::Batch;
use super::batches::Position;
use crate::error::Error;

/// The most batches that are made before they are asked for. As many in memory take more than any host has, or are so small that more
/// gain nothing.
const MOST_AHEAD: usize = 1 << 14;

/// Makes the batch of that number.
pub(super) type Maker = Box<dyn Fn(u64) -> Result<Batch, Error> + Send>;

/// An iterator over the batches of an epoch: see [`Batches`](super::Batches). It ends behind an error.
pub struct Epoch {
    position: Position,
    batches: u64,
    state: State,
}

enum State {
    /// What went wrong before there was a batch.
    Failed(Error),
    /// Batches are made when they are asked for.
    Asked(Maker),
    Prefetched(Prefetch),
    Ended,
}

impl Epoch {
    pub(super) fn new(maker: Maker, position: Position, batches: u64, prefetch: usize) -> Self {
        if position.batch == batches {
            let position = Position::start_of(position.epoch.saturating_add(1));
            return Epoch { position, batches: 0, state: State::Ended };
        }
        let state = match prefetch {
            0 => State::Asked(maker),
            _ => match Prefetch::start(maker, position.batch..batches, prefetch) {
                Ok(prefetch) => State::Prefetched(prefetch),
                Err(error) => State::Failed(error),
            },
        };
        Epoch { position, batches, state }
    }

    pub(super) fn failed(error: Error, position: Position) -> Self {
        Epoch { position, batches: position.batch.saturating_add(1), state: State::Failed(error) }
    }

    /// The position of the batch that comes next: behind the last one, the start of the next epoch. It goes into a checkpoint, and
    /// [`Batches::resume`](super::Batches::resume) goes on from it.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.position.batch;
        let made = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return None,
            State::Failed(error) => return Some(Err(error)),
            State::Asked(maker) => {
                let made = maker(batch);
                self.state = State::Asked(maker);
                made
            }
            State::Prefetched(prefetch) => {
                let made = prefetch.next(batch);
                self.state = State::Prefetched(prefetch);
                made
            }
        };
        if made.is_err() {
            self.state = State::Ended;
            return Some(made);
        }
        self.position.batch += 1;
        if self.position.batch == self.batches {
            self.position = Position::start_of(self.position.epoch.saturating_add(1));
            self.batches = 0;
            self.state = State::Ended;
        }
        Some(made)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.state {
            State::Ended => (0, Some(0)),
            State::Failed(_) => (1, Some(1)),
            // An error ends an epoch early.
            State::Asked(_) | State::Prefetched(_) => {
                let left = self.batches.saturating_sub(self.position.batch);
                (1, Some(usize::try_from(left).unwrap_or(usize::MAX)))
            }
        }
    }
}

impl std::iter::FusedIterator for Epoch {}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoch")
            .field("position", &self.position)
            .field("batches", &self.batches)
            .finish_non_exhaustive()
    }
}

/// A thread that makes batches before they are asked for.
struct Prefetch {
    /// Taken out to be dropped before the thread is waited for: the thread ends when nobody can receive.
    made: Option<Receiver<Result<Batch, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    fn start(maker: Maker, batches: std::ops::Range<u64>, ahead: usize) -> Result<Self, Error> {
        // One more is being made, or waits to be handed over, while the channel is full.
        let left = usize::try_from(batches.end.saturating_sub(batches.start)).unwrap_or(usize::MAX);
        // A channel takes room for all that it may hold.
        let (send, receive) = sync_channel(ahead.min(left.max(1)).min(MOST_AHEAD) - 1);
        let spawned = std::thread::Builder::new()
            .name("arenagrad batches".to_owned())
            .spawn(move || make_all(&maker, batches, &send));
        match spawned {
            Ok(thread) => Ok(Prefetch { made: Some(receive), thread: Some(thread) }),
            Err(error) => Err(DataError::Thread { reason: error.to_string() }.into()),
        }
    }

    fn next(&self, batch: u64) -> Result<Batch, Error> {
        let received = self.made.as_ref().and_then(|made| made.recv().ok());
        // A thread that ends hands over an error first, unless it was killed from outside.
        received.unwrap_or_else(|| {
            let message = "it ended without a word".to_owned();
            Err(DataError::Panicked { batch, message }.into())
        })
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.made = None;
        if let Some(thread) = self.thread.take() {
            // It catches panics, so there is nothing to learn from its end.
            let _ = thread.join();
        }
    }
}

fn make_all(maker: &Maker, batches: std::ops::Range<u64>, made: &SyncSender<Result<Batch, Error>>) {
    for batch in batches {
        // The batch is gone after a panic, and what the closures of the caller share is not used again here.
        let result = catch_unwind(AssertUnwindSafe(|| maker(batch)))
            .unwrap_or_else(|panic| Err(DataError::Panicked { batch, message: message(panic.as_ref()) }.into()));
        let is_last = result.is_err();
        if made.send(result).is_err() || is_last {
            return;
        }
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
