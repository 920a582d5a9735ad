//! Times the workload `gru`, every phase on every device.

mod measure;

fn main() {
    measure::measure("gru");
}
