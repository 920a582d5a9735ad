//! What methods of the bits of integers say of operands that do not fit.

use arenagrad_graph::{DType, Graph};

use crate::told::says;

#[test]
fn operands_that_are_no_integers() {
    let g = Graph::new();
    let (x, b) = (g.input("x", [1, 3]), g.input_of("b", [3], DType::Bool));
    let (i, long) = (g.input_of("i", [1, 3], DType::I32), g.input_of("long", [4, 2], DType::I32));
    let _ = x.bitwise_and(x);
    says(&g, "bitwise_and: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = x.bitwise_or(1);
    says(&g, "bitwise_or: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = i ^ x;
    says(&g, "bitwise_xor: dtypes differ: \"i\" is i32, \"x\" is f32; cast one of them");
    let _ = x.bitwise_not();
    says(&g, "bitwise_not: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = b << b;
    says(&g, "shift_left: \"b\" is bool, but i32 is needed");
    let _ = x >> 2;
    says(&g, "shift_right: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = i.matmul(long);
    says(&g, "matmul: inner dimensions differ: lhs \"i\" is [1, 3], rhs \"long\" is [4, 2] (3 != 4)");
}
