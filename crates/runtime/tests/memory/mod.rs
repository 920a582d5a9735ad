//! What plans hold in memory, budgets of memory, and names to keep or to compute again.

mod binding;
mod budget;
mod names;
mod networks;
mod random_graphs;
mod report;
