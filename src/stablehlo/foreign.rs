//! What MLIR cannot read in a file, read by our own layer: attributes of dialects other than `builtin` and `vhlo`, and
//! the inherent attributes of Shardy's ops.
//!
//! No MLIR that a registry has knows Shardy, whose attributes even programs for one device carry. In the copy of the
//! file that MLIR gets, each such attribute is a string: a mark with the attribute's number. An op of Shardy's is known
//! to MLIR by name, operands, results and regions; its inherent attributes go by the op's position among those ops.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, Entry, Module, Operation, Region, with_texts};
use super::context::{Context, DialectKind};
use super::convert;
use super::sdy;
use super::vhlo::Failure;
use crate::program::Attribute;

/// An op of Shardy's.
#[derive(Clone, Debug)]
pub(crate) struct ForeignOp {
    /// Name without dialect.
    pub name: String,
    /// Its inherent attributes.
    pub inherent: Vec<(&'static str, Attribute)>,
}

/// The parts of a file that MLIR cannot read.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    mark: String,
    attributes: Vec<Option<Attribute>>,
    /// Shardy's ops in the order of the file, outer ones first.
    pub ops: Vec<ForeignOp>,
}

impl Foreign {
    /// Reads a file, and gives beside the copy for MLIR what the copy lacks.
    ///
    /// # Errors
    /// As [`super::read`] for the container; attributes of Shardy that break its rules.
    pub fn split(bytes: &[u8]) -> Result<(Vec<u8>, Self), ReadError> {
        let module = Module::parse(bytes)?;
        let mut context = Context::new(&module, bytes.len());
        let is_foreign = |context: &Context<'_>, entry: &Entry<'_>| {
            entry.is_custom && !matches!(context.dialect(entry.dialect), DialectKind::Builtin | DialectKind::Vhlo)
        };
        let mut attributes = Vec::with_capacity(module.attributes.len());
        for (index, entry) in module.attributes.iter().enumerate() {
            let id = AttributeId(index as u32);
            attributes.push(if is_foreign(&context, entry) { Some(context.attribute(id)?) } else { None });
        }
        // A mark that no string of the file begins with.
        let mark = (0..)
            .map(|number| format!("foreign{number}#"))
            .find(|mark| !module.strings.iter().any(|string| string.starts_with(mark.as_bytes())))
            .expect("a file has fewer strings than there are numbers");
        let copy =
            with_texts(bytes, &module, |id, entry| is_foreign(&context, entry).then(|| format!("\"{mark}{}\"", id.0)))?;
        let mut ops = Vec::new();
        for op in &module.ops {
            collect(&mut context, op, &mut ops)?;
        }
        Ok((copy, Self { mark, attributes, ops }))
    }

    /// The attribute that a string stands for, if it does.
    pub fn attribute(&self, string: &[u8]) -> Option<&Attribute> {
        if self.mark.is_empty() {
            return None;
        }
        let number = std::str::from_utf8(string.strip_prefix(self.mark.as_bytes())?).ok()?;
        self.attributes.get(number.parse::<usize>().ok()?)?.as_ref()
    }
}

fn collect<'a>(context: &mut Context<'a>, op: &'a Operation, ops: &mut Vec<ForeignOp>) -> Result<(), ReadError> {
    let module = context.module;
    let name = &module.op_names[op.name];
    if context.dialect(name.dialect) == DialectKind::Sdy {
        let names = match name.name {
            "mesh" => sdy::MESH_ATTRIBUTES,
            "return" => &[],
            name => sdy::find(name).map_or(&[][..], |form| form.attributes),
        };
        let inherent = inherent(context, op, names).map_err(|failure| convert::op_error(context, op, failure))?;
        ops.push(ForeignOp { name: name.name.to_owned(), inherent });
    }
    for block in op.regions.iter().flat_map(|Region { blocks }| blocks) {
        for op in &block.ops {
            collect(context, op, ops)?;
        }
    }
    Ok(())
}

fn inherent(
    context: &mut Context<'_>,
    op: &Operation,
    names: &'static [&'static str],
) -> Result<Vec<(&'static str, Attribute)>, Failure> {
    let (inherent, _) = convert::op_attributes(context, op, names)?;
    let mut attributes = Vec::with_capacity(inherent.len());
    for (name, id) in inherent {
        attributes.push((name, context.attribute(id)?));
    }
    Ok(attributes)
}
