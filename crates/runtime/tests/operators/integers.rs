//! Integers.

use super::table::operators;

operators! {}
