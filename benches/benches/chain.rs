//! Times the workload `chain`, every phase on every device.

mod measure;

fn main() {
    measure::measure("chain");
}
