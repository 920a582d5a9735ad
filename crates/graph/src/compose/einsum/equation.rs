//! Equations of labels, read for the shapes of some operands.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

use super::Label;

/// Labels are numbered: first the letters, upper case before lower, then the axes that ellipses stand for, the first of them first.
const LETTERS: Label = 52;

/// An equation that fits its operands.
#[derive(Debug)]
pub(super) struct Equation {
    /// A label for each axis of each operand. An operand may repeat one.
    pub(super) operands: Vec<Vec<Label>>,
    /// A label for each axis of the result, each once.
    pub(super) result: Vec<Label>,
    extents: Vec<usize>,
}

impl Equation {
    /// The extents of labels.
    pub(super) fn extents(&self) -> impl Fn(Label) -> usize {
        |label| self.extents[label as usize]
    }

    /// Reads an equation for operands of those shapes.
    pub(super) fn read(
        text: &str,
        operands: &[Expr<'_>],
        shapes: &[Shape],
        origin: Origin,
    ) -> Result<Equation, GraphError> {
        let wrong = |column: usize, problem: String| GraphError::Equation {
            origin,
            op: "einsum",
            equation: text.to_owned(),
            column,
            problem,
        };
        let parsed = parse(text).map_err(|(column, problem)| wrong(column, problem))?;
        if parsed.terms.len() != shapes.len() {
            let (terms, operands) = (parsed.terms.len(), shapes.len());
            let column = parsed.terms.get(operands).map_or(parsed.end, |term| term.column);
            return Err(wrong(column, format!("the equation has {terms} terms, but there are {operands} operands")));
        }
        let mut ellipsis = 0;
        for ((term, shape), operand) in parsed.terms.iter().zip(shapes).zip(operands) {
            let letters = term.letters();
            let fits = if term.ellipsis().is_some() { letters <= shape.rank() } else { letters == shape.rank() };
            if !fits {
                let (operand, rank) = (operand.describe(), shape.rank());
                let problem = format!("{letters} labels do not fit {operand} of shape {shape} (rank {rank})");
                return Err(wrong(term.column, problem));
            }
            if term.ellipsis().is_some() {
                ellipsis = ellipsis.max(shape.rank() - letters);
            }
        }
        let mut extents: Vec<Option<usize>> = vec![None; LETTERS as usize + ellipsis];
        let mut labelled = Vec::with_capacity(shapes.len());
        for ((term, shape), operand) in parsed.terms.iter().zip(shapes).zip(operands) {
            let further = shape.rank() - term.letters();
            let labels = term.labels(ellipsis, further);
            for (axis, &(label, column)) in labels.iter().enumerate() {
                let repeated = labels[..axis].iter().position(|&(other, _)| other == label);
                let disagrees = match (repeated, extents[label as usize]) {
                    // A diagonal is of axes of the same extent.
                    (Some(first), _) if shape[first] != shape[axis] => Some(shape[first]),
                    (_, Some(known)) if known != shape[axis] && known != 1 && shape[axis] != 1 => Some(known),
                    (_, None | Some(1)) => {
                        extents[label as usize] = Some(shape[axis]);
                        None
                    }
                    (_, Some(_)) => None,
                };
                if let Some(known) = disagrees {
                    let (name, operand, extent) = (name(label), operand.describe(), shape[axis]);
                    let problem = format!(
                        "{name} is {known} before, but {extent} along axis {axis} of {operand} of shape {shape}"
                    );
                    return Err(wrong(column, problem));
                }
            }
            labelled.push(labels.into_iter().map(|(label, _)| label).collect::<Vec<Label>>());
        }
        let result = match &parsed.result {
            None => implied(&labelled, ellipsis),
            Some(term) => {
                let labels = term.labels(ellipsis, ellipsis);
                for (at, &(label, column)) in labels.iter().enumerate() {
                    if labels[..at].iter().any(|&(other, _)| other == label) {
                        return Err(wrong(column, format!("the result repeats {}", name(label))));
                    }
                    if extents[label as usize].is_none() {
                        return Err(wrong(column, format!("no operand has {}", name(label))));
                    }
                }
                labels.into_iter().map(|(label, _)| label).collect()
            }
        };
        let extents = extents.into_iter().map(|extent| extent.unwrap_or(1)).collect();
        Ok(Equation { operands: labelled, result, extents })
    }
}

/// What a result without a term has: the axes of ellipses, then the letters that stand once, in their order.
fn implied(operands: &[Vec<Label>], ellipsis: usize) -> Vec<Label> {
    let count = |label: Label| operands.iter().flatten().filter(|&&other| other == label).count();
    let letters = (0..LETTERS).filter(|&label| count(label) == 1);
    (LETTERS..LETTERS + ellipsis as Label).chain(letters).collect()
}

/// How errors refer to a label.
fn name(label: Label) -> String {
    match letter(label) {
        Some(letter) => format!("label {letter:?}"),
        None => format!("axis {} of the ellipsis", label - LETTERS),
    }
}

fn letter(label: Label) -> Option<char> {
    (('A'..='Z').chain('a'..='z')).nth(label as usize)
}

fn label(letter: char) -> Option<Label> {
    match letter {
        'A'..='Z' => Some(u32::from(letter) - u32::from('A')),
        'a'..='z' => Some(u32::from(letter) - u32::from('a') + 26),
        _ => None,
    }
}

/// One operand's or the result's labels, each with its column, counted from 1. `None` is the ellipsis.
struct Term {
    column: usize,
    items: Vec<(Option<Label>, usize)>,
}

impl Term {
    fn letters(&self) -> usize {
        self.items.iter().filter(|(label, _)| label.is_some()).count()
    }

    fn ellipsis(&self) -> Option<usize> {
        self.items.iter().position(|(label, _)| label.is_none())
    }

    /// The labels with the last `further` of `ellipsis` axes in the place of the ellipsis.
    fn labels(&self, ellipsis: usize, further: usize) -> Vec<(Label, usize)> {
        let mut labels = Vec::new();
        for &(item, column) in &self.items {
            match item {
                Some(label) => labels.push((label, column)),
                None => {
                    let axes = LETTERS + (ellipsis - further) as Label..LETTERS + ellipsis as Label;
                    labels.extend(axes.map(|label| (label, column)));
                }
            }
        }
        labels
    }
}

struct Parsed {
    terms: Vec<Term>,
    result: Option<Term>,
    /// The column behind the last.
    end: usize,
}

/// Reads the terms; an error is a column and what is wrong there.
fn parse(text: &str) -> Result<Parsed, (usize, String)> {
    let characters: Vec<char> = text.chars().collect();
    let is = |at: usize, expected: char| characters.get(at) == Some(&expected);
    let mut terms = Vec::new();
    let mut has_result = false;
    let mut term = Term { column: 1, items: Vec::new() };
    let mut at = 0;
    while at < characters.len() {
        let column = at + 1;
        let character = characters[at];
        at += 1;
        if character.is_whitespace() {
            continue;
        }
        if let Some(label) = label(character) {
            term.items.push((Some(label), column));
        } else if character == '.' {
            if !(is(at, '.') && is(at + 1, '.')) {
                return Err((column, "an ellipsis is three points".to_owned()));
            }
            if term.ellipsis().is_some() {
                return Err((column, "a term has one ellipsis at most".to_owned()));
            }
            term.items.push((None, column));
            at += 2;
        } else if character == ',' {
            if has_result {
                return Err((column, "there is one result, so no comma may stand behind the arrow".to_owned()));
            }
            terms.push(std::mem::replace(&mut term, Term { column: at + 1, items: Vec::new() }));
        } else if character == '-' {
            if !is(at, '>') {
                return Err((column, "an arrow is \"->\"".to_owned()));
            }
            if has_result {
                return Err((column, "there is one arrow at most".to_owned()));
            }
            at += 1;
            has_result = true;
            terms.push(std::mem::replace(&mut term, Term { column: at + 1, items: Vec::new() }));
        } else {
            return Err((column, format!("{character:?} is no label: labels are the letters a to z and A to Z")));
        }
    }
    let end = characters.len() + 1;
    if has_result {
        return Ok(Parsed { terms, result: Some(term), end });
    }
    terms.push(term);
    Ok(Parsed { terms, result: None, end })
}
