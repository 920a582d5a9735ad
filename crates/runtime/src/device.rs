//! Devices: the CPU, or an adapter that wgpu offers.

use std::fmt;

#[cfg(feature = "gpu")]
use crate::backend::gpu::{GpuDevice, Selector};
use crate::error::Error;
use crate::plan::Target;
#[cfg(not(target_family = "wasm"))]
use crate::tuning::Tuning;
#[cfg(feature = "gpu")]
use arenagrad_kernels::wgsl::AdapterClass;

/// The environment variable that names the device which [`Device::auto`] opens.
const DEVICE_VARIABLE: &str = "ARENAGRAD_DEVICE";

/// Where plans run. Cloning is cheap: clones share the adapter and its compiled pipelines.
#[derive(Clone)]
pub struct Device {
    pub(crate) kind: DeviceKind,
    note: Option<String>,
    #[cfg(not(target_family = "wasm"))]
    tuning: Tuned,
}

/// By what choices of kernels are measured. A page in a browser measures none.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone)]
enum Tuned {
    /// By what the environment asks for, if anything.
    ByEnvironment,
    /// By what a program asked for.
    By(Tuning),
    /// By nothing, whatever the environment asks for.
    Never,
}

#[derive(Clone)]
pub(crate) enum DeviceKind {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu(GpuDevice),
}

/// A GPU adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterDescription {
    /// The name that the driver gives it.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// The graphics interface it is reached through, such as `vulkan`.
    pub backend: &'static str,
    /// The driver's name and version.
    pub driver: String,
    /// Whether its compiler takes floating-point arithmetic as it is written.
    pub arithmetic: Arithmetic,
}

/// How an adapter's compiler takes floating-point arithmetic.
///
/// WGSL lets a compiler regroup sums, join a product and a sum into one rounding, and assume that nothing is NaN or
/// infinite. Through Vulkan that is forbidden, where the driver can also keep NaN, infinities and the sign of zero. Through Metal, Direct3D and a
/// browser, and with a Vulkan driver that cannot, results may differ from the CPU's where a graph relies on one of these:
/// - sums whose rounding matters: `(x + c) - c`, the error term of a compensated sum (but not with such a Vulkan driver);
/// - NaN and infinity in arithmetic: `x - x`, `x * 0`, `0 / x` and `x / 0` may give 0, so softmax, cross-entropy,
///   variances and norms of NaN may be finite, and a test such as `(x - x).equal(0)` always true. Comparisons, maxima and
///   minima, and the functions themselves keep NaN and infinity everywhere: they look at the bits;
/// - the sign of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arithmetic {
    /// Each operation as the graph has it, with NaN and infinity as IEEE 754 says.
    AsWritten,
    /// The compiler may regroup sums and lose NaN and infinity.
    Regrouped,
}

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AdapterKind {
    /// A graphics card with memory of its own.
    Discrete,
    /// Part of the processor.
    Integrated,
    /// A virtual machine's share of one.
    Virtual,
    /// The processor itself, playing a GPU in software: for tests, not for speed.
    Software,
    /// The driver does not say.
    Other,
}

/// How large matrix products of a GPU read operands that are held in f16; small ones take them out of words. The numbers are the same either way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum F16Support {
    /// As such: the adapter has the type in shaders, and gave every finite number of it back when it was tried.
    Native,
    /// Two to a word, which is taken apart by integers.
    Emulated {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for F16Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            F16Support::Native => f.write_str("f16 is read as such"),
            F16Support::Emulated { reason } => write!(f, "f16 is taken out of words: {reason}"),
        }
    }
}

/// Whether a GPU multiplies operands that are both held in f16 by cooperative matrices, which units of some graphics cards compute, in large
/// matrix products. Sums are f32 either way; they are added up in another order, so the last digits differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CooperativeSupport {
    /// It does: its products were right when they were tried.
    Used {
        /// Rows and columns of such a matrix: 8 or 16.
        side: u32,
    },
    /// It does not.
    Unused {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for CooperativeSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CooperativeSupport::Used { side } => {
                write!(f, "products of f16 are computed by cooperative matrices of {side} x {side}")
            }
            CooperativeSupport::Unused { reason } => {
                write!(f, "products of f16 are computed without cooperative matrices: {reason}")
            }
        }
    }
}

impl Device {
    /// What plans for this device have to know of it.
    pub(crate) fn target(&self) -> Target {
        match &self.kind {
            DeviceKind::Cpu => Target::CPU,
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => match device.profile().class {
                AdapterClass::Cpu => Target::SOFTWARE_ADAPTER,
                AdapterClass::Gpu => Target::GPU,
            },
        }
    }

    fn of(kind: DeviceKind, note: Option<String>) -> Device {
        Device {
            kind,
            note,
            #[cfg(not(target_family = "wasm"))]
            tuning: Tuned::ByEnvironment,
        }
    }

    /// The CPU.
    pub fn cpu() -> Device {
        Device::of(DeviceKind::Cpu, None)
    }

    /// A device of an adapter that is open.
    #[cfg(feature = "gpu")]
    pub(crate) fn of_adapter(device: GpuDevice) -> Device {
        Device::of(DeviceKind::Gpu(device), None)
    }

    /// The best adapter of this machine: hardware before software. [`Error::NoAdapter`] if there is none.
    ///
    /// A page in a browser opens its GPU by [`Device::gpu_async`]; this gives the one that is open already, or [`Error::CannotWait`].
    pub fn gpu() -> Result<Device, Error> {
        waited(Device::gpu_async()).unwrap_or_else(|| Err(Error::CannotWait { what: "Device::gpu".to_owned() }))
    }

    /// [`Device::gpu`] without blocking.
    pub async fn gpu_async() -> Result<Device, Error> {
        Device::open_gpu(None).await
    }

    /// The adapter that is a process's own in a group of which several members are on this machine: of the best kind of adapter that
    /// there is, the card of the number [`Group::local_rank`](crate::group::Group::local_rank), round and round if there are fewer. A card that is
    /// seen through several backends counts once. [`Error::NoAdapter`] if there is none.
    pub fn gpu_of(group: &dyn crate::group::Group) -> Result<Device, Error> {
        waited(Device::gpu_of_async(group))
            .unwrap_or_else(|| Err(Error::CannotWait { what: "Device::gpu_of".to_owned() }))
    }

    /// [`Device::gpu_of`] without blocking.
    #[cfg(feature = "gpu")]
    pub async fn gpu_of_async(group: &dyn crate::group::Group) -> Result<Device, Error> {
        GpuDevice::open(&Selector::Turn(group.local_rank())).await.map(Device::of_adapter)
    }

    /// [`Device::gpu_of`] without blocking.
    #[cfg(not(feature = "gpu"))]
    pub async fn gpu_of_async(group: &dyn crate::group::Group) -> Result<Device, Error> {
        // Without a GPU there is no turn to take.
        let _ = group;
        Device::open_gpu(None).await
    }

    /// What the environment variable `ARENAGRAD_DEVICE` names, if it is set and not blank, as [`Device::named`] understands
    /// it. Else a hardware GPU, or without one the CPU: a software adapter is slower than that. [`Device::note`] says what was chosen
    /// and why.
    ///
    /// Errors: [`Error::DeviceVariable`], with what [`Device::named`] says of the variable's value.
    ///
    /// A page in a browser has no environment, and opens its GPU by [`Device::auto_async`]: this gives the CPU there.
    pub fn auto() -> Result<Device, Error> {
        waited(Device::auto_async()).unwrap_or_else(|| {
            let note = "running on the CPU: a page in a browser opens a GPU by Device::auto_async".to_owned();
            Ok(Device::of(DeviceKind::Cpu, Some(note)))
        })
    }

    /// [`Device::auto`] without blocking. In a browser that offers no adapter, or refuses it, it gives the CPU, and [`Device::note`] says
    /// why.
    pub async fn auto_async() -> Result<Device, Error> {
        // A name that is no text is the name of no device.
        let name = std::env::var_os(DEVICE_VARIABLE).unwrap_or_default();
        Device::of_variable(&name.to_string_lossy()).await
    }

    /// The device that the environment names: the best one for a blank name.
    async fn of_variable(value: &str) -> Result<Device, Error> {
        match value.trim() {
            "" => Ok(Device::best().await),
            name if name.eq_ignore_ascii_case("auto") => Ok(Device::best().await),
            name => Device::known(name).await.map_err(|error| {
                let (variable, value) = (DEVICE_VARIABLE, value.to_owned());
                Error::DeviceVariable { variable, value, error: Box::new(error) }
            }),
        }
    }

    /// The device of that name: `auto`, `cpu`, `gpu`, a kind of adapter (`discrete`, `integrated`, `virtual`, `software`), or
    /// part of an adapter's name, in any case: `llvmpipe`. White space around it does not count, and a blank name is none:
    /// [`Error::UnknownDevice`]. In a browser as [`Device::gpu`] and [`Device::auto`].
    pub fn named(name: &str) -> Result<Device, Error> {
        if name.trim().eq_ignore_ascii_case("auto") {
            return Device::auto();
        }
        waited(Device::named_async(name)).unwrap_or_else(|| Err(Error::CannotWait { what: "Device::named".to_owned() }))
    }

    /// [`Device::named`] without blocking. A browser shows one adapter, mostly without its name and kind.
    pub async fn named_async(name: &str) -> Result<Device, Error> {
        match name.trim() {
            name if name.eq_ignore_ascii_case("auto") => Device::auto_async().await,
            name => Device::known(name).await,
        }
    }

    /// The device of a name other than `auto`.
    async fn known(name: &str) -> Result<Device, Error> {
        match name.to_ascii_lowercase().as_str() {
            "" => Err(Error::UnknownDevice { name: name.to_owned(), known: known_adapters().await }),
            "cpu" => Ok(Device::cpu()),
            "gpu" => Device::gpu_async().await,
            _ => Device::open_gpu(Some(name)).await,
        }
    }

    /// The adapters of this machine, best first; none without the feature `gpu`, and none in a browser, where
    /// [`Device::adapters_async`] finds them.
    pub fn adapters() -> Vec<AdapterDescription> {
        waited(Device::adapters_async()).unwrap_or_default()
    }

    /// [`Device::adapters`] without blocking.
    pub async fn adapters_async() -> Vec<AdapterDescription> {
        #[cfg(feature = "gpu")]
        return GpuDevice::adapters().await;
        #[cfg(not(feature = "gpu"))]
        return Vec::new();
    }

    /// The adapter, for a GPU.
    pub fn adapter(&self) -> Option<&AdapterDescription> {
        match &self.kind {
            DeviceKind::Cpu => None,
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => Some(device.description()),
        }
    }

    /// How large matrix products read operands that are held in f16, for a GPU; the first question, or the first such product, tries it out. None for
    /// the CPU, and in a browser, where it is not tried.
    pub fn f16_support(&self) -> Option<F16Support> {
        match &self.kind {
            DeviceKind::Cpu => None,
            #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
            DeviceKind::Gpu(device) => Some(device.f16_support().clone()),
            #[cfg(all(feature = "gpu", target_family = "wasm"))]
            DeviceKind::Gpu(_) => None,
        }
    }

    /// Whether large matrix products whose operands are both held in f16 are computed by cooperative matrices, for a GPU; the first question, or the
    /// first such product, tries it out. None for the CPU, and in a browser, where it is not tried.
    pub fn cooperative_support(&self) -> Option<CooperativeSupport> {
        match &self.kind {
            DeviceKind::Cpu => None,
            #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
            DeviceKind::Gpu(device) => Some(device.cooperative_support().clone()),
            #[cfg(all(feature = "gpu", target_family = "wasm"))]
            DeviceKind::Gpu(_) => None,
        }
    }

    /// Whether this is the CPU, without an adapter in between.
    pub fn is_cpu(&self) -> bool {
        self.adapter().is_none()
    }

    /// Gives one of the variables `ARENAGRAD_ADAPTER_*`, by which tests have an adapter taken for another, a value in this page, which has no
    /// environment. It holds for adapters that are opened afterwards.
    #[cfg(all(feature = "gpu", target_family = "wasm"))]
    #[doc(hidden)]
    pub fn set_adapter_variable(name: &str, value: &str) {
        crate::backend::gpu::set_variable(name, value);
    }

    /// The same device, whose kernels are chosen by what a tuning measures: see [`crate::tuning`]. It holds for all sessions, trainers and tapes that are made with
    /// it afterwards.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn tuned(self, tuning: &Tuning) -> Device {
        Device { tuning: Tuned::By(tuning.clone()), ..self }
    }

    /// By what choices of kernels are measured: what [`Device::tuned`] was given, else what the environment asks for.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn tuning(&self) -> Option<Tuning> {
        match &self.tuning {
            Tuned::ByEnvironment => Tuning::from_environment(),
            Tuned::By(tuning) => Some(tuning.clone()),
            Tuned::Never => None,
        }
    }

    /// The same device, whose kernels are the usual ones.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn untuned(&self) -> Device {
        Device { tuning: Tuned::Never, ..self.clone() }
    }

    /// What tells this device from others whose times may differ: a processor with its threads, or an adapter with its interface, its driver
    /// and the class that kernels are chosen for.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn identity(&self) -> String {
        match &self.kind {
            DeviceKind::Cpu => format!("{} with {} threads", crate::processor::name(), rayon::current_num_threads()),
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => {
                let AdapterDescription { name, backend, driver, .. } = device.description();
                format!("{name}, {backend}, {driver}, class {:?}", device.profile().class)
            }
        }
    }

    /// Why [`Device::auto`] chose this device, where a reader may have expected another.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The best device for speed, with a note if that is not a GPU.
    async fn best() -> Device {
        let adapters = Device::adapters_async().await;
        let hardware = adapters.iter().any(|adapter| adapter.kind != AdapterKind::Software);
        let note = match (hardware, adapters.first()) {
            (true, _) => match Device::gpu_async().await {
                Ok(device) => return device,
                Err(error) => format!("running on the CPU: {error}"),
            },
            (false, Some(software)) => {
                format!("running on the CPU: the only adapter, {:?}, is software and no GPU", software.name)
            }
            (false, None) => "running on the CPU: no GPU adapter was found".to_owned(),
        };
        Device::of(DeviceKind::Cpu, Some(note))
    }

    #[cfg(feature = "gpu")]
    async fn open_gpu(name: Option<&str>) -> Result<Device, Error> {
        let selector = match name.map(str::to_ascii_lowercase).as_deref() {
            None => Selector::Any,
            Some("discrete") => Selector::Kind(AdapterKind::Discrete),
            Some("integrated") => Selector::Kind(AdapterKind::Integrated),
            Some("virtual") => Selector::Kind(AdapterKind::Virtual),
            Some("software") => Selector::Kind(AdapterKind::Software),
            Some(part) => Selector::Name(part.to_owned()),
        };
        Ok(Device::of(DeviceKind::Gpu(GpuDevice::open(&selector).await?), None))
    }

    #[cfg(not(feature = "gpu"))]
    async fn open_gpu(name: Option<&str>) -> Result<Device, Error> {
        match name {
            None => Err(Error::NoAdapter { reason: "arenagrad was built without its feature gpu".to_owned() }),
            Some(name) => Err(Error::UnknownDevice { name: name.to_owned(), known: "built without gpu".to_owned() }),
        }
    }
}

/// What a future gives to one who blocks until it does; nothing where that may not be and it has not yet.
fn waited<T>(future: impl Future<Output = T>) -> Option<T> {
    #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
    return Some(pollster::block_on(future));
    // Without a GPU nothing is waited for.
    #[cfg(not(all(feature = "gpu", not(target_family = "wasm"))))]
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => Some(result),
        std::task::Poll::Pending => None,
    }
}

/// The adapters of this machine, for an error.
async fn known_adapters() -> String {
    let adapters: Vec<String> = Device::adapters_async().await.iter().map(AdapterDescription::to_string).collect();
    if adapters.is_empty() { "none was found".to_owned() } else { adapters.join(", ") }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdapterKind::Discrete => "discrete GPU",
            AdapterKind::Integrated => "integrated GPU",
            AdapterKind::Virtual => "virtual GPU",
            AdapterKind::Software => "software adapter",
            AdapterKind::Other => "adapter",
        })
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::AsWritten => "arithmetic as written",
            Arithmetic::Regrouped => {
                "arithmetic may be regrouped: sums such as (x + c) - c, and x - x, x * 0, 0 / x and x / 0 of NaN or infinity"
            }
        })
    }
}

impl fmt::Display for AdapterDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.kind, self.backend)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.adapter() {
            None => match arenagrad_kernels::cpu::threads() {
                1 => f.write_str("CPU (1 thread)"),
                threads => write!(f, "CPU ({threads} threads)"),
            },
            Some(adapter) => fmt::Display::fmt(adapter, f),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, waited};
    use crate::error::Error;

    #[test]
    fn a_wrong_variable_is_named() {
        let of = |value: &str| waited(Device::of_variable(value)).expect("nothing to wait for in a program");
        assert!(of(" cpu\n").unwrap().is_cpu());
        let error = of("Voodoo 2").unwrap_err();
        let Error::DeviceVariable { variable: "ARENAGRAD_DEVICE", value, error: inner } = &error else {
            panic!("{error}")
        };
        assert_eq!(value, "Voodoo 2");
        assert!(matches!(**inner, Error::UnknownDevice { .. } | Error::NoAdapter { .. }), "{inner}");
        assert_eq!(error.to_string(), format!("the environment variable ARENAGRAD_DEVICE is \"Voodoo 2\": {inner}"));
    }
}
