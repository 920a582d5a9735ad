//! Joined.
