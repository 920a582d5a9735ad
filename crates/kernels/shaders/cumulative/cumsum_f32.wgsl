struct Total {
    sum: Pair,
}

fn start(position: u32, index: u32) -> Total {
    return Total(Pair(operand[position], 0.0));
}

fn append(first: Total, second: Total) -> Total {
    return Total(pair_sum(first.sum, second.sum));
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return append(total, start(position, index));
}

fn result_of(total: Total) -> f32 {
    return total.sum.value;
}
