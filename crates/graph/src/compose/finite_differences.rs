//! Differences of neighbours, and what estimates derivatives and integrals of sampled functions by them.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// The `n`-th differences of neighbours along `axis`: `y[i] = x[i+1] - x[i]`, `n` times (`torch.diff`). The axis has `n` elements less;
    /// none, if it has no more than `n`. Floats and i32. Of bool, as in PyTorch, the difference is whether two neighbours differ, and bool too.
    ///
    /// Errors: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 7]).diff(2, 1).shape()?.dims(), &[3, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diff(self, n: usize, axis: isize) -> Expr<'g> {
        let method = self.enter("diff");
        let Some((axis, extent)) = self.sampled_axis("diff", axis, method.origin()) else {
            return Expr::poisoned(self.graph());
        };
        let along = axis as isize;
        if n >= extent {
            return self.slice(along, 0, if n == 0 { extent } else { 0 });
        }
        let mut differences = self;
        for left in (extent - n + 1..=extent).rev() {
            let (later, earlier) = (differences.slice(along, 1, left), differences.slice(along, 0, left - 1));
            differences = if self.is_truth() { later.not_equal(earlier) } else { later - earlier };
        }
        differences
    }

    /// [`Expr::diff`] of this expression with others before and behind it along `axis` (`torch.diff` with `prepend` and `append`). As in
    /// PyTorch the 0-th differences are this expression alone.
    ///
    /// Errors: those of [`Expr::diff`] and of [`crate::Graph::concat`].
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (x, first) = (g.input("x", [3, 7]), g.input("first", [3, 1]));
    /// assert_eq!(x.diff_with(1, 1, Some(first), None).shape()?.dims(), &[3, 7]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn diff_with(self, n: usize, axis: isize, prepend: Option<Expr<'g>>, append: Option<Expr<'g>>) -> Expr<'g> {
        let method = self.enter("diff_with");
        if self.same_graph_all(&[prepend, append], "diff_with", method.origin()).is_none() {
            return Expr::poisoned(self.graph());
        }
        if n == 0 {
            return self.diff(0, axis);
        }
        let parts: Vec<Expr<'g>> = [prepend, Some(self), append].into_iter().flatten().collect();
        let whole = if parts.len() == 1 { self } else { self.graph().concat(&parts, axis) };
        whole.diff(n, axis)
    }

    /// The integral along `axis`, which falls away, of what has these samples at distances of `spacing`, by the trapezoidal rule: `spacing
    /// sum((y[i] + y[i+1]) / 2)` (`torch.trapezoid` with `dx`). Fewer than two samples have the integral 0. Floats.
    ///
    /// Errors: an axis that there is not; an expression that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("y", [3, 7]).trapezoid(0.5, 1).shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn trapezoid(self, spacing: f64, axis: isize) -> Expr<'g> {
        let method = self.enter("trapezoid");
        match self.samples("trapezoid", axis, method.origin()) {
            Some((axis, extent)) => self.neighbours_added(axis, extent).sum([axis]) * (0.5 * spacing),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The integral along `axis`, which falls away, of what has these samples at `places`, by the trapezoidal rule: `sum((x[i+1] - x[i])
    /// (y[i] + y[i+1]) / 2)` (`torch.trapezoid` with `x`). Places `[n]` are those along the axis, one for each sample; others have at most
    /// as many axes as this expression, and are broadcast. Floats.
    ///
    /// Errors: an axis that there is not; another number of places than of samples; shapes that do not broadcast, dtypes that differ; no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (y, x) = (g.input("y", [3, 7]), g.input("x", [7]));
    /// assert_eq!(y.trapezoid_at(x, 1).shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn trapezoid_at(self, places: Expr<'g>, axis: isize) -> Expr<'g> {
        let method = self.enter("trapezoid_at");
        let origin = method.origin();
        const NAME: &str = "trapezoid_at";
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(places, NAME, origin).is_none() {
            return poisoned;
        }
        let found = self.samples(NAME, axis, origin);
        let shape = self.read(NAME, origin, |_, node| node.shape.clone());
        let place_shape = places.read(NAME, origin, |_, node| node.shape.clone());
        let (Some((axis, extent)), Some(shape), Some(place_shape)) = (found, shape, place_shape) else {
            return poisoned;
        };
        // A list has a place for each sample. Of others the axis is counted from the end, and one place is repeated.
        let own_axis =
            if place_shape.rank() == 1 { Some(0) } else { (axis + place_shape.rank()).checked_sub(shape.rank()) };
        let count = own_axis.map_or(1, |own| place_shape[own]);
        let is_repeated = place_shape.rank() != 1 && count == 1;
        if place_shape.rank() > shape.rank() || (count != extent && !is_repeated) {
            let to = if place_shape.rank() == 1 { Shape::from([extent]) } else { shape };
            let (operand, from) = (places.describe(), place_shape);
            return self.fail(GraphError::BroadcastTo { origin, op: NAME, operand, from, to });
        }
        let Some(places) = places.along(axis, &shape, origin) else { return poisoned };
        let steps = places.diff(1, axis as isize);
        // One place for all samples leaves no steps, as it would repeated.
        let steps = if count == 1 { steps.sum_keepdims([axis]) } else { steps };
        (self.neighbours_added(axis, extent) * steps).sum([axis]) * 0.5
    }

    /// The derivative along `axis` of what has these samples at distances of `spacing`, estimated by central differences: `(y[i+1] - y[i-1]) / (2
    /// spacing)`, and at both ends by one-sided differences whose error is of order `edge_order`, 1 or 2 (`torch.gradient` with a
    /// number for `spacing`). Shape and dtype stay. Floats.
    ///
    /// It is what a program measures of samples; the derivative of an expression is [`Expr::grad`]. Errors: another `edge_order`; fewer than
    /// `edge_order + 1` samples; an axis that there is not; an expression that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("y", [3, 7]).numerical_gradient(0.5, 1, 2).shape()?.dims(), &[3, 7]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn numerical_gradient(self, spacing: f64, axis: isize, edge_order: usize) -> Expr<'g> {
        let method = self.enter("numerical_gradient");
        let Some((axis, extent)) = self.differentiable("numerical_gradient", axis, edge_order, method.origin()) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().at(method.origin(), || {
            let along = axis as isize;
            let at = |place: usize| self.slice(along, place, place + 1);
            let last = extent - 1;
            let (first_end, last_end) = if edge_order == 1 {
                (at(1) - at(0), at(last) - at(last - 1))
            } else {
                (at(1) * 2.0 - at(0) * 1.5 - at(2) * 0.5, at(last) * 1.5 - at(last - 1) * 2.0 + at(last - 2) * 0.5)
            };
            let centre = (self.slice(along, 2, extent.max(2)) - self.slice(along, 0, extent - 2)) / (2.0 * spacing);
            self.graph().concat(&[first_end / spacing, centre, last_end / spacing], along)
        })
    }

    /// [`Expr::numerical_gradient`] of samples at `places` `[n]` along the axis, which need not be even (`torch.gradient` with
    /// coordinates for `spacing`): with `h = x[i] - x[i-1]` and `k = x[i+1] - x[i]` it is `(h^2 y[i+1] + (k^2 - h^2) y[i] - k^2 y[i-1])
    /// / (h k (h + k))`.
    ///
    /// Errors: those of [`Expr::numerical_gradient`]; places of another shape or dtype.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (y, x) = (g.input("y", [3, 7]), g.input("x", [7]));
    /// assert_eq!(y.numerical_gradient_at(x, 1, 1).shape()?.dims(), &[3, 7]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn numerical_gradient_at(self, places: Expr<'g>, axis: isize, edge_order: usize) -> Expr<'g> {
        const NAME: &str = "numerical_gradient_at";
        let method = self.enter(NAME);
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(places, NAME, origin).is_none() {
            return poisoned;
        }
        let shape = self.read(NAME, origin, |_, node| node.shape.clone());
        let place_shape = places.read(NAME, origin, |_, node| node.shape.clone());
        let (Some((axis, extent)), Some(shape), Some(place_shape)) =
            (self.differentiable(NAME, axis, edge_order, origin), shape, place_shape)
        else {
            return poisoned;
        };
        let wanted = Shape::from([extent]);
        if place_shape != wanted {
            return self.fail(GraphError::BroadcastTo {
                origin,
                op: NAME,
                operand: places.describe(),
                from: place_shape,
                to: wanted,
            });
        }
        let Some(places) = places.along(axis, &shape, origin) else { return poisoned };
        self.graph().at(origin, || {
            let along = axis as isize;
            let steps = places.diff(1, along);
            let step = |place: usize| steps.slice(along, place, place + 1);
            let at = |place: usize| self.slice(along, place, place + 1);
            let last = extent - 1;
            let (first_end, last_end) = if edge_order == 1 {
                ((at(1) - at(0)) / step(0), (at(last) - at(last - 1)) / step(last - 1))
            } else {
                let one_sided = |y: [Expr<'g>; 3], near: Expr<'g>, far: Expr<'g>| {
                    let both = near + far;
                    y[1] * (both / (near * far))
                        - y[0] * ((near * 2.0 + far) / (near * both))
                        - y[2] * (near / (far * both))
                };
                (
                    one_sided([at(0), at(1), at(2)], step(0), step(1)),
                    -one_sided([at(last), at(last - 1), at(last - 2)], step(last - 1), step(last - 2)),
                )
            };
            let (before, behind) = (steps.slice(along, 0, extent - 2), steps.slice(along, 1, extent - 1));
            let both = before + behind;
            let [low, middle, high] = [0, 1, 2].map(|from| self.slice(along, from, extent - 2 + from));
            let centre = high * (before / (behind * both)) + middle * ((behind - before) / (before * behind))
                - low * (behind / (before * both));
            self.graph().concat(&[first_end, centre, last_end], along)
        })
    }

    /// The axis of samples along which derivatives are estimated, and how many samples it has.
    fn differentiable(
        self,
        op: &'static str,
        axis: isize,
        edge_order: usize,
        origin: Origin,
    ) -> Option<(usize, usize)> {
        if !(1..=2).contains(&edge_order) {
            let (what, value) = ("the order of the error at the ends", edge_order as f64);
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected: "1 or 2" });
        }
        let (axis, extent) = self.samples(op, axis, origin)?;
        if extent <= edge_order {
            let expected = if edge_order == 1 { "at least 2" } else { "at least 3" };
            let what = "the number of samples along the axis";
            return self.fail_without(GraphError::Argument { origin, op, what, value: extent as f64, expected });
        }
        Some((axis, extent))
    }

    /// [`Expr::sampled_axis`] of an expression that must hold floats.
    fn samples(self, op: &'static str, axis: isize, origin: Origin) -> Option<(usize, usize)> {
        let dtype = self.read(op, origin, |_, node| node.dtype)?;
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        self.sampled_axis(op, axis, origin)
    }

    /// An axis and its extent; none, with an error in the graph, if there is no such axis.
    fn sampled_axis(self, op: &'static str, axis: isize, origin: Origin) -> Option<(usize, usize)> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => Some((axis, shape[axis])),
            Err(error) => self.fail_without(error),
        }
    }

    /// The sum of each two neighbours along an axis.
    #[track_caller]
    fn neighbours_added(self, axis: usize, extent: usize) -> Expr<'g> {
        let along = axis as isize;
        self.slice(along, extent.min(1), extent) + self.slice(along, 0, extent.saturating_sub(1))
    }

    /// Places under axes that meet those of samples of `shape`: a list of them goes along `axis`, others get axes of extent 1 in front.
    fn along(self, axis: usize, shape: &Shape, origin: Origin) -> Option<Expr<'g>> {
        let own = self.read("broadcast", origin, |_, node| node.shape.clone())?;
        let rank = shape.rank();
        let aligned: Shape = if own.rank() == 1 {
            (0..rank).map(|other| if other == axis { own[0] } else { 1 }).collect()
        } else if own.rank() <= rank {
            std::iter::repeat_n(1, rank - own.rank()).chain(own.iter().copied()).collect()
        } else {
            own
        };
        Some(self.reshape_node(&aligned, origin))
    }
}
