//! Processes that are killed in the middle of training, and what becomes of the others.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::path::Path;

use arenagrad::Weights;

use super::launch::Launch;

const RANKS: usize = 3;
/// How many steps a run has before which a process is killed.
const STEPS: u64 = 12;
/// The longest time from the beginning of a step to the death, in microseconds: longer than a step takes.
const LATEST: u64 = 20_000;
/// How long the others may take to learn of it, in milliseconds.
const LIMIT: u128 = 30_000;

/// Kills a process of a group so many times, each time another one at another place.
pub(super) fn hold(kills: u64) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("arenagrad-kills-{}", std::process::id()));
    let mut slowest = 0;
    for number in 0..kills {
        let draw = |what: u64, below: u64| RandomState::new().hash_one((number, what)) % below;
        let (rank, step, after) = (draw(0, RANKS as u64), 1 + draw(1, STEPS - 1), draw(2, LATEST));
        let die = format!("{rank}:{step}:{after}");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let taken = one(&folder, rank as usize, &die);
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        slowest = slowest.max(taken.map_err(|reason| format!("kill {} at {die}: {reason}", number + 1))?);
    }
    println!(
        "distributed: killed one of {RANKS} processes {kills} times: the others named it, at the latest after {slowest} ms, and every \
         checkpoint was whole"
    );
    Ok(())
}

/// One run in which that rank dies; how many milliseconds later the last of the others knew it.
fn one(folder: &Path, dying: usize, die: &str) -> Result<u128, String> {
    let checkpoint = folder.join("checkpoint.safetensors");
    let (folder_text, checkpoint_text) = (folder.to_string_lossy(), checkpoint.to_string_lossy());
    let arguments =
        ["--steps", "2000", "--batch", "9", "--save", &checkpoint_text, "--die", die, "--notes", &folder_text];
    let output = Launch::group(RANKS, &arguments).output()?;
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
    if names < 4 { Err(format!("the checkpoint has {names} tensors alone")) } else { Ok(latest) }
}
