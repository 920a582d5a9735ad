//! What the example programs share: reading their data and drawing their curves.

pub mod digits;
pub mod loss_curve;
pub mod primer;
