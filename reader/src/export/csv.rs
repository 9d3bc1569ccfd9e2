//! `csv`: one row a call, and one a marker on request. No field is empty or ever needs quoting, and
//! integers are below 2^63: what other programs need for types that do not depend on the trace.

use super::buffer::{Row, TextBuffer};
use super::rows::{CallerFormat, CallerPlace, MOST, SharedParts};
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
            trace: |event| format!(",{},", event.trace),
            // Old address and alignment of most calls.
            before_again: ",0x0,0,",
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
        let Some((address, size)) = call.plain_numbers().filter(|(one, other)| one | other <= MOST)
        else {
            return self.rare(event, call, out);
        };
        let mut row = out.row();
        let time = self.shared.time(event.time_ns);
        time.put(&mut row);
        let caller = self.shared.caller(event, call.kind, &mut row);
        self.shared.address::<b','>(address, &mut row);
        row.decimal(size);
        self.shared.again(time, *b",0\0\0\0\0\0\0", 2, &mut row);
        let failed = address == 0 && call.kind.is_birth();
        self.end(event, caller, failed, row);
    }

    /// A call with numbers that few calls have.
    #[inline(never)]
    fn rare(&mut self, event: &Event, call: &Call, out: &mut TextBuffer) {
        let number = |number: Option<u64>| number.unwrap_or(0).min(MOST);
        let mut row = out.row();
        self.shared.time(event.time_ns).put(&mut row);
        let caller = self.shared.caller(event, call.kind, &mut row);
        self.shared.address::<b','>(number(call.address()), &mut row);
        row.decimal(number(call.size()));
        row.byte(b',');
        self.shared.address::<b','>(number(call.old_address()), &mut row);
        row.decimal(number(call.alignment()));
        row.byte(b',');
        let start_ns = call.death_ns().unwrap_or(event.time_ns);
        self.shared.time(start_ns).put(&mut row);
        row.byte(b',');
        row.decimal(event.time_ns.min(MOST).saturating_sub(start_ns));
        self.end(event, caller, call.failed(), row);
    }

    /// The columns that need nothing of the call.
    #[inline(always)]
    fn end(&mut self, event: &Event, caller: CallerPlace, failed: bool, mut row: Row) {
        let end = [b',', b'0' + u8::from(failed), b'\n', 0];
        self.shared.numbered(event, caller, (end, 3), &mut row);
        if self.markers {
            row.back(1);
            row.put(*b",0\n", 3);
        }
        row.end();
    }

    /// Something that is no call, and its number.
    #[cold]
    fn other(&mut self, event: &Event, name: &str, number: u64, out: &mut TextBuffer) {
        let &Event { pid, tid, trace, .. } = event;
        let (time, number) = (event.time_ns.min(MOST), number.min(MOST));
        let seq = self.shared.number();
        let row =
            format!("{time},{pid},{tid},{name},0x0,0,0x0,0,{time},0,{trace},{seq},0,{number}\n");
        out.put(row.as_bytes());
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
