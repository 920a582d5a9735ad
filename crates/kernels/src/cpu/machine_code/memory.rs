//! Memory that holds instructions.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use memmap2::{Mmap, MmapMut};

use super::Entry;

/// The most mappings at once: a process may have some 65,000 in all, of which each of these is one.
const MOST: usize = 8192;

/// Mappings by their bytes.
type Shared = HashMap<Box<[u8]>, Weak<Mmap>>;

/// The functions that live, by their bytes: kernels of one structure share theirs, as those of a network's layers do.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

/// A function of machine code, which is never written again.
#[derive(Clone, Debug)]
pub(super) struct Function {
    memory: Arc<Mmap>,
    /// Where its first instruction is.
    start: usize,
}

impl Function {
    /// The bytes as a function that begins at byte `start` of them, if the system lets a process write code and there is not too much of it.
    pub(super) fn new(bytes: &[u8], start: usize) -> Option<Function> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = shared.get(bytes).and_then(Weak::upgrade) {
            return Some(Function { memory, start });
        }
        if shared.len() >= MOST {
            shared.retain(|_, memory| memory.strong_count() > 0);
        }
        if shared.len() >= MOST {
            return None;
        }
        let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
        memory.copy_from_slice(bytes);
        let memory = Arc::new(memory.make_exec().ok()?);
        shared.insert(bytes.into(), Arc::downgrade(&memory));
        Some(Function { memory, start })
    }

    /// Calls it.
    ///
    /// # Safety
    /// The bytes are a function of the System V calling convention that takes the address of its entries and how many bytes of 32-bit lanes it goes over, which
    /// for the processor that it runs on is defined, and which reads and writes nothing but what stands there at these entries for so long.
    pub(super) unsafe fn call(&self, entries: &[Entry], bytes: usize) {
        let address = &raw const self.memory[self.start];
        // SAFETY: the caller says that a function of this type stands there; the memory may be executed and lives as long as `self`.
        unsafe {
            let function = std::mem::transmute::<*const u8, unsafe extern "sysv64" fn(*const Entry, usize)>(address);
            function(entries.as_ptr(), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_functions_share_their_memory() {
        // `ret`, behind bytes that no other test has.
        let bytes = [7, 1, 7, 2, 0xC3];
        let [first, second] = [(); 2].map(|()| Function::new(&bytes, 4).expect("a process may write code here"));
        assert!(Arc::ptr_eq(&first.memory, &second.memory));
        // SAFETY: it returns.
        unsafe { second.call(&[], 0) };
        drop((first, second));
        let is_gone = |shared: &Shared| shared.get(&bytes[..]).is_none_or(|memory| memory.strong_count() == 0);
        assert!(is_gone(&SHARED.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}
