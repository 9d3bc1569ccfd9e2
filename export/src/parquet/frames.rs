//! The tables of stacks and of their frames.

use std::io;
use std::path::Path;

use mallook_reader::{Event, Frame};
use rustc_hash::FxHashMap;

use super::column::{Flag, Int, Long, Table, Text};
use crate::export::Source;
use crate::function::{functions, module};

const STACK: &str = "message stack {
    required int32 stack;
    required int32 position;
    required int32 frame;
}";
const FRAME: &str = "message frame {
    required int32 frame;
    required int32 position;
    required binary kind (STRING);
    optional binary function (STRING);
    optional binary file (STRING);
    required int32 line;
    required int32 column;
    required boolean is_inlined;
    optional binary module (STRING);
    optional binary build_id (STRING);
    required int64 module_offset (INTEGER(64, false));
    required int64 address (INTEGER(64, false));
}";

/// Numbers stacks and frames, and writes each once.
pub struct Frames<'a> {
    source: Source<'a>,
    /// The number of each stack, by trace and number there; 0 for none.
    numbers: Vec<Vec<i32>>,
    last_number: i32,
    stacks: StackTable,
    /// The number of each frame, by trace and site.
    known: FxHashMap<(u32, u32), i32>,
    frames: FrameTable,
}

struct StackTable {
    table: Table,
    stack: Int,
    position: Int,
    frame: Int,
}

struct FrameTable {
    table: Table,
    frame: Int,
    position: Int,
    kind: Text,
    function: Text,
    file: Text,
    line: Int,
    column: Int,
    is_inlined: Flag,
    module: Text,
    build_id: Text,
    module_offset: Long,
    address: Long,
}

impl<'a> Frames<'a> {
    /// New tables in this directory.
    pub fn create(source: Source<'a>, directory: &Path) -> io::Result<Frames<'a>> {
        let stacks = StackTable {
            table: Table::create(&directory.join("stacks.parquet"), STACK, &["stack", "position"])?,
            stack: Int::required(),
            position: Int::required(),
            frame: Int::required(),
        };
        let frames = FrameTable {
            table: Table::create(&directory.join("frames.parquet"), FRAME, &["frame", "position"])?,
            frame: Int::required(),
            position: Int::required(),
            kind: Text::required(),
            function: Text::optional(),
            file: Text::optional(),
            line: Int::required(),
            column: Int::required(),
            is_inlined: Flag::required(),
            module: Text::optional(),
            build_id: Text::optional(),
            module_offset: Long::required(),
            address: Long::required(),
        };
        Ok(Frames {
            source,
            numbers: vec![Vec::new(); source.traces.len()],
            last_number: 0,
            stacks,
            known: FxHashMap::default(),
            frames,
        })
    }

    /// The number of the event's stack, from 1 on; 0 if it has none.
    pub fn number(&mut self, event: &Event) -> io::Result<i32> {
        let (Some(stack), Some(stacks)) = (event.stack, self.source.stacks_of(event.trace)) else {
            return Ok(0);
        };
        let Some(numbers) = self.numbers.get_mut(event.trace as usize) else { return Ok(0) };
        let place = stack.number() as usize;
        if place >= numbers.len() {
            numbers.resize(place + 1, 0);
        }
        if numbers[place] == 0 {
            self.last_number += 1;
            numbers[place] = self.last_number;
            for (position, frame) in (0..).zip(stacks.frames(stack)) {
                let frame = self.frame(event.trace, &frame)?;
                self.stacks.add(self.last_number, position, frame)?;
            }
        }
        Ok(self.numbers[event.trace as usize][place])
    }

    fn frame(&mut self, trace: u32, frame: &Frame) -> io::Result<i32> {
        let next = self.known.len() as i32 + 1;
        let number = *self.known.entry((trace, frame.site)).or_insert(next);
        if number == next {
            self.frames.add(number, frame)?;
        }
        Ok(number)
    }

    /// Completes both tables.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stacks.write()?;
        self.stacks.table.finish()?;
        self.frames.write()?;
        self.frames.table.finish()
    }
}

impl StackTable {
    fn add(&mut self, stack: i32, position: i32, frame: i32) -> io::Result<()> {
        self.stack.push(stack);
        self.position.push(position);
        self.frame.push(frame);
        if self.table.is_full() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        let StackTable { table, stack, position, frame } = self;
        table.write(&mut [stack, position, frame])
    }
}

impl FrameTable {
    /// Appends a row for each function that the frame stands for, from the innermost on.
    fn add(&mut self, number: i32, frame: &Frame) -> io::Result<()> {
        let positive = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let module = module(frame);
        let build_id: Option<String> = frame
            .module
            .filter(|module| !module.build_id.is_empty())
            .map(|module| module.build_id.iter().map(|byte| format!("{byte:02x}")).collect());
        for (position, function) in (0..).zip(functions(frame)) {
            self.frame.push(number);
            self.position.push(position);
            self.kind.push_text(frame.kind.name());
            self.function.push_text(Some(&*function.name).filter(|_| function.is_named));
            self.file.push_text(function.file.as_deref());
            self.line.push(positive(function.line));
            self.column.push(positive(function.column));
            self.is_inlined.push(function.is_inlined);
            self.module.push_text(module.as_deref());
            self.build_id.push_text(build_id.as_deref());
            self.module_offset.push(frame.address_in_file().unwrap_or(0).cast_signed());
            self.address.push(frame.address.cast_signed());
            if self.table.is_full() {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.table.write(&mut [
            &mut self.frame,
            &mut self.position,
            &mut self.kind,
            &mut self.function,
            &mut self.file,
            &mut self.line,
            &mut self.column,
            &mut self.is_inlined,
            &mut self.module,
            &mut self.build_id,
            &mut self.module_offset,
            &mut self.address,
        ])
    }
}
