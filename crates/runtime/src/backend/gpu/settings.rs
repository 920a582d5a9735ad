//! What a device is taken for: what is asked of its adapter, what lowering must know of it, and what the environment overrides.

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, Joining};

use super::variables::variable;
use crate::device::AdapterKind;

/// Overrides the class of adapter that kernels are chosen for, so that tests reach a GPU's kernels without a GPU.
const CLASS_VARIABLE: &str = "ARENAGRAD_ADAPTER_CLASS";

/// With so many bytes as its value, adapters are taken as if kernels could see no more of a tensor at once, so that tests meet the limit
/// without tensors of 128 MiB.
const BINDING_VARIABLE: &str = "ARENAGRAD_ADAPTER_BINDING";

/// Overrides which small dispatches are joined, then as soon as a plan is made ready, so that tests reach both ways.
const JOINING_VARIABLE: &str = "ARENAGRAD_ADAPTER_JOINING";

/// Mesa 22's lavapipe silently ends the loops of an invocation past 65,535 iterations in all; this keeps well below.
const SOFTWARE_ITERATIONS: u32 = 24_000;

/// A GPU has no such limit, but drivers reset a device whose dispatch runs for seconds: sixteen million short
/// iterations take tenths of a second.
const GPU_ITERATIONS: u32 = 1 << 24;

/// The class that the environment gives, if it does.
pub(super) fn class() -> Result<Option<AdapterClass>, String> {
    variable(CLASS_VARIABLE).map(|text| parse_class(&text)).transpose()
}

/// Which small dispatches the environment has joined, if it says so.
pub(super) fn joining() -> Result<Option<Joining>, String> {
    variable(JOINING_VARIABLE).map(|text| parse_joining(&text)).transpose()
}

/// The most bytes of a tensor that the environment lets a kernel see, if it says so.
pub(super) fn binding_limit() -> Result<Option<u64>, String> {
    variable(BINDING_VARIABLE).map(|text| parse_binding(&text)).transpose()
}

/// What is asked of an adapter that has these limits: all that it has. Of a browser only as much as every page may have, so that a plan that
/// runs in one runs in each; but for the sizes of buffers, of which small defaults would refuse what many adapters hold.
pub(super) fn limits(own: wgpu::Limits) -> wgpu::Limits {
    if !cfg!(target_family = "wasm") {
        return own;
    }
    wgpu::Limits {
        max_buffer_size: own.max_buffer_size,
        max_storage_buffer_binding_size: own.max_storage_buffer_binding_size,
        ..wgpu::Limits::default()
    }
}

/// What lowering must know of an adapter of that kind, taken for that class where one is given. The class changes which
/// kernels run, not what a software adapter can bear.
pub(super) fn profile(
    kind: AdapterKind,
    class: Option<AdapterClass>,
    max_workgroups_per_dimension: u32,
) -> AdapterProfile {
    let own = own_class(kind);
    AdapterProfile {
        class: class.unwrap_or(own),
        max_workgroups_per_dimension,
        max_iterations_per_invocation: match own {
            AdapterClass::Cpu => SOFTWARE_ITERATIONS,
            AdapterClass::Gpu => GPU_ITERATIONS,
        },
        reads_f16: false,
        cooperative: None,
        subgroup: None,
    }
}

/// The class of an adapter of that kind.
pub(super) fn own_class(kind: AdapterKind) -> AdapterClass {
    match kind {
        AdapterKind::Software => AdapterClass::Cpu,
        AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual | AdapterKind::Other => {
            AdapterClass::Gpu
        }
    }
}

fn parse_class(text: &str) -> Result<AdapterClass, String> {
    match text {
        "cpu" => Ok(AdapterClass::Cpu),
        "gpu" => Ok(AdapterClass::Gpu),
        other => Err(format!("{CLASS_VARIABLE} is {other:?}, which is neither \"cpu\" nor \"gpu\"")),
    }
}

fn parse_binding(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{BINDING_VARIABLE} is {text:?}, which is no number of bytes"))
}

fn parse_joining(text: &str) -> Result<Joining, String> {
    match text {
        "never" => Ok(Joining::Never),
        "always" => Ok(Joining::Always),
        other => Err(format!("{JOINING_VARIABLE} is {other:?}, which is neither \"never\" nor \"always\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_follows_the_kind_unless_it_is_given() {
        let own = |kind| profile(kind, None, 65_535).class;
        assert_eq!(own(AdapterKind::Software), AdapterClass::Cpu);
        for kind in [AdapterKind::Discrete, AdapterKind::Integrated, AdapterKind::Virtual, AdapterKind::Other] {
            assert_eq!(own(kind), AdapterClass::Gpu, "{kind}");
        }
        assert_eq!(profile(AdapterKind::Discrete, Some(AdapterClass::Cpu), 65_535).class, AdapterClass::Cpu);
    }

    #[test]
    fn a_gpu_kernel_on_a_software_adapter_keeps_that_adapters_loops() {
        let profile = profile(AdapterKind::Software, Some(AdapterClass::Gpu), 65_535);
        assert_eq!(profile.class, AdapterClass::Gpu);
        assert_eq!(profile.max_iterations_per_invocation, SOFTWARE_ITERATIONS);
    }

    #[test]
    fn a_class_is_cpu_or_gpu() {
        assert_eq!(parse_class("cpu"), Ok(AdapterClass::Cpu));
        assert_eq!(parse_class("gpu"), Ok(AdapterClass::Gpu));
        assert!(parse_class("tpu").unwrap_err().contains("tpu"));
    }

    #[test]
    fn joining_is_never_or_always() {
        assert_eq!(parse_joining("never"), Ok(Joining::Never));
        assert_eq!(parse_joining("always"), Ok(Joining::Always));
        assert!(parse_joining("now").unwrap_err().contains("now"));
    }
}
