//! Attention.

use super::table::operators;

operators! {}
