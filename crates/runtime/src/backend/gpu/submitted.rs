//! Work that was submitted, and how one learns that it is done: by blocking where there are threads, by being woken everywhere.
//!
//! A browser tells it through promises. Elsewhere a device says nothing by itself and somebody has to ask it: the thread that blocks, or
//! for futures one thread a device, which is started when the first is polled and ends with the device.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::answer::{Answer, Said};
use super::clock::Begun;
use super::device::GpuDevice;
use crate::error::Error;

/// Everything that was submitted up to a point.
pub(super) struct Submitted {
    device: GpuDevice,
    /// Up to which submission; none for all that there are.
    #[cfg(not(target_family = "wasm"))]
    index: Option<wgpu::SubmissionIndex>,
    answer: Arc<Answer>,
    /// Whether the answer comes from somewhere else, and later than the work is done.
    #[cfg(not(target_family = "wasm"))]
    is_answered_apart: bool,
    /// Whether the device has been asked.
    #[cfg(not(target_family = "wasm"))]
    is_asked: bool,
    /// How many error scopes were closed before, whose errors belong to this.
    #[cfg(target_family = "wasm")]
    scopes: u64,
    /// When it began, if that is to be measured.
    begun: Option<Begun>,
}

impl Submitted {
    /// What was submitted up to that submission, which was the last; none if there was none of its own.
    pub(super) fn new(device: &GpuDevice, index: Option<wgpu::SubmissionIndex>) -> Self {
        let submitted = Submitted::answered_by(device, index, Answer::new(), false);
        #[cfg(target_family = "wasm")]
        {
            let answer = Arc::clone(&submitted.answer);
            device.queue().on_submitted_work_done(move || {
                answer.say(Ok(()));
            });
        }
        submitted
    }

    /// The same where something that comes after the work leaves the answer.
    pub(super) fn answered_apart(device: &GpuDevice, index: wgpu::SubmissionIndex, answer: Arc<Answer>) -> Self {
        Submitted::answered_by(device, Some(index), answer, true)
    }

    fn answered_by(
        device: &GpuDevice,
        index: Option<wgpu::SubmissionIndex>,
        answer: Arc<Answer>,
        is_answered_apart: bool,
    ) -> Self {
        // A browser's submissions have no numbers, and every answer comes by itself.
        #[cfg(target_family = "wasm")]
        let (_, _) = (index, is_answered_apart);
        Submitted {
            #[cfg(target_family = "wasm")]
            scopes: device.scopes(),
            device: device.clone(),
            #[cfg(not(target_family = "wasm"))]
            index,
            answer,
            #[cfg(not(target_family = "wasm"))]
            is_answered_apart,
            #[cfg(not(target_family = "wasm"))]
            is_asked: false,
            begun: None,
        }
    }

    /// Measures how long it takes from then on.
    pub(super) fn measured(self, begun: Option<Begun>) -> Self {
        Submitted { begun, ..self }
    }

    pub(super) fn device(&self) -> &GpuDevice {
        &self.device
    }

    /// What was said before it was given up; nothing will be asked any more.
    pub(super) fn abandon(&self) -> Option<Said> {
        self.answer.abandon()
    }

    /// Blocks until it is done.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn wait(&mut self) -> Result<(), Error> {
        self.device.wait_for(self.index.clone())?;
        if !self.is_answered_apart {
            return self.done(Ok(()));
        }
        // Another thread that polls the same device at this moment may be the one that leaves the answer.
        match self.answer.wait(super::device::ANSWER_LIMIT) {
            Some(said) => self.done(said),
            None => self.device.give_up(),
        }
    }

    /// A page must not wait: it is done, or that is an error.
    #[cfg(target_family = "wasm")]
    pub(super) fn wait(&mut self) -> Result<(), Error> {
        match self.answer.said() {
            Some(said) => self.done(said),
            None => Err(Error::CannotWait { what: String::from("Pending::wait") }),
        }
    }

    /// Whether it is done; else whoever polls is woken when it is.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        #[cfg(not(target_family = "wasm"))]
        if !self.is_asked && self.answer.said().is_none() {
            self.is_asked = true;
            self.device.ask(Question {
                device: self.device.clone(),
                index: self.index.clone(),
                answer: Arc::clone(&self.answer),
                is_answered_apart: self.is_answered_apart,
            });
        }
        let said = ready!(self.answer.poll(context));
        // Errors come on another way than the end of the work.
        #[cfg(target_family = "wasm")]
        ready!(self.device.poll_scopes(self.scopes, context));
        Poll::Ready(self.done(said))
    }

    fn done(&mut self, said: Said) -> Result<(), Error> {
        if let Some(begun) = self.begun.take() {
            begun.end();
        }
        match said {
            Ok(()) => self.device.check(),
            Err(Some(error)) => Err(error),
            Err(None) => {
                self.device.check()?;
                let reason = String::from("the results could not be mapped into host memory");
                if cfg!(target_family = "wasm") {
                    // Nothing but a loss does this there, and the loss itself may be told later.
                    self.device.lose(reason);
                    return self.device.check();
                }
                Err(self.device.error(reason))
            }
        }
    }
}

/// Asks a device to say when something is done.
#[cfg(not(target_family = "wasm"))]
pub(super) struct Question {
    device: GpuDevice,
    index: Option<wgpu::SubmissionIndex>,
    answer: Arc<Answer>,
    is_answered_apart: bool,
}

#[cfg(not(target_family = "wasm"))]
impl Question {
    /// Waits for the device, which calls back what it has to meanwhile.
    fn answer(self) {
        match self.device.wait_for(self.index) {
            Ok(()) if self.is_answered_apart => {}
            said => {
                self.answer.say(said.map_err(Some));
            }
        }
    }
}

/// The thread that asks a device on behalf of futures.
#[cfg(not(target_family = "wasm"))]
#[derive(Default)]
pub(super) struct Asker {
    questions: std::sync::OnceLock<Option<std::sync::mpsc::Sender<Question>>>,
}

#[cfg(not(target_family = "wasm"))]
impl Asker {
    /// Has a question answered: by the thread, or at once where there can be none.
    pub(super) fn ask(&self, question: Question) {
        let questions = self.questions.get_or_init(|| {
            let (send, receive) = std::sync::mpsc::channel::<Question>();
            let thread = std::thread::Builder::new().name(String::from("arenagrad-gpu"));
            thread.spawn(move || receive.into_iter().for_each(Question::answer)).ok().map(|_| send)
        });
        let left = match questions {
            Some(questions) => questions.send(question).err().map(|error| error.0),
            None => Some(question),
        };
        if let Some(question) = left {
            question.answer();
        }
    }
}
