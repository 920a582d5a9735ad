//! The operands of a matrix product: where their elements stand, and how a module reads them.

use crate::wgsl::Resource;
use crate::wgsl::emit::buffer_name;
use crate::wgsl::module::Module;
use crate::wgsl::positions::{Quad, declare_position, quad};
use crate::{Axes, Axis, Matrices, View};

/// One operand: `[extent, depth]` for lhs, and for rhs the columns instead of the rows, `[extent, depth]` of its transpose.
#[derive(Clone, Debug)]
pub(in crate::wgsl) struct Operand {
    pub(super) resource: Resource,
    pub(super) offset: usize,
    pub(super) batch: Axes,
    /// The rows of lhs, or the columns of rhs.
    pub(super) along: Axes,
    pub(super) depth: Axes,
}

/// How four by four numbers of an operand are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Four neighbouring depths are one vector.
    DepthVectors,
    /// Four neighbouring rows (or columns) are one vector.
    ExtentVectors,
    /// One by one.
    Scalars,
}

impl Operand {
    /// The value of the element at the expression `place`, where elements are read one by one.
    pub(super) fn element(&self, module: &mut Module, place: &str) -> String {
        let buffer = buffer_name(self.resource);
        if module.is_f16(self.resource) {
            module.bind_f16(self.resource, buffer.clone(), 1);
            return format!("f32({buffer}[{place}])");
        }
        module.narrow_element(self.resource, &buffer, place).unwrap_or_else(|| {
            module.bind(self.resource, false, buffer.clone(), "f32");
            format!("{buffer}[{place}]")
        })
    }

    /// Binds the operand as vectors of four elements; the result gives the values of the one at a place.
    pub(super) fn bind_vectors(&self, module: &mut Module) -> impl Fn(&str) -> String + use<> {
        let buffer = buffer_name(self.resource);
        let is_f16 = module.is_f16(self.resource);
        if is_f16 {
            module.bind_f16(self.resource, buffer.clone(), 4);
        } else {
            module.bind(self.resource, false, buffer.clone(), "vec4<f32>");
        }
        move |place| if is_f16 { format!("vec4<f32>({buffer}[{place}])") } else { format!("{buffer}[{place}]") }
    }

    /// How a module reads the operand: elements that are narrower than their values one by one, but for f16 where the adapter has it.
    pub(super) fn layout(&self, module: &Module) -> Layout {
        if module.is_narrow(self.resource) && !module.is_f16(self.resource) {
            return Layout::Scalars;
        }
        // Four neighbours, the first a multiple of four, side by side from a multiple of four, wherever the other coordinates lead.
        let in_fours = |axes: &Axes, others: &Axes| {
            let is_aligned =
                [others, &self.batch].into_iter().flat_map(Axes::as_slice).all(|axis| axis.stride % 4 == 0);
            axes.count().is_multiple_of(4)
                && is_aligned
                && quad(&View::new(axes.as_slice().iter().copied(), self.offset)) == Quad::Vector
        };
        if in_fours(&self.depth, &self.along) {
            Layout::DepthVectors
        } else if in_fours(&self.along, &self.depth) {
            Layout::ExtentVectors
        } else {
            Layout::Scalars
        }
    }

    pub(super) fn new(resource: Resource, matrices: &Matrices) -> Self {
        let Matrices { offset, batch, rows, columns } = matrices.clone();
        Operand { resource, offset, batch, along: rows, depth: columns }
    }
}

/// How far a coordinate of several axes, or of one, is from the first.
pub(super) enum Distance {
    /// The expression of a stride.
    Strided(String),
    /// The name of a function of the coordinate.
    Walked(String),
}

impl Distance {
    /// Declares what it takes, in units of `unit` elements, all strides being multiples of it: the parameter `stride`, or
    /// `fn NAME_position(index: u32) -> u32`.
    pub(super) fn of(module: &mut Module, name: String, stride: String, axes: &Axes, unit: usize) -> Self {
        if let Some(distance) = axes.stride() {
            return Distance::Strided(module.stride(stride, distance / unit as isize));
        }
        let function = format!("{name}_position");
        let scaled: Vec<Axis> =
            axes.as_slice().iter().map(|axis| Axis { stride: axis.stride / unit as isize, ..*axis }).collect();
        declare_position(module, &function, &scaled, 0);
        Distance::Walked(function)
    }

    /// The distance of a coordinate that an expression gives.
    pub(super) fn at(&self, coordinate: &str) -> String {
        match self {
            Distance::Strided(stride) => format!("{coordinate} * {stride}"),
            Distance::Walked(function) => format!("{function}({coordinate})"),
        }
    }
}

/// Axes that end in a whole number of fours side by side, counted in fours.
pub(super) fn in_fours(axes: &Axes) -> Vec<Axis> {
    let count = axes.as_slice().len();
    let each = axes.as_slice().iter().enumerate();
    each.map(|(place, axis)| {
        if place + 1 == count {
            Axis { extent: axis.extent / 4, stride: 1 }
        } else {
            Axis { stride: axis.stride / 4, ..*axis }
        }
    })
    .collect()
}
