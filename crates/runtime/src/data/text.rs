//! Files of text.

use std::path::Path;

use super::DataError;
use crate::error::Error;
use crate::file::content;

/// The text of a file in UTF-8, without a byte order mark.
///
/// Errors: [`Error::File`] if it cannot be read, [`DataError::NotText`] with the place where it is no UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    let bytes = content(path)?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Error::from(DataError::NotText { path: path.to_owned(), offset })
    })?;
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}

/// The lines of a file in UTF-8, without what ends them. Errors as [`read_text`].
pub fn read_lines(path: impl AsRef<Path>) -> Result<Vec<String>, Error> {
    Ok(read_text(path)?.lines().map(str::to_owned).collect())
}
