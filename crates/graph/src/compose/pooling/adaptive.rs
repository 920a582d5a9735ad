//! Pooling to given sizes: window `i` of `m` along `n` elements goes from `floor(i n / m)` to `ceil((i + 1) n / m)`, as in PyTorch.
//!
//! Where the size divides the extent these windows tile it, and are those of any pooling. Else they differ in length, and each axis is
//! gathered by a table.

use crate::dtype::DType;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::{AxisSet, Shape};

use super::along::Along;
use super::maximum::{first_place, scattered};
use crate::compose::resample::Table;

/// From which element on window `number` of `count` is, and before which it ends.
pub(crate) fn bounds(number: usize, extent: usize, count: usize) -> (usize, usize) {
    let at = |number: usize| number as u128 * extent as u128;
    let start = at(number) / count as u128;
    let end = at(number + 1).div_ceil(count as u128);
    (start as usize, end as usize)
}

/// The windows along axes of which each is divided by its size.
pub(super) fn tiles(shape: &Shape, sizes: &[usize]) -> Option<Vec<Along>> {
    let first = shape.rank() - sizes.len();
    let tile = |(place, &count): (usize, &usize)| {
        let extent = shape[first + place];
        let kernel = extent.checked_div(count).filter(|kernel| kernel * count == extent && *kernel > 0)?;
        Some(Along { axis: first + place, extent, kernel, step: kernel, dilation: 1, before: 0, count })
    };
    sizes.iter().enumerate().map(tile).collect()
}

/// The table of means along one axis.
pub(super) fn means(extent: usize, count: usize) -> Table {
    let rows = (0..count).map(|number| {
        let (start, end) = bounds(number, extent, count);
        let weight = 1.0 / (end - start) as f64;
        (start..end).map(|element| (element, weight)).collect::<Vec<(usize, f64)>>()
    });
    Table::new(extent, rows)
}

/// The largest element of each window, and the i32 place of it in its plane, which is the last axes.
pub(super) fn chosen<'g>(x: Expr<'g>, shape: &Shape, sizes: &[usize]) -> (Expr<'g>, Expr<'g>) {
    let graph = x.graph();
    let origin = graph.origin_or(Origin::here());
    let first = shape.rank() - sizes.len();
    let (mut value, mut place) = (x, graph.zeros(vec![1; shape.rank()], DType::I32).broadcast_to(shape));
    let mut stride = 1usize;
    // Along the last axis first: of equal elements the first row counts, and in it the first column.
    for (number, &count) in sizes.iter().enumerate().rev() {
        let (axis, extent) = (first + number, shape[first + number]);
        let windows: Vec<(usize, usize)> = (0..count).map(|number| bounds(number, extent, count)).collect();
        let longest = windows.iter().map(|(start, end)| end - start).max().unwrap_or(1);
        // A shorter window has its last element several times, which changes neither the largest nor the first place of it.
        let table: Vec<i32> = windows
            .iter()
            .flat_map(|&(start, end)| (start..start + longest).map(move |element| element.min(end - 1) as i32))
            .collect();
        let table = graph.literal([count, longest], table);
        let elements = value.index_select(axis as isize, table);
        let Ok(wide) = elements.shape() else { return (elements, elements) };
        let mut aligned = vec![1; wide.rank()];
        (aligned[axis], aligned[axis + 1]) = (count, longest);
        let own = table.reshape(aligned) * stride as f64;
        let places = if number + 1 == sizes.len() {
            own.broadcast_node(&wide, origin)
        } else {
            place.index_select(axis as isize, table) + own
        };
        let axes: AxisSet = [axis + 1].into_iter().collect();
        let largest = elements.reduce_node(ReduceFunction::Max, axes, origin);
        let narrow = wide.without(axes);
        place = first_place(elements, largest, places, axes).reshape_node(&narrow, origin);
        value = largest.reshape_node(&narrow, origin);
        stride = stride.saturating_mul(extent);
    }
    (value, place)
}

/// The largest element of each window, whose gradient goes to the chosen element.
pub(super) struct AdaptiveLargest {
    pub(super) shape: Shape,
    pub(super) sizes: Vec<usize>,
}

impl Function for AdaptiveLargest {
    fn name(&self) -> &'static str {
        "adaptive_max_pool"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let (value, place) = chosen(operands[0], &self.shape, &self.sizes);
        context.save_for_backward(&[place]);
        value
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let first = self.shape.rank() - self.sizes.len();
        let plane = self.shape[first..].iter().product();
        vec![Some(scattered(upstream, context.saved()[0], &self.shape, self.sizes.len(), plane))]
    }
}
