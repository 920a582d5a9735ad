//! Results that will come: what every call gives that has something to wait for.
//!
//! A [`Pending`] borrows nothing and needs no executor of a certain kind: it is a plain future, which the device wakes. The calls that
//! block are made of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "gpu")]
use arenagrad_graph::Elements;

#[cfg(feature = "gpu")]
use crate::backend::gpu::Arrival;
use crate::error::Error;

/// A result that will come: await it, or wait for it by [`Pending::wait`].
///
/// The call that gives it has done all that needs no waiting: what was passed is checked, and the work is submitted. So
/// several results may be under way, and they come in the order of the calls. What the call refuses is the result, and nothing
/// was submitted then. Whoever drops it does without the result; the work is done all the same. On the CPU a result is there at once.
///
/// ```
/// use arenagrad::{Device, Error, Graph, Init, Session, Sgd, Tensor};
///
/// async fn train(session: &mut Session, x: &Tensor) -> Result<f64, Error> {
///     let first = session.step_async(&[("x", x)]);
///     let second = session.step_async(&[("x", x)]); // both are under way
///     first.await?;
///     second.await
/// }
///
/// let g = Graph::new();
/// let (x, w) = (g.input("x", [2]), g.parameter("w", [], Init::Constant(3.0)));
/// let mut session = Session::train(&g, (w * x).square().mean(..), Sgd::new(0.1), Device::cpu())?;
/// let x = Tensor::new([2], vec![1.0f32, 2.0])?;
/// // Any executor does; on the CPU the first poll is the last.
/// let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// let polled = Box::pin(train(&mut session, &x)).as_mut().poll(&mut context);
/// assert!(matches!(polled, std::task::Poll::Ready(Ok(loss)) if loss < 22.5));
/// assert!(session.parameter_async("w").wait()?.item()? < 3.0);
/// # use std::future::Future;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "the result comes to whoever awaits it, and with it what may have gone wrong"]
pub struct Pending<T> {
    state: State<T>,
}

// Without a GPU every result is there at once, and there is no larger variant to be weighed against.
#[cfg_attr(not(feature = "gpu"), expect(clippy::large_enum_variant))]
enum State<T> {
    Here(Result<T, Error>),
    #[cfg(feature = "gpu")]
    Coming(Box<Coming<T>>),
    Taken,
}

/// Elements on their way to the host, in one part or several, and what is made of them all.
#[cfg(feature = "gpu")]
struct Coming<T> {
    /// What has not arrived yet, the last first.
    arrivals: Vec<Arrival>,
    arrived: Vec<Elements>,
    make: Box<Make<T>>,
}

#[cfg(feature = "gpu")]
type Make<T> = dyn FnOnce(Vec<Elements>) -> Result<T, Error> + Send;

impl<T> Pending<T> {
    /// Blocks until the result is there, and returns it.
    ///
    /// A page in a browser must not block: a result of its GPU that has not come yet is [`Error::CannotWait`] there, and lost.
    pub fn wait(self) -> Result<T, Error> {
        match self.state {
            State::Here(result) => result,
            #[cfg(feature = "gpu")]
            State::Coming(coming) => {
                let Coming { mut arrivals, mut arrived, make } = *coming;
                while let Some(arrival) = arrivals.pop() {
                    arrived.extend(arrival.wait()?);
                }
                make(arrived)
            }
            State::Taken => Err(Error::ResultTaken),
        }
    }

    /// A result that is there.
    pub(crate) fn here(result: Result<T, Error>) -> Self {
        Pending { state: State::Here(result) }
    }

    /// What a call gives that may be refused.
    pub(crate) fn of(begun: Result<Pending<T>, Error>) -> Self {
        begun.unwrap_or_else(|error| Pending::here(Err(error)))
    }

    /// What `make` makes of all elements that will arrive.
    #[cfg(feature = "gpu")]
    pub(crate) fn coming(
        mut arrivals: Vec<Arrival>,
        make: impl FnOnce(Vec<Elements>) -> Result<T, Error> + Send + 'static,
    ) -> Self {
        arrivals.reverse();
        Pending { state: State::Coming(Box::new(Coming { arrivals, arrived: Vec::new(), make: Box::new(make) })) }
    }

    /// What `make` makes of the result.
    pub(crate) fn then<R>(self, make: impl FnOnce(T) -> Result<R, Error> + Send + 'static) -> Pending<R>
    where
        T: 'static,
    {
        let state = match self.state {
            State::Here(result) => State::Here(result.and_then(make)),
            #[cfg(feature = "gpu")]
            State::Coming(coming) => {
                let Coming { arrivals, arrived, make: before } = *coming;
                let make = Box::new(|elements| before(elements).and_then(make));
                State::Coming(Box::new(Coming { arrivals, arrived, make }))
            }
            State::Taken => State::Taken,
        };
        Pending { state }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Only the CPU's results do without waking.
        let _ = &context;
        match std::mem::replace(&mut this.state, State::Taken) {
            State::Here(result) => Poll::Ready(result),
            #[cfg(feature = "gpu")]
            State::Coming(mut coming) => {
                while let Some(arrival) = coming.arrivals.last_mut() {
                    match arrival.poll(context) {
                        Poll::Ready(Ok(elements)) => coming.arrived.extend(elements),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => {
                            this.state = State::Coming(coming);
                            return Poll::Pending;
                        }
                    }
                    coming.arrivals.pop();
                }
                Poll::Ready((coming.make)(coming.arrived))
            }
            State::Taken => Poll::Ready(Err(Error::ResultTaken)),
        }
    }
}

/// Nothing in it is ever pinned.
impl<T> Unpin for Pending<T> {}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Here(_) => "here",
            #[cfg(feature = "gpu")]
            State::Coming(_) => "coming",
            State::Taken => "taken",
        };
        f.debug_struct("Pending").field("state", &state).finish()
    }
}
