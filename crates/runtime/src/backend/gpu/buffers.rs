//! The storage buffers of one session.
//!
//! wgpu tracks hazards for each buffer as a whole, so every tensor, scratch area included, is a buffer of its own and
//! is named by a number. Buffers are not given back before the session ends: what shares a buffer was planned before. Only
//! those of a plan that was refused are, which nothing was written to yet.
//! Elements take one 32-bit word each, or are narrower and share one; the space behind the last one up to a multiple of sixteen bytes belongs to
//! nobody, so that a module may see a buffer as vectors of four.

use arenagrad_graph::{DType, Elements, StorageType};

use super::device::GpuDevice;
use crate::error::Error;

/// The bytes of a word.
pub(super) const WORD_BYTES: u64 = 4;

/// Buffers are as long as a multiple of this many bytes.
const VECTOR_BYTES: u64 = 16;

/// The storage buffers of one session, each named by a number.
pub(crate) struct GpuMemory {
    pub(super) device: GpuDevice,
    buffers: Vec<wgpu::Buffer>,
    /// The buffers for kernels' intermediate results, by the kernels' numbers for them, and how many words each has.
    scratch: Vec<(u32, usize)>,
}

/// A point in the growth of a [`GpuMemory`].
pub(crate) struct MemoryMark {
    buffers: usize,
    scratch: Vec<(u32, usize)>,
}

impl GpuMemory {
    /// No buffers yet.
    pub(crate) fn new(device: &GpuDevice) -> Self {
        GpuMemory { device: device.clone(), buffers: Vec::new(), scratch: Vec::new() }
    }

    /// The present end of the memory.
    pub(crate) fn mark(&self) -> MemoryMark {
        MemoryMark { buffers: self.buffers.len(), scratch: self.scratch.clone() }
    }

    /// Gives back every buffer that was allocated since the mark was taken. Nothing may have been bound to one that still
    /// runs.
    pub(crate) fn rewind(&mut self, mark: MemoryMark) {
        self.buffers.truncate(mark.buffers);
        self.scratch = mark.scratch;
    }

    /// How many bytes the buffers take, and how many there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (u64, usize) {
        (self.buffers.iter().map(wgpu::Buffer::size).sum(), self.buffers.len())
    }

    /// A new buffer of zeros, and its number. `what` names it in errors: it may be larger than the adapter binds, or
    /// than what is left of the memory, or of a dtype that does not exist there.
    pub(crate) fn allocate(&mut self, what: &str, storage: StorageType, elements: usize) -> Result<u32, Error> {
        require_words(what, storage)?;
        let bytes = stored_bytes(storage, elements);
        let size = bytes.max(1).checked_next_multiple_of(VECTOR_BYTES).unwrap_or(u64::MAX);
        let limits = self.device.limits();
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = create(&self.device, what, size, limit, usage)?;
        let index = u32::try_from(self.buffers.len()).expect("fewer buffers than 32 bits can count");
        self.buffers.push(buffer);
        Ok(index)
    }

    /// Replaces the first elements of a buffer, for all runs that start later.
    pub(crate) fn write(&self, index: u32, data: &Elements) -> Result<(), Error> {
        require_words("a written tensor", data.storage())?;
        let mut owned: Vec<u8>;
        let bytes: &[u8] = if let Elements::F32(elements) = data {
            bytemuck::cast_slice(elements)
        } else if let Elements::I32(elements) = data {
            bytemuck::cast_slice(elements)
        } else if let Elements::Bool(elements) = data {
            owned = elements.iter().flat_map(|&element| u32::from(element != 0).to_le_bytes()).collect();
            &owned
        } else {
            // Narrow elements share words; what is past the last is 0.
            owned = data.to_le_bytes();
            owned.resize(owned.len().next_multiple_of(WORD_BYTES as usize), 0);
            &owned
        };
        if bytes.is_empty() {
            return self.device.check();
        }
        let buffer = self.buffer(index);
        self.device
            .scoped("a written tensor", bytes.len() as u64, || self.device.queue().write_buffer(buffer, 0, bytes))
    }

    /// Waits until the device has done all that was submitted to it.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        self.device.wait()
    }

    pub(super) fn buffer(&self, index: u32) -> &wgpu::Buffer {
        &self.buffers[index as usize]
    }

    /// The number of the session's scratch buffer `number`, of at least that many words. All plans of a session share
    /// them: a scratch buffer means something only between the dispatches of one step, and steps run one after another.
    pub(super) fn scratch(&mut self, number: usize, words: usize) -> Result<u32, Error> {
        if let Some(&(index, available)) = self.scratch.get(number)
            && available >= words
        {
            return Ok(index);
        }
        // A plan that was made ready before keeps the smaller buffer that it bound.
        let index = self.allocate("an intermediate result", StorageType::F32, words)?;
        match self.scratch.get_mut(number) {
            Some(entry) => *entry = (index, words),
            None => {
                assert_eq!(number, self.scratch.len(), "scratch buffers are asked for in order");
                self.scratch.push((index, words));
            }
        }
        Ok(index)
    }
}

/// The bytes that elements take in a buffer: whole words.
pub(super) fn stored_bytes(storage: StorageType, elements: usize) -> u64 {
    let size = if storage == StorageType::Bool { WORD_BYTES } else { storage.bytes() as u64 };
    (elements as u64).saturating_mul(size).checked_next_multiple_of(WORD_BYTES).unwrap_or(u64::MAX)
}

/// Refuses a type that does not exist on a GPU.
pub(super) fn require_words(what: &str, storage: StorageType) -> Result<(), Error> {
    match storage.value() {
        DType::F32 | DType::I32 | DType::Bool => Ok(()),
        DType::F64 => Err(Error::Unsupported {
            what: what.to_owned(),
            reason: String::from("f64 does not exist on a GPU; use f32 or the CPU"),
        }),
    }
}

/// A new buffer, if the adapter allows one of that size.
pub(super) fn create(
    device: &GpuDevice,
    what: &str,
    size: u64,
    limit: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, Error> {
    if size > limit {
        let adapter = device.description().name.clone();
        return Err(Error::BufferTooLarge { what: what.to_owned(), bytes: size, limit, adapter });
    }
    let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
    device.scoped(what, size, || device.wgpu().create_buffer(&descriptor))
}
