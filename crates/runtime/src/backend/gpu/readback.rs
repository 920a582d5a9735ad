//! Results on their way to the host: copied into one mapped buffer by the submit that computes them, then decoded.

use std::sync::mpsc;

use arenagrad_graph::{Elements, StorageType};

use super::buffers::{GpuMemory, WORD_BYTES, create, require_words, stored_bytes};
use super::device::{ANSWER_LIMIT, GpuDevice};
use crate::error::Error;

/// A tensor of which the first elements are wanted on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readback {
    /// Its number in the memory.
    pub(crate) index: u32,
    /// The type of its elements.
    pub(crate) storage: StorageType,
    /// How many of them.
    pub(crate) elements: usize,
}

/// The buffer that results pass through, one behind the other. There is none if there is nothing to pass.
pub(super) struct Staging {
    buffer: Option<wgpu::Buffer>,
    results: Vec<Readback>,
}

impl Staging {
    /// Room for these results.
    pub(super) fn new(device: &GpuDevice, results: &[Readback]) -> Result<Self, Error> {
        let mut bytes = 0u64;
        for result in results {
            require_words("a result", result.storage)?;
            bytes = bytes.saturating_add(result.bytes());
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let buffer = match bytes {
            0 => None,
            _ => Some(create(device, "the results of a run", bytes, device.limits().max_buffer_size, usage)?),
        };
        Ok(Staging { buffer, results: results.to_vec() })
    }

    /// Records the copies out of the storage buffers.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, memory: &GpuMemory) {
        let Some(buffer) = &self.buffer else { return };
        let mut offset = 0;
        for result in self.results.iter().filter(|result| result.elements > 0) {
            let place = memory.place(result.index);
            let source = memory.buffer(place.buffer);
            encoder.copy_buffer_to_buffer(source, place.offset, buffer, offset, result.bytes());
            offset += result.bytes();
        }
    }

    /// Waits for the submission that holds the recorded copies, and decodes the results.
    pub(super) fn collect(
        &self,
        device: &GpuDevice,
        submission: wgpu::SubmissionIndex,
    ) -> Result<Vec<Elements>, Error> {
        let Some(buffer) = &self.buffer else {
            device.wait_for(Some(submission))?;
            return Ok(self.results.iter().map(|result| Elements::empty(result.storage)).collect());
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        device.scoped("the results of a run", buffer.size(), || {
            buffer.map_async(wgpu::MapMode::Read, .., move |answer| {
                // Nobody listens any more if the wait was given up.
                let _ = sender.send(answer);
            });
        })?;
        device.wait_for(Some(submission))?;
        // The callback may run on another thread that polls the same device at this moment.
        match receiver.recv_timeout(ANSWER_LIMIT) {
            Ok(Ok(())) => {}
            Ok(Err(wgpu::BufferAsyncError)) => {
                device.check()?;
                return Err(device.error(String::from("the results could not be mapped into host memory")));
            }
            Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                device.give_up()?;
            }
        }
        let decoded = {
            let view = buffer.get_mapped_range(..).map_err(|error| device.error(error.to_string()))?;
            let mut rest: &[u8] = &view;
            let mut decoded = Vec::with_capacity(self.results.len());
            for result in &self.results {
                let (bytes, behind) = rest.split_at(result.bytes() as usize);
                decoded.push(decode(result.storage, bytes, result.elements));
                rest = behind;
            }
            decoded
        };
        buffer.unmap();
        // What a lost device leaves in the buffer is not a result.
        device.check()?;
        Ok(decoded)
    }
}

impl GpuMemory {
    /// The first elements of a buffer, once all that was submitted before has been done.
    pub(crate) fn read(&self, index: u32, storage: StorageType, elements: usize) -> Result<Elements, Error> {
        let staging = Staging::new(&self.device, &[Readback { index, storage, elements }])?;
        let submission = self.device.scoped("a readback", 0, || {
            let mut encoder = self.device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            staging.record(&mut encoder, self);
            self.device.queue().submit([encoder.finish()])
        })?;
        Ok(staging.collect(&self.device, submission)?.remove(0))
    }
}

impl Readback {
    fn bytes(&self) -> u64 {
        stored_bytes(self.storage, self.elements)
    }
}

/// So many elements from words as the device stores them. The type was required to have words.
fn decode(storage: StorageType, bytes: &[u8], count: usize) -> Elements {
    if storage == StorageType::Bool {
        let words = bytes.chunks_exact(WORD_BYTES as usize);
        return Elements::Bool(words.map(|word| u8::from(word.iter().any(|&byte| byte != 0))).collect());
    }
    Elements::from_le_bytes(storage, &bytes[..count * storage.bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decode_to_elements() {
        assert_eq!(decode(StorageType::F32, bytemuck::cast_slice(&[1.5f32, -0.0]), 2), Elements::F32(vec![1.5, -0.0]));
        assert_eq!(
            decode(StorageType::I32, bytemuck::cast_slice(&[-7i32, i32::MAX]), 2),
            Elements::I32(vec![-7, i32::MAX])
        );
        assert_eq!(decode(StorageType::Bool, bytemuck::cast_slice(&[0u32, 1, 256]), 3), Elements::Bool(vec![0, 1, 1]));
    }
}
