//! Times the workload `tape_mnist_mlp`, every phase on every device.

mod measure;

fn main() {
    measure::measure("tape_mnist_mlp");
}
