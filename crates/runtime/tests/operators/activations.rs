//! Activations.

use super::table::operators;

operators! {}
