//! Times the workload `mnist_mlp`, every phase on every device.

mod measure;

fn main() {
    measure::measure("mnist_mlp");
}
