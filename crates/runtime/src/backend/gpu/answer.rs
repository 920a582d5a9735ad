//! What the device will say of something that it was asked, for one who waits for it: a thread that blocks, or a future that is polled.
//!
//! It is said once, from whichever thread the device calls back on. Nothing here knows what was asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// What is said: that it is done; or that it failed, with the reason if there is one beside the device's own.
pub(super) type Said = Result<(), Option<Error>>;

/// The place where an answer is left.
#[derive(Default)]
pub(super) struct Answer {
    state: Mutex<State>,
    #[cfg(not(target_family = "wasm"))]
    changed: std::sync::Condvar,
}

enum State {
    /// Nothing has been said, and this is to be woken then.
    Open(Option<Waker>),
    Said(Said),
    /// Nobody will ask any more.
    Abandoned,
}

impl Default for State {
    fn default() -> Self {
        State::Open(None)
    }
}

impl Answer {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Leaves an answer, the first one, and says whether somebody will ask for it.
    pub(super) fn say(&self, said: Said) -> bool {
        let mut state = self.lock();
        match &mut *state {
            State::Open(waker) => {
                let waker = waker.take();
                *state = State::Said(said);
                drop(state);
                #[cfg(not(target_family = "wasm"))]
                self.changed.notify_all();
                if let Some(waker) = waker {
                    waker.wake();
                }
                true
            }
            State::Said(_) => true,
            State::Abandoned => false,
        }
    }

    /// What was said, if anything was.
    pub(super) fn said(&self) -> Option<Said> {
        match &*self.lock() {
            State::Said(said) => Some(said.clone()),
            State::Open(_) | State::Abandoned => None,
        }
    }

    /// What was said; else whoever polls is woken when it is.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Said> {
        match &mut *self.lock() {
            State::Said(said) => Poll::Ready(said.clone()),
            State::Open(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            State::Abandoned => Poll::Pending,
        }
    }

    /// Waits so long for what is said.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn wait(&self, limit: std::time::Duration) -> Option<Said> {
        let is_open = |state: &mut State| matches!(state, State::Open(_));
        let (state, _) =
            self.changed.wait_timeout_while(self.lock(), limit, is_open).unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Said(said) => Some(said.clone()),
            State::Open(_) | State::Abandoned => None,
        }
    }

    /// Says that nobody will ask any more, and returns what was said before that.
    pub(super) fn abandon(&self) -> Option<Said> {
        match std::mem::replace(&mut *self.lock(), State::Abandoned) {
            State::Said(said) => Some(said),
            State::Open(_) | State::Abandoned => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_polls_is_woken_once_and_the_first_answer_counts() {
        let (answer, count) = (Answer::new(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert!(answer.poll(&context).is_pending());
        assert!(answer.poll(&context).is_pending());
        assert!(answer.say(Ok(())));
        assert!(answer.say(Err(None)));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(answer.poll(&context), Poll::Ready(Ok(())));
        assert_eq!(answer.said(), Some(Ok(())));
    }

    #[test]
    fn what_nobody_asks_for_is_told_to_who_says_it() {
        let answer = Answer::new();
        assert_eq!(answer.abandon(), None);
        assert!(!answer.say(Ok(())));
        let answer = Answer::new();
        assert!(answer.say(Err(None)));
        assert_eq!(answer.abandon(), Some(Err(None)));
    }

    #[test]
    fn a_thread_waits_until_it_is_said_and_no_longer_than_it_may() {
        let answer = Answer::new();
        assert_eq!(answer.wait(Duration::from_millis(1)), None);
        let other = Arc::clone(&answer);
        let thread = std::thread::spawn(move || other.say(Ok(())));
        assert_eq!(answer.wait(Duration::from_secs(60)), Some(Ok(())));
        assert!(thread.join().unwrap());
    }
}
