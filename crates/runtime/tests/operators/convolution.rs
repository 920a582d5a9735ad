//! Convolutions and their kin.

use super::table::operators;

operators! {}
