//! Nodes in LaTeX, for mathematics mode: fractions, roots and powers as they are set, names in their letters.

use std::borrow::Cow;

use crate::arena::Arena;
use crate::node::NodeId;
use crate::symbolic::form::{self, Form, FormulaFunction, Side};
use crate::symbolic::implied::{Selected, Selection, selected};
use crate::symbolic::render::{Binding, Piece, number, text};

/// What one node is written as.
pub(super) fn pieces(arena: &Arena, id: NodeId, least: Binding, out: &mut Vec<Piece>) {
    let form = Form::of(arena, id);
    let enclosed = binding(form) < least;
    if enclosed {
        out.push(text("\\left("));
    }
    match form {
        Form::Number(value) => out.push(Piece::Text(constant(value))),
        Form::Symbol(declaration) => {
            let name = arena.declarations.get(declaration as usize).map_or("", |declaration| &declaration.name);
            out.push(Piece::Text(Cow::Owned(symbol(name))));
        }
        Form::Negation(x) => out.extend([text("-"), Piece::Node(x, Binding::Product)]),
        Form::Sum(a, b) | Form::Difference(a, b) => {
            let (negated, b) = form::without_sign(arena, b);
            let minus = negated != matches!(form, Form::Difference(..));
            infix(out, (a, Binding::Sum), if minus { " - " } else { " + " }, (b, Binding::Product));
        }
        Form::Product(a, b) => {
            let sign = if starts_with_digit(arena, b) { " \\cdot " } else { " " };
            infix(out, (a, Binding::Product), sign, (b, Binding::Factor));
        }
        Form::Quotient(a, b) => {
            out.extend([
                text("\\frac{"),
                Piece::Node(a, Binding::Sum),
                text("}{"),
                Piece::Node(b, Binding::Sum),
                text("}"),
            ]);
        }
        Form::Power(a, b) => power(out, arena, a, b),
        Form::Call(function, x) => call(out, function, x, None),
        Form::Masked(..) | Form::Guarded(..) => selection(out, arena, id),
        Form::Same(x) => out.push(Piece::Node(x, least)),
        Form::Foreign => out.push(text("\\text{undefined}")),
    }
    if enclosed {
        out.push(text("\\right)"));
    }
}

/// A value and what selects it, but for what the value implies itself.
fn selection(out: &mut Vec<Piece>, arena: &Arena, id: NodeId) {
    let Selected { value, selections } = selected(arena, id);
    out.push(Piece::Node(value, Binding::Product));
    for selection in selections {
        out.push(text(" \\operatorname{step}\\left("));
        match selection {
            Selection::Step(condition) => out.push(Piece::Node(condition, Binding::Sum)),
            Selection::Edge(edge) => {
                out.extend([text("\\left|"), Piece::Node(edge.base, Binding::Sum), text("\\right| + ")]);
                match edge.side {
                    Side::Zero => {
                        out.extend([text("\\left|"), Piece::Node(edge.exponent, Binding::Sum), text("\\right|")]);
                    }
                    Side::NotNegative => {
                        out.push(text("\\operatorname{relu}\\left(-"));
                        out.extend([Piece::Node(edge.exponent, Binding::Power), text("\\right)")]);
                    }
                }
            }
        }
        out.push(text("\\right)"));
    }
}

fn infix(out: &mut Vec<Piece>, lhs: (NodeId, Binding), operator: &'static str, rhs: (NodeId, Binding)) {
    out.extend([Piece::Node(lhs.0, lhs.1), text(operator), Piece::Node(rhs.0, rhs.1)]);
}

fn power(out: &mut Vec<Piece>, arena: &Arena, base: NodeId, exponent: NodeId) {
    // A whole power of a function stands at its name.
    if let (Form::Call(function, x), Form::Number(times)) =
        (Form::resolved(arena, base), Form::resolved(arena, exponent))
        && takes_exponent(function)
        && times > 1.0
        && times.fract() == 0.0
    {
        call(out, function, x, Some(exponent));
        return;
    }
    out.extend([Piece::Node(base, Binding::Atom), text("^{"), Piece::Node(exponent, Binding::Sum), text("}")]);
}

/// A function of a node, with an exponent at its name if there is one.
fn call(out: &mut Vec<Piece>, function: FormulaFunction, x: NodeId, exponent: Option<NodeId>) {
    let (name, open, close) = match function {
        FormulaFunction::Exp => ("", "e^{", "}"),
        FormulaFunction::Sqrt => ("", "\\sqrt{", "}"),
        FormulaFunction::Abs => ("", "\\left|", "\\right|"),
        FormulaFunction::Log => ("\\log", "\\left(", "\\right)"),
        FormulaFunction::Sin => ("\\sin", "\\left(", "\\right)"),
        FormulaFunction::Cos => ("\\cos", "\\left(", "\\right)"),
        FormulaFunction::Tan => ("\\tan", "\\left(", "\\right)"),
        FormulaFunction::Tanh => ("\\tanh", "\\left(", "\\right)"),
        FormulaFunction::Sigmoid => ("\\operatorname{sigmoid}", "\\left(", "\\right)"),
        FormulaFunction::Relu => ("\\operatorname{relu}", "\\left(", "\\right)"),
        FormulaFunction::Sign => ("\\operatorname{sign}", "\\left(", "\\right)"),
        FormulaFunction::Step => ("\\operatorname{step}", "\\left(", "\\right)"),
    };
    out.push(text(name));
    if let Some(exponent) = exponent {
        out.extend([text("^{"), Piece::Node(exponent, Binding::Sum), text("}")]);
    }
    out.extend([text(open), Piece::Node(x, Binding::Sum), text(close)]);
}

/// Whether an exponent is set between the name and the argument.
fn takes_exponent(function: FormulaFunction) -> bool {
    match function {
        FormulaFunction::Log
        | FormulaFunction::Sin
        | FormulaFunction::Cos
        | FormulaFunction::Tan
        | FormulaFunction::Tanh
        | FormulaFunction::Sigmoid
        | FormulaFunction::Relu
        | FormulaFunction::Sign
        | FormulaFunction::Step => true,
        FormulaFunction::Exp | FormulaFunction::Sqrt | FormulaFunction::Abs => false,
    }
}

fn binding(form: Form) -> Binding {
    match form {
        Form::Number(value) if value.is_sign_negative() => Binding::Product,
        // Written with a power of ten.
        Form::Number(value) if number(value).contains('e') => Binding::Product,
        Form::Number(_) | Form::Symbol(_) | Form::Foreign | Form::Same(_) => Binding::Atom,
        Form::Sum(..) | Form::Difference(..) => Binding::Sum,
        Form::Negation(_) | Form::Product(..) | Form::Masked(..) | Form::Guarded(..) => Binding::Product,
        Form::Quotient(..) => Binding::Factor,
        Form::Power(..) | Form::Call(FormulaFunction::Exp | FormulaFunction::Sqrt, _) => Binding::Power,
        Form::Call(..) => Binding::Atom,
    }
}

/// Whether a factor would run into a digit before it.
fn starts_with_digit(arena: &Arena, id: NodeId) -> bool {
    let is_digit = |form| matches!(form, Form::Number(value) if value != std::f64::consts::PI);
    let form = Form::resolved(arena, id);
    is_digit(form) || matches!(form, Form::Power(base, _) if is_digit(Form::resolved(arena, base)))
}

fn constant(value: f64) -> Cow<'static, str> {
    if value == std::f64::consts::PI {
        return Cow::Borrowed("\\pi");
    }
    let digits = number(value);
    match digits.split_once('e') {
        Some((mantissa, exponent)) => Cow::Owned(format!("{mantissa} \\cdot 10^{{{exponent}}}")),
        None => Cow::Owned(digits),
    }
}

/// A name in LaTeX: what follows an underscore, and digits at the end, are set below.
fn symbol(name: &str) -> String {
    let (stem, mut below) = match name.split_once('_') {
        Some((stem, below)) if !stem.is_empty() && !below.is_empty() => (stem, below.to_owned()),
        Some(_) | None => (name, String::new()),
    };
    let letters = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let stem = if letters.is_empty() || letters.len() == stem.len() {
        stem
    } else {
        let digits = &stem[letters.len()..];
        below = if below.is_empty() { digits.to_owned() } else { format!("{digits},{below}") };
        letters
    };
    let stem = word(stem);
    if below.is_empty() { stem } else { format!("{stem}_{{{}}}", word(&below)) }
}

fn word(word: &str) -> String {
    const GREEK: [&str; 34] = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
        "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
        "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "ell",
    ];
    if GREEK.contains(&word) {
        return format!("\\{word}");
    }
    let one_letter = word.chars().count() == 1 && word != "_";
    if one_letter || word.chars().all(|c| c.is_ascii_digit() || c == ',') {
        return word.to_owned();
    }
    format!("\\mathrm{{{}}}", word.replace('_', "\\_"))
}
