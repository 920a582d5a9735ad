//! The text of joined dispatches, and the words of their parameters.
//!
//! What a module declares gets the name of its part before its own, `part0_main`, but for items that say the same in every module
//! and depend on no parameter and no buffer: those stand once, as they are. The parameters of a part are loaded into a
//! private variable before it runs, and each buffer becomes one function that loads an element and one that stores it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::limits::Limits;
use super::source::{ENTRY, Item, PARAMETERS, PARAMETERS_TYPE, Source, access, names_of};
use super::{Module, Part};

/// What joining gives.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) contracting: Vec<String>,
    pub(super) parameters: Vec<u32>,
}

/// The parameter that says how many invocations, or workgroups, a part has.
const COUNT: &str = "joined_count";

/// The variable that holds 0; see [`Limits::hides_parameters`].
const NOTHING: &str = "nothing";

/// Whether the module uses its buffers and its entry point in the ways that are understood.
pub(super) fn is_joinable(source: &Source<'_>) -> bool {
    let names: HashMap<String, String> = source
        .buffers
        .iter()
        .flat_map(|buffer| [true, false].map(|writes| access(buffer.name, writes)))
        .map(|name| (name.clone(), name))
        .collect();
    let is_free = |name: &String| source.items.iter().all(|item| item.name != name);
    names.keys().all(is_free)
        && source.arguments.iter().all(|argument| passed(argument.builtin).is_some())
        && source.items.iter().all(|item| source.rewrite(item, &names).is_some())
}

/// What the entry point is given for a built-in value: `number` is that of the invocation, or of the workgroup, and `local` the
/// invocation's in the workgroup that does all.
fn passed(builtin: &str) -> Option<&'static str> {
    match builtin {
        "global_invocation_id" | "workgroup_id" => Some("vec3<u32>(number, 0u, 0u)"),
        "local_invocation_index" => Some("local"),
        _ => None,
    }
}

impl Text {
    pub(super) fn new(modules: &[Module<'_>], parts: &[Part<'_>], buffers: usize, limits: &Limits) -> Self {
        let workgroup = limits.workgroup;
        let mut parameters = Vec::new();
        let mut entry =
            format!("@compute @workgroup_size({workgroup})\nfn main(@builtin(local_invocation_index) local: u32) {{\n");
        if limits.hides_parameters {
            let _ = writeln!(entry, "    {NOTHING} = local / {workgroup}u;");
        }
        for run in parts.chunk_by(|one, next| one.module == next.module) {
            write_run(modules, run, parameters.len() / 4, workgroup, &mut entry);
            for part in run {
                parameters.extend(words(&modules[part.module], part));
            }
        }
        entry.push_str("}\n");

        let mut text = entry;
        let vectors = parameters.len() / 4;
        let _ = write!(text, "\n@group(0) @binding(0) var<uniform> {PARAMETERS}: array<vec4<u32>, {vectors}>;\n");
        let layouts: Vec<Layout> = (0..buffers).map(|buffer| Layout::of(modules, buffer)).collect();
        for (buffer, layout) in layouts.iter().enumerate() {
            let access = match modules.iter().any(|module| module.writes(buffer)) {
                true => "read_write",
                false => "read",
            };
            let place = buffer + 1;
            let element = layout.element();
            let _ =
                writeln!(text, "@group(0) @binding({place}) var<storage, {access}> buffer{buffer}: array<{element}>;");
        }
        if limits.hides_parameters {
            let _ = write!(
                text,
                "\n// 0, which a compiler does not see: it would take parameters for constants and compile this anew in each run.\n\
                 var<private> {NOTHING}: u32;\n"
            );
        }
        let mut shared: HashMap<String, String> = HashMap::new();
        for (number, module) in modules.iter().enumerate() {
            module.write(number, limits, &layouts, &mut shared, &mut text);
        }
        let contracting = modules
            .iter()
            .enumerate()
            .filter(|(_, module)| module.dispatch.contracts)
            .map(|(number, _)| own_name(number, ENTRY))
            .collect();
        Text { text, contracting, parameters }
    }
}

/// Writes what runs parts of one module that follow one another, whose parameters begin at the vector `first`.
fn write_run(modules: &[Module<'_>], run: &[Part<'_>], first: usize, workgroup: usize, text: &mut String) {
    let number = run[0].module;
    let module = &modules[number];
    let open = own_name(number, "open");
    let repeats = run.len() > 1;
    let indent = if repeats { "        " } else { "    " };
    let _ = writeln!(text, "    // {}", module.dispatch.label);
    if repeats {
        let times = run.len();
        let vectors = words(module, &run[0]).len() / 4;
        let _ = writeln!(text, "    for (var time = 0u; time < {times}u; time += 1u) {{");
        let _ = writeln!(text, "{indent}{open}({first}u + time * {vectors}u);");
    } else {
        let _ = writeln!(text, "{indent}{open}({first}u);");
    }
    let count = format!("{}.{COUNT}", own_name(number, PARAMETERS));
    let arguments: Vec<&str> = module.source.arguments.iter().filter_map(|argument| passed(argument.builtin)).collect();
    let call = format!("{}({});", own_name(number, ENTRY), arguments.join(", "));
    let (from, step) = match module.dispatch.work.together {
        None => ("local", workgroup),
        Some(_) => ("0u", 1),
    };
    let _ = writeln!(text, "{indent}for (var number = {from}; number < {count}; number += {step}u) {{");
    let _ = writeln!(text, "{indent}    {call}\n{indent}}}\n{indent}storageBarrier();");
    if module.dispatch.work.together.is_some() {
        let _ = writeln!(text, "{indent}workgroupBarrier();");
    }
    if repeats {
        text.push_str("    }\n");
    }
}

/// The parameters of a part: those of its dispatch, then where each buffer's tensor begins, then how many invocations there are.
fn words(module: &Module<'_>, part: &Part<'_>) -> Vec<u32> {
    let mut words = part.dispatch.parameters[..module.source.fields.len()].to_vec();
    words.extend(&part.offsets);
    words.push(part.dispatch.work.count as u32);
    words.resize(words.len().next_multiple_of(4), 0);
    words
}

/// The name of an item of a module in the joined text.
fn own_name(number: usize, name: &str) -> String {
    format!("part{number}_{name}")
}

/// The parameter that says where the tensor of a buffer begins. No kernel calls one of its own so: those of attention begin keys by `key_begin`.
fn begin(buffer: &str) -> String {
    format!("begin_of_{buffer}")
}

impl Module<'_> {
    /// Whether it writes a joined buffer.
    fn writes(&self, buffer: usize) -> bool {
        self.bound.iter().zip(&self.dispatch.bindings).any(|(bound, binding)| *bound == buffer && binding.writable)
    }

    /// Writes the module's declarations. `shared` holds the items that stand there as they are, by name.
    fn write(
        &self,
        number: usize,
        limits: &Limits,
        layouts: &[Layout],
        shared: &mut HashMap<String, String>,
        text: &mut String,
    ) {
        self.write_parameters(number, limits, text);
        let own = self.own_items(shared);
        let mut names: HashMap<String, String> =
            own.iter().map(|name| ((*name).to_owned(), own_name(number, name))).collect();
        for name in [PARAMETERS, PARAMETERS_TYPE] {
            names.insert(name.to_owned(), own_name(number, name));
        }
        for buffer in &self.source.buffers {
            for writes in [false, true] {
                let name = access(buffer.name, writes);
                names.insert(name.clone(), own_name(number, &name));
            }
        }
        let mut body = String::new();
        for item in &self.source.items {
            if !own.contains(item.name) {
                if shared.insert(item.name.to_owned(), item.text.to_owned()).is_none() {
                    let _ = write!(body, "\n{}\n", item.text);
                }
                continue;
            }
            body.push('\n');
            if item.name == ENTRY {
                let arguments: Vec<&str> = self.source.arguments.iter().map(|argument| argument.declaration).collect();
                let _ = write!(body, "fn {}({}) ", own_name(number, ENTRY), arguments.join(", "));
            }
            body.push_str(&self.source.rewrite(item, &names).expect("the module was found joinable"));
            body.push('\n');
        }
        self.write_accesses(number, layouts, &body, text);
        text.push_str(&body);
    }

    /// The items that cannot be shared with other modules: those that depend on parameters or buffers, that another module declares
    /// otherwise, and all that mention one of these.
    fn own_items(&self, shared: &HashMap<String, String>) -> HashSet<&str> {
        let mut own: HashSet<&str> = HashSet::from([ENTRY]);
        let depends =
            |item: &Item<'_>| names_of(item).any(|name| name == PARAMETERS || self.source.buffer(name).is_some());
        for item in &self.source.items {
            if depends(item) || shared.get(item.name).is_some_and(|text| text != item.text) {
                own.insert(item.name);
            }
        }
        loop {
            let before = own.len();
            for item in &self.source.items {
                if !own.contains(item.name) && names_of(item).any(|name| own.contains(name)) {
                    own.insert(item.name);
                }
            }
            if own.len() == before {
                return own;
            }
        }
    }

    /// Writes the structure of the parameters, the variable that holds them, and the function that loads them.
    fn write_parameters(&self, number: usize, limits: &Limits, text: &mut String) {
        let begins: Vec<String> = self.source.buffers.iter().map(|buffer| begin(buffer.name)).collect();
        let added = begins.iter().map(String::as_str).chain([COUNT]).map(|name| [name, "u32"]);
        let fields: Vec<[&str; 2]> = self.source.fields.iter().copied().chain(added).collect();
        let (kind, variable) = (own_name(number, PARAMETERS_TYPE), own_name(number, PARAMETERS));
        let _ = write!(text, "\nstruct {kind} {{\n");
        for [name, dtype] in &fields {
            let _ = writeln!(text, "    {name}: {dtype},");
        }
        let _ = write!(text, "}}\n\nvar<private> {variable}: {kind};\n\n");
        let _ = writeln!(text, "fn {}(at: u32) {{", own_name(number, "open"));
        for (vector, fields) in fields.chunks(4).enumerate() {
            let _ = writeln!(text, "    let words{vector} = {PARAMETERS}[at + {vector}u];");
            for ([name, dtype], lane) in fields.iter().zip(["x", "y", "z", "w"]) {
                let plus = if limits.hides_parameters { format!(" + {NOTHING}") } else { String::new() };
                let word = from_word(dtype, &format!("words{vector}.{lane}{plus}"));
                let _ = writeln!(text, "    {variable}.{name} = {word};");
            }
        }
        text.push_str("}\n");
    }

    /// Writes the functions that load and store elements, as far as `body` calls them.
    fn write_accesses(&self, number: usize, layouts: &[Layout], body: &str, text: &mut String) {
        for (buffer, place) in self.source.buffers.iter().zip(&self.bound) {
            let begin = format!("{}.{}", own_name(number, PARAMETERS), begin(buffer.name));
            // Elements of one number and of four, by the same buffer: tensors begin where a vector does.
            let kind = match buffer.width {
                1 => buffer.scalar.to_owned(),
                _ => format!("vec4<{}>", buffer.scalar),
            };
            let (at, elements) = layouts[*place].elements(&format!("buffer{place}"), &begin, buffer.width);
            let load = own_name(number, &access(buffer.name, false));
            if body.contains(&format!("{load}(")) {
                let words = match &elements[..] {
                    [element] => element.clone(),
                    elements => format!("vec4<u32>({})", elements.join(", ")),
                };
                let value = from_word(&kind, &words);
                let _ =
                    write!(text, "\nfn {load}(index: u32) -> {kind} {{\n    let at = {at};\n    return {value};\n}}\n");
            }
            let store = own_name(number, &access(buffer.name, true));
            if body.contains(&format!("{store}(")) {
                let words = if buffer.width == 1 { "u32" } else { "vec4<u32>" };
                let value =
                    if buffer.scalar == "u32" { "value".to_owned() } else { format!("bitcast<{words}>(value)") };
                let _ = write!(text, "\nfn {store}(index: u32, value: {kind}) {{\n    let at = {at};\n");
                match &elements[..] {
                    [element] => {
                        let _ = writeln!(text, "    {element} = {value};");
                    }
                    elements => {
                        let _ = writeln!(text, "    let words = {value};");
                        for (element, lane) in elements.iter().zip(["x", "y", "z", "w"]) {
                            let _ = writeln!(text, "    {element} = words.{lane};");
                        }
                    }
                }
                text.push_str("}\n");
            }
        }
    }
}

/// How the words of a joined buffer are declared.
#[derive(Clone, Copy)]
enum Layout {
    /// One by one: a device may write all of a vector where one number of it is written, beside an invocation that writes another.
    Words,
    /// In fours, where no module writes single numbers.
    Vectors,
}

impl Layout {
    fn of(modules: &[Module<'_>], buffer: usize) -> Self {
        let writes_single = |module: &Module<'_>| {
            let bound = module.source.buffers.iter().zip(&module.bound).zip(&module.dispatch.bindings);
            bound.into_iter().any(|((own, place), binding)| *place == buffer && own.width == 1 && binding.writable)
        };
        if modules.iter().any(writes_single) { Layout::Words } else { Layout::Vectors }
    }

    fn element(self) -> &'static str {
        match self {
            Layout::Words => "u32",
            Layout::Vectors => "vec4<u32>",
        }
    }

    /// The expression of the place `at` of element `index` of a tensor that begins at word `begin`, and those of its words.
    fn elements(self, buffer: &str, begin: &str, width: usize) -> (String, Vec<String>) {
        match (self, width) {
            (Layout::Words, 1) => (format!("{begin} + index"), vec![format!("{buffer}[at]")]),
            (Layout::Words, _) => {
                let words = (0..4).map(|word| format!("{buffer}[at + {word}u]")).collect();
                (format!("{begin} + 4u * index"), words)
            }
            (Layout::Vectors, 1) => (format!("{begin} + index"), vec![format!("{buffer}[at / 4u][at % 4u]")]),
            (Layout::Vectors, _) => (format!("{begin} / 4u + index"), vec![format!("{buffer}[at]")]),
        }
    }
}

/// Words as a number, or four, of the WGSL type `kind`.
fn from_word(kind: &str, words: &str) -> String {
    if kind.contains("u32") { words.to_owned() } else { format!("bitcast<{kind}>({words})") }
}
