//! Loops over a sequence.

use super::table::operators;

operators! {}
