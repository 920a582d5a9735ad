//! Interpolation, padding, and sampling on grids.

use super::table::operators;

operators! {}
