//! Times the workload `graph_build`, every phase on every device.

mod measure;

fn main() {
    measure::measure("graph_build");
}
