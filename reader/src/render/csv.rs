//! `csv`: one row a call. No field ever needs quoting.

use super::{decimal, hexadecimal};
use crate::{Event, What};

pub const HEADER: &[u8] = b"time_ns,pid,tid,op,address,size,old_address,alignment,start_ns\n";

pub fn event(event: &Event, out: &mut Vec<u8>) {
    let What::Call(call) = event.what else { return };
    for number in [event.time_ns, event.pid.into(), event.tid.into()] {
        decimal(number, out);
        out.push(b',');
    }
    out.extend_from_slice(call.name().as_bytes());
    let fields: [(_, fn(u64, &mut Vec<u8>)); 5] = [
        (call.address, hexadecimal),
        (call.size, decimal),
        (call.old_address, hexadecimal),
        (call.alignment, decimal),
        (call.start_ns, decimal),
    ];
    for (field, write) in fields {
        out.push(b',');
        if let Some(value) = field {
            write(value, out);
        }
    }
    out.push(b'\n');
}
