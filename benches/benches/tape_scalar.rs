//! Times the workload `tape_scalar`, every phase on every device.

mod measure;

fn main() {
    measure::measure("tape_scalar");
}
