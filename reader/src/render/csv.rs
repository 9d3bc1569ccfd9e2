//! `csv`: one row a call. No field ever needs quoting.

use super::row::Row;
use crate::{Event, What};

pub const HEADER: &[u8] = b"time_ns,pid,tid,op,address,size,old_address,alignment,start_ns\n";

pub fn event(event: &Event, row: &mut Row, out: &mut Vec<u8>) {
    let What::Call(call) = event.what else { return };
    row.clear();
    row.decimal(event.time_ns);
    row.byte(b',');
    row.decimal(event.pid.into());
    row.byte(b',');
    row.decimal(event.tid.into());
    row.byte(b',');
    row.text(call.name());
    row.byte(b',');
    call.address.inspect(|&address| row.hexadecimal(address));
    row.byte(b',');
    call.size.inspect(|&size| row.decimal(size));
    row.byte(b',');
    call.old_address.inspect(|&address| row.hexadecimal(address));
    row.byte(b',');
    call.alignment.inspect(|&alignment| row.decimal(alignment));
    row.byte(b',');
    call.start_ns.inspect(|&start| row.decimal(start));
    row.byte(b'\n');
    out.extend_from_slice(row.bytes());
}
