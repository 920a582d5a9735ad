// The element that is found, as an integer that orders as elements do, and its index.
struct Total {
    key: u32,
    index: u32,
}

fn start(position: u32, index: u32) -> Total {
    return Total(key(position), index);
}

fn append(first: Total, second: Total) -> Total {
    // The later of the two, unless the first beats it.
    if second.key >= first.key {
        return second;
    }
    return first;
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return append(total, start(position, index));
}

fn result_of(total: Total) -> i32 {
    return i32(total.index);
}
