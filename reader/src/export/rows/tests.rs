use proptest::prelude::*;

use super::*;
use crate::event::{Call, EventKind};
use crate::export::buffer::TextBuffer;

fn any_event() -> impl Strategy<Value = Event> {
    let value = || prop::option::of(prop_oneof![any::<u64>(), 0u64..1 << 20]);
    let time = prop_oneof![any::<u64>(), 1_795_519_784_000_000_000u64..1_795_519_784_300_000_000];
    let tid = prop_oneof![any::<u32>(), 1u32..4];
    let kind = prop::sample::select(&Kind::ALL[..]);
    (time, any::<u32>(), tid, kind, value(), value(), value(), value(), value()).prop_map(
        |(time_ns, pid, tid, kind, address, size, old_address, alignment, start_ns)| {
            let call = Call::new(kind)
                .with_address(address)
                .with_size(size)
                .with_old_address(old_address)
                .with_alignment(alignment)
                .with_start_ns(start_ns);
            Event { time_ns, pid, tid, trace: pid % 7, stack: None, kind: EventKind::Call(call) }
        },
    )
}

pub fn any_events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(prop_oneof![20 => any_event(), 1 => Just(longest())], 1..50)
}

/// The event with the longest row.
fn longest() -> Event {
    let call = Call::new(Kind::FreeAlignedSized)
        .with_address(u64::MAX)
        .with_size(u64::MAX)
        .with_old_address(u64::MAX)
        .with_alignment(u64::MAX)
        .with_start_ns(u64::MAX);
    Event {
        time_ns: u64::MAX,
        pid: u32::MAX,
        tid: u32::MAX,
        trace: u32::MAX,
        stack: None,
        kind: EventKind::Call(call),
    }
}

/// Both writers make the same text of every call.
pub fn assert_same_rows(
    events: &[Event],
    mut fast: impl FnMut(&Event, &mut TextBuffer),
    plain: impl Fn(usize, &Event, &Call) -> String,
) {
    let mut out = TextBuffer::new();
    for (number, event) in events.iter().enumerate() {
        let EventKind::Call(call) = &event.kind else { continue };
        out.clear();
        fast(event, &mut out);
        assert_eq!(String::from_utf8_lossy(out.text()), plain(number, event, call));
    }
}

#[test]
fn times_may_jump_anywhere() {
    let mut shared = SharedParts::<64>::new(CALLERS_OF_TESTS);
    let mut out = TextBuffer::new();
    for time_ns in [
        u64::MAX,
        5,
        0,
        u64::MAX - 1,
        BACK,
        BACK - 1,
        2 * BACK - 1,
        MOST - 1,
        MOST,
        MOST + 1,
        10 * BACK,
        10 * BACK - 1,
        u64::MAX,
    ] {
        out.clear();
        let mut row = out.row();
        let time = shared.time(time_ns);
        time.put(&mut row);
        row.byte(b' ');
        time.put_seconds(&mut row);
        shared.again(time, *b" after..", 6, &mut row);
        row.end();
        let shown = time_ns.min(MOST);
        let (seconds, rest) = (shown / 1_000_000_000, shown % 1_000_000_000);
        let expected = format!("{shown} {seconds}.{rest:09} again {shown} after");
        assert_eq!(String::from_utf8_lossy(out.text()), expected);
    }
}

const CALLERS_OF_TESTS: CallerFormat = CallerFormat {
    caller: |event, _| event.tid.to_string(),
    trace: |event| format!(" {} ", event.trace),
    before_again: " again ",
};

/// Callers that come seldom know the front of the numbers, too.
#[test]
fn rows_are_numbered() {
    let mut shared = SharedParts::<64>::new(CALLERS_OF_TESTS);
    let mut out = TextBuffer::new();
    let mut event = longest();
    for number in 0..123_456_u32 {
        (event.tid, event.trace) = if number % 12_345 == 0 { (1, 7) } else { (2, 8) };
        out.clear();
        if number % 10_007 == 0 {
            assert_eq!(shared.number(), u64::from(number));
            continue;
        }
        let mut row = out.row();
        let caller = shared.caller(&event, Kind::Malloc, &mut row);
        shared.numbered(&event, caller, (*b" end", 4), &mut row);
        row.end();
        let expected = format!("{} {} {number} end", event.tid, event.trace);
        assert_eq!(String::from_utf8_lossy(out.text()), expected);
    }
}

#[test]
fn addresses_of_any_length() {
    let mut shared = SharedParts::<64>::new(CALLERS_OF_TESTS);
    let mut out = TextBuffer::new();
    let powers = (0..64).map(|shift| 1_u64 << shift);
    let others = [0, 7, 0x7fff_1234_5678, 0x7fff_0000_0000, 0x5555_0000_0001, u64::MAX, 0];
    for address in powers.flat_map(|power| [power, power - 1]).chain(others) {
        out.clear();
        let mut row = out.row();
        shared.address::<b','>(address, &mut row);
        row.end();
        assert_eq!(String::from_utf8_lossy(out.text()), format!("{address:#x},"));
    }
}
