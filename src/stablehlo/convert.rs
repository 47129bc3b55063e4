//! The generic tree of the container to the typed program.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, Block, Module, Operation, Properties, Region, TypeId, ValueIndex};
use super::context::{Context, DialectKind};
use super::sdy;
use super::vhlo::{self, Count, Failure, Fields, Form};
use crate::program::{self, Attributes, Function, Op, OpKind, Program, Type, ValueId};

/// What an op name of the file stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Form(&'static Form),
    /// Ends a block.
    Terminator,
    Module,
    Function,
    Mesh,
    /// A cast between the types of two dialects that are one type in the program.
    Cast,
    Unknown,
}

/// Inherent attributes of an op by name.
type Inherent = Vec<(&'static str, AttributeId)>;

/// Marks a value that the function at hand does not define (yet).
const UNDEFINED: ValueId = ValueId(u32::MAX);

struct Converter<'a> {
    context: Context<'a>,
    module: &'a Module<'a>,
    meanings: Vec<Meaning>,
    /// Values of the file to values of the function at hand.
    values: Vec<ValueId>,
    /// First value of the file that belongs to the function at hand.
    first_value: u32,
}

/// Converts a module that was read from `length` bytes.
pub(super) fn convert<'a>(module: &'a Module<'a>, length: usize) -> Result<Program, ReadError> {
    let context = Context::new(module, length);
    let meanings = module
        .op_names
        .iter()
        .map(|name| {
            let form = |form: Option<&'static Form>| form.map_or(Meaning::Unknown, Meaning::Form);
            match (context.dialect(name.dialect), name.name) {
                (DialectKind::Builtin, "module") => Meaning::Module,
                (DialectKind::Builtin, "unrealized_conversion_cast") => Meaning::Cast,
                (DialectKind::Vhlo, "func_v1") => Meaning::Function,
                (DialectKind::Vhlo, name) if vhlo::is_terminator(name) => Meaning::Terminator,
                (DialectKind::Vhlo, name) => form(vhlo::find(name)),
                (DialectKind::Sdy, "mesh") => Meaning::Mesh,
                (DialectKind::Sdy, "return") => Meaning::Terminator,
                (DialectKind::Sdy, name) => form(sdy::find(name)),
                _ => Meaning::Unknown,
            }
        })
        .collect();
    let values = vec![UNDEFINED; module.values];
    let mut converter = Converter { context, module, meanings, values, first_value: 0 };
    let [root] = module.ops.as_slice() else {
        return Err(ReadError::malformed(0, format!("expected one top-level op, came {}", module.ops.len())));
    };
    if !matches!(converter.meaning(root), Meaning::Module) {
        return Err(converter.unknown(root));
    }
    converter.program(root)
}

impl<'a> Converter<'a> {
    fn meaning(&self, op: &Operation) -> Meaning {
        self.meanings[op.name]
    }

    /// An op that breaks a rule.
    fn broken(&mut self, op: &Operation, message: impl Into<String>) -> ReadError {
        self.failed(op, Failure::Rule(message.into()))
    }

    fn failed(&mut self, op: &Operation, failure: Failure) -> ReadError {
        op_error(&mut self.context, op, failure)
    }

    fn unsupported(&mut self, op: &Operation, message: String) -> ReadError {
        self.failed(op, Failure::Unsupported(message))
    }

    /// An op that is not known.
    fn unknown(&mut self, op: &Operation) -> ReadError {
        let name = self.module.op_names[op.name].name;
        let expected = vhlo::other_version(name)
            .unwrap_or_else(|| format!("only VHLO up to {} and Shardy are read", vhlo::NEWEST));
        let message = format!("{expected}; the program was written as {}", self.module.producer);
        self.unsupported(op, message)
    }

    /// The inherent attributes of an op whose encoding lists `names` in this order, and its discardable ones.
    fn attributes(
        &mut self,
        op: &Operation,
        names: &'static [&'static str],
    ) -> Result<(Inherent, Attributes), ReadError> {
        op_attributes(&mut self.context, op, names).map_err(|error| self.failed(op, error))
    }

    fn program(&mut self, root: &'a Operation) -> Result<Program, ReadError> {
        let mut program = Program::default();
        let (inherent, attributes) = self.attributes(root, &["sym_name?", "sym_visibility?"])?;
        program.attributes = attributes;
        for (name, id) in inherent {
            if name == "sym_name" {
                program.name = sdy::symbol_name(&mut self.context, id)?;
            }
        }
        let block = self.only_block(root, &root.regions)?;
        for op in &block.ops {
            match self.meaning(op) {
                Meaning::Function => {
                    let function = self.function(op)?;
                    if program.function(&function.name).is_some() {
                        return Err(self.broken(op, format!("function @{} is defined twice", function.name)));
                    }
                    program.functions.push(function);
                }
                Meaning::Mesh => {
                    // `stablehlo.mesh` beside it says the same once more and is left out.
                    let (inherent, _) = self.attributes(op, sdy::MESH_ATTRIBUTES)?;
                    let mesh = self.mesh(inherent).map_err(|error| self.failed(op, error))?;
                    program.meshes.push(mesh);
                }
                _ => return Err(self.unknown(op)),
            }
        }
        Ok(program)
    }

    fn mesh(&mut self, inherent: Inherent) -> Result<(String, program::sharding::Mesh), Failure> {
        let mut fields = Fields::new(&mut self.context, inherent, Attributes::default(), 0);
        sdy::take_mesh(&mut fields)
    }

    /// The block of an op that has one region of one block.
    fn only_block(&mut self, op: &Operation, regions: &'a [Region]) -> Result<&'a Block, ReadError> {
        match regions {
            [Region { blocks }] => match blocks.as_slice() {
                [block] => Ok(block),
                [] => Err(self.broken(op, "expected a body, came none")),
                blocks => Err(self.broken(op, format!("expected one block, came {}", blocks.len()))),
            },
            regions => Err(self.broken(op, format!("expected one region, came {}", regions.len()))),
        }
    }

    fn function(&mut self, op: &'a Operation) -> Result<Function, ReadError> {
        let (inherent, attributes) = self.attributes(op, vhlo::FUNCTION_ATTRIBUTES)?;
        let mut function = Function { attributes, location: self.context.location(op.location), ..Function::default() };
        let signature = self.signature(&mut function, inherent).map_err(|error| self.failed(op, error))?;
        let block = self.only_block(op, &op.regions)?;
        // Numbers are given region by region, outer ones first: all values of this function follow this one.
        self.first_value = block.first_argument.0;
        function.body = self.block(&mut function, op, block)?;
        let types = |ids: &[ValueId]| ids.iter().map(|&id| function.ty(id).clone()).collect::<Vec<Type>>();
        let found = (types(&function.body.arguments), types(&function.body.results));
        if found != signature {
            let (found, signature) = (Type::Function(found.0, found.1), Type::Function(signature.0, signature.1));
            return Err(self.broken(op, format!("@{} is of type {signature}, its body {found}", function.name)));
        }
        for (attributes, count, what) in [
            (&function.argument_attributes, function.body.arguments.len(), "arguments"),
            (&function.result_attributes, function.body.results.len(), "results"),
        ] {
            if !attributes.is_empty() && attributes.len() != count {
                let message = format!("attributes of {} {what} for {count}", attributes.len());
                return Err(self.broken(op, message));
            }
        }
        Ok(function)
    }

    /// Name, visibility and attributes of arguments and results go into the function; gives its type.
    fn signature(&mut self, function: &mut Function, inherent: Inherent) -> Result<(Vec<Type>, Vec<Type>), Failure> {
        let mut fields = Fields::new(&mut self.context, inherent, Attributes::default(), 0);
        function.name = fields.string("sym_name")?;
        // Symbols without a visibility are public.
        function.is_public = matches!(fields.string("sym_visibility")?.as_str(), "" | "public");
        function.argument_attributes = fields.dictionaries("arg_attrs")?;
        function.result_attributes = fields.dictionaries("res_attrs")?;
        match fields.optional_type("function_type")? {
            Some(Type::Function(inputs, outputs)) => Ok((inputs, outputs)),
            _ => Err("attribute function_type: expected the type of a function".to_owned().into()),
        }
    }

    /// Defines `types` as values of the function, counted from `first` in the file.
    fn define(
        &mut self,
        function: &mut Function,
        op: &Operation,
        first: ValueIndex,
        types: &[TypeId],
    ) -> Result<Vec<ValueId>, ReadError> {
        let mut ids = Vec::with_capacity(types.len());
        for (index, &ty) in types.iter().enumerate() {
            let ty = self.context.value_type(ty).map_err(|error| self.failed(op, error.into()))?;
            let id = function.add_value(ty);
            self.values[first.0 as usize + index] = id;
            ids.push(id);
        }
        Ok(ids)
    }

    fn operands(&mut self, op: &Operation) -> Result<Vec<ValueId>, ReadError> {
        let mut operands = Vec::with_capacity(op.operands.len());
        for (index, &operand) in op.operands.iter().enumerate() {
            let value = self.values[operand.0 as usize];
            if operand.0 < self.first_value || value == UNDEFINED {
                return Err(self.broken(op, format!("operand {index} is used before it is defined")));
            }
            operands.push(value);
        }
        Ok(operands)
    }

    fn block(
        &mut self,
        function: &mut Function,
        parent: &Operation,
        block: &'a Block,
    ) -> Result<program::Block, ReadError> {
        let mut converted = program::Block {
            arguments: self.define(function, parent, block.first_argument, &block.argument_types)?,
            ..program::Block::default()
        };
        let Some((last, ops)) = block.ops.split_last() else {
            return Err(self.broken(parent, "a block without a terminator"));
        };
        for op in ops {
            match self.meaning(op) {
                Meaning::Form(form) => {
                    let op = self.op(function, op, form)?;
                    converted.ops.push(op);
                }
                Meaning::Cast => self.cast(function, op)?,
                Meaning::Terminator => return Err(self.broken(op, "a terminator stands before the end of its block")),
                Meaning::Module | Meaning::Function | Meaning::Mesh | Meaning::Unknown => {
                    return Err(self.unknown(op));
                }
            }
        }
        if !matches!(self.meaning(last), Meaning::Terminator) {
            return Err(self.broken(last, "expected a terminator at the end of the block"));
        }
        if !last.result_types.is_empty() || !last.regions.is_empty() {
            return Err(self.broken(last, "a terminator has results or regions"));
        }
        let (_, attributes) = self.attributes(last, &[])?;
        if !attributes.is_empty() {
            // Nothing in the program holds them, and no frontend writes them.
            let names: Vec<_> = attributes.0.iter().map(|(name, _)| name.as_str()).collect();
            return Err(self.unsupported(last, format!("attributes on a terminator: {}", names.join(", "))));
        }
        converted.results = self.operands(last)?;
        Ok(converted)
    }

    /// Gives the result of a cast the value of its operand: both types are one in the program.
    fn cast(&mut self, function: &Function, op: &Operation) -> Result<(), ReadError> {
        let operands = self.operands(op)?;
        if operands.len() != op.result_types.len() {
            return Err(self.broken(op, "a cast of some values to another number of values"));
        }
        for (index, (&operand, &ty)) in operands.iter().zip(&op.result_types).enumerate() {
            let to = self.context.value_type(ty).map_err(|error| self.failed(op, error.into()))?;
            let from = function.ty(operand);
            if *from != to {
                let message = format!("a cast from {from} to {to}");
                return Err(self.broken(op, message));
            }
            self.values[op.first_result.0 as usize + index] = operand;
        }
        Ok(())
    }

    fn op(&mut self, function: &mut Function, op: &'a Operation, form: &'static Form) -> Result<Op, ReadError> {
        for (count, permitted, what) in [
            (op.operands.len(), form.operands, "operands"),
            (op.result_types.len(), form.results, "results"),
            (op.regions.len(), form.regions, "regions"),
            (op.successors, Count::Exactly(0), "successors"),
        ] {
            if !permitted.permits(count) {
                return Err(self.broken(op, format!("expected {permitted} {what}, came {count}")));
            }
        }
        let operands = self.operands(op)?;
        let (inherent, extra) = self.attributes(op, form.attributes)?;
        let fields = Fields::new(&mut self.context, inherent, extra, operands.len());
        let (kind, attributes) = vhlo::build(form.build, fields).map_err(|failure| self.failed(op, failure))?;
        let location = self.context.location(op.location);
        let mut regions = Vec::with_capacity(op.regions.len());
        for region in &op.regions {
            let block = self.only_block(op, std::slice::from_ref(region))?;
            regions.push(self.block(function, op, block)?);
        }
        let results = self.define(function, op, op.first_result, &op.result_types)?;
        if let OpKind::Constant(literal) = &kind
            && !literal.fits(function.ty(results[0]))
        {
            let message = format!("a value of {} for a result of {}", literal.ty, function.ty(results[0]));
            return Err(self.broken(op, message));
        }
        Ok(Op { kind, operands, results, regions, attributes, location })
    }
}

/// The inherent attributes of an op whose encoding lists `names` in this order, and its discardable ones.
pub(super) fn op_attributes(
    context: &mut Context<'_>,
    op: &Operation,
    names: &'static [&'static str],
) -> Result<(Inherent, Attributes), Failure> {
    let module = context.module;
    let mut inherent = Vec::with_capacity(names.len());
    let mut named = match op.attributes {
        Some(id) => context.entries(id)?,
        None => Vec::new(),
    };
    match op.properties {
        Properties::None => {}
        Properties::Attribute(id) => named.extend(context.entries(id)?),
        Properties::Encoded(index) => {
            let mut cursor = module.properties[index].clone();
            for name in names {
                match name.strip_suffix('?') {
                    None => inherent.push((*name, module.attribute_id(&mut cursor)?)),
                    Some(name) => {
                        if let Some(id) = module.optional_attribute_id(&mut cursor)? {
                            inherent.push((name, id));
                        }
                    }
                }
            }
            cursor.finish("the properties of an op")?;
        }
    }
    let mut extra = Attributes::default();
    for (name, id) in named {
        match names.iter().map(|each| each.trim_end_matches('?')).find(|each| *each == name) {
            Some(known) if inherent.iter().any(|(each, _)| *each == known) => {
                return Err(format!("attribute {name} stands twice").into());
            }
            Some(known) => inherent.push((known, id)),
            None => {
                let value = context.attribute(id)?;
                extra.0.push((name, value));
            }
        }
    }
    Ok((inherent, extra))
}

/// The error of an op, with its name and line.
pub(super) fn op_error(context: &mut Context<'_>, op: &Operation, failure: Failure) -> ReadError {
    let name = context.module.op_name(op);
    let location = context.location(op.location).to_string();
    failure.of(name, location)
}
