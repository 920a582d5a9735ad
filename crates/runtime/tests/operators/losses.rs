//! Losses.

use super::table::operators;

operators! {}
