//! WGSL for the positions of views: coordinates by division, extents and strides as parameters.
//!
//! Only the rank of a view, whether it is small and which of its strides are 0 or 1 show in the text. A stride below 0 is a parameter that wraps: u32
//! arithmetic is that of residues, so adding it goes back.
//!
//! Few devices divide integers by an instruction of their own, and a software adapter divides lane by lane. Indices of small views are
//! divided by multiplying floats, which is exact: see [`SMALL`].

use std::fmt::Write;

use crate::view::{Axis, View};
use crate::wgsl::module::Module;

/// The domains whose indices are divided by multiplying with an f32 reciprocal: `u32((f32(i) + 0.5) * (1 / extent))` is `i / extent`.
///
/// Exactly, `(i + 0.5) / extent` is at least `0.5 / extent` away from both ends of the interval `[q, q + 1)` that it is to stay in. `i + 0.5`
/// is an f32 up to 2^23. The reciprocal and the product are rounded, each by half a unit at most, together by less than 2^-23 + 2^-46 of the
/// quotient, which is less than `0.5 / extent` as long as `i + 0.5 < 2^22`; half of that leaves room.
const SMALL: usize = 1 << 21;

/// Declares `fn NAME(index: u32) -> u32`: the offset, if there is one, plus the coordinates of `index` times the strides.
pub(super) fn declare_position(module: &mut Module, name: &str, axes: &[Axis], offset: usize) {
    let is_small = axes.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul) < SMALL;
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
            let is_outermost = outer.iter().all(|axis| axis.stride == 0);
            if is_outermost && !is_small {
                format!("{rest} % {extent}")
            } else {
                let quotient = if is_small {
                    let bits = reciprocal(axis.extent).to_bits();
                    let reciprocal = module.word(format!("{name}_reciprocal_{place}"), "f32", bits);
                    format!("u32((f32({rest}) + 0.5) * {reciprocal})")
                } else {
                    format!("{rest} / {extent}")
                };
                let _ = writeln!(text, "    let rest_{place} = {quotient};");
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

/// What an index of a small domain is multiplied by in the place of a division.
fn reciprocal(extent: usize) -> f32 {
    1.0 / extent as f32
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

#[cfg(test)]
mod tests {
    use super::{SMALL, reciprocal};

    /// Around each multiple of an extent, as far as small domains go, the quotient that a module computes is that of integers.
    #[test]
    fn products_with_reciprocals_are_quotients() {
        let powers = (0..21).flat_map(|power| [(1usize << power) - 1, 1 << power, (1 << power) + 1]);
        let extents = powers.chain((3..5000).step_by(97)).chain((5000..SMALL).step_by(9973));
        for extent in extents.filter(|extent| *extent > 0) {
            let reciprocal = reciprocal(extent);
            for multiple in (0..SMALL + extent).step_by(extent) {
                for index in [multiple.saturating_sub(1), multiple, multiple + 1] {
                    let quotient = ((index as f32 + 0.5) * reciprocal) as u32;
                    assert_eq!(quotient as usize, index / extent, "{index} / {extent}");
                }
            }
        }
    }
}
