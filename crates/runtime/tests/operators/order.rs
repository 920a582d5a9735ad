//! Reductions, scans, and what has to do with order.

use super::table::operators;

operators! {}
