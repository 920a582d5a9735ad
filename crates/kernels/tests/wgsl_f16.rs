//! Products that read operands of f16 as such, for adapters that have the type.

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, Lowered, lower_step};
use arenagrad_kernels::{Kernel, StorageType, Stored};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::wgsl_cases::{Product, matmul, matmuls};

fn profile(class: AdapterClass, reads_f16: bool) -> AdapterProfile {
    AdapterProfile { class, max_workgroups_per_dimension: 65_535, max_iterations_per_invocation: 16_384, reads_f16 }
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
