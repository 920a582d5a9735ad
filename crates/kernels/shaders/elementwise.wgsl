// elementwise: result[i] = program(i, operands at i)
//
// One invocation computes WIDTH neighbouring positions of the domain (4 where everything divides by four, else 1) and writes all
// outputs there. Inputs are read wherever their views put position i: in place, broadcast or strided. What is read at a position
// is read before anything is written there, so an output may share the buffer of a contiguous input.
//
// Bindings: the inputs that the program reads (read), then its outputs (read_write), each contiguous over the domain.
// Generated: Parameters, flat, WIDTH, WORKGROUP_SIZE, write_block and what it calls.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = flat(id);
    if block < parameters.blocks {
        write_block(block * WIDTH);
    }
}
