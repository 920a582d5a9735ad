struct Total {
    mantissa: f32,
    exponent: i32,
}

fn start(position: u32, index: u32) -> Total {
    let x = scaled(operand[position]);
    return Total(x.mantissa, x.exponent);
}

fn append(first: Total, second: Total) -> Total {
    let x = scaled_product(Scaled(first.mantissa, first.exponent), Scaled(second.mantissa, second.exponent));
    return Total(x.mantissa, x.exponent);
}

fn begin(total: Total) -> Total {
    return Total(value_of(Scaled(total.mantissa, total.exponent)), 0);
}

fn step(total: Total, position: u32, index: u32) -> Total {
    return Total(total.mantissa * operand[position], 0);
}

fn result_of(total: Total) -> f32 {
    return total.mantissa;
}
