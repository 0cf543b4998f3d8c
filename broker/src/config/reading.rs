//! Settings as typed values.
//!
//! Values were checked against their declarations before; what is unreadable here was reported
//! then, and reads as zero so that the reading of everything else goes on.

use std::time::Duration;

use super::declared::{self, Declared, elements};
use super::error::Problem;
use super::settings::{Settings, Source};

/// Reads typed values and collects what is wrong with them together.
pub struct Reading<'a> {
    settings: &'a Settings,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    /// Starts with the problems that are known already.
    pub fn new(settings: &'a Settings, problems: Vec<Problem>) -> Self {
        Self { settings, problems }
    }

    fn declared(name: &str) -> &'static Declared {
        declared::find(name).expect("only declared keys are read")
    }

    /// Whether somebody set the key.
    pub fn is_set(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// The value of a key: what was set, or the default; nothing where it is empty.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let text = match self.settings.get(name) {
            Some(setting) => Some(setting.value.reveal()),
            None => Self::declared(name).default,
        };
        text.map(str::trim).filter(|text| !text.is_empty())
    }

    /// A list; empty where the key is unset.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.text(name).map_or_else(Vec::new, |text| elements(text).map(str::to_owned).collect())
    }

    /// A number that may be unset.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A 64-bit number.
    pub fn long(&self, name: &str) -> i64 {
        self.number(name).unwrap_or_default()
    }

    /// A 32-bit number.
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).unwrap_or_default()
    }

    /// A count or a size that cannot be negative.
    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.long(name)).unwrap_or_default()
    }

    /// A size where a negative number means none.
    pub fn optional_size(&self, name: &str) -> Option<usize> {
        self.number(name).and_then(|number| usize::try_from(number).ok())
    }

    /// A span in milliseconds; a negative one is none at all.
    pub fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.long(name)).unwrap_or_default())
    }

    /// A switch.
    pub fn boolean(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// A value that has a form of its own; its default where it has not that form.
    pub fn parsed<T: Default>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match parse(self.text(name).unwrap_or_default()) {
            Ok(value) => value,
            Err(legal) => {
                self.refuse(name, legal);
                T::default()
            }
        }
    }

    /// Whether something is wrong with the value of a key already.
    pub fn is_refused(&self, name: &str) -> bool {
        let is_of =
            |problem: &Problem| matches!(problem, Problem::Invalid { key, .. } if key == name);
        self.problems.iter().any(is_of)
    }

    /// Reports that the value of a key breaks a rule.
    pub fn refuse(&mut self, name: &str, legal: String) {
        let (shown, source) = match self.settings.get(name) {
            Some(setting) => (setting.value.shown().to_owned(), setting.source.clone()),
            None => (Self::declared(name).default.unwrap_or_default().to_owned(), Source::Default),
        };
        self.problems.push(Problem::Invalid { key: name.to_owned(), shown, source, legal });
    }
}
