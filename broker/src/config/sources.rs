//! Where settings come from.

use std::path::PathBuf;

use super::secret::Secret;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The properties file, if any.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, Secret<String>)>,
    /// The arguments of `--set`, in their order.
    pub set: Vec<Secret<String>>,
}

impl Sources {
    /// The environment of this process, and what its command line says.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        // A variable that is not text is nobody's setting.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?)))
            })
            .collect();
        Self { file, environment, set: set.into_iter().map(Secret::new).collect() }
    }

    /// The value of an environment variable that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(other, _)| other == name)?;
        Some(value.reveal().as_str()).filter(|value| !value.is_empty())
    }
}
