//! Modules as SPIR-V whose floating-point arithmetic stays as it is written.
//!
//! WGSL allows a compiler to regroup sums, to join a product and a sum, and to assume that nothing is NaN or infinite:
//! `(x + 12582912) - 12582912` may become `x`, and `x - x` may become 0. SPIR-V has a word against that, the decoration
//! NoContraction, which WGSL cannot say. So naga translates the module as wgpu would, and here each arithmetic
//! instruction on floats is decorated afterwards.
//!
//! Nothing is known here of devices or of what a module computes. What a decoration cannot prevent is that a compiler
//! drops a factor or a dividend that is the *constant* 0: lowering writes no such constant into arithmetic.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

/// The first words of a module: magic number, version, generator, bound of ids, schema.
const HEADER: usize = 5;

/// Numbers of instructions and of the decoration, from the specification of SPIR-V 1.6.
const OP_ENTRY_POINT: u16 = 15;
const OP_TYPES: std::ops::RangeInclusive<u16> = 19..=39;
const OP_FUNCTION: u16 = 54;
const OP_DECORATE: u32 = 71;
const NO_CONTRACTION: u32 = 42;

/// OpFNegate, OpFAdd, OpFSub, OpFMul, OpFDiv, OpFRem, OpFMod and OpVectorTimesScalar to OpDot: all that computes with
/// floats, but for the extended instructions, to which the decoration does not apply.
const FLOAT_ARITHMETIC: [u16; 14] = [127, 129, 131, 133, 136, 140, 141, 142, 143, 144, 145, 146, 147, 148];

/// The module of that WGSL with one entry point `main`, its floating-point arithmetic decorated. `writable` tells of each
/// storage buffer of the layout whether the module may write it. `contracts` leaves the entry point itself undecorated, so
/// that a GPU may use its fused multiply-add there. `subgroups` says that the device is recent enough for SPIR-V 1.3, which
/// subgroup operations need.
///
/// Errors: naga's, for a module that is not valid, and a binding that the layout does not have, which wgpu would not see.
pub(super) fn as_written(wgsl: &str, writable: &[bool], contracts: bool, subgroups: bool) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    let information = validator.validate(&module).map_err(|error| error.emit_to_string(wgsl))?;
    hold_to_layout(&module, writable)?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: if subgroups { (1, 3) } else { (1, 0) },
        flags: spv::WriterFlags::empty(),
        // A binding without an entry keeps group and number as descriptor set and binding, which is how wgpu numbers
        // those of a layout without gaps.
        fake_missing_bindings: true,
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let entry = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".to_owned() };
    let words = spv::write_vec(&module, &information, &options, Some(&entry)).map_err(|error| error.to_string())?;
    Ok(decorated(&words, contracts))
}

/// Refuses a module that binds what the layout does not have: a uniform buffer at 0, then the storage buffers.
fn hold_to_layout(module: &naga::Module, writable: &[bool]) -> Result<(), String> {
    for (_, variable) in module.global_variables.iter() {
        let Some(at) = &variable.binding else { continue };
        let buffer = (at.binding as usize).checked_sub(1).map(|buffer| writable.get(buffer));
        let fits = at.group == 0
            && match (variable.space, buffer) {
                (naga::AddressSpace::Uniform, None) => true,
                (naga::AddressSpace::Storage { access }, Some(Some(writable))) => {
                    *writable || !access.contains(naga::StorageAccess::STORE)
                }
                _ => false,
            };
        if !fits {
            let name = variable.name.as_deref().unwrap_or("a variable");
            return Err(format!(
                "{name} is bound at group {}, binding {}, where it does not fit",
                at.group, at.binding
            ));
        }
    }
    Ok(())
}

/// The module with NoContraction on every result of floating-point arithmetic, the entry point's own left out if it
/// `contracts`.
fn decorated(words: &[u32], contracts: bool) -> Vec<u32> {
    let mut entry_point = None;
    let mut function = None;
    let mut annotations_end = None;
    let mut results = Vec::new();
    for (place, instruction) in instructions(words) {
        let opcode = instruction[0] as u16;
        if opcode == OP_ENTRY_POINT {
            entry_point = Some(instruction[2]);
        } else if OP_TYPES.contains(&opcode) {
            // Decorations stand before the first type; every module has one.
            annotations_end.get_or_insert(place);
        } else if opcode == OP_FUNCTION {
            function = Some(instruction[2]);
        } else if FLOAT_ARITHMETIC.contains(&opcode) && !(contracts && function == entry_point) {
            results.push(instruction[2]);
        }
    }
    let annotations_end = annotations_end.unwrap_or(words.len());
    let mut decorated = Vec::with_capacity(words.len() + 3 * results.len());
    decorated.extend_from_slice(&words[..annotations_end]);
    for result in results {
        decorated.extend([3 << 16 | OP_DECORATE, result, NO_CONTRACTION]);
    }
    decorated.extend_from_slice(&words[annotations_end..]);
    decorated
}

/// The instructions of a module, each with its place: a word with length and opcode, then its operands.
fn instructions(words: &[u32]) -> impl Iterator<Item = (usize, &[u32])> {
    let mut place = HEADER;
    std::iter::from_fn(move || {
        let length = (words.get(place)? >> 16) as usize;
        let start = place;
        place += length.max(1);
        Some((start, words.get(start..place)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "
        @group(0) @binding(0) var<uniform> factor: vec4<f32>;
        @group(0) @binding(1) var<storage, read_write> x: array<f32>;
        fn affine(x: f32) -> f32 { return x * factor.x + factor.y; }
        @compute @workgroup_size(8)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] = affine(x[id.x]) - factor.z / factor.w; }
    ";

    /// The numbers of the decorated results.
    fn decorations(words: &[u32]) -> Vec<u32> {
        instructions(words)
            .filter(|(_, instruction)| instruction[0] as u16 as u32 == OP_DECORATE && instruction[2] == NO_CONTRACTION)
            .map(|(_, instruction)| instruction[1])
            .collect()
    }

    /// The results of floating-point arithmetic.
    fn results(words: &[u32]) -> Vec<u32> {
        instructions(words)
            .filter(|(_, instruction)| FLOAT_ARITHMETIC.contains(&(instruction[0] as u16)))
            .map(|(_, instruction)| instruction[2])
            .collect()
    }

    #[test]
    fn every_arithmetic_instruction_is_decorated() {
        let words = as_written(MODULE, &[true], false, false).unwrap();
        assert_eq!(results(&words).len(), 4);
        assert_eq!(decorations(&words), results(&words));
    }

    #[test]
    fn an_entry_point_that_contracts_is_left_alone_and_what_it_calls_is_not() {
        let words = as_written(MODULE, &[true], true, true).unwrap();
        assert_eq!(results(&words).len(), 4);
        assert_eq!(decorations(&words).len(), 2);
    }

    #[test]
    fn decorations_stand_before_all_types_and_functions() {
        let words = as_written(MODULE, &[true], false, true).unwrap();
        let opcodes: Vec<u16> = instructions(&words).map(|(_, instruction)| instruction[0] as u16).collect();
        let last = opcodes.iter().rposition(|&opcode| u32::from(opcode) == OP_DECORATE).unwrap();
        assert!(opcodes[..last].iter().all(|opcode| !OP_TYPES.contains(opcode) && *opcode != OP_FUNCTION));
        assert_eq!(instructions(&words).map(|(_, instruction)| instruction.len()).sum::<usize>() + HEADER, words.len());
    }

    #[test]
    fn a_broken_module_is_an_error() {
        assert!(as_written("fn main() { let x = ; }", &[], false, false).is_err());
    }

    #[test]
    fn a_binding_that_the_layout_lacks_is_an_error() {
        for writable in [&[][..], &[false]] {
            let error = as_written(MODULE, writable, false, false).unwrap_err();
            assert_eq!(error, "x is bound at group 0, binding 1, where it does not fit");
        }
    }
}
