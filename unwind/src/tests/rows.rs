//! All rows of real libraries, against gimli.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, Evaluation, EvaluationResult, Location,
    NativeEndian, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
    Value as Number,
};

use crate::bytes::Memory;
use crate::cfi::{self, Place, Row};
use crate::expression::{Base, Value};
use crate::module::Module;
use crate::rule::Rule;
use crate::{eh_frame, maps};

type Slice = EndianSlice<'static, NativeEndian>;

/// Values of the registers, and of memory, for expressions.
const SP: u64 = 0x7000_0000_1000;
const BP: u64 = 0x7000_0000_2000;
const CFA: u64 = 0x7000_0000_3000;

fn stored(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9) & 0xffff_ffff_ffff
}

/// The number that gimli makes of an expression.
fn number(
    expression: UnwindExpression<usize>,
    frames: &EhFrame<Slice>,
    encoding: gimli::Encoding,
    pc: u64,
    initial: Option<u64>,
) -> Option<u64> {
    let mut evaluation: Evaluation<Slice> = expression.get(frames).ok()?.evaluation(encoding);
    if let Some(value) = initial {
        evaluation.set_initial_value(value);
    }
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => {
                return match evaluation.result().first()?.location {
                    Location::Address { address } => Some(address),
                    _ => None,
                };
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = match register.0 {
                    6 => BP,
                    7 => SP,
                    16 => pc,
                    _ => return None,
                };
                evaluation.resume_with_register(Number::Generic(value)).ok()?
            }
            EvaluationResult::RequiresMemory { address, .. } => {
                evaluation.resume_with_memory(Number::Generic(stored(address))).ok()?
            }
            _ => return None,
        };
    }
}

fn ours(value: Value) -> u64 {
    let base = match value.base {
        Base::Zero => 0,
        Base::Sp => SP,
        Base::Bp => BP,
        Base::Cfa => CFA,
        Base::AtSp(offset) => stored(SP.wrapping_add_signed(offset.into())),
        Base::AtBp(offset) => stored(BP.wrapping_add_signed(offset.into())),
    };
    base.wrapping_add_signed(value.offset)
}

#[derive(Default)]
struct Counts {
    rows: usize,
    /// Rows without a rule, and those of them whose CFA is in another register.
    without: usize,
    other_register: usize,
}

struct Compared<'a> {
    frames: &'a EhFrame<Slice>,
    encoding: gimli::Encoding,
    pc: u64,
}

impl Compared<'_> {
    fn place(&self, rule: Option<RegisterRule<usize>>, place: Place, what: &str) {
        let at = |expression| number(expression, self.frames, self.encoding, self.pc, Some(CFA));
        let Some(rule) = rule else { return assert_eq!(place, Place::Same, "{what}") };
        let expected = match rule {
            RegisterRule::Undefined => return assert_eq!(place, Place::Undefined, "{what}"),
            RegisterRule::SameValue => (None, Place::Same),
            RegisterRule::Offset(offset) => (Some(CFA.wrapping_add_signed(offset)), place),
            RegisterRule::ValOffset(offset) => (Some(CFA.wrapping_add_signed(offset)), place),
            RegisterRule::Expression(expression) => (at(expression), place),
            RegisterRule::ValExpression(expression) => (at(expression), place),
            _ => (None, Place::Other),
        };
        match (expected, place) {
            ((Some(number), _), Place::At(value) | Place::Is(value)) => {
                assert_eq!(number, ours(value), "{what} at {:#x}: {rule:?}", self.pc);
            }
            ((None, Place::Same), place) => assert_eq!(place, Place::Same, "{what}"),
            ((None, _), place) => {
                assert_eq!(place, Place::Other, "{what} at {:#x}: {rule:?}", self.pc)
            }
            ((Some(_), _), place) => panic!("{what} at {:#x}: {place:?} for {rule:?}", self.pc),
        }
    }

    fn row(&self, theirs: &gimli::UnwindTableRow<usize>, row: &Row, counts: &mut Counts) {
        match *theirs.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => match register {
                Register(6) => assert_eq!(row.cfa, Some(Value { base: Base::Bp, offset })),
                Register(7) => assert_eq!(row.cfa, Some(Value { base: Base::Sp, offset })),
                _ => {
                    assert_eq!(row.cfa, None);
                    counts.other_register += 1;
                }
            },
            CfaRule::Expression(expression) => {
                let expected = number(expression, self.frames, self.encoding, self.pc, None);
                assert_eq!(row.cfa.map(ours), expected, "CFA at {:#x}", self.pc);
            }
        }
        self.place(theirs.register(Register(6)), row.bp, "rbp");
        self.place(theirs.register(Register(16)), row.pc, "rip");
    }
}

fn library(name: &std::ffi::CStr, symbol: &std::ffi::CStr) -> Option<usize> {
    // SAFETY: loads a library.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        return None;
    }
    // SAFETY: a handle of `dlopen`.
    let symbol = unsafe { libc::dlsym(library, symbol.as_ptr()) };
    assert!(!symbol.is_null(), "{name:?}");
    Some(symbol as usize)
}

/// Compares all rows of the module that holds an address.
fn compare(name: &str, address: usize) -> Counts {
    let code = maps::find(address).unwrap();
    // SAFETY: a module that stays.
    let module = unsafe { Module::at(code.file) }.unwrap();
    let memory: &dyn Fn(usize) -> Option<Memory<'static>> = &|address| module.memory(address);
    let index = memory(module.index).unwrap();
    let mut cursor = index.from(module.index + 4).unwrap();
    let start = cursor.pointer(index.read(module.index + 1).unwrap(), module.index).unwrap();
    let of_frames = memory(start).unwrap();
    let length = of_frames.from(start).unwrap().left();
    // SAFETY: the rest of a segment of a module that stays.
    let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(start as *const u8, length) };
    let frames = EhFrame::new(bytes, NativeEndian);
    let bases = BaseAddresses::default().set_eh_frame(start as u64);
    let mut counts = Counts::default();
    let mut entries = frames.entries(&bases);
    let mut context = UnwindContext::new();
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|_, bases, offset| frames.cie_from_offset(bases, offset)).unwrap();
        let ours = eh_frame::find(fde.initial_address() as usize, module.index, memory).unwrap();
        assert_eq!(
            (ours.start, ours.end),
            (fde.initial_address() as usize, fde.end_address() as usize)
        );
        assert_eq!(ours.is_signal, fde.is_signal_trampoline());
        let mut rows = fde.rows(&frames, &bases, &mut context).unwrap();
        while let Some(row) = rows.next_row().unwrap() {
            for pc in [row.start_address(), row.end_address() - 1] {
                let compared = Compared { frames: &frames, encoding: fde.cie().encoding(), pc };
                let found = eh_frame::find(pc as usize, module.index, memory).unwrap();
                let own = cfi::row(&found, of_frames, pc as usize)
                    .unwrap_or_else(|| panic!("{name}: no row at {pc:#x}"));
                compared.row(row, &own, &mut counts);
                counts.rows += 1;
                if Rule::of(&own, found.is_signal) == Rule::NO_RULE {
                    counts.without += 1;
                }
            }
        }
    }
    counts
}

#[test]
fn rows_are_those_of_gimli() {
    let own = rows_are_those_of_gimli as *const () as usize;
    let mut all = vec![("this program", own, 5000)];
    let of_libc = library(c"libc.so.6", c"malloc").unwrap();
    all.push(("libc", of_libc, 10_000));
    // SAFETY: reads the auxiliary vector.
    all.push(("the loader", unsafe { libc::getauxval(libc::AT_BASE) } as usize, 1000));
    for (name, symbol, least) in [
        (c"libstdc++.so.6", c"__cxa_throw", 10_000),
        (c"libcrypto.so.3", c"EVP_DigestInit", 10_000),
        (c"libm.so.6", c"sin", 1000),
    ] {
        if let Some(address) = library(name, symbol) {
            all.push((name.to_str().unwrap(), address, least));
        }
    }
    for (name, address, least) in all {
        let counts = compare(name, address);
        let Counts { rows, without, other_register } = counts;
        println!(
            "{name}: {rows} rows, {without} without a rule, {other_register} of another register"
        );
        assert!(rows > least, "{name}: {rows} rows");
        // Those are the first and last instructions of aligned frames, and what the loader does.
        assert!((without - other_register) * 1000 < rows, "{name}: {without} of {rows}");
    }
}
