//! WGSL for the positions of views: coordinates by division, extents and strides as parameters.
//!
//! Only the rank of a view and which of its strides are 0 or 1 show in the text. A stride below 0 is a parameter that wraps: u32
//! arithmetic is that of residues, so adding it goes back.

use std::fmt::Write;

use crate::view::{Axis, View};
use crate::wgsl::module::Module;

/// Declares `fn NAME(index: u32) -> u32`: the offset, if there is one, plus the coordinates of `index` times the strides.
pub(super) fn declare_position(module: &mut Module, name: &str, axes: &[Axis], offset: usize) {
    let mut text = format!("fn {name}(index: u32) -> u32 {{\n");
    let mut terms = Vec::new();
    if offset != 0 {
        terms.push(module.parameter(format!("{name}_offset"), offset));
    }
    let mut rest = "index".to_owned();
    for (place, axis) in axes.iter().enumerate().rev() {
        if axes[..=place].iter().all(|axis| axis.stride == 0) {
            break;
        }
        let outer = &axes[..place];
        let coordinate = if outer.is_empty() {
            rest.clone()
        } else {
            let extent = module.parameter(format!("{name}_extent_{place}"), axis.extent);
            if outer.iter().all(|axis| axis.stride == 0) {
                format!("{rest} % {extent}")
            } else {
                let _ = writeln!(text, "    let rest_{place} = {rest} / {extent};");
                let coordinate = format!("({rest} - rest_{place} * {extent})");
                rest = format!("rest_{place}");
                coordinate
            }
        };
        if axis.stride == 1 {
            terms.push(if coordinate.contains('%') && !terms.is_empty() {
                format!("({coordinate})")
            } else {
                coordinate
            });
        } else if axis.stride != 0 {
            let stride = module.stride(format!("{name}_stride_{place}"), axis.stride);
            let coordinate = if coordinate.contains('%') { format!("({coordinate})") } else { coordinate };
            terms.push(format!("{coordinate} * {stride}"));
        }
    }
    let sum = if terms.is_empty() { "0u".to_owned() } else { terms.join(" + ") };
    let _ = write!(text, "    return {sum};\n}}\n");
    module.declare(text);
}

/// An expression for where `view` puts the domain index that the expression `index` gives, its function declared as `name` if
/// it needs one.
pub(super) fn position(module: &mut Module, name: &str, view: &View, index: &str) -> String {
    if view.is_contiguous() {
        return index.to_owned();
    }
    declare_position(module, name, view.axes(), view.offset());
    format!("{name}({index})")
}

/// How four neighbouring positions, the first a multiple of four, lie in a buffer under a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quad {
    /// Side by side, from a multiple of four.
    Vector,
    /// All at one element.
    Repeated,
    /// Apart by one stride.
    Strided(isize),
    /// Anywhere.
    Scattered,
}

/// How four neighbouring positions lie under `view`.
pub(super) fn quad(view: &View) -> Quad {
    if view.is_scalar() {
        return Quad::Repeated;
    }
    let Some((inner, outer)) = view.axes().split_last() else { return Quad::Repeated };
    if !outer.is_empty() && !inner.extent.is_multiple_of(4) {
        return Quad::Scattered;
    }
    let aligned = view.offset().is_multiple_of(4) && outer.iter().all(|axis| axis.stride % 4 == 0);
    match inner.stride {
        0 => Quad::Repeated,
        1 if aligned => Quad::Vector,
        stride => Quad::Strided(stride),
    }
}
