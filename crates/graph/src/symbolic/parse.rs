//! From text to nodes, by operator precedence with two stacks (Dijkstra's shunting yard): nothing recurses.

use std::rc::Rc;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::symbolic::error::{ParseError, ParseProblem};
use crate::symbolic::form::FormulaFunction;
use crate::symbolic::formula::Formula;
use crate::symbolic::implied;
use crate::symbolic::tokens::{Token, Tokens};

/// Reads a formula. Every name becomes a symbol: an f64 scalar input of the formula's arena. The text form is explained in
/// the documentation of [the module](crate::symbolic).
///
/// Errors say what is wrong and in which column.
///
/// ```
/// use arenagrad_graph::symbolic::{ParseProblem, parse};
///
/// assert_eq!(parse("x_1*exp(-t/2)")?.symbols(), ["x_1", "t"]);
/// let error = parse("3*sin x").unwrap_err();
/// assert!(matches!(error.problem(), ParseProblem::FunctionWithoutParentheses { .. }));
/// assert_eq!(error.column(), 3);
/// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
/// ```
pub fn parse(text: &str) -> Result<Formula, ParseError> {
    let graph = Graph::new().on_paper();
    let output = {
        let mut parser = Parser { text, graph: &graph, operands: Vec::new(), pending: Vec::new() };
        parser.run()?.id().ok()
    };
    Ok(Formula::new(Rc::new(graph), output))
}

/// What waits for an operand, or for its parenthesis to be closed.
#[derive(Clone, Copy)]
enum Pending {
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
    Power,
    /// The byte of the parenthesis, and the function that it belongs to.
    Open(usize, Option<FormulaFunction>),
}

impl Pending {
    /// How tightly it binds; an open parenthesis holds back everything before it.
    fn precedence(self) -> u8 {
        match self {
            Pending::Open(..) => 0,
            Pending::Add | Pending::Subtract => 1,
            Pending::Multiply | Pending::Divide => 2,
            Pending::Negate => 3,
            Pending::Power => 4,
        }
    }
}

struct Parser<'t, 'g> {
    text: &'t str,
    graph: &'g Graph,
    operands: Vec<Operand<'g>>,
    pending: Vec<Pending>,
}

/// An operand in the making. What makes a product 0 whatever its other factors are is inserted when it is complete.
#[derive(Clone, Copy)]
struct Operand<'g> {
    value: Expr<'g>,
    is_product: bool,
}

impl<'g> Operand<'g> {
    fn of(value: Expr<'g>) -> Self {
        Operand { value, is_product: false }
    }

    fn product(value: Expr<'g>) -> Self {
        Operand { value, is_product: true }
    }

    /// The value, to which nothing is multiplied any more.
    fn complete(self) -> Expr<'g> {
        match self.value.id() {
            Ok(id) if self.is_product => implied::inserted(self.value.graph(), id),
            Ok(_) | Err(_) => self.value,
        }
    }
}

impl<'t, 'g> Parser<'t, 'g> {
    fn run(&mut self) -> Result<Expr<'g>, ParseError> {
        let mut tokens = Tokens::new(self.text);
        loop {
            if !self.operand(&mut tokens)? {
                continue;
            }
            // After an operand come closing parentheses, then an operator or the end.
            loop {
                let (offset, token) = tokens.next()?;
                let operator = match token {
                    Token::Close => {
                        self.close(offset)?;
                        continue;
                    }
                    Token::End => return self.end(),
                    Token::Plus => Pending::Add,
                    Token::Minus => Pending::Subtract,
                    Token::Times => Pending::Multiply,
                    Token::Divide => Pending::Divide,
                    Token::Power => Pending::Power,
                    Token::Number(_) | Token::Name(_) | Token::Open => {
                        return Err(self.error(offset, ParseProblem::MissingOperator { found: token.to_string() }));
                    }
                };
                // Equal precedence is reduced first, but for the power, which associates to the right.
                let least = operator.precedence() + u8::from(matches!(operator, Pending::Power));
                self.reduce(least);
                self.pending.push(operator);
                break;
            }
        }
    }

    /// Takes one token where an operand is expected. Whether an operand is complete: a sign, a parenthesis or a function
    /// leaves it expected.
    fn operand(&mut self, tokens: &mut Tokens<'t>) -> Result<bool, ParseError> {
        let (offset, token) = tokens.next()?;
        match token {
            Token::Number(value) => self.operands.push(Operand::of(self.graph.full([], value, DType::F64))),
            Token::Name("pi") => {
                self.operands.push(Operand::of(self.graph.full([], std::f64::consts::PI, DType::F64)));
            }
            Token::Name(name) => {
                if let Some(function) = FormulaFunction::named(name) {
                    let (open, token) = tokens.next()?;
                    if token != Token::Open {
                        let name = name.to_owned();
                        return Err(self.error(offset, ParseProblem::FunctionWithoutParentheses { name }));
                    }
                    self.pending.push(Pending::Open(open, Some(function)));
                    return Ok(false);
                }
                self.refuse_call(offset, name)?;
                let symbol = self.symbol(name);
                self.operands.push(Operand::of(symbol));
            }
            Token::Minus => {
                self.pending.push(Pending::Negate);
                return Ok(false);
            }
            Token::Plus => return Ok(false),
            Token::Open => {
                self.pending.push(Pending::Open(offset, None));
                return Ok(false);
            }
            Token::End if offset == self.text.len() && self.text.trim().is_empty() => {
                return Err(self.error(0, ParseProblem::Empty));
            }
            Token::Times | Token::Divide | Token::Power | Token::Close | Token::End => {
                return Err(self.error(offset, ParseProblem::ExpectedOperand { found: token.to_string() }));
            }
        }
        Ok(true)
    }

    /// A name that is no function must not stand before a parenthesis.
    fn refuse_call(&self, offset: usize, name: &str) -> Result<(), ParseError> {
        let after = self.text[offset + name.len()..].trim_start();
        if !after.starts_with('(') {
            return Ok(());
        }
        let known = FormulaFunction::ALL.map(FormulaFunction::name).join(", ");
        Err(self.error(offset, ParseProblem::UnknownFunction { name: name.to_owned(), known }))
    }

    /// The symbol of that name, declared where it appears first.
    fn symbol(&self, name: &str) -> Expr<'g> {
        let declared: Option<NodeId> = {
            let arena = self.graph.arena();
            arena.names.get(name).map(|&number| arena.declarations[number as usize].node)
        };
        match declared {
            Some(id) => self.graph.expr(id),
            None => self.graph.input_of(name, [], DType::F64),
        }
    }

    fn close(&mut self, offset: usize) -> Result<(), ParseError> {
        self.reduce(1);
        let Some(Pending::Open(_, function)) = self.pending.pop() else {
            return Err(self.error(offset, ParseProblem::UnopenedParenthesis));
        };
        if let Some(function) = function
            && let Some(argument) = self.operands.pop()
        {
            self.operands.push(Operand::of(function.of(argument.complete())));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Expr<'g>, ParseError> {
        self.reduce(1);
        if let Some(&Pending::Open(offset, _)) = self.pending.last() {
            return Err(self.error(offset, ParseProblem::UnclosedParenthesis));
        }
        let operand = self.operands.pop().ok_or_else(|| self.error(0, ParseProblem::Empty))?;
        Ok(operand.complete())
    }

    /// Carries out what waits and binds at least that tightly.
    fn reduce(&mut self, least: u8) {
        while let Some(&operator) = self.pending.last()
            && operator.precedence() >= least
            && let Some(rhs) = self.operands.pop()
        {
            self.pending.pop();
            let lhs = match operator {
                Pending::Negate => None,
                Pending::Add | Pending::Subtract | Pending::Multiply | Pending::Divide | Pending::Power => {
                    self.operands.pop()
                }
                Pending::Open(..) => return,
            };
            let result = match (operator, lhs) {
                (Pending::Add, Some(lhs)) => Operand::of(lhs.complete() + rhs.complete()),
                (Pending::Subtract, Some(lhs)) => Operand::of(lhs.complete() - rhs.complete()),
                (Pending::Multiply, Some(lhs)) => Operand::product(lhs.value * rhs.value),
                (Pending::Divide, Some(lhs)) => Operand::product(lhs.value / rhs.complete()),
                (Pending::Power, Some(lhs)) => Operand::of(lhs.complete().pow(rhs.complete())),
                (Pending::Negate, _) => Operand { value: -rhs.value, ..rhs },
                // Every binary operator was pushed after an operand, so that there is a left one.
                (Pending::Open(..), _) | (_, None) => rhs,
            };
            self.operands.push(result);
        }
    }

    fn error(&self, offset: usize, problem: ParseProblem) -> ParseError {
        ParseError::new(self.text, offset, problem)
    }
}
