//! Times the workload `attention`, every phase on every device.

mod measure;

fn main() {
    measure::measure("attention");
}
