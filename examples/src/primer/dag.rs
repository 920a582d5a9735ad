//! From expressions such as `xy=ab*xx+ac*xa` to a directed acyclic graph of variables.
//!
//! A name that starts with `x` is a variable and a node; any other name is a learnable parameter and belongs to arcs. There
//! is an arc from each variable on a right side to the variable on the left.
//!
//! Invariants: variables are numbered in topological order, the independent ones first in the order of their first
//! appearance, the others in the order of their definitions as far as dependencies allow. Parameters are numbered in the
//! order of their first appearance. This module knows no values and no derivatives: a right side is a [`Formula`], which the
//! engine evaluates and differentiates.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use arenagrad::symbolic::{Formula, parse};

use super::error::PrimerError;

/// The network that a list of expressions describes.
///
/// ```
/// use arenagrad_examples::primer::Dag;
///
/// let dag = Dag::parse(&["xx=xa^2", "xy=ab*xx+ac*xa"])?;
/// assert_eq!(dag.variable_names(dag.depends_on(2)), ["xa", "xx"]);
/// assert_eq!(dag.variable_names(dag.outputs()), ["xy"]);
/// assert_eq!(dag.parameters(), ["ab", "ac"]);
/// # Ok::<(), arenagrad_examples::primer::PrimerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dag {
    variables: Vec<String>,
    parameters: Vec<String>,
    independent: usize,
    expressions: Vec<Expression>,
    outputs: Vec<usize>,
    depends_on: Vec<Vec<usize>>,
    leads_to: Vec<Vec<usize>>,
}

/// One line of a network: a variable and the formula of its value.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The line as it was given.
    pub text: String,
    /// The number of the variable on the left.
    pub variable: usize,
    /// The right side.
    pub formula: Formula,
    /// The names in the formula, in the order of [`Formula::symbols`].
    pub symbols: Vec<Symbol>,
}

/// What a name in a formula stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// The variable of that number.
    Variable(usize),
    /// The learnable parameter of that number.
    Parameter(usize),
}

impl Dag {
    /// Reads expressions in any order. The outputs are the variables without outgoing arcs.
    ///
    /// Errors: no expressions; one without `=`; a left side that is no name, or is a parameter, or was defined before; a right
    /// side that does not parse; variables that depend on themselves.
    pub fn parse(expressions: &[impl AsRef<str>]) -> Result<Dag, PrimerError> {
        let lines = expressions
            .iter()
            .enumerate()
            .map(|(place, text)| Line::parse(place + 1, text.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if lines.is_empty() {
            return Err(PrimerError::NoExpressions);
        }
        let mut defined: HashMap<&str, usize> = HashMap::new();
        for (place, line) in lines.iter().enumerate() {
            if let Some(first) = defined.insert(&line.name, place) {
                let (number, expression, name) = (place + 1, line.text.clone(), line.name.clone());
                return Err(PrimerError::DefinedTwice { number, expression, name, first: first + 1 });
            }
        }
        let mut seen = HashSet::new();
        let names = lines.iter().flat_map(|line| &line.symbols).filter(|name| seen.insert(name.as_str()));
        let (mut variables, mut parameters) = (Vec::new(), Vec::new());
        for name in names {
            if !is_variable(name) {
                parameters.push(name.clone());
            } else if !defined.contains_key(name.as_str()) {
                variables.push(name.clone());
            }
        }
        let independent = variables.len();
        let order = order(&lines, &defined)?;
        variables.extend(order.iter().map(|&place| lines[place].name.clone()));

        let numbers = |names: &[String]| -> HashMap<String, usize> {
            names.iter().enumerate().map(|(number, name)| (name.clone(), number)).collect()
        };
        let (variable_numbers, parameter_numbers) = (numbers(&variables), numbers(&parameters));
        let expressions: Vec<Expression> = lines
            .into_iter()
            .map(|line| Expression {
                variable: variable_numbers[&line.name],
                symbols: line
                    .symbols
                    .iter()
                    .map(|name| match variable_numbers.get(name) {
                        Some(number) => Symbol::Variable(*number),
                        None => Symbol::Parameter(parameter_numbers[name]),
                    })
                    .collect(),
                text: line.text,
                formula: line.formula,
            })
            .collect();

        let mut depends_on = vec![Vec::new(); variables.len()];
        for expression in &expressions {
            let sources = &mut depends_on[expression.variable];
            sources.extend(expression.symbols.iter().filter_map(|symbol| symbol.variable()));
            sources.sort_unstable();
        }
        let mut leads_to = vec![Vec::new(); variables.len()];
        for (target, sources) in depends_on.iter().enumerate() {
            sources.iter().for_each(|source| leads_to[*source].push(target));
        }
        let outputs = (independent..variables.len()).filter(|variable| leads_to[*variable].is_empty()).collect();
        Ok(Dag { variables, parameters, independent, expressions, outputs, depends_on, leads_to })
    }

    /// The same network with other outputs. A variable that others use may be one.
    ///
    /// Errors: a name that is no variable, an independent variable, or a name given twice.
    pub fn with_outputs(self, names: &[impl AsRef<str>]) -> Result<Dag, PrimerError> {
        let mut outputs = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_ref();
            let Some(variable) = self.variables.iter().position(|variable| variable == name) else {
                let (name, known) = (name.to_owned(), self.variables.join(", "));
                return Err(PrimerError::UnknownOutput { name, known });
            };
            if variable < self.independent {
                return Err(PrimerError::IndependentOutput { name: name.to_owned() });
            }
            if outputs.contains(&variable) {
                return Err(PrimerError::RepeatedOutput { name: name.to_owned() });
            }
            outputs.push(variable);
        }
        Ok(if outputs.is_empty() { self } else { Dag { outputs, ..self } })
    }

    /// The names of all variables, by number.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The names of the learnable parameters, by number.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// How many variables have no expression: the numbers `0..independent()`.
    pub fn independent(&self) -> usize {
        self.independent
    }

    /// The expressions in the order in which they were given.
    pub fn expressions(&self) -> &[Expression] {
        &self.expressions
    }

    /// The expressions in an order in which each uses only variables before it.
    pub fn evaluation_order(&self) -> Vec<&Expression> {
        let mut order: Vec<&Expression> = self.expressions.iter().collect();
        order.sort_by_key(|expression| expression.variable);
        order
    }

    /// The numbers of the output variables.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The variables that `variable` is computed from, in topological order; none for an independent variable or a number out
    /// of range.
    pub fn depends_on(&self, variable: usize) -> &[usize] {
        self.depends_on.get(variable).map_or(&[], Vec::as_slice)
    }

    /// The variables that are computed from `variable`, in topological order; none for a number out of range.
    pub fn leads_to(&self, variable: usize) -> &[usize] {
        self.leads_to.get(variable).map_or(&[], Vec::as_slice)
    }

    /// The names of variables; numbers out of range are left out.
    pub fn variable_names(&self, variables: &[usize]) -> Vec<&str> {
        variables.iter().filter_map(|variable| self.variables.get(*variable)).map(String::as_str).collect()
    }
}

impl Symbol {
    /// The number of the variable, if it is one.
    pub fn variable(self) -> Option<usize> {
        match self {
            Symbol::Variable(number) => Some(number),
            Symbol::Parameter(_) => None,
        }
    }

    /// The number of the parameter, if it is one.
    pub fn parameter(self) -> Option<usize> {
        match self {
            Symbol::Variable(_) => None,
            Symbol::Parameter(number) => Some(number),
        }
    }
}

/// An expression before names have numbers.
struct Line {
    text: String,
    name: String,
    formula: Formula,
    symbols: Vec<String>,
}

impl Line {
    fn parse(number: usize, text: &str) -> Result<Line, PrimerError> {
        let expression = || text.to_owned();
        let Some((left, right)) = text.split_once('=') else {
            return Err(PrimerError::NoEquals { number, expression: expression() });
        };
        let name = left.trim().to_owned();
        let mut characters = name.chars();
        let starts = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !starts || !characters.all(|character| character.is_ascii_alphanumeric() || character == '_') {
            return Err(PrimerError::NotAName { number, expression: expression(), name });
        }
        if !is_variable(&name) {
            return Err(PrimerError::NotAVariable { number, expression: expression(), name });
        }
        let formula = parse(right).map_err(|error| {
            // The parser counts the columns of the right side.
            let column = left.chars().count() + 1 + error.column();
            PrimerError::Syntax { number, expression: expression(), column, problem: error.problem().clone() }
        })?;
        let symbols = formula.symbols();
        Ok(Line { text: text.to_owned(), name, formula, symbols })
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with('x')
}

/// The places of the lines in topological order, the earliest first among those that are ready.
fn order(lines: &[Line], defined: &HashMap<&str, usize>) -> Result<Vec<usize>, PrimerError> {
    let sources: Vec<Vec<usize>> = lines
        .iter()
        .map(|line| line.symbols.iter().filter_map(|name| defined.get(name.as_str()).copied()).collect())
        .collect();
    let mut waiting: Vec<usize> = sources.iter().map(Vec::len).collect();
    let mut users = vec![Vec::new(); lines.len()];
    for (place, sources) in sources.iter().enumerate() {
        sources.iter().for_each(|source| users[*source].push(place));
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..lines.len()).filter(|place| waiting[*place] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(lines.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for user in &users[place] {
            waiting[*user] -= 1;
            if waiting[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    match waiting.iter().position(|count| *count > 0) {
        None => Ok(order),
        Some(start) => Err(PrimerError::Cycle { cycle: cycle(lines, &sources, &waiting, start) }),
    }
}

/// A circle of variables in the direction of the arcs, its first name repeated at the end. `start` waits for ever, and so
/// does at least one source of each line that does.
fn cycle(lines: &[Line], sources: &[Vec<usize>], waiting: &[usize], start: usize) -> Vec<String> {
    let mut path = vec![start];
    let mut position = HashMap::from([(start, 0)]);
    loop {
        let last = path[path.len() - 1];
        let Some(next) = sources[last].iter().copied().find(|source| waiting[*source] > 0) else {
            return path.iter().rev().map(|place| lines[*place].name.clone()).collect();
        };
        if let Some(first) = position.get(&next) {
            let mut circle: Vec<usize> = path[*first..].iter().rev().copied().collect();
            // It reads best from the variable that was defined first.
            let earliest = circle.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(at, _)| at);
            circle.rotate_left(earliest);
            circle.push(circle[0]);
            return circle.iter().map(|place| lines[*place].name.clone()).collect();
        }
        position.insert(next, path.len());
        path.push(next);
    }
}
