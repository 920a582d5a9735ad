//! Joined dispatches: modules of every kind put together are what naga accepts, and keep the limits of adapters.

use std::collections::BTreeSet;

use arenagrad_kernels::wgsl::{
    AdapterClass, AdapterProfile, Dispatch, Joined, Joiner, Joining, Location, Resource, lower, lower_step,
};
use arenagrad_kernels::{BinaryFunction, DType, Kernel, StorageType, Stored, UnaryFunction};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::wgsl_cases::attention::attentions;
use crate::wgsl_cases::nests::{SHAPES, nests_of, softmax};
use crate::wgsl_cases::{Product, binary, elementwise, indexing, load, matmul, matmuls, reductions, unary};

fn profile(class: AdapterClass) -> AdapterProfile {
    AdapterProfile {
        class,
        max_workgroups_per_dimension: 65_535,
        max_iterations_per_invocation: 24_000,
        reads_f16: false,
        cooperative: None,
        subgroup: None,
    }
}

fn all_cases() -> Vec<(String, Kernel)> {
    let nests = SHAPES.into_iter().flat_map(nests_of).map(|(name, nest)| (name, Kernel::Nest(nest)));
    [elementwise(), reductions(), indexing(), matmuls(), attentions(), nests.collect()].concat()
}

fn dispatches(kernel: &Kernel, class: AdapterClass) -> Vec<Dispatch> {
    lower(kernel, &profile(class)).unwrap().dispatches
}

/// All tensors of a dispatch in one buffer, one behind the other.
fn side_by_side(dispatch: &Dispatch) -> Vec<Location> {
    (0..dispatch.bindings.len() as u32).map(|place| Location { buffer: 7, offset: 64 * place }).collect()
}

fn check(name: &str, joined: &Joined) {
    let text = &joined.module;
    // A device may write all of a vector where one component of it is written, beside an invocation that writes another.
    assert!(!text.contains("% 4u] = "), "{name}: {text}");
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
    assert_eq!(module.entry_points.len(), 1, "{name}");
    assert!(joined.parameters.len().is_multiple_of(4), "{name}");
    let mut storage = BTreeSet::new();
    for (_, variable) in module.global_variables.iter() {
        let size = module.types[variable.ty].inner.size(module.to_ctx()) as usize;
        let binding = variable.binding.as_ref().map(|bound| bound.binding as usize);
        #[expect(clippy::wildcard_enum_match_arm, reason = "modules declare variables in no other space")]
        match variable.space {
            naga::AddressSpace::Uniform => {
                assert_eq!((binding, size), (Some(0), 4 * joined.parameters.len()), "{name}")
            }
            naga::AddressSpace::Storage { access } => {
                let binding = binding.unwrap();
                let (_, writable) = joined.buffers[binding - 1];
                assert_eq!(access.contains(naga::StorageAccess::STORE), writable, "{name}");
                storage.insert(binding);
            }
            naga::AddressSpace::WorkGroup | naga::AddressSpace::Private => assert_eq!(binding, None, "{name}"),
            space => panic!("{name}: a variable in {space:?}"),
        }
    }
    assert_eq!(storage.len(), joined.buffers.len(), "{name}");
    for name in &joined.contracting {
        assert!(module.functions.iter().any(|(_, function)| function.name.as_ref() == Some(name)), "{name}");
    }
}

#[test]
fn modules_of_every_kind_are_valid_when_they_are_joined() {
    for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
        let (mut joined, mut alone) = (BTreeSet::new(), BTreeSet::new());
        let mut seen = BTreeSet::new();
        for (name, kernel) in all_cases() {
            let dispatches = dispatches(&kernel, class);
            let mut joiner = Joiner::new(&profile(class), Joining::Always);
            for dispatch in &dispatches {
                if joiner.take(dispatch, &side_by_side(dispatch)) {
                    joined.insert(dispatch.label);
                } else {
                    alone.insert(dispatch.label);
                }
            }
            if !joiner.is_empty() {
                let whole = joiner.finish();
                if seen.insert(whole.module.clone()) {
                    check(&name, &whole);
                }
            }
        }
        let nests = match class {
            AdapterClass::Cpu => "nest_rows",
            AdapterClass::Gpu => "nest_workgroup",
        };
        for label in [
            "elementwise",
            "reduce",
            "gather",
            "copy",
            "fill",
            "argmax",
            "scatter_add",
            "matmul_rows",
            nests,
            "nest_columns",
        ] {
            assert!(joined.contains(label), "{label} was never joined for {class:?}: {joined:?}");
        }
        // It adds to what it wrote, in a way that joining does not know.
        assert!(alone.contains("scatter_count") && !joined.contains("scatter_count"), "{class:?}: {alone:?}");
        assert!(!joined.contains("matmul_tiled"), "{class:?}");
    }
}

#[test]
fn kernels_of_all_kinds_are_valid_together() {
    for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
        let all: Vec<Dispatch> = all_cases().iter().flat_map(|(_, kernel)| dispatches(kernel, class)).collect();
        let (mut parts, mut modules) = (0, 0);
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let mut joiner = Joiner::new(&profile(class), Joining::Always);
            let taken = rest.iter().take_while(|dispatch| joiner.take(dispatch, &side_by_side(dispatch))).count();
            rest = &rest[taken.max(1)..];
            if taken > 1 {
                let joined = joiner.finish();
                assert_eq!(joined.parts, taken);
                check("several kernels", &joined);
                parts += taken;
                modules += 1;
            }
        }
        assert!(parts > 2 * modules, "{class:?}: {parts} dispatches became {modules}");
    }
}

#[test]
fn what_does_not_fit_is_left_and_changes_nothing() {
    let class = AdapterClass::Cpu;
    let kernel = Kernel::Elementwise(binary(BinaryFunction::Add, DType::F32, 12));
    let add = dispatches(&kernel, class).remove(0);
    let in_buffers = |first: u32| (first..first + 3).map(|buffer| Location { buffer, offset: 0 }).collect::<Vec<_>>();
    let mut joiner = Joiner::new(&profile(class), Joining::Always);
    assert!(joiner.take(&add, &in_buffers(0)) && joiner.take(&add, &in_buffers(3)));
    // A ninth buffer is too many; the eight that there are may come again.
    assert!(!joiner.take(&add, &in_buffers(6)));
    assert!(joiner.take(&add, &in_buffers(5)));
    assert_eq!(joiner.len(), 3);
    let joined = joiner.finish();
    let written: Vec<u32> =
        joined.buffers.iter().filter(|(_, writable)| *writable).map(|(buffer, _)| *buffer).collect();
    assert_eq!((joined.buffers.len(), written.as_slice()), (8, [2, 5, 7].as_slice()));
    check("eight buffers", &joined);

    // All rounds of all loops together stay within what an invocation may run.
    let few = AdapterProfile { max_iterations_per_invocation: 20, ..profile(class) };
    let long = lower(&Kernel::Elementwise(load(4 * 8 * 9)), &few).unwrap().dispatches.remove(0);
    let mut joiner = Joiner::new(&few, Joining::Always);
    assert!(joiner.take(&long, &side_by_side(&long)));
    // Nine rounds and one for the part: the second is the last that fits.
    assert!(joiner.take(&long, &side_by_side(&long)));
    assert!(!joiner.take(&long, &side_by_side(&long)));

    // Parameters fit into a uniform buffer of 16 KiB.
    let mut joiner = Joiner::new(&profile(class), Joining::Always);
    let taken = (0..10_000).take_while(|_| joiner.take(&add, &side_by_side(&add))).count();
    let joined = joiner.finish();
    assert!(taken > 100 && taken < 10_000 && joined.parameters.len() <= 4096, "{taken}");
    check("many parts", &joined);

    for (joining, elements, is_taken) in
        [(Joining::Never, 4, false), (Joining::WhereItPays, 4, true), (Joining::WhereItPays, 1 << 20, false)]
    {
        let kernel = Kernel::Elementwise(unary(UnaryFunction::Exp, elements));
        let exp = dispatches(&kernel, class).remove(0);
        assert_eq!(Joiner::new(&profile(class), joining).take(&exp, &side_by_side(&exp)), is_taken, "{joining:?}");
    }
}

#[test]
fn joined_dispatches_read_like_the_modules_that_they_are_made_of() {
    // A product, a softmax of its rows, and two sums of truth values' words at different places.
    let class = AdapterClass::Cpu;
    let product = matmul(Product { m: 2, k: 3, n: 4, transpose_lhs: false, transpose_rhs: false }, Vec::new(), None);
    let kernels = [
        product,
        Kernel::Nest(softmax([2, 4])),
        Kernel::Elementwise(binary(BinaryFunction::Mul, DType::I32, 3)),
        Kernel::Elementwise(binary(BinaryFunction::Mul, DType::I32, 5)),
    ];
    let all: Vec<Dispatch> = kernels.iter().flat_map(|kernel| dispatches(kernel, class)).collect();
    let mut joiner = Joiner::new(&profile(class), Joining::WhereItPays);
    for dispatch in &all {
        // What is computed stands in one buffer, what is given in another.
        let location = |(place, resource): (u32, Resource)| match resource {
            Resource::Input(_) => Location { buffer: 0, offset: 16 * place },
            Resource::Output(_) | Resource::Scratch(_) => Location { buffer: 1, offset: 128 + 16 * place },
        };
        let resources = dispatch.bindings.iter().map(|binding| binding.resource);
        let locations: Vec<Location> = (0..).zip(resources).map(location).collect();
        assert!(joiner.take(dispatch, &locations), "{}", dispatch.label);
    }
    let joined = joiner.finish();
    check("a product and more", &joined);
    assert_eq!(joined.contracting, ["part0_main"]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wgsl_joined_kernels.wgsl");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &*joined.module).unwrap();
    }
    assert_eq!(&*joined.module, std::fs::read_to_string(path).unwrap());
}

/// What reads narrow elements, or stores four of them as two words, is joined; what stores single ones in atomic words stays alone.
#[test]
fn narrow_elements_are_joined_but_for_single_ones_that_are_stored() {
    let add = |elements| Kernel::Elementwise(binary(BinaryFunction::Add, DType::F32, elements));
    let product =
        |m, k, n| matmul(Product { m, k, n, transpose_lhs: false, transpose_rhs: true }, vec![(2, m * k, k * n)], None);
    let narrow = [StorageType::F16, StorageType::Bf16];
    for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
        let lowered = |kernel: &Kernel, outputs: &[StorageType]| {
            let stored = Stored { inputs: &narrow, outputs };
            lower_step(kernel, &[0, 1], stored, &profile(class)).unwrap().dispatches
        };
        let reads = [add(12), add(13), product(3, 8, 5), product(1, 7, 4)];
        let reads = reads.iter().flat_map(|kernel| lowered(kernel, &[]));
        let together: Vec<Dispatch> = reads.chain(lowered(&add(12), &[StorageType::F16])).collect();
        let mut joiner = Joiner::new(&profile(class), Joining::Always);
        for dispatch in &together {
            assert!(joiner.take(dispatch, &side_by_side(dispatch)), "{class:?}\n{}", dispatch.module);
        }
        let single = lowered(&add(13), &[StorageType::F16]);
        assert!(!joiner.take(&single[0], &side_by_side(&single[0])), "{class:?}\n{}", single[0].module);
        check("narrow elements", &joiner.finish());
    }
}
