//! Loops on a GPU: the dispatches of a body, recorded again for each round, with copies between buffers before and after.
//!
//! A run of a plan with loops is one list of commands that is made as it is recorded. It is cut into submits where there are too many commands, or too much work, for
//! one; each is waited for before the next. Nothing is kept that grows with the number of rounds.

use std::ops::Range;

use super::buffers::{GpuMemory, Place, create, stored_bytes};
use super::device::GpuDevice;
use super::encode::MOST_OPERATIONS;
use crate::backend::{LoopCopies, Moved};
use crate::error::Error;

/// The most commands of one submit: recorded in milliseconds, and run in about a tenth of a second on a software adapter.
pub(super) const MOST_COMMANDS: usize = 4096;

/// What runs in which order: steps by their numbers, and loops of them.
pub(crate) enum Round {
    /// A step.
    Step(usize),
    /// A loop.
    Loop(Rounds),
}

/// A loop: what it moves, and what each round runs.
pub(crate) struct Rounds {
    pub(crate) copies: LoopCopies,
    pub(crate) body: Vec<Round>,
}

/// Something that is recorded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// A dispatch, by its number.
    Dispatch(usize),
    /// Bytes that are copied.
    Copy { from: Place, to: Place },
}

impl Command {
    pub(super) fn dispatch(&self) -> Option<usize> {
        match self {
            Command::Dispatch(dispatch) => Some(*dispatch),
            Command::Copy { .. } => None,
        }
    }

    pub(super) fn is_dispatch(&self) -> bool {
        self.dispatch().is_some()
    }
}

#[cfg(not(target_family = "wasm"))]
impl Round {
    /// Calls `visit` with each step that it is or that a loop has.
    pub(super) fn for_each_step(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Round::Step(step) => visit(*step),
            Round::Loop(Rounds { body, .. }) => body.iter().for_each(|round| round.for_each_step(visit)),
        }
    }
}

/// What makes a submit of commands, and is told whether it is the last of a run.
pub(super) type Submit<'a> = dyn FnMut(&Schedule, &[Command], bool) -> Result<(), Error> + 'a;

/// The order of a run that has loops.
pub(super) struct Schedule {
    rounds: Vec<Round>,
    /// The dispatches of each step.
    dispatches: Vec<Range<usize>>,
    /// How many operations each dispatch is.
    operations: Vec<usize>,
    /// Room for what is copied within one buffer, which is done in two steps.
    bounce: Option<wgpu::Buffer>,
    /// The commands of the submit that is being made.
    commands: Vec<Command>,
}

/// Whether there is a loop among what runs.
pub(super) fn has_loops(rounds: &[Round]) -> bool {
    rounds.iter().any(|round| matches!(round, Round::Loop(_)))
}

impl Schedule {
    pub(super) fn new(
        device: &GpuDevice,
        memory: &GpuMemory,
        rounds: Vec<Round>,
        dispatches: Vec<Range<usize>>,
        operations: Vec<usize>,
    ) -> Result<Self, Error> {
        let bytes = bounced(memory, &rounds);
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let bounce = match bytes {
            0 => None,
            bytes => Some(create(device, "what a loop moves", bytes, device.limits().max_buffer_size, usage)?),
        };
        Ok(Schedule { rounds, dispatches, operations, bounce, commands: Vec::with_capacity(MOST_COMMANDS) })
    }

    /// Calls `submit` with the commands of each submit in order, and whether it is the last.
    pub(super) fn run(&mut self, memory: &GpuMemory, submit: &mut Submit<'_>) -> Result<(), Error> {
        let mut commands = std::mem::take(&mut self.commands);
        commands.clear();
        let mut operations = 0usize;
        let mut take = |command: Command| {
            let own = match command {
                Command::Dispatch(dispatch) => self.operations[dispatch],
                // A word that is moved takes about as long as an operation; within one buffer it is moved twice.
                Command::Copy { from, to } => {
                    let words = usize::try_from(from.bytes / 4).unwrap_or(usize::MAX);
                    if from.buffer == to.buffer { words.saturating_mul(2) } else { words }
                }
            };
            let is_full = operations.saturating_add(own) > MOST_OPERATIONS || commands.len() >= MOST_COMMANDS;
            if is_full && !commands.is_empty() {
                submit(self, &commands, false)?;
                commands.clear();
                operations = 0;
            }
            operations = operations.saturating_add(own);
            commands.push(command);
            Ok(())
        };
        let walked = walk(&self.rounds, &self.dispatches, memory, &mut take);
        let result = walked.and_then(|()| submit(self, &commands, true));
        self.commands = commands;
        result
    }

    /// Whether a run has rounds of a loop, whose number says how many commands there are.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn has_loops(&self) -> bool {
        has_loops(&self.rounds)
    }

    /// Records a copy.
    pub(super) fn copy(&self, encoder: &mut wgpu::CommandEncoder, memory: &GpuMemory, from: Place, to: Place) {
        let (source, target) = (memory.buffer(from.buffer), memory.buffer(to.buffer));
        match &self.bounce {
            Some(bounce) if from.buffer == to.buffer => {
                encoder.copy_buffer_to_buffer(source, from.offset, bounce, 0, from.bytes);
                encoder.copy_buffer_to_buffer(bounce, 0, target, to.offset, from.bytes);
            }
            Some(_) | None => encoder.copy_buffer_to_buffer(source, from.offset, target, to.offset, from.bytes),
        }
    }
}

/// The commands of what runs, in their order.
fn walk(
    rounds: &[Round],
    dispatches: &[Range<usize>],
    memory: &GpuMemory,
    take: &mut dyn FnMut(Command) -> Result<(), Error>,
) -> Result<(), Error> {
    for round in rounds {
        let Rounds { copies, body } = match round {
            Round::Step(step) => {
                dispatches[*step].clone().try_for_each(|dispatch| take(Command::Dispatch(dispatch)))?;
                continue;
            }
            Round::Loop(rounds) => rounds,
        };
        let copy = |moved: &Moved, from: usize, to: usize, take: &mut dyn FnMut(Command) -> Result<(), Error>| {
            if moved.from == moved.to {
                return Ok(());
            }
            let bytes = stored_bytes(moved.storage, moved.elements);
            let part = |tensor: u32, number: usize| {
                let place = memory.place(tensor);
                Place { offset: place.offset + number as u64 * bytes, bytes, ..place }
            };
            take(Command::Copy { from: part(moved.from, from), to: part(moved.to, to) })
        };
        copies.first.iter().try_for_each(|moved| copy(moved, 0, 0, take))?;
        for round in 0..copies.length {
            let place = copies.place(round);
            copies.elements.iter().try_for_each(|moved| copy(moved, place, 0, take))?;
            copies.found.iter().try_for_each(|moved| copy(moved, 0, place, take))?;
            walk(body, dispatches, memory, take)?;
            copies.stacked.iter().try_for_each(|moved| copy(moved, 0, place, take))?;
        }
    }
    Ok(())
}

/// The most bytes that are copied within one buffer.
fn bounced(memory: &GpuMemory, rounds: &[Round]) -> u64 {
    let of = |round: &Round| match round {
        Round::Step(_) => 0,
        Round::Loop(Rounds { copies, body }) => {
            let all = copies.first.iter().chain(&copies.elements).chain(&copies.found).chain(&copies.stacked);
            let is_within = |moved: &&Moved| {
                moved.from != moved.to && memory.place(moved.from).buffer == memory.place(moved.to).buffer
            };
            let own = all.filter(is_within).map(|moved| stored_bytes(moved.storage, moved.elements)).max();
            own.unwrap_or(0).max(bounced(memory, body))
        }
    };
    rounds.iter().map(of).max().unwrap_or(0)
}
