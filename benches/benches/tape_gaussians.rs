//! Times the workload `tape_gaussians`, every phase on every device.

mod measure;

fn main() {
    measure::measure("tape_gaussians");
}
