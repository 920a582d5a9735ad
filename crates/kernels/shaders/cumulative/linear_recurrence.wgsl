// What a run makes of the result before it: mantissa * 2^exponent * before + value.
struct Total {
    mantissa: f32,
    exponent: i32,
    value: f32,
}

fn start(position: u32, index: u32) -> Total {
    let factor = scaled(factors[position]);
    return Total(factor.mantissa, factor.exponent, operand[position]);
}

fn append(first: Total, second: Total) -> Total {
    let factor = Scaled(second.mantissa, second.exponent);
    let both = scaled_product(Scaled(first.mantissa, first.exponent), factor);
    let before = value_of(scaled_product(factor, scaled(first.value)));
    return Total(both.mantissa, both.exponent, before + second.value);
}

fn begin(total: Total) -> Total {
    return total;
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return Total(total.mantissa, total.exponent, factors[position] * total.value + operand[position]);
}

fn result_of(total: Total) -> f32 {
    return total.value;
}
