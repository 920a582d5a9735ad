//! The error scopes of a browser's device, which are answered later and in their order.
//!
//! Whoever awaits something waits for those that were closed before it as well: so an error comes with what it belongs to, or earlier.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many scopes were closed, and what of them is known.
#[derive(Default)]
pub(super) struct Scopes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: u64,
    answered: u64,
    wakers: Vec<Waker>,
}

impl Scopes {
    /// A scope was closed.
    pub(super) fn ask(&self) {
        self.lock().asked += 1;
    }

    /// It is known what the next scope caught.
    pub(super) fn answer(&self) {
        let mut state = self.lock();
        state.answered += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many were closed.
    pub(super) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// Whether so many are answered; else whoever polls is woken.
    pub(super) fn poll(&self, scopes: u64, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.answered >= scopes {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_waits_for_the_scopes_before_it_alone() {
        let scopes = Scopes::default();
        let context = Context::from_waker(Waker::noop());
        scopes.ask();
        let first = scopes.asked();
        scopes.ask();
        assert!(scopes.poll(0, &context).is_ready());
        assert!(scopes.poll(first, &context).is_pending());
        scopes.answer();
        assert!(scopes.poll(first, &context).is_ready());
        assert!(scopes.poll(scopes.asked(), &context).is_pending());
        scopes.answer();
        assert!(scopes.poll(scopes.asked(), &context).is_ready());
    }
}
