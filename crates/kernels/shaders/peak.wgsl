// peak: multiplications and additions of registers and nothing else: what a device can do at most.
//
// Each invocation has three vectors of sums that do not wait for one another. Lines between `for each step` and `end` stand UNROLLED times.
//
// Bindings: result (read_write), a number an invocation, so that nothing is left out.
// Generated: Parameters, flat, WORKGROUP_SIZE.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = flat(id);
    if index >= parameters.invocations {
        return;
    }
    let factor = vec4<f32>(parameters.factor);
    let term = vec4<f32>(parameters.term);
    var a = vec4<f32>(f32(index & 3u), 1.0, 2.0, 3.0);
    var b = a + term;
    var c = b + term;
    for (var round = 0u; round < parameters.rounds; round += 1u) {
        //for each step
        a = fma(a, factor, term);
        b = fma(b, factor, term);
        c = fma(c, factor, term);
        //end
    }
    let sum = a + b + c;
    result[index] = sum.x + sum.y + sum.z + sum.w;
}
