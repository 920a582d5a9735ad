//! Times the workload `softmax_xent`, every phase on every device.

mod measure;

fn main() {
    measure::measure("softmax_xent");
}
