//! The adapters of this machine: listing them, choosing one, opening it once.
//!
//! The list is made at the first question and stays for the life of the process, as do the devices that were opened,
//! until one is lost. A browser shows one adapter, and not what it is. Nothing here knows what a device is used for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::device::GpuDevice;
#[cfg(not(target_family = "wasm"))]
use super::float_controls;
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
    /// Of the cards of the kind of the first one, that of that number, counted round and round, by the backend that comes first.
    Turn(usize),
}

/// The adapters of this machine in the order of preference, and those that are open.
struct Machine {
    slots: Vec<Slot>,
}

struct Slot {
    description: AdapterDescription,
    card: Card,
    adapter: wgpu::Adapter,
    opened: Opened,
}

/// What tells the card of an adapter from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Card {
    vendor: u32,
    device: u32,
    /// Its place on the bus, where that is known for certain, or nothing.
    bus: String,
}

/// An adapter as it is chosen by.
type Shown<'a> = (&'a AdapterDescription, &'a Card);

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
            .map(|adapter| Slot {
                description: describe(&adapter),
                card: Card::of(&adapter),
                adapter,
                opened: Arc::default(),
            })
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
    let slot = |adapter| Slot {
        description: describe(&adapter),
        card: Card::of(&adapter),
        adapter,
        opened: Arc::clone(&opened),
    };
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
        arithmetic: arithmetic(adapter),
    }
}

impl Card {
    fn of(adapter: &wgpu::Adapter) -> Card {
        let wgpu::AdapterInfo { vendor, device, backend, device_pci_bus_id, .. } = adapter.get_info();
        // Direct3D looks it up by the model, which gives one place for two cards.
        let bus = if backend == wgpu::Backend::Vulkan { device_pci_bus_id } else { String::new() };
        Card { vendor, device, bus }
    }
}

/// How an adapter takes arithmetic: SPIR-V can forbid to regroup it, and then the driver must also offer to keep special numbers.
fn arithmetic(adapter: &wgpu::Adapter) -> Arithmetic {
    #[cfg(not(target_family = "wasm"))]
    if takes_spirv(adapter) && float_controls::keep_special_numbers(adapter) {
        return Arithmetic::AsWritten;
    }
    #[cfg(target_family = "wasm")]
    let _ = adapter;
    Arithmetic::Regrouped
}

/// Whether modules go to an adapter as SPIR-V, which only Vulkan takes, and which the environment may refuse.
#[cfg(not(target_family = "wasm"))]
pub(super) fn takes_spirv(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().backend == wgpu::Backend::Vulkan
        && adapter.features().contains(wgpu::Features::PASSTHROUGH_SHADERS)
        && variable(ARITHMETIC_VARIABLE).is_none_or(|text| text != REGROUPED)
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
    let adapters: Vec<Shown<'_>> = machine.slots.iter().map(|slot| (&slot.description, &slot.card)).collect();
    choose(&adapters, selector).map(|position| &machine.slots[position])
}

/// The position of the wanted adapter among those that there are, in the order of preference.
fn choose(adapters: &[Shown<'_>], selector: &Selector) -> Result<usize, Error> {
    if adapters.is_empty() {
        return Err(Error::NoAdapter { reason: no_adapter_reason() });
    }
    let known = || adapters.iter().map(|(adapter, _)| adapter.to_string()).collect::<Vec<_>>().join(", ");
    match selector {
        Selector::Any => Ok(0),
        Selector::Turn(turn) => {
            // The order of preference puts those of one kind beside one another.
            let alike = adapters.iter().take_while(|(adapter, _)| adapter.kind == adapters[0].0.kind).count();
            let cards = distinct(&adapters[..alike]);
            Ok(cards[turn % cards.len()])
        }
        Selector::Kind(kind) => adapters
            .iter()
            .position(|(adapter, _)| adapter.kind == *kind)
            .ok_or_else(|| Error::NoAdapter { reason: format!("none is a {kind}; this machine has {}", known()) }),
        Selector::Name(name) => {
            // Nothing is a part of every name, and so is a space of most: neither says which adapter is meant.
            let wanted = name.trim().to_lowercase();
            adapters
                .iter()
                .position(|(adapter, _)| !wanted.is_empty() && adapter.name.to_lowercase().contains(&wanted))
                .ok_or_else(|| Error::UnknownDevice { name: name.clone(), known: known() })
        }
    }
}

/// The positions of adapters that are different cards, of each the first. A card is seen through several backends, and through one backend
/// several times where several drivers serve it: then its place on the bus says so. The cards of one model are as many as one backend shows.
fn distinct(adapters: &[Shown<'_>]) -> Vec<usize> {
    // The model, and how many of it the same backend showed before.
    let mut shown: Vec<(&Shown<'_>, usize)> = Vec::new();
    let mut cards = Vec::new();
    for (position, adapter) in adapters.iter().enumerate() {
        let backend = adapter.0.backend;
        let is_again =
            |other: &Shown<'_>| other.0.backend == backend && !adapter.1.bus.is_empty() && other.1.bus == adapter.1.bus;
        if adapters[..position].iter().any(is_again) {
            continue;
        }
        let of_model = || shown.iter().filter(|(other, _)| is_of_one_model(other, adapter));
        let number = of_model().filter(|(other, _)| other.0.backend == backend).count();
        if !of_model().any(|(_, other)| *other == number) {
            cards.push(position);
        }
        shown.push((adapter, number));
    }
    cards
}

/// Whether two adapters are of one model, as far as their numbers or, where they have none, their names say.
fn is_of_one_model(a: &Shown<'_>, b: &Shown<'_>) -> bool {
    let numbers = |adapter: &Shown<'_>| (adapter.1.vendor, adapter.1.device);
    let are_known = [a, b].iter().all(|adapter| adapter.1.vendor != 0 && adapter.1.device != 0);
    if are_known { numbers(a) == numbers(b) } else { a.0.name == b.0.name }
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

    /// [`super::choose`] among adapters of which nothing but the description is known.
    fn choose(adapters: &[&AdapterDescription], selector: &Selector) -> Result<usize, Error> {
        let card = Card::default();
        super::choose(&adapters.iter().map(|&adapter| (adapter, &card)).collect::<Vec<_>>(), selector)
    }

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
    fn a_card_takes_one_turn_through_however_many_backends_it_is_seen() {
        let through = |backend| AdapterDescription { backend, ..adapter("Card", AdapterKind::Discrete) };
        let (vulkan, other) = (through("vulkan"), through("dx12"));
        let card = |device, bus: &str| Card { vendor: 0x10de, device, bus: bus.to_owned() };
        let turns = |adapters: &[(&AdapterDescription, Card)]| {
            let adapters: Vec<_> = adapters.iter().map(|(adapter, card)| (*adapter, card)).collect();
            [0, 1, 2, 3].map(|turn| super::choose(&adapters, &Selector::Turn(turn)).unwrap())
        };
        let (a, b) = (card(1, "0000:01:00.0"), card(1, "0000:02:00.0"));
        // One card, and two of one model.
        assert_eq!(turns(&[(&vulkan, a.clone()), (&other, card(1, ""))]), [0; 4]);
        let both = [(&vulkan, a.clone()), (&vulkan, b.clone()), (&other, card(1, "")), (&other, card(1, ""))];
        assert_eq!(turns(&both), [0, 1, 0, 1]);
        // Two drivers of one card, and a card of another model that one backend alone shows.
        assert_eq!(turns(&[(&vulkan, a.clone()), (&vulkan, a.clone()), (&vulkan, b)]), [0, 2, 0, 2]);
        assert_eq!(turns(&[(&vulkan, a), (&other, card(1, "")), (&other, card(2, ""))]), [0, 2, 0, 2]);
        // Without numbers the names tell.
        assert_eq!(turns(&[(&vulkan, Card::default()), (&other, Card::default())]), [0; 4]);
        let renamed = AdapterDescription { name: String::from("Another"), ..other };
        assert_eq!(turns(&[(&vulkan, Card::default()), (&renamed, Card::default())]), [0, 1, 0, 1]);
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
