//! How callers name axes.

use std::ops::RangeFull;

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::{AxisSet, Shape};

/// Axes as a caller names them: one number, an array or slice of numbers, or `..` for all. Negative numbers count from the
/// last axis: -1 is the last.
pub trait Axes {
    /// The axes as given, before they are checked; `None` for all.
    fn list(&self) -> Option<Vec<isize>>;
}

macro_rules! axes_for {
    ($($integer:ty),*) => {$(
        impl Axes for $integer {
            fn list(&self) -> Option<Vec<isize>> {
                Some(vec![isize::try_from(*self).unwrap_or(isize::MAX)])
            }
        }
        impl<const N: usize> Axes for [$integer; N] {
            fn list(&self) -> Option<Vec<isize>> {
                self.as_slice().list()
            }
        }
        impl Axes for &[$integer] {
            fn list(&self) -> Option<Vec<isize>> {
                (**self).list()
            }
        }
        impl Axes for [$integer] {
            fn list(&self) -> Option<Vec<isize>> {
                Some(self.iter().map(|&axis| isize::try_from(axis).unwrap_or(isize::MAX)).collect())
            }
        }
        impl Axes for Vec<$integer> {
            fn list(&self) -> Option<Vec<isize>> {
                self.as_slice().list()
            }
        }
    )*};
}
axes_for!(i32, isize, usize);

impl Axes for RangeFull {
    fn list(&self) -> Option<Vec<isize>> {
        None
    }
}

impl Axes for AxisSet {
    fn list(&self) -> Option<Vec<isize>> {
        Some(self.iter().map(|axis| axis as isize).collect())
    }
}

impl Expr<'_> {
    /// One axis of a tensor of that shape, negative ones counted from the end.
    pub(crate) fn resolve_axis(
        self,
        op: &'static str,
        shape: &Shape,
        axis: isize,
        origin: Origin,
    ) -> Result<usize, GraphError> {
        let rank = shape.rank();
        let resolved = if axis < 0 { axis + rank as isize } else { axis };
        if (0..rank as isize).contains(&resolved) {
            Ok(resolved as usize)
        } else {
            Err(GraphError::Axis { origin, op, axis, operand: self.describe(), shape: shape.clone(), rank })
        }
    }

    /// The set of axes that the caller named, each once.
    pub(crate) fn resolve_axes(
        self,
        op: &'static str,
        shape: &Shape,
        axes: &(impl Axes + ?Sized),
        origin: Origin,
    ) -> Result<AxisSet, GraphError> {
        let Some(list) = axes.list() else { return Ok(AxisSet::all(shape.rank())) };
        let mut set = AxisSet::empty();
        for axis in list {
            let axis = self.resolve_axis(op, shape, axis, origin)?;
            if set.contains(axis) {
                return Err(GraphError::RepeatedAxis { origin, op, axis });
            }
            set.insert(axis);
        }
        Ok(set)
    }
}
