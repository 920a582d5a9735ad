//! Where an element at a row and a column stands in an input: what depends on the row is computed once for each row.

use std::fmt::Write;

use crate::ProgramInput;
use crate::view::{Axis, View};
use crate::wgsl::Resource;
use crate::wgsl::emit::{block_index, from_storage};
use crate::wgsl::module::{Module, of_width, storage_type, value_type};
use crate::wgsl::positions::{Quad, declare_position, position, quad};

/// The axes of a view over `[rows, columns]`: those over the rows, and those over the columns.
struct Split {
    rows: Vec<Axis>,
    columns: Vec<Axis>,
}

/// The axes of a view over rows of that many columns, or none if an axis goes over the end of a row.
fn split(view: &View, columns: usize) -> Option<Split> {
    let mut rest = columns;
    let mut split = Split { rows: Vec::new(), columns: Vec::new() };
    for axis in view.axes().iter().rev() {
        let inner = axis.extent.min(rest);
        if !axis.extent.is_multiple_of(inner) || !rest.is_multiple_of(inner) {
            return None;
        }
        rest /= inner;
        if inner > 1 {
            split.columns.insert(0, Axis { extent: inner, stride: axis.stride });
        }
        if axis.extent > inner {
            split.rows.insert(0, Axis { extent: axis.extent / inner, stride: axis.stride * inner as isize });
        }
    }
    Some(split)
}

/// What reads an input of elements.
pub(super) struct ElementRead<'a> {
    pub(super) name: String,
    pub(super) input: &'a ProgramInput,
    /// The input's buffer.
    pub(super) resource: Resource,
    pub(super) columns: usize,
    pub(super) width: usize,
}

impl ElementRead<'_> {
    /// Whether all rows read the same elements.
    pub(super) fn is_of_columns(&self) -> bool {
        let split = split(&self.input.view, self.columns);
        split.is_some_and(|split| split.rows.iter().all(|axis| axis.stride == 0))
    }

    /// Declares `fn NAME_row(number: u32) -> u32`, where what a row reads begins, and says whether there is such a thing.
    pub(super) fn declare_start(&self, module: &mut Module) -> bool {
        let Some(split) = split(&self.input.view, self.columns) else { return false };
        declare_position(module, &format!("{}_row", self.name), &split.rows, self.input.view.offset());
        true
    }

    /// Declares `fn read_NAME(row: Row, column: u32)`.
    pub(super) fn declare(&self, module: &mut Module) {
        let ElementRead { name, input, width, .. } = self;
        let form = if *width == 1 { Quad::Scattered } else { quad(&input.view) };
        let is_narrow = module.is_narrow(self.resource);
        let stored = storage_type(input.dtype);
        let vector = form == Quad::Vector && !is_narrow;
        let element = if is_narrow { "u32" } else { stored };
        module.bind(self.resource, false, name.clone(), of_width(element, if vector { 4 } else { 1 }));
        let at = self.declare_place(module);
        let load = |module: &mut Module, place: &str| {
            let narrow = module.narrow_element(self.resource, name, place);
            narrow.unwrap_or_else(|| from_storage(stored, input.dtype, 1, &format!("{name}[{place}]")))
        };
        let dtype = of_width(value_type(input.dtype), *width);
        let mut text = format!("fn read_{name}(row: Row, column: u32) -> {dtype} {{\n");
        let value = match form {
            _ if *width == 1 => load(module, &at("column")),
            Quad::Vector => {
                let place = format!("({})", at("column"));
                module.narrow_block(self.resource, *width, &place).unwrap_or_else(|| {
                    from_storage(stored, input.dtype, *width, &format!("{name}[{}]", block_index(&place, *width)))
                })
            }
            Quad::Repeated => format!("{dtype}({})", load(module, &at("column"))),
            Quad::Strided(stride) => {
                let stride = module.stride(format!("{name}_step"), stride);
                let _ = writeln!(text, "    let p = {};", at("column"));
                let places = [
                    "p".to_owned(),
                    format!("p + {stride}"),
                    format!("p + 2u * {stride}"),
                    format!("p + 3u * {stride}"),
                ];
                format!("{dtype}({})", places.map(|place| load(module, &place)).join(", "))
            }
            Quad::Scattered => {
                let columns = ["column", "column + 1u", "column + 2u", "column + 3u"];
                format!("{dtype}({})", columns.map(|column| load(module, &at(column))).join(", "))
            }
        };
        let _ = write!(text, "    return {value};\n}}\n");
        module.declare(text);
    }

    /// Gives the expression of the place of an element of `row` from that of its column.
    fn declare_place(&self, module: &mut Module) -> impl Fn(&str) -> String + use<> {
        let name = self.name.to_owned();
        let view = &self.input.view;
        let (start, function) = match split(view, self.columns) {
            None => {
                declare_position(module, &format!("{name}_position"), view.axes(), view.offset());
                (None, Some(format!("{name}_position")))
            }
            Some(split) if split.columns.iter().all(|axis| axis.stride == 0) => (Some(format!("row.{name}")), None),
            Some(split) if matches!(split.columns.as_slice(), [Axis { stride: 1, .. }]) => {
                (Some(format!("row.{name} + ")), None)
            }
            Some(split) => {
                declare_position(module, &format!("{name}_column"), &split.columns, 0);
                (Some(format!("row.{name} + ")), Some(format!("{name}_column")))
            }
        };
        move |column: &str| match (&start, &function) {
            (None, Some(function)) => format!("{function}(row.first + {column})"),
            (Some(start), Some(function)) => format!("{start}{function}({column})"),
            (Some(start), None) if start.ends_with("+ ") => format!("{start}{column}"),
            (Some(start), None) => start.clone(),
            (None, None) => "0u".to_owned(),
        }
    }
}

/// Declares `fn read_NAME(number: u32)` for an input that is read for each row.
pub(super) fn declare_row_read(module: &mut Module, name: &str, input: &ProgramInput, resource: Resource) {
    let stored = storage_type(input.dtype);
    let place = position(module, &format!("{name}_position"), &input.view, "number");
    let value = module.narrow_element(resource, name, &place).unwrap_or_else(|| {
        module.bind(resource, false, name, stored);
        from_storage(stored, input.dtype, 1, &format!("{name}[{place}]"))
    });
    let dtype = value_type(input.dtype);
    module.declare(format!("fn read_{name}(number: u32) -> {dtype} {{\n    return {value};\n}}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(extent: usize, stride: isize) -> Axis {
        Axis { extent, stride }
    }

    #[test]
    fn a_view_splits_where_a_row_ends() {
        for (view, columns) in [
            (View::contiguous(24), 6),
            (View::contiguous(24), 24),
            (View::contiguous(24), 1),
            (View::new([axis(4, 0), axis(6, 1)], 3), 6),
            (View::new([axis(4, 1), axis(6, 0)], 0), 6),
            (View::new([axis(4, 1), axis(2, 12), axis(3, 4)], 0), 6),
            (View::new([axis(8, 1), axis(3, 8)], 5), 6),
            (View::new([], 7), 1),
        ] {
            let split = split(&view, columns).expect("these end with a row");
            let product = |axes: &[Axis]| axes.iter().map(|axis| axis.extent).product::<usize>();
            assert_eq!(product(&split.columns), columns);
            let (rows, inner) = (View::new(split.rows, view.offset()), View::new(split.columns, 0));
            for index in 0..view.elements() {
                let place = rows.position(index / columns) + inner.position(index % columns);
                assert_eq!(place, view.position(index), "{view:?} {columns}");
            }
        }
        assert!(split(&View::new([axis(3, 1), axis(8, 3)], 0), 6).is_none());
    }
}
