//! Times the workload `tape_gpt`, every phase on every device.

mod measure;

fn main() {
    measure::measure("tape_gpt");
}
