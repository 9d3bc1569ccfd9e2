//! DWARF expressions, with symbols for the registers: what comes out is a sum of one register, or of
//! what is stored at a register and an offset, and a number.

use crate::bytes::Cursor;

/// The base that a value is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: a number.
    Zero,
    /// The stack pointer.
    Sp,
    /// The frame pointer.
    Bp,
    /// The frame's canonical address.
    Cfa,
    /// The word at the stack pointer and an offset.
    AtSp(i32),
    /// The word at the frame pointer and an offset.
    AtBp(i32),
}

/// A base and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The base that it is counted from.
    pub base: Base,
    /// How far it is from there.
    pub offset: i64,
}

/// Columns of registers on x86-64.
pub const BP: u64 = 6;
/// The stack pointer's.
pub const SP: u64 = 7;
/// The return address's.
pub const RETURN: u64 = 16;

const DEPTH: usize = 8;
/// Operations that are done at most.
const STEPS: usize = 128;

struct Stack {
    values: [Value; DEPTH],
    length: usize,
}

impl Stack {
    fn push(&mut self, value: Value) -> Option<()> {
        *self.values.get_mut(self.length)? = value;
        self.length += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<Value> {
        self.length = self.length.checked_sub(1)?;
        self.values.get(self.length).copied()
    }

    fn number(&mut self) -> Option<i64> {
        let value = self.pop()?;
        (value.base == Base::Zero).then_some(value.offset)
    }

    /// The value that is `depth` below the top.
    fn pick(&self, depth: usize) -> Option<Value> {
        let place = self.length.checked_sub(1)?.checked_sub(depth)?;
        self.values.get(place).copied()
    }
}

fn number(offset: i64) -> Value {
    Value { base: Base::Zero, offset }
}

/// The value of an expression at the address `pc`; of one that starts with a value on its stack, by
/// `initial`. `None` where it is nothing of this kind.
pub fn evaluate(expression: Cursor, pc: usize, initial: Option<Value>) -> Option<Value> {
    let mut stack = Stack { values: [number(0); DEPTH], length: 0 };
    if let Some(value) = initial {
        stack.push(value)?;
    }
    let start = expression.address();
    let mut code = expression;
    for _ in 0..STEPS {
        if code.is_at_end() {
            return stack.pop();
        }
        let operation: u8 = code.take()?;
        match operation {
            // addr, const1u … consts
            0x03 => stack.push(number(code.take::<u64>()? as i64))?,
            0x08 => stack.push(number(code.take::<u8>()?.into()))?,
            0x09 => stack.push(number((code.take::<u8>()? as i8).into()))?,
            0x0a => stack.push(number(code.take::<u16>()?.into()))?,
            0x0b => stack.push(number(code.take::<i16>()?.into()))?,
            0x0c => stack.push(number(code.take::<u32>()?.into()))?,
            0x0d => stack.push(number(code.take::<i32>()?.into()))?,
            0x0e | 0x0f => stack.push(number(code.take::<u64>()? as i64))?,
            0x10 => stack.push(number(code.uleb()? as i64))?,
            0x11 => stack.push(number(code.sleb()?))?,
            // deref
            0x06 => {
                let place = stack.pop()?;
                let offset = i32::try_from(place.offset).ok()?;
                let base = match place.base {
                    Base::Sp => Base::AtSp(offset),
                    Base::Bp => Base::AtBp(offset),
                    _ => return None,
                };
                stack.push(Value { base, offset: 0 })?;
            }
            // dup, drop, over, pick, swap, rot
            0x12 => stack.push(stack.pick(0)?)?,
            0x13 => drop(stack.pop()?),
            0x14 => stack.push(stack.pick(1)?)?,
            0x15 => {
                let depth: u8 = code.take()?;
                stack.push(stack.pick(depth.into())?)?;
            }
            0x16 => {
                let (top, below) = (stack.pop()?, stack.pop()?);
                stack.push(top)?;
                stack.push(below)?;
            }
            0x17 => {
                let (top, second, third) = (stack.pop()?, stack.pop()?, stack.pop()?);
                stack.push(top)?;
                stack.push(third)?;
                stack.push(second)?;
            }
            // abs, neg, not
            0x19 | 0x1f | 0x20 => {
                let value = stack.number()?;
                stack.push(number(match operation {
                    0x19 => value.wrapping_abs(),
                    0x1f => value.wrapping_neg(),
                    _ => !value,
                }))?;
            }
            // plus, minus: the one or the other may be more than a number
            0x22 => {
                let (top, below) = (stack.pop()?, stack.pop()?);
                let offset = top.offset.wrapping_add(below.offset);
                let base = match (top.base, below.base) {
                    (base, Base::Zero) | (Base::Zero, base) => base,
                    _ => return None,
                };
                stack.push(Value { base, offset })?;
            }
            0x1c => {
                let (top, below) = (stack.pop()?, stack.pop()?);
                let offset = below.offset.wrapping_sub(top.offset);
                let base = match (below.base, top.base) {
                    (base, Base::Zero) => base,
                    (a, b) if a == b => Base::Zero,
                    _ => return None,
                };
                stack.push(Value { base, offset })?;
            }
            // plus_uconst
            0x23 => {
                let (add, value) = (code.uleb()? as i64, stack.pop()?);
                stack.push(Value { offset: value.offset.wrapping_add(add), ..value })?;
            }
            0x1a | 0x1b | 0x1d | 0x1e | 0x21 | 0x24..=0x27 | 0x29..=0x2e => {
                let (top, below) = (stack.number()?, stack.number()?);
                stack.push(number(binary(operation, below, top)?))?;
            }
            // bra, skip
            0x28 => {
                let distance = code.take()?;
                if stack.number()? != 0 {
                    code.jump(distance, start)?;
                }
            }
            0x2f => {
                let distance = code.take()?;
                code.jump(distance, start)?;
            }
            0x30..=0x4f => stack.push(number(i64::from(operation) - 0x30))?,
            // breg0 … breg31, bregx
            0x70..=0x8f => {
                let offset = code.sleb()?;
                stack.push(register((operation - 0x70).into(), offset, pc)?)?;
            }
            0x92 => {
                let column = code.uleb()?;
                let offset = code.sleb()?;
                stack.push(register(column, offset, pc)?)?;
            }
            // nop, call_frame_cfa
            0x96 => {}
            0x9c => stack.push(Value { base: Base::Cfa, offset: 0 })?,
            _ => return None,
        }
    }
    None
}

fn register(column: u64, offset: i64, pc: usize) -> Option<Value> {
    match column {
        SP => Some(Value { base: Base::Sp, offset }),
        BP => Some(Value { base: Base::Bp, offset }),
        RETURN => Some(number((pc as i64).wrapping_add(offset))),
        _ => None,
    }
}

/// An operation on two numbers.
fn binary(operation: u8, left: i64, right: i64) -> Option<i64> {
    let shift = u32::try_from(right).ok().filter(|&by| by < 64);
    Some(match operation {
        0x1a => left & right,
        0x1b => left.checked_div(right)?,
        0x1d => (left as u64).checked_rem(right as u64)? as i64,
        0x1e => left.wrapping_mul(right),
        0x21 => left | right,
        0x24 => shift.map_or(0, |by| left << by),
        0x25 => shift.map_or(0, |by| (left as u64 >> by) as i64),
        0x26 => left >> shift.unwrap_or(63),
        0x27 => left ^ right,
        0x29 => (left == right).into(),
        0x2a => (left >= right).into(),
        0x2b => (left > right).into(),
        0x2c => (left <= right).into(),
        0x2d => (left < right).into(),
        0x2e => (left != right).into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Memory;

    fn value(bytes: &[u8], pc: usize) -> Option<(Base, i64)> {
        let memory = Memory::of(bytes);
        let value = evaluate(memory.from(memory.start()).unwrap(), pc, None)?;
        Some((value.base, value.offset))
    }

    #[test]
    fn stubs_of_the_procedure_linkage_table() {
        // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus
        let stub = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(value(&stub, 0x1000), Some((Base::Sp, 8)));
        assert_eq!(value(&stub, 0x100a), Some((Base::Sp, 8)));
        assert_eq!(value(&stub, 0x100b), Some((Base::Sp, 16)));
    }

    #[test]
    fn aligned_frames() {
        // breg6 -8; deref; and breg7 88; deref; plus_uconst 8
        assert_eq!(value(&[0x76, 0x78, 6], 0), Some((Base::AtBp(-8), 0)));
        assert_eq!(value(&[0x77, 0xd8, 0, 6, 0x23, 8], 0), Some((Base::AtSp(88), 8)));
    }

    #[test]
    fn arithmetic() {
        for (bytes, expected) in [
            (&[0x35, 0x33, 0x1c][..], 2),
            (&[0x35, 0x33, 0x1e], 15),
            (&[0x35, 0x32, 0x1b], 2),
            (&[0x35, 0x33, 0x1d], 2),
            (&[0x35, 0x1f, 0x19], 5),
            (&[0x35, 0x1f, 0x31, 0x26], -3),
            (&[0x35, 0x20], -6),
            (&[0x31, 0x08, 70, 0x24], 0),
            (&[0x35, 0x33, 0x16, 0x1c], -2),
            (&[0x31, 0x32, 0x33, 0x17, 0x1c, 0x1c], 3 - (1 - 2)),
            (&[0x31, 0x32, 0x33, 0x15, 2, 0x22], 4),
            (&[0x31, 0x32, 0x14, 0x13], 2),
            (&[0x31, 0x12, 0x22], 2),
            (&[0x09, 0xfe], -2),
            (&[0x0b, 0xfe, 0xff], -2),
            // if 1 skip over the second literal
            (&[0x37, 0x31, 0x28, 1, 0, 0x38], 7),
            (&[0x37, 0x2f, 1, 0, 0x38], 7),
        ] {
            assert_eq!(value(bytes, 0), Some((Base::Zero, expected)), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_none_of_these_has_no_value() {
        for bytes in [
            &[][..],
            &[0x22],
            &[0x35, 0x30, 0x1b],
            &[0x77, 0, 0x76, 0, 0x22],
            &[0x77, 0, 6, 6],
            &[0x73, 0],
            &[0xf0],
            // A loop without end, and a jump out of it.
            &[0x2f, 0xfd, 0xff],
            &[0x2f, 0xf0, 0xff],
            &[0x31; 20],
        ] {
            assert_eq!(value(bytes, 0), None, "{bytes:x?}");
        }
    }
}
