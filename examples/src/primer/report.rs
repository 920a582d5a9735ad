//! What the example prints: the network as the lecture writes it down, tables of derivatives, and what training found.

use std::fmt::Write;

use super::compare::{BothWays, SampleDerivatives};
use super::dag::{Dag, Symbol};
use super::identifiability::{Group, Identifiability};
use super::train::{End, Progress, Trained};

/// The two dictionaries of the network's arcs as the lecture writes them, one entry a line:
///
/// ```
/// use arenagrad_examples::primer::{Dag, dictionaries};
///
/// let dag = Dag::parse(&["xx=xa^2", "xy=ab*xx+ac*xa"])?;
/// assert_eq!(
///     dictionaries(&dag),
///     "depends_on['xx']  =  ['xa']\n\
///      depends_on['xy']  =  ['xa', 'xx']\n\
///      \n\
///      leads_to['xa']    =  ['xx', 'xy']\n\
///      leads_to['xx']    =  ['xy']\n"
/// );
/// # Ok::<(), arenagrad_examples::primer::PrimerError>(())
/// ```
///
/// Entries of `depends_on` come in the order of the expressions, all else in topological order. A variable without an
/// expression has no entry in `depends_on`, one that leads nowhere none in `leads_to`.
pub fn dictionaries(dag: &Dag) -> String {
    let entry = |dictionary: &str, variable: usize, arcs: &[usize]| {
        (format!("{dictionary}['{}']", dag.variables()[variable]), list(&dag.variable_names(arcs)))
    };
    let depends_on: Vec<_> = dag
        .expressions()
        .iter()
        .map(|expression| entry("depends_on", expression.variable, dag.depends_on(expression.variable)))
        .collect();
    let leads_to: Vec<_> = (0..dag.variables().len())
        .filter(|variable| !dag.leads_to(*variable).is_empty())
        .map(|variable| entry("leads_to", variable, dag.leads_to(variable)))
        .collect();
    let width = depends_on.iter().chain(&leads_to).map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let lines = |entries: &[(String, String)]| -> String {
        entries.iter().map(|(left, right)| format!("{left:<width$}  =  {right}\n")).collect()
    };
    format!("{}\n{}", lines(&depends_on), lines(&leads_to))
}

/// Names as Python prints a list of them: `['xa', 'xx']`.
pub fn list(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{}'", name.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

/// The derivatives of one sample both ways, one derivative a line: those of variables with respect to variables, along the
/// arcs, then those with respect to the learnable parameters.
pub fn partials_table(dag: &Dag, derivatives: &SampleDerivatives) -> String {
    let row = |variable: usize, operand: Symbol| {
        let operand = match operand {
            Symbol::Variable(number) => &dag.variables()[number],
            Symbol::Parameter(number) => &dag.parameters()[number],
        };
        format!("d {} / d {operand}", dag.variables()[variable])
    };
    let table = |title: &str, wanted: fn(Symbol) -> Option<usize>| {
        let partials = derivatives.partials.iter().filter(|partial| wanted(partial.operand).is_some());
        let rows = partials.map(|partial| (row(partial.variable, partial.operand), partial.value)).collect::<Vec<_>>();
        both_ways(title, &rows)
    };
    let variables = table("of variables wrt variables", Symbol::variable);
    variables + &table("of variables wrt parameters", Symbol::parameter)
}

/// The gradient of the loss both ways, one parameter a line, and the largest difference.
pub fn gradient_table(dag: &Dag, gradient: &[BothWays]) -> String {
    let names = dag.parameters().iter().map(|name| format!("d loss / d {name}"));
    let rows: Vec<_> = names.zip(gradient.iter().copied()).collect();
    let largest = gradient.iter().map(|both| both.difference()).fold(0.0, f64::max);
    both_ways("of the loss wrt parameters", &rows) + &format!("  the largest difference is {largest:.2e}\n")
}

/// One line of progress, with all parameters.
pub fn progress_line(dag: &Dag, progress: Progress<'_>) -> String {
    let mut line = format!("step {:>5}  loss {:.4e} ", progress.step, progress.loss);
    for (name, value) in dag.parameters().iter().zip(progress.parameters) {
        // Writing to a string cannot fail.
        let _ = write!(line, " {name} {}", number(*value));
    }
    line
}

/// The partial derivatives of one sample as training uses them, one variable a line.
pub fn partials_lines(dag: &Dag, derivatives: &SampleDerivatives, of: impl Fn(BothWays) -> f64) -> String {
    let mut text = String::new();
    for expression in dag.evaluation_order() {
        let name = &dag.variables()[expression.variable];
        let _ = write!(text, "            {name} = {}", number(derivatives.values[expression.variable]));
        for partial in derivatives.partials.iter().filter(|partial| partial.variable == expression.variable) {
            let operand = match partial.operand {
                Symbol::Variable(number) => &dag.variables()[number],
                Symbol::Parameter(number) => &dag.parameters()[number],
            };
            let _ = write!(text, "  d/d{operand} {}", number(of(partial.value)));
        }
        text.push('\n');
    }
    text
}

/// The trained parameters beside the truth, one a line. Where the network explains the data with a value that is not the true one,
/// although the outputs determine it near the truth, that is said.
pub fn parameter_table(dag: &Dag, truth: &[f64], trained: &Trained, known: &Identifiability) -> String {
    let width = dag.parameters().iter().map(|name| name.chars().count()).fold("parameter".len(), usize::max);
    // In f32 a parameter of little effect ends this far from the truth at most.
    const APART: f64 = 1e-2;
    let mut text = format!("{:<width$}  {:>14}  {:>14}  {:>10}\n", "parameter", "trained", "truth", "difference");
    for (place, name) in dag.parameters().iter().enumerate() {
        let explained = trained.end == End::Explained;
        let (trained, truth) = (trained.parameters[place], truth[place]);
        let remark = match known.group_of(place) {
            None if explained && (trained - truth).abs() > APART * truth.abs().max(1.0) => {
                "  explains the data as well"
            }
            None => "",
            Some(group) if group.combinations.is_empty() => "  no output depends on it",
            Some(_) => "  not determined by itself",
        };
        let difference = (trained - truth).abs();
        let _ = writeln!(
            text,
            "{name:<width$}  {:>14}  {:>14}  {difference:>10.1e}{remark}",
            number(trained),
            number(truth)
        );
    }
    text
}

/// What the data say about the parameters, in words, with the values of the combinations that they determine.
pub fn identifiability_text(dag: &Dag, known: &Identifiability, truth: &[f64], trained: &[f64]) -> String {
    let count = dag.parameters().len();
    if known.groups.is_empty() {
        return format!("the outputs determine every parameter: their Jacobian has rank {}\n", known.rank);
    }
    let mut text = format!(
        "the outputs do not determine every parameter: their Jacobian has rank {} for {count} parameters\n",
        known.rank
    );
    for group in &known.groups {
        text += &group_text(dag, group, truth, trained);
    }
    text
}

fn group_text(dag: &Dag, group: &Group, truth: &[f64], trained: &[f64]) -> String {
    let names: Vec<&str> = group.parameters.iter().map(|number| dag.parameters()[*number].as_str()).collect();
    let names_in_words = match names.as_slice() {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    };
    let near = if group.exact { "" } else { ", near the truth" };
    if group.combinations.is_empty() {
        return format!("  no output depends on {names_in_words}{near}\n");
    }
    let ratios = group.directions.iter().map(|direction| ratio(&names, direction)).collect::<Vec<_>>();
    let mut text = format!(
        "  {names_in_words} cannot be told apart: no output changes while they change as {}{near}\n",
        ratios.join(", or as ")
    );
    for coefficients in &group.combinations {
        let value = |values: &[f64]| -> f64 {
            group.parameters.iter().zip(coefficients).map(|(parameter, factor)| factor * values[*parameter]).sum()
        };
        let _ = write!(text, "  what is determined is {}", combination(&names, coefficients));
        if group.exact {
            let _ = write!(text, ": trained {}, truth {}", number(value(trained)), number(value(truth)));
        } else {
            // The surface of equal outputs is curved, so the value itself is not kept along it.
            text += near;
        }
        text.push('\n');
    }
    text
}

/// `ab - 2 bc` from names and coefficients.
fn combination(names: &[&str], coefficients: &[f64]) -> String {
    let mut text = String::new();
    for (name, coefficient) in names.iter().zip(coefficients).filter(|(_, coefficient)| **coefficient != 0.0) {
        let sign = match (text.is_empty(), *coefficient < 0.0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        let factor = match number(coefficient.abs()).as_str() {
            "1" => String::new(),
            factor => format!("{factor} "),
        };
        text += &format!("{sign}{factor}{name}");
    }
    text
}

/// `ab : bc = 1 : -1` from names and coefficients.
fn ratio(names: &[&str], coefficients: &[f64]) -> String {
    let changing = || names.iter().zip(coefficients).filter(|(_, coefficient)| **coefficient != 0.0);
    let names: Vec<&str> = changing().map(|(name, _)| *name).collect();
    let numbers: Vec<String> = changing().map(|(_, coefficient)| number(*coefficient)).collect();
    format!("{} = {}", names.join(" : "), numbers.join(" : "))
}

/// A table of derivatives found both ways.
fn both_ways(title: &str, rows: &[(String, BothWays)]) -> String {
    const NARROWEST: usize = 29;
    let width = rows.iter().map(|(name, _)| name.chars().count()).fold(NARROWEST, usize::max);
    let mut text = format!("  {title:<width$}  {:>18}  {:>18}  {:>10}\n", "finite difference", "engine", "difference");
    for (name, both) in rows {
        let BothWays { finite_difference, engine } = both;
        let _ = writeln!(
            text,
            "  {name:<width$}  {:>18}  {:>18}  {:>10.1e}",
            precise(*finite_difference),
            precise(*engine),
            both.difference()
        );
    }
    text
}

/// A number in ten decimals, or with an exponent where those would not show it.
fn precise(value: f64) -> String {
    if value == 0.0 || (1e-4..1e7).contains(&value.abs()) { format!("{value:.10}") } else { format!("{value:.9e}") }
}

/// A number in six significant digits, without trailing zeros.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..6.0).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.*}", (5.0 - magnitude) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
