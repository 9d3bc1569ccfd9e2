//! `jsonl`: one object a call, with the columns of `csv` as keys; fields that do not apply are left
//! out.

use serde_json::{Map, Value};

use super::page::Page;
use crate::{Event, What};

pub fn event(event: &Event, out: &mut Page) {
    let What::Call(call) = event.what else { return };
    let address = |address: u64| Value::from(format!("{address:#x}"));
    let fields = [
        ("time_ns", Some(event.time_ns.into())),
        ("pid", Some(event.pid.into())),
        ("tid", Some(event.tid.into())),
        ("op", Some(call.name().into())),
        ("address", call.address().map(address)),
        ("size", call.size().map(Value::from)),
        ("old_address", call.old_address().map(address)),
        ("alignment", call.alignment().map(Value::from)),
        ("start_ns", call.start_ns().map(Value::from)),
    ];
    let object: Map<String, Value> =
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, &Value::Object(object));
    out.put(b"\n");
}
