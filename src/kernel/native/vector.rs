//! Steps of nests as instructions of 128 bits, several elements at once.
//!
//! What has no such instruction is computed lane by lane. Only what WebAssembly's vectors have too is emitted: both
//! processors have instructions for it.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use smallvec::SmallVec;

use super::steps::{Emitter, Number, register};
use crate::expression::{Binary, Scalar, Unary};
use crate::program::Direction;

type Registers = SmallVec<[Value; 8]>;

/// As many numbers as there are lanes. Numbers of 8 bytes are two in a register, all others four: those of under 4 bytes
/// extended (floats by zeros), bools as masks. Of complex numbers the real parts come first.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    pub parts: Registers,
    /// Of bools from comparisons of numbers of 8 bytes: the same masks in that width.
    wide: Option<Registers>,
}

impl From<Registers> for Lanes {
    fn from(parts: Registers) -> Self {
        Self { parts, wide: None }
    }
}

/// The type of registers of several numbers.
pub(super) fn vector(scalar: Scalar) -> Type {
    match register(scalar) {
        types::F32 => types::F32X4,
        types::F64 => types::F64X2,
        types::I64 => types::I64X2,
        _ => types::I32X4,
    }
}

/// How many registers numbers of a type take.
pub(super) fn registers(scalar: Scalar, lanes: usize) -> usize {
    let each = if scalar.bytes() == 8 { 2 } else { 1 };
    lanes / 4 * each
}

/// The lanes of one register.
fn width(scalar: Scalar) -> usize {
    if register(scalar).bytes() == 8 { 2 } else { 4 }
}

fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// Whether a function of numbers of a type is computed at once. Others are computed lane by lane.
pub(super) fn has_unary(function: Unary, of: Scalar, to: Scalar) -> bool {
    use Scalar::*;
    match function {
        Unary::Real | Unary::Imaginary => true,
        Unary::Bitcast => of.bytes() == to.bytes() && !of.is_complex() && !to.is_complex(),
        Unary::Convert => match (of, to) {
            (Bool | I32 | I8 | I16 | U8 | U16, F32) | (U32, F32) | (I32 | I8 | I16 | U8 | U16, F64) => true,
            (F32, F64 | I32 | U32 | BF16) | (F64 | BF16, F32) => true,
            (F32 | F64 | I64 | U64, Bool) => true,
            (F16 | BF16 | F32 | F64 | C64 | C128, _) | (_, F16 | BF16 | F32 | F64 | C64 | C128) => false,
            _ => true,
        },
        Unary::Abs | Unary::Negate => !of.is_complex() && of != Bool,
        Unary::Not => !of.is_float() && !of.is_complex(),
        Unary::Sign => matches!(of, F32 | F64 | BF16),
        Unary::Ceil | Unary::Floor | Unary::Round | Unary::Sqrt | Unary::Rsqrt => matches!(of, F32 | F64 | BF16),
        Unary::IsNan | Unary::IsInf | Unary::IsFinite => matches!(of, F32 | F64 | BF16),
        _ => false,
    }
}

/// As [`has_unary`]; `uniform` is whether the second operand is the same in all lanes.
pub(super) fn has_binary(function: Binary, of: Scalar, uniform: bool) -> bool {
    use Scalar::*;
    match function {
        Binary::Complex => true,
        Binary::Add | Binary::Subtract | Binary::Multiply => of != F16 && of != Bool && !of.is_complex(),
        Binary::Divide => matches!(of, F32 | F64 | BF16),
        Binary::Maximum | Binary::Minimum => of != F16 && of != Bool && !of.is_complex(),
        Binary::And | Binary::Or | Binary::Xor => !of.is_float() && !of.is_complex(),
        Binary::ShiftLeft | Binary::ShiftRight => {
            uniform && of.is_integer() && (of != I64 || function == Binary::ShiftLeft)
        }
        Binary::Remainder | Binary::Power | Binary::Atan2 => false,
    }
}

/// As [`has_unary`].
pub(super) fn has_compare(direction: Direction, of: Scalar) -> bool {
    match of {
        Scalar::Bool => matches!(direction, Direction::Eq | Direction::Ne),
        _ => of != Scalar::F16 && !of.is_complex(),
    }
}

/// What emits steps of several lanes.
pub(super) struct Vectors<'a, 'b> {
    pub emitter: Emitter<'a, 'b>,
    pub lanes: usize,
}

impl Vectors<'_, '_> {
    fn bitcast(&mut self, to: Type, value: Value) -> Value {
        if self.emitter.builder.func.dfg.value_type(value) == to {
            return value;
        }
        self.emitter.builder.ins().bitcast(to, little(), value)
    }

    /// A register of these bytes.
    fn bytes(&mut self, ty: Type, bytes: impl IntoIterator<Item = u8>) -> Value {
        let data: Vec<u8> = bytes.into_iter().collect();
        let constant = self.emitter.builder.func.dfg.constants.insert(ConstantData::from(data));
        self.emitter.builder.ins().vconst(ty, constant)
    }

    /// A register with the same 32 bits in each lane.
    fn word(&mut self, bits: u32) -> Value {
        self.bytes(types::I32X4, (0..4).flat_map(|_| bits.to_le_bytes()))
    }

    /// The same with 64 bits.
    fn double(&mut self, bits: u64) -> Value {
        self.bytes(types::I64X2, (0..2).flat_map(|_| bits.to_le_bytes()))
    }

    fn float(&mut self, scalar: Scalar, value: f64) -> Value {
        if register(scalar) == types::F64 {
            let bits = self.double(value.to_bits());
            return self.bitcast(types::F64X2, bits);
        }
        let bits = self.word((value as f32).to_bits());
        self.bitcast(types::F32X4, bits)
    }

    /// Bytes of two registers in another order.
    fn shuffled(&mut self, a: Value, b: Value, order: [u8; 16]) -> Value {
        let ty = self.emitter.builder.func.dfg.value_type(a);
        let (a, b) = (self.bitcast(types::I8X16, a), self.bitcast(types::I8X16, b));
        let order = self.emitter.builder.func.dfg.immediates.push(ConstantData::from(order.to_vec()));
        let bytes = self.emitter.builder.ins().shuffle(a, b, order);
        self.bitcast(ty, bytes)
    }

    /// 32-bit lanes of two registers, those of the second counted from 4.
    fn words(&mut self, a: Value, b: Value, order: [u8; 4]) -> Value {
        let mut bytes = [0; 16];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = order[place / 4] * 4 + (place % 4) as u8;
        }
        self.shuffled(a, b, bytes)
    }

    /// The same number in all lanes.
    pub fn splat(&mut self, number: Number, scalar: Scalar) -> Lanes {
        let part = |this: &mut Self, value: Value, scalar: Scalar| {
            let value = this.widened(value, scalar);
            this.emitter.builder.ins().splat(vector(scalar), value)
        };
        let count = registers(scalar, self.lanes);
        match number {
            Number::One(value) => {
                let value = part(self, value, scalar);
                Registers::from_elem(value, count).into()
            }
            Number::Pair(real, imaginary) => {
                let (real, imaginary) = (part(self, real, scalar.real()), part(self, imaginary, scalar.real()));
                let mut parts = Registers::from_elem(real, count / 2);
                parts.extend(std::iter::repeat_n(imaginary, count / 2));
                parts.into()
            }
        }
    }

    /// A number in all lanes that is known.
    pub fn constant(&mut self, value: crate::expression::Value, scalar: Scalar) -> Lanes {
        let count = registers(scalar, self.lanes);
        let part = |this: &mut Self, bits: u64, scalar: Scalar| {
            let spare = 64 - scalar.bits();
            let bits = match scalar {
                Scalar::Bool => u64::from(bits != 0).wrapping_neg(),
                _ if scalar.is_signed() => ((bits as i64) << spare >> spare) as u64,
                _ => bits,
            };
            let value = if scalar.bytes() == 8 { this.double(bits) } else { this.word(bits as u32) };
            this.bitcast(vector(scalar), value)
        };
        if scalar.is_complex() {
            let real = part(self, value.bits, scalar.real());
            let imaginary = part(self, value.imaginary, scalar.real());
            let mut parts = Registers::from_elem(real, count / 2);
            parts.extend(std::iter::repeat_n(imaginary, count / 2));
            return parts.into();
        }
        let value = part(self, value.bits, scalar);
        Registers::from_elem(value, count).into()
    }

    /// `first + k step` in lane k, of i64.
    pub fn progression(&mut self, first: Value, step: i64) -> Lanes {
        let start = self.emitter.builder.ins().splat(types::I64X2, first);
        let part = |this: &mut Self, place: usize| {
            let lanes = [2 * place as i64, 2 * place as i64 + 1].map(|lane| lane.wrapping_mul(step).to_le_bytes());
            let offset = this.bytes(types::I64X2, lanes.concat());
            this.emitter.builder.ins().iadd(start, offset)
        };
        (0..self.lanes / 2).map(|place| part(self, place)).collect::<Registers>().into()
    }

    /// A number as it stands in a lane.
    fn widened(&mut self, value: Value, scalar: Scalar) -> Value {
        let ins = self.emitter.builder.ins();
        match scalar {
            Scalar::Bool => ins.bmask(types::I32, value),
            Scalar::I8 | Scalar::I16 => ins.sextend(types::I32, value),
            Scalar::U8 | Scalar::U16 | Scalar::F16 | Scalar::BF16 => ins.uextend(types::I32, value),
            _ => value,
        }
    }

    /// The number in a lane of a register.
    fn narrowed(&mut self, value: Value, scalar: Scalar) -> Value {
        match scalar {
            Scalar::Bool => {
                let byte = self.emitter.builder.ins().ireduce(types::I8, value);
                self.emitter.builder.ins().band_imm_u(byte, 1)
            }
            Scalar::I8 | Scalar::U8 => self.emitter.builder.ins().ireduce(types::I8, value),
            Scalar::I16 | Scalar::U16 | Scalar::F16 | Scalar::BF16 => {
                self.emitter.builder.ins().ireduce(types::I16, value)
            }
            _ => value,
        }
    }

    /// The numbers of all lanes.
    pub fn split(&mut self, lanes: &Lanes, scalar: Scalar) -> Vec<Number> {
        let part = |this: &mut Self, parts: &[Value], scalar: Scalar| -> Vec<Value> {
            let width = width(scalar);
            (0..this.lanes)
                .map(|lane| {
                    let value = this.emitter.builder.ins().extractlane(parts[lane / width], (lane % width) as u8);
                    this.narrowed(value, scalar)
                })
                .collect()
        };
        if !scalar.is_complex() {
            return part(self, &lanes.parts, scalar).into_iter().map(Number::One).collect();
        }
        let (real, imaginary) = lanes.parts.split_at(lanes.parts.len() / 2);
        let (real, imaginary) = (part(self, real, scalar.real()), part(self, imaginary, scalar.real()));
        real.into_iter().zip(imaginary).map(|(real, imaginary)| Number::Pair(real, imaginary)).collect()
    }

    /// Numbers as lanes.
    pub fn joined(&mut self, numbers: &[Number], scalar: Scalar) -> Lanes {
        let part = |this: &mut Self, values: Vec<Value>, scalar: Scalar| -> Registers {
            let (ty, width) = (vector(scalar), width(scalar));
            let values: Vec<Value> = values.into_iter().map(|value| this.widened(value, scalar)).collect();
            let join = |this: &mut Self, values: &[Value]| {
                let first = this.emitter.builder.ins().scalar_to_vector(ty, values[0]);
                (1..width)
                    .fold(first, |so_far, lane| this.emitter.builder.ins().insertlane(so_far, values[lane], lane as u8))
            };
            values.chunks(width).map(|values| join(this, values)).collect()
        };
        if !scalar.is_complex() {
            return part(self, numbers.iter().map(|number| number.one()).collect(), scalar).into();
        }
        let (mut real, mut imaginary) = (Vec::new(), Vec::new());
        for &number in numbers {
            if let Number::Pair(a, b) = number {
                real.push(a);
                imaginary.push(b);
            }
        }
        let mut parts = part(self, real, scalar.real());
        parts.extend(part(self, imaginary, scalar.real()));
        parts.into()
    }

    /// As many elements as there are lanes, one after the other.
    pub fn load(&mut self, scalar: Scalar, address: Value, offset: i32) -> Lanes {
        let flags = MemFlagsData::trusted();
        let count = registers(scalar, self.lanes);
        if scalar.is_complex() {
            let (mut real, mut imaginary) = (Registers::new(), Registers::new());
            for pair in 0..count as i32 / 2 {
                let first = self.emitter.builder.ins().load(types::F32X4, flags, address, offset + pair * 32);
                let second = self.emitter.builder.ins().load(types::F32X4, flags, address, offset + pair * 32 + 16);
                real.push(self.words(first, second, [0, 2, 4, 6]));
                imaginary.push(self.words(first, second, [1, 3, 5, 7]));
            }
            real.extend(imaginary);
            return real.into();
        }
        let part = |this: &mut Self, place: usize| {
            let at = offset + (place * width(scalar) * scalar.bytes()) as i32;
            let ins = this.emitter.builder.ins();
            match scalar.bytes() {
                1 => {
                    let word = ins.load(types::I32, flags, address, at);
                    let bytes = this.emitter.builder.ins().scalar_to_vector(types::I32X4, word);
                    let bytes = this.bitcast(types::I8X16, bytes);
                    let halves = if scalar.is_signed() {
                        this.emitter.builder.ins().swiden_low(bytes)
                    } else {
                        this.emitter.builder.ins().uwiden_low(bytes)
                    };
                    let value = this.emitter.builder.ins().swiden_low(halves);
                    // A mask, of 0 and 1.
                    if scalar == Scalar::Bool { this.emitter.builder.ins().ineg(value) } else { value }
                }
                2 => {
                    let word = ins.load(types::I64, flags, address, at);
                    let halves = this.emitter.builder.ins().scalar_to_vector(types::I64X2, word);
                    let halves = this.bitcast(types::I16X8, halves);
                    if scalar.is_signed() {
                        this.emitter.builder.ins().swiden_low(halves)
                    } else {
                        this.emitter.builder.ins().uwiden_low(halves)
                    }
                }
                _ => ins.load(vector(scalar), flags, address, at),
            }
        };
        (0..count).map(|place| part(self, place)).collect::<Registers>().into()
    }

    /// Writes the lanes one after the other.
    pub fn store(&mut self, scalar: Scalar, lanes: &Lanes, address: Value, offset: i32) {
        let flags = MemFlagsData::trusted();
        if scalar.is_complex() {
            let (real, imaginary) = lanes.parts.split_at(lanes.parts.len() / 2);
            for (pair, (&real, &imaginary)) in real.iter().zip(imaginary).enumerate() {
                let at = offset + pair as i32 * 32;
                let (first, second) =
                    (self.words(real, imaginary, [0, 4, 1, 5]), self.words(real, imaginary, [2, 6, 3, 7]));
                self.emitter.builder.ins().store(flags, first, address, at);
                self.emitter.builder.ins().store(flags, second, address, at + 16);
            }
            return;
        }
        for (place, &value) in lanes.parts.iter().enumerate() {
            let at = offset + (place * width(scalar) * scalar.bytes()) as i32;
            let value = match scalar.bytes() {
                1 => {
                    let value = if scalar == Scalar::Bool {
                        let one = self.word(1);
                        self.emitter.builder.ins().band(value, one)
                    } else {
                        value
                    };
                    let halves = self.emitter.builder.ins().snarrow(value, value);
                    let bytes = if scalar.is_signed() {
                        self.emitter.builder.ins().snarrow(halves, halves)
                    } else {
                        self.emitter.builder.ins().unarrow(halves, halves)
                    };
                    let words = self.bitcast(types::I32X4, bytes);
                    self.emitter.builder.ins().extractlane(words, 0)
                }
                2 => {
                    let halves = if scalar.is_signed() {
                        self.emitter.builder.ins().snarrow(value, value)
                    } else {
                        self.emitter.builder.ins().unarrow(value, value)
                    };
                    let words = self.bitcast(types::I64X2, halves);
                    self.emitter.builder.ins().extractlane(words, 0)
                }
                _ => value,
            };
            self.emitter.builder.ins().store(flags, value, address, at);
        }
    }

    fn each(&mut self, a: &Lanes, mut function: impl FnMut(&mut Self, Value) -> Value) -> Lanes {
        a.parts.iter().map(|&part| function(self, part)).collect::<Registers>().into()
    }

    fn both(&mut self, a: &Lanes, b: &Lanes, mut function: impl FnMut(&mut Self, Value, Value) -> Value) -> Lanes {
        a.parts.iter().zip(&b.parts).map(|(&a, &b)| function(self, a, b)).collect::<Registers>().into()
    }

    /// Lanes of integers of under 4 bytes as they should be, of 32 bits.
    fn kept(&mut self, scalar: Scalar, value: Value) -> Value {
        let spare = 32 - scalar.bits().min(32);
        if spare == 0 {
            return value;
        }
        if scalar.is_signed() {
            let high = self.emitter.builder.ins().ishl_imm_u(value, i64::from(spare));
            return self.emitter.builder.ins().sshr_imm_u(high, i64::from(spare));
        }
        let mask = self.word(u32::MAX >> spare);
        self.emitter.builder.ins().band(value, mask)
    }

    /// bf16 as f32.
    fn single(&mut self, value: Value) -> Value {
        let high = self.emitter.builder.ins().ishl_imm_u(value, 16);
        self.bitcast(types::F32X4, high)
    }

    /// f32 rounded to bf16, to nearest, ties to even; a NaN keeps its sign and becomes quiet.
    fn brain(&mut self, value: Value) -> Value {
        let bits = self.bitcast(types::I32X4, value);
        let high = self.emitter.builder.ins().ushr_imm_u(bits, 16);
        let (one, half, quiet) = (self.word(1), self.word(0x7fff), self.word(0x40));
        let last = self.emitter.builder.ins().band(high, one);
        let rounded = self.emitter.builder.ins().iadd(bits, half);
        let rounded = self.emitter.builder.ins().iadd(rounded, last);
        let rounded = self.emitter.builder.ins().ushr_imm_u(rounded, 16);
        let quiet = self.emitter.builder.ins().bor(high, quiet);
        let nan = self.emitter.builder.ins().fcmp(FloatCC::Unordered, value, value);
        self.emitter.builder.ins().bitselect(nan, quiet, rounded)
    }

    pub fn unary(&mut self, function: Unary, of: Scalar, to: Scalar, a: &Lanes) -> Result<Lanes, String> {
        if !has_unary(function, of, to) {
            let numbers = self.split(a, of);
            let results = numbers
                .into_iter()
                .map(|number| self.emitter.unary(function, of, to, number))
                .collect::<Result<Vec<Number>, String>>()?;
            return Ok(self.joined(&results, to));
        }
        Ok(match function {
            Unary::Real => Registers::from_slice(&a.parts[..a.parts.len() / 2]).into(),
            Unary::Imaginary => Registers::from_slice(&a.parts[a.parts.len() / 2..]).into(),
            Unary::Bitcast => self.each(a, |this, part| {
                let part = this.bitcast(vector(to), part);
                if to.is_half() || (of.bytes() < 4 && of.is_signed() != to.is_signed()) {
                    let like = if to.is_half() { Scalar::U16 } else { to };
                    this.kept(like, part)
                } else {
                    part
                }
            }),
            Unary::Convert => self.convert(of, to, a),
            Unary::Abs if of.is_half() => {
                let mask = self.word(0x7fff);
                self.each(a, |this, part| this.emitter.builder.ins().band(part, mask))
            }
            Unary::Negate if of.is_half() => {
                let mask = self.word(0x8000);
                self.each(a, |this, part| this.emitter.builder.ins().bxor(part, mask))
            }
            _ if of == Scalar::BF16 => {
                let single = self.each(a, Self::single);
                let result = self.of_floats(function, Scalar::F32, &single);
                if to == Scalar::Bool { result } else { self.each(&result, Self::brain) }
            }
            _ if of.is_float() => self.of_floats(function, of, a),
            Unary::Abs if of.is_signed() => self.each(a, |this, part| {
                let magnitude = this.emitter.builder.ins().iabs(part);
                this.kept(of, magnitude)
            }),
            Unary::Negate => self.each(a, |this, part| {
                let negated = this.emitter.builder.ins().ineg(part);
                this.kept(of, negated)
            }),
            Unary::Not => {
                let mut result = self.each(a, |this, part| {
                    let not = this.emitter.builder.ins().bnot(part);
                    if of == Scalar::Bool { not } else { this.kept(of, not) }
                });
                result.wide = a
                    .wide
                    .as_ref()
                    .map(|wide| wide.iter().map(|&part| self.emitter.builder.ins().bnot(part)).collect());
                result
            }
            _ => a.clone(),
        })
    }

    fn of_floats(&mut self, function: Unary, of: Scalar, a: &Lanes) -> Lanes {
        let compared = |this: &mut Self, code: FloatCC, limit: f64, of_magnitude: bool| {
            let limit = this.float(of, limit);
            this.masks(of, a, |this, part| {
                let part = if of_magnitude { this.emitter.builder.ins().fabs(part) } else { part };
                this.emitter.builder.ins().fcmp(code, part, limit)
            })
        };
        match function {
            Unary::IsNan => {
                self.masks(of, a, |this, part| this.emitter.builder.ins().fcmp(FloatCC::Unordered, part, part))
            }
            Unary::IsInf => compared(self, FloatCC::Equal, f64::INFINITY, true),
            Unary::IsFinite => compared(self, FloatCC::LessThan, f64::INFINITY, true),
            Unary::Sign => {
                let negative = compared(self, FloatCC::LessThan, 0.0, false);
                let positive = compared(self, FloatCC::GreaterThan, 0.0, false);
                let [zero, one, less] = [0.0, 1.0, -1.0].map(|value| self.constant(of_f64(of, value), of));
                let rest = self.select(&negative, &less, &zero, of);
                self.select(&positive, &one, &rest, of)
            }
            _ => {
                let one = self.float(of, 1.0);
                self.each(a, |this, part| match function {
                    Unary::Abs => this.emitter.builder.ins().fabs(part),
                    Unary::Negate => this.emitter.builder.ins().fneg(part),
                    Unary::Ceil => this.emitter.builder.ins().ceil(part),
                    Unary::Floor => this.emitter.builder.ins().floor(part),
                    Unary::Round => this.emitter.builder.ins().nearest(part),
                    Unary::Rsqrt => {
                        let root = this.emitter.builder.ins().sqrt(part);
                        this.emitter.builder.ins().fdiv(one, root)
                    }
                    _ => this.emitter.builder.ins().sqrt(part),
                })
            }
        }
    }

    /// Masks of a comparison of numbers of a type.
    fn masks(&mut self, of: Scalar, a: &Lanes, mut compare: impl FnMut(&mut Self, Value) -> Value) -> Lanes {
        let parts: Registers = a.parts.iter().map(|&part| compare(self, part)).collect();
        self.mask(of, parts)
    }

    fn mask(&mut self, of: Scalar, parts: Registers) -> Lanes {
        if of.bytes() < 8 {
            return parts.into();
        }
        let narrow = parts.chunks(2).map(|pair| self.low_words(pair[0], pair[pair.len() - 1])).collect();
        Lanes { parts: narrow, wide: Some(parts) }
    }

    /// The low halves of numbers of 8 bytes, as four of 4.
    fn low_words(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.bitcast(types::I32X4, a), self.bitcast(types::I32X4, b));
        self.words(a, b, [0, 2, 4, 6])
    }

    fn convert(&mut self, of: Scalar, to: Scalar, a: &Lanes) -> Lanes {
        use Scalar::*;
        match (of, to) {
            (Bool, F32) => {
                let one = self.word(1f32.to_bits());
                self.each(a, |this, part| {
                    let bits = this.emitter.builder.ins().band(part, one);
                    this.bitcast(types::F32X4, bits)
                })
            }
            (F32, F64) => self.doubled(a, |this, part| this.emitter.builder.ins().fvpromote_low(part)),
            (F64, F32) => a
                .parts
                .chunks(2)
                .map(|pair| {
                    let low = self.emitter.builder.ins().fvdemote(pair[0]);
                    let high = self.emitter.builder.ins().fvdemote(pair[1]);
                    self.words(low, high, [0, 1, 4, 5])
                })
                .collect::<Registers>()
                .into(),
            (F32, BF16) => self.each(a, Self::brain),
            (BF16, F32) => self.each(a, Self::single),
            (F32, I32) => self.each(a, |this, part| this.emitter.builder.ins().fcvt_to_sint_sat(types::I32X4, part)),
            (F32, U32) => self.each(a, |this, part| this.emitter.builder.ins().fcvt_to_uint_sat(types::I32X4, part)),
            (U32, F32) => self.each(a, |this, part| this.emitter.builder.ins().fcvt_from_uint(types::F32X4, part)),
            (_, F32) => self.each(a, |this, part| this.emitter.builder.ins().fcvt_from_sint(types::F32X4, part)),
            (_, F64) => self.doubled(a, |this, part| {
                let wide = this.emitter.builder.ins().swiden_low(part);
                this.emitter.builder.ins().fcvt_from_sint(types::F64X2, wide)
            }),
            (F32 | F64, Bool) => {
                let zero = self.float(of, 0.0);
                self.masks(of, a, |this, part| this.emitter.builder.ins().fcmp(FloatCC::NotEqual, part, zero))
            }
            (_, Bool) => {
                let zero = if of.bytes() == 8 { self.double(0) } else { self.word(0) };
                self.masks(of, a, |this, part| this.emitter.builder.ins().icmp(IntCC::NotEqual, part, zero))
            }
            _ => self.resized(of, to, a),
        }
    }

    /// Two registers of each: of its lower and of its upper half.
    fn doubled(&mut self, a: &Lanes, mut function: impl FnMut(&mut Self, Value) -> Value) -> Lanes {
        let mut parts = Registers::new();
        for &part in &a.parts {
            parts.push(function(self, part));
            let high = self.words(part, part, [2, 3, 2, 3]);
            parts.push(function(self, high));
        }
        parts.into()
    }

    fn resized(&mut self, of: Scalar, to: Scalar, a: &Lanes) -> Lanes {
        // A mask is 0 or all ones.
        let ones = self.word(1);
        let a = if of == Scalar::Bool {
            self.each(a, |this, part| this.emitter.builder.ins().band(part, ones))
        } else {
            a.clone()
        };
        match (of.bytes() == 8, to.bytes() == 8) {
            (true, true) => a,
            (false, true) => {
                let signed = of.is_signed();
                let mut parts = Registers::new();
                for &part in &a.parts {
                    let ins = |this: &mut Self, part: Value| {
                        if signed {
                            this.emitter.builder.ins().swiden_low(part)
                        } else {
                            this.emitter.builder.ins().uwiden_low(part)
                        }
                    };
                    parts.push(ins(self, part));
                    parts.push(if signed {
                        self.emitter.builder.ins().swiden_high(part)
                    } else {
                        self.emitter.builder.ins().uwiden_high(part)
                    });
                }
                parts.into()
            }
            (true, false) => {
                let low: Registers = a.parts.chunks(2).map(|pair| self.low_words(pair[0], pair[1])).collect();
                self.each(&low.into(), |this, part| this.kept(to, part))
            }
            (false, false) => self.each(&a, |this, part| this.kept(to, part)),
        }
    }

    pub fn binary(
        &mut self,
        function: Binary,
        of: Scalar,
        a: &Lanes,
        b: &Lanes,
        uniform: Option<Number>,
    ) -> Result<Lanes, String> {
        if function == Binary::Complex {
            let mut parts = a.parts.clone();
            parts.extend(b.parts.iter().copied());
            return Ok(parts.into());
        }
        if !has_binary(function, of, uniform.is_some()) {
            let (a, b) = (self.split(a, of), self.split(b, of));
            let results = a
                .into_iter()
                .zip(b)
                .map(|(a, b)| self.emitter.binary(function, of, a, b))
                .collect::<Result<Vec<Number>, String>>()?;
            return Ok(self.joined(&results, of));
        }
        if of == Scalar::BF16 {
            let (a, b) = (self.each(a, Self::single), self.each(b, Self::single));
            let result = self.binary(function, Scalar::F32, &a, &b, None)?;
            return Ok(self.each(&result, Self::brain));
        }
        if of.is_float() {
            return Ok(self.both(a, b, |this, a, b| match function {
                Binary::Add => this.emitter.builder.ins().fadd(a, b),
                Binary::Subtract => this.emitter.builder.ins().fsub(a, b),
                Binary::Multiply => this.emitter.builder.ins().fmul(a, b),
                Binary::Divide => this.emitter.builder.ins().fdiv(a, b),
                Binary::Maximum => this.emitter.builder.ins().fmax(a, b),
                _ => this.emitter.builder.ins().fmin(a, b),
            }));
        }
        if let (Binary::ShiftLeft | Binary::ShiftRight, Some(amount)) = (function, uniform) {
            let amount = amount.one();
            return Ok(self.each(a, |this, part| {
                let ins = this.emitter.builder.ins();
                let shifted = match function {
                    Binary::ShiftLeft => ins.ishl(part, amount),
                    _ if of.is_signed() => ins.sshr(part, amount),
                    _ => ins.ushr(part, amount),
                };
                this.kept(of, shifted)
            }));
        }
        if let Binary::Maximum | Binary::Minimum = function {
            let direction = if function == Binary::Maximum { Direction::Ge } else { Direction::Le };
            let first = self.compare(direction, of, a, b)?;
            return Ok(self.select(&first, a, b, of));
        }
        let mut result = self.both(a, b, |this, a, b| {
            let value = this.of_bits(function, a, b);
            if of == Scalar::Bool { value } else { this.kept(of, value) }
        });
        if let (Some(a), Some(b)) = (&a.wide, &b.wide) {
            result.wide = Some(a.iter().zip(b).map(|(&a, &b)| self.of_bits(function, a, b)).collect());
        }
        Ok(result)
    }

    fn of_bits(&mut self, function: Binary, a: Value, b: Value) -> Value {
        let ins = self.emitter.builder.ins();
        match function {
            Binary::Add => ins.iadd(a, b),
            Binary::Subtract => ins.isub(a, b),
            Binary::Multiply => ins.imul(a, b),
            Binary::And => ins.band(a, b),
            Binary::Or => ins.bor(a, b),
            _ => ins.bxor(a, b),
        }
    }

    pub fn compare(&mut self, direction: Direction, of: Scalar, a: &Lanes, b: &Lanes) -> Result<Lanes, String> {
        if !has_compare(direction, of) {
            let (a, b) = (self.split(a, of), self.split(b, of));
            let results: Vec<Number> = a
                .into_iter()
                .zip(b)
                .map(|(a, b)| Number::One(self.emitter.compare(direction, of, a.one(), b.one())))
                .collect();
            return Ok(self.joined(&results, Scalar::Bool));
        }
        if of == Scalar::BF16 {
            let (a, b) = (self.each(a, Self::single), self.each(b, Self::single));
            return self.compare(direction, Scalar::F32, &a, &b);
        }
        // There are no unsigned comparisons of 8 bytes: both moved by half the range are signed.
        if of == Scalar::U64 && !matches!(direction, Direction::Eq | Direction::Ne) {
            let half = self.double(1 << 63);
            let moved = |this: &mut Self, part| this.emitter.builder.ins().bxor(part, half);
            let (a, b) = (self.each(a, moved), self.each(b, moved));
            return self.compare(direction, Scalar::I64, &a, &b);
        }
        let parts: Registers = a
            .parts
            .iter()
            .zip(&b.parts)
            .map(|(&a, &b)| {
                if of.is_float() {
                    self.emitter.builder.ins().fcmp(super::steps::of_floats(direction), a, b)
                } else {
                    let signed = of != Scalar::U32;
                    self.emitter.builder.ins().icmp(super::steps::of_integers(direction, signed), a, b)
                }
            })
            .collect();
        Ok(self.mask(of, parts))
    }

    /// Whether a bool holds in any lane.
    pub fn any(&mut self, lanes: &Lanes) -> Value {
        let (first, rest) = lanes.parts.split_first().expect("a register at least");
        let all = rest.iter().fold(*first, |all, &part| self.emitter.builder.ins().bor(all, part));
        self.emitter.builder.ins().vany_true(all)
    }

    pub fn select(&mut self, condition: &Lanes, yes: &Lanes, no: &Lanes, scalar: Scalar) -> Lanes {
        let ty = vector(scalar);
        let masks: Registers = if register(scalar).bytes() == 8 {
            match &condition.wide {
                Some(wide) => wide.clone(),
                None => {
                    let mut wide = Registers::new();
                    for &part in &condition.parts {
                        wide.push(self.emitter.builder.ins().swiden_low(part));
                        wide.push(self.emitter.builder.ins().swiden_high(part));
                    }
                    wide
                }
            }
        } else if scalar.is_complex() {
            condition.parts.iter().chain(&condition.parts).copied().collect()
        } else {
            condition.parts.clone()
        };
        masks
            .iter()
            .zip(yes.parts.iter().zip(&no.parts))
            .map(|(&mask, (&yes, &no))| {
                let mask = self.bitcast(ty, mask);
                self.emitter.builder.ins().bitselect(mask, yes, no)
            })
            .collect::<Registers>()
            .into()
    }
}

fn of_f64(scalar: Scalar, value: f64) -> crate::expression::Value {
    crate::expression::Value::from_f64(scalar, value)
}
