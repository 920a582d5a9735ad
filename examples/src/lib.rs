//! What the example programs share: reading their data and options, and drawing their curves.

pub mod device_option;
pub mod digits;
pub mod loss_curve;
pub mod primer;
