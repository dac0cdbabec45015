//! What is wrong with a configuration, said so that it can be mended: file, line, key, what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used. `Display` gives one line per fault.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, in the order of the file; at least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line of the file, from 1, where there is one to name.
    pub line: Option<usize>,
    /// The key, `line[2].channel`; entries of a list are counted from 1.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot be read: {error}; name another file with --config");
        Self::one(
            path,
            Fault {
                line: None,
                key: String::new(),
                message,
            },
        )
    }

    pub(crate) fn one(path: &Path, fault: Fault) -> Self {
        Self {
            path: path.to_owned(),
            faults: vec![fault],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", self.path.display())?;
            if let Some(line) = fault.line {
                write!(f, ":{line}")?;
            }
            if !fault.key.is_empty() {
                write!(f, ": {}", fault.key)?;
            }
            write!(f, ": {}", fault.message)?;
        }
        Ok(())
    }
}

/// The line, counted from 1, on which byte `span.start` of `text` stands.
pub(crate) fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text
        .char_indices()
        .filter(|&(at, c)| at < span.start && c == '\n')
        .count()
}
