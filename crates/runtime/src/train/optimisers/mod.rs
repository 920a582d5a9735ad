//! Optimisers beside [`Adam`](crate::Adam), [`AdamW`](crate::AdamW) and [`Sgd`](crate::Sgd), with the definitions, options and defaults of
//! PyTorch's `torch.optim` or of their papers.
//!
//! For a parameter `w` they keep states of some of these names, which a graph must leave to them: `w.first_moment`,
//! `w.second_moment`, `w.velocity`, `w.square_sum` (Adagrad), `w.squared_updates` (Adadelta), `w.infinity_norm` (Adamax); and the scalars
//! `learning_rate`, `updates` and `momentum_product` (NAdam).

mod adadelta;
mod adagrad;
mod adamax;
mod lamb;
mod lion;
mod muon;
mod nadam;
mod radam;
mod rmsprop;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adamax::Adamax;
pub use lamb::Lamb;
pub use lion::Lion;
pub use muon::{Muon, MuonRate, MuonWithRest};
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
