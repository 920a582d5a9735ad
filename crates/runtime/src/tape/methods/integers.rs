//! Bits of integers, of variables.

methods! {
    /// The bits that both have.
    bitwise_and(rhs;);
    /// The bits that either has.
    bitwise_or(rhs;);
    /// The bits that one has and the other has not.
    bitwise_xor(rhs;);
    /// The bits that it has not.
    bitwise_not(;);
    /// The bits moved up by so many places.
    shift_left(rhs;);
    /// The bits moved down by so many places, the sign moving in.
    shift_right(rhs;);
}
