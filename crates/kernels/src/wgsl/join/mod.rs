//! Small dispatches that follow one another as one dispatch of one workgroup.
//!
//! What a dispatch costs beside its work is paid once then. The invocations of the one workgroup go through those of each
//! part in turn, with a barrier behind each part, so that each part sees what the ones before it wrote, and computes what it
//! computes alone, in the same order: the bits are the same.
//!
//! All buffers are bound as vectors of four words. Several tensors may stand in one buffer; where each begins travels among the parameters.
//! Parts with the same module share its functions. Nothing is known here of what the parts compute, nor of devices.

mod limits;
mod source;
mod text;

use std::sync::Arc;

use crate::wgsl::{AdapterProfile, Dispatch};
use limits::{Limits, Load};
use source::Source;

/// When dispatches are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Joining {
    /// Never.
    Never,
    /// Where one workgroup takes less time for it than a dispatch of its own costs.
    #[default]
    WhereItPays,
    /// Wherever it can be done, for tests.
    Always,
}

/// Where a tensor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The buffer, by the caller's number for it.
    pub buffer: u32,
    /// Its first word there, a multiple of four.
    pub offset: u32,
}

/// Dispatches that became one.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The module: as that of a [`Dispatch`], but its uniform is an array of vectors, and its buffers are arrays of vectors of four words.
    pub module: Arc<str>,
    /// The functions in which a compiler may join products and sums; see [`Dispatch::contracts`].
    pub contracting: Vec<String>,
    /// The buffers of bindings 1, 2, … by the caller's numbers, and whether each is written.
    pub buffers: Vec<(u32, bool)>,
    /// The words of the uniform buffer; their number is a multiple of four.
    pub parameters: Vec<u32>,
    /// How many dispatches it stands for.
    pub parts: usize,
    /// Roughly how many simple operations it is.
    pub operations: usize,
}

/// Collects dispatches as long as they can be joined.
pub struct Joiner<'a> {
    limits: Limits,
    load: Load,
    modules: Vec<Module<'a>>,
    /// The parts in order: each with the number of its module, and the places of its tensors.
    parts: Vec<Part<'a>>,
    buffers: Vec<(u32, bool)>,
}

/// A module of one or more parts whose buffers are bound at the same places.
struct Module<'a> {
    dispatch: &'a Dispatch,
    source: Source<'a>,
    /// For each buffer of the module which of the joined buffers it is.
    bound: Vec<usize>,
}

/// One of the joined dispatches.
struct Part<'a> {
    dispatch: &'a Dispatch,
    module: usize,
    offsets: Vec<u32>,
}

impl<'a> Joiner<'a> {
    /// Nothing joined yet, for an adapter.
    pub fn new(profile: &AdapterProfile, joining: Joining) -> Self {
        Joiner {
            limits: Limits::new(profile, joining),
            load: Load::default(),
            modules: Vec::new(),
            parts: Vec::new(),
            buffers: Vec::new(),
        }
    }

    /// How many dispatches have been taken.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether no dispatch has been taken.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Takes the next dispatch, whose bindings stand at these places, if it can be joined with those before and is small enough;
    /// else nothing changes.
    pub fn take(&mut self, dispatch: &'a Dispatch, locations: &[Location]) -> bool {
        assert_eq!(dispatch.bindings.len(), locations.len(), "each binding has a place");
        assert!(
            locations.iter().all(|location| location.offset.is_multiple_of(4)),
            "tensors begin where a vector does"
        );
        let words = dispatch.parameters.len() + locations.len() + 1;
        let mut load = self.load;
        if !self.limits.allow(dispatch) || !load.add(&self.limits, dispatch, words.next_multiple_of(4)) {
            return false;
        }
        let mut buffers = self.buffers.clone();
        let mut bound = Vec::with_capacity(locations.len());
        for (location, binding) in locations.iter().zip(&dispatch.bindings) {
            let place = buffers.iter().position(|(buffer, _)| *buffer == location.buffer).unwrap_or_else(|| {
                buffers.push((location.buffer, false));
                buffers.len() - 1
            });
            buffers[place].1 |= binding.writable;
            bound.push(place);
        }
        if buffers.len() > limits::MOST_BUFFERS {
            return false;
        }
        let known = self.modules.iter().position(|known| {
            known.bound == bound
                && known.dispatch.module == dispatch.module
                && known.dispatch.contracts == dispatch.contracts
        });
        let module = match known {
            Some(module) => module,
            None => {
                if self.modules.len() == limits::MOST_MODULES {
                    return false;
                }
                let Some(source) = Source::parse(&dispatch.module).filter(text::is_joinable) else { return false };
                self.modules.push(Module { dispatch, source, bound });
                self.modules.len() - 1
            }
        };
        self.load = load;
        self.buffers = buffers;
        self.parts.push(Part { dispatch, module, offsets: locations.iter().map(|location| location.offset).collect() });
        true
    }

    /// The dispatch that does what those that were taken do.
    pub fn finish(self) -> Joined {
        let joined = text::Text::new(&self.modules, &self.parts, self.buffers.len(), &self.limits);
        Joined {
            module: joined.text.into(),
            contracting: joined.contracting,
            parameters: joined.parameters,
            parts: self.parts.len(),
            operations: self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.dispatch.operations)),
            buffers: self.buffers,
        }
    }
}
