//! Linear algebra.

use super::table::operators;

operators! {}
