//! What the host writes into buffers, and how much of it is on its way.
//!
//! wgpu copies what is written into memory of its own at once, and keeps that until the device has done what is submitted next. So the parameters of a
//! model, all written before the first run, would be there twice. Here what is long is written in pieces, and what has been written is submitted by itself when
//! it is much; where there are threads the submit before that is waited for, which is done long since as a rule.
//!
//! Every submit of a device goes through here, since each takes with it what was written before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::device::GpuDevice;
use crate::error::Error;

/// The most bytes that are written at once.
const PIECE_BYTES: usize = 1 << 25;

/// From how many bytes on what was written is submitted by itself.
const MOST_WAITING_BYTES: u64 = 1 << 26;

/// What was written to a device and not submitted yet.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: u64,
    /// The last submit of what was written alone.
    last: Option<wgpu::SubmissionIndex>,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GpuDevice {
    /// Writes bytes into a buffer, from `offset` on, for all that is submitted later. `what` names them in errors.
    pub(super) fn upload(&self, what: &str, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut offset = offset;
        for piece in bytes.chunks(PIECE_BYTES) {
            let length = piece.len() as u64;
            self.scoped(what, length, || self.queue().write_buffer(buffer, offset, piece))?;
            offset += length;
            self.send(what, length)?;
        }
        Ok(())
    }

    /// Submits commands, and what was written before with them.
    pub(super) fn submit(&self, commands: impl IntoIterator<Item = wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        self.uploads().lock().waiting = 0;
        self.queue().submit(commands)
    }

    /// Counts bytes that were written, and submits them if they are much together.
    fn send(&self, what: &str, bytes: u64) -> Result<(), Error> {
        let mut state = self.uploads().lock();
        state.waiting += bytes;
        if state.waiting < MOST_WAITING_BYTES {
            return Ok(());
        }
        drop(state);
        let submission = self.scoped(what, 0, || self.submit([]))?;
        let before = self.uploads().lock().last.replace(submission);
        before.map_or(Ok(()), |before| self.pace(before))
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{Elements, StorageType};

    use super::super::test_device::present;
    use super::super::{GpuDevice, GpuMemory, Selector};
    use super::{MOST_WAITING_BYTES, PIECE_BYTES};

    /// Of a device that nobody else uses, all memory is that of tensors and of what is on its way.
    #[test]
    fn what_is_written_is_not_kept_twice() {
        let Some(device) = present(GpuDevice::open_alone(&Selector::Any)) else { return };
        let Some(before) = device.wgpu().generate_allocator_report() else { return };
        let mut memory = GpuMemory::new(&device);
        let long = Elements::F32(vec![1.0; 3 * PIECE_BYTES / 4 + 1].into());
        let tensors: Vec<u32> =
            (0..3).map(|_| memory.allocate("a tensor", StorageType::F32, long.len()).unwrap()).collect();
        let bytes: u64 = tensors.iter().map(|&tensor| memory.bytes(tensor)).sum();
        let limit = before.total_allocated_bytes + bytes + 2 * MOST_WAITING_BYTES + PIECE_BYTES as u64;
        for &tensor in tensors.iter().chain(&tensors) {
            memory.write(tensor, &long).unwrap();
            let report = device.wgpu().generate_allocator_report().unwrap();
            let found = report.total_allocated_bytes;
            assert!((bytes..=limit).contains(&found), "{found} of {limit}");
        }
        // All pieces came to their places.
        for tensor in tensors {
            assert!(memory.read(tensor, StorageType::F32, long.len()).unwrap() == long);
        }
    }
}
