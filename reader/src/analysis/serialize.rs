//! The format's values by name, for serde.

use std::collections::BTreeMap;
use std::path::Path;

use mallook_format::{Clock, Kind, Loss, Mode, Stacks};
use serde::Serializer;

use super::names::{clock_name, is_first_half, stacks_name};
use crate::stack::FrameKind;

pub fn path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

pub fn optional_path<S: Serializer>(
    path: &Option<std::path::PathBuf>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => to.collect_str(&path.display()),
        None => to.serialize_none(),
    }
}

pub fn stacks<S: Serializer>(taken: &Result<Stacks, u32>, to: S) -> Result<S::Ok, S::Error> {
    match taken {
        Ok(taken) => to.serialize_str(stacks_name(*taken)),
        Err(raw) => to.serialize_u32(*raw),
    }
}

pub fn frame_kind<S: Serializer>(kind: &FrameKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.name())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::analysis::Summary;
    use crate::trace::Trace;

    #[test]
    fn a_summary_has_a_value_for_each_field() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1.trace");
        let trace = Trace::open(golden.as_ref()).unwrap();
        let summary = serde_json::to_value(Summary::of(&trace)).unwrap();
        assert_eq!(summary["file"], json!(golden));
        assert_eq!(summary["mode"], json!("full"));
        assert_eq!(summary["clock"], json!("tsc"));
        assert_eq!(summary["ending"], json!("clean"));
        assert_eq!(summary["lost"], json!({}));
        assert_eq!(summary["stopped"], json!(null));
        assert_eq!(summary["kinds"]["realloc"], json!(3));
        assert_eq!(summary["kinds"]["realloc_first_moment"], json!(3));
        assert_eq!(
            summary["threads"],
            json!([
                { "tid": 24954, "name": "golden", "events": 29 },
                { "tid": 24955, "name": "golden", "events": 4 },
            ])
        );
        assert_eq!(summary["first_event_ns"], json!(1_795_351_829_952_241_083u64));
        assert_eq!(summary["last_event_ns"], json!(1_795_351_829_952_927_511u64));
    }
}
