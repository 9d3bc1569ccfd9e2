use mallook_reader::Kind;

use super::*;

#[derive(Default)]
struct Log(Vec<String>);

impl Analysis for Log {
    fn birth(&mut self, birth: &Birth) {
        let from = birth.from.map(|from| (from.size, from.moved, from.was_replaced));
        self.0.push(format!("+{} {from:?}", birth.block.size));
    }

    fn death(&mut self, death: &Death) {
        self.0.push(format!("-{} {:?}", death.block.size, death.cause));
    }

    fn unknown_death(&mut self, _: &Moment, _: u64) {
        self.0.push("?".to_owned());
    }
}

fn event(time_ns: u64, tid: u32, call: Call) -> Event {
    Event { time_ns, pid: 1, tid, trace: 0, stack: None, kind: EventKind::Call(call) }
}

/// The allocator gives the old address of a reallocation to another thread before the call ends.
#[test]
fn an_address_that_is_given_out_before_its_reallocation_ends() {
    let malloc =
        |address: u64, size: u64| Call::new(Kind::Malloc).with_address(address).with_size(size);
    let moved = Call::new(Kind::Realloc).with_address(0x20).with_size(2);
    let moved = moved.with_old_address(0x10).with_start_ns(15);
    let free = |address: u64| Call::new(Kind::Free).with_address(address);
    let (mut log, mut replay) = (Log::default(), Replay::new(1));
    for event in [
        event(10, 1, malloc(0x10, 1)),
        event(20, 2, malloc(0x10, 7)),
        event(30, 1, moved),
        event(40, 2, free(0x10)),
        event(50, 1, free(0x20)),
        event(60, 1, free(0x10)),
    ] {
        replay.event(&event, &mut log);
    }
    let expected = [
        "+1 None",
        "-1 Replaced",
        "+7 None",
        "+2 Some((1, true, true))",
        "-7 Freed(Free)",
        "-2 Freed(Free)",
        "?",
    ];
    assert_eq!(log.0, expected);
}
