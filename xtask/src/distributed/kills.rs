//! Processes that are killed in the middle of training, and what becomes of the others.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::path::Path;

use arenagrad::Weights;

use super::launch::Launch;
use super::measure::measured;

const RANKS: usize = 3;
/// How many steps a run has before which a process is killed.
const STEPS: u64 = 12;
/// How many steps are made from the checkpoint that was left.
const RESUMED: &str = "2";
/// How long the others may take to learn of it, in milliseconds.
const LIMIT: u128 = 30_000;
/// What is trained. Its optimiser has states of its own, which a checkpoint goes on from.
const TRAINED: [&str; 4] = ["--batch", "9", "--optimizer", "adamw"];

/// Kills a process of a group so many times, each time another one at another place; and as many times the one that writes checkpoints, while it
/// writes one. Each time a new group goes on from the checkpoint that was left.
pub(super) fn hold(kills: u64) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("arenagrad-kills-{}", std::process::id()));
    let held = make(&folder).and_then(|()| hold_in(&folder, kills));
    let _ = fs::remove_dir_all(&folder);
    held
}

fn hold_in(folder: &Path, kills: u64) -> Result<(), String> {
    let whole = Uninterrupted::run(folder)?;
    for place in [Place::Step, Place::Saving] {
        let (mut slowest, mut writing) = (0, 0);
        for number in 0..kills {
            let draw = |what: u64, below: u64| RandomState::new().hash_one((number, what)) % below.max(1);
            // Past the end of what is made at that place, so that every moment of it is hit.
            let (rank, latest) = match place {
                Place::Step => (draw(0, RANKS as u64), 2 * (whole.step + whole.saving)),
                Place::Saving => (0, 3 * whole.saving / 2),
            };
            let die = format!("{rank}:{}:{}", 1 + draw(1, STEPS - 1), draw(2, latest));
            make(folder)?;
            let taken = one(folder, rank as usize, (place.option(), &die), &whole);
            let taken =
                taken.map_err(|reason| format!("kill {} at {die} ({}): {reason}", number + 1, place.option()))?;
            slowest = slowest.max(taken);
            writing += u64::from(is_half_written(folder));
            fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let what = match place {
            Place::Step => format!("one of {RANKS} processes {kills} times"),
            Place::Saving => {
                format!("the one of {RANKS} that saves {kills} times, {writing} of them with a file half written")
            }
        };
        println!(
            "distributed: killed {what}: the others named it, at the latest after {slowest} ms, and every checkpoint was whole: a new \
             group went on from it with the same bits"
        );
    }
    Ok(())
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Step,
    Saving,
}

impl Place {
    fn option(self) -> &'static str {
        match self {
            Place::Step => "--die",
            Place::Saving => "--die-saving",
        }
    }
}

/// What a group came to that nobody killed.
struct Uninterrupted {
    /// The lines of its losses: the number of the step, the loss and its bits.
    losses: Vec<String>,
    /// How long a step takes, and to write a checkpoint, in microseconds.
    step: u64,
    saving: u64,
}

impl Uninterrupted {
    fn run(folder: &Path) -> Result<Self, String> {
        let checkpoint = folder.join("uninterrupted.safetensors");
        // Who is told to die takes some more steps on a machine that is busy, and a new group goes on from there.
        let steps = (STEPS + 64).to_string();
        let own = ["--steps", &steps, "--save", &checkpoint.to_string_lossy()];
        let text = Launch::group(RANKS, &[&TRAINED, own.as_slice()].concat()).run()?;
        let times = measured(&text)?;
        let microseconds = |name: &str| times.of(name) as u64;
        Ok(Uninterrupted { losses: losses(&text), step: microseconds("step_us"), saving: microseconds("save_us") })
    }
}

/// The lines of losses that the example prints.
fn losses(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with("loss ")).map(str::to_owned).collect()
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Whether a file lies there that was not put in its place.
fn is_half_written(folder: &Path) -> bool {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp"))
}

/// One run in which that rank dies; how many milliseconds later the last of the others knew it.
fn one(folder: &Path, dying: usize, (option, die): (&str, &str), whole: &Uninterrupted) -> Result<u128, String> {
    let checkpoint = folder.join("checkpoint.safetensors");
    let (folder_text, checkpoint_text) = (folder.to_string_lossy(), checkpoint.to_string_lossy());
    let own = ["--steps", "2000", "--save", &checkpoint_text, option, die, "--notes", &folder_text];
    let output = Launch::group(RANKS, &[&TRAINED, own.as_slice()].concat()).output()?;
    // The launcher's exit code says nothing: it recovers, as it was told to.
    let note = |rank: usize| -> Result<(u128, String), String> {
        let path = folder.join(format!("rank-{rank}.txt"));
        let text = fs::read_to_string(&path).map_err(|error| {
            format!("rank {rank} left no word ({error}):\n{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let (time, text) = text.split_once(' ').unwrap_or_default();
        Ok((time.parse().map_err(|_| format!("rank {rank} wrote no time"))?, text.to_owned()))
    };
    let (died, word) = note(dying)?;
    if word.trim() != "it was killed" {
        return Err(format!("rank {dying} was not killed, but: {word}"));
    }
    let mut latest = 0;
    for rank in (0..RANKS).filter(|&rank| rank != dying) {
        let (time, word) = note(rank)?;
        let taken = time.saturating_sub(died);
        if !word.contains(&format!("rank {dying} of {RANKS} was lost")) {
            return Err(format!("rank {rank} does not name rank {dying}: {word}"));
        }
        if taken > LIMIT {
            return Err(format!("rank {rank} learned of it after {taken} ms"));
        }
        latest = latest.max(taken);
    }
    // It was written behind every step, the first included, before anyone died.
    let weights = Weights::open(&checkpoint).map_err(|error| format!("the checkpoint is not whole: {error}"))?;
    let mut names = 0;
    for name in weights.names() {
        weights.get(name).map_err(|error| format!("the checkpoint is not whole: {error}"))?;
        names += 1;
    }
    if names < 4 {
        return Err(format!("the checkpoint has {names} tensors alone"));
    }
    let own = ["--steps", RESUMED, "--load", &checkpoint_text];
    let resumed = losses(&Launch::group(RANKS, &[&TRAINED, own.as_slice()].concat()).run()?);
    match resumed.iter().find(|line| !whole.losses.contains(line)) {
        None if !resumed.is_empty() => Ok(latest),
        line => {
            Err(format!("a group that goes on from the checkpoint has other losses: {}", line.map_or("none", |l| l)))
        }
    }
}
