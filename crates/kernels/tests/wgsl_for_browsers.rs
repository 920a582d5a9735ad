//! Every module that these suites know keeps what each browser allows a page, and can be written down for a browser's own compiler, which
//! takes another WGSL than naga: where one says that a program is wrong, the other may be silent.
//!
//! `ARENAGRAD_WGSL_MODULES` names a file: then the modules are written there, as JSON: a list of lists of a name, a text, and for each
//! storage buffer whether the module writes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, Dispatch, Joiner, Joining, Location, lower, lower_step};
use arenagrad_kernels::{DType, Kernel, StorageType, Stored};
use naga::proc::Layouter;

use crate::wgsl_modules::all_cases;

/// What WebGPU gives every page.
const MOST_BUFFERS: usize = 8;
const MOST_INVOCATIONS: u32 = 256;
const MOST_WORKGROUP_BYTES: u32 = 16_384;
const MOST_PARAMETER_BYTES: usize = 65_536;

/// What the name of a module ends in whose buffers are all declared writable.
const ALL_WRITABLE: &str = ", all writable";

/// What the name of a module ends in that is several.
const JOINED: &str = " joined";

/// A module by its text: what it is called, and which buffers it writes.
type Modules = BTreeMap<String, (String, Vec<bool>)>;

fn profile(class: AdapterClass, iterations: u32) -> AdapterProfile {
    AdapterProfile {
        class,
        max_workgroups_per_dimension: 65_535,
        max_iterations_per_invocation: iterations,
        reads_f16: false,
        cooperative: None,
        subgroup: None,
    }
}

/// Adds the modules of dispatches, as they are and with everything declared writable, as they are where small tensors share buffers.
fn add(modules: &mut Modules, name: &str, dispatches: &[Dispatch]) {
    for dispatch in dispatches {
        let name = format!("{name}: {}", dispatch.label);
        let writable: Vec<bool> = dispatch.bindings.iter().map(|binding| binding.writable).collect();
        let also: Vec<bool> = writable.iter().map(|writable| !writable).collect();
        let all =
            (dispatch.with_writable(&also).to_string(), (format!("{name}{ALL_WRITABLE}"), vec![true; also.len()]));
        modules.insert(all.0, all.1);
        modules.insert(dispatch.module.to_string(), (name, writable));
    }
}

/// How an elementwise kernel's buffers may hold its values narrower.
fn narrow(kernel: &Kernel) -> Vec<(Vec<StorageType>, Vec<StorageType>)> {
    let Kernel::Elementwise(program) = kernel else { return Vec::new() };
    let dtypes: Vec<DType> = program.inputs.iter().map(|input| input.dtype).collect();
    let results: Vec<DType> = (0..program.outputs.len()).map(|output| program.output_dtype(output)).collect();
    if program.inputs.iter().any(|input| input.in_place.is_some()) {
        return Vec::new();
    }
    let pairs = [
        [StorageType::F16, StorageType::I8],
        [StorageType::Bf16, StorageType::U8],
        [StorageType::F16, StorageType::I64],
    ];
    let stored = pairs.map(|[float, integer]| {
        let of = |dtypes: &[DType]| -> Vec<StorageType> {
            let one = |dtype: &DType| match dtype {
                DType::F32 => float,
                DType::I32 => integer,
                DType::F64 | DType::Bool => StorageType::from(*dtype),
            };
            dtypes.iter().map(one).collect()
        };
        (of(&dtypes), of(&results))
    });
    stored.into()
}

/// All tensors of a dispatch in one buffer, one behind the other.
fn side_by_side(dispatch: &Dispatch) -> Vec<Location> {
    (0..dispatch.bindings.len() as u32).map(|place| Location { buffer: 7, offset: 64 * place }).collect()
}

/// Adds these dispatches joined, as many at a time as can be.
fn add_joined(modules: &mut Modules, class: AdapterClass, dispatches: &[Dispatch]) {
    let mut rest = dispatches;
    while !rest.is_empty() {
        let mut joiner = Joiner::new(&profile(class, 24_000), Joining::Always);
        let taken = rest.iter().take_while(|dispatch| joiner.take(dispatch, &side_by_side(dispatch))).count();
        if taken > 0 {
            let joined = joiner.finish();
            let writable = joined.buffers.iter().map(|(_, writable)| *writable).collect();
            let name = format!("{} of {}{JOINED}", rest[0].label, joined.parts);
            modules.insert(joined.module.to_string(), (name, writable));
        }
        rest = &rest[taken.max(1)..];
    }
}

fn all_modules() -> Modules {
    let mut modules = Modules::new();
    for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
        let mut whole = Vec::new();
        for (name, kernel) in all_cases() {
            // With few iterations what is long is cut, by modules of its own.
            for iterations in [64, 24_000] {
                let dispatches = lower(&kernel, &profile(class, iterations)).unwrap().dispatches;
                add(&mut modules, &name, &dispatches);
                if iterations > 64 {
                    add_joined(&mut modules, class, &dispatches);
                    whole.extend(dispatches);
                }
            }
            for (inputs, outputs) in narrow(&kernel) {
                let buffers: Vec<u32> = (0..inputs.len() as u32).collect();
                let stored = Stored { inputs: &inputs, outputs: &outputs };
                let lowered = lower_step(&kernel, &buffers, stored, &profile(class, 24_000)).unwrap();
                add(&mut modules, &format!("{name} as {inputs:?}"), &lowered.dispatches);
            }
        }
        add_joined(&mut modules, class, &whole);
    }
    modules
}

/// The bytes of workgroup memory, of parameters, and the invocations of a workgroup.
fn needs(name: &str, text: &str) -> (u32, usize, u32) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let (mut workgroup, mut parameters) = (0, 0);
    for (_, variable) in module.global_variables.iter() {
        let layout = layouter[variable.ty];
        if variable.space == naga::AddressSpace::WorkGroup {
            workgroup += layout.alignment.round_up(layout.size).next_multiple_of(16);
        } else if variable.space == naga::AddressSpace::Uniform {
            parameters = layout.size as usize;
        }
    }
    (workgroup, parameters, module.entry_points[0].workgroup_size.iter().product())
}

#[test]
fn every_module_keeps_what_each_page_may_have() {
    let modules = all_modules();
    assert!(modules.len() > 1000, "{} modules are not all", modules.len());
    let mut most = (0, 0);
    for (text, (name, writable)) in &modules {
        assert!(writable.len() <= MOST_BUFFERS, "{name} binds {} buffers", writable.len());
        if name.ends_with(ALL_WRITABLE) {
            // But for the access it is the one beside it.
            continue;
        }
        let (workgroup, parameters, invocations) = needs(name, text);
        assert!(workgroup <= MOST_WORKGROUP_BYTES, "{name} has {workgroup} bytes of workgroup memory");
        assert!(parameters <= MOST_PARAMETER_BYTES, "{name} has {parameters} bytes of parameters");
        assert!(invocations <= MOST_INVOCATIONS, "{name} has workgroups of {invocations}");
        // Extensions are not on every device: none may be asked for.
        assert!(!text.contains("enable ") && !text.contains("requires "), "{name}");
        most = (workgroup.max(most.0), invocations.max(most.1));
    }
    assert!(most.0 > 0 && most.1 > 64, "no case shares memory or fills a workgroup: {most:?}");
    let Some(path) = std::env::var_os("ARENAGRAD_WGSL_MODULES") else { return };
    let mut json = String::from("[");
    // The runtime hands a browser none that are joined: barriers in them depend on parameters that are not uniform to it.
    for (text, (name, writable)) in modules.iter().filter(|(_, (name, _))| !name.ends_with(JOINED)) {
        let separator = if json.len() > 1 { ",\n" } else { "\n" };
        // Of ASCII alone, which Rust quotes as JSON does.
        assert!(text.is_ascii() && name.is_ascii(), "{name}");
        write!(json, "{separator}[{name:?},{text:?},{writable:?}]").unwrap();
    }
    json.push_str("\n]\n");
    std::fs::write(path, json).unwrap();
}
