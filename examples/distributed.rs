//! Trains a small network on made-up data in a group of processes, and says what each step cost: to try out a launcher, to measure
//! what a group costs, and to see what becomes of it when a process dies.
//!
//! ```text
//! cargo build --release --example distributed
//! mpirun -n 2 --enable-recovery target/release/examples/distributed --network gpt --steps 50     # with Open MPI installed
//! target/release/examples/distributed --alone --network gpt --steps 50                           # the same in one process, without MPI
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arenagrad::data::Batch;
use arenagrad::group::{Alone, Group, Mpi, Share, StepReport, share_of};
use arenagrad::{AdamW, CrossEntropy, DType, Device, Error, Optimizer, Reduction, Sgd, Tensor, Trainer};
use arenagrad_examples::networks::{Network, shuffled};

const USAGE: &str =
    "usage: distributed [--alone] [--network mnist_mlp|gpt] [--device auto|cpu|gpu|ADAPTER] [--steps N] [--batch N]
                   [--optimizer sgd|adamw] [--clip NORM] [--accumulate N] [--average DECAY] [--order SEED]
                   [--shards N] [--bucket BYTES] [--evaluate N] [--save FILE] [--load FILE] [--notes FOLDER]
                   [--die RANK:STEP:MICROSECONDS] [--die-saving RANK:STEP:MICROSECONDS]

  --alone       one process, without MPI
  --network     a perceptron of 784, 128 and 10, or a GPT of 4 layers of width 128 (default mnist_mlp)
  --device      where to train (default cpu)
  --steps       steps to make (default 20)
  --batch       samples of a whole batch (default 64, for gpt 12)
  --optimizer   default sgd, for gpt adamw
  --clip        the bound of the norm of all gradients (default 1)
  --accumulate  so many steps an update, each with samples of its own (default 1)
  --average     keeps moving averages of the weights, with that decay
  --order       the samples of each batch in another order, which that number gives
  --shards      the deterministic mode, in so many shards
  --bucket      bytes of a bucket of gradients at least (default 4 MiB)
  --evaluate    computes at the end what becomes of so many other samples, and with averages that too
  --save        writes a checkpoint to that file behind every step
  --load        goes on from that checkpoint
  --notes       writes to rank-N.txt in that folder how the process ended, and when
  --die         that rank kills itself so long after that step has begun
  --die-saving  the same after it has begun to write the checkpoint behind that step";

struct Options {
    alone: bool,
    network: String,
    device: String,
    steps: usize,
    batch: Option<usize>,
    optimizer: Option<String>,
    clip: f64,
    accumulate: usize,
    average: Option<f64>,
    order: Option<u32>,
    shards: Option<usize>,
    bucket: Option<usize>,
    evaluate: Option<usize>,
    save: Option<PathBuf>,
    load: Option<PathBuf>,
    notes: Option<PathBuf>,
    die: Option<Death>,
    die_saving: Option<Death>,
}

/// Which rank kills itself, at which step, and how long after it has begun.
#[derive(Clone, Copy)]
struct Death {
    rank: usize,
    step: usize,
    after: Duration,
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
    let network = Network::named(&options.network).unwrap_or_else(|| unreachable!("the name was checked"));
    let samples = options.batch.unwrap_or(if options.network == "gpt" { 12 } else { 64 });
    let share = Share::new(rank, size, options.shards.unwrap_or(size))?;
    let batches = (0..options.accumulate).map(|number| {
        let whole = network.samples(samples, 1 + 2 * number as u32)?;
        part(&reordered(whole, samples, options.order)?, share.range(samples))
    });
    let batches = batches.collect::<Result<Vec<Batch>, Error>>()?;
    let device = if options.device == "gpu" { Device::gpu_of(&**group)? } else { Device::named(&options.device)? };
    let mut trainer = Trainer::new(device, optimizer(options), |inputs| {
        // Whatever the optimiser counts itself: a run that goes on must know how many steps there were.
        let _step = inputs.graph().step();
        network.loss(inputs)
    })
    .in_group(Arc::clone(group));
    if let Some(shards) = options.shards {
        trainer = trainer.deterministic(shards);
    }
    if let Some(bytes) = options.bucket {
        trainer = trainer.bucket_bytes(bytes);
    }
    let mut begin = 0;
    if let Some(path) = &options.load {
        trainer.prepare(&batches[0])?;
        trainer.session_mut().load(path)?;
        begin = trainer.session().parameter("step")?.item()? as usize;
    }
    let dies = |death: Option<Death>, step: usize| {
        if let Some(Death { after, .. }) = death.filter(|death| (death.rank, death.step) == (rank, step)) {
            die(options, rank, after);
        }
    };
    let mut losses = Vec::with_capacity(options.steps);
    let mut reports: Vec<StepReport> = Vec::with_capacity(options.steps);
    let (mut times, mut saves) = (Vec::with_capacity(options.steps), Vec::with_capacity(options.steps));
    for step in begin..begin + options.steps {
        dies(options.die, step);
        let begun = Instant::now();
        losses.push(trainer.step(&batches[step % batches.len()])?.loss);
        times.push(begun.elapsed());
        reports.push(trainer.group_report());
        dies(options.die_saving, step);
        let begun = Instant::now();
        if let Some(path) = &options.save {
            trainer.save(path)?;
        }
        saves.push(begun.elapsed());
    }
    trainer.session_mut().compare_members()?;
    let mut evaluations = Vec::new();
    if let Some(count) = options.evaluate {
        evaluations.push(("evaluation", evaluate(&mut trainer, &network, count, &**group)?));
        if options.average.is_some() {
            trainer.session_mut().swap_averages()?;
            evaluations.push(("averaged", evaluate(&mut trainer, &network, count, &**group)?));
        }
    }
    if rank > 0 {
        return Ok(());
    }
    println!("network {} ranks {size} batch {samples} device {}", options.network, trainer.device());
    for (step, loss) in (begin..).zip(&losses) {
        println!("loss {step} {loss:?} {:016x}", loss.to_bits());
    }
    for (name, [loss, right]) in evaluations {
        println!("{name} {loss:?} {right:?}");
    }
    // The first steps plan, and warm up.
    let measured = options.steps.min(5)..options.steps;
    let median = |of: &dyn Fn(usize) -> Duration| {
        let mut list: Vec<Duration> = measured.clone().map(of).collect();
        list.sort_unstable();
        list.get(list.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "step_us {:.1} save_us {:.1} compute_us {:.1} wait_us {:.1} reduce_us {:.1} bytes {} exchanges {}",
        median(&|step| times[step]),
        median(&|step| saves[step]),
        median(&|step| reports[step].compute),
        median(&|step| reports[step].wait),
        median(&|step| reports[step].reduce),
        reports.last().map_or(0, |report| report.bytes),
        reports.last().map_or(0, |report| report.exchanges),
    );
    Ok(())
}

/// The optimiser that was asked for, with what stands around it.
fn optimizer(options: &Options) -> Box<dyn Optimizer + Send> {
    let usual = if options.network == "gpt" { "adamw" } else { "sgd" };
    let inner: Box<dyn Optimizer + Send> = match options.optimizer.as_deref().unwrap_or(usual) {
        "adamw" => Box::new(AdamW::new(1e-3)),
        _ => Box::new(Sgd::new(0.1)),
    };
    let mut optimizer: Box<dyn Optimizer + Send> = Box::new(inner.clip_norm(options.clip));
    if options.accumulate > 1 {
        optimizer = Box::new(optimizer.accumulate(options.accumulate));
    }
    if let Some(decay) = options.average {
        optimizer = Box::new(optimizer.moving_average(decay));
    }
    optimizer
}

/// The mean loss of the predictions of other samples, and how many are right, of all processes.
fn evaluate<'a>(
    trainer: &mut Trainer<'a>,
    network: &'a Network,
    count: usize,
    group: &dyn Group,
) -> Result<[f64; 2], Error> {
    let evaluation = trainer.add_evaluation(|inputs| {
        let [logits, labels] = network.predictions(inputs);
        let right = logits.argmax(1).equal(labels).cast(DType::I32).sum(..);
        let summed = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
        vec![logits.cross_entropy_with(labels, summed), right]
    });
    let own = part(&network.samples(count, 1001)?, share_of(group).range(count))?;
    let predictions = own.get("labels").map_or(0, |labels| labels.shape().elements());
    let mut sums = vec![0.0, 0.0, predictions as f64];
    // A process without samples has nothing to add.
    if predictions > 0 {
        for (sum, value) in sums.iter_mut().zip(trainer.evaluate(evaluation, &own)?) {
            *sum = value.item()?;
        }
    }
    let sums = group.all_reduce(sums.into())?.to_f64()?;
    Ok([sums[0] / sums[2], sums[1]])
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

/// The samples in the order that the seed gives, if there is one.
fn reordered(batch: Batch, samples: usize, seed: Option<u32>) -> Result<Batch, Error> {
    let Some(seed) = seed else { return Ok(batch) };
    let order = shuffled(samples, seed);
    let mut reordered = Batch::new();
    for name in ["x", "labels"] {
        let Some(tensor) = batch.get(name) else { continue };
        let rows: Vec<Tensor> = tensor.rows()?.collect();
        let in_order: Vec<&Tensor> = order.iter().map(|&row| &rows[row]).collect();
        reordered = reordered.with(name, Tensor::stack(&in_order, 0)?);
    }
    Ok(reordered)
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

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        alone: false,
        network: "mnist_mlp".to_owned(),
        device: "cpu".to_owned(),
        steps: 20,
        batch: None,
        optimizer: None,
        clip: 1.0,
        accumulate: 1,
        average: None,
        order: None,
        shards: None,
        bucket: None,
        evaluate: None,
        save: None,
        load: None,
        notes: None,
        die: None,
        die_saving: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("alone") => options.alone = true,
            Long("network") => options.network = one_of(&mut parser, &["mnist_mlp", "gpt"])?,
            Long("device") => options.device = value(&mut parser)?,
            Long("steps") => options.steps = value(&mut parser)?,
            Long("batch") => options.batch = Some(value(&mut parser)?),
            Long("optimizer") => options.optimizer = Some(one_of(&mut parser, &["sgd", "adamw"])?),
            Long("clip") => options.clip = value(&mut parser)?,
            Long("accumulate") => options.accumulate = value::<std::num::NonZeroUsize>(&mut parser)?.get(),
            Long("average") => options.average = Some(value(&mut parser)?),
            Long("order") => options.order = Some(value(&mut parser)?),
            Long("shards") => options.shards = Some(value(&mut parser)?),
            Long("bucket") => options.bucket = Some(value(&mut parser)?),
            Long("evaluate") => options.evaluate = Some(value(&mut parser)?),
            Long("save") => options.save = Some(parser.value().map_err(wrong)?.into()),
            Long("load") => options.load = Some(parser.value().map_err(wrong)?.into()),
            Long("notes") => options.notes = Some(parser.value().map_err(wrong)?.into()),
            Long("die") => options.die = Some(death(&mut parser)?),
            Long("die-saving") => options.die_saving = Some(death(&mut parser)?),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}

/// The value of an option, read as what is wanted.
fn value<T: std::str::FromStr>(parser: &mut lexopt::Parser) -> Result<T, String>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
{
    use lexopt::ValueExt;
    parser.value().and_then(|value| value.parse()).map_err(wrong)
}

/// The value of an option that has a few.
fn one_of(parser: &mut lexopt::Parser, known: &[&str]) -> Result<String, String> {
    let value: String = value(parser)?;
    if known.contains(&value.as_str()) {
        return Ok(value);
    }
    Err(format!("{value:?} is none of {}\n{USAGE}", known.join(", ")))
}

/// Which rank dies, when.
fn death(parser: &mut lexopt::Parser) -> Result<Death, String> {
    let text: String = value(parser)?;
    let numbers: Vec<u64> = text.split(':').filter_map(|number| number.parse().ok()).collect();
    let [rank, step, after] = numbers[..] else {
        return Err(format!("{text:?} is not RANK:STEP:MICROSECONDS\n{USAGE}"));
    };
    Ok(Death { rank: rank as usize, step: step as usize, after: Duration::from_micros(after) })
}

/// A mistake on the command line.
fn wrong(error: lexopt::Error) -> String {
    format!("{error}\n{USAGE}")
}
