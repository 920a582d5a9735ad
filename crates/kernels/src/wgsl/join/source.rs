//! The text of a module taken apart: its items, its buffers and its entry point, and what can be put in place of names.
//!
//! Only the WGSL that lowering writes is understood. What is not recognised makes a module one that cannot be joined, which
//! is never wrong: it then stays a dispatch of its own.

use std::collections::HashMap;

/// A module as a list of what it declares.
pub(super) struct Source<'a> {
    /// Functions, structures, constants, aliases and variables of the workgroup, the entry point included.
    pub(super) items: Vec<Item<'a>>,
    /// The storage buffers, in the order of their bindings.
    pub(super) buffers: Vec<Buffer<'a>>,
    /// The fields of the parameters with their types, in the order of their words.
    pub(super) fields: Vec<[&'a str; 2]>,
    /// The arguments of the entry point with the built-in value that each is.
    pub(super) arguments: Vec<Argument<'a>>,
}

/// Something that a module declares.
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    /// Its text; of the entry point all that follows its arguments.
    pub(super) text: &'a str,
    /// Whether it is a structure, whose fields are no names of the module.
    pub(super) is_structure: bool,
}

/// A storage buffer.
#[derive(Clone, Copy)]
pub(super) struct Buffer<'a> {
    pub(super) name: &'a str,
    /// The type of one number: f32, i32 or u32.
    pub(super) scalar: &'a str,
    /// How many numbers an element is: one, or four.
    pub(super) width: usize,
}

/// An argument of the entry point.
pub(super) struct Argument<'a> {
    pub(super) builtin: &'a str,
    /// Its name and type: `id: vec3<u32>`.
    pub(super) declaration: &'a str,
}

/// The name of the entry point.
pub(super) const ENTRY: &str = "main";
/// The name of the uniform with the parameters, and of its type.
pub(super) const PARAMETERS: &str = "parameters";
pub(super) const PARAMETERS_TYPE: &str = "Parameters";

impl<'a> Source<'a> {
    /// The module of that text, if all of it is understood.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut source = Source { items: Vec::new(), buffers: Vec::new(), fields: Vec::new(), arguments: Vec::new() };
        for text in declarations(text) {
            let code = after_attributes(text)?;
            let keyword = code.split(|c: char| !is_word(c)).next()?;
            let named = |rest: &'a str| rest.trim_start().split(|c: char| !is_word(c)).next();
            match keyword {
                "fn" if named(&code[2..])? == ENTRY => {
                    let (arguments, body) = entry(code)?;
                    source.arguments = arguments;
                    source.items.push(Item { name: ENTRY, text: body, is_structure: false });
                }
                "struct" if named(&code[6..])? == PARAMETERS_TYPE => source.fields = fields(code)?,
                "fn" | "alias" | "const" | "struct" => {
                    let name = named(&code[keyword.len()..])?;
                    source.items.push(Item { name, text, is_structure: keyword == "struct" });
                }
                "var" => {
                    let (space, rest) = code.strip_prefix("var<")?.split_once('>')?;
                    let (name, kind) = rest.split_once(':')?;
                    let name = name.trim();
                    match space.split(',').next()?.trim() {
                        "storage" => {
                            let (scalar, width) = element(kind)?;
                            source.buffers.push(Buffer { name, scalar, width });
                        }
                        "uniform" if name == PARAMETERS => {}
                        "workgroup" => source.items.push(Item { name, text, is_structure: false }),
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        (!source.fields.is_empty() && !source.arguments.is_empty()).then_some(source)
    }

    /// The buffer of that name.
    pub(super) fn buffer(&self, name: &str) -> Option<&Buffer<'a>> {
        self.buffers.iter().find(|buffer| buffer.name == name)
    }

    /// The text of an item with other names: those in `names` are exchanged, and elements of buffers become calls:
    /// `input0[i]` is `load_input0(i)`, and `output0[i] = x;` is `store_output0(i, x);`, under what `names` says of these
    /// functions. None if elements are used in another way.
    pub(super) fn rewrite(&self, item: &Item<'a>, names: &HashMap<String, String>) -> Option<String> {
        let tokens = tokens(item.text);
        let mut text = String::with_capacity(item.text.len() * 2);
        // For each bracket that is open: what closes it.
        let mut closing: Vec<&str> = Vec::new();
        let mut stores = false;
        let mut skip_equals = false;
        for (place, token) in tokens.iter().enumerate() {
            let next = |from: usize| tokens[from..].iter().find(|token| !token.is_blank());
            let after_dot =
                tokens[..place].iter().rfind(|token| !token.is_blank()).is_some_and(|token| token.text == ".");
            let declares_field = item.is_structure && next(place + 1).is_some_and(|token| token.text == ":");
            match token.text {
                word if token.is_name() && !after_dot && !declares_field => {
                    if self.buffer(word).is_some() && next(place + 1).is_some_and(|token| token.text == "[") {
                        let open = place + 1 + tokens[place + 1..].iter().position(|token| token.text == "[")?;
                        let close = matching(&tokens, open)?;
                        let assigns = next(close + 1).is_some_and(|token| token.text == "=");
                        if next(close + 1).is_some_and(|token| COMPOUND.contains(&token.text)) {
                            return None;
                        }
                        stores |= assigns;
                        text.push_str(names.get(&access(word, assigns))?);
                        closing.push(if assigns { "," } else { ")" });
                    } else {
                        text.push_str(names.get(word).map_or(word, String::as_str));
                    }
                }
                "[" if closing.last().is_some_and(|close| *close != "]") && follows_buffer(self, &tokens[..place]) => {
                    text.push('(');
                }
                "[" => {
                    closing.push("]");
                    text.push('[');
                }
                "]" => {
                    let close = closing.pop()?;
                    skip_equals = close == ",";
                    text.push_str(close);
                }
                "=" if std::mem::take(&mut skip_equals) => {
                    // The blank before the sign has been written; the one behind it is enough.
                    text.truncate(text.trim_end().len());
                }
                ";" if std::mem::take(&mut stores) => text.push_str(");"),
                other => text.push_str(other),
            }
        }
        closing.is_empty().then_some(text)
    }
}

/// The name of the function that reads an element of a buffer, or writes one.
pub(super) fn access(buffer: &str, writes: bool) -> String {
    format!("{}_{buffer}", if writes { "store" } else { "load" })
}

/// The names that an item's text mentions.
pub(super) fn names_of<'a>(item: &Item<'a>) -> impl Iterator<Item = &'a str> {
    tokens(item.text).into_iter().filter(Token::is_name).map(|token| token.text)
}

/// Assignments that read what they write.
const COMPOUND: [&str; 12] = ["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"];

/// A piece of a text: a word, a number, a comment, white space, or one sign.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
}

impl Token<'_> {
    /// Whether it may be a name.
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    fn is_blank(&self) -> bool {
        self.text.starts_with("//") || self.text.starts_with(char::is_whitespace)
    }
}

/// The signs of two characters that are one sign.
const PAIRS: [&str; 5] = ["==", "!=", "<=", ">=", "->"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if is_word(first) {
            rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
        } else if first.is_whitespace() {
            rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())
        } else if let Some(signs) = PAIRS.iter().chain(&COMPOUND).find(|signs| rest.starts_with(**signs)) {
            signs.len()
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(Token { text: token });
        rest = behind;
    }
    tokens
}

/// Where the bracket that opens at `open` closes.
fn matching(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "[" => depth += 1,
            "]" if depth == 1 => return Some(place),
            "]" => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the last token that is not blank names a buffer.
fn follows_buffer(source: &Source<'_>, before: &[Token<'_>]) -> bool {
    let Some(last) = before.iter().rposition(|token| !token.is_blank()) else { return false };
    let after_dot = before[..last].iter().rfind(|token| !token.is_blank()).is_some_and(|token| token.text == ".");
    !after_dot && source.buffer(before[last].text).is_some()
}

/// The declarations of a module, each with the comments before it.
fn declarations(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut place, mut depth) = (0, 0, 0usize);
    for token in tokens(text) {
        place += token.text.len();
        let ends = match token.text {
            "{" => {
                depth += 1;
                false
            }
            "}" => {
                depth = depth.saturating_sub(1);
                depth == 0
            }
            ";" => depth == 0,
            _ => false,
        };
        if ends {
            found.push(text[start..place].trim());
            start = place;
        }
    }
    found
}

/// A declaration without the comments and attributes before it.
fn after_attributes(declaration: &str) -> Option<&str> {
    let mut rest = declaration;
    loop {
        rest = rest.trim_start();
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n')?..];
        } else if let Some(attribute) = rest.strip_prefix('@') {
            let name = attribute.find(|c: char| !is_word(c))?;
            rest = &attribute[name..];
            if rest.starts_with('(') {
                rest = &rest[rest.find(')')? + 1..];
            }
        } else {
            return Some(rest);
        }
    }
}

/// The fields of a structure, with their types.
fn fields(code: &str) -> Option<Vec<[&str; 2]>> {
    let body = code.split_once('{')?.1.trim_end().strip_suffix('}')?;
    let fields = body.split(',').map(str::trim).filter(|field| !field.is_empty());
    fields
        .map(|field| {
            let (name, kind) = field.split_once(':')?;
            let (name, kind) = (name.trim(), kind.trim());
            (name.chars().all(is_word) && ["u32", "i32", "f32"].contains(&kind)).then_some([name, kind])
        })
        .collect()
}

/// The arguments of the entry point, and the text of its body.
fn entry(code: &str) -> Option<(Vec<Argument<'_>>, &str)> {
    let head = &code[code.find('(')? + 1..code.find('{')?];
    let body = &code[code.find('{')?..];
    let arguments = head.trim_end().strip_suffix(')')?.split(',').map(str::trim).filter(|text| !text.is_empty());
    let arguments = arguments.map(|text| {
        let (builtin, declaration) = text.strip_prefix("@builtin(")?.split_once(')')?;
        Some(Argument { builtin, declaration: declaration.trim() })
    });
    Some((arguments.collect::<Option<_>>()?, body))
}

/// The numbers of an array's elements: `array<vec4<f32>>;` has four of f32.
fn element(kind: &str) -> Option<(&str, usize)> {
    let element = kind.trim().strip_prefix("array<")?.trim_end().strip_suffix(">;")?;
    let (scalar, width) = match element.strip_prefix("vec4<") {
        Some(rest) => (rest.strip_suffix('>')?, 4),
        None => (element, 1),
    };
    ["u32", "i32", "f32"].contains(&scalar).then_some((scalar, width))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "
// The work of one invocation.
@compute @workgroup_size(SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let place = id.x;
    y[order[place] / 4u] = twice(x[place]); // x[place] is read once
}

struct Parameters {
    elements: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

const SIZE: u32 = 8u;

struct Pair {
    x: f32,
    twice: f32,
}

fn twice(x: f32) -> vec4<f32> {
    let pair = Pair(x, x * parameters.factor);
    return vec4<f32>(pair.twice);
}
";

    fn rewritten(module: &str, name: &str, names: &[[&str; 2]]) -> Option<String> {
        let source = Source::parse(module).unwrap();
        let names = names.iter().map(|[from, to]| ((*from).to_owned(), (*to).to_owned())).collect();
        let item = source.items.iter().find(|item| item.name == name).unwrap();
        source.rewrite(item, &names)
    }

    #[test]
    fn a_module_is_taken_apart() {
        let source = Source::parse(MODULE).unwrap();
        let items: Vec<&str> = source.items.iter().map(|item| item.name).collect();
        assert_eq!(items, ["main", "SIZE", "Pair", "twice"]);
        assert_eq!(source.fields, [["elements", "u32"], ["factor", "f32"]]);
        let buffers: Vec<_> = source.buffers.iter().map(|b| (b.name, b.scalar, b.width)).collect();
        assert_eq!(buffers, [("x", "f32", 1), ("order", "u32", 1), ("y", "f32", 4)]);
        let arguments: Vec<_> = source.arguments.iter().map(|a| (a.builtin, a.declaration)).collect();
        assert_eq!(arguments, [("global_invocation_id", "id: vec3<u32>"), ("local_invocation_index", "local: u32")]);
    }

    #[test]
    fn elements_become_calls_and_names_are_exchanged() {
        let names = [
            ["load_x", "from_x"],
            ["load_order", "from_order"],
            ["store_y", "to_y"],
            ["twice", "part_twice"],
            ["parameters", "part_parameters"],
            ["Pair", "part_Pair"],
        ];
        let main = rewritten(MODULE, "main", &names).unwrap();
        assert!(
            main.contains("to_y(from_order(place) / 4u, part_twice(from_x(place))); // x[place] is read once"),
            "{main}"
        );
        // Fields and arguments keep their names.
        assert!(
            rewritten(MODULE, "Pair", &names).unwrap().contains("struct part_Pair {\n    x: f32,\n    twice: f32,")
        );
        let twice = rewritten(MODULE, "twice", &names).unwrap();
        assert!(twice.contains("let pair = part_Pair(x, x * part_parameters.factor);"), "{twice}");
        assert!(twice.contains("return vec4<f32>(pair.twice);"), "{twice}");
    }

    #[test]
    fn what_is_not_understood_is_not_joined() {
        let adds = MODULE.replace("y[order[place] / 4u] =", "y[order[place] / 4u] +=");
        assert_eq!(
            rewritten(&adds, "main", &[["load_x", "a"], ["load_order", "b"], ["load_y", "c"], ["store_y", "d"]]),
            None
        );
        assert!(Source::parse(&MODULE.replace("array<f32>", "array<atomic<u32>>")).is_none());
        assert!(Source::parse(&MODULE.replace("factor: f32", "factor: vec2<f32>")).is_none());
        assert!(Source::parse("fn main() {}").is_none());
    }
}
