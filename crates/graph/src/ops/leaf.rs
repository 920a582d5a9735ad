//! Leaves: inputs, parameters, constants, literals, coordinates, random numbers. None has a derivative.
//!
//! `iota` along axis `a`: `y[c] = c[a]`, i32. `uniform`: f32 in [0, 1), Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror,
//! Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011) of key `seed` and counter `(flat index, step)`; the upper 24
//! bits of the first output word, times 2^-24.

use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::ops::Rule;
use crate::shape::Shape;

pub(crate) fn infer_literal(
    rule: &Rule<'_>,
    data: &Elements,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    let shape = shape.cloned().unwrap_or_else(|| Shape::from([data.len()]));
    if shape.checked_elements() != Some(data.len()) {
        let (origin, op, elements) = (rule.origin, rule.op, data.len());
        return Err(GraphError::ElementCount { origin, op, shape, elements });
    }
    Ok((shape, data.dtype()))
}

pub(crate) fn infer_iota(rule: &Rule<'_>, axis: usize, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
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

pub(crate) fn infer_uniform(
    rule: &Rule<'_>,
    step: NodeId,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(step, &[DType::I32], "i32")?;
    rule.rank(step, 0)?;
    Ok((shape.cloned().unwrap_or_default(), DType::F32))
}
