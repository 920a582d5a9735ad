//! What a step costs over networks that are slower than one machine's memory, beside what the model of `docs/distributed.md` says.
//!
//! Two network namespaces of this machine are two hosts, joined by a link that a token bucket holds to a rate; a process of the example runs in
//! each. The machine's cores are as many as before, so only what goes over the link is simulated, not what more hosts compute.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::launch::Launch;
use super::measure::{Measured, measured};
use crate::debian::is_root;

/// The rates of links, in megabits a second.
const RATES: [u32; 3] = [10, 100, 1000];

/// What is trained: the network, its batch, the batch of each of two processes, and the bytes of a bucket.
const CASES: [(&str, &str, &str, &str); 3] =
    [("mnist_mlp", "64", "32", "4194304"), ("gpt", "12", "6", "4194304"), ("gpt", "12", "6", "600000")];

/// The hosts' addresses.
const ADDRESSES: [&str; 2] = ["10.213.7.1", "10.213.7.2"];

/// The share of computing that is the backward pass, as the model guesses it.
const BACKWARD: f64 = 2.0 / 3.0;

/// The share of what a link carries that are values: of a frame of 1514 bytes on Ethernet the rest are headers.
const VALUES: f64 = 1448.0 / 1514.0;

/// Two namespaces and the link between them, which are gone when this is dropped.
pub(super) struct Link {
    names: [String; 2],
    folder: PathBuf,
}

/// Prints the table.
pub(super) fn print() -> Result<(), String> {
    if !is_root() {
        return Err("network namespaces are made by root alone".to_owned());
    }
    let link = Link::new()?;
    let way = link.way();
    let said = way.map_or("is not known, for ping is not there, and counts as 0".to_owned(), |way| {
        format!("takes {:.3} ms", 1e3 * way)
    });
    let way = way.unwrap_or(0.0);
    println!(
        "2 processes in 2 network namespaces, a link held to a rate by a token bucket (milliseconds a step; the way of a message {said})\n"
    );
    println!(
        "| network | bytes a step | exchanges | Mbit/s | compute | exchange: model | measured | step: model | measured | off by |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (network, batch, part, bucket) in CASES {
        let steps = ["--network", network, "--steps", "15", "--batch", part];
        let compute = measured(&Launch::alone(&steps).threads(1).run()?)?.of("step_us") / 1e6;
        for rate in RATES {
            link.hold_to(rate)?;
            let arguments = ["--network", network, "--steps", "15", "--batch", batch, "--bucket", bucket];
            let found = measured(&Launch::between(&link, &arguments).threads(1).run()?)?;
            let values = VALUES * f64::from(rate) * 1e6 / 8.0;
            let model = Model { way, rate: values, compute, bucket: bucket.parse().unwrap_or(0.0) };
            let (exchange, step) = (model.exchange(&found), model.step(&found));
            println!(
                "| {network} | {:.0} | {:.0} | {rate} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:+.0} % |",
                found.of("bytes"),
                found.of("exchanges"),
                1e3 * compute,
                1e3 * exchange,
                found.of("reduce_us") / 1e3,
                1e3 * step,
                found.of("step_us") / 1e3,
                100.0 * (found.of("step_us") / 1e6 / step - 1.0),
            );
        }
    }
    Ok(())
}

/// The model of time for two hosts; seconds and bytes.
struct Model {
    /// How long a message is on its way.
    way: f64,
    /// Bytes of values a second.
    rate: f64,
    /// How long a process computes for its part of a batch.
    compute: f64,
    /// What a bucket holds at least.
    bucket: f64,
}

impl Model {
    fn exchange(&self, found: &Measured) -> f64 {
        // Both send the other all they have, both ways at once.
        found.of("bytes") / self.rate + found.of("exchanges") * self.way
    }

    fn step(&self, found: &Measured) -> f64 {
        let last = self.bucket.min(found.of("bytes")) / self.rate;
        self.compute + self.way + last.max(self.exchange(found) - BACKWARD * self.compute)
    }
}

impl Link {
    fn new() -> Result<Link, String> {
        let own = std::process::id();
        let names = [0, 1].map(|number| format!("arenagrad-{own}-{number}"));
        let folder = std::env::temp_dir().join(format!("arenagrad-link-{own}"));
        // From here on whatever was made is taken away again.
        let link = Link { names, folder };
        fs::create_dir_all(&link.folder).map_err(|error| format!("{}: {error}", link.folder.display()))?;
        let [first, second] = &link.names;
        ip(&["netns", "add", first])?;
        ip(&["netns", "add", second])?;
        ip(&["-n", first, "link", "add", "name", "wire", "type", "veth", "peer", "name", "wire", "netns", second])?;
        for (name, address) in link.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "wire"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "wire", "up"])?;
        }
        // How the launcher reaches a host, and how a process says where it is reached.
        link.script(
            "agent",
            &format!("case \"$1\" in {}) name={first};; *) name={second};; esac\nshift\nexec ip netns exec $name sh -c \"$*\"\n", ADDRESSES[0]),
        )?;
        link.script("program", "ARENAGRAD_GROUP_ADDRESS=$(hostname -I | tr -d ' ') exec \"$@\"\n")?;
        Ok(link)
    }

    fn script(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Holds both directions to so many megabits a second.
    fn hold_to(&self, rate: u32) -> Result<(), String> {
        // A bucket of half a millisecond, or of a few packets: a larger one would let whole messages through unheld.
        let burst = (rate * 1000 / 8 / 2).max(6000).to_string();
        for name in &self.names {
            let rate = format!("{rate}mbit");
            run(
                "tc",
                &[
                    "-n", name, "qdisc", "replace", "dev", "wire", "root", "tbf", "rate", &rate, "burst", &burst,
                    "latency", "2s",
                ],
            )?;
        }
        Ok(())
    }

    /// How long a message is on its way, in seconds: half of what an echo takes; none where `ping` is not there to say it.
    fn way(&self) -> Option<f64> {
        let arguments = ["netns", "exec", &self.names[0], "ping", "-q", "-c", "20", "-i", "0.05", ADDRESSES[1]];
        let text = Command::new("ip").args(arguments).output().map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // rtt min/avg/max/mdev = 0.025/0.046/0.080/0.012 ms
        let times = text.lines().find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "));
        let average = times.and_then(|times| times.split('/').nth(1)?.parse::<f64>().ok());
        average.map(|milliseconds| milliseconds / 2e3)
    }

    /// What starts a process in each namespace.
    pub(super) fn launcher(&self) -> Command {
        let script = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[0], "mpirun", "--enable-recovery", "-n", "2"]);
        command.args(["--host", &format!("{}:1,{}:1", ADDRESSES[0], ADDRESSES[1])]);
        command.args([
            "--mca",
            "plm_rsh_agent",
            &format!("sh {}", script("agent")),
            "--mca",
            "mpi_yield_when_idle",
            "1",
        ]);
        // Nothing may go by the memory that both hosts share.
        command.args(["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]);
        command.args(["-x", "RAYON_NUM_THREADS", "sh", &script("program")]);
        command
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The link goes with its ends.
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}; it is in Debian's package iproute2"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
