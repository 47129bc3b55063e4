//! A module of MLIR to the typed program.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use stablehlo_c::melior::ir::operation::{OperationLike, OperationRef};
use stablehlo_c::melior::ir::{BlockLike, BlockRef, RegionLike, RegionRef, Value as IrValue, ValueLike};
use stablehlo_c::{identifier_bytes, operation_name, type_text, value_key};

use super::attributes::attribute;
use super::forms::{Inherent, add_defaults, inherent, known};
use super::load::{FOREIGN, Loaded};
use super::location::location;
use super::source::{Value, Values};
use super::types::Types;
use crate::program::{self, Attribute, Attributes, Function, Op, OpKind, Program, Type, ValueId};
use crate::stablehlo::ReadError;
use crate::stablehlo::shared::{
    Count, Failure, Fields, Foreign, Form, build, find_sharding_form, find_unversioned, take_mesh,
};

/// Regions deeper than this are refused, so that recursion here and in what comes after stays bounded.
const DEEPEST_NESTING: usize = 128;

/// Turns a module into a program.
pub(super) fn walk(loaded: &Loaded<'_>) -> Result<Program, ReadError> {
    let mut walker = Walker { foreign: &loaded.foreign, types: Types::default(), values: HashMap::new(), depth: 0 };
    walker.program(loaded.module.as_operation())
}

struct Walker<'f> {
    foreign: &'f Foreign,
    types: Types,
    /// Values of MLIR to values of the function at hand.
    values: HashMap<usize, ValueId>,
    depth: usize,
}

/// What an op's name stands for.
enum Meaning {
    Form(&'static Form),
    Terminator,
    Cast,
    Unknown,
}

fn meaning(name: &str) -> Meaning {
    let form = |form: Option<&'static Form>| form.map_or(Meaning::Unknown, Meaning::Form);
    match name.split_once('.') {
        Some(("stablehlo" | "func" | "sdy", "return")) => Meaning::Terminator,
        // `call` is a form of func's.
        Some(("stablehlo", "call")) => Meaning::Unknown,
        Some(("stablehlo", name)) => form(find_unversioned(name)),
        Some(("func", "call")) => form(find_unversioned("call")),
        Some(("sdy", name)) => form(find_sharding_form(name)),
        Some(("builtin", "unrealized_conversion_cast")) => Meaning::Cast,
        _ => Meaning::Unknown,
    }
}

fn failed(op: OperationRef<'_, '_>, failure: Failure) -> ReadError {
    failure.of(operation_name(&op), location(op.location()).to_string())
}

fn broken(op: OperationRef<'_, '_>, message: impl Into<String>) -> ReadError {
    failed(op, Failure::Rule(message.into()))
}

/// An op that is not known.
fn unknown(op: OperationRef<'_, '_>) -> ReadError {
    let types = |values: Vec<IrValue<'_, '_>>| {
        values.into_iter().map(|value| type_text(value.r#type())).collect::<Vec<_>>().join(", ")
    };
    let (operands, results) = (types(op.operands().collect()), types(op.results().map(IrValue::from).collect()));
    let message = format!("({operands}) -> ({results}); only StableHLO, functions and Shardy are read");
    failed(op, Failure::Unsupported(message))
}

impl Walker<'_> {
    /// The attributes of an op that the form (or a list of names) has, and the others.
    fn attributes(
        &mut self,
        op: OperationRef<'_, '_>,
        form: Result<&Form, &[&'static str]>,
        values: &mut Values,
    ) -> Result<(Inherent, Attributes), Failure> {
        let mut found = Inherent::new();
        let mut extra = Attributes::default();
        for (name, value) in op.attributes() {
            let name = String::from_utf8_lossy(identifier_bytes(name)).into_owned();
            // Ours on Shardy's ops; on others it would be the program's.
            if name == FOREIGN && operation_name(&op).starts_with("sdy.") {
                continue;
            }
            let parts = match form {
                Ok(form) => inherent(form, &name, value, values, &mut self.types, self.foreign)?,
                Err(names) => match known(names, &name) {
                    Some(name) => {
                        let value = attribute(value, &mut self.types, self.foreign)?;
                        Some(vec![(name, values.add(Value::Attribute(value)))])
                    }
                    None => None,
                },
            };
            match parts {
                Some(parts) => found.extend(parts),
                None => extra.0.push((name, attribute(value, &mut self.types, self.foreign)?)),
            }
        }
        Ok((found, extra))
    }

    /// The attributes of an op of Shardy's that our own layer read, and its discardable ones.
    fn sharding_attributes(
        &mut self,
        op: OperationRef<'_, '_>,
        values: &mut Values,
    ) -> Result<(Inherent, Attributes), Failure> {
        let number = op.attribute(FOREIGN).ok().map(|value| attribute(value, &mut self.types, self.foreign));
        let Some(Attribute::Integer(number, _)) = number.transpose()? else {
            return Err(Failure::Unsupported("Shardy's ops are read from bytecode only".to_owned()));
        };
        let Some(foreign) = usize::try_from(number).ok().and_then(|number| self.foreign.ops.get(number)) else {
            return Err(format!("Shardy's op number {number} is none").into());
        };
        let mut found = Inherent::new();
        for (name, value) in &foreign.inherent {
            found.push((*name, values.add(Value::Attribute(value.clone()))));
        }
        let (_, extra) = self.attributes(op, Err(&[]), values)?;
        Ok((found, extra))
    }

    fn program(&mut self, root: OperationRef<'_, '_>) -> Result<Program, ReadError> {
        let mut program = Program::default();
        let mut values = Values::default();
        let names: &[&'static str] = &["sym_name", "sym_visibility"];
        let (found, attributes) =
            self.attributes(root, Err(names), &mut values).map_err(|failure| failed(root, failure))?;
        program.attributes = attributes;
        let mut fields = Fields::new(&mut values, found, Attributes::default(), 0);
        if let Some(name) = fields.take_optional("sym_name") {
            program.name = match fields.source.attribute(name)? {
                Attribute::String(name) => name,
                other => return Err(broken(root, format!("the name of a module is {other}"))),
            };
        }
        let region = root.region(0).map_err(|_| broken(root, "expected a body, came none"))?;
        let block = only_block(root, region)?;
        let mut next = block.first_operation();
        while let Some(op) = next {
            next = op.next_in_block();
            match operation_name(&op).as_str() {
                "func.func" => {
                    let function = self.function(op)?;
                    program.functions.push(function);
                }
                "sdy.mesh" => {
                    let mesh = self.mesh(op).map_err(|failure| failed(op, failure))?;
                    program.meshes.push(mesh);
                }
                _ => return Err(unknown(op)),
            }
        }
        Ok(program)
    }

    fn mesh(&mut self, op: OperationRef<'_, '_>) -> Result<(String, program::sharding::Mesh), Failure> {
        let mut values = Values::default();
        let (found, _) = self.sharding_attributes(op, &mut values)?;
        take_mesh(&mut Fields::new(&mut values, found, Attributes::default(), 0))
    }

    fn function(&mut self, op: OperationRef<'_, '_>) -> Result<Function, ReadError> {
        self.values.clear();
        let mut function = Function { location: location(op.location()), ..Function::default() };
        let signature = self.signature(op, &mut function).map_err(|failure| failed(op, failure))?;
        let region = op.region(0).map_err(|_| broken(op, "expected a body, came none"))?;
        let block = only_block(op, region)?;
        function.body = self.block(&mut function, op, block)?;
        let types = |ids: &[ValueId]| ids.iter().map(|&id| function.ty(id).clone()).collect::<Vec<Type>>();
        let found = (types(&function.body.arguments), types(&function.body.results));
        if found != signature {
            let (found, signature) = (Type::Function(found.0, found.1), Type::Function(signature.0, signature.1));
            return Err(broken(op, format!("@{} is of type {signature}, its body {found}", function.name)));
        }
        Ok(function)
    }

    /// Name, visibility and attributes of arguments and results go into the function; gives its type.
    fn signature(
        &mut self,
        op: OperationRef<'_, '_>,
        function: &mut Function,
    ) -> Result<(Vec<Type>, Vec<Type>), Failure> {
        let mut values = Values::default();
        let names: &[&'static str] = &["arg_attrs", "function_type", "res_attrs", "sym_name", "sym_visibility"];
        let (found, extra) = self.attributes(op, Err(names), &mut values)?;
        function.attributes = extra;
        let mut fields = Fields::new(&mut values, found, Attributes::default(), 0);
        function.name = fields.string("sym_name")?;
        // Symbols without a visibility are public.
        function.is_public = match fields.take_optional("sym_visibility") {
            None => true,
            Some(id) => {
                matches!(fields.source.attribute(id)?, Attribute::String(text) if text == "public" || text.is_empty())
            }
        };
        for (name, list) in
            [("arg_attrs", &mut function.argument_attributes), ("res_attrs", &mut function.result_attributes)]
        {
            if fields.has(name) {
                *list = fields.dictionaries(name)?;
            }
        }
        match fields.optional_type("function_type")? {
            Some(Type::Function(inputs, outputs)) => Ok((inputs, outputs)),
            _ => Err("attribute function_type: expected the type of a function".to_owned().into()),
        }
    }

    /// Defines a value of the function.
    fn define(
        &mut self,
        function: &mut Function,
        op: OperationRef<'_, '_>,
        value: IrValue<'_, '_>,
    ) -> Result<ValueId, ReadError> {
        let ty = self.types.value_type(value.r#type()).map_err(|error| failed(op, error.into()))?;
        let id = function.add_value(ty);
        self.values.insert(value_key(&value), id);
        Ok(id)
    }

    fn operands(&self, op: OperationRef<'_, '_>) -> Result<Vec<ValueId>, ReadError> {
        let find = |(index, value): (usize, IrValue<'_, '_>)| {
            self.values
                .get(&value_key(&value))
                .copied()
                .ok_or_else(|| broken(op, format!("operand {index} is used before it is defined")))
        };
        op.operands().enumerate().map(find).collect()
    }

    fn block<'c, 'a>(
        &mut self,
        function: &mut Function,
        parent: OperationRef<'_, '_>,
        block: BlockRef<'c, 'a>,
    ) -> Result<program::Block, ReadError> {
        if self.depth == DEEPEST_NESTING {
            return Err(broken(parent, format!("regions are nested more than {DEEPEST_NESTING} deep")));
        }
        self.depth += 1;
        let converted = self.block_inside(function, parent, block);
        self.depth -= 1;
        converted
    }

    fn block_inside<'c, 'a>(
        &mut self,
        function: &mut Function,
        parent: OperationRef<'_, '_>,
        block: BlockRef<'c, 'a>,
    ) -> Result<program::Block, ReadError> {
        let mut converted = program::Block::default();
        for index in 0..block.argument_count() {
            let Ok(argument) = block.argument(index) else { continue };
            let id = self.define(function, parent, argument.into())?;
            converted.arguments.push(id);
        }
        let mut next = block.first_operation();
        while let Some(op) = next {
            next = op.next_in_block();
            match meaning(&operation_name(&op)) {
                Meaning::Form(form) => {
                    let op = self.op(function, op, form)?;
                    converted.ops.push(op);
                }
                Meaning::Cast => self.cast(function, op)?,
                Meaning::Terminator if next.is_some() => {
                    return Err(broken(op, "a terminator stands before the end of its block"));
                }
                Meaning::Terminator => {
                    let (_, attributes) =
                        self.attributes(op, Err(&[]), &mut Values::default()).map_err(|failure| failed(op, failure))?;
                    if let Some((name, _)) = attributes.0.first() {
                        // Nothing in the program holds them, and no frontend writes them.
                        return Err(failed(op, Failure::Unsupported(format!("attribute {name} on a terminator"))));
                    }
                    converted.results = self.operands(op)?;
                    return Ok(converted);
                }
                Meaning::Unknown => return Err(unknown(op)),
            }
        }
        Err(broken(parent, "a block without a terminator"))
    }

    /// Gives the results of a cast the values of its operands: both types are one in the program.
    fn cast(&mut self, function: &Function, op: OperationRef<'_, '_>) -> Result<(), ReadError> {
        let operands = self.operands(op)?;
        if operands.len() != op.result_count() {
            return Err(broken(op, "a cast of some values to another number of values"));
        }
        for (result, operand) in op.results().zip(operands) {
            let to = self.types.value_type(result.r#type()).map_err(|error| failed(op, error.into()))?;
            if *function.ty(operand) != to {
                return Err(broken(op, format!("a cast from {} to {to}", function.ty(operand))));
            }
            self.values.insert(value_key(&result), operand);
        }
        Ok(())
    }

    fn op(&mut self, function: &mut Function, op: OperationRef<'_, '_>, form: &'static Form) -> Result<Op, ReadError> {
        for (count, permitted, what) in [
            (op.operand_count(), form.operands, "operands"),
            (op.result_count(), form.results, "results"),
            (op.region_count(), form.regions, "regions"),
            (op.successor_count(), Count::Exactly(0), "successors"),
        ] {
            if !permitted.permits(count) {
                return Err(broken(op, format!("expected {permitted} {what}, came {count}")));
            }
        }
        let operands = self.operands(op)?;
        let mut values = Values::default();
        let is_sharding = operation_name(&op).starts_with("sdy.");
        let found = if is_sharding {
            self.sharding_attributes(op, &mut values)
        } else {
            self.attributes(op, Ok(form), &mut values).and_then(|(mut found, extra)| {
                add_defaults(form, &mut found, &mut values)?;
                Ok((found, extra))
            })
        };
        let (found, extra) = found.map_err(|failure| failed(op, failure))?;
        let fields = Fields::new(&mut values, found, extra, operands.len());
        let (kind, attributes) = build(form.build, fields).map_err(|failure| failed(op, failure))?;
        let mut regions = Vec::with_capacity(op.region_count());
        for region in op.regions() {
            let block = only_block(op, region)?;
            regions.push(self.block(function, op, block)?);
        }
        let mut results = Vec::with_capacity(op.result_count());
        for result in op.results() {
            results.push(self.define(function, op, result.into())?);
        }
        if let OpKind::Constant(literal) = &kind
            && !literal.fits(function.ty(results[0]))
        {
            return Err(broken(op, format!("a value of {} for a result of {}", literal.ty, function.ty(results[0]))));
        }
        Ok(Op { kind, operands, results, regions, attributes, location: location(op.location()) })
    }
}

/// The block of a region that has one.
fn only_block<'c, 'a>(op: OperationRef<'_, '_>, region: RegionRef<'c, 'a>) -> Result<BlockRef<'c, 'a>, ReadError> {
    let block = region.first_block().ok_or_else(|| broken(op, "expected a body, came none"))?;
    match block.next_in_region() {
        None => Ok(block),
        Some(_) => Err(broken(op, "expected one block, came several")),
    }
}
