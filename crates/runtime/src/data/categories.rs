//! Names of categories and their numbers.

use std::collections::HashMap;

/// The categories of a column: each name and its number, which is its place in the list.
///
/// ```
/// use arenagrad::data::Categories;
///
/// let species = Categories::new(["setosa", "virginica"]);
/// assert_eq!((species.number("virginica"), species.name(0)), (Some(1), Some("setosa")));
/// assert_eq!(species.number("versicolor"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categories {
    names: Vec<String>,
    numbers: HashMap<String, i32>,
}

impl Categories {
    /// Categories in this order; a name that comes again has the number of its first place.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut categories = Categories::default();
        for name in names {
            categories.add(&name.into());
        }
        categories
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, each at the place of its number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a name, if it is known.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.numbers.get(name).copied()
    }

    /// The name of a number, if it is one of a category.
    pub fn name(&self, number: i32) -> Option<&str> {
        self.names.get(usize::try_from(number).ok()?).map(String::as_str)
    }

    /// The number of a name, a new one if it was not known.
    pub(super) fn add(&mut self, name: &str) -> i32 {
        if let Some(number) = self.number(name) {
            return number;
        }
        let number = self.names.len() as i32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// Those names that `used` has numbers of, in order, and the new number of each old one. Names that are integers are in the order
    /// of their values, in front of all others.
    #[cfg(feature = "data")]
    pub(super) fn sorted(&self, used: &[i32]) -> (Categories, Vec<i32>) {
        let mut is_used = vec![false; self.names.len()];
        used.iter().for_each(|&number| is_used[number as usize] = true);
        let used = self.names.iter().zip(is_used).filter(|(_, is_used)| *is_used);
        let mut names: Vec<&String> = used.map(|(name, _)| name).collect();
        let key = |name: &str| name.parse::<i64>().map_or((true, 0), |value| (false, value));
        names.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.cmp(b)));
        let sorted = Categories::new(names);
        let numbers = self.names.iter().map(|name| sorted.number(name).unwrap_or(0)).collect();
        (sorted, numbers)
    }
}
