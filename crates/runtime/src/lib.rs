#![doc = include_str!("../README.md")]

mod cpu;
mod device;
mod error;
#[cfg(feature = "gpu")]
mod gpu;
mod lambdify;
pub mod plan;
mod session;
mod tensor;
pub mod train;

pub use arenagrad_graph as graph;
pub use arenagrad_graph::symbolic::{self, Formula, parse};
pub use arenagrad_graph::{
    Axes, CompareFunction, CrossEntropy, DType, Expr, Gelu, Graph, GraphError, Init, IntoExpr, Literal, NodeId, OpKind,
    ReduceFunction, Reduction, Shape,
};
pub use device::{AdapterDescription, AdapterKind, Device};
pub use error::Error;
pub use lambdify::{Lambdified, evaluate};
pub use plan::Plan;
pub use session::{PlanId, Session, SessionBuilder, StepOutcome};
pub use tensor::{Element, Tensor, TensorData};
pub use train::{Adam, AdamW, Optimizer, Sgd};
