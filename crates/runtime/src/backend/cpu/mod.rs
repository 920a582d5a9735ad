//! Plans on the CPU: kernels made ready, run in order over host buffers.
//!
//! A run allocates nothing: kernels carry their scratch, buffers are moved out of the table and back while a kernel writes
//! them, and the list that holds them meanwhile keeps its room.

mod driver;

use arenagrad_graph::DType;
use arenagrad_kernels::cpu::{Buffer, Compiled, Operands};

use crate::error::Error;
use crate::plan::PlacedStep;
use crate::tensor::TensorData;

/// The buffers of one session.
#[derive(Default)]
pub(crate) struct CpuMemory {
    buffers: Vec<Buffer>,
}

impl CpuMemory {
    pub(crate) fn allocate(&mut self, what: &str, dtype: DType, elements: usize) -> Result<u32, Error> {
        let size = match dtype {
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
            DType::Bool => 1,
        };
        let bytes = (elements as u64).saturating_mul(size);
        // A refusal must be an error: a trial reservation finds it before the allocation that would abort.
        let fits = usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
        if !fits {
            return Err(Error::OutOfMemory { what: what.to_owned(), bytes });
        }
        self.buffers.push(Buffer::zeros(dtype, elements));
        Ok(self.buffers.len() as u32 - 1)
    }

    /// How many buffers there are.
    pub(crate) fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Gives back all buffers but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.buffers.truncate(len);
    }

    /// How many bytes the buffers take, and how many there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (u64, usize) {
        let bytes = |buffer: &Buffer| match buffer {
            Buffer::F32(elements) => 4 * elements.len(),
            Buffer::F64(elements) => 8 * elements.len(),
            Buffer::I32(elements) => 4 * elements.len(),
            Buffer::Bool(elements) => elements.len(),
        };
        (self.buffers.iter().map(|buffer| bytes(buffer) as u64).sum(), self.buffers.len())
    }

    /// Writes the elements of a tensor from the buffer's start on.
    pub(crate) fn write(&mut self, index: u32, data: &TensorData) {
        match (&mut self.buffers[index as usize], data) {
            (Buffer::F32(buffer), TensorData::F32(data)) => buffer[..data.len()].copy_from_slice(data),
            (Buffer::F64(buffer), TensorData::F64(data)) => buffer[..data.len()].copy_from_slice(data),
            (Buffer::I32(buffer), TensorData::I32(data)) => buffer[..data.len()].copy_from_slice(data),
            (Buffer::Bool(buffer), TensorData::Bool(data)) => buffer[..data.len()].copy_from_slice(data),
            (_, _) => unreachable!("the dtype of what is written was checked against the buffer's"),
        }
    }

    /// The first `elements` elements.
    pub(crate) fn read(&self, index: u32, elements: usize) -> TensorData {
        match &self.buffers[index as usize] {
            Buffer::F32(buffer) => TensorData::F32(buffer[..elements].to_vec()),
            Buffer::F64(buffer) => TensorData::F64(buffer[..elements].to_vec()),
            Buffer::I32(buffer) => TensorData::I32(buffer[..elements].to_vec()),
            Buffer::Bool(buffer) => TensorData::Bool(buffer[..elements].to_vec()),
        }
    }

    /// The first element as a number, without copying.
    pub(crate) fn first(&self, index: u32) -> f64 {
        match &self.buffers[index as usize] {
            Buffer::F32(buffer) => f64::from(buffer[0]),
            Buffer::F64(buffer) => buffer[0],
            Buffer::I32(buffer) => f64::from(buffer[0]),
            Buffer::Bool(buffer) => f64::from(buffer[0]),
        }
    }
}

/// A plan made ready.
#[derive(Default)]
pub(crate) struct CpuExecutable {
    steps: Vec<PlacedRoutine>,
    /// The buffers that the running step writes, out of the table for so long.
    written: Vec<Buffer>,
    /// Whether a step shares its work among threads.
    divides: bool,
}

struct PlacedRoutine {
    kernel: Compiled,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

impl CpuExecutable {
    /// Makes steps ready whose buffer numbers `place` turns into numbers of the session's memory.
    pub(crate) fn new(plan_steps: &[PlacedStep], place: impl Fn(u32) -> u32) -> Self {
        let steps: Vec<PlacedRoutine> = plan_steps
            .iter()
            .map(|step| PlacedRoutine {
                kernel: Compiled::new(&step.kernel),
                inputs: step.inputs.iter().map(|&buffer| place(buffer)).collect(),
                outputs: step.outputs.iter().map(|&buffer| place(buffer)).collect(),
            })
            .collect();
        let widest = steps.iter().map(|step| step.outputs.len()).max().unwrap_or(0);
        let divides = steps.iter().any(|step| step.kernel.divides());
        CpuExecutable { steps, written: Vec::with_capacity(widest), divides }
    }

    pub(crate) fn run(&mut self, memory: &mut CpuMemory) {
        if self.divides {
            // Entering a thread pool costs two wake-ups: once a run, not once a kernel.
            driver::run_in_pool(self, memory);
        } else {
            self.run_steps(memory);
        }
    }

    fn run_steps(&mut self, memory: &mut CpuMemory) {
        let CpuExecutable { steps, written, .. } = self;
        for step in steps {
            for &output in &step.outputs {
                written.push(std::mem::replace(&mut memory.buffers[output as usize], Buffer::F32(Vec::new())));
            }
            let operands = Operands { buffers: &memory.buffers, slots: &step.inputs };
            step.kernel.run(operands, written);
            for (&output, buffer) in step.outputs.iter().zip(written.drain(..)) {
                memory.buffers[output as usize] = buffer;
            }
        }
    }
}
