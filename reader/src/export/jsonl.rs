//! `jsonl`: one object a call, with the columns of `csv` as keys. Fields that do not apply are left
//! out. No string ever needs escaping.

use mallook_format::Kind;

use super::buffer::{Row, TextBuffer};
use super::rows::SharedParts;
use crate::event::{Call, Event, EventKind};

/// Two ten-digit numbers, "free_aligned_sized" and three keys at the most.
const CALLER: usize = 64;

/// Writes rows of JSON.
pub struct Jsonl(SharedParts<CALLER>);

impl Jsonl {
    pub fn new() -> Jsonl {
        let caller = |event: &Event, kind: Kind| {
            format!(r#","pid":{},"tid":{},"op":"{}""#, event.pid, event.tid, kind.name())
        };
        Jsonl(SharedParts::new(caller))
    }

    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        let EventKind::Call(call) = &event.kind else { return };
        let mut row = out.row();
        row.put(*br#"{"time_ns":"#, 11);
        self.0.time(event.time_ns, &mut row);
        self.0.caller(event, call.kind, &mut row);
        if let Some(address) = call.address() {
            row.put(*br#","address":""#, 12);
            row.address::<b'"'>(address);
        }
        let size = call.size_if_any();
        row.put(*br#","size":"#, 8 * usize::from(size.0));
        row.decimal_if_any(size);
        if !call.is_plain() {
            self.rest(call, &mut row);
        }
        row.put(*b"}\n", 2);
        row.end();
    }

    /// The fields that few calls have.
    fn rest(&mut self, call: &Call, row: &mut Row) {
        if let Some(address) = call.old_address() {
            row.put(*br#","old_address":""#, 16);
            row.address::<b'"'>(address);
        }
        if let Some(alignment) = call.alignment() {
            row.put(*br#","alignment":"#, 13);
            row.decimal(alignment);
        }
        if let Some(start_ns) = call.start_ns() {
            row.put(*br#","start_ns":"#, 12);
            self.0.time(start_ns, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::super::rows::tests::{any_events, assert_same_rows};
    use super::*;

    fn with_serde_json(event: &Event, call: &Call) -> String {
        let address = |address: u64| Value::from(format!("{address:#x}"));
        let fields = [
            ("time_ns", Some(event.time_ns.into())),
            ("pid", Some(event.pid.into())),
            ("tid", Some(event.tid.into())),
            ("op", Some(call.name().into())),
            ("address", call.address().map(address)),
            ("size", call.size().map(Value::from)),
            ("old_address", call.old_address().map(address)),
            ("alignment", call.alignment().map(Value::from)),
            ("start_ns", call.start_ns().map(Value::from)),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        format!("{}\n", Value::Object(fields.collect::<Map<String, Value>>()))
    }

    proptest! {
        #[test]
        fn rows_are_those_of_serde_json(events in any_events()) {
            let mut jsonl = Jsonl::new();
            assert_same_rows(&events, |event, out| jsonl.event(event, out), with_serde_json);
        }
    }
}
