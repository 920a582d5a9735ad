//! arenagrad
