//! Times the workload `layer_norm`, every phase on every device.

mod measure;

fn main() {
    measure::measure("layer_norm");
}
