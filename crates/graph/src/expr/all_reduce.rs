//! Sums over the processes of a group.

use crate::expr::Expr;
use crate::node::Origin;
use crate::op::Op;

impl<'g> Expr<'g> {
    /// The sum of this tensor over all processes that train together, element by element: of the same shape and dtype, and the same on
    /// each of them. For floats and i32. MPI's `MPI_Allreduce` with `MPI_SUM`, PyTorch's `torch.distributed.all_reduce`.
    ///
    /// It is an operation like any other, with derivatives (a gradient is summed over the processes, too). All processes must
    /// build the same sums of the same shapes in the same order, which those that build the same graph do; batches may be of different
    /// sizes. A session that is in no group is a group of one, where this is the identity. It cannot stand in a loop's body where it depends
    /// on what the loop carries: that is refused when a plan is made.
    ///
    /// Errors: bool.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let x = g.input("x", [8, 3]); // a process's share of a batch
    /// let count = g.full([], 8.0, arenagrad_graph::DType::F32).all_reduce();
    /// let mean = x.sum(0).all_reduce() / count; // over the whole batch
    /// assert_eq!(mean.shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn all_reduce(self) -> Expr<'g> {
        let method = self.enter("all_reduce");
        self.all_reduce_at(method.origin())
    }

    /// The sum over all processes, as a node that comes from there.
    pub(crate) fn all_reduce_at(self, origin: Origin) -> Expr<'g> {
        let Some(operand) = self.raw() else { return self };
        // As many nodes as there are: another number for each exchange.
        let number = self.graph().ordinal_bound() as u32;
        self.insert(Op::AllReduce { operand, number }, None, None, origin)
    }
}
