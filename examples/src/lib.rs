//! What the example programs share: reading their data and options, and drawing surfaces.

pub mod axis;
pub mod burgers;
pub mod contours;
pub mod device_option;
pub mod digits;
pub mod language;
pub mod networks;
mod picture;
pub mod precision_option;
pub mod primer;
pub mod profiles;
pub mod reference_fits;
pub mod surface;
