//! `jsonl`: one object a call, and one a marker on request, with the columns of `csv` as keys. Fields
//! that do not apply are left out. No string but the text of a mark ever needs escaping.

use mallook_format::Kind;

use super::buffer::{Row, TextBuffer};
use super::marks::Marks;
use super::rows::{CallerFormat, MOST, SharedParts};
use crate::event::{Call, Event, EventKind};
use crate::trace::{Mark, Trace};

/// Two ten-digit numbers, the name of a function and three keys at the most.
const CALLER: usize = 64;

/// Writes rows of JSON.
pub struct Jsonl {
    shared: SharedParts<CALLER>,
    /// Markers have rows.
    markers: bool,
    marks: Marks,
}

impl Jsonl {
    pub fn new(markers: bool, traces: &[Trace]) -> Jsonl {
        let shared = SharedParts::new(CallerFormat {
            caller: |event, kind| {
                format!(r#"","pid":{},"tid":{},"op":"{}""#, event.pid, event.tid, kind.name())
            },
            trace: |event| format!(r#"{},"seq":"#, event.trace),
            before_again: "",
        });
        Jsonl { shared, markers, marks: Marks::of(traces) }
    }

    pub fn learn(&mut self, trace: u32, mark: &Mark) {
        self.marks.learn(trace, mark);
    }

    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        match &event.kind {
            EventKind::Call(call) => self.call(event, call, out),
            _ if !self.markers => {}
            &EventKind::Marker(kind, number) => {
                let text = self.marks.get(event.trace, number).filter(|_| kind == Kind::Mark);
                let text = text.map_or_else(String::new, |mark| {
                    let text = String::from_utf8_lossy(&mark.text);
                    format!(",\"text\":{}", quoted(&text))
                });
                self.other(event, kind.name(), number.into(), &text, out);
            }
            &EventKind::Missing(gap, count) => self.other(event, gap.name(), count, "", out),
        }
    }

    #[inline(always)]
    fn call(&mut self, event: &Event, call: &Call, out: &mut TextBuffer) {
        let mut row = out.row();
        row.put(*br#"{"time_ns":"#, 11);
        let time = self.shared.time(event.time_ns);
        time.put(&mut row);
        row.put(*br#","time":""#, 9);
        time.put_seconds(&mut row);
        let caller = self.shared.caller(event, call.kind, &mut row);
        if let Some(address) = call.address() {
            row.put(*br#","address":""#, 12);
            self.shared.address::<b'"'>(address.min(MOST), &mut row);
        }
        if let Some(size) = call.size() {
            row.put(*br#","size":"#, 8);
            row.decimal(size.min(MOST));
        }
        if !call.is_plain() {
            self.rest(event, call, &mut row);
        }
        row.put(*br#","trace":"#, 9);
        self.shared.numbered(event, caller, ([0; 4], 0), &mut row);
        match call.failed() {
            true => row.put(*b",\"failed\":true}\n", 16),
            false => row.put(*b",\"failed\":false}\n", 17),
        }
        row.end();
    }

    /// The fields that few calls have.
    #[inline(never)]
    fn rest(&mut self, event: &Event, call: &Call, row: &mut Row) {
        if let Some(address) = call.old_address() {
            row.put(*br#","old_address":""#, 16);
            self.shared.address::<b'"'>(address.min(MOST), row);
        }
        if let Some(alignment) = call.alignment() {
            row.put(*br#","alignment":"#, 13);
            row.decimal(alignment.min(MOST));
        }
        if let Some(start_ns) = call.death_ns() {
            row.put(*br#","start_ns":"#, 12);
            self.shared.time(start_ns).put(row);
            row.put(*br#","duration_ns":"#, 15);
            row.decimal(event.time_ns.min(MOST).saturating_sub(start_ns));
        }
    }

    /// Something that is no call, and its number.
    #[cold]
    fn other(&mut self, event: &Event, name: &str, number: u64, text: &str, out: &mut TextBuffer) {
        let &Event { pid, tid, trace, .. } = event;
        let (time, number) = (event.time_ns.min(MOST), number.min(MOST));
        let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
        let seq = self.shared.number();
        let time = format!(r#"{{"time_ns":{time},"time":"{seconds}.{rest:09}""#);
        let of = format!(r#","pid":{pid},"tid":{tid},"op":"{name}","trace":{trace},"seq":{seq}"#);
        out.put(time.as_bytes());
        out.put(of.as_bytes());
        out.put(format!(",\"detail\":{number}{text}}}\n").as_bytes());
    }
}

/// A string of JSON, in ASCII.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ b' '..=b'~') if !b"\"\\".contains(&byte) => quoted.push(byte.into()),
            _ => quoted.push_str(&format!("\\u{unit:04x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::super::rows::tests::{any_events, assert_same_rows};
    use super::*;

    fn with_serde_json(number: usize, event: &Event, call: &Call) -> String {
        let address = |address: u64| Value::from(format!("{:#x}", address.min(MOST)));
        let integer = |value: u64| Value::from(value.min(MOST));
        let time = event.time_ns.min(MOST);
        let seconds = format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000);
        let duration = |start_ns: u64| Value::from(time.saturating_sub(start_ns));
        let fields = [
            ("time_ns", Some(time.into())),
            ("time", Some(seconds.into())),
            ("pid", Some(event.pid.into())),
            ("tid", Some(event.tid.into())),
            ("op", Some(call.name().into())),
            ("address", call.address().map(address)),
            ("size", call.size().map(integer)),
            ("old_address", call.old_address().map(address)),
            ("alignment", call.alignment().map(integer)),
            ("start_ns", call.death_ns().map(integer)),
            ("duration_ns", call.death_ns().map(duration)),
            ("trace", Some(event.trace.into())),
            ("seq", Some(number.into())),
            ("failed", Some(call.failed().into())),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        format!("{}\n", Value::Object(fields.collect::<Map<String, Value>>()))
    }

    proptest! {
        #[test]
        fn rows_are_those_of_serde_json(events in any_events()) {
            let mut jsonl = Jsonl::new(false, &[]);
            assert_same_rows(&events, |event, out| jsonl.event(event, out), with_serde_json);
        }
    }
}
