//! Times the workload `lenet`, every phase on every device.

mod measure;

fn main() {
    measure::measure("lenet");
}
