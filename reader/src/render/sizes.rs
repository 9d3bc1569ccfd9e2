//! `sizes`: the lines of the C libmallook: what was asked for, and the life of the process.

use mallook_format::Kind;

use super::number::decimal;
use crate::{Event, What};

pub fn event(event: &Event, out: &mut Vec<u8>) {
    match event.what {
        What::Call(call) if call.kind.is_birth() => {
            out.extend_from_slice(call.name().as_bytes());
            out.push(b' ');
            decimal(call.size.unwrap_or(0), out);
            out.push(b'\n');
        }
        What::Call(_) => {}
        What::Marker(kind, _) => out.extend_from_slice(match kind {
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
