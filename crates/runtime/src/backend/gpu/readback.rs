//! Results on their way to the host: copied into a mapped buffer by the submit that computes them, then decoded.
//!
//! Several runs of a plan may be on their way: each has a buffer of its own meanwhile, which the next run takes over. A result that nobody
//! takes gives its buffer back when the device has answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use arenagrad_graph::{Elements, StorageType};

use super::answer::Answer;
use super::buffers::{GpuMemory, WORD_BYTES, create, require_words, stored_bytes};
use super::clock::Begun;
use super::device::GpuDevice;
use super::submitted::Submitted;
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

/// The buffers that results pass through, one behind the other in each. There are none if there is nothing to pass.
pub(super) struct Staging {
    bytes: u64,
    results: Arc<[Readback]>,
    free: Arc<Free>,
}

/// The buffers that no run has at present.
#[derive(Default)]
struct Free(Mutex<Vec<wgpu::Buffer>>);

/// A buffer that a run has: it is given back when nobody refers to it any more, and must not be mapped then.
struct Lent {
    buffer: wgpu::Buffer,
    free: Arc<Free>,
}

/// Where a run copies its results to.
pub(super) struct Passage {
    lent: Option<Lent>,
    results: Arc<[Readback]>,
}

/// Results that will arrive, in the order in which they were asked for.
pub(crate) struct Arrival {
    submitted: Submitted,
    lent: Option<Arc<Lent>>,
    results: Arc<[Readback]>,
    is_taken: bool,
}

impl Staging {
    /// Room for these results.
    pub(super) fn new(device: &GpuDevice, results: &[Readback]) -> Result<Self, Error> {
        let mut bytes = 0u64;
        for result in results {
            require_words("a result", result.storage)?;
            bytes = bytes.saturating_add(result.bytes());
        }
        let staging = Staging { bytes, results: results.into(), free: Arc::default() };
        // What the adapter refuses is told now, and not by the first run.
        drop(staging.lend(device)?);
        Ok(staging)
    }

    /// A buffer for a run.
    pub(super) fn lend(&self, device: &GpuDevice) -> Result<Passage, Error> {
        let results = Arc::clone(&self.results);
        if self.bytes == 0 {
            return Ok(Passage { lent: None, results });
        }
        let free = self.free.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match free {
            Some(buffer) => buffer,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                create(device, "the results of a run", self.bytes, device.limits().max_buffer_size, usage)?
            }
        };
        Ok(Passage { lent: Some(Lent { buffer, free: Arc::clone(&self.free) }), results })
    }
}

impl Passage {
    /// Records the copies out of the storage buffers.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, memory: &GpuMemory) {
        let Some(Lent { buffer, .. }) = &self.lent else { return };
        let mut offset = 0;
        for result in self.results.iter().filter(|result| result.elements > 0) {
            let place = memory.place(result.index);
            let source = memory.buffer(place.buffer);
            encoder.copy_buffer_to_buffer(source, place.offset, buffer, offset, result.bytes());
            offset += result.bytes();
        }
    }

    /// The results of the submission that holds the recorded copies. How long they take is measured from when it began.
    pub(super) fn arrive(
        self,
        device: &GpuDevice,
        submission: wgpu::SubmissionIndex,
        begun: Option<Begun>,
    ) -> Result<Arrival, Error> {
        let Passage { lent, results } = self;
        let Some(lent) = lent.map(Arc::new) else {
            let submitted = Submitted::new(device, Some(submission)).measured(begun);
            return Ok(Arrival { submitted, lent: None, results, is_taken: false });
        };
        let answer = Answer::new();
        let (mapped, left) = (Arc::clone(&lent), Arc::clone(&answer));
        device.scoped("the results of a run", lent.buffer.size(), || {
            lent.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
                let is_mapped = result.is_ok();
                if !left.say(result.map_err(|wgpu::BufferAsyncError| None)) && is_mapped {
                    mapped.buffer.unmap();
                }
            });
        })?;
        let submitted = Submitted::answered_apart(device, submission, answer).measured(begun);
        Ok(Arrival { submitted, lent: Some(lent), results, is_taken: false })
    }
}

impl Arrival {
    /// No results, but that all which was submitted up to then is done; none for all that there is.
    pub(super) fn of_nothing(submitted: Submitted) -> Self {
        Arrival { submitted, lent: None, results: Arc::from([]), is_taken: false }
    }

    /// Blocks until they have arrived. In a browser they must have arrived before: [`Error::CannotWait`].
    pub(crate) fn wait(mut self) -> Result<Vec<Elements>, Error> {
        self.submitted.wait()?;
        self.take()
    }

    /// The results if they have arrived; else whoever polls is woken when they have.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Vec<Elements>, Error>> {
        match ready!(self.submitted.poll(context)) {
            Ok(()) => Poll::Ready(self.take()),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Decodes what has arrived.
    fn take(&mut self) -> Result<Vec<Elements>, Error> {
        let device = self.submitted.device().clone();
        let Some(lent) = &self.lent else {
            return Ok(self.results.iter().map(|result| Elements::empty(result.storage)).collect());
        };
        let decoded = {
            let view = lent.buffer.get_mapped_range(..).map_err(|error| device.error(error.to_string()))?;
            let mut rest: &[u8] = &view;
            let mut decoded = Vec::with_capacity(self.results.len());
            for result in self.results.iter() {
                let (bytes, behind) = rest.split_at(result.bytes() as usize);
                decoded.push(decode(result.storage, bytes, result.elements));
                rest = behind;
            }
            decoded
        };
        lent.buffer.unmap();
        self.is_taken = true;
        // What a lost device leaves in the buffer is not a result.
        device.check()?;
        Ok(decoded)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // What arrives later is unmapped by who would have told it.
        let has_arrived = matches!(self.submitted.abandon(), Some(Ok(())));
        if let (Some(lent), true, false) = (&self.lent, has_arrived, self.is_taken) {
            lent.buffer.unmap();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.free.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.buffer.clone());
    }
}

#[cfg(target_family = "wasm")]
impl Drop for Free {
    fn drop(&mut self) {
        // A browser gives memory back when it collects its garbage, which may be late.
        for buffer in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            buffer.destroy();
        }
    }
}

impl GpuMemory {
    /// The first elements of a buffer, once all that was submitted before has been done.
    pub(crate) fn read(&self, index: u32, storage: StorageType, elements: usize) -> Result<Elements, Error> {
        Ok(self.read_later(&[Readback { index, storage, elements }])?.wait()?.remove(0))
    }

    /// The first elements of buffers as they are once all that was submitted before has been done.
    pub(crate) fn read_later(&self, reads: &[Readback]) -> Result<Arrival, Error> {
        let passage = Staging::new(&self.device, reads)?.lend(&self.device)?;
        let submission = self.device.scoped("a readback", 0, || {
            let mut encoder = self.device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            passage.record(&mut encoder, self);
            self.device.submit([encoder.finish()])
        })?;
        passage.arrive(&self.device, submission, None)
    }

    /// That the device has done all that was submitted to it.
    pub(crate) fn all_done(&self) -> Result<Arrival, Error> {
        self.device.check()?;
        Ok(Arrival::of_nothing(Submitted::new(&self.device, None)))
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
        assert_eq!(
            decode(StorageType::F32, bytemuck::cast_slice(&[1.5f32, -0.0]), 2),
            Elements::F32(vec![1.5, -0.0].into())
        );
        assert_eq!(
            decode(StorageType::I32, bytemuck::cast_slice(&[-7i32, i32::MAX]), 2),
            Elements::I32(vec![-7, i32::MAX].into())
        );
        assert_eq!(
            decode(StorageType::Bool, bytemuck::cast_slice(&[0u32, 1, 256]), 3),
            Elements::Bool(vec![0, 1, 1].into())
        );
    }
}
