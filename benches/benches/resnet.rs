//! Times the workload `resnet`, every phase on every device.

mod measure;

fn main() {
    measure::measure("resnet");
}
