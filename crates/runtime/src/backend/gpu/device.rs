//! An opened adapter: what it can do, whether it still lives, and how its errors come back as values.
//!
//! wgpu reports most errors apart from the call that caused them, and panics by default. Here every call that may fail
//! runs in error scopes of its thread ([`GpuDevice::scoped`]); what still escapes is kept and returned by the next
//! call. A browser tells what a scope caught only later: so there everything that a scope catches is kept, and comes with what is awaited
//! next. A device that is lost, or gives no answer for [`ANSWER_LIMIT`], is never used again.

#[cfg(not(target_family = "wasm"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
use arenagrad_graph::StorageType;
#[cfg(not(target_family = "wasm"))]
use arenagrad_kernels::wgsl::CooperativeMatrix;
use arenagrad_kernels::wgsl::{AdapterProfile, Joining};
use arenagrad_kernels::{Kernel, Stored};

#[cfg(not(target_family = "wasm"))]
use super::adapter;
#[cfg(not(target_family = "wasm"))]
use super::cooperative;
#[cfg(not(target_family = "wasm"))]
use super::half::HalfReads;
use super::pipelines::PipelineCache;
#[cfg(target_family = "wasm")]
use super::scopes::Scopes;
use super::settings;
#[cfg(not(target_family = "wasm"))]
use super::submitted::{Asker, Question};
use super::uploads::Uploads;
#[cfg(not(target_family = "wasm"))]
use super::{spirv, subgroups};
use crate::device::AdapterDescription;
#[cfg(not(target_family = "wasm"))]
use crate::device::Arithmetic;
#[cfg(not(target_family = "wasm"))]
use crate::device::{CooperativeSupport, F16Support};
use crate::error::Error;

/// The most simple operations of a product that may be joined with other steps, rounded up: 8 invocations of 4,096 on a software adapter, 64 of 256
/// on a GPU, as joining allows a part.
#[cfg(not(target_family = "wasm"))]
const MOST_JOINED_OPERATIONS: usize = 1 << 15;

/// How long one submit may take before the device counts as lost.
#[cfg(not(target_family = "wasm"))]
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// How long a plan has run in all before its small dispatches are joined. A joined module is of one plan alone, and to compile it takes
/// about as long: so whoever runs a plan a few times does not pay for it, and whoever runs it often pays no more than twice.
const JOIN_AFTER: Duration = Duration::from_secs(1);

/// An opened adapter. Clones are the same device.
#[derive(Clone)]
pub(crate) struct GpuDevice {
    shared: Arc<Shared>,
    joining: Joining,
    join_after: Duration,
}

struct Shared {
    description: AdapterDescription,
    profile: AdapterProfile,
    limits: wgpu::Limits,
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: PipelineCache,
    uploads: Uploads,
    health: Arc<Health>,
    #[cfg(not(target_family = "wasm"))]
    half: OnceLock<HalfReads>,
    /// How many invocations each subgroup has, if it has subgroup operations and that is one number.
    #[cfg(not(target_family = "wasm"))]
    subgroup: Option<u32>,
    /// What lowering must know of it for nests.
    #[cfg(not(target_family = "wasm"))]
    nests: OnceLock<AdapterProfile>,
    /// The cooperative matrices that it offers, or why there are none.
    #[cfg(not(target_family = "wasm"))]
    cooperative: Result<CooperativeMatrix, String>,
    #[cfg(not(target_family = "wasm"))]
    asker: Asker,
    #[cfg(target_family = "wasm")]
    scopes: Arc<Scopes>,
}

/// What the device's callbacks left.
#[derive(Default)]
struct Health {
    lost: OnceLock<String>,
    uncaptured: Mutex<Option<Caught>>,
}

/// An error that is told by the next call.
enum Caught {
    /// What no scope caught.
    Uncaptured(String),
    /// What a scope of a browser caught.
    #[cfg(target_family = "wasm")]
    Scoped(Error),
}

impl GpuDevice {
    /// What the adapter is.
    pub(crate) fn description(&self) -> &AdapterDescription {
        &self.shared.description
    }

    /// What lowering must know of it.
    pub(crate) fn profile(&self) -> &AdapterProfile {
        &self.shared.profile
    }

    /// What lowering must know of it for a kernel whose buffers hold their values so. Whether f16 is read as such is tried when the first
    /// large product reads any; a small one may be joined with what stands around it, which reads words. Whether invocations exchange words within
    /// subgroups is tried when the first nest comes.
    pub(crate) fn profile_for(&self, kernel: &Kernel, stored: Stored<'_>) -> &AdapterProfile {
        #[cfg(not(target_family = "wasm"))]
        if stored.inputs.contains(&StorageType::F16)
            && matches!(kernel, Kernel::MatMul { .. })
            && kernel.cost().operations > MOST_JOINED_OPERATIONS
        {
            return &self.half().profile;
        }
        #[cfg(not(target_family = "wasm"))]
        if matches!(kernel, Kernel::Nest(_)) {
            return tried(&self.shared.nests, || subgroups::find(self));
        }
        #[cfg(target_family = "wasm")]
        let _ = (kernel, stored);
        self.profile()
    }

    /// How it reads f16.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn f16_support(&self) -> &F16Support {
        &self.half().support
    }

    /// What lowering must know of it for products of f16.
    #[cfg(test)]
    pub(super) fn f16_profile(&self) -> &AdapterProfile {
        &self.half().profile
    }

    /// How many invocations each subgroup has, if it has subgroup operations and that is one number.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn subgroup(&self) -> Option<u32> {
        self.shared.subgroup
    }

    /// How it multiplies operands that are both held in f16.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn cooperative_support(&self) -> &CooperativeSupport {
        &self.half().cooperative
    }

    /// The cooperative matrices that it offers, which nobody has tried yet; or why there are none.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn offered_matrices(&self) -> Result<CooperativeMatrix, String> {
        self.shared.cooperative.clone()
    }

    #[cfg(not(target_family = "wasm"))]
    fn half(&self) -> &HalfReads {
        tried(&self.shared.half, || HalfReads::find(self))
    }

    /// Whether shaders have the type f16 on it.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn has_f16(&self) -> bool {
        self.shared.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Which small dispatches are joined.
    pub(super) fn joining(&self) -> Joining {
        self.joining
    }

    /// How long a plan has run, in all its runs, before its small dispatches are joined.
    pub(super) fn join_after(&self) -> Duration {
        self.join_after
    }

    /// The same device, with another choice of which small dispatches are joined, and when.
    #[cfg(test)]
    pub(crate) fn with_joining(&self, joining: Joining, join_after: Duration) -> GpuDevice {
        GpuDevice { shared: Arc::clone(&self.shared), joining, join_after }
    }

    /// Waits until the device has done all that was submitted to it.
    #[cfg(test)]
    pub(crate) fn wait(&self) -> Result<(), Error> {
        self.wait_for(None)
    }

    /// Opens an adapter anew.
    pub(super) async fn request(adapter: &wgpu::Adapter, description: AdapterDescription) -> Result<GpuDevice, Error> {
        let refused = |reason: String| Error::AdapterRefused { adapter: description.name.clone(), reason };
        let class = settings::class().map_err(refused)?;
        let (joining, join_after) = match settings::joining().map_err(refused)? {
            Some(joining) => (joining, Duration::ZERO),
            // A browser wants barriers where all invocations provably come, and joined modules keep their parameters where it cannot
            // prove that.
            None if cfg!(target_family = "wasm") => (Joining::Never, JOIN_AFTER),
            None => (Joining::default(), JOIN_AFTER),
        };
        let mut limits = settings::limits(adapter.limits());
        let wanted = wgpu::Features::SUBGROUP;
        #[cfg(not(target_family = "wasm"))]
        let wanted = if adapter::takes_spirv(adapter) { wanted | wgpu::Features::PASSTHROUGH_SHADERS } else { wanted };
        #[cfg(not(target_family = "wasm"))]
        let wanted = wanted | wgpu::Features::SHADER_F16;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("arenagrad"),
            // Timestamps cost nothing where nobody asks for them.
            required_features: adapter.features() & (wanted | wgpu::Features::TIMESTAMP_QUERY),
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        };
        #[cfg(not(target_family = "wasm"))]
        let (opened, cooperative) = {
            let class = class.unwrap_or(settings::own_class(description.kind));
            cooperative::open(adapter, &descriptor, class).await.map_err(refused)?
        };
        #[cfg(target_family = "wasm")]
        let opened = adapter.request_device(&descriptor).await.map_err(|error| refused(error.to_string()))?;
        let (device, queue) = opened;
        #[cfg(not(target_family = "wasm"))]
        let subgroup = subgroups::size(adapter).ok().filter(|_| device.features().contains(wgpu::Features::SUBGROUP));
        if let Some(bytes) = settings::binding_limit().map_err(refused)? {
            limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(bytes);
        }
        let health = Arc::new(Health::default());
        let listener = Arc::clone(&health);
        device.on_uncaptured_error(Arc::new(move |error| listener.keep(Caught::Uncaptured(message(&error)))));
        let listener = Arc::clone(&health);
        device.set_device_lost_callback(move |_, reason| listener.lose(reason));
        Ok(GpuDevice {
            joining,
            join_after,
            shared: Arc::new(Shared {
                profile: settings::profile(description.kind, class, limits.max_compute_workgroups_per_dimension),
                description,
                limits,
                device,
                queue,
                pipelines: PipelineCache::default(),
                uploads: Uploads::default(),
                health,
                #[cfg(not(target_family = "wasm"))]
                half: OnceLock::new(),
                #[cfg(not(target_family = "wasm"))]
                subgroup,
                #[cfg(not(target_family = "wasm"))]
                nests: OnceLock::new(),
                #[cfg(not(target_family = "wasm"))]
                cooperative,
                #[cfg(not(target_family = "wasm"))]
                asker: Asker::default(),
                #[cfg(target_family = "wasm")]
                scopes: Arc::default(),
            }),
        })
    }

    pub(super) fn wgpu(&self) -> &wgpu::Device {
        &self.shared.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    pub(super) fn limits(&self) -> &wgpu::Limits {
        &self.shared.limits
    }

    /// What its driver is told of arithmetic by SPIR-V; none where modules go to it as WGSL.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn spirv(&self) -> Option<spirv::Driver> {
        let features = self.shared.device.features();
        features.contains(wgpu::Features::PASSTHROUGH_SHADERS).then(|| spirv::Driver {
            has_subgroups: features.contains(wgpu::Features::SUBGROUP),
            keeps_special_numbers: self.shared.description.arithmetic == Arithmetic::AsWritten,
        })
    }

    pub(super) fn pipelines(&self) -> &PipelineCache {
        &self.shared.pipelines
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.shared.uploads
    }

    pub(super) fn is_lost(&self) -> bool {
        self.shared.health.lost.get().is_some()
    }

    /// An error of this device.
    pub(super) fn error(&self, reason: String) -> Error {
        Error::Device { adapter: self.shared.description.name.clone(), reason }
    }

    /// What the device has to report: that it was lost, or an error that no scope caught.
    pub(super) fn check(&self) -> Result<(), Error> {
        let health = &self.shared.health;
        if let Some(reason) = health.lost.get() {
            return Err(Error::DeviceLost { adapter: self.shared.description.name.clone(), reason: reason.clone() });
        }
        match health.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Caught::Uncaptured(reason)) => Err(self.error(reason)),
            #[cfg(target_family = "wasm")]
            Some(Caught::Scoped(error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Counts the device as lost.
    pub(super) fn lose(&self, reason: String) {
        self.shared.health.lose(reason);
    }

    /// Does `work` and returns the errors that wgpu finds in it, under the name `what`; `bytes` is what is asked of
    /// memory. A browser finds them later: they are kept until what comes next is awaited.
    pub(super) fn scoped<T>(&self, what: &str, bytes: u64, work: impl FnOnce() -> T) -> Result<T, Error> {
        self.scoped_until(what, bytes, work, || {})
    }

    /// [`GpuDevice::scoped`], with what is to be done when a browser finds an error later, for whoever has kept what `work` gave.
    #[cfg_attr(not(target_family = "wasm"), allow(unused_variables))]
    pub(super) fn scoped_until<T>(
        &self,
        what: &str,
        bytes: u64,
        work: impl FnOnce() -> T,
        found_later: impl FnOnce() + 'static,
    ) -> Result<T, Error> {
        self.check()?;
        let device = &self.shared.device;
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let (validation, memory, internal) = (validation.pop(), memory.pop(), internal.pop());
        let (named, adapter) = (what.to_owned(), self.shared.description.name.clone());
        let found = async move {
            let (validation, memory, internal) = (validation.await, memory.await, internal.await);
            // An object that memory was refused for is invalid, and its use is a validation error: memory is the cause.
            match memory.or(internal).or(validation) {
                None => Ok(()),
                Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory { what: named, bytes }),
                Some(error @ (wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. })) => {
                    Err(Error::Device { adapter, reason: format!("{named}: {}", message(&error)) })
                }
            }
        };
        #[cfg(not(target_family = "wasm"))]
        pollster::block_on(found)?;
        #[cfg(target_family = "wasm")]
        {
            let (scopes, health) = (Arc::clone(&self.shared.scopes), Arc::clone(&self.shared.health));
            scopes.ask();
            wasm_bindgen_futures::spawn_local(async move {
                if let Err(error) = found.await {
                    found_later();
                    health.keep(Caught::Scoped(error));
                }
                scopes.answer();
            });
        }
        Ok(result)
    }

    /// How many error scopes have been closed.
    #[cfg(target_family = "wasm")]
    pub(super) fn scopes(&self) -> u64 {
        self.shared.scopes.asked()
    }

    /// Whether it is known what so many error scopes caught; else whoever polls is woken when it is.
    #[cfg(target_family = "wasm")]
    pub(super) fn poll_scopes(&self, scopes: u64, context: &std::task::Context<'_>) -> std::task::Poll<()> {
        self.shared.scopes.poll(scopes, context)
    }

    /// Waits for a submit of a run before the next is made, so that little is under way at a time. A page cannot wait: there all are made
    /// at once.
    #[cfg_attr(target_family = "wasm", allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(super) fn pace(&self, submission: wgpu::SubmissionIndex) -> Result<(), Error> {
        #[cfg(not(target_family = "wasm"))]
        self.wait_for(Some(submission))?;
        #[cfg(target_family = "wasm")]
        let _ = submission;
        Ok(())
    }

    /// Has a question answered while its asker does something else.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn ask(&self, question: Question) {
        self.shared.asker.ask(question);
    }

    /// Waits until the device has done that submission, or all of them, and everything before it.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), Error> {
        self.check()?;
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: Some(ANSWER_LIMIT) };
        // A device that is lost while it is waited for makes wgpu panic; nothing of ours is half-changed then.
        let answer = catch_unwind(AssertUnwindSafe(|| self.shared.device.poll(poll)));
        match answer {
            Ok(Ok(_)) => self.check(),
            Ok(Err(wgpu::PollError::Timeout)) => self.give_up(),
            Ok(Err(error @ wgpu::PollError::WrongSubmissionIndex(..))) => {
                self.check()?;
                Err(self.error(error.to_string()))
            }
            Err(_) => {
                self.lose(String::from("it failed while it was waited for"));
                self.check()
            }
        }
    }

    /// Counts the device as lost because it did not answer.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn give_up(&self) -> Result<(), Error> {
        self.lose(format!("it gave no answer for {} seconds", ANSWER_LIMIT.as_secs()));
        self.check()
    }
}

impl Health {
    fn lose(&self, reason: String) {
        // The first reason is the cause; later ones follow from it.
        let _ = self.lost.set(reason);
    }

    fn keep(&self, caught: Caught) {
        // The first error is the cause of those that follow.
        self.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(caught);
    }
}

/// What a trial found, made now if there was none. Others do not wait while it is made: what it takes is compiled on a pool whose threads may
/// all be asking for this.
#[cfg(not(target_family = "wasm"))]
fn tried<T>(known: &OnceLock<T>, find: impl FnOnce() -> T) -> &T {
    known.get().unwrap_or_else(|| {
        let found = find();
        known.get_or_init(|| found)
    })
}

/// wgpu's message without its heading.
fn message(error: &wgpu::Error) -> String {
    let text = error.to_string();
    text.trim().trim_start_matches("Validation Error").trim_start().trim_start_matches("Caused by:").trim().to_owned()
}
