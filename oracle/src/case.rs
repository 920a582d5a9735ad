//! One case of the oracle: the arguments of an operator, and what another system computed from them.
//!
//! Parsing keeps what the line says and interprets nothing: which argument means what is the adapter's business. Keyword
//! arguments keep their order, because the gradients stand in it.

use serde_json::Value;

/// A line of a `.jsonl` file.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of the case.
    pub id: String,
    /// The operator under PyTorch's name.
    pub operator: String,
    /// The arguments by place.
    pub positional: Vec<Argument>,
    /// The arguments by name, in the order of the line.
    pub keywords: Vec<(String, Argument)>,
    /// What the operator gives.
    pub outputs: Vec<Values>,
    /// The upstream gradient of each differentiable output.
    pub cotangents: Vec<Values>,
    /// The gradient with respect to each argument that requires one; `None` stands for zeros.
    pub gradients: Vec<Option<Values>>,
}

/// An argument as the case spells it.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A tensor.
    Tensor {
        /// Its elements.
        values: Values,
        /// Whether the case has its gradient.
        requires_gradient: bool,
    },
    /// An integer.
    Integer(i64),
    /// A number that is not an integer.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A text.
    Text(String),
    /// The absence of a value.
    None,
    /// Arguments in a list.
    List(Vec<Argument>),
}

/// The elements of a tensor, row-major. An `f64` holds every element type of the oracle exactly up to 2^53. An i64 past that is its
/// neighbour here, which serves: no such integer fits into the 32 bits in which the engine has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The type of the elements.
    pub element: Element,
    /// The extents.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

/// The element types of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Floats of 64 bits.
    F64,
    /// Floats of 32 bits.
    F32,
    /// Integers of 64 bits.
    I64,
    /// Integers of 32 bits.
    I32,
    /// Bytes.
    U8,
    /// Truth values.
    Bool,
}

impl Case {
    /// Reads one line. The error says which field is wrong, and how.
    pub fn parse(line: &str) -> Result<Case, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
        let list = |field: &str| {
            let items = value[field].as_array().ok_or_else(|| format!("the field {field:?} is not a list"))?;
            Ok::<&[Value], String>(items)
        };
        let text = |field: &str| {
            let text = value[field].as_str().ok_or_else(|| format!("the field {field:?} is not a string"))?;
            Ok::<String, String>(text.to_owned())
        };
        let Value::Object(keywords) = &value["kwargs"] else {
            return Err("the field \"kwargs\" is not an object".into());
        };
        let case = Case {
            id: text("id")?,
            operator: text("op")?,
            positional: list("args")?.iter().map(Argument::parse).collect::<Result<_, _>>()?,
            keywords: keywords
                .iter()
                .map(|(name, value)| Ok((name.clone(), Argument::parse(value)?)))
                .collect::<Result<_, String>>()?,
            outputs: list("outputs")?.iter().map(Values::parse).collect::<Result<_, _>>()?,
            cotangents: list("cotangents")?.iter().map(Values::parse).collect::<Result<_, _>>()?,
            gradients: list("grads")?
                .iter()
                .map(|value| if value.is_null() { Ok(None) } else { Values::parse(value).map(Some) })
                .collect::<Result<_, _>>()?,
        };
        let inputs = case.differentiable().count();
        if !case.gradients.is_empty() && case.gradients.len() != inputs {
            return Err(format!("{} gradients for {inputs} inputs that require one", case.gradients.len()));
        }
        if !case.cotangents.is_empty() && case.gradients.len() != inputs {
            return Err(format!("cotangents, but no gradients for {inputs} inputs that require one"));
        }
        Ok(case)
    }

    /// The tensors that require a gradient, in the order of the gradients.
    fn differentiable(&self) -> impl Iterator<Item = &Values> {
        let mut found = Vec::new();
        for argument in self.positional.iter().chain(self.keywords.iter().map(|(_, argument)| argument)) {
            argument.for_each_tensor(&mut |values, requires_gradient| {
                if requires_gradient {
                    found.push(values);
                }
            });
        }
        found.into_iter()
    }
}

impl Argument {
    fn parse(value: &Value) -> Result<Argument, String> {
        Ok(match value {
            Value::Null => Argument::None,
            Value::Bool(boolean) => Argument::Boolean(*boolean),
            Value::String(text) => Argument::Text(text.clone()),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Argument::Integer(integer),
                None => Argument::Float(number.as_f64().ok_or_else(|| format!("{number} is not a number"))?),
            },
            Value::Array(items) => Argument::List(items.iter().map(Argument::parse).collect::<Result<_, _>>()?),
            Value::Object(_) => Argument::Tensor {
                values: Values::parse(&value["tensor"])?,
                requires_gradient: value["requires_grad"].as_bool().ok_or("\"requires_grad\" is not a bool")?,
            },
        })
    }

    /// Calls `visit` with every tensor in this argument and whether it requires a gradient, depth first. Lists nest as
    /// deep as the line that they were parsed from, which the JSON parser limits.
    fn for_each_tensor<'a>(&'a self, visit: &mut impl FnMut(&'a Values, bool)) {
        match self {
            Argument::Tensor { values, requires_gradient } => visit(values, *requires_gradient),
            Argument::List(items) => items.iter().for_each(|item| item.for_each_tensor(visit)),
            Argument::Integer(_) | Argument::Float(_) | Argument::Boolean(_) | Argument::Text(_) | Argument::None => {}
        }
    }
}

impl Values {
    /// Zeros of that shape, in f64.
    pub(crate) fn zeros(shape: &[usize]) -> Values {
        Values { element: Element::F64, shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    fn parse(value: &Value) -> Result<Values, String> {
        let element = match value["dtype"].as_str() {
            Some("f64") => Element::F64,
            Some("f32") => Element::F32,
            Some("i64") => Element::I64,
            Some("i32") => Element::I32,
            Some("u8") => Element::U8,
            Some("bool") => Element::Bool,
            Some(other) => return Err(format!("unknown dtype {other:?}")),
            None => return Err(format!("a tensor was expected where {} stands", excerpt(value))),
        };
        let extents = value["shape"].as_array().ok_or("a tensor's shape is not a list")?;
        let shape: Vec<usize> = extents
            .iter()
            .map(|extent| extent.as_u64().and_then(|extent| usize::try_from(extent).ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("{} is not a shape", excerpt(&value["shape"])))?;
        let items = value["data"].as_array().ok_or("a tensor's data is not a list")?;
        let data = items.iter().map(|item| number(item, element)).collect::<Result<Vec<f64>, String>>()?;
        let elements = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if elements != Some(data.len()) {
            return Err(format!("a tensor of shape {shape:?} has {} elements", data.len()));
        }
        Ok(Values { element, shape, data })
    }
}

impl Element {
    /// The smallest and the largest integer of this type that is read, if it is one of integers.
    fn range(self) -> Option<(f64, f64)> {
        match self {
            Element::F64 | Element::F32 => None,
            Element::I64 => Some((i64::MIN as f64, i64::MAX as f64)),
            Element::I32 => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
            Element::U8 => Some((0.0, 255.0)),
            Element::Bool => Some((0.0, 1.0)),
        }
    }

    /// Whether gradients can flow through elements of this type.
    pub(crate) fn is_float(self) -> bool {
        match self {
            Element::F64 | Element::F32 => true,
            Element::I64 | Element::I32 | Element::U8 | Element::Bool => false,
        }
    }
}

/// The number that a string such as `"-inf"` stands for: JSON itself has no such numbers.
pub(crate) fn named_number(text: &str) -> Option<f64> {
    match text {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// One element. Of an integer type it must be an integer of that type.
fn number(value: &Value, element: Element) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(boolean) => Some(f64::from(u8::from(*boolean))),
        Value::String(text) => named_number(text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let number = number.ok_or_else(|| format!("{} is not an element", excerpt(value)))?;
    let Some((least, most)) = element.range() else { return Ok(number) };
    let is_integer = match (value.as_i64(), value.as_u64()) {
        (Some(_), _) => true,
        (None, Some(_)) => false,
        (None, None) => number.fract() == 0.0,
    };
    if is_integer && (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{} is no integer of the type {element:?}", excerpt(value)))
    }
}

/// The beginning of a JSON value, for messages.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id": "addmm/0", "op": "addmm", "args": [{"tensor": {"dtype": "f64", "shape": [2],
        "data": [1.5, "nan"]}, "requires_grad": true}, [1, -2.5, null, true, "sum"]], "kwargs": {"zeta":
        {"tensor": {"dtype": "f64", "shape": [], "data": ["-inf"]}, "requires_grad": true}, "beta":
        {"tensor": {"dtype": "i64", "shape": [1, 1], "data": [7]}, "requires_grad": false}}, "outputs": [],
        "cotangents": [], "grads": [null, {"dtype": "f64", "shape": [], "data": ["inf"]}]}"#;

    #[test]
    fn every_kind_of_argument_is_read() {
        let case = Case::parse(LINE).unwrap();
        let Argument::Tensor { values, requires_gradient: true } = &case.positional[0] else { panic!("not a tensor") };
        assert_eq!((values.shape.as_slice(), values.data[0]), (&[2][..], 1.5));
        assert!(values.data[1].is_nan());
        assert_eq!(
            case.positional[1],
            Argument::List(vec![
                Argument::Integer(1),
                Argument::Float(-2.5),
                Argument::None,
                Argument::Boolean(true),
                Argument::Text("sum".into())
            ])
        );
        assert_eq!(case.gradients[1].as_ref().unwrap().data, [f64::INFINITY]);
        assert!(case.gradients[0].is_none());
    }

    #[test]
    fn keyword_arguments_keep_their_order() {
        let case = Case::parse(LINE).unwrap();
        assert_eq!(case.keywords.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["zeta", "beta"]);
        assert_eq!(case.differentiable().map(|values| values.shape.len()).collect::<Vec<_>>(), [1, 0]);
    }

    /// The last bit of a decimal decides between two neighbours.
    #[test]
    fn decimals_are_read_to_the_last_bit() {
        let decimals =
            ["5.233795532480501e-2", "0.1", "8.98846567431158e307", "5e-324", "0.3555059968812071", "-1.7e-10"];
        let mut value = 0x3FD5_5555_5555_5555_u64;
        let mut texts: Vec<String> = decimals.iter().map(|decimal| (*decimal).to_owned()).collect();
        for _ in 0..2000 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let float = f64::from_bits(value);
            if float.is_finite() {
                texts.push(format!("{float:e}"));
            }
        }
        // Both places are marked first, for a decimal may hold the digits of the other.
        let line = LINE.replace("-2.5", "NUMBER").replace("1.5", "ELEMENT");
        for text in texts {
            let case = Case::parse(&line.replace("NUMBER", &text).replace("ELEMENT", &text)).unwrap();
            let float: f64 = text.parse().unwrap();
            let Argument::Tensor { values, .. } = &case.positional[0] else { panic!("not a tensor") };
            assert_eq!(values.data[0].to_bits(), float.to_bits(), "{text}");
            let Argument::List(items) = &case.positional[1] else { panic!("not a list") };
            assert_eq!(items[1], Argument::Float(float), "{text}");
        }
    }

    /// They are unsupported, not malformed: what is past 2^53 is past 32 bits, whatever its last digit.
    #[test]
    fn integers_of_64_bits_are_read() {
        for integer in ["9007199254740993", "-4611686018427400249", "9223372036854775807", "-9223372036854775808"] {
            let case = Case::parse(&LINE.replace("[7]", &format!("[{integer}]"))).unwrap();
            let Argument::Tensor { values, .. } = &case.keywords[1].1 else { panic!("not a tensor") };
            assert_eq!(values.data[0], integer.parse::<f64>().unwrap());
        }
    }

    #[test]
    fn malformed_lines_say_what_is_wrong() {
        let message = |from: &str, to: &str| Case::parse(&LINE.replace(from, to)).unwrap_err();
        assert!(message("\"shape\": [2]", "\"shape\": [3]").contains("[3] has 2 elements"));
        assert!(message("\"i64\"", "\"c128\"").contains("c128"));
        assert!(message("[null, {", "[{").contains("1 gradients for 2 inputs"));
        for element in ["7.5", "18446744073709551615", "\"nan\""] {
            assert!(message("[7]", &format!("[{element}]")).contains("no integer"), "{element}");
        }
        for (element, item) in [("i32", "2147483648"), ("u8", "-1"), ("u8", "256"), ("bool", "2")] {
            let line = LINE.replace("[7]", &format!("[{item}]")).replace("\"i64\"", &format!("\"{element}\""));
            assert!(Case::parse(&line).unwrap_err().contains("no integer"), "{element} {item}");
        }
        assert!(Case::parse("{").unwrap_err().starts_with("not JSON"));
    }
}
