//! Captures of this program itself.

use mallook_unwind::Kind;

use crate::event::event;
use crate::recorder::{Against, Recorder};

#[inline(never)]
fn tree(depth: u32) -> u32 {
    // SAFETY: an event of the test's.
    unsafe { event() };
    let below = if depth == 0 { 0 } else { tree(depth - 1) + tree(depth / 2) };
    // SAFETY: as above.
    unsafe { event() };
    std::hint::black_box(below) + 1
}

#[test]
fn captures_of_itself() {
    let heard = Recorder::new(Against::All).record(|| _ = tree(12));
    assert!(heard.events > 200 && heard.frames / heard.events > 10);
    assert!(heard.kept * 100 > heard.frames * 80, "{} of {}", heard.kept, heard.frames);
    assert_eq!(heard.outermost, Some(Kind::End));
}

#[test]
fn captures_without_the_loader() {
    let recorder = Recorder::new(Against::All);
    recorder.unwinder.use_only_maps();
    let heard = recorder.record(|| _ = tree(6));
    assert_eq!(heard.outermost, Some(Kind::End));
}
