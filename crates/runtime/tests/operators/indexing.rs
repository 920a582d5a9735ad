//! Gathering and scattering.

use super::table::operators;

operators! {}
