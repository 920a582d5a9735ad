//! Pooling layers.

use crate::compose::{PerAxis, Pooling};
use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// The largest element of each window over the last `D` axes: `[n, c, spatial..] -> [n, c, spatial'..]`, or both without a batch. PyTorch's
/// `torch.nn.MaxPool1d`, `MaxPool2d` and `MaxPool3d`, with their options and defaults; see [`Expr::max_pool2d`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::MaxPool2d;
///
/// let g = Graph::new();
/// let y = MaxPool2d::new(3).stride(2).padding(1).apply(g.input("x", [8, 64, 112, 112]));
/// assert_eq!(y.shape()?.dims(), &[8, 64, 56, 56]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool<const D: usize> {
    pooling: Pooling,
}

/// The mean of each window over the last `D` axes: `[n, c, spatial..] -> [n, c, spatial'..]`, or both without a batch. PyTorch's
/// `torch.nn.AvgPool1d`, `AvgPool2d` and `AvgPool3d`, with their options and defaults; see [`Expr::avg_pool2d`].
#[derive(Clone, Debug, PartialEq)]
pub struct AvgPool<const D: usize> {
    pooling: Pooling,
}

/// The p-norm of each window over the last `D` axes, `(sum of x^p)^(1/p)`: `[n, c, spatial..] -> [n, c, spatial'..]`, or both without a
/// batch. PyTorch's `torch.nn.LPPool1d`, `LPPool2d` and `LPPool3d`; see [`Expr::lp_pool2d`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::LpPool2d;
///
/// let g = Graph::new();
/// let y = LpPool2d::new(2.0, 3).stride(2).apply(g.input("x", [8, 64, 11, 11]));
/// assert_eq!(y.shape()?.dims(), &[8, 64, 5, 5]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LpPool<const D: usize> {
    p: f64,
    pooling: Pooling,
}

/// The means of so many windows over the last `D` axes, which cover them: `[n, c, spatial..] -> [n, c, size..]`, or both without a
/// batch. PyTorch's `torch.nn.AdaptiveAvgPool1d`, `AdaptiveAvgPool2d` and `AdaptiveAvgPool3d`; see [`Expr::adaptive_avg_pool2d`].
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveAvgPool<const D: usize> {
    size: PerAxis,
}

/// The largest elements of so many windows over the last `D` axes, which cover them: `[n, c, spatial..] -> [n, c, size..]`, or both
/// without a batch. PyTorch's `torch.nn.AdaptiveMaxPool1d`, `AdaptiveMaxPool2d` and `AdaptiveMaxPool3d`; see
/// [`Expr::adaptive_max_pool2d`].
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveMaxPool<const D: usize> {
    size: PerAxis,
}

/// Over one axis. See [`MaxPool`].
pub type MaxPool1d = MaxPool<1>;
/// Over two axes. See [`MaxPool`].
pub type MaxPool2d = MaxPool<2>;
/// Over three axes. See [`MaxPool`].
pub type MaxPool3d = MaxPool<3>;
/// Over one axis. See [`AvgPool`].
pub type AvgPool1d = AvgPool<1>;
/// Over two axes. See [`AvgPool`].
pub type AvgPool2d = AvgPool<2>;
/// Over three axes. See [`AvgPool`].
pub type AvgPool3d = AvgPool<3>;
/// Over one axis. See [`LpPool`].
#[doc(alias = "LPPool1d")]
pub type LpPool1d = LpPool<1>;
/// Over two axes. See [`LpPool`].
#[doc(alias = "LPPool2d")]
pub type LpPool2d = LpPool<2>;
/// Over three axes. See [`LpPool`].
#[doc(alias = "LPPool3d")]
pub type LpPool3d = LpPool<3>;
/// Over one axis. See [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Over two axes. See [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
/// Over three axes. See [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool3d = AdaptiveAvgPool<3>;
/// Over one axis. See [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
/// Over two axes. See [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
/// Over three axes. See [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

impl<const D: usize> MaxPool<D> {
    /// Windows of these extents that stand side by side, or all that a [`Pooling`] says.
    pub fn new(pooling: impl Into<Pooling>) -> Self {
        const { assert!(D >= 1 && D <= 3, "windows have one to three axes") };
        MaxPool { pooling: pooling.into() }
    }

    /// How far each window begins after the one before.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        MaxPool { pooling: self.pooling.stride(stride) }
    }

    /// So many elements more on both sides, below all others.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis>) -> Self {
        MaxPool { pooling: self.pooling.padding(padding) }
    }

    /// How far the elements of a window stand apart.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<PerAxis>) -> Self {
        MaxPool { pooling: self.pooling.dilation(dilation) }
    }

    /// Whether a last window counts that passes the end. See [`Pooling::ceil_mode`].
    #[must_use]
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        MaxPool { pooling: self.pooling.ceil_mode(ceil_mode) }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::max_pool2d`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "MaxPool1d",
            2 => "MaxPool2d",
            _ => "MaxPool3d",
        });
        x.graph().layer(kind::<D>("MaxPool", &self.pooling), "", x, || match D {
            1 => x.max_pool1d(self.pooling.clone()),
            2 => x.max_pool2d(self.pooling.clone()),
            _ => x.max_pool3d(self.pooling.clone()),
        })
    }
}

impl<const D: usize> AvgPool<D> {
    /// Windows of these extents that stand side by side, or all that a [`Pooling`] says.
    pub fn new(pooling: impl Into<Pooling>) -> Self {
        const { assert!(D >= 1 && D <= 3, "windows have one to three axes") };
        AvgPool { pooling: pooling.into() }
    }

    /// How far each window begins after the one before.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        AvgPool { pooling: self.pooling.stride(stride) }
    }

    /// So many zeros more on both sides.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis>) -> Self {
        AvgPool { pooling: self.pooling.padding(padding) }
    }

    /// Whether a last window counts that passes the end. See [`Pooling::ceil_mode`].
    #[must_use]
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        AvgPool { pooling: self.pooling.ceil_mode(ceil_mode) }
    }

    /// Whether padding counts among the elements that a mean divides by.
    #[must_use]
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        AvgPool { pooling: self.pooling.count_include_pad(count_include_pad) }
    }

    /// What a mean divides by instead of the number of elements. PyTorch's `divisor_override`.
    #[must_use]
    pub fn divisor(self, divisor: f64) -> Self {
        AvgPool { pooling: self.pooling.divisor(divisor) }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::avg_pool2d`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "AvgPool1d",
            2 => "AvgPool2d",
            _ => "AvgPool3d",
        });
        x.graph().layer(kind::<D>("AvgPool", &self.pooling), "", x, || match D {
            1 => x.avg_pool1d(self.pooling.clone()),
            2 => x.avg_pool2d(self.pooling.clone()),
            _ => x.avg_pool3d(self.pooling.clone()),
        })
    }
}

impl<const D: usize> LpPool<D> {
    /// Of that order, over windows of these extents that stand side by side, or all that a [`Pooling`] says.
    pub fn new(p: f64, pooling: impl Into<Pooling>) -> Self {
        const { assert!(D >= 1 && D <= 3, "windows have one to three axes") };
        LpPool { p, pooling: pooling.into() }
    }

    /// How far each window begins after the one before.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        LpPool { pooling: self.pooling.stride(stride), ..self }
    }

    /// Whether a last window counts that passes the end. See [`Pooling::ceil_mode`].
    #[must_use]
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        LpPool { pooling: self.pooling.ceil_mode(ceil_mode), ..self }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::lp_pool2d`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "LpPool1d",
            2 => "LpPool2d",
            _ => "LpPool3d",
        });
        let kind = kind::<D>("LPPool", &self.pooling).replacen('(', &format!("({}, ", self.p), 1);
        x.graph().layer(kind, "", x, || match D {
            1 => x.lp_pool1d(self.p, self.pooling.clone()),
            2 => x.lp_pool2d(self.p, self.pooling.clone()),
            _ => x.lp_pool3d(self.p, self.pooling.clone()),
        })
    }
}

impl<const D: usize> AdaptiveAvgPool<D> {
    /// So many windows along every axis, or along each.
    pub fn new(size: impl Into<PerAxis>) -> Self {
        const { assert!(D >= 1 && D <= 3, "windows have one to three axes") };
        AdaptiveAvgPool { size: size.into() }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::adaptive_avg_pool2d`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "AdaptiveAvgPool1d",
            2 => "AdaptiveAvgPool2d",
            _ => "AdaptiveAvgPool3d",
        });
        x.graph().layer(format!("AdaptiveAvgPool{D}d({})", numbers::<D>(&self.size)), "", x, || match D {
            1 => x.adaptive_avg_pool1d(self.size.clone()),
            2 => x.adaptive_avg_pool2d(self.size.clone()),
            _ => x.adaptive_avg_pool3d(self.size.clone()),
        })
    }
}

impl<const D: usize> AdaptiveMaxPool<D> {
    /// So many windows along every axis, or along each.
    pub fn new(size: impl Into<PerAxis>) -> Self {
        const { assert!(D >= 1 && D <= 3, "windows have one to three axes") };
        AdaptiveMaxPool { size: size.into() }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::adaptive_max_pool2d`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "AdaptiveMaxPool1d",
            2 => "AdaptiveMaxPool2d",
            _ => "AdaptiveMaxPool3d",
        });
        x.graph().layer(format!("AdaptiveMaxPool{D}d({})", numbers::<D>(&self.size)), "", x, || match D {
            1 => x.adaptive_max_pool1d(self.size.clone()),
            2 => x.adaptive_max_pool2d(self.size.clone()),
            _ => x.adaptive_max_pool3d(self.size.clone()),
        })
    }
}

impl<const D: usize> Layer for MaxPool<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl<const D: usize> Layer for AvgPool<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl<const D: usize> Layer for LpPool<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl<const D: usize> Layer for AdaptiveAvgPool<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl<const D: usize> Layer for AdaptiveMaxPool<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// What a table prints: `MaxPool2d(3, stride 2, padding 1)`.
fn kind<const D: usize>(what: &str, pooling: &Pooling) -> String {
    let mut kind = format!("{what}{D}d({}", numbers::<D>(&pooling.kernel));
    if let Some(stride) = &pooling.stride {
        kind.push_str(&format!(", stride {}", numbers::<D>(stride)));
    }
    for (what, number, usual) in [("padding", &pooling.padding, 0), ("dilation", &pooling.dilation, 1)] {
        if *number != PerAxis::from(usual) {
            kind.push_str(&format!(", {what} {}", numbers::<D>(number)));
        }
    }
    kind + ")"
}

/// The numbers of axes: `3`, or `3x2` where they differ.
fn numbers<const D: usize>(numbers: &PerAxis) -> String {
    let Ok(numbers) = numbers.of(D) else { return "?".to_owned() };
    if numbers.iter().all(|number| *number == numbers[0]) {
        return numbers[0].to_string();
    }
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}
