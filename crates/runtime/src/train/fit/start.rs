//! Where a run begins: anew, or from its checkpoint, and in a group at the same place for all.

use std::path::PathBuf;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::data::Position;
use crate::error::Error;
use crate::group::GroupError;
use crate::metrics::ConfusionMatrix;
use crate::train::Trainer;
use crate::train::fit::FitError;

/// The values of the checkpoint: epoch and batch that come next, counted from 0, and the steps made.
pub(super) const EPOCH: &str = "epoch";
pub(super) const BATCH: &str = "batch";
pub(super) const STEPS: &str = "steps";
/// The note and the part of the confusion matrix of the last validation that gave one.
const CONFUSION: &str = "arenagrad.fit.confusion";

/// A checkpoint of a run, and where the run was.
pub(super) struct Found {
    pub(super) checkpoint: Checkpoint,
    pub(super) position: Position,
    pub(super) steps: u64,
}

impl Found {
    /// That of a file. Errors: one that does not say where a run was.
    pub(super) fn open(path: PathBuf) -> Result<Found, Error> {
        let foreign = |path| {
            let reason = "it does not say where the run was".to_owned();
            Error::from(FitError::Resume { path, reason })
        };
        let checkpoint = match Checkpoint::open(&path) {
            Err(Error::Checkpoint(CheckpointError::NoCheckpoint { .. })) => return Err(foreign(path)),
            checkpoint => checkpoint?,
        };
        let number = |key: &str| checkpoint.integer::<u64>(key);
        let (Ok(epoch), Ok(batch), Ok(steps)) = (number(EPOCH), number(BATCH), number(STEPS)) else {
            return Err(foreign(path));
        };
        Ok(Found { checkpoint, position: Position::from_numbers([epoch, batch]), steps })
    }
}

/// A checkpoint with the confusion matrix of the last validation that gave one.
pub(super) fn with_confusion(checkpoint: Checkpoint, matrix: Option<&ConfusionMatrix>) -> Result<Checkpoint, Error> {
    let Some(matrix) = matrix else { return Ok(checkpoint) };
    let (text, counts) = matrix.to_kept()?;
    Ok(checkpoint.with_note(CONFUSION, text).with_part(CONFUSION, counts))
}

/// The confusion matrix that [`with_confusion`] kept, if it did.
pub(super) fn kept_confusion(checkpoint: &Checkpoint) -> Result<Option<ConfusionMatrix>, Error> {
    let counts = checkpoint.part(CONFUSION)?;
    Ok(checkpoint.note(CONFUSION).zip(counts).and_then(|(text, counts)| ConfusionMatrix::from_kept(text, &counts)))
}

/// Refuses members of a group that would begin at different places: each has looked for a checkpoint itself, and a host may have no copy
/// of it, or an older one.
pub(super) fn require_same_start(trainer: &mut Trainer<'_>, found: Option<&Found>) -> Result<(), Error> {
    let [epoch, batch] = found.map_or([0; 2], |found| found.position.to_numbers());
    let own = [u64::from(found.is_some()), epoch, batch, found.map_or(0, |found| found.steps)];
    let all = trainer.numbers_of_all(own)?;
    let Some(rank) = all.iter().position(|theirs| *theirs != own) else { return Ok(()) };
    let says = |[is_found, epoch, batch, steps]: [u64; 4]| match is_found {
        0 => "begins anew".to_owned(),
        _ => format!("goes on from step {steps} (epoch {}, batch {})", epoch + 1, batch + 1),
    };
    let (theirs, ours) = (says(all[rank]), says(own));
    Err(GroupError::StartsDiffer { rank, own: trainer.group_rank(), theirs, ours }.into())
}
