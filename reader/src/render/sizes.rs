//! `sizes`: the lines of the C libmallook: what was asked for, and the life of the process.

use mallook_format::Kind;

use super::number::decimal;
use super::page::Page;
use crate::{Event, What};

pub fn event(event: &Event, out: &mut Page) {
    match event.what {
        What::Call(call) if call.kind.is_birth() => {
            out.put(call.name().as_bytes());
            out.put(b" ");
            decimal(call.size().unwrap_or(0), out);
            out.put(b"\n");
        }
        What::Call(_) => {}
        What::Marker(kind, _) => out.put(match kind {
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
