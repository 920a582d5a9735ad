//! Unpacking gzipped files as Python's `gzip` does: member after member, with any number of zero bytes behind each.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// What a gzipped reader holds, unpacked.
pub(super) enum Gzip<R> {
    /// Within a member.
    Member(GzDecoder<R>),
    Ended,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(packed: R) -> Self {
        Gzip::Member(GzDecoder::new(packed))
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Gzip::Member(member) = self {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Gzip::Member(member) = std::mem::replace(self, Gzip::Ended) else { break };
            let mut packed = member.into_inner();
            // Tapes and tools that write whole blocks fill the last one with zeros.
            if skip_zeros(&mut packed)? {
                *self = Gzip::Member(GzDecoder::new(packed));
            }
        }
        Ok(0)
    }
}

/// Goes past zero bytes: whether anything else follows.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = packed.fill_buf()?;
        let (zeros, len) = (bytes.iter().take_while(|byte| **byte == 0).count(), bytes.len());
        packed.consume(zeros);
        if zeros < len || len == 0 {
            return Ok(len > 0);
        }
    }
}
