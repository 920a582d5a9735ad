//! Shapes, and contractions.

use super::table::operators;

operators! {}
