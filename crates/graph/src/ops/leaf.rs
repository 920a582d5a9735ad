//! Leaves: inputs, parameters, constants, literals, coordinates, random numbers. None has a derivative.
//!
//! `iota` along axis `a`: `y[c] = c[a]`, i32. `uniform`: f32 in [0, 1), Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror,
//! Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011) of key `seed` and counter `(flat index, step)`; the upper 24
//! bits of the first output word, times 2^-24.

use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::Leaf;
use crate::ops::Rule;
use crate::shape::Shape;

/// `shape` and `dtype` are what the caller wants of leaves that leave it open.
pub(crate) fn infer(
    rule: &Rule<'_>,
    leaf: &Leaf,
    shape: Option<&Shape>,
    dtype: Option<DType>,
) -> Result<(Shape, DType), GraphError> {
    match leaf {
        Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Placeholder => {
            Ok((shape.cloned().unwrap_or_default(), dtype.unwrap_or(DType::F32)))
        }
        Leaf::Constant { value } => {
            let dtype = dtype.unwrap_or(DType::F32);
            rule.held(*value, dtype, || "the result".to_owned())?;
            Ok((shape.cloned().unwrap_or_default(), dtype))
        }
        Leaf::Literal { data } => infer_literal(rule, data, shape),
        Leaf::Iota { axis } => infer_iota(rule, *axis, shape),
    }
}

pub(crate) fn infer_uniform(
    rule: &Rule<'_>,
    step: NodeId,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(step, &[DType::I32], "i32")?;
    rule.rank(step, 0)?;
    Ok((shape.cloned().unwrap_or_default(), DType::F32))
}

fn infer_literal(rule: &Rule<'_>, data: &Elements, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
    let shape = shape.cloned().unwrap_or_else(|| Shape::from([data.len()]));
    if shape.checked_elements() != Some(data.len()) {
        let (origin, op, elements) = (rule.origin, rule.op, data.len());
        return Err(GraphError::ElementCount { origin, op, shape, elements });
    }
    Ok((shape, data.dtype()))
}

fn infer_iota(rule: &Rule<'_>, axis: usize, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
    let shape = shape.cloned().unwrap_or_default();
    if axis >= shape.rank() {
        return Err(GraphError::Axis {
            origin: rule.origin,
            op: rule.op,
            axis: axis as isize,
            operand: "the result".to_owned(),
            rank: shape.rank(),
            shape,
        });
    }
    if i32::try_from(shape[axis]).is_err() {
        return Err(GraphError::TooManyElements { origin: rule.origin, op: rule.op, shape });
    }
    Ok((shape, DType::I32))
}
