//! Writing a formula from its nodes, in whatever notation, with a stack instead of recursion.

use std::borrow::Cow;
use std::fmt;

use crate::arena::Arena;
use crate::node::NodeId;

/// How tightly what a node is written as holds together. What stands in a place that needs more is put in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binding {
    /// `a + b`
    Sum,
    /// `a*b`, `a/b`, `-a`
    Product,
    /// The right operand of a product, which may not begin with a sign.
    Factor,
    /// `a^b`
    Power,
    /// A number, a name, a call, or anything in parentheses.
    Atom,
}

/// A part of what a node is written as.
pub(super) enum Piece {
    Text(Cow<'static, str>),
    /// A node, and how tightly it must hold together where it stands.
    Node(NodeId, Binding),
}

/// Text that does not change.
pub(super) fn text(text: &'static str) -> Piece {
    Piece::Text(Cow::Borrowed(text))
}

/// Writes a node and everything it is made of. `pieces` pushes what one node is written as, from left to right, into an empty
/// list; the binding is that of the place where the node stands.
pub(super) fn write(
    f: &mut dyn fmt::Write,
    arena: &Arena,
    output: NodeId,
    pieces: fn(&Arena, NodeId, Binding, &mut Vec<Piece>),
) -> fmt::Result {
    let mut waiting = vec![Piece::Node(output, Binding::Sum)];
    let mut parts = Vec::new();
    while let Some(piece) = waiting.pop() {
        match piece {
            Piece::Text(text) => f.write_str(&text)?,
            Piece::Node(id, least) => {
                pieces(arena, id, least, &mut parts);
                waiting.extend(parts.drain(..).rev());
            }
        }
    }
    Ok(())
}

/// The shortest digits that give back the value, with an exponent where that is shorter.
pub(super) fn number(value: f64) -> String {
    let plain = (1e-4..1e15).contains(&value.abs()) || value == 0.0 || !value.is_finite();
    if plain { format!("{value}") } else { format!("{value:e}") }
}
