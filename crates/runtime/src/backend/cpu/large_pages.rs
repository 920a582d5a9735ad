//! Large pages for large buffers.
//!
//! A processor keeps the places of some thousand pages at hand, and waits for those of others. Of the usual 4 KiB a buffer of 4 MiB has as many by
//! itself. Linux gives memory pages of 2 MiB where a program asks for them, and where it has none nothing changes: this is advice.

use arenagrad_graph::Elements;

/// The bytes from which a buffer is sure to have a large page within it, wherever it begins.
const LEAST: usize = 4 << 20;

/// Asks the system to put elements in large pages, before they are touched for the first time.
pub(super) fn ask_for(elements: &Elements) {
    // SAFETY: it asks for nothing but the size of a page.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    if elements.bytes() < LEAST || page == 0 {
        return;
    }
    let start = elements.address().next_multiple_of(page);
    let end = (elements.address() + elements.bytes()) / page * page;
    // SAFETY: the pages lie within the elements, and the advice changes nothing in what they hold. A refusal leaves small pages.
    unsafe { libc::madvise(std::ptr::without_provenance_mut(start), end - start, libc::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::StorageType;

    use super::super::CpuMemory;

    /// What the system notes of the mapping at an address.
    fn flags(address: usize) -> String {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_within = false;
        for line in text.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let range = range.and_then(|(start, end)| {
                Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
            });
            if let Some(range) = range {
                is_within = range.contains(&address);
            } else if is_within && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.to_owned();
            }
        }
        panic!("no mapping at {address:x} in\n{text}");
    }

    #[test]
    fn large_buffers_ask_for_large_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return;
        }
        let buffer = |elements| CpuMemory::zeros("x", StorageType::F32, elements).unwrap();
        let (large, small) = (buffer(3 << 20), buffer(100 << 10));
        let asked = |address: usize| flags(address).split_whitespace().any(|flag| flag == "hg");
        assert!(asked(large.address() + (large.bytes() / 2)));
        assert!(!asked(small.address() + (small.bytes() / 2)));
    }
}
