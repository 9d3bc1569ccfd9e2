//! A counter that jumps back, as where a virtual machine is moved or restored: the order of a thread
//! stays, and the reader says what it has seen.

use std::fs;

use mallook_format::{BLOCK_HEADER_SIZE, BLOCK_SIZE, Kind, SLOT_SIZE, Slot};

use crate::sandbox::{Run, setup};
use crate::trace::{Trace, by_thread};

fn word(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..][..8].try_into().unwrap())
}

/// The second half of the blocks gets ticks that are smaller by this number.
fn set_back(bytes: &mut [u8], ticks: u64) {
    let blocks = bytes.len() / BLOCK_SIZE;
    for block in blocks / 2..blocks {
        let start = block * BLOCK_SIZE;
        if word(bytes, start) == 0 {
            continue;
        }
        let base = word(bytes, start + 32).wrapping_sub(ticks);
        bytes[start + 32..][..8].copy_from_slice(&base.to_le_bytes());
        for offset in (start + BLOCK_HEADER_SIZE..start + BLOCK_SIZE).step_by(SLOT_SIZE) {
            let slot = Slot { word0: word(bytes, offset), word1: word(bytes, offset + 8) };
            if slot.kind() == Some(Kind::Ticks) {
                let later = Slot::prefix(Kind::Ticks, 0, slot.value().wrapping_sub(ticks));
                let word0 = later.word0 | slot.flags();
                bytes[offset..][..8].copy_from_slice(&word0.to_le_bytes());
                bytes[offset + 8..][..8].copy_from_slice(&later.word1.to_le_bytes());
            }
        }
    }
}

fn check(run: &Run, name: &str, ticks: u64, is_said: bool) {
    let whole = run.trace();
    let mut bytes = fs::read(whole.path()).unwrap();
    set_back(&mut bytes, ticks);
    let jumped = Trace::new(whole.path().with_file_name(format!("{name}.1.1.0")));
    fs::write(jumped.path(), bytes).unwrap();
    let (expected, found) = (by_thread(whole.rows()), by_thread(jumped.rows()));
    assert_eq!(expected.len(), found.len());
    for (tid, rows) in &expected {
        let calls = |rows: &[crate::trace::Row]| rows.iter().map(|r| r.call()).collect::<Vec<_>>();
        let differs =
            calls(rows).iter().zip(calls(&found[tid])).position(|(one, other)| *one != other);
        assert_eq!((differs, rows.len()), (None, found[tid].len()), "{ticks}: thread {tid}");
    }
    let info = jumped.info();
    assert_eq!(info.0.get("clock set back").map(String::as_str), is_said.then_some("1 times"));
    assert_eq!((info.present(), info.ending()), (whole.info().present(), "exited"));
    if is_said {
        // The clock goes on: the duration is what it was, but for a block or two.
        let seconds = |trace: &Trace| -> f64 {
            trace.info().get("duration").trim_end_matches(" s").parse().unwrap()
        };
        let (before, after) = (seconds(whole), seconds(&jumped));
        assert!((before - after).abs() <= before / 2.0, "{before} {after}");
    }
}

/// Far back, which the second clock of the trace shows; and by less than a thread can be held up.
#[test]
fn the_order_of_a_thread_stays() {
    for threads in ["1", "4"] {
        let sandbox = setup("set_back");
        let run = sandbox.program("pairs").args([threads, "20000"]).run().expect(0);
        check(&run, "far", 10_000_000_000, true);
        check(&run, "near", 3_000_000, false);
        check(&run, "nowhere", 0, false);
    }
}
