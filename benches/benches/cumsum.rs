//! Times the workload `cumsum`, every phase on every device.

mod measure;

fn main() {
    measure::measure("cumsum");
}
