//! Products that read operands of f16 as such, for adapters that have the type.

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, CooperativeMatrix, Lowered, lower_step, lower_step_as};
use arenagrad_kernels::{Choice, Kernel, ProductExtents, StorageType, Stored};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::wgsl_cases::{Product, matmul, matmuls};

fn profile(class: AdapterClass, reads_f16: bool) -> AdapterProfile {
    AdapterProfile {
        class,
        max_workgroups_per_dimension: 65_535,
        max_iterations_per_invocation: 16_384,
        reads_f16,
        cooperative: None,
        subgroup: None,
    }
}

fn lowered(kernel: &Kernel, inputs: &[StorageType], profile: &AdapterProfile) -> Lowered {
    lower_step(kernel, &[0, 1], Stored { inputs, outputs: &[] }, profile).unwrap()
}

/// Whether naga takes a module on an adapter with these capabilities.
fn is_valid(module: &str, capabilities: Capabilities) -> bool {
    let parsed = naga::front::wgsl::parse_str(module);
    let parsed = parsed.unwrap_or_else(|error| panic!("{}\n{module}", error.emit_to_string(module)));
    Validator::new(ValidationFlags::all(), capabilities).validate(&parsed).is_ok()
}

#[test]
fn every_product_reads_f16_where_the_adapter_has_it_and_nowhere_else() {
    use StorageType::{Bf16, F16, F32};
    for (name, kernel) in matmuls() {
        for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
            for inputs in [[F16, F16], [F16, F32], [Bf16, F16], [Bf16, F32]] {
                let name = format!("{name} of {inputs:?}, {class:?}");
                let plain = lowered(&kernel, &inputs, &profile(class, false));
                let native = lowered(&kernel, &inputs, &profile(class, true));
                assert_eq!(plain.scratch, native.scratch, "{name}");
                assert_eq!(plain.dispatches.len(), native.dispatches.len(), "{name}");
                for (plain, native) in plain.dispatches.iter().zip(&native.dispatches) {
                    assert_eq!((plain.label, plain.workgroups), (native.label, native.workgroups), "{name}");
                    assert!(is_valid(&plain.module, Capabilities::empty()), "{name}");
                    assert!(is_valid(&native.module, Capabilities::SHADER_FLOAT16), "{name}: {}", native.module);
                    // The dispatch that adds up parts of the depth reads none of the operands.
                    let reads = native.label.starts_with("matmul") && inputs.contains(&F16);
                    assert_eq!(is_valid(&native.module, Capabilities::empty()), !reads, "{name}: {}", native.module);
                    if reads {
                        assert!(native.module.starts_with("enable f16;\n"), "{name}");
                        assert!(!native.module.contains("fn f16_to_f32"), "{name}: {}", native.module);
                    } else {
                        assert_eq!(plain.module, native.module, "{name}");
                    }
                }
            }
        }
    }
}

/// What a product of f16 looks like whose depths lie side by side.
#[test]
fn four_neighbours_are_one_load() {
    let product = Product { m: 64, k: 240, n: 256, transpose_lhs: false, transpose_rhs: true };
    let kernel = matmul(product, vec![], None);
    let Lowered { dispatches, .. } = lowered(&kernel, &[StorageType::F16; 2], &profile(AdapterClass::Cpu, true));
    let [dispatch] = dispatches.as_slice() else { panic!("one dispatch") };
    let generated = &dispatch.module[dispatch.module.find("@group(0) @binding(1)").unwrap()..];
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wgsl_f16_product.wgsl");
    if std::env::var_os("ARENAGRAD_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    assert_eq!(generated, std::fs::read_to_string(&path).unwrap());
}

/// Products whose operands are both held in f16 are computed by cooperative matrices where there are any, whatever way they lie in memory; all
/// other modules stay what they are.
#[test]
fn products_of_f16_go_by_cooperative_matrices_where_the_adapter_has_them() {
    use StorageType::{Bf16, F16, F32};
    let capabilities = Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX;
    let mut ways = std::collections::BTreeSet::new();
    for (name, kernel) in matmuls() {
        let Kernel::MatMul { lhs, rhs, .. } = &kernel else { unreachable!("they are products") };
        let ProductExtents { m, n, .. } = ProductExtents::new(lhs, rhs);
        for (side, subgroup) in [(16, 32), (16, 64), (8, 8), (8, 32)] {
            let plain = profile(AdapterClass::Gpu, true);
            let matrix = CooperativeMatrix { side, subgroup };
            let offers = AdapterProfile { cooperative: Some(matrix), ..plain };
            for inputs in [[F16, F32], [Bf16, F16], [F32, F32]] {
                assert_eq!(
                    lowered(&kernel, &inputs, &plain),
                    lowered(&kernel, &inputs, &offers),
                    "{name} of {inputs:?}"
                );
            }
            let found = lowered(&kernel, &[F16; 2], &offers);
            let is_cooperative = |label: &str| label == "matmul_cooperative";
            let products = || found.dispatches.iter().filter(|dispatch| dispatch.label.starts_with("matmul"));
            assert_eq!(products().all(|dispatch| is_cooperative(dispatch.label)), m > 16 && n > 16, "{name}");
            for dispatch in products().filter(|dispatch| is_cooperative(dispatch.label)) {
                let module = &*dispatch.module;
                assert!(is_valid(module, capabilities), "{name}: {module}");
                assert!(!is_valid(module, Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP), "{name}");
                assert!(module.starts_with("enable f16;\nenable wgpu_cooperative_matrix;\n\n"), "{name}");
                assert!(
                    dispatch.work.together.is_some_and(|most| most <= matrix.most_invocations() as usize),
                    "{name}"
                );
                let loads = |role: &str| module.contains(&format!("coopLoadT<Matrix{role}>"));
                ways.insert((loads("A"), loads("B")));
            }
        }
    }
    assert_eq!(ways.len(), 4, "every way in which both may lie: {ways:?}");
}

/// A workgroup's memory is what it is said to be at most.
#[test]
fn cooperative_products_take_no_more_memory_than_is_said() {
    let kernel = matmul(Product { m: 2000, k: 64, n: 2000, transpose_lhs: false, transpose_rhs: false }, vec![], None);
    for (side, subgroup) in [(16, 32), (8, 32)] {
        let matrix = CooperativeMatrix { side, subgroup };
        let offers = AdapterProfile { cooperative: Some(matrix), ..profile(AdapterClass::Gpu, true) };
        let found = lowered(&kernel, &[StorageType::F16; 2], &offers);
        let module = naga::front::wgsl::parse_str(&found.dispatches[0].module).unwrap();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let of_workgroup = module.global_variables.iter().filter(|(_, of)| of.space == naga::AddressSpace::WorkGroup);
        let bytes: u32 = of_workgroup.map(|(_, of)| layouter[of.ty].size).sum();
        assert!(
            bytes <= matrix.most_bytes() && bytes * 10 > matrix.most_bytes() * 9,
            "{bytes} of {}",
            matrix.most_bytes()
        );
        assert!(matrix.most_bytes() <= 32_768);
    }
}

/// No invocation runs through its loops more often than the adapter bears.
#[test]
fn long_cooperative_products_are_cut() {
    let kernel = matmul(Product { m: 70, k: 9000, n: 130, transpose_lhs: true, transpose_rhs: false }, vec![], None);
    for (side, subgroup) in [(16, 32), (16, 64), (8, 8), (8, 32)] {
        let matrix = Some(CooperativeMatrix { side, subgroup });
        for most in [400, 1000, 100_000] {
            let plain = profile(AdapterClass::Gpu, true);
            let offers = AdapterProfile { cooperative: matrix, max_iterations_per_invocation: most, ..plain };
            for choice in [(64, 64), (128, 64), (64, 128), (128, 128)] {
                let choice = Choice::Cooperative { rows: choice.0, columns: choice.1 };
                let stored = Stored { inputs: &[StorageType::F16; 2], outputs: &[] };
                let found = lower_step_as(&kernel, &[0, 1], stored, &offers, choice).unwrap();
                for dispatch in found.dispatches.iter().filter(|dispatch| dispatch.label == "matmul_cooperative") {
                    let iterations = dispatch.work.iterations;
                    assert!(iterations <= most as usize, "{side}, {subgroup}, {choice}: {iterations} of {most}");
                    // And as it says: what it brings in and multiplies for each 32 of the depth, and what it stores.
                    let constant = |name: &str| -> usize {
                        let text = dispatch.module.split(&format!("const {name}: u32 = ")).nth(1).unwrap();
                        text.split('u').next().unwrap().parse().unwrap()
                    };
                    let invocations = constant("INVOCATIONS");
                    let brought = ["LHS_FOURS", "RHS_FOURS"].map(|name| constant(name).div_ceil(invocations));
                    let of_step = brought[0] + brought[1] + 32 / side as usize + 1;
                    let stored = constant("ROWS") * constant("COLUMNS") / 4 / invocations;
                    assert!((iterations - stored).is_multiple_of(of_step), "{side}, {subgroup}, {choice}");
                }
            }
        }
    }
}
