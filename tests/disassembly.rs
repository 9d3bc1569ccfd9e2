//! The machine code of the hot path: what `malloc` and `free` do when there is room.
//!
//! That is the straight line from the first instruction on. Every conditional jump is not taken, so
//! that the processor fetches nothing else. Rules hold for it under every compiler; under the one
//! that `golden/hot_path.asm` names, each instruction is that of the listing. `MALLOOK_BLESS=1`
//! writes the listing anew.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use crate::artifacts::{artifacts, tests};
use crate::sandbox::have;

/// As `objdump` prints it.
struct Instruction {
    address: u64,
    text: String,
    /// The symbol that an operand relative to the instruction points at.
    symbol: Option<String>,
}

impl Instruction {
    fn parse(line: &str) -> Option<Instruction> {
        let (address, text) = line.split_once(':')?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        let (text, comment) = text.split_once('#').unwrap_or((text, ""));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Instruction { address, text, symbol: symbol(comment) })
    }

    fn is(&self, mnemonic: &str) -> bool {
        self.text.split(' ').next() == Some(mnemonic)
    }

    /// The text behind the mnemonic.
    fn operands(&self) -> &str {
        self.text.split_once(' ').map_or("", |(_, operands)| operands)
    }

    /// Where a jump or a call goes, if that is no pointer.
    fn target(&self) -> Option<u64> {
        let goes = self.text.starts_with('j') || self.is("call");
        let (address, _) = self.operands().split_once(' ').filter(|_| goes)?;
        u64::from_str_radix(address, 16).ok()
    }

    /// Without addresses: they differ from build to build.
    fn normalised(&self) -> String {
        let mnemonic = self.text.split(' ').next().unwrap();
        if self.target().is_some() {
            // Of a jump within the function, which is all that the hot path has.
            return format!("{mnemonic} (cold)");
        }
        match self.text.split_once("(%rip)") {
            Some((before, after)) => {
                let start = before.rfind(|c: char| !c.is_ascii_hexdigit() && c != 'x').unwrap() + 1;
                let symbol = self.symbol.as_deref().unwrap_or("…");
                format!("{}{symbol}(%rip){after}", &before[..start])
            }
            None => self.text.clone(),
        }
    }

    /// It writes to memory, other than by a `push`.
    fn stores(&self) -> bool {
        let destination = self.operands().ends_with(')');
        destination && !["cmp", "test", "call", "jmp", "nop"].iter().any(|word| self.is(word))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of a symbol in angle brackets, without the compiler's hash; `None` for a place in a
/// section or behind a symbol, whose distance differs from build to build.
fn symbol(comment: &str) -> Option<String> {
    let (_, name) = comment.split_once('<')?;
    let name = name.trim_end().strip_suffix('>')?;
    let name = name.rsplit_once("::h").filter(|(_, hash)| is_hash(hash)).map_or(name, |it| it.0);
    Some(name.to_owned()).filter(|name| !name.contains(['+', '-']))
}

/// A function of the library; `None` without `objdump`.
fn function(test: &str, name: &str) -> Option<Vec<Instruction>> {
    if !have(test, &["objdump"]) {
        return None;
    }
    let mut objdump = Command::new("objdump");
    objdump.args(["-d", "--demangle", "--no-show-raw-insn", &format!("--disassemble={name}")]);
    let output = objdump.arg(&artifacts().library).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find(&format!("<{name}>:")).expect("the function is there");
    Some(text[start..].lines().skip(1).map_while(Instruction::parse).collect())
}

/// The straight line through a function, to where it ends.
fn hot_path(all: &[Instruction]) -> &[Instruction] {
    let end = all.iter().position(|it| it.is("ret") || it.is("jmp"));
    &all[..=end.expect("an end")]
}

fn listing(path: &[Instruction]) -> String {
    path.iter().map(|instruction| format!("{}\n", instruction.text)).collect()
}

fn count(path: &[Instruction], what: impl Fn(&Instruction) -> bool) -> usize {
    path.iter().filter(|instruction| what(instruction)).count()
}

/// The common rules of both hooks: at most `most` instructions, one clock read without fences, one
/// reservation that locks nothing, no loop, and two stores, word 1 first.
fn check(path: &[Instruction], most: usize) {
    let text = listing(path);
    assert!(path.len() <= most, "{} instructions:\n{text}", path.len());
    assert_eq!(count(path, |it| it.is("rdtsc")), 1, "{text}");
    assert_eq!(count(path, |it| it.is("cmpxchg")), 1, "{text}");
    assert_eq!(count(path, |it| it.text.contains("%fs:")), 1, "{text}");
    let back = |it: &Instruction| {
        it.target().is_some_and(|to| (path[0].address..=it.address).contains(&to))
    };
    assert_eq!(count(path, back), 0, "{text}");
    for word in ["lock", "xchg", "rdtscp", "mfence", "lfence", "sfence", "div", "syscall"] {
        assert_eq!(count(path, |it| it.is(word)), 0, "{word}:\n{text}");
    }
    let stores = path.iter().filter(|it| it.stores() && !it.is("cmpxchg"));
    let stores: Vec<_> = stores.map(|it| it.operands().rsplit(',').next().unwrap()).collect();
    let [word1, word0] = stores[..] else { panic!("{stores:?}:\n{text}") };
    assert_eq!(word1, format!("0x8{word0}"), "{text}");
}

/// Where the code goes that is not in it, by calls and jumps.
fn exits(code: &[Instruction]) -> Vec<&str> {
    let range = code[0].address..=code.last().unwrap().address;
    let out = |it: &&Instruction| it.target().is_some_and(|target| !range.contains(&target));
    let indirect = |it: &Instruction| it.operands().starts_with('*');
    code.iter().filter(|it| out(it) || indirect(it)).map(Instruction::operands).collect()
}

/// Each of these is one of those, and there are some.
fn all_are(exits: &[&str], known: &[&str]) {
    assert!(!exits.is_empty());
    for exit in exits {
        assert!(known.iter().any(|known| exit.contains(known)), "{exit}");
    }
}

#[test]
fn malloc_is_one_short_line() {
    let Some(all) = function("malloc_is_one_short_line", "malloc") else { return };
    all_are(&exits(&all), &["*%r", "record::cold::cold", "hooks::aside::malloc"]);
    let path = hot_path(&all);
    check(path, 46);
    let text = listing(path);
    assert!(path.last().unwrap().is("ret"), "{text}");
    // The size survives the call in a register that is saved; nothing else has to.
    assert_eq!(count(path, |it| it.is("push")), 1, "{text}");
    assert_eq!(count(path, |it| it.is("call")), 1, "{text}");
    assert_eq!(count(path, |it| it.operands().contains("%rsp")), 0, "{text}");
}

#[test]
fn free_is_one_short_line_and_ends_in_the_next_free() {
    let test = "free_is_one_short_line_and_ends_in_the_next_free";
    let Some(all) = function(test, "free") else { return };
    all_are(&exits(&all), &["*%r", "hooks::malloc::free_cold", "hooks::aside::free"]);
    let path = hot_path(&all);
    check(path, 40);
    let text = listing(path);
    assert!(path.last().unwrap().operands().starts_with("*%r"), "{text}");
    assert_eq!(count(path, |it| it.is("push") || it.is("call")), 0, "{text}");
    assert_eq!(count(path, |it| it.operands().contains("%rsp")), 0, "{text}");
}

/// The compiler that has built the library, as the library says.
fn compiler(test: &str) -> Option<String> {
    if !have(test, &["readelf"]) {
        return None;
    }
    let mut readelf = Command::new("readelf");
    let output = readelf.args(["-p", ".comment"]).arg(&artifacts().library).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find("rustc version").expect("the compiler is named");
    text[start..].lines().next().map(str::to_owned)
}

#[test]
fn the_hot_paths_are_the_golden_ones() {
    let test = "the_hot_paths_are_the_golden_ones";
    let Some(compiler) = compiler(test) else { return };
    let mut found = format!("# {compiler}\n");
    for name in ["malloc", "free"] {
        let Some(all) = function(test, name) else { return };
        writeln!(found, "\n{name}:").unwrap();
        for instruction in hot_path(&all) {
            writeln!(found, "    {}", instruction.normalised()).unwrap();
        }
    }
    let path = tests().join("golden/hot_path.asm");
    if std::env::var_os("MALLOOK_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    if expected.lines().next() != found.lines().next() {
        // The rules of the other tests hold under any compiler; the harness captures macros.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {test}: the library is from {compiler}, and the listing is not"
        );
        return;
    }
    assert_eq!(found, expected, "MALLOOK_BLESS=1 accepts what is found");
}
