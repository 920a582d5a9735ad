//! Times the workload `gpt`, every phase on every device.

mod measure;

fn main() {
    measure::measure("gpt");
}
