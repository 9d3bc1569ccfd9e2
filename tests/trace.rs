//! A trace, as `mallook-dump` reads it back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::artifacts::artifacts;

/// The sizes that frame the rows a test looks at (`common.h`).
const BEGIN: u64 = 99_991;
const END: u64 = 99_989;

const CSV_HEADER: &str = "time_ns,pid,tid,op,address,size,old_address,alignment,start_ns,\
                          duration_ns,trace,seq,failed";

/// The file of a process.
#[derive(Debug)]
pub struct Trace(PathBuf);

/// A row of the csv output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub op: &'static str,
    /// Missing where the process was killed during the call.
    pub address: Option<u64>,
    pub size: Option<u64>,
    pub old_address: Option<u64>,
    pub alignment: Option<u64>,
    pub start_ns: Option<u64>,
    pub failed: bool,
}

const OPS: [&str; 22] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "free",
    "cfree",
    "free_sized",
    "free_aligned_sized",
    "operator new",
    "operator new[]",
    "operator delete",
    "operator delete[]",
    "mallocx",
    "rallocx",
    "xallocx",
    "dallocx",
    "sdallocx",
];

impl Row {
    /// Reads a line; anything but thirteen well-formed fields fails. What csv has zeros for, since the
    /// function has no such number, is missing here.
    pub fn parse(line: &str) -> Row {
        let mut fields = line.split(',');
        let mut field = || fields.next().unwrap_or_else(|| panic!("field missing: {line}"));
        let number = |text: &str| -> u64 {
            text.parse().unwrap_or_else(|_| panic!("{text:?} is no number: {line}"))
        };
        let address = |text: &str| {
            let digits = text.strip_prefix("0x");
            let parse = |digits| u64::from_str_radix(digits, 16).ok();
            Some(digits.and_then(parse).unwrap_or_else(|| panic!("no address: {line}")))
        };
        let mut row = Row {
            time_ns: number(field()),
            pid: number(field()) as u32,
            tid: number(field()) as u32,
            op: {
                let op = field();
                OPS.iter().find(|known| **known == op).unwrap_or_else(|| panic!("op: {line}"))
            },
            address: address(field()),
            size: Some(number(field())),
            old_address: address(field()),
            alignment: Some(number(field())),
            start_ns: Some(number(field())),
            failed: false,
        };
        let duration = number(field());
        assert_eq!(row.start_ns, Some(row.time_ns - duration), "{line}");
        let _trace: u32 = field().parse().unwrap_or_else(|_| panic!("no trace: {line}"));
        let _seq = number(field());
        row.failed = number(field()) == 1;
        assert!(fields.next().is_none(), "too many fields: {line}");
        row.without_zeros();
        row
    }

    /// Leaves out numbers that do not apply, which must be zero.
    fn without_zeros(&mut self) {
        let leave_out = |number: &mut Option<u64>, applies: bool| {
            assert!(applies || *number == Some(0));
            number.take_if(|_| !applies);
        };
        let reallocates = ["realloc", "reallocarray", "rallocx", "xallocx"].contains(&self.op);
        if self.is_free() {
            self.size.take_if(|size| *size == 0);
        }
        leave_out(&mut self.old_address, reallocates);
        self.alignment.take_if(|alignment| *alignment == 0);
        let ended = self.address != Some(0) || self.failed || self.size == Some(0);
        leave_out(&mut self.address, ended || !reallocates);
        let dies = self.old_address.is_some_and(|old| old != 0) && !self.failed;
        assert!(dies || self.start_ns == Some(self.time_ns), "{self:?}");
        self.start_ns.take_if(|_| !dies);
    }

    /// Whether it is a call that only releases.
    pub fn is_free(&self) -> bool {
        ["free", "delete", "dallocx"].iter().any(|word| self.op.contains(word))
    }

    /// Without times and thread: `op,address,size,old_address,alignment`.
    pub fn call(&self) -> String {
        self.to_string()
    }

    /// The number of moments that it stands for: two of a reallocation, unless it is unfinished.
    pub fn moments(&self) -> u64 {
        let dies = self.old_address.is_some_and(|old| old != 0);
        1 + u64::from(dies && self.address.is_some())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |value: Option<u64>| value.map_or(String::new(), |value| format!("{value:#x}"));
        let decimal = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
        let (address, old) = (hex(self.address), hex(self.old_address));
        let (size, alignment) = (decimal(self.size), decimal(self.alignment));
        write!(f, "{},{address},{size},{old},{alignment}", self.op)
    }
}

impl Trace {
    pub fn new(path: PathBuf) -> Trace {
        Trace(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// PID, epoch and counter, from the name.
    pub fn identity(&self) -> (u32, u64, u64) {
        let name = self.0.to_str().unwrap();
        let mut parts = name.rsplit('.').map(|part| part.parse::<u64>().expect("a number"));
        let (counter, epoch) = (parts.next().unwrap(), parts.next().unwrap());
        (parts.next().unwrap() as u32, epoch, counter)
    }

    /// Runs the reader on it.
    pub fn dump(&self, arguments: &[&str]) -> Output {
        dump(arguments, &[self])
    }

    /// The output of the reader, which must find the trace whole.
    pub fn read(&self, arguments: &[&str]) -> String {
        let output = self.dump(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Not damage: two processors' clocks are never quite the same.
        let is_news = |line: &&str| {
            !line.ends_with("repaired by causality") && !line.contains(" events are missing: ")
        };
        assert_eq!(stderr.lines().find(is_news), None, "{}", self.0.display());
        assert_eq!(output.status.code(), Some(0), "{}", self.0.display());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rows of the csv output.
    pub fn rows(&self) -> Vec<Row> {
        rows(&self.read(&["--format", "csv"]))
    }

    /// The rows between the two marks of the program, as `op,address,size,old_address,alignment`.
    pub fn window(&self) -> Vec<String> {
        window(&self.rows()).iter().map(Row::call).collect()
    }

    /// The lines of the sizes output.
    pub fn sizes(&self) -> Vec<String> {
        self.read(&["--format", "sizes"]).lines().map(str::to_owned).collect()
    }

    /// The identities that the process allocated, in order: the odd sizes from 20001 to 20099.
    pub fn identities(&self) -> Vec<u64> {
        let is_identity = |size: &u64| (20_001..20_100).contains(size) && size % 2 == 1;
        self.rows()
            .iter()
            .filter(|r| !r.is_free())
            .filter_map(|r| r.size)
            .filter(is_identity)
            .collect()
    }

    /// Fails unless a replay finds nothing impossible, all having been read.
    pub fn check(&self) {
        let verdict = self.replay();
        assert!(verdict.contains(": nothing impossible: 0 impossible events"), "{verdict}");
    }

    /// As [`Trace::check`] of a trace that lacks events: where one thread has lost some, those that
    /// others, or itself later, have recorded may seem impossible.
    pub fn check_what_is_there(&self) {
        let verdict = self.replay();
        let sound = [": nothing impossible: 0 ", ": not conclusive, since events are missing: "];
        assert!(sound.iter().any(|words| verdict.contains(words)), "{verdict}");
    }

    /// The output of a replay that has read all.
    fn replay(&self) -> String {
        let output = self.dump(&["--check"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_news = |line: &&str| !line.contains(" events are missing: ");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(stderr.lines().find(is_news), None, "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The information about the trace as a whole.
    pub fn info(&self) -> Info {
        Info::parse(&self.read(&["--info"]))
    }

    /// The bytes that the file takes on the disk.
    pub fn space(&self) -> u64 {
        self.path().metadata().unwrap().blocks() * 512
    }
}

/// Runs the reader on several traces.
pub fn dump(arguments: &[&str], traces: &[&Trace]) -> Output {
    let mut command = Command::new(&artifacts().dump);
    command.args(arguments).args(traces.iter().map(|trace| &trace.0));
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Reads csv output; the rows must be in the order of time.
pub fn rows(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some(CSV_HEADER));
    let seq = |line: &str| line.split(',').nth(11).and_then(|seq| seq.parse().ok());
    let rows: Vec<_> = lines
        .enumerate()
        .map(|(number, line)| {
            assert_eq!(seq(line), Some(number), "{line}");
            Row::parse(line)
        })
        .collect();
    assert!(rows.is_sorted_by_key(|row| row.time_ns), "rows are not in the order of time");
    rows
}

/// The rows between the two marks.
pub fn window(rows: &[Row]) -> &[Row] {
    let mark = |size| {
        let mut found = rows.iter().enumerate().filter(|(_, row)| row.size == Some(size));
        let (position, _) = found.next().unwrap_or_else(|| panic!("mark {size} is missing"));
        assert!(found.next().is_none(), "mark {size} is there twice");
        position
    };
    let (begin, end) = (mark(BEGIN), mark(END));
    assert_eq!(rows[begin + 1].op, "free");
    assert_eq!(rows[begin + 1].address, rows[begin].address);
    &rows[begin + 2..end]
}

/// The rows of each thread, in order.
pub fn by_thread(rows: Vec<Row>) -> HashMap<u32, Vec<Row>> {
    let mut threads = HashMap::<_, Vec<_>>::new();
    for row in rows {
        threads.entry(row.tid).or_default().push(row);
    }
    threads
}

/// The output of `--info`, by key.
#[derive(Debug)]
pub struct Info(pub BTreeMap<String, String>);

impl Info {
    pub fn parse(text: &str) -> Info {
        let pair = |line: &str| {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("no key: {line}"));
            (key.to_owned(), value.to_owned())
        };
        Info(text.lines().map(pair).collect())
    }

    /// The information about several traces.
    pub fn parse_all(text: &str) -> Vec<Info> {
        text.split("\n\n").map(Info::parse).collect()
    }

    /// The value of a key, which must be there.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_else(|| panic!("no {key:?} in {self:?}"))
    }

    fn count(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or_else(|_| panic!("{key:?} is no number in {self:?}"))
    }

    /// Events that could not be recorded; the causes must add up.
    pub fn lost(&self) -> u64 {
        let causes = self.0.iter().filter(|(key, _)| key.starts_with("lost, "));
        let sum: u64 = causes.map(|(key, _)| self.count(key)).sum();
        assert_eq!(self.count("lost"), sum, "{self:?}");
        sum
    }

    /// Blocks that were `used`, or `claimed`.
    pub fn blocks(&self, what: &str) -> u64 {
        let counts = self.get("blocks").split(", ").filter_map(|part| part.split_once(' '));
        let found = counts.filter(|(_, word)| *word == what).map(|(number, _)| number);
        found.map(|number| number.parse::<u64>().unwrap()).sum()
    }

    /// Call moments that newer ones have replaced.
    pub fn overwritten(&self) -> u64 {
        self.count("overwritten")
    }

    /// Call moments that are there; the kinds must add up.
    pub fn present(&self) -> u64 {
        let is_moment = |key: &str| {
            let kind = key.strip_prefix("events, ");
            let name = kind.map(|kind| kind.strip_suffix(" (first moment)").unwrap_or(kind));
            name.is_some_and(|name| OPS.contains(&name))
        };
        let sum: u64 = self.0.keys().filter(|key| is_moment(key)).map(|key| self.count(key)).sum();
        assert_eq!(self.count("present"), sum, "{self:?}");
        sum
    }

    /// The first halves of reallocations, which are moments and no calls.
    pub fn first_moments(&self) -> u64 {
        let keys = self.0.keys().filter(|key| key.ends_with("(first moment)"));
        keys.map(|key| self.count(key)).sum()
    }

    /// How the process ended, in the reader's words, without the exit code.
    pub fn ending(&self) -> &str {
        let ending = self.get("ended");
        ending.split(" with code ").next().unwrap_or(ending)
    }
}
