//! Named moments and pauses as markers of the Firefox Profiler.

use fxprof_processed_profile::{
    CategoryHandle, MarkerFieldFlags, MarkerFieldFormat, MarkerLocations, MarkerTiming, Profile,
    StaticSchemaMarker, StaticSchemaMarkerField, StringHandle, ThreadHandle, Timestamp,
};
use mallook_analysis::Pause;
use mallook_reader::Trace;

/// A marker with a text.
#[derive(Debug, Clone)]
struct Named {
    name: StringHandle,
    text: StringHandle,
}

impl StaticSchemaMarker for Named {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "Mark";
    const LOCATIONS: MarkerLocations = MarkerLocations::MARKER_CHART
        .union(MarkerLocations::MARKER_TABLE)
        .union(MarkerLocations::TIMELINE_OVERVIEW);
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[StaticSchemaMarkerField {
        key: "text",
        label: "Text",
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }];

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, _: u32) -> StringHandle {
        self.text
    }

    fn number_field_value(&self, _: u32) -> f64 {
        0.0
    }
}

/// Adds pauses to the threads that stand for the traces.
pub fn add_pauses(
    profile: &mut Profile,
    threads: &[ThreadHandle],
    pauses: &[Pause],
    since: impl Fn(u64) -> Timestamp,
) {
    let name = profile.intern_string("Recording pauses");
    let marker = Named { name, text: name };
    for pause in pauses {
        let Some(&thread) = threads.get(pause.trace as usize) else { continue };
        let end = since(pause.end_ns);
        let timing = match pause.start_ns {
            Some(start_ns) => MarkerTiming::Interval(since(start_ns), end),
            None => MarkerTiming::IntervalEnd(end),
        };
        profile.add_marker(thread, timing, marker.clone());
    }
}

/// Adds the named moments of a trace.
pub fn add_marks(
    profile: &mut Profile,
    thread: ThreadHandle,
    trace: &Trace,
    since: impl Fn(u64) -> Timestamp,
) {
    for mark in trace.marks() {
        // Which escapes what no screen should get.
        let text = profile.intern_string(&mark.to_string());
        let name = profile.intern_string("Mark");
        profile.add_marker(
            thread,
            MarkerTiming::Instant(since(mark.time_ns)),
            Named { name, text },
        );
    }
}
