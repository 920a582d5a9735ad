//! Modules as SPIR-V whose floating-point arithmetic stays as it is written.
//!
//! WGSL allows a compiler to regroup sums, to join a product and a sum, and to assume that nothing is NaN or infinite:
//! `(x + 12582912) - 12582912` may become `x`, and `x - x` may become 0. SPIR-V has a word against that, the decoration
//! NoContraction, which WGSL cannot say. So naga translates the module as wgpu would, and here each arithmetic
//! instruction on floats is decorated afterwards. Newer drivers take that for products and sums that are not to be joined or
//! regrouped, and no more: that NaN, infinities and the sign of zero matter, a mode of the whole module says.
//!
//! Nothing is known here of devices or of what a module computes. What a decoration cannot prevent is that a compiler
//! drops a factor or a dividend that is the *constant* 0: lowering writes no such constant into arithmetic.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

/// The first words of a module: magic number, version, generator, bound of ids, schema.
const HEADER: usize = 5;

/// Numbers of instructions and of the decoration, from the specification of SPIR-V 1.6.
const OP_NAME: u16 = 5;
const OP_TYPES: std::ops::RangeInclusive<u16> = 19..=39;
const OP_FUNCTION: u16 = 54;
const OP_DECORATE: u32 = 71;
const NO_CONTRACTION: u32 = 42;
const OP_EXTENSION: u32 = 10;
const OP_ENTRY_POINT: u16 = 15;
const OP_EXECUTION_MODE: u32 = 16;
const OP_CAPABILITY: u32 = 17;

/// The capability and the execution mode by which special numbers are kept, the extension of both, and of which width of float they speak here.
const KEEP_SPECIAL_CAPABILITY: u32 = 4466;
const KEEP_SPECIAL_MODE: u32 = 4461;
const FLOAT_CONTROLS: &str = "SPV_KHR_float_controls";
const WIDTH: u32 = 32;

/// OpFNegate, OpFAdd, OpFSub, OpFMul, OpFDiv, OpFRem, OpFMod and OpVectorTimesScalar to OpDot: all that computes with
/// floats, but for the extended instructions, to which the decoration does not apply.
const FLOAT_ARITHMETIC: [u16; 14] = [127, 129, 131, 133, 136, 140, 141, 142, 143, 144, 145, 146, 147, 148];

/// What the driver that takes a module can be told.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    /// It is recent enough for SPIR-V 1.3, which subgroup operations need.
    pub(super) has_subgroups: bool,
    /// It offers to keep special numbers, as [`super::float_controls`] asks.
    pub(super) keeps_special_numbers: bool,
}

/// The module of that WGSL with one entry point `main`, its floating-point arithmetic decorated. `writable` tells of each
/// storage buffer of the layout whether the module may write it. The functions `contracting` are themselves left undecorated, so
/// that a GPU may use its fused multiply-add there.
///
/// Errors: naga's, for a module that is not valid, and a binding that the layout does not have, which wgpu would not see.
pub(super) fn as_written(
    wgsl: &str,
    writable: &[bool],
    contracting: &[String],
    driver: Driver,
) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
    let information = validator.validate(&module).map_err(|error| error.emit_to_string(wgsl))?;
    hold_to_layout(&module, writable)?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: if driver.has_subgroups { (1, 3) } else { (1, 0) },
        // Functions have names only where some of them are told apart by theirs.
        flags: if contracting.is_empty() { spv::WriterFlags::empty() } else { spv::WriterFlags::DEBUG },
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
    let words = decorated(&words, contracting);
    Ok(if driver.keeps_special_numbers { keeping_special(&words) } else { words })
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

/// The module with NoContraction on every result of floating-point arithmetic but that of the functions `contracting`
/// themselves.
fn decorated(words: &[u32], contracting: &[String]) -> Vec<u32> {
    let mut contracting_ids = Vec::new();
    let mut contracts = false;
    let mut annotations_end = None;
    let mut results = Vec::new();
    for (place, instruction) in instructions(words) {
        let opcode = instruction[0] as u16;
        if opcode == OP_NAME {
            // Names stand before all functions.
            if contracting.iter().any(|name| name.as_bytes() == text(&instruction[2..])) {
                contracting_ids.push(instruction[1]);
            }
        } else if OP_TYPES.contains(&opcode) {
            // Decorations stand before the first type; every module has one.
            annotations_end.get_or_insert(place);
        } else if opcode == OP_FUNCTION {
            contracts = contracting_ids.contains(&instruction[2]);
        } else if FLOAT_ARITHMETIC.contains(&opcode) && !contracts {
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

/// The module with the mode that keeps NaN, infinities and the sign of zero.
fn keeping_special(words: &[u32]) -> Vec<u32> {
    // Capabilities stand first, extensions after them, and modes right behind the entry points.
    let mut capabilities_end = HEADER;
    let mut entry_points = (0, 0);
    for (place, instruction) in instructions(words) {
        if instruction[0] as u16 == OP_CAPABILITY as u16 {
            capabilities_end = place + instruction.len();
        } else if instruction[0] as u16 == OP_ENTRY_POINT {
            entry_points = (instruction[2], place + instruction.len());
        }
    }
    let (entry_point, entry_points_end) = entry_points;
    let mut name: Vec<u8> = FLOAT_CONTROLS.bytes().chain([0]).collect();
    name.resize(name.len().next_multiple_of(4), 0);
    let name = name.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let mut extension: Vec<u32> = vec![0];
    extension.extend(name);
    extension[0] = (extension.len() as u32) << 16 | OP_EXTENSION;
    let mut kept = Vec::with_capacity(words.len() + extension.len() + 6);
    kept.extend_from_slice(&words[..capabilities_end]);
    kept.extend([2 << 16 | OP_CAPABILITY, KEEP_SPECIAL_CAPABILITY]);
    kept.extend(extension);
    kept.extend_from_slice(&words[capabilities_end..entry_points_end]);
    kept.extend([4 << 16 | OP_EXECUTION_MODE, entry_point, KEEP_SPECIAL_MODE, WIDTH]);
    kept.extend_from_slice(&words[entry_points_end..]);
    kept
}

/// The text that words hold, four bytes each, up to the first zero.
fn text(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).take_while(|byte| *byte != 0).collect()
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

    const OLD: Driver = Driver { has_subgroups: false, keeps_special_numbers: false };
    const RECENT: Driver = Driver { has_subgroups: true, keeps_special_numbers: true };

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
        let words = as_written(MODULE, &[true], &[], OLD).unwrap();
        assert_eq!(results(&words).len(), 4);
        assert_eq!(decorations(&words), results(&words));
    }

    #[test]
    fn an_entry_point_that_contracts_is_left_alone_and_what_it_calls_is_not() {
        let words = as_written(MODULE, &[true], &["main".to_owned()], RECENT).unwrap();
        assert_eq!(results(&words).len(), 4);
        assert_eq!(decorations(&words).len(), 2);
    }

    #[test]
    fn any_function_may_contract_by_its_name() {
        let words = as_written(MODULE, &[true], &["affine".to_owned()], RECENT).unwrap();
        assert_eq!(results(&words).len(), 4);
        // The difference and the quotient of the entry point.
        assert_eq!(decorations(&words).len(), 2);
        assert_ne!(
            decorations(&words),
            decorations(&as_written(MODULE, &[true], &["main".to_owned()], RECENT).unwrap())
        );
    }

    #[test]
    fn decorations_stand_before_all_types_and_functions() {
        let words = as_written(MODULE, &[true], &[], RECENT).unwrap();
        let opcodes: Vec<u16> = instructions(&words).map(|(_, instruction)| instruction[0] as u16).collect();
        let last = opcodes.iter().rposition(|&opcode| u32::from(opcode) == OP_DECORATE).unwrap();
        assert!(opcodes[..last].iter().all(|opcode| !OP_TYPES.contains(opcode) && *opcode != OP_FUNCTION));
        assert_eq!(instructions(&words).map(|(_, instruction)| instruction.len()).sum::<usize>() + HEADER, words.len());
    }

    #[test]
    fn special_numbers_are_kept_where_the_driver_offers_it() {
        // An instruction, the entry point that it is of, and the mode of that width.
        let is_mode = |of: &[u32]| of[0] == 4 << 16 | OP_EXECUTION_MODE && of[2..] == [KEEP_SPECIAL_MODE, WIDTH];
        let has_mode = |words: &[u32]| instructions(words).any(|(_, of)| is_mode(of));
        assert!(!has_mode(&as_written(MODULE, &[true], &[], OLD).unwrap()));
        for driver in [RECENT, Driver { has_subgroups: false, ..RECENT }] {
            let words = as_written(MODULE, &[true], &[], driver).unwrap();
            assert!(has_mode(&words));
            let all: Vec<&[u32]> = instructions(&words).map(|(_, instruction)| instruction).collect();
            let place = |opcode: u32, operands: &[u32]| {
                all.iter().position(|of| of[0] & 0xffff == opcode && of[1..].ends_with(operands))
            };
            let capability = place(OP_CAPABILITY, &[KEEP_SPECIAL_CAPABILITY]).unwrap();
            let extension =
                all.iter().position(|of| of[0] & 0xffff == OP_EXTENSION && text(&of[1..]) == FLOAT_CONTROLS.as_bytes());
            let mode = place(OP_EXECUTION_MODE, &[KEEP_SPECIAL_MODE, WIDTH]).unwrap();
            let entry_point = all.iter().position(|of| of[0] as u16 == OP_ENTRY_POINT).unwrap();
            assert_eq!((all[mode][1], mode), (all[entry_point][2], entry_point + 1));
            assert!(capability < extension.unwrap() && extension.unwrap() < entry_point);
            assert_eq!(all.iter().rfind(|of| of[0] & 0xffff == OP_CAPABILITY).unwrap()[1], KEEP_SPECIAL_CAPABILITY);
        }
    }

    #[test]
    fn a_broken_module_is_an_error() {
        assert!(as_written("fn main() { let x = ; }", &[], &[], OLD).is_err());
    }

    #[test]
    fn a_binding_that_the_layout_lacks_is_an_error() {
        for writable in [&[][..], &[false]] {
            let error = as_written(MODULE, writable, &[], OLD).unwrap_err();
            assert_eq!(error, "x is bound at group 0, binding 1, where it does not fit");
        }
    }
}
