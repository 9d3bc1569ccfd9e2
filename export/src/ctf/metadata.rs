//! The description of the stream, in TSDL.

use std::fmt::Write;

/// An event, by its number in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Malloc,
    Calloc,
    Realloc,
    Free,
    Memalign,
    PosixMemalign,
}

/// The type of a field, and its name.
type Field = (&'static str, &'static str);

/// Each class with its fields, as LTTng's wrapper of libc has them.
const CLASSES: [(Class, &str, &[Field]); 6] = [
    (Class::Malloc, "malloc", &[("size_t", "size"), ("pointer", "ptr")]),
    (Class::Calloc, "calloc", &[("size_t", "nmemb"), ("size_t", "size"), ("pointer", "ptr")]),
    (Class::Realloc, "realloc", &[("pointer", "in_ptr"), ("size_t", "size"), ("pointer", "ptr")]),
    (Class::Free, "free", &[("pointer", "ptr")]),
    (
        Class::Memalign,
        "memalign",
        &[("size_t", "alignment"), ("size_t", "size"), ("pointer", "ptr")],
    ),
    (
        Class::PosixMemalign,
        "posix_memalign",
        &[("pointer", "out_ptr"), ("size_t", "alignment"), ("size_t", "size"), ("int32", "result")],
    ),
];

/// The identity of the trace, which its packets repeat.
pub const UUID: [u8; 16] = *b"mallook CTF 1.8\0";
/// Bytes of the name of a process, the last one 0.
pub const NAME_BYTES: usize = 17;

const TYPES: &str = r#"
typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 32; align = 8; signed = true; } := int32;
typealias integer { size = 64; align = 8; signed = false; } := size_t;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := pointer;
typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := character;
typealias integer { size = 64; align = 8; signed = false; map = clock.unix.value; } := time;
"#;

/// The whole description. `with_stacks`: events have the addresses of their call stacks.
pub fn metadata(with_stacks: bool) -> String {
    let mut text = String::from("/* CTF 1.8 */\n");
    text.push_str(TYPES);
    let hex: String = UUID.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    let stack = match with_stacks {
        true => {
            "        uint32_t _callstack_user_length;\n        \
                 pointer callstack_user[_callstack_user_length];\n"
        }
        false => "",
    };
    // Writing to memory does not fail.
    let _ = write!(
        text,
        r#"
trace {{
    major = 1; minor = 8; uuid = "{uuid}"; byte_order = le;
    packet.header := struct {{ uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; }};
}};
env {{
    domain = "ust"; tracer_name = "lttng-ust"; tracer_major = 2; tracer_minor = 13;
    converted_by = "mallook";
}};
clock {{
    name = "unix"; description = "Nanoseconds since 1970"; freq = 1000000000;
    offset_s = 0; offset = 0; absolute = TRUE;
}};
stream {{
    id = 0;
    packet.context := struct {{
        time timestamp_begin;
        time timestamp_end;
        uint64_t content_size;
        uint64_t packet_size;
        uint64_t events_discarded;
    }};
    event.header := struct {{ uint16_t id; time timestamp; }};
    event.context := struct {{
        int32 vpid;
        int32 vtid;
        character procname[{NAME_BYTES}];
{stack}    }};
}};
"#,
        uuid = parts.join("-"),
    );
    for (class, name, fields) in CLASSES {
        let fields: String = fields.iter().map(|(kind, name)| format!(" {kind} {name};")).collect();
        let id = class as u16;
        let _ = write!(
            text,
            "event {{\n    name = \"lttng_ust_libc:{name}\"; id = {id}; stream_id = 0; loglevel = 13;\n    \
             fields := struct {{{fields} }};\n}};\n"
        );
    }
    text
}
