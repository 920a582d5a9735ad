//! Weighted sums along one axis whose weights are known beforehand: what interpolation and adaptive averages are made of.
//!
//! A [`Table`] says of each element of the result which elements of the operand it is made of, and with what weights. The operation is
//! linear, and its transposition is a table as well: so its gradient is a gather, too, and no scatter, and differentiates again.
//!
//! Invariants: a row without elements gives 0; an element that is not in a row has no part in its result, be it infinite or NaN.

use crate::dtype::DType;
use crate::elements::Elements;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::{AxisSet, Shape};

/// The most rows of a table: they are made on the host.
pub(super) const MOST_ROWS: usize = 1 << 24;

/// Of each element of a result the elements of an operand and their weights. All rows are equally long: a shorter one has its last element
/// again, and both have half of its weight, which gives the same sum to the last bit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// The extent of the operand's axis.
    extent: usize,
    /// How many elements a result has.
    width: usize,
    places: Vec<i32>,
    weights: Vec<f64>,
    /// Whether there is a row that has no elements.
    has_empty: bool,
}

/// The longest rows whose terms are added one after the other.
const FEW: usize = 8;

impl Table {
    /// A table of an operand's axis of that extent, a list of `(element, weight)` a row.
    pub(crate) fn new(extent: usize, rows: impl Iterator<Item = Vec<(usize, f64)>>) -> Self {
        let rows: Vec<Vec<(usize, f64)>> = rows.collect();
        let width = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut table = Table {
            extent,
            width,
            places: Vec::with_capacity(rows.len() * width),
            weights: Vec::with_capacity(rows.len() * width),
            has_empty: rows.iter().any(Vec::is_empty),
        };
        for mut row in rows {
            if row.is_empty() {
                row.push((0, 0.0));
            }
            while row.len() < width {
                let last = row.len() - 1;
                row[last].1 /= 2.0;
                row.push(row[last]);
            }
            table.places.extend(row.iter().map(|&(place, _)| place as i32));
            table.weights.extend(row.iter().map(|&(_, weight)| weight));
        }
        table
    }

    /// How many results there are.
    fn count(&self) -> usize {
        self.places.len() / self.width
    }

    /// The table of the way back: of each element of the operand the results that it is in. Entries that stand for one element are one
    /// again.
    fn transposed(&self) -> Table {
        let mut rows: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.extent];
        for (entry, (&place, &weight)) in self.places.iter().zip(&self.weights).enumerate() {
            let result = entry / self.width;
            match rows[place as usize].last_mut() {
                Some((last, sum)) if *last == result => *sum += weight,
                Some(_) | None if weight == 0.0 => {}
                Some(_) | None => rows[place as usize].push((result, weight)),
            }
        }
        Table::new(self.count(), rows.into_iter())
    }

    /// How often each element is repeated, if results are the elements in order, each as often.
    fn repeats(&self) -> Option<usize> {
        let (count, extent) = (self.count(), self.extent);
        let times = count.checked_div(extent).filter(|times| times * extent == count)?;
        let is_in_order = || self.places.iter().enumerate().all(|(result, &place)| place as usize == result / times);
        (self.is_selection() && is_in_order()).then_some(times)
    }

    /// The step between the elements, if results are every so many-th element from the first on.
    fn step(&self) -> Option<usize> {
        let step = self.places.get(1).map_or(1, |&place| place.max(1) as usize);
        let is_in_order = || self.places.iter().enumerate().all(|(result, &place)| place as usize == result * step);
        (self.is_selection() && is_in_order()).then_some(step)
    }

    /// Whether each result is an element.
    fn is_selection(&self) -> bool {
        self.width == 1 && !self.places.is_empty() && self.weights.iter().all(|&weight| weight == 1.0)
    }
}

/// In which order axes are resampled, of each of which the extent and the number of results are given: places in that list.
///
/// Those that become shorter come first, so that the others have less to do, and of them the first, for whole rows are read more quickly than elements; of those
/// that become longer the last, for whole rows are copied more quickly, too.
pub(crate) fn order(changes: impl Iterator<Item = (usize, usize)>) -> impl Iterator<Item = usize> {
    let changes: Vec<(usize, usize)> = changes.collect();
    let is_longer = |place: &usize| changes[*place].1 > changes[*place].0;
    let (longer, shorter): (Vec<usize>, Vec<usize>) = (0..changes.len()).partition(is_longer);
    shorter.into_iter().chain(longer.into_iter().rev())
}

impl<'g> Expr<'g> {
    /// The weighted sums of a table along an axis, which has the table's extent: `[.., n, ..] -> [.., m, ..]`. Floats.
    pub(crate) fn resampled(self, axis: usize, table: &Table) -> Expr<'g> {
        match (table.repeats(), table.step()) {
            (Some(times), _) if times <= FEW => self.graph().apply(&Repeat { axis, table, times }, &[self]),
            (None, None) => self.graph().apply(&Resample { axis, table }, &[self]),
            (Some(_), _) | (None, Some(_)) => self.by_table(axis, table),
        }
    }

    /// [`Expr::resampled`], differentiated as what it is made of.
    fn by_table(self, axis: usize, table: &Table) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some((shape, dtype)) = self.read("resample", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        let (graph, count, width) = (self.graph(), table.count(), table.width);
        let result = shape.with_extent(axis, count);
        if let Some(times) = table.repeats() {
            let mut wide = shape.to_vec();
            wide.insert(axis + 1, times);
            let narrow = self.unsqueeze(axis as isize + 1);
            return narrow.broadcast_node(&Shape::from(wide), origin).reshape_node(&result, origin);
        }
        if let Some(step) = table.step() {
            return self.slice_step(axis as isize, 0, (count - 1) * step + 1, step);
        }
        let mut extents = vec![1; shape.rank()];
        extents[axis] = count;
        let sum = if width <= FEW {
            let mut sum: Option<Expr<'g>> = None;
            for column in 0..width {
                let of_column = |row: usize| row * width + column;
                let places: Vec<i32> = (0..count).map(|row| table.places[of_column(row)]).collect();
                let weights: Vec<f64> = (0..count).map(|row| table.weights[of_column(row)]).collect();
                let gathered = self.index_select(axis as isize, graph.literal([count], places));
                let term = if weights.iter().all(|&weight| weight == 1.0) {
                    gathered
                } else {
                    gathered * graph.literal(extents.clone(), floats(weights, dtype))
                };
                sum = Some(sum.map_or(term, |sum| sum + term));
            }
            sum.unwrap_or(self)
        } else {
            let gathered = self.index_select(axis as isize, graph.literal([count, width], table.places.clone()));
            let mut behind = extents.clone();
            behind.insert(axis + 1, width);
            let behind_axis: AxisSet = [axis + 1].into_iter().collect();
            let terms = gathered * graph.literal(behind, floats(table.weights.clone(), dtype));
            terms.reduce_node(ReduceFunction::Sum, behind_axis, origin).reshape_node(&result, origin)
        };
        if !table.has_empty {
            return sum;
        }
        // Nothing times an infinite element would be NaN.
        let is_there = |row: &[f64]| i32::from(row.iter().any(|&weight| weight != 0.0));
        let is_there: Vec<i32> = table.weights.chunks(width).map(is_there).collect();
        graph.literal(extents, is_there).not_equal(0).where_(sum, 0.0)
    }
}

/// Numbers as elements of a float dtype.
pub(crate) fn floats(numbers: Vec<f64>, dtype: DType) -> Elements {
    match dtype {
        DType::F64 => Elements::F64(numbers.into()),
        DType::F32 | DType::I32 | DType::Bool => Elements::F32(numbers.into_iter().map(|x| x as f32).collect()),
    }
}

/// The weighted sums of a table, whose gradient is those of the transposed table.
struct Resample<'t> {
    axis: usize,
    table: &'t Table,
}

impl Function for Resample<'_> {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0].by_table(self.axis, self.table)
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream.by_table(self.axis, &self.table.transposed()))]
    }
}

/// Each element several times. What it gets back is a sum of views of the upstream gradient, one for each time.
struct Repeat<'t> {
    axis: usize,
    table: &'t Table,
    times: usize,
}

impl Function for Repeat<'_> {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0].by_table(self.axis, self.table)
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (axis, count) = (self.axis as isize, self.table.count());
        let first = upstream.slice_step(axis, 0, count, self.times);
        let sum = (1..self.times).fold(first, |sum, time| sum + upstream.slice_step(axis, time, count, self.times));
        vec![Some(sum)]
    }
}
