// What a run makes of the result before it: mantissa * 2^exponent * before + sum.
struct Total {
    mantissa: Pair,
    sum: Pair,
    exponent: i32,
}

fn start(position: u32, index: u32) -> Total {
    let factor = scaled(Pair(factors[position], 0.0));
    return Total(factor.mantissa, Pair(operand[position], 0.0), factor.exponent);
}

fn append(first: Total, second: Total) -> Total {
    let factor = Scaled(second.mantissa, second.exponent);
    let both = scaled_product(Scaled(first.mantissa, first.exponent), factor);
    let before = unscaled(scaled_product(factor, scaled(first.sum)));
    return Total(both.mantissa, pair_sum(before, second.sum), both.exponent);
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    let product = pair_product(Pair(factors[position], 0.0), total.sum);
    return Total(total.mantissa, pair_sum(product, Pair(operand[position], 0.0)), total.exponent);
}

fn result_of(total: Total) -> f32 {
    return total.sum.value;
}
