//! Which dispatches may be joined, and how many.

use super::Joining;
use crate::wgsl::module::WORKGROUP;
use crate::wgsl::{AdapterClass, AdapterProfile, Dispatch};

/// The most buffers that joined dispatches bind: what every adapter offers.
pub(super) const MOST_BUFFERS: usize = 8;

/// The most modules that are put into one. Drivers take more than twice the time to compile a module that is twice as long:
/// on lavapipe a plan of eight parts, joined and apart, took 4 seconds of processor time, and one of some twenty 23.
pub(super) const MOST_MODULES: usize = 8;

/// The most parameter words of joined dispatches: the 16 KiB of a uniform buffer that every adapter binds.
const MOST_WORDS: usize = 4096;

/// What may be joined on an adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The invocations of the workgroup.
    pub(super) workgroup: usize,
    /// The most loop iterations of an invocation, over all parts.
    iterations: usize,
    /// The most simple operations that one invocation may do for one part.
    operations: usize,
    joins: bool,
    /// Whether the module hides from a compiler that its parameters are the same for all invocations.
    ///
    /// Lavapipe takes parameters that alone decide how often a loop runs for constants: it compiles the module anew in
    /// each run, with their present values, if that makes it much shorter. That takes milliseconds.
    pub(super) hides_parameters: bool,
}

/// What has been joined so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    iterations: usize,
    words: usize,
}

impl Limits {
    pub(super) fn new(profile: &AdapterProfile, joining: Joining) -> Self {
        let (workgroup, pays) = match profile.class {
            // One vector of lanes: more of them would run one after the other.
            AdapterClass::Cpu => (8, SOFTWARE_DISPATCH),
            // As many as the kernels whose invocations work together.
            AdapterClass::Gpu => (WORKGROUP, GPU_DISPATCH),
        };
        let operations = match joining {
            Joining::Never => 0,
            Joining::WhereItPays => pays,
            Joining::Always => MOST_OPERATIONS,
        };
        Limits {
            workgroup,
            iterations: profile.max_iterations_per_invocation as usize,
            operations,
            joins: joining != Joining::Never,
            hides_parameters: profile.class == AdapterClass::Cpu,
        }
    }

    /// Whether the one workgroup may do the work of a dispatch.
    pub(super) fn allow(&self, dispatch: &Dispatch) -> bool {
        let work = dispatch.work;
        self.joins
            && work.together.is_none_or(|together| together == self.workgroup)
            && self.rounds(dispatch).saturating_mul(self.each(dispatch)) <= self.operations
    }

    /// How often an invocation of the workgroup goes on to the next one of the dispatch.
    fn rounds(&self, dispatch: &Dispatch) -> usize {
        match dispatch.work.together {
            None => dispatch.work.count.div_ceil(self.workgroup),
            Some(_) => dispatch.work.count,
        }
    }

    /// The simple operations of an invocation in a round.
    fn each(&self, dispatch: &Dispatch) -> usize {
        match dispatch.work.together {
            None => dispatch.work.operations,
            Some(together) => dispatch.work.operations.div_ceil(together),
        }
    }
}

impl Load {
    /// Adds a dispatch with that many parameter words, if all of it together is still allowed.
    pub(super) fn add(&mut self, limits: &Limits, dispatch: &Dispatch, words: usize) -> bool {
        let rounds = limits.rounds(dispatch);
        // The round itself counts, and so does a part among several of one module.
        let iterations = rounds.saturating_mul(dispatch.work.iterations.saturating_add(1)).saturating_add(1);
        self.iterations = self.iterations.saturating_add(iterations);
        self.words += words;
        self.iterations <= limits.iterations && self.words <= MOST_WORDS
    }
}

/// What one dispatch costs beside its work on a software adapter, in simple operations of one lane. On lavapipe with two cores a
/// dispatch that waits for the one before it costs some thirty microseconds. Six hyperbolic tangents of 1,024 elements, 2,000 to 2,500
/// operations of a lane each, took 0.20 ms joined and 0.29 ms apart; with 4,096 elements
/// and as many joined as loops allow, 0.31 ms and 0.40 ms, and there a second core begins to count.
const SOFTWARE_DISPATCH: usize = 4096;

/// What one dispatch costs beside its work on a GPU, in simple operations of one invocation. This is reasoned and not measured: a
/// dispatch that waits for the one before it costs some five microseconds. A lone invocation waits for its
/// memory, some half a microsecond for each access that depends on the one before; few of its operations are such accesses.
const GPU_DISPATCH: usize = 256;

/// The most operations of one invocation in a part, however much a test wants joined.
const MOST_OPERATIONS: usize = 1 << 20;
