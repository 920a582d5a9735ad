//! What the example programs share: reading their data and options, and drawing surfaces.

pub mod axis;
pub mod contours;
pub mod device_option;
pub mod digits;
mod picture;
pub mod primer;
pub mod reference_fits;
pub mod surface;
