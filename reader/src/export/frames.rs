//! The frames of call stacks as text.

use std::io::Write;

use super::buffer::TextBuffer;
use crate::escape::Shown;
use crate::stack::{Frame, FrameKind, StackId, Stacks};

/// Appends a line for each frame of a stack, from the innermost on.
pub fn frames(stacks: &Stacks, stack: StackId, out: &mut TextBuffer) {
    for frame in stacks.frames(stack) {
        out.put(b"        ");
        line(&frame, out);
        out.put(b"\n");
    }
}

/// `/usr/lib/libc.so.6+0x2a1ca`
fn line(frame: &Frame, out: &mut TextBuffer) {
    // Writing to memory does not fail.
    let _ = match (frame.kind, frame.module) {
        (FrameKind::Cut, _) => write!(out, "... further frames were cut off"),
        (FrameKind::Broken, _) => write!(out, "... further frames were not found"),
        (FrameKind::Unlisted | FrameKind::Missing, _) => write!(out, "? (site {})", frame.site),
        (_, Some(module)) => {
            let offset = module.address_in_file(frame.address);
            write!(out, "{}+{offset:#x}", Shown(&module.path))
        }
        (_, None) => write!(out, "{:#x}", frame.address),
    };
    out.put(match frame.kind {
        FrameKind::Signal => b" (signal)",
        FrameKind::Guessed => b" (the next one is a guess)",
        FrameKind::NoRule => b" (the next one is not known)",
        _ => b"",
    });
}
