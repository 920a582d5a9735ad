//! The storage buffers of one session.
//!
//! Every tensor, scratch area included, is named by a number. A large one is a buffer of its own, for wgpu tracks hazards for
//! each buffer as a whole. Small ones stand side by side in *chunks*, so that a dispatch that touches many of them binds few
//! buffers. Where no dispatches are joined, which is what that is for, a chunk has one tensor: WebGPU lets no dispatch bind a tensor
//! twice, as a product of it with itself does, where it may be written, and all of a shared buffer that is written anywhere counts so.
//! What is given back is free for other tensors: a large buffer goes to the device, and a place in a chunk to the next tensor of about
//! its size.
//! Elements take one 32-bit word each, or are narrower and share one; the space behind the last one up to a multiple of sixteen bytes belongs to
//! nobody, so that a module may see a buffer as vectors of four.

use arenagrad_graph::{DType, Elements, StorageType};
use arenagrad_kernels::wgsl::Joining;

use super::device::GpuDevice;
use crate::error::Error;

/// The bytes of a word.
pub(super) const WORD_BYTES: u64 = 4;

/// Buffers are as long as a multiple of this many bytes.
const VECTOR_BYTES: u64 = 16;

/// The most bytes of a tensor that stands in a chunk.
const SMALL_BYTES: u64 = 1 << 14;

/// The bytes of the first chunk; each further one is as large as all before it, up to a limit.
const FIRST_CHUNK_BYTES: u64 = 1 << 16;
const MOST_CHUNK_BYTES: u64 = 1 << 20;

/// The memory of one session: tensors in storage buffers, each tensor named by a number.
pub(crate) struct GpuMemory {
    pub(super) device: GpuDevice,
    /// By their numbers; none where one was given back.
    buffers: Vec<Option<wgpu::Buffer>>,
    /// Where each tensor stands, by its number.
    places: Vec<Place>,
    /// The last chunk, if there is any.
    chunk: Option<Chunk>,
    /// The buffers for kernels' intermediate results, by the kernels' numbers for them, and how many words each has.
    scratch: Vec<(u32, usize)>,
    /// The numbers of tensors that were given back, and of buffers.
    free: Vec<u32>,
    free_buffers: Vec<u32>,
    /// Places in chunks that were given back.
    free_places: Vec<Place>,
    /// The stretches of tensors that have numbers of their own.
    windows: Vec<Window>,
}

/// A stretch of a tensor, which is bound as if it were one.
#[derive(Clone, Copy)]
struct Window {
    tensor: u32,
    index: u32,
}

/// Where a tensor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the memory's buffers.
    pub(super) buffer: u32,
    /// Its first byte there.
    pub(super) offset: u64,
    /// How many bytes are its own.
    pub(super) bytes: u64,
}

/// A buffer for small tensors.
#[derive(Clone, Copy)]
struct Chunk {
    buffer: u32,
    used: u64,
    bytes: u64,
    /// The bytes of all chunks so far.
    all: u64,
}

/// A point in the growth of a [`GpuMemory`].
pub(crate) struct MemoryMark {
    buffers: usize,
    places: usize,
    chunk: Option<Chunk>,
    scratch: Vec<(u32, usize)>,
    free: Vec<u32>,
    free_buffers: Vec<u32>,
    free_places: Vec<Place>,
    windows: usize,
}

impl GpuMemory {
    /// No buffers yet.
    pub(crate) fn new(device: &GpuDevice) -> Self {
        GpuMemory {
            device: device.clone(),
            buffers: Vec::new(),
            places: Vec::new(),
            chunk: None,
            scratch: Vec::new(),
            free: Vec::new(),
            free_buffers: Vec::new(),
            free_places: Vec::new(),
            windows: Vec::new(),
        }
    }

    /// The present end of the memory.
    pub(crate) fn mark(&self) -> MemoryMark {
        MemoryMark {
            buffers: self.buffers.len(),
            places: self.places.len(),
            chunk: self.chunk,
            scratch: self.scratch.clone(),
            free: self.free.clone(),
            free_buffers: self.free_buffers.clone(),
            free_places: self.free_places.clone(),
            windows: self.windows.len(),
        }
    }

    /// Gives back all memory that was allocated since the mark was taken. Nothing may have been written to it, nor be bound to it
    /// that still runs.
    pub(crate) fn rewind(&mut self, mark: MemoryMark) {
        self.buffers.truncate(mark.buffers);
        self.places.truncate(mark.places);
        self.chunk = mark.chunk;
        self.scratch = mark.scratch;
        for &number in &mark.free_buffers {
            self.buffers[number as usize] = None;
        }
        self.free = mark.free;
        self.free_buffers = mark.free_buffers;
        self.free_places = mark.free_places;
        self.windows.truncate(mark.windows);
    }

    /// How many bytes the tensors take, and how many there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (u64, usize) {
        let unused = self.free.iter().copied().chain(self.windows.iter().map(|window| window.index));
        let unused: Vec<u64> = unused.map(|index| self.places[index as usize].bytes).collect();
        let all: u64 = self.places.iter().map(|place| place.bytes).sum();
        (all - unused.iter().sum::<u64>(), self.places.len() - unused.len())
    }

    /// Room for a new tensor, of zeros, and its number. `what` names it in errors: it may be larger than the adapter's buffers, or
    /// than what is left of the memory, or of a dtype that does not exist there. It may be larger than what the adapter binds: see
    /// [`GpuMemory::window`].
    pub(crate) fn allocate(&mut self, what: &str, storage: StorageType, elements: usize) -> Result<u32, Error> {
        require_words(what, storage)?;
        self.device.check()?;
        let size = own_bytes(storage, elements);
        let place = match size <= SMALL_BYTES {
            true => self.small(what, size)?,
            false => Place { buffer: self.buffer_of(what, size)?, offset: 0, bytes: size },
        };
        Ok(self.number(place))
    }

    /// A number for what stands at a place.
    fn number(&mut self, place: Place) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.places[index as usize] = place;
                index
            }
            None => {
                let index = u32::try_from(self.places.len()).expect("fewer tensors than 32 bits can count");
                self.places.push(place);
                index
            }
        }
    }

    /// The most bytes of a tensor that a kernel binds. Tensors take a multiple of vectors, so an adapter's limit that is none is rounded down.
    pub(crate) fn binding_limit(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) & !(VECTOR_BYTES - 1)
    }

    /// The bytes that are a tensor's own.
    pub(crate) fn bytes(&self, index: u32) -> u64 {
        self.place(index).bytes
    }

    /// The device that it is on.
    pub(crate) fn device(&self) -> &GpuDevice {
        &self.device
    }

    /// The most buffers that a kernel binds beside its parameters.
    pub(crate) fn most_bindings(&self) -> usize {
        self.device.limits().max_storage_buffers_per_shader_stage as usize
    }

    /// The error of something that is too large to be bound.
    pub(crate) fn too_large(&self, what: &str, bytes: u64) -> Error {
        let (limit, adapter) = (self.binding_limit(), self.device.description().name.clone());
        Error::BufferTooLarge { what: what.to_owned(), bytes, limit, adapter, origin: None }
    }

    /// A number for so many bytes of a tensor from one on that is a multiple of the adapter's alignment. It is given back with the tensor.
    pub(crate) fn window(&mut self, tensor: u32, offset: u64, bytes: u64) -> u32 {
        let place = self.place(tensor);
        let bytes = bytes.next_multiple_of(VECTOR_BYTES).min(place.bytes - offset);
        let place = Place { buffer: place.buffer, offset: place.offset + offset, bytes };
        let mut known = self.windows.iter().filter(|window| window.tensor == tensor).map(|window| window.index);
        if let Some(index) = known.find(|&index| self.place(index) == place) {
            return index;
        }
        let index = self.number(place);
        self.windows.push(Window { tensor, index });
        index
    }

    /// Gives back a tensor that nothing will use any more. What has been submitted keeps its buffer until it is done.
    pub(crate) fn release(&mut self, index: u32) {
        let place = self.place(index);
        let GpuMemory { windows, free, .. } = self;
        windows.retain(|window| {
            let is_of_another = window.tensor != index;
            if !is_of_another {
                free.push(window.index);
            }
            is_of_another
        });
        if place.bytes <= SMALL_BYTES {
            self.free_places.push(place);
        } else {
            // A browser would give it back when it collects its garbage, which may be late.
            #[cfg(target_family = "wasm")]
            self.buffer(place.buffer).destroy();
            self.buffers[place.buffer as usize] = None;
            self.free_buffers.push(place.buffer);
        }
        self.free.push(index);
    }

    /// Room for so many bytes in a chunk: a place of about that size that was given back, or a new one.
    fn small(&mut self, what: &str, size: u64) -> Result<Place, Error> {
        let fits = |place: &Place| place.bytes >= size && place.bytes / 2 <= size;
        let fitting = (0..self.free_places.len()).filter(|&number| fits(&self.free_places[number]));
        if let Some(number) = fitting.min_by_key(|&number| self.free_places[number].bytes) {
            return Ok(self.free_places.swap_remove(number));
        }
        if self.device.joining() == Joining::Never {
            return Ok(Place { buffer: self.buffer_of(what, size)?, offset: 0, bytes: size });
        }
        let alignment = u64::from(self.device.limits().min_storage_buffer_offset_alignment).max(VECTOR_BYTES);
        let room = size.next_multiple_of(alignment);
        let chunk = match self.chunk {
            Some(chunk) if chunk.bytes - chunk.used >= room => chunk,
            last => {
                let all = last.map_or(0, |chunk| chunk.all);
                let bytes = all.clamp(FIRST_CHUNK_BYTES, MOST_CHUNK_BYTES);
                Chunk { buffer: self.buffer_of(what, bytes)?, used: 0, bytes, all: all + bytes }
            }
        };
        self.chunk = Some(Chunk { used: chunk.used + room, ..chunk });
        Ok(Place { buffer: chunk.buffer, offset: chunk.used, bytes: size })
    }

    /// A new buffer, and its number.
    fn buffer_of(&mut self, what: &str, size: u64) -> Result<u32, Error> {
        let limit = self.device.limits().max_buffer_size;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = create(&self.device, what, size, limit, usage)?;
        match self.free_buffers.pop() {
            Some(number) => {
                self.buffers[number as usize] = Some(buffer);
                Ok(number)
            }
            None => {
                let number = u32::try_from(self.buffers.len()).expect("fewer buffers than 32 bits can count");
                self.buffers.push(Some(buffer));
                Ok(number)
            }
        }
    }

    /// Replaces the first elements of a tensor, for all runs that start later.
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
        let place = self.place(index);
        self.device.upload("a written tensor", self.buffer(place.buffer), place.offset, bytes)
    }

    /// Waits until the device has done all that was submitted to it.
    #[cfg(test)]
    pub(crate) fn wait(&self) -> Result<(), Error> {
        self.device.wait()
    }

    /// Where a tensor stands.
    pub(super) fn place(&self, index: u32) -> Place {
        self.places[index as usize]
    }

    /// The buffer of that number, as places have it.
    pub(super) fn buffer(&self, number: u32) -> &wgpu::Buffer {
        self.buffers[number as usize].as_ref().expect("a buffer in use was not given back")
    }

    /// The number of the session's scratch buffer `number`, of at least that many words. All plans of a session share
    /// them: a scratch buffer means something only between the dispatches of one step, and steps run one after another.
    pub(super) fn scratch(&mut self, number: usize, words: usize) -> Result<u32, Error> {
        if let Some(&(index, available)) = self.scratch.get(number)
            && available >= words
        {
            return Ok(index);
        }
        // A plan that was made ready before keeps the smaller buffer that it bound. Growth is by factors of two, so that all of them
        // together are not larger than the last.
        let most = usize::try_from(self.binding_limit() / WORD_BYTES).unwrap_or(usize::MAX);
        let words = if number < self.scratch.len() { words.next_power_of_two().min(most).max(words) } else { words };
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

#[cfg(target_family = "wasm")]
impl Drop for GpuMemory {
    fn drop(&mut self) {
        // A browser gives memory back when it collects its garbage, which may be late.
        for buffer in self.buffers.iter().flatten() {
            buffer.destroy();
        }
    }
}

/// The bytes that elements take in a buffer: whole words.
pub(super) fn stored_bytes(storage: StorageType, elements: usize) -> u64 {
    let size = if storage == StorageType::Bool { WORD_BYTES } else { storage.bytes() as u64 };
    (elements as u64).saturating_mul(size).checked_next_multiple_of(WORD_BYTES).unwrap_or(u64::MAX)
}

/// The bytes of a buffer that are a tensor's own, what is behind the last element included.
pub(crate) fn own_bytes(storage: StorageType, elements: usize) -> u64 {
    stored_bytes(storage, elements).max(1).checked_next_multiple_of(VECTOR_BYTES).unwrap_or(u64::MAX)
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
        return Err(Error::BufferTooLarge { what: what.to_owned(), bytes: size, limit, adapter, origin: None });
    }
    let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
    device.scoped(what, size, || device.wgpu().create_buffer(&descriptor))
}
