// A product, which wraps.
struct Total {
    product: i32,
}

fn start(position: u32, index: u32) -> Total {
    return Total(operand[position]);
}

fn append(first: Total, second: Total) -> Total {
    return Total(first.product * second.product);
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return append(total, start(position, index));
}

fn result_of(total: Total) -> i32 {
    return total.product;
}
