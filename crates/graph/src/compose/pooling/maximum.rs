//! The largest element of each window, and where it stands.
//!
//! As in PyTorch the first of equal elements is chosen, NaN is larger than every number, and of several NaN the last is chosen; padding never
//! is. The choice is an i32 tensor of the result's shape: the place of the element among all of its plane, row by row. The gradient is a
//! selection by it and so linear, whatever the elements are: each element takes the upstream gradient of the windows that chose it. Windows
//! that tile the input are compared with their own elements; of windows that overlap, the few that may hold an element are looked at; where
//! they are many, the upstream gradient is scattered to the chosen places.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::{AxisSet, Shape};

use super::along::{Along, are_few, offsets_of, with_axes_behind};

/// The most elements of a window that are compared one after the other, and the most windows that an element looks at.
const FEW: usize = 16;

/// The largest elements of windows, differentiable.
///
/// Large windows are those of the last axis first and then of the others: of equal elements the first row is chosen, and in it the first
/// column, so that these are the same elements. What is one window as a whole is one reduction.
pub(super) fn largest<'g>(x: Expr<'g>, shape: &Shape, dtype: DType, windows: &[Along]) -> Expr<'g> {
    let elements = windows.iter().fold(1usize, |product, along| product.saturating_mul(along.kernel));
    let is_whole = windows.iter().all(|along| along.is_tiled() && along.kernel == along.extent);
    if elements <= FEW || windows.len() == 1 || is_whole {
        return largest_at_once(x, shape, dtype, windows);
    }
    let (mut largest, mut shape) = (x, shape.clone());
    for along in windows.iter().rev() {
        largest = largest_at_once(largest, &shape, dtype, std::slice::from_ref(along));
        shape = shape.with_extent(along.axis, along.count);
    }
    largest
}

fn largest_at_once<'g>(x: Expr<'g>, shape: &Shape, dtype: DType, windows: &[Along]) -> Expr<'g> {
    if dtype.is_float() {
        x.graph().apply(&Largest { shape: shape.clone(), dtype, windows: windows.to_vec() }, &[x])
    } else {
        Chosen::new(x, shape, dtype, windows).value
    }
}

/// i32: where the largest element of each window stands in its plane, row by row.
pub(super) fn places_of_largest<'g>(x: Expr<'g>, shape: &Shape, dtype: DType, windows: &[Along]) -> Expr<'g> {
    Chosen::new(x, shape, dtype, windows).place(shape, windows, |along| along.extent)
}

/// Refuses planes whose elements cannot be counted in i32.
pub(super) fn check_plane(
    shape: &Shape,
    windows: &[Along],
    op: &'static str,
    origin: Origin,
) -> Result<(), GraphError> {
    let plane = windows.iter().try_fold(1usize, |product, along| product.checked_mul(along.grid().max(along.extent)));
    match plane {
        Some(plane) if i32::try_from(plane).is_ok() => Ok(()),
        Some(_) | None => Err(GraphError::TooManyElements { origin, op, shape: shape.clone() }),
    }
}

/// The largest elements of windows, and what is known of where they stand.
struct Chosen<'g> {
    value: Expr<'g>,
    result: Shape,
    kind: Choice<'g>,
}

enum Choice<'g> {
    /// For each element of a window but the first, whether it is chosen before all that stand before it.
    Few { is_chosen: Vec<Expr<'g>> },
    /// All windows, with their elements along further axes, and those of their elements that are largest.
    Many { elements: Expr<'g>, axes: AxisSet },
}

impl<'g> Chosen<'g> {
    fn new(x: Expr<'g>, shape: &Shape, dtype: DType, windows: &[Along]) -> Self {
        let origin = x.graph().origin_or(Origin::here());
        let lowest = match dtype {
            DType::F32 | DType::F64 => f64::NEG_INFINITY,
            DType::I32 | DType::Bool => f64::from(i32::MIN),
        };
        let padded = x.padded_for(shape, windows, lowest);
        let mut result: Vec<usize> = shape.to_vec();
        windows.iter().for_each(|along| result[along.axis] = along.count);
        let result = Shape::from(result);
        if are_few(windows, FEW) {
            let elements = padded.window_elements(&result, windows);
            let mut value = elements[0];
            let mut is_chosen = Vec::with_capacity(elements.len());
            for &element in &elements[1..] {
                let is_larger = element.greater(value);
                // NaN alone differs from itself.
                is_chosen.push(if dtype.is_float() { is_larger | element.not_equal(element) } else { is_larger });
                value = value.maximum(element);
            }
            return Chosen { value, result, kind: Choice::Few { is_chosen } };
        }
        let list = |number: fn(&Along) -> usize| windows.iter().map(number).collect::<Vec<usize>>();
        let axes: Vec<isize> = windows.iter().map(|along| along.axis as isize).collect();
        let elements =
            padded.windows(axes, list(|along| along.kernel), list(Along::window_step), list(|along| along.dilation));
        let axes: AxisSet = (shape.rank()..shape.rank() + windows.len()).collect();
        let value = elements.reduce_node(ReduceFunction::Max, axes, origin).reshape_node(&result, origin);
        Chosen { value, result, kind: Choice::Many { elements, axes } }
    }

    /// i32: where the chosen elements stand in their plane, whose axes have `extent` elements. One that is no place of the plane stands
    /// for a window that has nothing but padding.
    fn place(&self, shape: &Shape, windows: &[Along], extent: impl Fn(&Along) -> usize) -> Expr<'g> {
        let graph = self.value.graph();
        let origin = graph.origin_or(Origin::here());
        let mut strides = vec![1usize; windows.len()];
        for place in (0..windows.len().saturating_sub(1)).rev() {
            strides[place] = strides[place + 1] * extent(&windows[place + 1]);
        }
        match &self.kind {
            Choice::Few { is_chosen } => {
                let first = first_in_plane(graph, shape, windows, &strides);
                let kernels: Vec<usize> = windows.iter().map(|along| along.kernel).collect();
                let mut of_chosen = first.broadcast_node(&self.result, origin);
                for (places, is_chosen) in super::along::places(&kernels).skip(1).zip(is_chosen) {
                    let elements = places.iter().zip(windows).zip(&strides);
                    let offset: usize = elements.map(|((place, along), stride)| place * along.dilation * stride).sum();
                    of_chosen = is_chosen.where_(offset as i32, of_chosen);
                }
                of_chosen + begins(graph, &self.result, windows, &strides)
            }
            Choice::Many { elements, axes } => {
                let Ok(wide) = elements.shape() else { return *elements };
                // Where each element of each window stands, or nowhere if it is padding.
                let mut place: Option<Expr<'g>> = None;
                let mut is_inside: Option<Expr<'g>> = None;
                for (number_of_axis, (along, &stride)) in windows.iter().zip(&strides).enumerate() {
                    let window = graph.iota(&wide, along.axis) * along.step as f64;
                    let element = graph.iota(&wide, shape.rank() + number_of_axis) * along.dilation as f64;
                    let at = window + element - along.before as f64;
                    if along.before > 0 || along.after() > 0 {
                        let here = at.greater_equal(0) & at.less(along.extent as i32);
                        is_inside = Some(is_inside.map_or(here, |inside| inside & here));
                    }
                    let scaled = at * stride as f64;
                    place = Some(place.map_or(scaled, |place| place + scaled));
                }
                let Some(mut place) = place else { return *elements };
                if let Some(is_inside) = is_inside {
                    place = is_inside.where_(place, i32::MAX);
                }
                let value = self.value.reshape_node(&wide.reduced(*axes), origin);
                first_place(*elements, value, place, *axes).reshape_node(&self.result, origin)
            }
        }
    }
}

/// Of the elements along `axes` that are as large as `largest`, the least of their places; if that is NaN, the greatest place of a NaN.
pub(crate) fn first_place<'g>(elements: Expr<'g>, largest: Expr<'g>, place: Expr<'g>, axes: AxisSet) -> Expr<'g> {
    let origin = elements.graph().origin_or(Origin::here());
    let candidate = elements.equal(largest).where_(place, i32::MAX);
    // Places below 0 stand for NaN: the least of them is that of the last.
    let is_nan = elements.not_equal(elements);
    let least = is_nan.where_(-1.0 - place, candidate).reduce_node(ReduceFunction::Min, axes, origin);
    least.less(0).where_(-1.0 - least, least)
}

/// i32: how far the first element of each window that is no padding stands behind the window's first place. A window that has none gets
/// a number that takes it out of the plane.
fn first_in_plane<'g>(graph: &'g crate::Graph, shape: &Shape, windows: &[Along], strides: &[usize]) -> Expr<'g> {
    let mut first: Option<Expr<'g>> = None;
    for (along, &stride) in windows.iter().zip(strides) {
        if along.before == 0 {
            continue;
        }
        let of_window = |window: usize| {
            let padding = along.before.saturating_sub(window * along.step).div_ceil(along.dilation) * along.dilation;
            let at = (window * along.step + padding).saturating_sub(along.before);
            if at < along.extent { (padding * stride) as i32 } else { i32::MIN / 4 }
        };
        // Windows behind the padding begin inside.
        let list: Vec<i32> = (0..along.count).map(of_window).collect();
        let mut extents = vec![1; shape.rank()];
        extents[along.axis] = along.count;
        let along = graph.literal(extents, list);
        first = Some(first.map_or(along, |first| first + along));
    }
    first.unwrap_or_else(|| graph.full(vec![1; shape.rank()], 0.0, DType::I32))
}

/// i32: where each window begins in the plane, before it where it begins with padding.
fn begins<'g>(graph: &'g crate::Graph, result: &Shape, windows: &[Along], strides: &[usize]) -> Expr<'g> {
    // All in the shape of one plane, so that it is one kernel.
    let mut plane = vec![1; result.rank()];
    windows.iter().for_each(|along| plane[along.axis] = along.count);
    let mut sum: Option<Expr<'g>> = None;
    let mut before = 0usize;
    for (along, &stride) in windows.iter().zip(strides) {
        before += along.before * stride;
        if along.count > 1 {
            let begin = graph.iota(plane.clone(), along.axis) * (along.step * stride) as f64;
            sum = Some(sum.map_or(begin, |sum| sum + begin));
        }
    }
    let Some(sum) = sum else { return graph.full(plane, -(before as f64), DType::I32) };
    if before == 0 { sum } else { sum - before as f64 }
}

/// The largest element of each window, along one axis or over the last ones. Its gradient is what each element is chosen for.
struct Largest {
    shape: Shape,
    dtype: DType,
    windows: Vec<Along>,
}

impl Function for Largest {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let chosen = Chosen::new(operands[0], &self.shape, self.dtype, &self.windows);
        let is_few = offsets_of(&self.windows, FEW).is_some();
        let extent = |along: &Along| if is_few { along.grid() } else { along.extent };
        context.save_for_backward(&[chosen.place(&self.shape, &self.windows, extent)]);
        chosen.value
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (place, graph) = (context.saved()[0], context.graph());
        let Some(offsets) = offsets_of(&self.windows, FEW) else {
            return vec![Some(match self.windows.as_slice() {
                [along] => {
                    let zeros = graph.zeros(&self.shape, self.dtype);
                    zeros.scatter_add(along.axis as isize, place, upstream)
                }
                windows => {
                    let plane = windows.iter().map(|along| along.extent).product();
                    scattered(upstream, place, &self.shape, windows.len(), plane)
                }
            })];
        };
        let mut groups = self.shape.clone();
        self.windows.iter().for_each(|along| groups = groups.with_extent(along.axis, along.groups()));
        let grouped = with_axes_behind(&groups, &self.windows, |along| along.step);
        // Each element's own place along the axis, or in the plane of groups.
        let own = match self.windows.as_slice() {
            [along] => graph.iota(self.shape.with_extent(along.axis, along.grid()), along.axis),
            windows => {
                let leading: usize = self.shape[..self.shape.rank() - windows.len()].iter().product();
                let plane: usize = windows.iter().map(Along::grid).product();
                graph.iota([leading, plane], 1)
            }
        };
        let own = own.reshape(grouped);
        let take = |_: &[isize], operands: &[Expr<'g>]| own.equal(operands[1]).where_(operands[0], 0.0);
        let operands = [(upstream, 0.0), (place, -1.0)];
        vec![Some(Expr::from_windows(&self.shape, &self.windows, &offsets, &operands, &take))]
    }
}

/// `upstream` added at `place` of each plane, which is the last `axes` axes of `shape` and has that many elements.
pub(super) fn scattered<'g>(upstream: Expr<'g>, place: Expr<'g>, shape: &Shape, axes: usize, plane: usize) -> Expr<'g> {
    let graph = upstream.graph();
    let (Ok(result), Ok(dtype)) = (upstream.shape(), upstream.dtype()) else { return upstream };
    let first = shape.rank() - axes;
    let leading: usize = shape[..first].iter().product();
    let windows: usize = result[first..].iter().product();
    let (place, upstream) = (place.reshape([leading, windows]), upstream.reshape([leading, windows]));
    graph.zeros([leading, plane], dtype).scatter_add(1, place, upstream).reshape(shape)
}
