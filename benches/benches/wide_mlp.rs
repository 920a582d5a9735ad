//! Times the workload `wide_mlp`, every phase on every device.

mod measure;

fn main() {
    measure::measure("wide_mlp");
}
