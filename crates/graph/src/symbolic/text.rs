//! The text form of nodes, which the parser reads back to the same function.
//!
//! Parentheses are written where the parser needs them, so the nodes that come back are these, up to the place of a minus
//! sign and of a selection. Selections that a product implies by its own factors are not written ([`implied`]).
//!
//! [`implied`]: crate::symbolic::implied

use std::borrow::Cow;

use crate::arena::Arena;
use crate::node::NodeId;
use crate::symbolic::form::{self, Form, FormulaFunction, Side};
use crate::symbolic::implied::{Selected, Selection, selected};
use crate::symbolic::render::{Binding, Piece, number, text};

/// What one node is written as.
pub(super) fn pieces(arena: &Arena, id: NodeId, least: Binding, out: &mut Vec<Piece>) {
    let form = Form::of(arena, id);
    let own = binding(form);
    let enclosed = own < least;
    if enclosed {
        out.push(text("("));
    }
    match form {
        Form::Number(value) if value == std::f64::consts::PI => out.push(text("pi")),
        Form::Number(value) => out.push(Piece::Text(Cow::Owned(number(value)))),
        Form::Symbol(declaration) => {
            let name = arena.declarations.get(declaration as usize).map_or("", |declaration| &declaration.name);
            out.push(Piece::Text(Cow::Owned(name.to_owned())));
        }
        Form::Negation(x) => out.extend([text("-"), Piece::Node(x, Binding::Product)]),
        Form::Sum(a, b) | Form::Difference(a, b) => {
            let (negated, b) = form::without_sign(arena, b);
            let minus = negated != matches!(form, Form::Difference(..));
            infix(out, (a, Binding::Sum), if minus { " - " } else { " + " }, (b, Binding::Product));
        }
        Form::Product(a, b) => infix(out, (a, Binding::Product), "*", (b, Binding::Factor)),
        Form::Quotient(a, b) => infix(out, (a, Binding::Product), "/", (b, Binding::Factor)),
        Form::Power(a, b) => infix(out, (a, Binding::Atom), "^", (b, Binding::Power)),
        Form::Call(function, x) => call(out, function, x),
        Form::Masked(..) | Form::Guarded(..) => selection(out, arena, id),
        Form::Same(x) => out.push(Piece::Node(x, least)),
        Form::Foreign => out.push(text("undefined")),
    }
    if enclosed {
        out.push(text(")"));
    }
}

fn infix(out: &mut Vec<Piece>, lhs: (NodeId, Binding), operator: &'static str, rhs: (NodeId, Binding)) {
    out.extend([Piece::Node(lhs.0, lhs.1), text(operator), Piece::Node(rhs.0, rhs.1)]);
}

fn call(out: &mut Vec<Piece>, function: FormulaFunction, x: NodeId) {
    out.extend([text(function.name()), text("("), Piece::Node(x, Binding::Sum), text(")")]);
}

/// A value and what selects it, but for what the value implies itself.
fn selection(out: &mut Vec<Piece>, arena: &Arena, id: NodeId) {
    let Selected { value, selections } = selected(arena, id);
    out.push(Piece::Node(value, Binding::Product));
    for selection in selections {
        out.push(text("*step("));
        match selection {
            Selection::Step(condition) => out.push(Piece::Node(condition, Binding::Sum)),
            Selection::Edge(edge) => {
                out.extend([text("abs("), Piece::Node(edge.base, Binding::Sum)]);
                match edge.side {
                    Side::Zero => out.extend([text(") + abs("), Piece::Node(edge.exponent, Binding::Sum), text(")")]),
                    Side::NotNegative => {
                        out.extend([text(") + relu(-"), Piece::Node(edge.exponent, Binding::Power), text(")")]);
                    }
                }
            }
        }
        out.push(text(")"));
    }
}

fn binding(form: Form) -> Binding {
    match form {
        Form::Number(value) if value.is_sign_negative() => Binding::Product,
        Form::Number(_) | Form::Symbol(_) | Form::Call(..) | Form::Foreign => Binding::Atom,
        Form::Sum(..) | Form::Difference(..) => Binding::Sum,
        Form::Negation(_) | Form::Product(..) | Form::Quotient(..) | Form::Masked(..) | Form::Guarded(..) => {
            Binding::Product
        }
        Form::Power(..) => Binding::Power,
        // The node that it stands for is asked in its turn.
        Form::Same(_) => Binding::Atom,
    }
}
