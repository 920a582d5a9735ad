//! Trains a small network on made-up data in a group of processes, and says what each step cost: to try out a launcher, to measure
//! what a group costs, and to see what becomes of it when a process dies.
//!
//! ```text
//! mpirun -n 2 cargo run --release --example distributed -- --network gpt --steps 50
//! cargo run --release --example distributed -- --alone --network gpt --steps 50     # the same in one process, without MPI
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arenagrad::data::Batch;
use arenagrad::group::{Alone, Group, Mpi, Share, StepReport};
use arenagrad::nn::{AttentionMasks, Embedding, LayerNorm, Linear, MultiHeadAttention, Phase};
use arenagrad::{AdamW, DType, Device, Error, Expr, Gelu, Inputs, Optimizer, Sgd, Tensor, Trainer};

const USAGE: &str =
    "usage: distributed [--alone] [--network mnist_mlp|gpt] [--device auto|cpu|gpu|ADAPTER] [--steps N] [--batch N]
                   [--shards N] [--bucket BYTES] [--save FILE] [--die RANK:STEP:MICROSECONDS] [--notes FOLDER]

  --alone    one process, without MPI
  --network  a perceptron of 784, 128 and 10, or a GPT of 4 layers of width 128 (default mnist_mlp)
  --device   where to train (default cpu)
  --steps    steps to make (default 20)
  --batch    samples of a whole batch (default 64, for gpt 12)
  --shards   the deterministic mode, in so many shards
  --bucket   bytes of a bucket of gradients at least (default 4 MiB)
  --save     writes a checkpoint to that file behind every step
  --die      that rank kills itself so long after that step has begun
  --notes    writes to rank-N.txt in that folder how the process ended, and when";

struct Options {
    alone: bool,
    network: String,
    device: String,
    steps: usize,
    batch: Option<usize>,
    shards: Option<usize>,
    bucket: Option<usize>,
    save: Option<PathBuf>,
    die: Option<(usize, usize, u64)>,
    notes: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = options().and_then(|options| options.map_or(Ok(()), |o| run(&o).map_err(|error| error.to_string())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("distributed: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    let group: Arc<dyn Group> = if options.alone { Arc::new(Alone) } else { Arc::new(Mpi::start()?) };
    let trained = train(options, &group);
    note(options, group.rank(), trained.as_ref().map_or_else(Error::to_string, |()| "it trained".to_owned()));
    trained
}

fn train(options: &Options, group: &Arc<dyn Group>) -> Result<(), Error> {
    let (rank, size) = (group.rank(), group.size());
    let is_gpt = options.network == "gpt";
    let samples = options.batch.unwrap_or(if is_gpt { 12 } else { 64 });
    let share = Share::new(rank, size, options.shards.unwrap_or(size))?;
    let batch = part(&if is_gpt { text(samples)? } else { images(samples)? }, share.range(samples))?;
    let (perceptron, gpt) = (Perceptron::new(), Gpt::new());
    let optimizer: Box<dyn Optimizer + Send> =
        if is_gpt { Box::new(AdamW::new(1e-3).clip_norm(1.0)) } else { Box::new(Sgd::new(0.1).clip_norm(1.0)) };
    let device = if options.device == "gpu" { Device::gpu_of(&**group)? } else { Device::named(&options.device)? };
    let mut trainer =
        Trainer::new(device, optimizer, |inputs| if is_gpt { gpt.loss(inputs) } else { perceptron.loss(inputs) })
            .in_group(Arc::clone(group));
    if let Some(shards) = options.shards {
        trainer = trainer.deterministic(shards);
    }
    if let Some(bytes) = options.bucket {
        trainer = trainer.bucket_bytes(bytes);
    }
    let mut losses = Vec::with_capacity(options.steps);
    let mut reports: Vec<StepReport> = Vec::with_capacity(options.steps);
    let mut times = Vec::with_capacity(options.steps);
    for step in 0..options.steps {
        if let Some((_, _, after)) = options.die.filter(|(dying, at, _)| (*dying, *at) == (rank, step)) {
            die(options, rank, Duration::from_micros(after));
        }
        let begun = Instant::now();
        losses.push(trainer.step(&batch)?.loss);
        times.push(begun.elapsed());
        reports.push(trainer.group_report());
        if let Some(path) = &options.save {
            trainer.save(path)?;
        }
    }
    trainer.session_mut().compare_members()?;
    if rank == 0 {
        println!("network {} ranks {size} batch {samples} device {}", options.network, trainer.device());
        for (step, loss) in losses.iter().enumerate() {
            println!("loss {step} {loss:?} {:016x}", loss.to_bits());
        }
        // The first steps plan, and warm up.
        let measured = options.steps.min(5)..options.steps;
        let median = |of: &dyn Fn(usize) -> Duration| {
            let mut list: Vec<Duration> = measured.clone().map(of).collect();
            list.sort_unstable();
            list.get(list.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        println!(
            "step_us {:.1} compute_us {:.1} wait_us {:.1} reduce_us {:.1} bytes {} exchanges {}",
            median(&|step| times[step]),
            median(&|step| reports[step].compute),
            median(&|step| reports[step].wait),
            median(&|step| reports[step].reduce),
            reports.last().map_or(0, |report| report.bytes),
            reports.last().map_or(0, |report| report.exchanges),
        );
    }
    Ok(())
}

/// Has this process killed so long from now, by a signal that it cannot catch.
fn die(options: &Options, rank: usize, after: Duration) {
    note(options, rank, "it was killed".to_owned());
    std::thread::spawn(move || {
        std::thread::sleep(after);
        let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        eprintln!("rank {rank} could not be killed: {killed:?}");
    });
}

/// Writes down how a process ended, and when: milliseconds since 1970, then a text.
fn note(options: &Options, rank: usize, text: String) {
    let Some(folder) = &options.notes else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    if let Err(error) = std::fs::write(folder.join(format!("rank-{rank}.txt")), format!("{now} {text}\n")) {
        eprintln!("rank {rank}: {error}");
    }
}

/// The samples of that range.
fn part(batch: &Batch, range: std::ops::Range<usize>) -> Result<Batch, Error> {
    let mut part = Batch::new();
    for name in ["x", "labels"] {
        let Some(tensor) = batch.get(name) else { continue };
        part = part.with(name, tensor.slice(0, range.start, range.end)?);
    }
    Ok(part)
}

/// Numbers that are the same in every process.
fn numbers(count: usize, seed: u32) -> impl Iterator<Item = u32> {
    let mut state = seed;
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    })
}

/// `x` of `[n, 784]` and `labels` of `[n]`.
fn images(samples: usize) -> Result<Batch, Error> {
    let x = numbers(samples * 784, 1).map(|bits| bits as f32 / (1 << 24) as f32).collect::<Vec<f32>>();
    let labels = numbers(samples, 2).map(|bits| (bits % 10) as i32).collect::<Vec<i32>>();
    Ok(Batch::new().with("x", Tensor::new([samples, 784], x)?).with("labels", Tensor::new([samples], labels)?))
}

const POSITIONS: usize = 64;
const TOKENS: usize = 65;
const WIDTH: usize = 128;

/// `x` and `labels`, both of `[n, 64]` tokens.
fn text(samples: usize) -> Result<Batch, Error> {
    let tokens = |seed| {
        let list = numbers(samples * POSITIONS, seed).map(|bits| (bits % TOKENS as u32) as i32).collect::<Vec<i32>>();
        Tensor::new([samples, POSITIONS], list)
    };
    Ok(Batch::new().with("x", tokens(3)?).with("labels", tokens(4)?))
}

/// `[n, 784] -> [n, 10]`
struct Perceptron {
    hidden: Linear,
    head: Linear,
}

impl Perceptron {
    fn new() -> Self {
        Perceptron { hidden: Linear::new("hidden", 784, 128), head: Linear::new("head", 128, 10) }
    }

    fn loss<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        self.head.apply(self.hidden.apply(inputs.get("x")).relu()).cross_entropy(inputs.get("labels"))
    }
}

/// A language model in the form of GPT-2.
struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

struct Block {
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    perceptron_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl Gpt {
    fn new() -> Self {
        let block = |layer: usize| {
            let name = |part: &str| format!("layer{layer}.{part}");
            Block {
                attention_norm: LayerNorm::new(name("attention_norm"), [WIDTH]),
                attention: MultiHeadAttention::new(name("attention"), WIDTH, 4).batch_first(),
                perceptron_norm: LayerNorm::new(name("perceptron_norm"), [WIDTH]),
                widen: Linear::new(name("widen"), WIDTH, 4 * WIDTH),
                narrow: Linear::new(name("narrow"), 4 * WIDTH, WIDTH),
            }
        };
        Gpt {
            tokens: Embedding::new("tokens", TOKENS, WIDTH),
            positions: Embedding::new("positions", POSITIONS, WIDTH),
            blocks: (0..4).map(block).collect(),
            norm: LayerNorm::new("norm", [WIDTH]),
            head: Linear::new("head", WIDTH, TOKENS),
        }
    }

    fn loss<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        let tokens = inputs.get("x");
        let places = tokens.graph().iota([POSITIONS], 0);
        let mut h = self.tokens.apply(tokens) + self.positions.apply(places);
        for block in &self.blocks {
            let x = block.attention_norm.apply(h);
            h = h + block.attention.apply(x, AttentionMasks::causal(), Phase::Training);
            let x = block.widen.apply(block.perceptron_norm.apply(h)).gelu(Gelu::Tanh);
            h = h + block.narrow.apply(x);
        }
        let logits = self.head.apply(self.norm.apply(h)).cast(DType::F32);
        let labels = inputs.get("labels");
        logits.reshape([inputs.extent("x", 0) * POSITIONS, TOKENS]).cross_entropy(labels.flatten())
    }
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        alone: false,
        network: "mnist_mlp".to_owned(),
        device: "cpu".to_owned(),
        steps: 20,
        batch: None,
        shards: None,
        bucket: None,
        save: None,
        die: None,
        notes: None,
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("alone") => options.alone = true,
            Long("network") => {
                options.network = parser.value().and_then(|value| value.string()).map_err(wrong)?;
                if !["mnist_mlp", "gpt"].contains(&options.network.as_str()) {
                    return Err(format!("no network is called {:?}\n{USAGE}", options.network));
                }
            }
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("steps") => options.steps = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("batch") => options.batch = Some(parser.value().and_then(|value| value.parse()).map_err(wrong)?),
            Long("shards") => options.shards = Some(parser.value().and_then(|value| value.parse()).map_err(wrong)?),
            Long("bucket") => options.bucket = Some(parser.value().and_then(|value| value.parse()).map_err(wrong)?),
            Long("save") => options.save = Some(parser.value().map_err(wrong)?.into()),
            Long("notes") => options.notes = Some(parser.value().map_err(wrong)?.into()),
            Long("die") => {
                let text = parser.value().and_then(|value| value.string()).map_err(wrong)?;
                let numbers: Vec<u64> = text.split(':').filter_map(|number| number.parse().ok()).collect();
                let [rank, step, after] = numbers[..] else {
                    return Err(format!("--die {text:?} is not RANK:STEP:MICROSECONDS\n{USAGE}"));
                };
                options.die = Some((rank as usize, step as usize, after));
            }
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
