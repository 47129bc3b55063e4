//! Steps of nests as instructions.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

use super::functions;
use crate::expression::{self, Binary, Scalar, Unary};
use crate::program::{Direction, ElementType};

/// A number in registers: of complex numbers both parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    One(Value),
    Pair(Value, Value),
}

impl Number {
    /// The number, or its real part.
    pub fn one(self) -> Value {
        match self {
            Self::One(value) | Self::Pair(value, _) => value,
        }
    }
}

/// The type of registers: bools are bytes of 0 or 1, f16 and bf16 their bits.
pub(super) fn register(scalar: Scalar) -> Type {
    match scalar {
        Scalar::Bool | Scalar::I8 | Scalar::U8 => types::I8,
        Scalar::I16 | Scalar::U16 | Scalar::F16 | Scalar::BF16 => types::I16,
        Scalar::I32 | Scalar::U32 => types::I32,
        Scalar::I64 | Scalar::U64 => types::I64,
        Scalar::F32 | Scalar::C64 => types::F32,
        Scalar::F64 | Scalar::C128 => types::F64,
    }
}

/// The condition of floats.
pub(super) fn of_floats(direction: Direction) -> FloatCC {
    match direction {
        Direction::Eq => FloatCC::Equal,
        Direction::Ne => FloatCC::NotEqual,
        Direction::Ge => FloatCC::GreaterThanOrEqual,
        Direction::Gt => FloatCC::GreaterThan,
        Direction::Le => FloatCC::LessThanOrEqual,
        Direction::Lt => FloatCC::LessThan,
    }
}

/// The condition of integers.
pub(super) fn of_integers(direction: Direction, signed: bool) -> IntCC {
    match direction {
        Direction::Eq => IntCC::Equal,
        Direction::Ne => IntCC::NotEqual,
        Direction::Ge if signed => IntCC::SignedGreaterThanOrEqual,
        Direction::Gt if signed => IntCC::SignedGreaterThan,
        Direction::Le if signed => IntCC::SignedLessThanOrEqual,
        Direction::Lt if signed => IntCC::SignedLessThan,
        Direction::Ge => IntCC::UnsignedGreaterThanOrEqual,
        Direction::Gt => IntCC::UnsignedGreaterThan,
        Direction::Le => IntCC::UnsignedLessThanOrEqual,
        Direction::Lt => IntCC::UnsignedLessThan,
    }
}

/// What emits steps.
pub(super) struct Emitter<'a, 'b> {
    pub builder: &'a mut FunctionBuilder<'b>,
    pub convention: CallConv,
    pub pointer: Type,
}

impl Emitter<'_, '_> {
    pub fn constant(&mut self, value: expression::Value, scalar: Scalar) -> Number {
        let mut part = |bits: u64| match register(scalar) {
            types::F32 => self.builder.ins().f32const(f32::from_bits(bits as u32)),
            types::F64 => self.builder.ins().f64const(f64::from_bits(bits)),
            ty => {
                // Immediates are sign-extended: what lies above the type does not count.
                let spare = 64 - ty.bits();
                self.builder.ins().iconst(ty, (bits as i64) << spare >> spare)
            }
        };
        let real = part(value.bits);
        if scalar.is_complex() { Number::Pair(real, part(value.imaginary)) } else { Number::One(real) }
    }

    pub fn load(&mut self, scalar: Scalar, address: Value, offset: i32) -> Number {
        let (ty, flags) = (register(scalar), MemFlagsData::trusted());
        let real = self.builder.ins().load(ty, flags, address, offset);
        if !scalar.is_complex() {
            return Number::One(real);
        }
        Number::Pair(real, self.builder.ins().load(ty, flags, address, offset + ty.bytes() as i32))
    }

    pub fn store(&mut self, number: Number, address: Value, offset: i32) {
        let flags = MemFlagsData::trusted();
        match number {
            Number::One(value) => {
                self.builder.ins().store(flags, value, address, offset);
            }
            Number::Pair(real, imaginary) => {
                let size = self.builder.func.dfg.value_type(real).bytes() as i32;
                self.builder.ins().store(flags, real, address, offset);
                self.builder.ins().store(flags, imaginary, address, offset + size);
            }
        }
    }

    fn call(&mut self, address: usize, parameters: &[Type], result: Type, arguments: &[Value]) -> Value {
        let mut signature = Signature::new(self.convention);
        signature.params.extend(parameters.iter().map(|&ty| AbiParam::new(ty)));
        signature.returns.push(AbiParam::new(result));
        let signature = self.builder.import_signature(signature);
        let address = self.builder.ins().iconst(self.pointer, address as i64);
        let call = self.builder.ins().call_indirect(signature, address, arguments);
        self.builder.inst_results(call)[0]
    }

    /// f16 or bf16 as f32.
    fn single(&mut self, scalar: Scalar, bits: Value) -> Value {
        let wide = self.builder.ins().uextend(types::I32, bits);
        if scalar == Scalar::F16 {
            return self.call(functions::half_to_single(), &[types::I32], types::F32, &[wide]);
        }
        let high = self.builder.ins().ishl_imm_u(wide, 16);
        self.builder.ins().bitcast(types::F32, MemFlagsData::new(), high)
    }

    /// f32 rounded to f16 or bf16.
    fn half(&mut self, scalar: Scalar, value: Value) -> Value {
        if scalar == Scalar::F16 {
            let bits = self.call(functions::single_to_half(), &[types::F32], types::I32, &[value]);
            return self.builder.ins().ireduce(types::I16, bits);
        }
        let ins = |emitter: &mut Self| emitter.builder.ins().bitcast(types::I32, MemFlagsData::new(), value);
        let bits = ins(self);
        // To nearest, ties to even; a NaN keeps its sign and becomes quiet.
        let high = self.builder.ins().ushr_imm_u(bits, 16);
        let last = self.builder.ins().band_imm_u(high, 1);
        let rounding = self.builder.ins().iadd_imm_s(last, 0x7fff);
        let rounded = self.builder.ins().iadd(bits, rounding);
        let rounded = self.builder.ins().ushr_imm_u(rounded, 16);
        let quiet = self.builder.ins().bor_imm_u(high, 0x40);
        let nan = self.builder.ins().fcmp(FloatCC::Unordered, value, value);
        let result = self.builder.ins().select(nan, quiet, rounded);
        self.builder.ins().ireduce(types::I16, result)
    }

    pub fn compare(&mut self, direction: Direction, scalar: Scalar, a: Value, b: Value) -> Value {
        let (a, b) = if scalar.is_half() { (self.single(scalar, a), self.single(scalar, b)) } else { (a, b) };
        if scalar.is_float() {
            return self.builder.ins().fcmp(of_floats(direction), a, b);
        }
        self.builder.ins().icmp(of_integers(direction, scalar.is_signed()), a, b)
    }

    pub fn select(&mut self, condition: Value, yes: Number, no: Number) -> Number {
        match (yes, no) {
            (Number::Pair(a, b), Number::Pair(c, d)) => {
                Number::Pair(self.builder.ins().select(condition, a, c), self.builder.ins().select(condition, b, d))
            }
            _ => Number::One(self.builder.ins().select(condition, yes.one(), no.one())),
        }
    }

    pub fn unary(&mut self, function: Unary, of: Scalar, to: Scalar, a: Number) -> Result<Number, String> {
        Ok(match (function, a) {
            (Unary::Real, Number::Pair(real, _)) => Number::One(real),
            (Unary::Imaginary, Number::Pair(_, imaginary)) => Number::One(imaginary),
            (Unary::Bitcast, _) => self.bitcast(of, to, a),
            (_, Number::Pair(..)) => return Err(format!("{function:?} of {of}")),
            (Unary::Convert, Number::One(a)) => Number::One(self.convert(of, to, a)),
            (Unary::Decode(element), Number::One(a)) => Number::One(self.decode(element, a)),
            (_, Number::One(a)) if of.is_half() => self.of_half(function, of, to, a)?,
            (_, Number::One(a)) if of.is_float() => self.of_float(function, of, a)?,
            (_, Number::One(a)) => Number::One(self.of_integer(function, of, a)?),
        })
    }

    fn bitcast(&mut self, of: Scalar, to: Scalar, a: Number) -> Number {
        match a {
            Number::Pair(real, imaginary) if to.bytes() == 8 && !to.is_complex() => {
                let mut word = |part| {
                    let bits = self.builder.ins().bitcast(types::I32, MemFlagsData::new(), part);
                    self.builder.ins().uextend(types::I64, bits)
                };
                let (low, high) = (word(real), word(imaginary));
                let high = self.builder.ins().ishl_imm_u(high, 32);
                let bits = self.builder.ins().bor(low, high);
                self.bitcast(Scalar::U64, to, Number::One(bits))
            }
            Number::Pair(..) => a,
            Number::One(value) if to == Scalar::C64 => {
                let Number::One(bits) = self.bitcast(of, Scalar::U64, Number::One(value)) else { return a };
                let low = self.builder.ins().ireduce(types::I32, bits);
                let high = self.builder.ins().ushr_imm_u(bits, 32);
                let high = self.builder.ins().ireduce(types::I32, high);
                let mut part = |bits| self.builder.ins().bitcast(types::F32, MemFlagsData::new(), bits);
                Number::Pair(part(low), part(high))
            }
            Number::One(value) if register(of) == register(to) => Number::One(value),
            Number::One(value) => Number::One(self.builder.ins().bitcast(register(to), MemFlagsData::new(), value)),
        }
    }

    fn decode(&mut self, element: ElementType, code: Value) -> Value {
        let number = ElementType::ALL.iter().position(|&each| each == element).unwrap_or(usize::MAX);
        let (code, number) = {
            let code = self.builder.ins().uextend(types::I32, code);
            (code, self.builder.ins().iconst(types::I32, number as i64))
        };
        self.call(functions::decode(), &[types::I32, types::I32], types::F32, &[number, code])
    }

    fn of_half(&mut self, function: Unary, of: Scalar, to: Scalar, a: Value) -> Result<Number, String> {
        Ok(Number::One(match function {
            Unary::Abs => self.builder.ins().band_imm_u(a, 0x7fff),
            Unary::Negate => self.builder.ins().bxor_imm_u(a, 0x8000u64 as i64),
            _ => {
                let single = self.single(of, a);
                let result = self.of_float(function, Scalar::F32, single)?.one();
                if to == Scalar::Bool { result } else { self.half(to, result) }
            }
        }))
    }

    fn of_float(&mut self, function: Unary, of: Scalar, a: Value) -> Result<Number, String> {
        let ty = register(of);
        let number = |emitter: &mut Self, value: f64| match ty {
            types::F32 => emitter.builder.ins().f32const(value as f32),
            _ => emitter.builder.ins().f64const(value),
        };
        Ok(Number::One(match function {
            Unary::Abs => self.builder.ins().fabs(a),
            Unary::Negate => self.builder.ins().fneg(a),
            Unary::Ceil => self.builder.ins().ceil(a),
            Unary::Floor => self.builder.ins().floor(a),
            Unary::Round => self.builder.ins().nearest(a),
            Unary::Sqrt => self.builder.ins().sqrt(a),
            Unary::Rsqrt => {
                let (root, one) = (self.builder.ins().sqrt(a), number(self, 1.0));
                self.builder.ins().fdiv(one, root)
            }
            Unary::Sign => {
                let (zero, one, less) = (number(self, 0.0), number(self, 1.0), number(self, -1.0));
                let negative = self.builder.ins().fcmp(FloatCC::LessThan, a, zero);
                let positive = self.builder.ins().fcmp(FloatCC::GreaterThan, a, zero);
                let rest = self.builder.ins().select(negative, less, zero);
                self.builder.ins().select(positive, one, rest)
            }
            Unary::IsNan => self.builder.ins().fcmp(FloatCC::Unordered, a, a),
            Unary::IsInf | Unary::IsFinite => {
                let (size, infinity) = (self.builder.ins().fabs(a), number(self, f64::INFINITY));
                let code = if function == Unary::IsInf { FloatCC::Equal } else { FloatCC::LessThan };
                self.builder.ins().fcmp(code, size, infinity)
            }
            _ => {
                let address = functions::unary(function, of).ok_or_else(|| format!("{function:?} of {of}"))?;
                self.call(address, &[ty], ty, &[a])
            }
        }))
    }

    fn of_integer(&mut self, function: Unary, of: Scalar, a: Value) -> Result<Value, String> {
        Ok(match function {
            Unary::Abs if of.is_signed() => self.builder.ins().iabs(a),
            Unary::Abs => a,
            Unary::Negate => self.builder.ins().ineg(a),
            Unary::Not if of == Scalar::Bool => self.builder.ins().bxor_imm_u(a, 1),
            Unary::Not => self.builder.ins().bnot(a),
            Unary::Sign => {
                let ty = register(of);
                let (zero, one) = (self.builder.ins().iconst(ty, 0), self.builder.ins().iconst(ty, 1));
                let less = self.builder.ins().iconst(ty, -1);
                let positive = if of.is_signed() { IntCC::SignedGreaterThan } else { IntCC::NotEqual };
                let positive = self.builder.ins().icmp(positive, a, zero);
                let is_zero = self.builder.ins().icmp(IntCC::Equal, a, zero);
                let rest = self.builder.ins().select(is_zero, zero, less);
                self.builder.ins().select(positive, one, rest)
            }
            _ => return Err(format!("{function:?} of {of}")),
        })
    }

    fn resized(&mut self, value: Value, signed: bool, to: Type) -> Value {
        let from = self.builder.func.dfg.value_type(value);
        match from.bits().cmp(&to.bits()) {
            std::cmp::Ordering::Equal => value,
            std::cmp::Ordering::Greater => self.builder.ins().ireduce(to, value),
            std::cmp::Ordering::Less if signed => self.builder.ins().sextend(to, value),
            std::cmp::Ordering::Less => self.builder.ins().uextend(to, value),
        }
    }

    fn convert(&mut self, of: Scalar, to: Scalar, a: Value) -> Value {
        if of == to {
            return a;
        }
        if of.is_half() {
            let single = self.single(of, a);
            return self.convert(Scalar::F32, to, single);
        }
        if to.is_half() {
            let single = self.convert(of, Scalar::F32, a);
            return self.half(to, single);
        }
        if to == Scalar::Bool {
            let ty = register(of);
            let condition = if of.is_float() {
                let zero = self.constant(expression::Value::default(), of).one();
                self.builder.ins().fcmp(FloatCC::NotEqual, a, zero)
            } else {
                let zero = self.builder.ins().iconst(ty, 0);
                self.builder.ins().icmp(IntCC::NotEqual, a, zero)
            };
            return condition;
        }
        match (of.is_float(), to.is_float()) {
            (true, true) if to == Scalar::F64 => self.builder.ins().fpromote(types::F64, a),
            (true, true) => self.builder.ins().fdemote(types::F32, a),
            (true, false) => {
                // Saturating, of at least 32 bits: the value fits.
                let wide = if to.bits() == 64 { types::I64 } else { types::I32 };
                let whole = if to.is_signed() {
                    self.builder.ins().fcvt_to_sint_sat(wide, a)
                } else {
                    self.builder.ins().fcvt_to_uint_sat(wide, a)
                };
                self.resized(whole, false, register(to))
            }
            (false, true) => {
                let wide = if of.bits() == 64 { types::I64 } else { types::I32 };
                let whole = self.resized(a, of.is_signed(), wide);
                if of.is_signed() {
                    self.builder.ins().fcvt_from_sint(register(to), whole)
                } else {
                    self.builder.ins().fcvt_from_uint(register(to), whole)
                }
            }
            (false, false) => self.resized(a, of.is_signed(), register(to)),
        }
    }

    pub fn binary(&mut self, function: Binary, of: Scalar, a: Number, b: Number) -> Result<Number, String> {
        if function == Binary::Complex {
            return Ok(Number::Pair(a.one(), b.one()));
        }
        let (Number::One(a), Number::One(b)) = (a, b) else { return Err(format!("{function:?} of {of}")) };
        Ok(Number::One(if of.is_half() {
            let (a, b) = (self.single(of, a), self.single(of, b));
            let result = self.of_floats(function, Scalar::F32, a, b)?;
            self.half(of, result)
        } else if of.is_float() {
            self.of_floats(function, of, a, b)?
        } else {
            self.of_integers(function, of, a, b)?
        }))
    }

    fn of_floats(&mut self, function: Binary, of: Scalar, a: Value, b: Value) -> Result<Value, String> {
        Ok(match function {
            Binary::Add => self.builder.ins().fadd(a, b),
            Binary::Subtract => self.builder.ins().fsub(a, b),
            Binary::Multiply => self.builder.ins().fmul(a, b),
            Binary::Divide => self.builder.ins().fdiv(a, b),
            Binary::Maximum => self.builder.ins().fmax(a, b),
            Binary::Minimum => self.builder.ins().fmin(a, b),
            _ => {
                let address = functions::binary(function, of).ok_or_else(|| format!("{function:?} of {of}"))?;
                let ty = register(of);
                self.call(address, &[ty, ty], ty, &[a, b])
            }
        })
    }

    fn of_integers(&mut self, function: Binary, of: Scalar, a: Value, b: Value) -> Result<Value, String> {
        let ins = |emitter: &mut Self| emitter.builder.func.dfg.value_type(a);
        let ty = ins(self);
        Ok(match function {
            Binary::Add => self.builder.ins().iadd(a, b),
            Binary::Subtract => self.builder.ins().isub(a, b),
            Binary::Multiply => self.builder.ins().imul(a, b),
            // Neither is negative.
            Binary::Divide => self.builder.ins().udiv(a, b),
            Binary::Remainder => self.builder.ins().urem(a, b),
            Binary::Maximum | Binary::Minimum => {
                let direction = if function == Binary::Maximum { Direction::Ge } else { Direction::Le };
                let first = self.compare(direction, of, a, b);
                self.builder.ins().select(first, a, b)
            }
            Binary::And => self.builder.ins().band(a, b),
            Binary::Or => self.builder.ins().bor(a, b),
            Binary::Xor => self.builder.ins().bxor(a, b),
            Binary::ShiftLeft => self.builder.ins().ishl(a, b),
            Binary::ShiftRight if of.is_signed() => self.builder.ins().sshr(a, b),
            Binary::ShiftRight => self.builder.ins().ushr(a, b),
            Binary::Power => {
                let (a, b) = (self.resized(a, false, types::I64), self.resized(b, false, types::I64));
                let address = functions::integer_power();
                let result = self.call(address, &[types::I64, types::I64], types::I64, &[a, b]);
                self.resized(result, false, ty)
            }
            Binary::Atan2 | Binary::Complex => return Err(format!("{function:?} of {of}")),
        })
    }
}
