//! Padding as a layer.

use crate::compose::PadMode;
use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// The last `D` axes padded at both ends, or cropped by negative amounts: `[n, c, spatial..] -> [n, c, spatial'..]`, or whatever stands in
/// front of those axes. PyTorch's `torch.nn.ZeroPad2d`, `ConstantPad2d`, `ReflectionPad2d`, `ReplicationPad2d` and `CircularPad2d`, and
/// those of one and three axes; see [`Expr::pad_with`].
///
/// Amounts are a number, or what goes before and behind each axis in the order of the axes, while PyTorch names the last one first:
/// `ReflectionPad2d((1, 2, 3, 4))` is `Pad2d::reflection([(3, 4), (1, 2)])`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Conv2d, Pad2d, Phase, Sequential};
///
/// let stem = Sequential::new("stem").then(Pad2d::reflection(3)).layer(|name| Conv2d::new(name, 3, 8, 7));
/// let g = Graph::new();
/// assert_eq!(stem.apply(g.input("x", [1, 3, 9, 11]), Phase::Training).shape()?.dims(), &[1, 8, 9, 11]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad<const D: usize> {
    amounts: [(isize, isize); D],
    mode: PadMode,
}

/// Of the last axis. See [`Pad`].
#[doc(alias = "ZeroPad1d")]
#[doc(alias = "ConstantPad1d")]
#[doc(alias = "ReflectionPad1d")]
#[doc(alias = "ReplicationPad1d")]
#[doc(alias = "CircularPad1d")]
pub type Pad1d = Pad<1>;
/// Of the last two axes. See [`Pad`].
#[doc(alias = "ZeroPad2d")]
#[doc(alias = "ConstantPad2d")]
#[doc(alias = "ReflectionPad2d")]
#[doc(alias = "ReplicationPad2d")]
#[doc(alias = "CircularPad2d")]
pub type Pad2d = Pad<2>;
/// Of the last three axes. See [`Pad`].
#[doc(alias = "ZeroPad3d")]
#[doc(alias = "ConstantPad3d")]
#[doc(alias = "ReflectionPad3d")]
#[doc(alias = "ReplicationPad3d")]
#[doc(alias = "CircularPad3d")]
pub type Pad3d = Pad<3>;

/// What goes before and behind each of `D` axes. A number becomes the same at all ends: `1`, or `[(1, 2), (0, 1)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PadAmounts<const D: usize>(pub [(isize, isize); D]);

impl<const D: usize> From<isize> for PadAmounts<D> {
    fn from(amount: isize) -> Self {
        PadAmounts([(amount, amount); D])
    }
}

impl<const D: usize> From<[(isize, isize); D]> for PadAmounts<D> {
    fn from(amounts: [(isize, isize); D]) -> Self {
        PadAmounts(amounts)
    }
}

impl<const D: usize> Pad<D> {
    /// In that mode.
    pub fn new(amounts: impl Into<PadAmounts<D>>, mode: PadMode) -> Self {
        const { assert!(D >= 1 && D <= 3, "padding has one to three axes") };
        Pad { amounts: amounts.into().0, mode }
    }

    /// By zeros.
    pub fn zero(amounts: impl Into<PadAmounts<D>>) -> Self {
        Pad::constant(amounts, 0.0)
    }

    /// By that value.
    pub fn constant(amounts: impl Into<PadAmounts<D>>, value: f64) -> Self {
        Pad::new(amounts, PadMode::Constant(value))
    }

    /// By what lies on the other side of the first and the last element.
    pub fn reflection(amounts: impl Into<PadAmounts<D>>) -> Self {
        Pad::new(amounts, PadMode::Reflect)
    }

    /// By the first and the last element.
    pub fn replication(amounts: impl Into<PadAmounts<D>>) -> Self {
        Pad::new(amounts, PadMode::Replicate)
    }

    /// By the elements of the other end.
    pub fn circular(amounts: impl Into<PadAmounts<D>>) -> Self {
        Pad::new(amounts, PadMode::Circular)
    }

    /// The layer applied to `x`. Errors: those of [`Expr::pad_with`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter(match D {
            1 => "Pad1d",
            2 => "Pad2d",
            _ => "Pad3d",
        });
        x.graph().layer(self.kind(), "", x, || x.pad_with(self.amounts, self.mode))
    }

    /// What a table prints: `ReflectionPad2d(3)`, under PyTorch's names.
    fn kind(&self) -> String {
        let (name, value) = match self.mode {
            PadMode::Constant(0.0) => ("ZeroPad", String::new()),
            PadMode::Constant(value) => ("ConstantPad", format!(", {value}")),
            PadMode::Reflect => ("ReflectionPad", String::new()),
            PadMode::Replicate => ("ReplicationPad", String::new()),
            PadMode::Circular => ("CircularPad", String::new()),
        };
        let first = self.amounts[0].0;
        let amounts = match self.amounts == [(first, first); D] {
            true => first.to_string(),
            false => format!("{:?}", self.amounts),
        };
        format!("{name}{D}d({amounts}{value})")
    }
}

impl<const D: usize> Layer for Pad<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
