//! Times the workload `sort`, every phase on every device.

mod measure;

fn main() {
    measure::measure("sort");
}
