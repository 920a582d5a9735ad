//! A profile in the trace event format, which Perfetto and `chrome://tracing` open.
//!
//! The trace shows the run whose whole time is the median: one complete event (`"ph": "X"`) a step, in microseconds. A loop is one event;
//! the steps of its body ran in each round, so their times stand among its arguments.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::Error;
use crate::file::replace_file;
use crate::profile::{Profile, StepProfile};

impl Profile {
    /// The profile as a text of JSON in the trace event format.
    #[must_use]
    pub fn to_trace(&self) -> String {
        let named =
            |what: &str, name: &str| json!({"name": what, "ph": "M", "pid": 1, "tid": 1, "args": {"name": name}});
        let mut events = vec![named("process_name", &self.device), named("thread_name", "steps of the plan")];
        for (number, step) in self.steps.iter().enumerate() {
            events.push(json!({
                "name": step.kernel,
                "cat": step.stage,
                "ph": "X",
                "ts": step.start.as_secs_f64() * 1e6,
                "dur": step.spent.as_secs_f64() * 1e6,
                "pid": 1,
                "tid": 1,
                "args": self.arguments(number, step),
            }));
        }
        let trace = json!({
            "traceEvents": events,
            "displayTimeUnit": "ns",
            "otherData": {
                "device": self.device,
                "clock": self.clock.to_string(),
                "runs": self.runs,
                "peak_flops_per_second": self.peaks.flops_per_second,
                "peak_bytes_per_second": self.peaks.bytes_per_second,
            },
        });
        trace.to_string()
    }

    /// Writes [`Profile::to_trace`] to a file, which appears whole or not at all. [`Error::File`] if it cannot be written.
    pub fn write_trace(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.to_trace().as_bytes())
    }

    fn arguments(&self, number: usize, step: &StepProfile) -> Value {
        let mut arguments = json!({
            "step": number,
            "computes": step.computes,
            "fused": step.fused,
            "origin": step.origin.map(|origin| origin.to_string()),
            "median_us": step.time.median.as_secs_f64() * 1e6,
            "least_us": step.time.least.as_secs_f64() * 1e6,
            "bytes_read": step.cost.read,
            "bytes_written": step.cost.written,
            "flops": step.flops,
            // Numbers that are none become null.
            "gb_per_s": step.bytes_per_second() / 1e9,
            "gflop_per_s": step.flops_per_second() / 1e9,
            "roofline_share": step.roofline_share(&self.peaks),
        });
        if !step.body.is_empty() {
            let body = step.body.iter().enumerate();
            arguments["body"] = body
                .map(|(number, inner)| {
                    let mut arguments = self.arguments(number, inner);
                    arguments["kernel"] = json!(inner.kernel);
                    arguments
                })
                .collect();
        }
        arguments
    }
}
