//! Which numbers an [`Init`] may hold. What it makes of them is the runtime's matter.

use std::ops::RangeInclusive;

use crate::bf16::Bf16;
use crate::declaration::{Init, Side, Source};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::f16::F16;
use crate::node::Origin;
use crate::shape::{MAX_RANK, Shape};
use crate::storage::StorageType;

/// A number of an [`Init`] that cannot be what a parameter starts with.
pub(crate) struct Refused {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) expected: &'static str,
}

impl Init {
    /// The first of the numbers that a parameter of that type cannot start with.
    pub(crate) fn check(&self, storage: StorageType, trainable: bool) -> Result<(), Refused> {
        match self {
            Init::Constant(value) => element("the initial value", *value, storage, trainable),
            Init::Values(values) => {
                values.iter().try_for_each(|value| element("an initial value", *value, storage, trainable))
            }
            Init::Uniform { low, high } => {
                bound("the lower bound of the initial values", *low, storage)?;
                bound("the upper bound of the initial values", *high, storage)?;
                if low > high {
                    let what = "the upper bound of the initial values";
                    return Err(Refused { what, value: *high, expected: "a number not below the lower bound" });
                }
                // The distance of two numbers of f64 may be past the largest of them.
                bound("the range of the initial values", high - low, StorageType::F64)
            }
            Init::Normal { mean, deviation } => {
                bound("the mean of the initial values", *mean, storage)?;
                let what = "the standard deviation of the initial values";
                bound(what, *deviation, storage)?;
                if *deviation < 0.0 {
                    return Err(Refused { what, value: *deviation, expected: "0 or more" });
                }
                let what = "the mean of the initial values and six standard deviations";
                let reach = FARTHEST_DRAW * deviation;
                [mean + reach, mean - reach].into_iter().try_for_each(|value| bound(what, value, storage))
            }
            Init::TruncatedNormal { mean, deviation, low, high } => {
                bound("the mean of the initial values", *mean, storage)?;
                let what = "the standard deviation of the initial values";
                bound(what, *deviation, storage)?;
                if *deviation <= 0.0 {
                    return Err(Refused { what, value: *deviation, expected: "a number above 0" });
                }
                Init::Uniform { low: *low, high: *high }.check(storage, trainable)
            }
            Init::VarianceScaling { gain, .. } => {
                let what = "the gain of the initial values";
                bound(what, *gain, storage)?;
                if *gain < 0.0 {
                    return Err(Refused { what, value: *gain, expected: "0 or more" });
                }
                bound("the gain of the initial values times six", FARTHEST_DRAW * gain, storage)
            }
            Init::Orthogonal { gain } => bound("the gain of the initial values", *gain, storage),
            Init::Sparse { sparsity, deviation } => {
                if !(0.0..=1.0).contains(sparsity) {
                    let what = "the share of zeros in the initial values";
                    return Err(Refused { what, value: *sparsity, expected: "a number in 0..=1" });
                }
                Init::Normal { mean: 0.0, deviation: *deviation }.check(storage, trainable)
            }
            Init::ZeroRow { others, .. } => others.check(storage, trainable),
            Init::Norms { of, .. } => of.init.check(storage, trainable),
            Init::SingularVector { of, eps, .. } => {
                of.init.check(storage, trainable)?;
                let what = "what shorter initial values are divided by";
                bound(what, *eps, StorageType::F64)?;
                if *eps > 0.0 { Ok(()) } else { Err(Refused { what, value: *eps, expected: "a number above 0" }) }
            }
            Init::KaimingUniform | Init::XavierUniform | Init::Eye | Init::Dirac { .. } => Ok(()),
        }
    }

    /// Whether a parameter of that shape can start with these: what is wrong, and which shape would do.
    pub(crate) fn check_shape(&self, shape: &Shape) -> Result<(), ShapeRefused> {
        let needs_rank = |ranks: RangeInclusive<usize>, expected: &'static str| {
            let refused = ShapeRefused::Rank(expected);
            if ranks.contains(&shape.rank()) { Ok(()) } else { Err(refused) }
        };
        match self {
            Init::Values(values) if shape.checked_elements() != Some(values.len()) => {
                Err(ShapeRefused::Elements(values.len()))
            }
            Init::VarianceScaling { .. } => needs_rank(2..=MAX_RANK, "rank 2 or more, which has fans,"),
            Init::Orthogonal { .. } => needs_rank(2..=MAX_RANK, "rank 2 or more, for orthogonal initial values,"),
            Init::Sparse { .. } => needs_rank(2..=2, "rank 2, for sparse initial values,"),
            Init::Eye => needs_rank(2..=2, "rank 2, for an identity as initial values,"),
            Init::Dirac { groups } => {
                needs_rank(3..=5, "rank 3 to 5, for an identity of channels as initial values,")?;
                let divides = *groups > 0 && shape[0].is_multiple_of(*groups);
                if divides { Ok(()) } else { Err(ShapeRefused::Groups(*groups)) }
            }
            Init::ZeroRow { row, others } => {
                others.check_shape(shape)?;
                needs_rank(1..=MAX_RANK, "rank 1 or more, of which one row is 0,")?;
                if *row < shape[0] { Ok(()) } else { Err(ShapeRefused::Row(*row)) }
            }
            Init::Norms { of, axis } => {
                let count = match axis {
                    Some(axis) => of.matrix(*axis)?.0,
                    None => of.elements().map(|_| 1)?,
                };
                if shape.checked_elements() == Some(count) { Ok(()) } else { Err(ShapeRefused::Elements(count)) }
            }
            Init::SingularVector { of, axis, side, .. } => {
                let (rows, columns) = of.matrix(*axis)?;
                let count = match side {
                    Side::Left => rows,
                    Side::Right => columns,
                };
                if shape.checked_elements() == Some(count) { Ok(()) } else { Err(ShapeRefused::Elements(count)) }
            }
            Init::Values(_)
            | Init::Constant(_)
            | Init::Uniform { .. }
            | Init::Normal { .. }
            | Init::TruncatedNormal { .. }
            | Init::KaimingUniform
            | Init::XavierUniform => Ok(()),
        }
    }

    /// The parameter whose first values these are computed from, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        if let Init::ZeroRow { others, .. } = self {
            return others.source();
        }
        let (Init::Norms { of, .. } | Init::SingularVector { of, .. }) = self else { return None };
        Some(of)
    }

    /// The same, to be named otherwise.
    pub(crate) fn source_mut(&mut self) -> Option<&mut Source> {
        if let Init::ZeroRow { others, .. } = self {
            return others.source_mut();
        }
        let (Init::Norms { of, .. } | Init::SingularVector { of, .. }) = self else { return None };
        Some(of)
    }
}

impl Source {
    /// How many elements it has, if it can start as it says.
    fn elements(&self) -> Result<usize, ShapeRefused> {
        self.init.check_shape(&self.shape)?;
        self.shape.checked_elements().ok_or(ShapeRefused::Elements(usize::MAX))
    }

    /// The extents of the matrix of an axis by all others.
    fn matrix(&self, axis: usize) -> Result<(usize, usize), ShapeRefused> {
        self.elements()?;
        let Some(&rows) = self.shape.get(axis) else { return Err(ShapeRefused::Axis(axis)) };
        let others = self.shape.iter().enumerate().filter(|(other, _)| *other != axis);
        Ok((rows, others.fold(1usize, |product, (_, &extent)| product.saturating_mul(extent))))
    }
}

/// Why a shape cannot start with what an [`Init`] says.
pub(crate) enum ShapeRefused {
    /// Another rank is needed.
    Rank(&'static str),
    /// There are so many values.
    Elements(usize),
    /// So many groups do not divide the first extent.
    Groups(usize),
    /// There is no such row.
    Row(usize),
    /// What the values are computed from has no such axis.
    Axis(usize),
}

impl ShapeRefused {
    /// The error, of the parameter of that name and shape.
    pub(crate) fn told(self, origin: Origin, name: &str, shape: &Shape) -> GraphError {
        let (op, operand, rank, shape) = ("parameter", format!("{name:?}"), shape.rank(), shape.clone());
        match self {
            ShapeRefused::Elements(elements) => GraphError::ElementCount { origin, op, shape, elements },
            ShapeRefused::Rank(expected) => {
                GraphError::Rank { origin, op, operand, shape, rank, expected: expected.to_owned() }
            }
            ShapeRefused::Groups(groups) => {
                let (what, channels) = ("features", shape[0]);
                GraphError::Groups { origin, op, what, operand, shape, channels, groups }
            }
            ShapeRefused::Axis(axis) => {
                let (what, expected) = ("the axis of the initial values", "an axis of the parameter that they are of");
                GraphError::Argument { origin, op, what, value: axis as f64, expected }
            }
            ShapeRefused::Row(row) => {
                let (axis, extent) = (0, shape[0]);
                let (start, end) = (row, row.saturating_add(1));
                GraphError::Range { origin, op, operand, shape, axis, extent, start, end }
            }
        }
    }
}

/// No normal number is drawn farther from the mean, in standard deviations: draws are made of 24 random bits, and
/// `sqrt(2 ln 2^24)` is less.
const FARTHEST_DRAW: f64 = 6.0;

/// An element itself.
fn element(what: &'static str, value: f64, storage: StorageType, trainable: bool) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    let dtype = storage.value();
    match dtype {
        DType::F32 | DType::F64 if value.is_infinite() && !trainable => Ok(()),
        DType::F32 | DType::F64 => bound(what, value, storage),
        DType::I32 if dtype.round(value) != value => refuse("a 32-bit integer"),
        DType::Bool if dtype.round(value) != value => refuse("0 or 1"),
        DType::I32 => bound(what, value, storage),
        DType::Bool => Ok(()),
    }
}

/// A number that elements are made of: within the range of their type.
fn bound(what: &'static str, value: f64, storage: StorageType) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    if !value.is_finite() {
        return refuse("a finite number");
    }
    match storage {
        StorageType::F32 if !DType::F32.round(value).is_finite() => refuse("a number that f32 holds"),
        StorageType::Bf16 if !Bf16::from_f64(value).to_f32().is_finite() => refuse("a number that bf16 holds"),
        StorageType::F16 if !F16::from_f64(value).to_f32().is_finite() => refuse("a number that f16 holds"),
        StorageType::I32 if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            refuse("a number that i32 holds")
        }
        StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => Ok(()),
        StorageType::U8 if !(0.0..=255.0).contains(&value) => refuse("a number that u8 holds"),
        StorageType::I8 if !(-128.0..=127.0).contains(&value) => refuse("a number that i8 holds"),
        StorageType::I64 if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            refuse("a number that i64 holds for i32")
        }
        StorageType::F16 | StorageType::Bf16 | StorageType::U8 | StorageType::I8 | StorageType::I64 => Ok(()),
    }
}
