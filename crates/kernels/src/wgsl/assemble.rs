//! Lowering of assembled results: fills, and copies of regions.

use std::fmt::Write;

use crate::DType;
use crate::kernel::Piece;
use crate::wgsl::module::{Grid, Module, WORKGROUP};
use crate::wgsl::positions::position;
use crate::wgsl::{AdapterProfile, Lowered, Resource};

/// The most pieces that one dispatch copies: with the result they make the eight storage buffers that every adapter has.
const MOST_PIECES: usize = 7;

/// Appends the dispatches that fill the result, if anything is filled, and copy the pieces.
pub(super) fn assemble(
    dtype: DType,
    elements: usize,
    fill: Option<f64>,
    pieces: &[Piece],
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    if let Some(value) = fill {
        let word = match dtype {
            DType::F32 | DType::F64 => (value as f32).to_bits(),
            DType::I32 => value as i32 as u32,
            DType::Bool => u32::from(value != 0.0),
        };
        // Two elements of 16 bits are one word: past the last there is room for one more.
        let narrow = lowered.module().narrow_fill(Resource::Output(0), elements, value);
        let (elements, word) = narrow.unwrap_or((elements, word));
        let mut module = Module::default();
        module.parameter("elements", elements);
        module.parameter("value", word as usize);
        module.bind(Resource::Output(0), true, "result", "u32");
        let grid = Grid { count: elements, each: WORKGROUP, operations: 1, iterations: 0 };
        module.dispatch(include_str!("../../shaders/fill.wgsl"), "fill", grid, profile, lowered);
    }
    let numbered: Vec<(usize, &Piece)> =
        pieces.iter().enumerate().filter(|(_, piece)| piece.source.elements() > 0).collect();
    for pieces in numbered.chunks(MOST_PIECES) {
        copy(pieces, profile, lowered);
    }
}

/// Appends the dispatch that copies pieces, given with the numbers of their inputs.
fn copy(pieces: &[(usize, &Piece)], profile: &AdapterProfile, lowered: &mut Lowered) {
    let elements = pieces.iter().map(|(_, piece)| piece.source.elements()).sum();
    let mut module = lowered.module();
    module.parameter("elements", elements);
    for (place, (input, _)) in pieces.iter().enumerate() {
        module.bind(Resource::Input(*input as u32), false, format!("source{place}"), "u32");
    }
    let is_narrow = module.is_narrow(Resource::Output(0));
    if !is_narrow {
        module.bind(Resource::Output(0), true, "result", "u32");
    }
    let mut text = "fn copy_element(element: u32) {\n".to_owned();
    let mut first = 0;
    for (place, (input, piece)) in pieces.iter().enumerate() {
        let begin = if place == 0 { "0u".to_owned() } else { module.parameter(format!("first_{place}"), first) };
        first += piece.source.elements();
        let from = position(&mut module, &format!("source{place}_position"), &piece.source, "i");
        let to = position(&mut module, &format!("destination{place}_position"), &piece.destination, "i");
        if place + 1 < pieces.len() {
            let end = module.parameter(format!("first_{}", place + 1), first);
            let _ = writeln!(text, "    if element < {end} {{");
        } else {
            text.push_str("    {\n");
        }
        let source = format!("source{place}");
        let value = module.narrow_element(Resource::Input(*input as u32), &source, &from);
        let stored = match (is_narrow, value) {
            (true, value) => {
                let value = value.unwrap_or_else(|| format!("bitcast<f32>({source}[{from}])"));
                module.narrow_store(Resource::Output(0), 1, &to, &value).unwrap_or_default()
            }
            (false, Some(value)) => format!("    result[{to}] = bitcast<u32>({value});\n"),
            (false, None) => format!("    result[{to}] = {source}[{from}];\n"),
        };
        let _ = write!(text, "        let i = element - {begin};\n{stored}        return;\n    }}\n");
    }
    text.push_str("}\n");
    module.declare(text);
    let grid = Grid { count: elements, each: WORKGROUP, operations: 1, iterations: 0 };
    module.dispatch(include_str!("../../shaders/copy.wgsl"), "copy", grid, profile, lowered);
}
