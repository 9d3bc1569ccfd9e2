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
    field(call.address, hexadecimal, out);
    field(call.size, decimal, out);
    field(call.old_address, hexadecimal, out);
    field(call.alignment, decimal, out);
    field(call.start_ns, decimal, out);
    out.push(b'\n');
}

fn field(value: Option<u64>, write: impl Fn(u64, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b',');
    if let Some(value) = value {
        write(value, out);
    }
}
