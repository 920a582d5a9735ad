//! Times the workload `gaussians`, every phase on every device.

mod measure;

fn main() {
    measure::measure("gaussians");
}
