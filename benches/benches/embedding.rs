//! Times the workload `embedding`, every phase on every device.

mod measure;

fn main() {
    measure::measure("embedding");
}
