//! What a run asks of the device, in order: the dispatches of the steps over the session's buffers, small ones joined.
//!
//! A dispatch may not bind one buffer both to read and to write, and small tensors may share buffers. So where a dispatch writes one
//! tensor of a buffer, it declares all that it binds of that buffer writable. That two of its bindings would be one tensor, read through one
//! and written through the other, is refused. So is what would bind more of a buffer than the adapter allows.

use std::collections::HashMap;
use std::sync::Arc;

use arenagrad_kernels::wgsl::{AdapterProfile, Dispatch, Joined, Joiner, Joining, Location};

use super::buffers::{GpuMemory, Place, WORD_BYTES};
use super::device::GpuDevice;
use crate::error::Error;

/// One dispatch as it is recorded.
pub(super) struct Launch {
    pub(super) module: Arc<str>,
    /// The functions in which a compiler may join products and sums.
    pub(super) contracting: Vec<String>,
    pub(super) label: &'static str,
    /// The step that it is of, or the first of those that it is of, in errors.
    pub(super) what: Arc<str>,
    pub(super) buffers: Vec<Bound>,
    pub(super) parameters: Vec<u32>,
    pub(super) workgroups: [u32; 3],
    pub(super) operations: usize,
}

/// What a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// Which of the memory's buffers.
    pub(super) buffer: u32,
    /// The first byte, and how many bytes, of the part that is bound; none for the whole buffer.
    pub(super) range: Option<(u64, u64)>,
    /// Whether the module may write it.
    pub(super) writable: bool,
}

/// A dispatch of a step with the tensors that it binds, by their numbers in the memory.
pub(super) struct Placed<'a> {
    pub(super) dispatch: &'a Dispatch,
    pub(super) what: &'a str,
    pub(super) tensors: Vec<u32>,
}

/// The most launches of a plan that are joined. Few plans share their modules, and lavapipe takes seconds to compile each, at the first
/// run: of a plan of hundreds of small steps that would be minutes, in which the device counts as lost.
const MOST_JOINS: usize = 2;

/// The launches of these dispatches, in their order, small ones joined as `joining` says.
pub(super) fn launches(
    device: &GpuDevice,
    joining: Joining,
    memory: &GpuMemory,
    placed: &[Placed<'_>],
) -> Result<Vec<Launch>, Error> {
    let profile = device.profile();
    let mut launches = Vec::with_capacity(placed.len());
    let mut rest = placed;
    let mut joins = 0;
    while let Some(first) = rest.first() {
        first.refuse_aliases(device)?;
        let (joined, taken) = match joins < MOST_JOINS {
            true => join(profile, joining, memory, rest),
            false => (None, 0),
        };
        joins += usize::from(joined.is_some());
        for other in &rest[1..taken.max(1)] {
            other.refuse_aliases(device)?;
        }
        let launch = match joined {
            Some(joined) => Launch::of_joined(joined, first.what),
            None => Launch::of_one(first, memory),
        };
        launch.refuse_unbindable(memory)?;
        launches.push(launch);
        rest = &rest[taken.max(1)..];
    }
    Ok(launches)
}

/// The first of these dispatches joined, as many as can be, and how many those are; nothing where it is none or one.
fn join(
    profile: &AdapterProfile,
    joining: Joining,
    memory: &GpuMemory,
    placed: &[Placed<'_>],
) -> (Option<Joined>, usize) {
    let mut joiner = Joiner::new(profile, joining);
    let limit = memory.binding_limit();
    for placed in placed {
        // What is joined binds each buffer whole.
        if placed.tensors.iter().any(|&tensor| memory.buffer(memory.place(tensor).buffer).size() > limit) {
            break;
        }
        let location = |tensor: &u32| {
            let Place { buffer, offset, .. } = memory.place(*tensor);
            // No shader reaches past 32 bits of words.
            Location { buffer, offset: (offset / WORD_BYTES) as u32 }
        };
        let locations: Vec<Location> = placed.tensors.iter().map(location).collect();
        if !joiner.take(placed.dispatch, &locations) {
            break;
        }
    }
    match joiner.len() {
        0 | 1 => (None, 0),
        taken => (Some(joiner.finish()), taken),
    }
}

impl Placed<'_> {
    /// Refuses a dispatch that would bind one tensor both to read and to write: wgpu would refuse it too, in each run and
    /// without the step's name.
    fn refuse_aliases(&self, device: &GpuDevice) -> Result<(), Error> {
        let mut access: HashMap<u32, bool> = HashMap::with_capacity(self.tensors.len());
        for (&tensor, binding) in self.tensors.iter().zip(&self.dispatch.bindings) {
            if access.insert(tensor, binding.writable).is_some_and(|before| before != binding.writable) {
                let (what, label) = (self.what, self.dispatch.label);
                return Err(
                    device.error(format!("{what}: {label} would bind buffer {tensor} both to read and to write"))
                );
            }
        }
        Ok(())
    }
}

impl Launch {
    /// A dispatch of its own.
    fn of_one(placed: &Placed<'_>, memory: &GpuMemory) -> Self {
        let dispatch = placed.dispatch;
        let places: Vec<Place> = placed.tensors.iter().map(|&tensor| memory.place(tensor)).collect();
        let written = |buffer: u32| {
            places.iter().zip(&dispatch.bindings).any(|(place, binding)| place.buffer == buffer && binding.writable)
        };
        let buffers: Vec<Bound> = places
            .iter()
            .map(|place| Bound {
                buffer: place.buffer,
                range: Some((place.offset, place.bytes)),
                writable: written(place.buffer),
            })
            .collect();
        let widened =
            |(bound, binding): (&Bound, &arenagrad_kernels::wgsl::Binding)| bound.writable != binding.writable;
        let widened: Vec<bool> = buffers.iter().zip(&dispatch.bindings).map(widened).collect();
        Launch {
            module: dispatch.with_writable(&widened),
            contracting: if dispatch.contracts { vec![String::from("main")] } else { Vec::new() },
            label: dispatch.label,
            what: placed.what.into(),
            buffers,
            parameters: dispatch.parameters.clone(),
            workgroups: dispatch.workgroups,
            operations: dispatch.operations,
        }
    }

    /// Refuses what binds more than the adapter allows: wgpu would refuse it too, without saying what is too large.
    fn refuse_unbindable(&self, memory: &GpuMemory) -> Result<(), Error> {
        let bytes = |bound: &Bound| bound.range.map_or(memory.buffer(bound.buffer).size(), |(_, bytes)| bytes);
        match self.buffers.iter().map(bytes).max() {
            Some(bytes) if bytes > memory.binding_limit() => Err(memory.too_large(&self.what, bytes)),
            Some(_) | None => Ok(()),
        }
    }

    /// Several dispatches that became one.
    fn of_joined(joined: Joined, what: &str) -> Self {
        let whole = |&(buffer, writable): &(u32, bool)| Bound { buffer, range: None, writable };
        Launch {
            module: joined.module,
            contracting: joined.contracting,
            label: "joined",
            what: what.into(),
            buffers: joined.buffers.iter().map(whole).collect(),
            parameters: joined.parameters,
            workgroups: [1, 1, 1],
            operations: joined.operations,
        }
    }
}
