//! The sides of a comparison: runs, or moments of runs.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::value::{self, Time};
use crate::{shell, units};

/// A run, or a moment of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// A file, a directory, or a prefix.
    pub path: PathBuf,
    /// The moment; without one, the end.
    pub at: Option<Time>,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell::quote(&self.path))?;
        match self.at {
            None => Ok(()),
            Some(Time::SinceStart(ns)) => write!(f, "@{}", units::span(ns).replace(' ', "")),
            Some(Time::Unix(ns)) => {
                write!(f, "@@{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
            }
        }
    }
}

/// Repetitions of a run: `A`, `A@10s`, `A1,A2,A3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// As it was written.
    pub text: String,
    /// The repetitions.
    pub moments: Vec<Moment>,
}

/// Reads an argument. What names a file as it is, is that file.
pub fn runs(text: &str) -> Result<Runs, String> {
    let parts = if Path::new(text).exists() { vec![text] } else { text.split(',').collect() };
    let moments = parts.into_iter().map(moment).collect::<Result<Vec<_>, _>>()?;
    Ok(Runs { text: text.to_owned(), moments })
}

/// Reads one of them.
pub fn moment(text: &str) -> Result<Moment, String> {
    if text.is_empty() {
        return Err("found nothing, expected a trace".to_owned());
    }
    let whole = Moment { path: text.into(), at: None };
    match text.rsplit_once('@') {
        // Unix times start with a second one: A@@1700000000.
        Some((path, time)) if !Path::new(text).exists() => {
            let (path, time) = match path.strip_suffix('@') {
                Some(path) => (path, format!("@{time}")),
                None => (path, time.to_owned()),
            };
            Ok(Moment { path: path.into(), at: Some(value::time(&time)?) })
        }
        _ => Ok(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_repetitions() {
        let moment = |path: &str, at| Moment { path: path.into(), at };
        let of = |text| runs(text).map(|runs| runs.moments);
        assert_eq!(of("a"), Ok(vec![moment("a", None)]));
        let ten = Some(Time::SinceStart(10_000_000_000));
        assert_eq!(of("a@10s"), Ok(vec![moment("a", ten)]));
        assert_eq!(of("a@@1.5"), Ok(vec![moment("a", Some(Time::Unix(1_500_000_000)))]));
        assert_eq!(of("a,b@10s"), Ok(vec![moment("a", None), moment("b", ten)]));
        assert!(of("a@lots").is_err());
        assert!(of("a,,b").is_err());
    }
}
