//! Which kinds of instructions a WebAssembly module may have: an engine refuses a module whole if it does not know one of them.
//!
//! The linker writes what it was told of every object into the custom section `target_features`. That is read here, and nothing else of a
//! module.

/// What no page's program may need: threads, which a page has only if its server sends certain headers, and relaxed SIMD, which not
/// every engine has and whose digits are the engine's choice.
const REFUSED: [&str; 2] = ["atomics", "relaxed-simd"];

/// The kinds of instructions that a module as the linker wrote it may have. The error says what a page cannot have of them, or that the
/// module does not say.
pub(super) fn of(module: &[u8]) -> Result<Vec<&str>, String> {
    let features = section(module, "target_features").and_then(features);
    let features = features.ok_or("the program does not say what instructions it needs")?;
    match features.iter().find(|feature| REFUSED.contains(feature)) {
        Some(refused) => Err(format!("the program needs {refused}, which engines may refuse")),
        None => Ok(features),
    }
}

/// The content of the custom section of that name.
fn section<'a>(module: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let Some((&kind, behind)) = rest.split_first() {
        let (content, behind) = counted(behind)?;
        if kind == 0
            && let Some((name, content)) = counted(content)
            && name == wanted.as_bytes()
        {
            return Some(content);
        }
        rest = behind;
    }
    None
}

/// The features of the section: their number, then of each a sign and the name.
fn features(content: &[u8]) -> Option<Vec<&str>> {
    let (count, mut rest) = number(content)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (sign, behind) = rest.split_first()?;
        let (name, behind) = counted(behind)?;
        if *sign == b'+' {
            found.push(std::str::from_utf8(name).ok()?);
        }
        rest = behind;
    }
    Some(found)
}

/// So many bytes as the number before them says, and what is behind.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = number(bytes)?;
    rest.split_at_checked(count)
}

/// A number in groups of seven bits, the lowest first, and what is behind it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = 1 + bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let (groups, rest) = bytes.split_at(length);
    let number = groups.iter().rev().fold(0usize, |number, byte| number << 7 | usize::from(byte & 0x7f));
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::of;

    /// A module with a section of another kind, a custom one of another name, and that of the features.
    fn module(features: &[(u8, &str)]) -> Vec<u8> {
        let mut content = b"\x0ftarget_features".to_vec();
        content.push(features.len() as u8);
        for (sign, name) in features {
            content.extend([*sign, name.len() as u8]);
            content.extend(name.bytes());
        }
        let mut module = b"\0asm\x01\0\0\0\x01\x02ab\0\x05\x04name".to_vec();
        // A length of two groups, as linkers write it.
        module.extend([0, 0x80 | content.len() as u8 & 0x7f, content.len() as u8 >> 7]);
        module.extend(content);
        module
    }

    #[test]
    fn what_a_module_may_have_is_read_and_what_engines_refuse_is_refused() {
        let fine = module(&[(b'+', "bulk-memory"), (b'-', "atomics"), (b'+', "simd128")]);
        assert_eq!(of(&fine), Ok(vec!["bulk-memory", "simd128"]));
        assert!(of(&module(&[(b'+', "simd128"), (b'+', "relaxed-simd")])).unwrap_err().contains("needs relaxed-simd"));
        assert!(of(&module(&[(b'+', "atomics")])).unwrap_err().contains("needs atomics"));
        for cut in [0, 8, 20, fine.len() - 3] {
            assert!(of(&fine[..cut]).unwrap_err().contains("does not say"), "{cut}");
        }
    }
}
