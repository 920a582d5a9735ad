//! The adapters of this machine: listing them, choosing one, opening it once.
//!
//! The list is made at the first question and stays for the life of the process, as do the devices that were opened,
//! until one is lost. A browser shows one adapter, and not what it is. Nothing here knows what a device is used for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::device::GpuDevice;
use super::variables::variable;
use crate::device::{AdapterDescription, AdapterKind, Arithmetic};
use crate::error::Error;

/// Which adapter is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The first there is: discrete before integrated before virtual before software, then those of no known kind.
    Any,
    /// The first of that kind.
    Kind(AdapterKind),
    /// The first whose name contains this text, in any case.
    Name(String),
    /// Of those of the kind of the first one, the one of that number, counted round and round.
    Turn(usize),
}

/// The adapters of this machine in the order of preference, and those that are open.
struct Machine {
    slots: Vec<Slot>,
}

struct Slot {
    description: AdapterDescription,
    adapter: wgpu::Adapter,
    opened: Opened,
}

/// The device of an adapter, if it is open.
type Opened = Arc<Mutex<Option<GpuDevice>>>;

/// With the value [`REGROUPED`], adapters are taken as if they could not take arithmetic as it is written, so that tests
/// reach what others than Vulkan get.
const ARITHMETIC_VARIABLE: &str = "ARENAGRAD_ADAPTER_ARITHMETIC";
const REGROUPED: &str = "regrouped";

impl GpuDevice {
    /// All adapters of this machine, in the order in which [`Selector::Any`] prefers them; none is a normal case.
    pub(crate) async fn adapters() -> Vec<AdapterDescription> {
        machine().await.slots.iter().map(|slot| slot.description.clone()).collect()
    }

    /// The device of the wanted adapter. Whoever asks for the same adapter in this process gets the same device, unless
    /// it was lost meanwhile.
    pub(crate) async fn open(selector: &Selector) -> Result<GpuDevice, Error> {
        let machine = machine().await;
        let slot = select(&machine, selector)?;
        let open = |opened: &Option<GpuDevice>| opened.as_ref().filter(|device| !device.is_lost()).cloned();
        if let Some(device) = open(&slot.opened.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(device);
        }
        let device = slot.open().await?;
        let mut opened = slot.opened.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that open it at the same time the second takes what the first has.
        Ok(open(&opened).unwrap_or_else(|| opened.insert(device).clone()))
    }

    /// A device of the wanted adapter that no one else uses, so that a test may lose it.
    #[cfg(test)]
    pub(super) fn open_alone(selector: &Selector) -> Result<GpuDevice, Error> {
        pollster::block_on(async {
            let machine = machine().await;
            select(&machine, selector)?.open().await
        })
    }
}

impl Slot {
    /// Opens the adapter anew.
    async fn open(&self) -> Result<GpuDevice, Error> {
        let adapter = &self.description.name;
        check_environment().map_err(|reason| Error::AdapterRefused { adapter: adapter.clone(), reason })?;
        GpuDevice::request(&self.adapter, self.description.clone()).await
    }
}

/// The adapters of this machine, which are looked for once.
#[cfg(not(target_family = "wasm"))]
async fn machine() -> Arc<Machine> {
    static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
    let machine = MACHINE.get_or_init(|| {
        if wgpu::Instance::enabled_backend_features().is_empty() {
            return Arc::new(Machine { slots: Vec::new() });
        }
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        // The default depends on how wgpu was built: it asks for validation layers in a debug build, and for pipelines
        // that check indirect dispatches, of which there are none here. The environment can still ask for them.
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(descriptor);
        // It gives its answer at once here.
        let mut slots: Vec<Slot> = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
            .into_iter()
            .map(|adapter| Slot { description: describe(&adapter), adapter, opened: Arc::default() })
            .collect();
        // Stable: adapters of one kind, and one adapter seen through several backends, stay in the backends' order.
        slots.sort_by_key(|slot| preference(slot.description.kind));
        Arc::new(Machine { slots })
    });
    Arc::clone(machine)
}

/// The adapter that the browser gives a page, if it gives one. An adapter of a browser opens one device, so each question asks for it anew.
#[cfg(target_family = "wasm")]
async fn machine() -> Machine {
    static OPENED: OnceLock<Opened> = OnceLock::new();
    if !wgpu::util::is_browser_webgpu_supported().await {
        return Machine { slots: Vec::new() };
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = instance.request_adapter(&options).await.into_iter();
    let opened = Arc::clone(OPENED.get_or_init(Arc::default));
    let slot = |adapter| Slot { description: describe(&adapter), adapter, opened: Arc::clone(&opened) };
    Machine { slots: adapter.map(slot).collect() }
}

/// The place of a kind of adapter in the order of preference.
#[cfg(not(target_family = "wasm"))]
fn preference(kind: AdapterKind) -> u8 {
    match kind {
        AdapterKind::Discrete => 0,
        AdapterKind::Integrated => 1,
        AdapterKind::Virtual => 2,
        AdapterKind::Software => 3,
        AdapterKind::Other => 4,
    }
}

fn describe(adapter: &wgpu::Adapter) -> AdapterDescription {
    let info = adapter.get_info();
    let driver = [info.driver.trim(), info.driver_info.trim()];
    AdapterDescription {
        name: match info.name.trim() {
            // Browsers keep it to themselves.
            "" => String::from("WebGPU"),
            name => name.to_owned(),
        },
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        },
        backend: info.backend.to_str(),
        driver: driver.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        arithmetic: arithmetic(info.backend, adapter.features()),
    }
}

/// How an adapter with these features takes arithmetic: SPIR-V can forbid regrouping, and only Vulkan takes SPIR-V.
fn arithmetic(backend: wgpu::Backend, features: wgpu::Features) -> Arithmetic {
    if backend == wgpu::Backend::Vulkan && features.contains(wgpu::Features::PASSTHROUGH_SHADERS) && !regrouped() {
        Arithmetic::AsWritten
    } else {
        Arithmetic::Regrouped
    }
}

/// Whether the environment asks to take adapters for such as may regroup.
fn regrouped() -> bool {
    variable(ARITHMETIC_VARIABLE).is_some_and(|text| text == REGROUPED)
}

/// Refuses a value of the environment that would be ignored.
fn check_environment() -> Result<(), String> {
    match variable(ARITHMETIC_VARIABLE) {
        Some(text) if text != REGROUPED => {
            Err(format!("{ARITHMETIC_VARIABLE} is {text:?}, which is not {REGROUPED:?}"))
        }
        Some(_) | None => Ok(()),
    }
}

fn select<'a>(machine: &'a Machine, selector: &Selector) -> Result<&'a Slot, Error> {
    let descriptions: Vec<&AdapterDescription> = machine.slots.iter().map(|slot| &slot.description).collect();
    choose(&descriptions, selector).map(|position| &machine.slots[position])
}

/// The position of the wanted adapter among those that there are, in the order of preference.
fn choose(adapters: &[&AdapterDescription], selector: &Selector) -> Result<usize, Error> {
    if adapters.is_empty() {
        return Err(Error::NoAdapter { reason: no_adapter_reason() });
    }
    let known = || adapters.iter().map(|adapter| adapter.to_string()).collect::<Vec<_>>().join(", ");
    match selector {
        Selector::Any => Ok(0),
        Selector::Turn(turn) => {
            // The order of preference puts those of one kind beside one another.
            let alike = adapters.iter().take_while(|adapter| adapter.kind == adapters[0].kind).count();
            Ok(turn % alike)
        }
        Selector::Kind(kind) => adapters
            .iter()
            .position(|adapter| adapter.kind == *kind)
            .ok_or_else(|| Error::NoAdapter { reason: format!("none is a {kind}; this machine has {}", known()) }),
        Selector::Name(name) => {
            // Nothing is a part of every name, and so is a space of most: neither says which adapter is meant.
            let wanted = name.trim().to_lowercase();
            adapters
                .iter()
                .position(|adapter| !wanted.is_empty() && adapter.name.to_lowercase().contains(&wanted))
                .ok_or_else(|| Error::UnknownDevice { name: name.clone(), known: known() })
        }
    }
}

#[cfg(target_family = "wasm")]
fn no_adapter_reason() -> String {
    String::from("this browser offers this page none through WebGPU, which needs https or localhost")
}

#[cfg(not(target_family = "wasm"))]
fn no_adapter_reason() -> String {
    match std::env::var("WGPU_BACKEND") {
        Ok(backends) => format!("WGPU_BACKEND restricts the search to {backends:?}, and no driver answers there"),
        Err(_) => {
            String::from("no driver answers through Vulkan, Metal or Direct3D 12; on Linux, Mesa has a software driver")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: AdapterKind) -> AdapterDescription {
        AdapterDescription {
            name: name.to_owned(),
            kind,
            backend: "vulkan",
            driver: String::from("Driver 1.2"),
            arithmetic: Arithmetic::AsWritten,
        }
    }

    #[test]
    fn names_match_in_any_case_and_in_part() {
        let (first, second) =
            (adapter("NVIDIA H200", AdapterKind::Discrete), adapter("llvmpipe (LLVM 15)", AdapterKind::Software));
        let adapters = [&first, &second];
        assert_eq!(choose(&adapters, &Selector::Name(String::from("LLVMpipe"))), Ok(1));
        assert_eq!(choose(&adapters, &Selector::Name(String::from("h200"))), Ok(0));
        // Only the best kind takes turns.
        assert_eq!([0, 1, 2].map(|turn| choose(&adapters, &Selector::Turn(turn))), [Ok(0), Ok(0), Ok(0)]);
        assert_eq!(
            [0, 1, 2].map(|turn| choose(&[adapters[0], adapters[0]], &Selector::Turn(turn))),
            [Ok(0), Ok(1), Ok(0)]
        );
        for name in ["", " ", "\t"] {
            let chosen = choose(&adapters, &Selector::Name(String::from(name)));
            assert!(matches!(chosen, Err(Error::UnknownDevice { .. })), "{name:?}: {chosen:?}");
        }
        let error = choose(&adapters, &Selector::Name(String::from("Radeon"))).unwrap_err();
        let Error::UnknownDevice { name, known } = &error else { panic!("{error}") };
        assert_eq!(name, "Radeon");
        assert_eq!(known, "NVIDIA H200 (discrete GPU, vulkan), llvmpipe (LLVM 15) (software adapter, vulkan)");
    }

    #[test]
    fn a_missing_kind_is_an_error_that_lists_what_there_is() {
        let software = adapter("llvmpipe", AdapterKind::Software);
        assert_eq!(choose(&[&software], &Selector::Kind(AdapterKind::Software)), Ok(0));
        let error = choose(&[&software], &Selector::Kind(AdapterKind::Discrete)).unwrap_err();
        let Error::NoAdapter { reason } = &error else { panic!("{error}") };
        assert!(reason.contains("discrete") && reason.contains("llvmpipe"), "{reason}");
    }

    #[test]
    fn no_adapter_at_all_is_an_error_for_each_selector() {
        let selectors =
            [Selector::Any, Selector::Kind(AdapterKind::Integrated), Selector::Name(String::from("llvmpipe"))];
        for selector in selectors {
            assert!(matches!(choose(&[], &selector), Err(Error::NoAdapter { .. })), "{selector:?}");
        }
    }

    #[test]
    fn software_comes_after_every_gpu() {
        for kind in [AdapterKind::Discrete, AdapterKind::Integrated, AdapterKind::Virtual] {
            assert!(preference(kind) < preference(AdapterKind::Software), "{kind}");
        }
    }
}
