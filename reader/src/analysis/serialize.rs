//! The format's values by name, for serde.

use std::collections::BTreeMap;
use std::path::Path;

use mallook_format::{Clock, Kind, Loss, Mode};
use serde::Serializer;

use super::names::{clock_name, is_first_half};

pub fn path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

pub fn mode<S: Serializer>(mode: &Result<Mode, u32>, to: S) -> Result<S::Ok, S::Error> {
    match mode {
        Ok(Mode::Full) => to.serialize_str("full"),
        Ok(Mode::Ring) => to.serialize_str("ring"),
        Err(raw) => to.serialize_u32(*raw),
    }
}

pub fn clock<S: Serializer>(clock: &Result<Clock, u32>, to: S) -> Result<S::Ok, S::Error> {
    match clock {
        Ok(clock) => to.serialize_str(clock_name(*clock)),
        Err(raw) => to.serialize_u32(*raw),
    }
}

pub fn lost<S: Serializer>(lost: &[(Loss, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(lost.iter().map(|(cause, count)| (cause.describe(), count)))
}

pub fn stopped<S: Serializer>(cause: &Option<Loss>, to: S) -> Result<S::Ok, S::Error> {
    match cause {
        Some(cause) => to.serialize_some(cause.describe()),
        None => to.serialize_none(),
    }
}

/// The first moment of a reallocation has a key of its own.
pub fn kinds<S: Serializer>(kinds: &BTreeMap<Kind, u64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(kinds.iter().map(|(&kind, count)| {
        let suffix = if is_first_half(kind) { "_first_moment" } else { "" };
        (format!("{}{suffix}", kind.name()), count)
    }))
}
