#![doc = include_str!("../README.md")]

pub mod check;
mod cpu;
mod device;
mod error;
mod file;
#[cfg(feature = "gpu")]
mod gpu;
mod lambdify;
pub mod least_squares;
pub mod plan;
mod session;
mod tape;
mod tensor;
pub mod train;

pub use arenagrad_graph as graph;
pub use arenagrad_graph::symbolic::{self, Formula, parse};
pub use arenagrad_graph::{
    Axes, CompareFunction, Context, CrossEntropy, DType, Expr, Function, Gelu, Graph, GraphError, Init, IntoExpr,
    Literal, Mode, NodeId, OpKind, ReduceFunction, Reduction, Shape,
};
pub use device::{AdapterDescription, AdapterKind, Arithmetic, Device};
pub use error::{Error, Given};
pub use file::replace_file;
pub use lambdify::{Lambdified, evaluate};
pub use plan::Plan;
pub use session::{PlanId, Session, SessionBuilder, StepOutcome};
pub use tape::{GradientTape, LeafValue, Tape, TapeOptimizer, Variable};
pub use tensor::{Element, Tensor, TensorData};
pub use train::{Adam, AdamW, Optimizer, Sgd};
