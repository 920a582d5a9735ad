// reduce: result[o] = combine over r of element(kept_position(o) + reduced_position(r))
//
// One invocation reduces one chunk of one block of results. A chunk is what lies side by side, or, on a GPU, every chunks-th element,
// so that neighbouring chunks read neighbouring elements. Up to 64 elements go through four accumulators before they join the total,
// which keeps the rounding error of long sums small; the order is fixed, so the result is too. With more than one chunk the totals
// go to scratch, [chunks, results], and a later dispatch reduces those; the last one applies the epilogue.
//
// An Accumulator is one number, or four: of four neighbouring results, or of one result from every fourth element.
//
// Bindings: the inputs of the reduced program (read); in the last dispatch the epilogue's inputs (read) and outputs (read_write),
// before that the scratch (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Accumulator, identity, combine, load_block, kept_position, reduced_position, split, finish.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let part = split(invocation);
    let start = kept_position(part.result);
    let step = parameters.step;
    var position = part.chunk * parameters.chunk_stride;
    let chunk_end = min(parameters.extent, position + parameters.chunk_span);
    var total = identity();
    while position < chunk_end {
        let end = min(chunk_end, position + 64u * step);
        var sum0 = identity();
        var sum1 = identity();
        var sum2 = identity();
        var sum3 = identity();
        while position + 3u * step < end {
            sum0 = combine(sum0, load_block(start + reduced_position(position)));
            sum1 = combine(sum1, load_block(start + reduced_position(position + step)));
            sum2 = combine(sum2, load_block(start + reduced_position(position + 2u * step)));
            sum3 = combine(sum3, load_block(start + reduced_position(position + 3u * step)));
            position += 4u * step;
        }
        while position < end {
            sum0 = combine(sum0, load_block(start + reduced_position(position)));
            position += step;
        }
        total = combine(total, combine(combine(sum0, sum1), combine(sum2, sum3)));
    }
    finish(part, total);
}
