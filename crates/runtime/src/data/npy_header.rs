//! The header of NumPy's `.npy` format: what is read of the literal of a Python dictionary, and how it is written.

use arenagrad_graph::Shape;

use super::reading::Number;

/// What the header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) number: Number,
    pub(super) big_endian: bool,
    /// Whether the first axis varies fastest.
    pub(super) is_fortran: bool,
    pub(super) shape: Shape,
}

/// Where the header is wrong, and why.
type Wrong = (usize, String);

/// Reads a dictionary of `descr`, `fortran_order` and `shape`, in any order.
pub(super) fn parsed(header: &[u8]) -> Result<Header, Wrong> {
    let mut parser = Parser { text: header, at: 0 };
    let (mut kind, mut is_fortran, mut shape) = (None, None, None);
    parser.expect(b'{')?;
    while !parser.found(b'}') {
        let start = parser.at;
        let key = parser.string()?;
        parser.expect(b':')?;
        let known = match &key[..] {
            "descr" => kind.replace(parser.number()?).is_some(),
            "fortran_order" => is_fortran.replace(parser.truth()?).is_some(),
            "shape" => shape.replace(parser.shape()?).is_some(),
            other => return Err((start, format!("{other:?} is no part of a header"))),
        };
        if known {
            return Err((start, format!("{key:?} stands there twice")));
        }
        if !parser.found(b',') {
            parser.expect(b'}')?;
            break;
        }
    }
    parser.skip();
    if parser.at < header.len() {
        return Err((parser.at, "there is something behind the dictionary".to_owned()));
    }
    let lacks = |what: &str| (header.len(), format!("it lacks {what:?}"));
    let (number, big_endian) = kind.ok_or_else(|| lacks("descr"))?;
    let is_fortran = is_fortran.ok_or_else(|| lacks("fortran_order"))?;
    Ok(Header { number, big_endian, is_fortran, shape: shape.ok_or_else(|| lacks("shape"))? })
}

/// What stands behind a magic of so many bytes: version, length and header, which end at a multiple of 64 bytes.
pub(super) fn written(descr: &str, shape: &Shape, magic: usize) -> Vec<u8> {
    let extents: Vec<String> = shape.dims().iter().map(usize::to_string).collect();
    let comma = if extents.len() == 1 { "," } else { "" };
    let shape = extents.join(", ");
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
    let whole = |length_bytes: usize| (magic + 2 + length_bytes + header.len() + 1).next_multiple_of(64);
    let (mut bytes, before) = match u16::try_from(whole(2) - magic - 4) {
        Ok(length) => ([&[1, 0][..], &length.to_le_bytes()].concat(), 4),
        // Only with thousands of axes.
        Err(_) => ([&[2, 0][..], &((whole(4) - magic - 6) as u32).to_le_bytes()].concat(), 6),
    };
    let end = whole(before - 2) - magic;
    bytes.extend(header.as_bytes());
    bytes.resize(end - 1, b' ');
    bytes.push(b'\n');
    bytes
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn skip(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Whether this comes next, which is then behind.
    fn found(&mut self, byte: u8) -> bool {
        self.skip();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.found(byte) { Ok(()) } else { Err((self.at, format!("{:?} is missing", char::from(byte)))) }
    }

    /// A text in quotes of either kind. No text of a header has an escape.
    fn string(&mut self) -> Result<String, Wrong> {
        self.skip();
        let quote = match self.text.get(self.at) {
            Some(&quote @ (b'\'' | b'"')) => quote,
            Some(b'[') => return Err((self.at, "arrays of records are not supported".to_owned())),
            Some(_) | None => return Err((self.at, "a text in quotes is missing".to_owned())),
        };
        let start = self.at + 1;
        let length = self.text[start..].iter().position(|&byte| byte == quote);
        let length = length.ok_or_else(|| (self.at, "a text has no end".to_owned()))?;
        self.at = start + length + 1;
        Ok(String::from_utf8_lossy(&self.text[start..start + length]).into_owned())
    }

    /// A type of elements, and whether the most significant byte comes first.
    fn number(&mut self) -> Result<(Number, bool), Wrong> {
        let start = self.at;
        let descr = self.string()?;
        let (order, kind) = match descr.as_bytes().first() {
            Some(b'<' | b'|' | b'=') => (false, &descr[1..]),
            Some(b'>') => (true, &descr[1..]),
            Some(_) | None => (false, &descr[..]),
        };
        let number = match kind {
            "b1" | "?" => Number::Bool,
            "u1" => Number::U8,
            "i1" => Number::I8,
            "u2" => Number::U16,
            "i2" => Number::I16,
            "u4" => Number::U32,
            "i4" => Number::I32,
            "u8" => Number::U64,
            "i8" => Number::I64,
            "f2" => Number::F16,
            "f4" => Number::F32,
            "f8" => Number::F64,
            _ => return Err((start, format!("elements of type {descr:?} are not supported"))),
        };
        Ok((number, order))
    }

    fn truth(&mut self) -> Result<bool, Wrong> {
        self.skip();
        for (word, truth) in [(&b"True"[..], true), (&b"False"[..], false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(truth);
            }
        }
        Err((self.at, "True or False is missing".to_owned()))
    }

    /// A tuple of extents.
    fn shape(&mut self) -> Result<Shape, Wrong> {
        self.expect(b'(')?;
        let mut extents: Vec<usize> = Vec::new();
        while !self.found(b')') {
            self.skip();
            let start = self.at;
            while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
                self.at += 1;
            }
            let digits = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
            extents.push(digits.parse().map_err(|_| (start, "an extent is missing or too large".to_owned()))?);
            // Files of Python 2 have extents such as 3L.
            self.found(b'L');
            if !self.found(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(extents.into())
    }
}
