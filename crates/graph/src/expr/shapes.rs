//! Methods that move elements without computing: reshape, permute, broadcast, slice, flip, windows, pad, concat.

use smallvec::SmallVec;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Assembly, Extents, Op, Windows};
use crate::shape::{AxisSet, Shape};

impl<'g> Expr<'g> {
    /// The same elements in row-major order under another shape with as many elements.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Expr<'g> {
        let _method = self.enter("reshape");
        self.reshape_node(&shape.into(), self.graph().origin_or(Origin::here()))
    }

    /// [`Expr::reshape`] to extents of which one may be -1: it becomes what is left. (PyTorch's `view` and `reshape`.)
    ///
    /// Errors: another number of elements than the expression has; a negative extent that is not -1, or two of -1; a -1 beside an extent of
    /// 0, where every extent would do.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 12]).view([-1, 4]).shape()?.dims(), [6, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn view(self, extents: impl AsRef<[isize]>) -> Expr<'g> {
        let method = self.enter("view");
        let (origin, extents) = (method.origin(), extents.as_ref());
        let refused = |extent: isize, expected| {
            let (op, what, value) = ("view", "an extent", extent as f64);
            self.fail(GraphError::Argument { origin, op, what, value, expected })
        };
        if let Some(&extent) = extents.iter().find(|extent| **extent < -1) {
            return refused(extent, "0 or more, or -1 for what is left");
        }
        let Some(from) = self.read("view", origin, |_, node| node.shape.clone()) else { return self };
        let elements = from.elements();
        let known: Shape = extents.iter().filter_map(|&extent| usize::try_from(extent).ok()).collect();
        let left = match extents.len() - known.rank() {
            0 => 0,
            1 => match known.checked_elements() {
                Some(0) => return refused(-1, "a number beside an extent of 0"),
                Some(known) if elements % known != 0 => {
                    let (op, operand, extents) = ("view", self.describe(), extents.to_vec());
                    return self.fail(GraphError::NotDivided { origin, op, operand, shape: from, elements, extents });
                }
                Some(known) => elements / known,
                None => 1,
            },
            _ => return refused(-1, "a number for all extents but one"),
        };
        let shape = extents.iter().map(|&extent| usize::try_from(extent).unwrap_or(left)).collect();
        self.reshape_node(&shape, origin)
    }

    /// All elements in one axis: `[n]`.
    #[track_caller]
    pub fn flatten(self) -> Expr<'g> {
        let _method = self.enter("flatten");
        let origin = self.graph().origin_or(Origin::here());
        match self.read("reshape", origin, |_, node| node.shape.elements()) {
            Some(elements) => self.reshape_node(&Shape::from([elements]), origin),
            None => self,
        }
    }

    /// Axes reordered: result axis `i` is axis `axes[i]` of this. Each axis is named once; negative ones count from the end.
    #[track_caller]
    pub fn permute(self, axes: impl AsRef<[isize]>) -> Expr<'g> {
        let _method = self.enter("permute");
        let origin = self.graph().origin_or(Origin::here());
        let Some((operand, shape)) = self.read("permute", origin, |id, node| (id, node.shape.clone())) else {
            return self;
        };
        let axes = axes.as_ref();
        if axes.len() != shape.rank() {
            let expected = format!("rank {}, that of the list of axes,", axes.len());
            let (operand, rank) = (self.describe(), shape.rank());
            return self.fail(GraphError::Rank { origin, op: "permute", operand, shape, rank, expected });
        }
        let mut seen = AxisSet::empty();
        let mut resolved = Extents::new();
        for &axis in axes {
            match self.resolve_axis("permute", &shape, axis, origin) {
                Ok(axis) if seen.contains(axis) => {
                    return self.fail(GraphError::RepeatedAxis { origin, op: "permute", axis });
                }
                Ok(axis) => {
                    seen.insert(axis);
                    resolved.push(axis);
                }
                Err(error) => return self.fail(error),
            }
        }
        if resolved.iter().enumerate().all(|(position, &axis)| position == axis) {
            return self;
        }
        self.insert(Op::View { operand, arrangement: Arrangement::Permute { axes: resolved } }, None, None, origin)
    }

    /// Two axes exchanged; negative ones count from the end. `[m, n] -> [n, m]` by `transpose(-1, -2)`.
    #[track_caller]
    pub fn transpose(self, first: isize, second: isize) -> Expr<'g> {
        let _method = self.enter("transpose");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("transpose", origin, |_, node| node.shape.clone()) else { return self };
        let first = self.resolve_axis("transpose", &shape, first, origin);
        let second = self.resolve_axis("transpose", &shape, second, origin);
        match (first, second) {
            (Ok(first), Ok(second)) => {
                let mut axes: SmallVec<[isize; 4]> = (0..shape.rank() as isize).collect();
                axes.swap(first, second);
                self.permute(axes)
            }
            (Err(error), _) | (_, Err(error)) => self.fail(error),
        }
    }

    /// The matrix transposed: `[m, n] -> [n, m]`; further axes in front are left.
    #[track_caller]
    pub fn t(self) -> Expr<'g> {
        let _method = self.enter("t");
        self.transpose(-1, -2)
    }

    /// Repeated along axes of extent 1, and along new axes in front, up to `shape`.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Expr<'g> {
        let _method = self.enter("broadcast_to");
        self.broadcast_node(&shape.into(), self.graph().origin_or(Origin::here()))
    }

    /// A new axis of extent 1 before `axis`; -1 puts it last.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Expr<'g> {
        let _method = self.enter("unsqueeze");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("unsqueeze", origin, |_, node| node.shape.clone()) else { return self };
        let mut dims: Vec<usize> = shape.to_vec();
        let place = if axis < 0 { axis + dims.len() as isize + 1 } else { axis };
        if place < 0 || place > dims.len() as isize {
            let (operand, rank) = (self.describe(), shape.rank());
            return self.fail(GraphError::Axis { origin, op: "unsqueeze", axis, operand, shape, rank });
        }
        dims.insert(place as usize, 1);
        self.reshape_node(&Shape::from(dims), origin)
    }

    /// Without `axis`, if its extent is 1; else unchanged.
    #[track_caller]
    pub fn squeeze(self, axis: isize) -> Expr<'g> {
        let _method = self.enter("squeeze");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("squeeze", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axis("squeeze", &shape, axis, origin) {
            Ok(axis) if shape[axis] == 1 => self.reshape_node(&shape.without([axis].into_iter().collect()), origin),
            Ok(_) => self,
            Err(error) => self.fail(error),
        }
    }

    /// Elements `start..end` along one axis.
    #[track_caller]
    pub fn slice(self, axis: isize, start: usize, end: usize) -> Expr<'g> {
        let _method = self.enter("slice");
        self.slice_node(axis, start, end, 1, Origin::here())
    }

    /// Every `step`-th element of `start..end` along one axis, from `start` on; `step` is at least 1.
    #[track_caller]
    pub fn slice_step(self, axis: isize, start: usize, end: usize, step: usize) -> Expr<'g> {
        let _method = self.enter("slice_step");
        self.slice_node(axis, start, end, step, Origin::here())
    }

    /// The elements along `axes` from the last to the first: `y[j] = x[n - 1 - j]`. Axes are as for a reduction: a number, several,
    /// or `..` for all.
    #[track_caller]
    pub fn flip(self, axes: impl Axes) -> Expr<'g> {
        let _method = self.enter("flip");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("flip", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes("flip", &shape, &axes, origin) {
            Ok(axes) => self.flip_node(axes, origin),
            Err(error) => self.fail(error),
        }
    }

    /// Windows of `extents[i]` elements, `dilations[i]` apart, that slide along `axes[i]` by `steps[i]`: an axis of `n` elements becomes one
    /// of `(n - (extent - 1) * dilation - 1) / step + 1` windows, and the elements within windows are along new axes at the end, in the order of
    /// `axes`. So `[b, c, h, w]` with windows of `[kh, kw]` along the last two becomes `[b, c, oh, ow, kh, kw]`:
    ///
    /// `y[b, c, i, j, k, l] = x[b, c, i * steps[0] + k * dilations[0], j * steps[1] + l * dilations[1]]`.
    ///
    /// No element is copied: a plan reads windows where they stand. The gradient of an element is the sum over the windows that it is in.
    /// Negative axes count from the end.
    ///
    /// Errors: an axis that is none or is named twice; lists that are not as long as `axes`; an extent, step or dilation of 0; a window that is
    /// longer than its axis; more axes than a shape may have.
    #[track_caller]
    pub fn windows(
        self,
        axes: impl AsRef<[isize]>,
        extents: impl AsRef<[usize]>,
        steps: impl AsRef<[usize]>,
        dilations: impl AsRef<[usize]>,
    ) -> Expr<'g> {
        let _method = self.enter("windows");
        let origin = self.graph().origin_or(Origin::here());
        let Some((operand, shape)) = self.read("windows", origin, |id, node| (id, node.shape.clone())) else {
            return self;
        };
        let mut resolved = Extents::new();
        for &axis in axes.as_ref() {
            match self.resolve_axis("windows", &shape, axis, origin) {
                Ok(axis) => resolved.push(axis),
                Err(error) => return self.fail(error),
            }
        }
        let [extents, steps, dilations] = [extents.as_ref(), steps.as_ref(), dilations.as_ref()].map(Extents::from);
        let arrangement = Arrangement::Windows(Box::new(Windows { axes: resolved, extents, steps, dilations }));
        self.insert(Op::View { operand, arrangement }, None, None, origin)
    }

    /// `value` before and after the elements of each axis: one pair `(before, after)` an axis, outermost first. Errors: another
    /// number of pairs than of axes; a value that i32 or bool does not hold.
    #[track_caller]
    pub fn pad(self, amounts: impl AsRef<[(usize, usize)]>, value: f64) -> Expr<'g> {
        let _method = self.enter("pad");
        let origin = self.graph().origin_or(Origin::here());
        let Some((shape, dtype)) = self.read("pad", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        let amounts = amounts.as_ref();
        if amounts.len() != shape.rank() {
            let expected = format!("rank {}, that of the amounts,", amounts.len());
            let (operand, rank) = (self.describe(), shape.rank());
            return self.fail(GraphError::Rank { origin, op: "pad", operand, shape, rank, expected });
        }
        if !dtype.holds(value) {
            let (op, what, operand) = ("pad", "the value", self.describe());
            return self.fail(GraphError::Number { origin, op, what, value, operand, dtype });
        }
        let padded: Shape =
            shape.iter().zip(amounts).map(|(n, (low, high))| n.saturating_add(*low).saturating_add(*high)).collect();
        let lows = amounts.iter().map(|(low, _)| *low).collect();
        let interiors = thin_vec::thin_vec![0; shape.rank()];
        self.pad_node(lows, interiors, dtype.round(value), &padded, origin)
    }

    pub(crate) fn reshape_node(self, shape: &Shape, origin: Origin) -> Expr<'g> {
        match self.read("reshape", origin, |id, node| (id, node.shape == *shape)) {
            Some((_, true)) | None => self,
            Some((operand, false)) => {
                self.insert(Op::View { operand, arrangement: Arrangement::Reshape }, Some(shape), None, origin)
            }
        }
    }

    /// This expression under `shape`: itself, or a broadcast node. A constant stays a node of its own, too, for it may be
    /// what somebody differentiates with respect to.
    pub(crate) fn broadcast_node(self, shape: &Shape, origin: Origin) -> Expr<'g> {
        match self.read("broadcast", origin, |id, node| (id, node.shape == *shape)) {
            Some((_, true)) | None => self,
            Some((operand, false)) => {
                self.insert(Op::View { operand, arrangement: Arrangement::Broadcast }, Some(shape), None, origin)
            }
        }
    }

    pub(crate) fn flip_node(self, axes: AxisSet, origin: Origin) -> Expr<'g> {
        match self.read("flip", origin, |id, _| id) {
            Some(operand) => {
                self.insert(Op::View { operand, arrangement: Arrangement::Flip { axes } }, None, None, origin)
            }
            None => self,
        }
    }

    pub(crate) fn slice_node(self, axis: isize, start: usize, end: usize, step: usize, caller: Origin) -> Expr<'g> {
        let origin = self.graph().origin_or(caller);
        let Some((operand, shape)) = self.read("slice", origin, |id, node| (id, node.shape.clone())) else {
            return self;
        };
        let axis = match self.resolve_axis("slice", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        if step == 0 {
            let (value, expected) = (0.0, "a step of at least 1");
            return self.fail(GraphError::Argument { origin, op: "slice", what: "the step", value, expected });
        }
        let extent = shape[axis];
        if start > end || end > extent {
            let operand = self.describe();
            return self.fail(GraphError::Range { origin, op: "slice", operand, shape, axis, extent, start, end });
        }
        if (start, end, step) == (0, extent, 1) {
            return self;
        }
        let mut starts: Extents = thin_vec::thin_vec![0; shape.rank()];
        let mut steps: Extents = thin_vec::thin_vec![1; shape.rank()];
        (starts[axis], steps[axis]) = (start, step);
        let sliced = shape.with_extent(axis, (end - start).div_ceil(step));
        if sliced[axis] <= 1 {
            steps[axis] = 1;
        }
        self.insert(
            Op::View { operand, arrangement: Arrangement::Slice { starts, steps } },
            Some(&sliced),
            None,
            origin,
        )
    }

    pub(crate) fn pad_node(
        self,
        lows: Extents,
        interiors: Extents,
        value: f64,
        shape: &Shape,
        origin: Origin,
    ) -> Expr<'g> {
        match self.read("pad", origin, |id, node| (id, node.shape == *shape)) {
            Some((_, true)) | None => self,
            Some((operand, false)) => {
                self.insert(Op::Assembly(Assembly::Pad { operand, lows, interiors, value }), Some(shape), None, origin)
            }
        }
    }
}

impl Graph {
    /// The expressions one after the other along `axis`; other extents and dtypes are equal.
    #[track_caller]
    pub fn concat(&self, operands: &[Expr<'_>], axis: isize) -> Expr<'_> {
        let _method = self.enter("concat");
        self.concat_nodes("concat", operands, axis, Origin::here())
    }

    /// The expressions, of equal shapes, along a new axis before `axis`; -1 puts it last.
    #[track_caller]
    pub fn stack(&self, operands: &[Expr<'_>], axis: isize) -> Expr<'_> {
        let method = self.enter("stack");
        let poisoned = Expr::poisoned(self);
        if operands.iter().any(|operand| poisoned.same_graph(*operand, "stack", method.origin()).is_none()) {
            return poisoned;
        }
        for other in operands.iter().skip(1) {
            let origin = method.origin();
            let shape_of = |operand: &Expr<'_>| operand.read("stack", origin, |_, node| node.shape.clone());
            let (Some(lhs_shape), Some(rhs_shape)) = (shape_of(&operands[0]), shape_of(other)) else { return poisoned };
            if lhs_shape != rhs_shape {
                let (op, lhs, rhs) = ("stack", operands[0].describe(), other.describe());
                return self.finish(Err(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape }));
            }
        }
        // A closure would hide the caller's line.
        let mut unsqueezed = Vec::with_capacity(operands.len());
        for operand in operands {
            unsqueezed.push(operand.unsqueeze(axis));
        }
        self.concat_nodes("stack", &unsqueezed, axis, Origin::here())
    }

    fn concat_nodes(&self, op: &'static str, operands: &[Expr<'_>], axis: isize, caller: Origin) -> Expr<'_> {
        let origin = self.origin_or(caller);
        let poisoned = Expr::poisoned(self);
        let Some(first) = operands.first() else {
            return self.finish(Err(GraphError::NoOperands { origin, op }));
        };
        let mut ids: Vec<NodeId> = Vec::with_capacity(operands.len());
        for operand in operands {
            if poisoned.same_graph(*operand, op, origin).is_none() {
                return poisoned;
            }
            match operand.raw() {
                Some(id) => ids.push(id),
                None => return poisoned,
            }
        }
        let Some(shape) = first.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        match first.resolve_axis(op, &shape, axis, origin) {
            Ok(_) if ids.len() == 1 => Expr::from_id(self, ids[0]),
            Ok(axis) => self.finish(self.insert(
                Op::Assembly(Assembly::Concat { operands: ids.into(), axis }),
                None,
                None,
                origin,
            )),
            Err(error) => self.finish(Err(error)),
        }
    }
}
