// A number as the sum of two of f32: `value` is the sum rounded, and `lost` what that rounding took from it, 0 where `value` is infinite
// or NaN.
struct Pair {
    value: f32,
    lost: f32,
}

fn is_finite_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// The sum of two numbers of which the second is small beside the first.
fn pair_of(value: f32, lost: f32) -> Pair {
    let sum = value + lost;
    // What an infinity loses is not a number. A loss of nothing would make 0 of -0.
    if (lost == 0.0) | !is_finite_f32(sum) {
        return Pair(value, 0.0);
    }
    return Pair(sum, (value - sum) + lost);
}

// Knuth's exact sum of the values: what the addition loses is known.
fn pair_sum(x: Pair, y: Pair) -> Pair {
    let sum = x.value + y.value;
    let other = sum - x.value;
    let lost = (x.value - (sum - other)) + (y.value - other);
    return pair_of(sum, lost + (x.lost + y.lost));
}

// The upper 12 bits of a number. A product of two such numbers is exact, whether or not an adapter fuses it with a sum.
fn leading_bits(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

// Dekker's exact product of the values, and those of the values and what was lost.
fn pair_product(x: Pair, y: Pair) -> Pair {
    let product = x.value * y.value;
    let x_upper = leading_bits(x.value);
    let y_upper = leading_bits(y.value);
    let x_lower = x.value - x_upper;
    let y_lower = y.value - y_upper;
    let lost = ((x_upper * y_upper - product) + x_upper * y_lower + x_lower * y_upper) + x_lower * y_lower;
    return pair_of(product, lost + (x.value * y.lost + x.lost * y.value));
}
