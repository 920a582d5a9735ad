//! Pooling.

use super::table::operators;

operators! {}
