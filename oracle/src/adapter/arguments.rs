//! The arguments of a call, bound to the operator's parameters as Python binds them, and read as what they must be.

use arenagrad::{DType, Expr, Graph};

use super::Refusal;
use crate::case::{Element, Values, named_number};

/// An argument whose tensors have become inputs of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value<'c, 'g> {
    Tensor { expr: Expr<'g>, values: &'c Values },
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(&'c str),
    None,
    List(Vec<Value<'c, 'g>>),
}

/// An operand that may be a tensor or a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'g> {
    Tensor { expr: Expr<'g>, element: Element },
    Number { value: f64, kind: Kind },
}

/// What decides a common dtype: a tensor's or number's kind, in the order of PyTorch's promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Float,
}

/// A call of an operator: what was given for each parameter of its signature.
pub(super) struct Call<'c, 'g> {
    pub(super) graph: &'g Graph,
    /// The dtype of floats in this run.
    pub(super) dtype: DType,
    given: Vec<(&'static str, Value<'c, 'g>)>,
}

/// PyTorch's other spellings of parameters, which it takes for NumPy's sake, and the one of methods.
const ALIASES: &[(&str, &str)] = &[
    ("axis", "dim"),
    ("keepdims", "keepdim"),
    ("x", "input"),
    ("a", "input"),
    ("x1", "input"),
    ("self", "input"),
    ("x2", "other"),
];

impl<'c, 'g> Call<'c, 'g> {
    /// Binds arguments to parameters: positional ones in order, up to `"*"`, the others by name. Integers past the end
    /// of the signature, or tensors, are a list that was spelled out, as in `x.permute(2, 0, 1)`.
    pub(super) fn bind(
        graph: &'g Graph,
        dtype: DType,
        signature: &[&'static str],
        mut positional: Vec<Value<'c, 'g>>,
        keywords: Vec<(&'c str, Value<'c, 'g>)>,
    ) -> Result<Call<'c, 'g>, Refusal> {
        let by_position = signature.iter().position(|&name| name == "*").unwrap_or(signature.len());
        if by_position > 0 && positional.len() > by_position {
            let spelled_out = positional.split_off(by_position - 1);
            let is_list = spelled_out.iter().all(|value| matches!(value, Value::Integer(_)))
                || spelled_out.iter().all(|value| matches!(value, Value::Tensor { .. }));
            if !is_list {
                return Err(Refusal::failed(format!("more than {by_position} positional arguments")));
            }
            positional.push(Value::List(spelled_out));
        }
        let mut given: Vec<(&'static str, Value<'c, 'g>)> = signature.iter().copied().zip(positional).collect();
        for (name, value) in keywords {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, meant)| meant);
            let parameter = signature.iter().copied().find(|&known| known == name || known == alias);
            match parameter {
                Some(parameter) if given.iter().any(|(other, _)| *other == parameter) => {
                    return Err(Refusal::failed(format!("two values for the argument {parameter:?}")));
                }
                Some(parameter) => given.push((parameter, value)),
                // What is none of the signature's, and says nothing, can be left out.
                None if matches!(value, Value::None) => {}
                None => return Err(Refusal::unsupported(format!("the argument {name:?}"))),
            }
        }
        Ok(Call { graph, dtype, given })
    }

    /// What was given; `None` also where `None` itself was given.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'c, 'g>> {
        let value = self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value)?;
        if matches!(value, Value::None) { None } else { Some(value) }
    }

    fn needed(&self, name: &str) -> Result<&Value<'c, 'g>, Refusal> {
        self.get(name).ok_or_else(|| Refusal::failed(format!("the argument {name:?} is missing")))
    }

    fn wrong<T>(name: &str, expected: &str) -> Result<T, Refusal> {
        Err(Refusal::failed(format!("the argument {name:?} is not {expected}")))
    }

    /// A tensor as it stands, whatever its dtype.
    pub(super) fn tensor(&self, name: &str) -> Result<Expr<'g>, Refusal> {
        let Value::Tensor { expr, .. } = self.needed(name)? else { return Self::wrong(name, "a tensor") };
        Ok(*expr)
    }

    /// A tensor as floats: integers and truth values are promoted.
    pub(super) fn float(&self, name: &str) -> Result<Expr<'g>, Refusal> {
        Ok(self.tensor(name)?.cast(self.dtype))
    }

    /// Refuses a tensor that is none of floats, where PyTorch computes in integers and the engine has no operator for them.
    pub(super) fn needs_floats(&self, name: &str) -> Result<(), Refusal> {
        if self.tensor(name)?.dtype()?.is_float() {
            Ok(())
        } else {
            Err(Refusal::unsupported("the engine has no form of this operator for integers"))
        }
    }

    /// A tensor as floats, if there is one.
    pub(super) fn optional_float(&self, name: &str) -> Result<Option<Expr<'g>>, Refusal> {
        self.get(name).map(|_| self.float(name)).transpose()
    }

    /// A tensor as numbers: truth values become integers, all else stays.
    pub(super) fn numeric(&self, name: &str) -> Result<Expr<'g>, Refusal> {
        let tensor = self.tensor(name)?;
        Ok(if tensor.dtype()? == DType::Bool { tensor.cast(DType::I32) } else { tensor })
    }

    /// A tensor of i32 indices.
    pub(super) fn indices(&self, name: &str) -> Result<Expr<'g>, Refusal> {
        let tensor = self.tensor(name)?;
        if tensor.dtype()? == DType::I32 { Ok(tensor) } else { Self::wrong(name, "a tensor of integers") }
    }

    /// A list of tensors, as they stand.
    pub(super) fn tensors(&self, name: &str) -> Result<Vec<Expr<'g>>, Refusal> {
        let Value::List(items) = self.needed(name)? else { return Self::wrong(name, "a list of tensors") };
        let tensor = |item: &Value<'c, 'g>| {
            let Value::Tensor { expr, .. } = item else { return Self::wrong(name, "a list of tensors") };
            Ok(*expr)
        };
        items.iter().map(tensor).collect()
    }

    /// A tensor or a number.
    pub(super) fn operand(&self, name: &str) -> Result<Operand<'g>, Refusal> {
        match self.needed(name)? {
            Value::Tensor { expr, values, .. } => Ok(Operand::Tensor { expr: *expr, element: values.element }),
            Value::Boolean(_) => Ok(Operand::Number { value: self.number(name)?, kind: Kind::Boolean }),
            Value::Integer(_) => Ok(Operand::Number { value: self.number(name)?, kind: Kind::Integer }),
            Value::Float(_) | Value::Text(_) => Ok(Operand::Number { value: self.number(name)?, kind: Kind::Float }),
            Value::None | Value::List(_) => Self::wrong(name, "a tensor or a number"),
        }
    }

    /// The dtype in which this engine holds what PyTorch promotes such operands to: floats if any is one, else integers
    /// if any is one, else truth values.
    pub(super) fn common_dtype(&self, operands: &[Operand<'g>]) -> DType {
        match operands.iter().map(|operand| operand.kind()).max() {
            Some(Kind::Float) => self.dtype,
            Some(Kind::Integer) => DType::I32,
            Some(Kind::Boolean) | None => DType::Bool,
        }
    }

    /// Two operands in their common dtype.
    pub(super) fn promoted(&self, lhs: &str, rhs: &str) -> Result<(Expr<'g>, Expr<'g>), Refusal> {
        let (lhs, rhs) = (self.operand(lhs)?, self.operand(rhs)?);
        let dtype = self.common_dtype(&[lhs, rhs]);
        Ok((lhs.expr(self.graph, dtype), rhs.expr(self.graph, dtype)))
    }

    /// Two operands of arithmetic in their common dtype. PyTorch's unsigned bytes wrap at 256, which no dtype of this
    /// engine does.
    pub(super) fn arithmetic(&self, lhs: &str, rhs: &str) -> Result<(Expr<'g>, Expr<'g>), Refusal> {
        refuse_bytes(&[self.operand(lhs)?, self.operand(rhs)?])?;
        self.promoted(lhs, rhs)
    }

    /// A tensor as numbers for arithmetic: truth values become integers, unsigned bytes are refused.
    pub(super) fn arithmetic_operand(&self, name: &str) -> Result<Expr<'g>, Refusal> {
        refuse_bytes(&[self.operand(name)?])?;
        self.numeric(name)
    }

    /// Two operands as floats.
    pub(super) fn floats(&self, lhs: &str, rhs: &str) -> Result<(Expr<'g>, Expr<'g>), Refusal> {
        Ok((self.operand(lhs)?.expr(self.graph, self.dtype), self.operand(rhs)?.expr(self.graph, self.dtype)))
    }

    fn number(&self, name: &str) -> Result<f64, Refusal> {
        match self.needed(name)? {
            Value::Integer(integer) => Ok(*integer as f64),
            Value::Float(float) => Ok(*float),
            Value::Boolean(boolean) => Ok(f64::from(u8::from(*boolean))),
            // A tensor of one element stands for a number, as in PyTorch; but a gradient to it would be lost.
            Value::Tensor { values, .. } if values.data.len() == 1 => Ok(values.data[0]),
            Value::Text(text) => match named_number(text) {
                Some(number) => Ok(number),
                None => Self::wrong(name, "a number"),
            },
            Value::Tensor { .. } | Value::None | Value::List(_) => Self::wrong(name, "a number"),
        }
    }

    /// A number, or its default.
    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64, Refusal> {
        if self.get(name).is_some() { self.number(name) } else { Ok(default) }
    }

    /// An integer.
    pub(super) fn integer(&self, name: &str) -> Result<i64, Refusal> {
        integer(self.needed(name)?).map_or_else(|| Self::wrong(name, "an integer"), Ok)
    }

    /// An integer, or its default.
    pub(super) fn integer_or(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        if self.get(name).is_some() { self.integer(name) } else { Ok(default) }
    }

    /// A truth value, or its default.
    pub(super) fn boolean_or(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Boolean(boolean)) => Ok(*boolean),
            Some(Value::Integer(integer)) => Ok(*integer != 0),
            Some(_) => Self::wrong(name, "a bool"),
        }
    }

    /// A string, or its default.
    pub(super) fn text_or(&self, name: &str, default: &'static str) -> Result<&'c str, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Self::wrong(name, "a string"),
        }
    }

    /// A list of integers; one integer stands for a list of one.
    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>, Refusal> {
        let value = self.needed(name)?;
        let list = if let Value::List(items) = value {
            items.iter().map(integer).collect::<Option<Vec<i64>>>()
        } else {
            integer(value).map(|integer| vec![integer])
        };
        list.map_or_else(|| Self::wrong(name, "a list of integers"), Ok)
    }

    /// One axis of a tensor of that rank, negative ones counted from the end. A scalar counts as having one axis.
    pub(super) fn axis(&self, name: &str, rank: usize) -> Result<usize, Refusal> {
        axis(self.integer(name)?, rank)
    }

    /// One axis, or its default.
    pub(super) fn axis_or(&self, name: &str, default: i64, rank: usize) -> Result<usize, Refusal> {
        axis(self.integer_or(name, default)?, rank)
    }

    /// The axes of a reduction: those given, or all where none are, each once and in ascending order. A scalar has none.
    pub(super) fn axes(&self, name: &str, rank: usize) -> Result<Vec<usize>, Refusal> {
        let given = if self.get(name).is_some() { self.integers(name)? } else { Vec::new() };
        if given.is_empty() {
            return Ok((0..rank).collect());
        }
        let mut axes = given.into_iter().map(|given| axis(given, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::failed("an axis is named twice"));
        }
        axes.retain(|&axis| axis < rank);
        Ok(axes)
    }

    /// Refuses a `dtype` that asks for another than the operands'.
    pub(super) fn same_dtype(&self) -> Result<(), Refusal> {
        match self.get("dtype") {
            None => Ok(()),
            Some(_) => Err(Refusal::unsupported("the argument \"dtype\"")),
        }
    }
}

impl<'g> Operand<'g> {
    pub(super) fn kind(self) -> Kind {
        match self {
            Operand::Tensor { element: Element::F64 | Element::F32, .. } => Kind::Float,
            Operand::Tensor { element: Element::I64 | Element::I32 | Element::U8, .. } => Kind::Integer,
            Operand::Tensor { element: Element::Bool, .. } => Kind::Boolean,
            Operand::Number { kind, .. } => kind,
        }
    }

    /// This operand as an expression of that dtype.
    pub(super) fn expr(self, graph: &'g Graph, dtype: DType) -> Expr<'g> {
        match self {
            Operand::Tensor { expr, .. } => expr.cast(dtype),
            Operand::Number { value, .. } => graph.full([], held(value, dtype), dtype),
        }
    }
}

/// A number as a tensor of that dtype takes it: integers lose what follows the point, and of truth values all but 0 is true.
pub(super) fn held(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F64 => value,
        DType::I32 => value.trunc(),
        DType::Bool => f64::from(u8::from(value != 0.0)),
    }
}

/// Refuses operands whose common dtype is PyTorch's unsigned byte: no float among them, and every integer tensor that
/// decides holds bytes. A tensor without axes decides only where no tensor with axes does, and a number never.
fn refuse_bytes(operands: &[Operand<'_>]) -> Result<(), Refusal> {
    if operands.iter().any(|operand| operand.kind() == Kind::Float) {
        return Ok(());
    }
    let (mut with_axes, mut without_axes) = (Vec::new(), Vec::new());
    for operand in operands {
        let &Operand::Tensor { expr, element } = operand else { continue };
        if operand.kind() == Kind::Integer {
            let ranked = expr.shape()?.rank() > 0;
            if ranked { &mut with_axes } else { &mut without_axes }.push(element);
        }
    }
    let deciding = if with_axes.is_empty() { without_axes } else { with_axes };
    if !deciding.is_empty() && deciding.iter().all(|&element| element == Element::U8) {
        return Err(Refusal::unsupported("the engine has no arithmetic of unsigned bytes"));
    }
    Ok(())
}

/// Resolves one axis; a scalar counts as having one.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let extent = rank.max(1) as i64;
    let resolved = if axis < 0 { axis + extent } else { axis };
    if (0..extent).contains(&resolved) {
        Ok(resolved as usize)
    } else {
        Err(Refusal::failed(format!("axis {axis} of a tensor of rank {rank}")))
    }
}

fn integer(value: &Value<'_, '_>) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        Value::Float(float) if float.fract() == 0.0 => Some(*float as i64),
        Value::Tensor { values, .. } if values.data.len() == 1 && !values.element.is_float() => {
            Some(values.data[0] as i64)
        }
        Value::Tensor { .. } | Value::Float(_) | Value::Boolean(_) | Value::Text(_) | Value::None | Value::List(_) => {
            None
        }
    }
}
