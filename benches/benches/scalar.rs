//! Times the workload `scalar`, every phase on every device.

mod measure;

fn main() {
    measure::measure("scalar");
}
