//! Times the workload `topk`, every phase on every device.

mod measure;

fn main() {
    measure::measure("topk");
}
