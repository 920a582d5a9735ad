struct Total {
    mantissa: Pair,
    exponent: i32,
}

fn start(position: u32, index: u32) -> Total {
    let x = scaled(Pair(operand[position], 0.0));
    return Total(x.mantissa, x.exponent);
}

fn append(first: Total, second: Total) -> Total {
    let x = scaled_product(Scaled(first.mantissa, first.exponent), Scaled(second.mantissa, second.exponent));
    return Total(x.mantissa, x.exponent);
}

fn begin(total: Total) -> Total {
    return total;
}

// What has left the range of f32 may come back, by a small factor or by 0. What has left that of f64 does not within a chunk, as on the CPU.
fn step(total: Total, position: u32, index: u32) -> Total {
    let product = append(total, start(position, index));
    let bits = bitcast<u32>(product.mantissa.value);
    if (bits & 0x7f800000u) == 0x7f800000u {
        // An infinity or NaN is one at any scale.
        return Total(product.mantissa, 0);
    }
    let magnitude = product.exponent + i32((bits >> 23u) & 0xffu) - 127;
    if magnitude >= 1024 {
        let end = bitcast<f32>((bits & 0x80000000u) | select(0u, 0x7f800000u, product.mantissa.value != 0.0));
        return Total(Pair(end, 0.0), 0);
    }
    if magnitude < -1075 {
        return Total(Pair(bitcast<f32>(bits & 0x80000000u), 0.0), 0);
    }
    return product;
}

fn result_of(total: Total) -> f32 {
    return unscaled(Scaled(total.mantissa, total.exponent)).value;
}
