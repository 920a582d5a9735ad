//! What is read of a table: its samples and the categories of its columns.

use super::categories::Categories;
use super::dataset::Dataset;

/// What a reader found: columns of samples, and for those of categories what their numbers stand for.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Table {
    /// The columns.
    pub data: Dataset,
    categories: Vec<(String, Categories)>,
}

impl Table {
    #[cfg(any(feature = "data", feature = "images"))]
    pub(super) fn new(data: Dataset, categories: Vec<(String, Categories)>) -> Self {
        Table { data, categories }
    }

    /// The categories of the column of that name in [`Table::data`], if it holds such.
    pub fn categories(&self, column: &str) -> Option<&Categories> {
        self.categories.iter().find(|(known, _)| known == column).map(|(_, categories)| categories)
    }
}
