//! `csv`: one row a call, and one a marker on request. No field is empty or ever needs quoting, and
//! integers are below 2^63: what other programs need for types that do not depend on the trace.

use super::buffer::{Row, TextBuffer};
use super::rows::{CallerFormat, MOST, SharedParts};
use crate::event::{Call, Event, EventKind};

const COLUMNS: &[u8] = b"time_ns,pid,tid,op,address,size,old_address,alignment,start_ns,\
                         duration_ns,trace,seq,failed";

/// Two ten-digit numbers and the name of a function at the most.
const CALLER: usize = 48;

/// Writes rows of csv.
pub struct Csv {
    shared: SharedParts<CALLER>,
    /// Markers have rows, and every row has their number.
    markers: bool,
}

impl Csv {
    pub fn new(markers: bool) -> Csv {
        let shared = SharedParts::new(CallerFormat {
            caller: |event, kind| format!(",{},{},{},", event.pid, event.tid, kind.name()),
            // After the duration of most calls.
            trace: |event| format!(",0,{},", event.trace),
        });
        Csv { shared, markers }
    }

    /// Appends the line before the first row.
    pub fn begin(&self, out: &mut TextBuffer) {
        out.put(COLUMNS);
        out.put(if self.markers { b",detail\n" } else { b"\n" });
    }

    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        match &event.kind {
            EventKind::Call(call) => self.call(event, call, out),
            _ if !self.markers => {}
            &EventKind::Marker(kind, number) => self.other(event, kind.name(), number.into(), out),
            &EventKind::Missing(gap, count) => self.other(event, gap.name(), count, out),
        }
    }

    #[inline(always)]
    fn call(&mut self, event: &Event, call: &Call, out: &mut TextBuffer) {
        let mut row = out.row();
        let time = self.shared.time(event.time_ns);
        time.put(&mut row);
        let trace = self.shared.caller(event, call.kind, &mut row);
        row.address::<b','>(call.address().unwrap_or(0).min(MOST));
        row.decimal(call.size().unwrap_or(0).min(MOST));
        if call.is_plain() {
            row.put(*b",0x0,0,\0", 7);
            time.put(&mut row);
            trace.put(&mut row);
        } else {
            self.rest(event, call, &mut row);
            trace.split_at(2).1.put(&mut row);
        }
        self.shared.number(&mut row, [b',', b'0' + u8::from(call.failed()), b'\n', 0], 3);
        if self.markers {
            row.back(1);
            row.put(*b",0\n", 3);
        }
        row.end();
    }

    /// The fields that few calls have.
    #[inline(never)]
    fn rest(&mut self, event: &Event, call: &Call, row: &mut Row) {
        row.byte(b',');
        row.address::<b','>(call.old_address().unwrap_or(0).min(MOST));
        row.decimal(call.alignment().unwrap_or(0).min(MOST));
        row.byte(b',');
        let start_ns = call.death_ns().unwrap_or(event.time_ns);
        self.shared.time(start_ns).put(row);
        row.byte(b',');
        row.decimal(event.time_ns.min(MOST).saturating_sub(start_ns));
    }

    /// Something that is no call, and its number.
    #[cold]
    fn other(&mut self, event: &Event, name: &str, number: u64, out: &mut TextBuffer) {
        let &Event { pid, tid, trace, .. } = event;
        let (time, number) = (event.time_ns.min(MOST), number.min(MOST));
        let before = format!("{time},{pid},{tid},{name},0x0,0,0x0,0,{time},0,{trace},");
        out.put(before.as_bytes());
        let mut row = out.row();
        self.shared.number(&mut row, [0; 4], 0);
        row.end();
        out.put(format!(",0,{number}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows::tests::{any_events, assert_same_rows};
    use super::*;

    fn plainly(number: usize, event: &Event, call: &Call) -> String {
        let decimal = |value: Option<u64>| value.unwrap_or(0).min(MOST);
        let start = decimal(call.death_ns().or(Some(event.time_ns)));
        format!(
            "{},{},{},{},{:#x},{},{:#x},{},{start},{},{},{number},{}\n",
            decimal(Some(event.time_ns)),
            event.pid,
            event.tid,
            call.name(),
            call.address().unwrap_or(0).min(MOST),
            decimal(call.size()),
            call.old_address().unwrap_or(0).min(MOST),
            decimal(call.alignment()),
            decimal(Some(event.time_ns)).saturating_sub(start),
            event.trace,
            u8::from(call.failed()),
        )
    }

    proptest! {
        #[test]
        fn rows_are_those_of_plain_formatting(events in any_events()) {
            let mut csv = Csv::new(false);
            assert_same_rows(&events, |event, out| csv.event(event, out), plainly);
        }
    }
}
