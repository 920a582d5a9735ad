//! Why a kernel begins where it does, as a printed plan says it. Clustering, division and recomputation say which of the reasons holds.

/// Why an entry begins a cluster instead of joining one that it reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// It reads nothing that is computed.
    Leaves,
    /// It has a kernel of its own.
    OwnKernel,
    /// What it reads comes from a kernel of its own that computes no more than elements of its result.
    AfterKernel,
    /// It reads elements in another order than they are computed in.
    Order,
    /// It is reduced along other axes.
    Axes,
    /// It reads what is known only after all rows.
    AfterAllRows,
    /// The row is too long to be passed over once more, or has too many columns to be summed beside other work.
    Length,
    /// It reads from two kernels of which one needs the other.
    Dependence,
    /// The kernel before it would bind too many buffers, or has too many instructions.
    Limits,
    /// It was computed before, and is computed once more so that its results need not be kept in between.
    Again,
}

impl Border {
    /// The reason for a reader.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Border::Leaves => "it reads inputs, parameters and literals alone",
            Border::OwnKernel => "it is a kernel of its own",
            Border::AfterKernel => "it reads the result of a kernel that computes no more than its elements",
            Border::Order => "it reads elements in another order than they are computed in",
            Border::Axes => "it is reduced along other axes",
            Border::AfterAllRows => "it reads what is known only after all rows",
            Border::Length => {
                "a row is too long to be passed over again, or has too many columns to be summed beside other work"
            }
            Border::Dependence => "it reads from two kernels of which one needs the other",
            Border::Limits => "the kernel before it would bind too many buffers or have too many instructions",
            Border::Again => "it is computed once more, so that its results need not be kept in between",
        }
    }
}
