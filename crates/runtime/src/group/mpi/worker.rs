//! The thread that makes all calls of MPI.
//!
//! Invariants: exchanges are begun in the order in which they were asked for; the memory of one that does not end is never freed; once a
//! member is lost, every exchange that is under way or asked for later ends with the same error. MPI is finalised only if every member
//! has said goodbye: it would wait for a lost one for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use super::Limits;
use super::library::{Calls, Request};
use super::watch::{self, Watch};
use crate::group::{Done, Exchange, GroupError, Values};

/// How long an exchange that nobody waits for is left alone between two looks.
const PAUSE: Duration = Duration::from_micros(50);

/// How often an exchange that somebody waits for is looked after before the processor is offered to others.
const LOOKS: u32 = 64;

/// How long a member that has left properly may be behind with what it sent: what it gave to its system before it left may still be on its way.
const GRACE: Duration = Duration::from_secs(5);

/// What the thread is told.
pub(super) enum Message {
    Job(Job),
    Quit,
}

/// An exchange that somebody asks for.
pub(super) struct Job {
    pub(super) exchange: Exchange,
    pub(super) values: Values,
    pub(super) reply: Sender<Result<Done, GroupError>>,
}

/// What is known when MPI has started.
pub(super) struct Started {
    pub(super) rank: usize,
    pub(super) size: usize,
    /// The number among the members on this host.
    pub(super) local_rank: usize,
    pub(super) watch: Arc<Watch>,
}

/// An exchange under way.
struct UnderWay {
    request: Box<dyn Request>,
    exchange: Exchange,
    bytes: usize,
    begun: Instant,
    reply: Sender<Result<Done, GroupError>>,
}

struct Worker<'a> {
    calls: Box<dyn Calls>,
    limits: Limits,
    watch: Arc<Watch>,
    size: usize,
    own: usize,
    under_way: Vec<UnderWay>,
    /// When the last exchange ended: one behind it could not end before.
    last_end: Instant,
    failed: Option<GroupError>,
    is_awaited: &'a AtomicBool,
}

/// Starts MPI, says so, and makes exchanges until it is told to quit.
pub(super) fn run(
    calls: Box<dyn Calls>,
    limits: Limits,
    messages: &Receiver<Message>,
    is_awaited: &AtomicBool,
    ready: &Sender<Result<Started, GroupError>>,
) {
    let started = calls.start().and_then(|(rank, size)| {
        let gather = |text: Vec<u8>| at_once(&*calls, Exchange::Gather, Values::from(text), size)?.to_bytes();
        let (local_rank, watch) = watch::connect(rank, size, limits.silence, gather)?;
        Ok((rank, size, local_rank, watch))
    });
    let (rank, size, local_rank, watch) = match started {
        Ok(started) => started,
        Err(error) => {
            // The receiver waits for this.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(Started { rank, size, local_rank, watch: Arc::clone(&watch) }));
    let (under_way, last_end, failed) = (Vec::new(), Instant::now(), None);
    let mut worker = Worker { calls, limits, watch, size, own: rank, under_way, last_end, failed, is_awaited };
    worker.work(messages);
    worker.quit();
}

/// Makes an exchange while nothing else is to be done.
fn at_once(calls: &dyn Calls, exchange: Exchange, values: Values, size: usize) -> Result<Values, GroupError> {
    let mut request = calls.begin(exchange, values, size)?;
    loop {
        if let Some(values) = request.test()? {
            return Ok(values);
        }
        std::thread::sleep(PAUSE);
    }
}

impl Worker<'_> {
    fn work(&mut self, messages: &Receiver<Message>) {
        let mut looks = 0;
        loop {
            let message = if self.under_way.is_empty() {
                messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if self.is_awaited.load(Ordering::Relaxed) {
                looks += 1;
                if looks % LOOKS == 0 {
                    std::thread::yield_now();
                }
                messages.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                messages.recv_timeout(PAUSE)
            };
            match message {
                Ok(Message::Job(job)) => self.begin(job),
                Ok(Message::Quit) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look();
        }
    }

    fn begin(&mut self, Job { exchange, values, reply }: Job) {
        let failed = self.failed.clone().or_else(|| self.watch.lost());
        if let Some(error) = failed {
            let _ = reply.send(Err(error));
            return;
        }
        let bytes = values.bytes();
        match self.calls.begin(exchange, values, self.size) {
            Ok(request) => {
                self.under_way.push(UnderWay { request, exchange, bytes, begun: Instant::now(), reply });
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Looks after what is under way.
    fn look(&mut self) {
        let mut failed = None;
        // In order, so that what was begun first is answered first.
        let mut place = 0;
        while place < self.under_way.len() {
            match self.under_way[place].request.test() {
                Ok(None) => place += 1,
                Ok(Some(values)) => {
                    let UnderWay { begun, reply, .. } = self.under_way.remove(place);
                    self.last_end = Instant::now();
                    // Nobody may want it any more.
                    let _ = reply.send(Ok(Done { values, took: begun.elapsed() }));
                }
                Err(error) => {
                    // A call that fails because a member died is told as that, which may be known a moment later.
                    std::thread::sleep(Duration::from_millis(500));
                    failed = Some(self.watch.lost().unwrap_or(error));
                    break;
                }
            }
        }
        if let Some(error) = failed.or_else(|| self.ended()) {
            self.fail(error);
        }
    }

    /// Why what is under way will not end, if that is so.
    fn ended(&self) -> Option<GroupError> {
        let oldest = self.under_way.first()?;
        if let Some(error) = self.watch.lost() {
            return Some(error);
        }
        // An exchange that waited behind others has had no time of its own until the last of them ended.
        let begun = oldest.begun.max(self.last_end);
        if let Some((left, error)) = self.watch.left()
            && begun.max(left).elapsed() > GRACE
        {
            return Some(error);
        }
        if begun.elapsed() > self.limits.exchange {
            let (exchange, bytes) = (oldest.exchange.to_string(), oldest.bytes);
            let (seconds, size, own) = (self.limits.exchange.as_secs(), self.size, self.own);
            return Some(GroupError::TimedOut { exchange, bytes, seconds, size, own });
        }
        None
    }

    fn fail(&mut self, error: GroupError) {
        for UnderWay { request, reply, .. } in self.under_way.drain(..) {
            request.leak();
            let _ = reply.send(Err(error.clone()));
        }
        self.failed = Some(error);
    }

    /// Leaves the group.
    fn quit(&mut self) {
        // What is sent to others may not have left this process yet, and they wait for it.
        let go_on = || self.calls.progress();
        let is_whole = self.failed.is_none() && self.under_way.is_empty() && self.watch.say_goodbye(go_on);
        for UnderWay { request, .. } in self.under_way.drain(..) {
            request.leak();
        }
        if is_whole {
            // Nobody is left to be told of a failure.
            let _ = self.calls.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::{GRACE, UnderWay, Watch, Worker};
    use crate::group::mpi::Limits;
    use crate::group::mpi::library::{Calls, Request};
    use crate::group::{Exchange, GroupError, Values};

    /// A library that is never called.
    struct Uncalled;

    impl Calls for Uncalled {
        fn version(&self) -> &str {
            "none"
        }

        fn start(&self) -> Result<(usize, usize), GroupError> {
            unreachable!()
        }

        fn progress(&self) {}

        fn begin(&self, _: Exchange, _: Values, _: usize) -> Result<Box<dyn Request>, GroupError> {
            unreachable!()
        }

        fn finish(&self) -> Result<(), GroupError> {
            unreachable!()
        }
    }

    impl Request for Uncalled {
        fn test(&mut self) -> Result<Option<Values>, GroupError> {
            Ok(None)
        }

        fn leak(self: Box<Self>) {}
    }

    /// Why an exchange that was begun so long ago does not end, if the other member left so long ago, and the last exchange ended so long ago.
    fn ended([begun, left, last_end]: [Duration; 3]) -> Option<GroupError> {
        let now = Instant::now();
        let ago = |duration: Duration| now.checked_sub(duration).expect("the clock began before");
        let (reply, _waits) = channel();
        let is_awaited = AtomicBool::new(false);
        let (request, exchange) = (Box::new(Uncalled), Exchange::Sum);
        let worker = Worker {
            calls: Box::new(Uncalled),
            limits: Limits { exchange: Duration::from_secs(20), ..Limits::default() },
            watch: Arc::new(Watch::of_one_that_left(ago(left))),
            size: 2,
            own: 0,
            under_way: vec![UnderWay { request, exchange, bytes: 4, begun: ago(begun), reply }],
            last_end: ago(last_end),
            failed: None,
            is_awaited: &is_awaited,
        };
        worker.ended()
    }

    #[test]
    fn one_that_has_left_may_be_behind_from_then_on() {
        let (little, long) = (Duration::from_millis(10), GRACE + Duration::from_secs(1));
        assert_eq!(ended([long, little, long]), None, "it left just now, and what it sent is on its way");
        assert_eq!(ended([little, long, long]), None);
        assert_eq!(ended([long, long, little]), None, "what was before it has just ended");
        assert!(matches!(ended([long, long, long]), Some(GroupError::RankLeft { rank: 1, .. })));
    }

    #[test]
    fn what_waits_behind_others_has_its_whole_time() {
        let (little, long) = (Duration::from_millis(10), Duration::from_secs(30));
        assert_eq!(ended([long, little, little]), None);
        assert!(matches!(ended([long, little, long]), Some(GroupError::TimedOut { .. })));
    }
}
