//! How callers name elements along axes: positions and ranges in which negative numbers count from the end.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// A position along an axis: 0 is the first element, -1 the last.
pub trait Position {
    /// The number as given, before it is checked.
    fn position(self) -> isize;
}

/// What one axis is indexed by: a position, after which the axis falls away, or a range of elements, which stay. Two more index no axis that there
/// is: a new one, and the ellipsis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisIndex {
    /// The slice at one position.
    At(isize),
    /// The elements from `start` on, before `end`, or to the end of the axis.
    Range {
        /// The first element.
        start: isize,
        /// The element after the last; none for the end of the axis.
        end: Option<isize>,
        /// Every how many elements one is taken, at least 1.
        step: usize,
    },
    /// A further axis, of extent 1, at this place: Python's `None`.
    NewAxis,
    /// As many whole axes as the other indices leave: Python's `...`. One at most.
    Ellipsis,
}

impl AxisIndex {
    /// Every `step`-th element of the same range, from the first on. What is no range stays as it is.
    pub fn step_by(self, step: usize) -> AxisIndex {
        match self {
            AxisIndex::At(_) | AxisIndex::NewAxis | AxisIndex::Ellipsis => self,
            AxisIndex::Range { start, end, .. } => AxisIndex::Range { start, end, step },
        }
    }

    /// How many of a tensor's axes these index themselves.
    pub fn axes_of(indices: &[AxisIndex]) -> usize {
        indices.iter().filter(|index| matches!(index, AxisIndex::At(_) | AxisIndex::Range { .. })).count()
    }

    /// The same for a tensor of that rank, with a range of all elements for each axis that the ellipsis stands for. None if there are several of it.
    pub fn without_ellipsis(indices: &[AxisIndex], rank: usize) -> Option<Vec<AxisIndex>> {
        let is_ellipsis = |index: &AxisIndex| *index == AxisIndex::Ellipsis;
        if indices.iter().filter(|index| is_ellipsis(index)).count() > 1 {
            return None;
        }
        let left = rank.saturating_sub(AxisIndex::axes_of(indices));
        let mut expanded = Vec::with_capacity(indices.len() + left);
        for &index in indices {
            if is_ellipsis(&index) {
                expanded.extend(std::iter::repeat_n(AxisIndex::from(..), left));
            } else {
                expanded.push(index);
            }
        }
        Some(expanded)
    }
}

impl From<RangeFull> for AxisIndex {
    fn from(_: RangeFull) -> Self {
        AxisIndex::Range { start: 0, end: None, step: 1 }
    }
}

macro_rules! positions {
    ($($integer:ty),*) => {$(
        impl Position for $integer {
            fn position(self) -> isize {
                isize::try_from(self).unwrap_or(isize::MAX)
            }
        }
        impl From<$integer> for AxisIndex {
            fn from(index: $integer) -> Self {
                AxisIndex::At(index.position())
            }
        }
        impl From<Range<$integer>> for AxisIndex {
            fn from(range: Range<$integer>) -> Self {
                AxisIndex::Range { start: range.start.position(), end: Some(range.end.position()), step: 1 }
            }
        }
        impl From<RangeFrom<$integer>> for AxisIndex {
            fn from(range: RangeFrom<$integer>) -> Self {
                AxisIndex::Range { start: range.start.position(), end: None, step: 1 }
            }
        }
        impl From<RangeTo<$integer>> for AxisIndex {
            fn from(range: RangeTo<$integer>) -> Self {
                AxisIndex::Range { start: 0, end: Some(range.end.position()), step: 1 }
            }
        }
        impl From<RangeInclusive<$integer>> for AxisIndex {
            fn from(range: RangeInclusive<$integer>) -> Self {
                AxisIndex::Range { start: range.start().position(), end: after(range.end().position()), step: 1 }
            }
        }
        impl From<RangeToInclusive<$integer>> for AxisIndex {
            fn from(range: RangeToInclusive<$integer>) -> Self {
                AxisIndex::Range { start: 0, end: after(range.end.position()), step: 1 }
            }
        }
    )*};
}
positions!(i32, isize, usize);

/// The end of a range whose last element is that: after -1, the last of the axis, comes its end.
fn after(last: isize) -> Option<isize> {
    if last == -1 { None } else { Some(last.saturating_add(1)) }
}

/// What the first axes of a tensor are indexed by: one [`AxisIndex`] for each, or what converts into one, as a tuple, or a slice of
/// them.
pub trait AxisIndices {
    /// One for each axis, the outermost first.
    fn list(self) -> Vec<AxisIndex>;
}

impl AxisIndices for &[AxisIndex] {
    fn list(self) -> Vec<AxisIndex> {
        self.to_vec()
    }
}

impl AxisIndices for Vec<AxisIndex> {
    fn list(self) -> Vec<AxisIndex> {
        self
    }
}

macro_rules! indices_of_tuples {
    ($($name:ident)*) => {
        impl<$($name: Into<AxisIndex>),*> AxisIndices for ($($name,)*) {
            #[allow(non_snake_case)]
            fn list(self) -> Vec<AxisIndex> {
                let ($($name,)*) = self;
                vec![$($name.into()),*]
            }
        }
    };
}
indices_of_tuples!(A);
indices_of_tuples!(A B);
indices_of_tuples!(A B C);
indices_of_tuples!(A B C D);
indices_of_tuples!(A B C D E);
indices_of_tuples!(A B C D E F);

impl<'g> Expr<'g> {
    /// The slice at one position along an axis, which falls away: `[a, n, b] -> [a, b]`. Position and axis count from the end where they
    /// are negative: -1 is the last. (PyTorch's `select`.) The gradient of the other elements is 0.
    ///
    /// Errors: an axis that there is not; a position outside `-n..n`.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 5, 3]);
    /// assert_eq!(x.select_index(1, -1).shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn select_index(self, axis: isize, index: impl Position) -> Expr<'g> {
        let _method = self.enter("select_index");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("select_index", origin, |_, node| node.shape.clone()) else { return self };
        let axis = match self.resolve_axis("select_index", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        self.indexed_along(axis, AxisIndex::At(index.position()), &shape, origin).without_axis(axis, origin)
    }

    /// Basic indexing: the first axes by a position or a range each, further ones whole. An axis that is indexed by a position falls away.
    /// Negative numbers count from the end, as in Python: `x.index((.., 1..-1, 0))` is `x[:, 1:-1, 0]`, and
    /// `x.index((AxisIndex::from(2..).step_by(2),))` is `x[2::2]`. Nothing is copied.
    ///
    /// [`AxisIndex::NewAxis`] and [`AxisIndex::Ellipsis`] are Python's `None` and `...`.
    ///
    /// Unlike Python's, a range that reaches past its axis is a mistake, and so is one whose end comes before its start.
    ///
    /// Errors: more indices than axes; a position or range out of range; a step of 0; several ellipses.
    ///
    /// ```
    /// # use arenagrad_graph::{AxisIndex, Graph};
    /// let g = Graph::new();
    /// let x = g.input("x", [4, 5, 6]);
    /// assert_eq!(x.index((.., 1..-1, 0)).shape()?.dims(), [4, 3]);
    /// assert_eq!(x.index((AxisIndex::from(1..).step_by(2), ..=-2)).shape()?.dims(), [2, 4, 6]);
    /// assert_eq!(x.index((AxisIndex::Ellipsis, AxisIndex::NewAxis, 0)).shape()?.dims(), [4, 5, 1]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index(self, indices: impl AxisIndices) -> Expr<'g> {
        let _method = self.enter("index");
        let origin = self.graph().origin_or(Origin::here());
        let Some(mut shape) = self.read("index", origin, |_, node| node.shape.clone()) else { return self };
        let indices = indices.list();
        let count = AxisIndex::axes_of(&indices);
        if count > shape.rank() {
            let expected = format!("rank {count} or more, the number of indices,");
            let (operand, rank) = (self.describe(), shape.rank());
            return self.fail(GraphError::Rank { origin, op: "index", operand, shape, rank, expected });
        }
        let Some(indices) = AxisIndex::without_ellipsis(&indices, shape.rank()) else {
            let ellipses = indices.iter().filter(|&&index| index == AxisIndex::Ellipsis).count();
            return self.graph().refuse("index", "the number of ellipses", ellipses as f64, "1 or none");
        };
        let (mut result, mut axis) = (self, 0);
        // Axes fall away and come in at the end, so that a mistake is told of the caller's axis. From each index the axes that the result has of it.
        let mut axes: Vec<usize> = Vec::new();
        let mut is_as_it_is = true;
        for index in indices {
            if index == AxisIndex::NewAxis {
                axes.push(1);
                is_as_it_is = false;
                continue;
            }
            result = result.indexed_along(axis, index, &shape, origin);
            shape = match result.read("index", origin, |_, node| node.shape.clone()) {
                Some(shape) => shape,
                None => return result,
            };
            match index {
                AxisIndex::At(_) => is_as_it_is = false,
                AxisIndex::Range { .. } | AxisIndex::NewAxis | AxisIndex::Ellipsis => axes.push(shape[axis]),
            }
            axis += 1;
        }
        if is_as_it_is {
            return result;
        }
        axes.extend_from_slice(&shape[axis..]);
        result.reshape_node(&axes.into(), origin)
    }

    /// The elements of one axis that are indexed, which stays.
    pub(crate) fn indexed_along(self, axis: usize, index: AxisIndex, shape: &Shape, origin: Origin) -> Expr<'g> {
        let extent = shape[axis];
        let counted = |position: isize| {
            if position < 0 { extent.checked_sub(position.unsigned_abs()) } else { Some(position as usize) }
        };
        let (start, end, step) = match index {
            AxisIndex::At(position) => {
                let start = counted(position);
                (start, start.map(|start| start.saturating_add(1)), 1)
            }
            AxisIndex::Range { start, end, step } => (counted(start), end.map_or(Some(extent), counted), step),
            AxisIndex::NewAxis | AxisIndex::Ellipsis => (Some(0), Some(extent), 1),
        };
        match (start, end) {
            // What is past the end is told by the slice.
            (Some(start), Some(end)) => self.slice_node(axis as isize, start, end, step, origin),
            (None, _) | (_, None) => {
                let range = match index {
                    AxisIndex::At(position) => format!("position {position}"),
                    AxisIndex::Range { start, end: Some(end), .. } => format!("{start}..{end}"),
                    AxisIndex::Range { start, end: None, .. } => format!("{start}.."),
                    AxisIndex::NewAxis | AxisIndex::Ellipsis => String::from(".."),
                };
                let (op, operand, shape) = ("index", self.describe(), shape.clone());
                self.fail(GraphError::Positions { origin, op, operand, shape, axis, extent, range })
            }
        }
    }

    /// Without an axis of extent 1.
    fn without_axis(self, axis: usize, origin: Origin) -> Expr<'g> {
        match self.read("squeeze", origin, |_, node| node.shape.clone()) {
            Some(shape) => self.reshape_node(&shape.without([axis].into_iter().collect()), origin),
            None => self,
        }
    }
}
