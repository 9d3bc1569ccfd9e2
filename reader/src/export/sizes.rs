//! `sizes`: the lines of the C libmallook, with the requested sizes and the life of the process.

use mallook_format::Kind;

use super::buffer::TextBuffer;
use super::number::decimal;
use crate::event::{Event, EventKind};

pub fn event(event: &Event, out: &mut TextBuffer) {
    match event.kind {
        EventKind::Call(call) if call.kind.is_birth() => {
            out.put(call.name().as_bytes());
            out.put(b" ");
            decimal(call.size().unwrap_or(0), out);
            out.put(b"\n");
        }
        EventKind::Call(_) => {}
        EventKind::Missing(..) => {}
        EventKind::Marker(kind, _) => out.put(match kind {
            Kind::Start => b"@ Start\n",
            Kind::Restart => b"@ Restart\n",
            Kind::Forking => b"@ Forking\n",
            Kind::Forked => b"@ Forked\n",
            Kind::Exec => b"@ Possible End, Ready to exec\n",
            Kind::End => b"@ End\n",
            _ => b"",
        }),
    }
}
