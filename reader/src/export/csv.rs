//! `csv`: one row a call. No field ever needs quoting.

use mallook_format::Kind;

use super::buffer::{Row, TextBuffer};
use super::rows::SharedParts;
use crate::event::{Call, Event, EventKind};

pub const HEADER: &[u8] = b"time_ns,pid,tid,op,address,size,old_address,alignment,start_ns\n";

/// Two ten-digit numbers and "free_aligned_sized" at the most.
const CALLER: usize = 48;

/// Writes rows of csv.
pub struct Csv(SharedParts<CALLER>);

impl Csv {
    pub fn new() -> Csv {
        let caller =
            |event: &Event, kind: Kind| format!(",{},{},{},", event.pid, event.tid, kind.name());
        Csv(SharedParts::new(caller))
    }

    #[inline(always)]
    pub fn event(&mut self, event: &Event, out: &mut TextBuffer) {
        let EventKind::Call(call) = &event.kind else { return };
        let mut row = out.row();
        self.0.time(event.time_ns, &mut row);
        self.0.caller(event, call.kind, &mut row);
        match call.address() {
            Some(address) => row.address::<b','>(address),
            None => row.byte(b','),
        }
        row.decimal_if_any(call.size_if_any());
        if call.is_plain() {
            row.put(*b",,,\n", 4);
        } else {
            self.rest(call, &mut row);
        }
        row.end();
    }

    /// The fields that few calls have.
    fn rest(&mut self, call: &Call, row: &mut Row) {
        row.byte(b',');
        call.old_address().inspect(|&address| row.hexadecimal(address));
        row.byte(b',');
        call.alignment().inspect(|&alignment| row.decimal(alignment));
        row.byte(b',');
        call.start_ns().inspect(|&start| self.0.time(start, row));
        row.byte(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows::tests::{any_events, assert_same_rows};
    use super::*;

    fn plainly(event: &Event, call: &Call) -> String {
        let decimal = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
        let hex = |value: Option<u64>| value.map_or(String::new(), |value| format!("{value:#x}"));
        format!(
            "{},{},{},{},{},{},{},{},{}\n",
            event.time_ns,
            event.pid,
            event.tid,
            call.name(),
            hex(call.address()),
            decimal(call.size()),
            hex(call.old_address()),
            decimal(call.alignment()),
            decimal(call.start_ns()),
        )
    }

    proptest! {
        #[test]
        fn rows_are_those_of_plain_formatting(events in any_events()) {
            let mut csv = Csv::new();
            assert_same_rows(&events, |event, out| csv.event(event, out), plainly);
        }
    }
}
