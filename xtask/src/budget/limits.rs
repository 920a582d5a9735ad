//! The budgets, each with its reason. Whoever raises one says here what it buys.

/// The most that something may cost.
pub(super) struct Budget {
    name: &'static str,
    unit: &'static str,
    most: f64,
}

impl Budget {
    /// Prints what was found beside the budget, and says whether it is within.
    pub(super) fn holds(&self, found: f64) -> bool {
        let Budget { name, unit, most } = *self;
        let holds = found <= most;
        let verdict = if holds { "" } else { "  EXCEEDED" };
        let digits = if found.fract() == 0.0 { 0 } else { 2 };
        println!("budget: {name}: {found:.digits$}{unit} of at most {most}{unit}{verdict}");
        holds
    }
}

/// Half of them are wgpu's and naga's, and nine those of the readers of data (csv, flate2, rawzip and what they need). Those of Linux
/// are counted: 100 when this was written, and two for what an update may add. Each crate is one more to trust, to build and to keep
/// up to date.
pub(super) const DEPENDENCIES: Budget = Budget { name: "dependencies with default features", unit: "", most: 102.0 };

/// rayon, pulp, serde_json, thiserror, slotmap and what they need: 37 when this was written, and two as above. One more for memmap2, which asks each system
/// for memory that holds instructions.
pub(super) const DEPENDENCIES_WITHOUT_GPU: Budget =
    Budget { name: "dependencies without default features", unit: "", most: 40.0 };

/// A program of thirty lines that trains a network, symbols stripped.
pub(super) const SIZE: Budget = Budget { name: "size with gpu", unit: " MB", most: 15.0 };

/// Which operators a program's graphs have is known only when it runs, so it holds all of them: planner, layers and derivatives, and as the largest part
/// the loops for each instruction set and dtype. 8.16 when this was raised from 5.0, which had been set before there were convolutions, scans, sorting,
/// linear algebra, attention and layers.
pub(super) const SIZE_WITHOUT_GPU: Budget = Budget { name: "size without gpu", unit: " MB", most: 8.5 };

/// What arenagrad adds to a program that uses wgpu anyway. 4.87 when this was raised from 2.0, for the same operators.
pub(super) const BUILD_RATIO: Budget = Budget { name: "build with gpu by wgpu's own", unit: "", most: 5.2 };

/// The kernels for three instruction sets, the graph, the planner, and the derive macros of serde and thiserror. 3.11 when this was raised from 1.0,
/// for the same operators: the kernels are about a third of it.
pub(super) const BUILD_RATIO_WITHOUT_GPU: Budget =
    Budget { name: "build without gpu by wgpu's own", unit: "", most: 3.3 };
