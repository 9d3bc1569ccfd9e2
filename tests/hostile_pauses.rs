//! Hostile pauses and marks: in orders that no process makes, and with texts that nobody should print as they are.

use std::collections::BTreeSet;
use std::fs;

use mallook_format::{
    CONTROL_OFFSET, Control, Kind, MARK_OFFSET, MARK_SIZE, MARK_TEXT, MARKS, MARKS_OFFSET,
    PAUSED_OFFSET, PAUSES_OFFSET, SLOTS, Slot,
};
use mallook_reader::export::Format;
use mallook_reader::{Check, EventKind, Events, Source, Trace};

use crate::artifacts::artifacts;
use crate::counting::peak;
use crate::fuzz::encode::{Encoder, Moment, Process};
use crate::fuzz::read;
use crate::invented::{invented, slot};
use crate::sandbox::{Sandbox, setup};

const FORMATS: [Format; 4] = [Format::Text, Format::Csv, Format::Jsonl, Format::Sizes];

/// Commands that read a trace to its end, and look at pauses or marks.
const COMMANDS: [&[&str]; 22] = [
    &["dump"],
    &["dump", "--format", "csv"],
    &["dump", "--format", "jsonl", "--events", "all"],
    &["follow"],
    &["check"],
    &["info"],
    &["info", "--json"],
    &["summary"],
    &["summary", "--json"],
    &["stats"],
    &["leaks"],
    &["timeline"],
    &["timeline", "--format", "svg"],
    &["timeline", "--format", "csv"],
    &["fragmentation"],
    &["report"],
    &["ctl", "status"],
    &["ctl", "status", "--json"],
    &["top", "--once"],
    &["top", "--once", "--json"],
    &["stats", "--json"],
    &["export", "--to", "firefox", "-o", "/dev/stdout"],
];

/// Two threads, pauses, some of which have begun or ended twice, and marks.
pub fn pauses() -> Vec<u8> {
    let marks = [0, 40, 300, 9_000].map(|after| (after, b"\x1b[2J\n<b>".to_vec())).to_vec();
    let moment = |number: u64| {
        let kind = match number % 50 {
            7 | 31 | 39 => Kind::Paused,
            19 | 24 | 44 => Kind::Resumed,
            _ => [Kind::Malloc, Kind::Free][number as usize % 2],
        };
        let address = if kind.is_moment() { 0x10_0000 + number / 2 % 40 * 16 } else { 0 };
        Moment {
            thread: 1 + (number / 9 % 2) as u32,
            kind: kind as u8,
            address,
            size: if kind.is_birth() { number } else { 0 },
            ..Moment::default()
        }
    };
    let process = Process { marks, ..Process::default() };
    Encoder::encode(process, &(0..1_500).map(moment).collect::<Vec<_>>()).0
}

fn put(bytes: &mut [u8], offset: usize, word: u64) {
    bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
}

/// A mark that says that it is there, at a place.
fn put_mark(bytes: &mut [u8], place: usize, state: u64, monotonic_ns: u64, text: &[u8]) {
    let start = MARK_OFFSET + place * MARK_SIZE;
    put(bytes, start, state);
    put(bytes, start + 8, monotonic_ns);
    bytes[start + 16..start + 16 + MARK_TEXT].fill(0);
    bytes[start + 16..start + 16 + text.len()].copy_from_slice(text);
}

/// No command dies of it, and what they print is harmless; what each has printed.
fn printed(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Vec<String> {
    let path = sandbox.file(&format!("{name}.1.1.0"), bytes);
    let each = COMMANDS.iter().map(|arguments| {
        let command = [&["60".as_ref(), artifacts().mallook.as_os_str()][..]].concat();
        let host = sandbox.command("timeout").args(command).args(*arguments).arg(&path);
        let output = host.run_alone();
        let code = output.status.code();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(code.is_some_and(|code| code <= 1), "{name}, {arguments:?}: {code:?}, {stderr}");
        assert!(!stderr.contains("panicked"), "{name}, {arguments:?}: {stderr}");
        let text = String::from_utf8(output.stdout).unwrap();
        let raw = |c: char| c != '\n' && c.is_control();
        assert!(!text.contains(raw) && !stderr.contains(raw), "{name}, {arguments:?}: {text:?}");
        if arguments.last() == Some(&"--json") && code == Some(0) {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        text
    });
    each.collect()
}

/// The false markers of a thread about pauses: each tenth slot, in a block of calls.
fn orders() -> Vec<(&'static str, Vec<Kind>)> {
    let (paused, resumed) = (Kind::Paused, Kind::Resumed);
    vec![
        ("resumed", vec![resumed; 90]),
        ("paused", vec![paused; 90]),
        ("twice", [[paused, paused, resumed, resumed]; 20].concat()),
        ("turned", [[resumed, paused]; 40].concat()),
        ("marks", vec![Kind::Mark; 90]),
        ("mixed", [[Kind::Mark, paused, Kind::Start, resumed, Kind::End, paused]; 12].concat()),
    ]
}

/// Calls of a block's thread with these markers among them. From the first one on most births are impossible.
fn among_calls(block: usize, markers: &[Kind]) -> Vec<Slot> {
    let call = |at: u32| {
        let is_free = if at < 10 { at % 2 == 1 } else { at % 3 == 2 };
        let (kind, size) = if is_free { (Kind::Free, 0) } else { (Kind::Malloc, 100) };
        let place = 64 * block as u64 + u64::from(at / 2 % 50);
        slot(kind, 0x10000 + 16 * place, size, 100 * at)
    };
    let marker = |(at, kind): (u32, &Kind)| {
        let marker = slot(*kind, u64::MAX >> 16, u64::MAX >> 32, 1_000 * at + 999);
        (0..10).map(|it| call(10 * at + it)).chain([marker]).collect::<Vec<_>>()
    };
    (0..).zip(markers).flat_map(marker).collect()
}

#[test]
fn pauses_in_orders_that_cannot_be() {
    let sandbox = setup("orders");
    for (name, markers) in orders() {
        let mut bytes = invented(2, |block| 1 + block as u64, |block| among_calls(block, &markers));
        // The header may know of the pauses, or of others, or of none.
        for (control, paused, pauses) in
            [(0, 0, 0), (Control::PAUSE, 0, 3), (0, u64::MAX, u64::MAX), (Control::PAUSE, 1, 1)]
        {
            put(&mut bytes, CONTROL_OFFSET, control);
            put(&mut bytes, PAUSED_OFFSET, paused);
            put(&mut bytes, PAUSES_OFFSET, pauses);
            assert_eq!(read(&bytes, &FORMATS), 2 * 11 * markers.len(), "{name}");
        }
        let trace = Trace::new(name.as_ref(), Source::Bytes(&bytes)).unwrap();
        let found = Events::of(&trace).filter(|it| matches!(it.kind, EventKind::Marker(..)));
        assert_eq!(found.count(), 2 * markers.len(), "{name}");
        // In a pause nothing is impossible.
        let violations = Check::of(&trace, |_, _| {}).violations;
        assert!(name != "paused" || violations == 0, "{name}: {violations}");
        assert!(name != "marks" || violations != 0, "{name}");
        printed(&sandbox, name, &bytes);
    }
}

/// Texts with anything in them, at any time, of which some are not there, or say that there are more.
#[test]
fn marks_that_nobody_has_made() {
    let sandbox = setup("hostile_marks");
    let mut bytes = invented(1, |_| 1, |_| among_calls(0, &[Kind::Paused, Kind::Resumed]));
    let hostile = b"</script><b>\x1b[2J\r\n\x07\x08\xff\xc3\xe2\x80\xae\"'&lost: 7";
    let times = [0, 1, 999, 1_000, 5_000, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for place in 0..MARKS {
        let text: Vec<_> = hostile.iter().cycle().skip(place).take(MARK_TEXT).copied().collect();
        // Each fifth was never written to its end, or something else stands there.
        let state = [1, 1, 0, 1, 1, u64::MAX, 1, 1, 2, 1][place % 10];
        put_mark(&mut bytes, place, state, times[place % times.len()], &text);
    }
    let there = (0..MARKS).filter(|place| [1, 1, 0, 1, 1, 2, 1, 1, 2, 1][place % 10] == 1).count();
    for count in [MARKS as u64, MARKS as u64 + 1, u64::MAX, 1 << 63] {
        put(&mut bytes, MARKS_OFFSET, count);
        assert_eq!(read(&bytes, &FORMATS), 22 + there, "{count}");
    }
    let trace = Trace::new("marks".as_ref(), Source::Bytes(&bytes)).unwrap();
    assert_eq!(trace.marks().len(), there);
    let mut places = BTreeSet::new();
    for event in Events::of(&trace) {
        if let EventKind::Marker(Kind::Mark, place) = event.kind {
            assert!(places.insert(place), "mark {place} comes twice");
        }
    }
    assert_eq!(places, trace.marks().iter().map(|mark| mark.place).collect());
    let texts = printed(&sandbox, "marks", &bytes);
    for (arguments, text) in COMMANDS.iter().zip(&texts) {
        let is_svg = arguments.contains(&"svg");
        assert!(!is_svg || !text.contains("<b>") && !text.contains("</script>"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("lost: 7")), "{arguments:?}: {text}");
    }
    let shown = texts.iter().filter(|text| text.contains("script")).count();
    assert!(shown >= 6, "the commands that docs/control.md names show them: {shown}");
    // A header without any block.
    let mut alone = invented(0, |_| 1, |_| Vec::new());
    put_mark(&mut alone, 0, 1, 7, b"alone");
    put(&mut alone, MARKS_OFFSET, 1);
    assert_eq!(read(&alone, &FORMATS), 1);
    printed(&sandbox, "alone", &alone);
}

/// A block with one use's mark where another one has begun: the place may be any number.
#[test]
fn marks_in_slots_are_nobodys() {
    let bytes = invented(
        1,
        |_| 1,
        |_| (0..94).map(|place| slot(Kind::Mark, place * 1_000_003, 0, place as u32)).collect(),
    );
    assert_eq!(read(&bytes, &FORMATS), 94);
    let sandbox = setup("slots_of_marks");
    let texts = printed(&sandbox, "slots", &bytes);
    assert!(texts[0].contains("mark"), "{}", texts[0]);
}

/// As many calls as are told at a time, and more, and marks behind them: those that follow get all of them,
/// and each once.
#[test]
fn marks_behind_the_last_event_are_told() {
    let malloc = |number: u64| Moment {
        thread: 1,
        kind: Kind::Malloc as u8,
        address: 0x10_0000 + 16 * number,
        size: 1,
        ..Moment::default()
    };
    let marks = vec![(1 << 40, b"behind".to_vec()), (1 << 41, b"further behind".to_vec())];
    let process = Process { marks, ..Process::default() };
    let (bytes, _) = Encoder::encode(process, &(0..9_000).map(malloc).collect::<Vec<_>>());
    let sandbox = setup("behind");
    let path = sandbox.file("behind.1.1.0", &bytes);
    let printed = |arguments: &[&str]| {
        let command = sandbox.command("timeout").arg("60").arg(&artifacts().mallook);
        let output = command.args(arguments).arg(&path).run_alone();
        String::from_utf8(output.stdout).unwrap()
    };
    let followed = printed(&["follow"]);
    assert_eq!(
        (followed.matches("malloc(1)").count(), followed.matches("mark: ").count()),
        (9_000, 2)
    );
    assert_eq!(followed, printed(&["dump"]));
    let top = printed(&["top", "--once"]);
    assert!(top.contains("▲ further behind, ") && top.contains("and 1 before it"), "{top}");
}

/// The time of a mark may be the last one of all, and the other trace be over.
#[test]
fn a_mark_at_the_end_of_time_holds_up_nobody() {
    let sandbox = setup("end_of_time");
    let first = invented(1, |_| 1, |_| among_calls(0, &[Kind::Start]));
    let mut second = first.clone();
    put_mark(&mut second, 0, 1, u64::MAX, b"late");
    put(&mut second, MARKS_OFFSET, 1);
    let paths = [sandbox.file("t.1.1.0", &first), sandbox.file("t.2.1.0", &second)];
    for order in [[0, 1], [1, 0]] {
        let command = sandbox.command("timeout").arg("60").arg(&artifacts().mallook).arg("follow");
        let output = command.args(order.map(|place: usize| &paths[place])).run_alone();
        assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches("mark: late").count(), 1, "{text}");
    }
}

/// A trace in which everything lives, and every second slot ends a pause.
#[test]
fn memory_of_pauses_is_bounded_by_the_size_of_the_file() {
    let bytes = invented(
        600,
        |block| 1 + block as u64,
        |block| {
            let pair = |at: usize| {
                let number = (block * SLOTS + at) as u64;
                let (malloc, at) = (0x10000 + number * 16, at as u32);
                [slot(Kind::Malloc, malloc, 8, at), slot(Kind::Resumed, 0, 0, at)]
            };
            (0..SLOTS / 2).flat_map(pair).collect()
        },
    );
    let mut events = 0;
    let held = peak(|| events = read(&bytes, &[Format::Csv]));
    // As the library states for any trace, and 16 bytes for each address that was ever given out.
    let bound = (32 << 20) + 4 * bytes.len();
    assert_eq!(events, 600 * SLOTS / 2 * 2);
    assert!(held <= bound, "{held} bytes held of {bound}");
    let sandbox = setup("pauses_bounded");
    let path = sandbox.file("t.1.1.0", &bytes);
    let check = sandbox.command("timeout").arg("60").arg(&artifacts().mallook).arg("check");
    let output = check.arg(&path).run_alone();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fs::remove_file(path).unwrap();
}
