//! The tables that samples refer to: strings, functions, locations and mappings, each once.

use mallook_reader::Frame;
use rustc_hash::FxHashMap;

use super::profile::{self, Profile};
use crate::export::Source;
use crate::function::{Function, functions, module};

/// The tables, as they grow.
#[derive(Debug)]
pub struct Tables {
    profile: Profile,
    strings: FxHashMap<String, i64>,
    /// By name and file.
    functions: FxHashMap<(i64, i64), u64>,
    /// By trace and site.
    locations: FxHashMap<(u32, u32), u64>,
    /// Locations that are no frames, by name.
    names: FxHashMap<String, u64>,
    /// By trace, path and first address.
    mappings: FxHashMap<(u32, i64, u64), usize>,
}

impl Tables {
    /// Empty tables, but for the empty string.
    pub fn new() -> Tables {
        let mut tables = Tables {
            profile: Profile::default(),
            strings: FxHashMap::default(),
            functions: FxHashMap::default(),
            locations: FxHashMap::default(),
            names: FxHashMap::default(),
            mappings: FxHashMap::default(),
        };
        tables.string("");
        tables
    }

    /// The number of a string.
    pub fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let next = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), next);
        next
    }

    /// A value and its unit.
    pub fn value_type(&mut self, name: &str, unit: &str) -> profile::ValueType {
        profile::ValueType { r#type: self.string(name), unit: self.string(unit) }
    }

    /// The number of a frame's location.
    pub fn location(&mut self, trace: u32, frame: &Frame) -> u64 {
        if let Some(&known) = self.locations.get(&(trace, frame.site)) {
            return known;
        }
        let functions = functions(frame);
        let mapping = self.mapping(trace, frame);
        // Where nothing is known of an address in a file, pprof looks itself.
        let is_known = mapping.is_none() || functions.iter().any(|it| it.is_named);
        let lines = if is_known { self.lines(&functions) } else { Vec::new() };
        if let Some(mapping) = mapping {
            let mapping = &mut self.profile.mapping[mapping];
            mapping.has_functions |= is_known;
            mapping.has_filenames |= functions.iter().any(|it| it.file.is_some());
            mapping.has_line_numbers |= functions.iter().any(|it| it.line != 0);
            mapping.has_inline_frames |= functions.len() > 1;
        }
        let mapping_id = mapping.map_or(0, |place| self.profile.mapping[place].id);
        let id = self.add_location(mapping_id, frame.address, lines);
        self.locations.insert((trace, frame.site), id);
        id
    }

    /// The number of a location that has only a name.
    pub fn named(&mut self, name: &str) -> u64 {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let function = self.function(name, "");
        let line = profile::Line { function_id: function, line: 0, column: 0 };
        let id = self.add_location(0, 0, vec![line]);
        self.names.insert(name.to_owned(), id);
        id
    }

    fn add_location(&mut self, mapping_id: u64, address: u64, line: Vec<profile::Line>) -> u64 {
        let id = self.profile.location.len() as u64 + 1;
        let location = profile::Location { id, mapping_id, address, line, is_folded: false };
        self.profile.location.push(location);
        id
    }

    fn lines(&mut self, functions: &[Function]) -> Vec<profile::Line> {
        let line = |function: &Function| profile::Line {
            function_id: self.function(&function.name, function.file.as_deref().unwrap_or("")),
            line: function.line.into(),
            column: function.column.into(),
        };
        functions.iter().map(line).collect()
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, filename) = (self.string(name), self.string(file));
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((name, filename)).or_insert(next);
        if id == next {
            let function =
                profile::Function { id, name, system_name: name, filename, start_line: 0 };
            self.profile.function.push(function);
        }
        id
    }

    /// The place of the mapping of a frame's module.
    fn mapping(&mut self, trace: u32, frame: &Frame) -> Option<usize> {
        let of = frame.module?;
        let filename = self.string(&module(frame).unwrap_or_default());
        if let Some(&known) = self.mappings.get(&(trace, filename, of.start)) {
            return Some(known);
        }
        let build_id: String = of.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let place = self.profile.mapping.len();
        let mapping = profile::Mapping {
            id: place as u64 + 1,
            memory_start: of.start,
            memory_limit: of.end,
            file_offset: 0,
            filename,
            build_id: self.string(&build_id),
            ..profile::Mapping::default()
        };
        self.profile.mapping.push(mapping);
        self.mappings.insert((trace, filename, of.start), place);
        Some(place)
    }

    /// The profile with the tables. Its first mapping is the program of the first trace, if it has one.
    pub fn into_profile(mut self, source: Source) -> Profile {
        let program = self.string(&source.program(0));
        let mappings = &mut self.profile.mapping;
        if let Some(place) = mappings.iter().position(|mapping| mapping.filename == program) {
            mappings[..=place].rotate_right(1);
        }
        self.profile
    }
}
