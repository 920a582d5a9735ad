//! Several processes against one: the same losses, whatever is trained and however batches are divided.
//!
//! Sums of floats depend on their order, and several processes add in another order than one. What that must not do to a loss is a bound of its
//! own as long as the loss is not near 0. A network that has learnt its samples by heart has a loss that is the logarithm of a sum just above
//! 1, of which rounding leaves few digits: there the bound is what another order does to one process, whose samples are the same and stand
//! otherwise in their batch.

use super::launch::Launch;

/// The greatest relative difference of the losses of several processes from those of one.
const TOLERANCE: f64 = 1e-6;

/// In so many other orders the samples of one process are put to see what an order does.
const ORDERS: u32 = 3;

/// How much more than the worst of these orders several processes may differ: each of few tries is a draw, and so is what is held to it.
const ORDERS_FACTOR: f64 = 2.0;

/// What is trained, and how near several processes must come to one.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    bound: Bound,
}

/// How near losses must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// Within [`TOLERANCE`].
    Tolerance,
    /// Within [`TOLERANCE`], or as near as one process comes to itself with its samples in other orders.
    Orders,
}

/// Neither 2 nor 3 divides every batch, and of two samples three processes have one that has none.
const CASES: [Case; 5] = [
    Case { name: "a perceptron, clipped", arguments: &["--batch", "22"], bound: Bound::Tolerance },
    Case {
        name: "a perceptron, accumulated over 3 batches, averaged and evaluated",
        arguments: &["--batch", "11", "--accumulate", "3", "--average", "0.9", "--evaluate", "2"],
        bound: Bound::Tolerance,
    },
    Case {
        name: "a perceptron by AdamW, which learns its samples by heart",
        arguments: &["--batch", "22", "--optimizer", "adamw"],
        bound: Bound::Orders,
    },
    Case {
        name: "a GPT by gradient descent, evaluated",
        arguments: &["--network", "gpt", "--batch", "5", "--optimizer", "sgd", "--evaluate", "7"],
        bound: Bound::Tolerance,
    },
    Case {
        name: "a GPT by AdamW, accumulated over 2 batches, averaged and evaluated",
        arguments: &["--network", "gpt", "--batch", "5", "--accumulate", "2", "--average", "0.9", "--evaluate", "2"],
        bound: Bound::Tolerance,
    },
];

/// Holds several processes to one over so many steps.
pub(super) fn hold(steps: u64) -> Result<(), String> {
    for case in &CASES {
        case.hold(&steps.to_string())?;
    }
    buckets()?;
    deterministic()?;
    resumed()
}

/// What a run came to.
struct Outcome {
    losses: Vec<(f64, String)>,
    /// The loss of each evaluation, and how many predictions were right.
    evaluations: Vec<[f64; 2]>,
}

impl Case {
    fn hold(&self, steps: &str) -> Result<(), String> {
        let arguments = [self.arguments, &["--steps", steps]].concat();
        let expected = Outcome::of(Launch::alone(&arguments))?;
        let (bound, said) = match self.bound {
            Bound::Tolerance => (TOLERANCE, String::new()),
            Bound::Orders => {
                let mut worst = 0.0;
                for order in 1..=ORDERS {
                    let order = order.to_string();
                    let reordered = [arguments.as_slice(), &["--order", &order]].concat();
                    let other = Outcome::of(Launch::alone(&reordered))?;
                    worst = worse(worst, other.difference(&expected)?);
                }
                (
                    TOLERANCE.max(ORDERS_FACTOR * worst),
                    format!("; those of one in {ORDERS} other orders of its samples by {worst:.1e}"),
                )
            }
        };
        let mut differences = Vec::new();
        for ranks in [2, 3] {
            let found = Outcome::of(Launch::group(ranks, &arguments))?;
            let difference = found.difference(&expected)?;
            if difference.is_nan() || difference > bound {
                let name = self.name;
                return Err(format!(
                    "{name}: the losses of {ranks} processes differ by {difference:.1e} from those of one{said}; at most {bound:.1e} is held"
                ));
            }
            differences.push(format!("{difference:.1e}"));
        }
        let (name, steps) = (self.name, expected.losses.len());
        println!(
            "distributed: {name}, {steps} steps: the losses of 2 and 3 processes differ from those of one by {}{said}",
            differences.join(" and ")
        );
        Ok(())
    }
}

impl Outcome {
    fn of(launch: Launch) -> Result<Outcome, String> {
        let text = launch.run()?;
        let evaluations = text.lines().filter_map(|line| {
            let (name, numbers) = line.split_once(' ')?;
            let numbers: Vec<f64> = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
            <[f64; 2]>::try_from(numbers).ok().filter(|_| ["evaluation", "averaged"].contains(&name))
        });
        Ok(Outcome { evaluations: evaluations.collect(), losses: losses(&text)? })
    }

    /// The largest relative difference of a loss, in training or evaluation; NaN stays. Errors: another number of losses; other predictions
    /// that are right, but for one, which may be of two classes that are as likely.
    fn difference(&self, other: &Outcome) -> Result<f64, String> {
        let counts = |outcome: &Outcome| (outcome.losses.len(), outcome.evaluations.len());
        if counts(self) != counts(other) {
            return Err(format!("{:?} losses and evaluations instead of {:?}", counts(self), counts(other)));
        }
        let losses = self.losses.iter().zip(&other.losses).map(|(own, other)| (own.0, other.0));
        let mut pairs: Vec<(f64, f64)> = losses.collect();
        for ([loss, right], [other_loss, other_right]) in self.evaluations.iter().zip(&other.evaluations) {
            pairs.push((*loss, *other_loss));
            if (right - other_right).abs() > 1.0 {
                return Err(format!("{right} predictions are right instead of {other_right}"));
            }
        }
        Ok(pairs.into_iter().map(|(a, b)| ((a - b) / b).abs()).fold(0.0, worse))
    }
}

/// The larger difference; one that is no number stays.
fn worse(worst: f64, next: f64) -> f64 {
    if worst.is_nan() || next <= worst { worst } else { next }
}

/// How gradients are put together for their way changes no bit of two processes: a sum of two numbers has one order.
fn buckets() -> Result<(), String> {
    let mut known: Option<Vec<String>> = None;
    let sizes = ["1", "100000", "4194304"];
    for size in sizes {
        let arguments = ["--network", "gpt", "--steps", "5", "--batch", "3", "--bucket", size];
        let bits: Vec<String> =
            losses(&Launch::group(2, &arguments).run()?)?.into_iter().map(|(_, bits)| bits).collect();
        if known.get_or_insert_with(|| bits.clone()) != &bits {
            return Err(format!(
                "in buckets of {size} bytes 2 processes have other bits than in buckets of {}",
                sizes[0]
            ));
        }
    }
    println!("distributed: 2 processes have the same bits in buckets of {} bytes", sizes.join(", "));
    Ok(())
}

/// Any number of processes has the bits of one in the deterministic mode.
fn deterministic() -> Result<(), String> {
    for (network, batch) in [("mnist_mlp", "22"), ("gpt", "5")] {
        let steps = if network == "gpt" { "5" } else { "20" };
        let arguments = ["--network", network, "--steps", steps, "--batch", batch, "--shards", "4"];
        let expected = losses(&Launch::alone(&arguments).run()?)?;
        for ranks in 1..=4 {
            let found = losses(&Launch::group(ranks, &arguments).run()?)?;
            if found.iter().map(|(_, bits)| bits).ne(expected.iter().map(|(_, bits)| bits)) {
                return Err(format!("{network}: in the deterministic mode {ranks} processes have other bits than one"));
            }
        }
    }
    println!("distributed: 1 to 4 processes have the same bits in the deterministic mode");
    Ok(())
}

/// A run goes on from its checkpoint with the bits that it has otherwise, whatever its optimiser keeps.
fn resumed() -> Result<(), String> {
    let file = std::env::temp_dir().join(format!("arenagrad-resumed-{}.safetensors", std::process::id()));
    let path = file.to_string_lossy();
    let held = (|| {
        for optimizer in ["sgd", "adamw"] {
            let bits = |own: &[&str]| losses(&Launch::group(2, &[&["--optimizer", optimizer], own].concat()).run()?);
            let expected = bits(&["--steps", "5"])?;
            let before = bits(&["--steps", "3", "--save", &path])?;
            let after = bits(&["--steps", "2", "--load", &path])?;
            if [before, after].concat() != expected {
                return Err(format!("{optimizer}: a run that goes on from its checkpoint has other bits"));
            }
        }
        Ok(())
    })();
    let _ = std::fs::remove_file(&file);
    held?;
    println!("distributed: 2 processes go on from a checkpoint with the same bits");
    Ok(())
}

/// The losses that the example prints, and their bits.
pub(super) fn losses(text: &str) -> Result<Vec<(f64, String)>, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("loss "));
    let losses: Option<Vec<_>> = lines
        .map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        })
        .collect();
    losses.filter(|losses| !losses.is_empty()).ok_or_else(|| format!("no losses were printed:\n{text}"))
}
