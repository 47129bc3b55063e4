//! MLIR-like text of a program: for dumps, golden tests and comparison with jaxlib's own text.
#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter, Write};

use super::{Attribute, Attributes, Block, Function, Literal, Op, OpKind, Program, ValueId};

/// Elements of a constant beyond which only the count is printed.
const PRINTED_ELEMENTS: usize = 16;

impl Display for Program {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "module @{}{} {{", self.name, Braced(&self.attributes))?;
        for (name, mesh) in &self.meshes {
            writeln!(formatter, "  sdy.mesh @{name} = {mesh}")?;
        }
        for function in &self.functions {
            write!(formatter, "{function}")?;
        }
        writeln!(formatter, "}}")
    }
}

impl Display for Function {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let visibility = if self.is_public { "public" } else { "private" };
        write!(formatter, "  func.func {visibility} @{}(", self.name)?;
        for (index, &argument) in self.body.arguments.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}%{}: {}", argument.0, self.ty(argument))?;
            if let Some(attributes) = self.argument_attributes.get(index) {
                write!(formatter, "{}", Braced(attributes))?;
            }
        }
        formatter.write_str(") -> (")?;
        for (index, &result) in self.body.results.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}{}", self.ty(result))?;
            if let Some(attributes) = self.result_attributes.get(index) {
                write!(formatter, "{}", Braced(attributes))?;
            }
        }
        writeln!(formatter, "){} {{", Braced(&self.attributes))?;
        print_block(formatter, self, &self.body, 4)?;
        writeln!(formatter, "  }}")
    }
}

fn values(formatter: &mut Formatter<'_>, ids: &[ValueId]) -> fmt::Result {
    for (index, id) in ids.iter().enumerate() {
        write!(formatter, "{}%{}", if index > 0 { ", " } else { "" }, id.0)?;
    }
    Ok(())
}

fn print_block(formatter: &mut Formatter<'_>, function: &Function, block: &Block, indent: usize) -> fmt::Result {
    for op in &block.ops {
        print_op(formatter, function, op, indent)?;
    }
    write!(formatter, "{:indent$}return ", "")?;
    values(formatter, &block.results)?;
    formatter.write_char('\n')
}

fn print_op(formatter: &mut Formatter<'_>, function: &Function, op: &Op, indent: usize) -> fmt::Result {
    write!(formatter, "{:indent$}", "")?;
    if !op.results.is_empty() {
        values(formatter, &op.results)?;
        formatter.write_str(" = ")?;
    }
    write!(formatter, "{}(", op.kind.full_name())?;
    values(formatter, &op.operands)?;
    write!(formatter, "){}{}", Fields(&op.kind), Braced(&op.attributes))?;
    formatter.write_str(" : (")?;
    for (index, &operand) in op.operands.iter().enumerate() {
        write!(formatter, "{}{}", if index > 0 { ", " } else { "" }, function.ty(operand))?;
    }
    formatter.write_str(") -> (")?;
    for (index, &result) in op.results.iter().enumerate() {
        write!(formatter, "{}{}", if index > 0 { ", " } else { "" }, function.ty(result))?;
    }
    formatter.write_char(')')?;
    for region in &op.regions {
        formatter.write_str(" {\n")?;
        let inner = indent + 2;
        if !region.arguments.is_empty() {
            write!(formatter, "{:inner$}^(", "")?;
            for (index, &argument) in region.arguments.iter().enumerate() {
                write!(formatter, "{}%{}: {}", if index > 0 { ", " } else { "" }, argument.0, function.ty(argument))?;
            }
            formatter.write_str("):\n")?;
        }
        print_block(formatter, function, region, inner)?;
        write!(formatter, "{:indent$}}}", "")?;
    }
    formatter.write_char('\n')
}

/// The typed fields of an op, as Rust prints them, without the op's own name.
struct Fields<'a>(&'a OpKind);

impl Display for Fields<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            OpKind::Unary(_) | OpKind::Binary(_) => Ok(()),
            OpKind::Constant(literal) => write!(formatter, " {literal}"),
            kind => {
                let text = format!("{kind:?}");
                match text.find(['(', '{', ' ']) {
                    Some(at) => write!(formatter, " {}", text[at..].trim_start()),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let width = self.ty.element.bytes().max(1);
        let count = self.data.len() / width;
        formatter.write_str("dense<")?;
        if self.splat {
            formatter.write_str("splat ")?;
        }
        formatter.write_str("0x")?;
        for element in self.data.chunks_exact(width).take(PRINTED_ELEMENTS) {
            for byte in element.iter().rev() {
                write!(formatter, "{byte:02X}")?;
            }
            formatter.write_char(' ')?;
        }
        if count > PRINTED_ELEMENTS {
            write!(formatter, "... {count} elements")?;
        }
        write!(formatter, "> : {}", self.ty)
    }
}

impl Display for Attribute {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Unit => formatter.write_str("unit"),
            Attribute::Bool(value) => write!(formatter, "{value}"),
            Attribute::Integer(value, ty) => write!(formatter, "{value} : {ty}"),
            Attribute::Float(value, ty) => write!(formatter, "{value:?} : {ty}"),
            Attribute::String(text) => write!(formatter, "{text:?}"),
            Attribute::Symbol(path) => write!(formatter, "@{}", path.join("::@")),
            Attribute::Type(ty) => write!(formatter, "{ty}"),
            Attribute::Array(items) => {
                formatter.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                formatter.write_char(']')
            }
            Attribute::Dictionary(items) => named(formatter, items),
            Attribute::Dense(literal) => write!(formatter, "{literal}"),
            Attribute::Integers(items) => write!(formatter, "array{items:?}"),
            Attribute::Floats(items) => write!(formatter, "array{items:?}"),
            Attribute::Enum(text) => write!(formatter, "#{text}"),
            Attribute::Sharding(sharding) => write!(formatter, "{sharding}"),
            Attribute::Opaque(text) => write!(formatter, "opaque<{text:?}>"),
        }
    }
}

fn named(formatter: &mut Formatter<'_>, items: &[(String, Attribute)]) -> fmt::Result {
    formatter.write_char('{')?;
    for (index, (name, value)) in items.iter().enumerate() {
        write!(formatter, "{}{name} = {value}", if index > 0 { ", " } else { "" })?;
    }
    formatter.write_char('}')
}

/// Attributes in braces after a blank; nothing when there are none.
struct Braced<'a>(&'a Attributes);

impl Display for Braced<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        formatter.write_char(' ')?;
        named(formatter, &self.0.0)
    }
}
