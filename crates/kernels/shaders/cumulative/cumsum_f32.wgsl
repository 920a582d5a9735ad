// A sum, and what rounding has taken from it.
struct Total {
    sum: f32,
    lost: f32,
}

fn start(position: u32, index: u32) -> Total {
    return Total(operand[position], 0.0);
}

fn append(first: Total, second: Total) -> Total {
    // Knuth's exact sum: what an addition loses is known.
    let sum = first.sum + second.sum;
    let other = sum - first.sum;
    let lost = (first.sum - (sum - other)) + (second.sum - other);
    return Total(sum, first.lost + second.lost + lost);
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return append(total, start(position, index));
}

fn result_of(total: Total) -> f32 {
    // Past the largest number nothing is lost by rounding, and what stands in `lost` is not a number. A loss of nothing would make 0 of -0.
    let is_finite = (bitcast<u32>(total.sum) & 0x7f800000u) != 0x7f800000u;
    return select(total.sum, total.sum + total.lost, is_finite & (total.lost != 0.0));
}
