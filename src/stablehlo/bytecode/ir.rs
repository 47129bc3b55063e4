//! The IR section: ops, regions and blocks.
#![forbid(unsafe_code)]

use super::Cursor;
use super::format::{Block, Module, Operation, Properties, Region, TypeId, ValueIndex, section, version};
use crate::stablehlo::ReadError;

/// Regions deeper than this are refused, so that recursion here and in what comes after stays bounded.
const DEEPEST_NESTING: usize = 128;

/// Bits of an op's mask.
const HAS_ATTRIBUTES: u8 = 1;
const HAS_RESULTS: u8 = 2;
const HAS_OPERANDS: u8 = 4;
const HAS_SUCCESSORS: u8 = 8;
const HAS_INLINE_REGIONS: u8 = 16;
const HAS_USE_LIST_ORDERS: u8 = 32;
const HAS_PROPERTIES: u8 = 64;

/// Values of a region: their numbers inside the isolated scope, and the file-wide numbers they get.
struct RegionValues {
    scope_base: usize,
    count: usize,
    file_base: usize,
    defined: usize,
}

struct Reader<'m, 'a> {
    module: &'m Module<'a>,
    /// One list per isolated region that is open, outermost first; in each the open regions, outermost first.
    scopes: Vec<Vec<RegionValues>>,
    values: usize,
    depth: usize,
}

/// Reads the section: a block without arguments. Gives its ops and the number of values.
pub(super) fn read<'a>(mut cursor: Cursor<'a>, module: &Module<'a>) -> Result<(Vec<Operation>, usize), ReadError> {
    let mut reader = Reader { module, scopes: Vec::new(), values: 0, depth: 0 };
    // Top-level ops have no results: nothing could use them.
    reader.scopes.push(vec![RegionValues { scope_base: 0, count: 0, file_base: 0, defined: 0 }]);
    let (count, has_arguments) = cursor.varint_with_flag()?;
    if has_arguments {
        return Err(cursor.error("the top-level block has arguments"));
    }
    let count = cursor.bounded(count, "top-level ops")?;
    let mut ops = Vec::new();
    for _ in 0..count {
        ops.push(reader.op(&mut cursor)?);
    }
    cursor.finish("the IR")?;
    Ok((ops, reader.values))
}

impl<'a> Reader<'_, 'a> {
    fn op(&mut self, cursor: &mut Cursor<'a>) -> Result<Operation, ReadError> {
        let module = self.module;
        let name = cursor.index(module.op_names.len(), "op name")?;
        let mask = cursor.byte()?;
        let location = module.attribute_id(cursor)?;
        let attributes = if mask & HAS_ATTRIBUTES != 0 { Some(module.attribute_id(cursor)?) } else { None };
        let properties = if mask & HAS_PROPERTIES == 0 {
            Properties::None
        } else {
            match module.op_names[name].is_registered {
                Some(true) => Properties::Encoded(cursor.index(module.properties.len(), "properties")?),
                Some(false) => Properties::Attribute(module.attribute_id(cursor)?),
                None => return Err(cursor.error("properties before version 5")),
            }
        };
        let result_types = if mask & HAS_RESULTS != 0 { cursor.list(|cursor| module.type_id(cursor))? } else { vec![] };
        let operands = if mask & HAS_OPERANDS != 0 {
            let count = cursor.count("operands")?;
            let mut operands = Vec::with_capacity(count);
            for _ in 0..count {
                operands.push(self.operand(cursor)?);
            }
            operands
        } else {
            vec![]
        };
        let successors = if mask & HAS_SUCCESSORS != 0 { cursor.list(|cursor| cursor.varint())?.len() } else { 0 };
        if mask & HAS_USE_LIST_ORDERS != 0 {
            skip_use_list_orders(cursor, result_types.len())?;
        }
        // Results are numbered before the values of nested regions.
        let first_result = self.define(result_types.len(), cursor)?;
        let mut regions = Vec::new();
        if mask & HAS_INLINE_REGIONS != 0 {
            let (count, is_isolated) = cursor.varint_with_flag()?;
            let count = cursor.bounded(count, "regions")?;
            if self.depth == DEEPEST_NESTING {
                return Err(cursor.error(format!("regions are nested more than {DEEPEST_NESTING} deep")));
            }
            self.depth += 1;
            if is_isolated && self.module.version >= version::LAZY_LOADING {
                // One section holds all regions of the op.
                let mut section = cursor.section()?;
                if section.code != section::IR {
                    return Err(cursor.error(format!("expected an IR section, came {}", section.code)));
                }
                for _ in 0..count {
                    regions.push(self.isolated_region(&mut section.contents)?);
                }
                section.contents.finish("the regions of an op")?;
            } else {
                for _ in 0..count {
                    regions.push(if is_isolated { self.isolated_region(cursor)? } else { self.region(cursor)? });
                }
            }
            self.depth -= 1;
        }
        Ok(Operation {
            name,
            location,
            attributes,
            properties,
            first_result,
            result_types,
            operands,
            successors,
            regions,
        })
    }

    /// A region that uses no values of its surroundings numbers its own from 0.
    fn isolated_region(&mut self, cursor: &mut Cursor<'a>) -> Result<Region, ReadError> {
        self.scopes.push(Vec::new());
        let region = self.region(cursor)?;
        self.scopes.pop();
        Ok(region)
    }

    fn region(&mut self, cursor: &mut Cursor<'a>) -> Result<Region, ReadError> {
        let blocks = cursor.count("blocks")?;
        if blocks == 0 {
            return Ok(Region { blocks: Vec::new() });
        }
        let count = cursor.count("values of a region")?;
        let scope = self.scopes.last_mut().expect("a scope is open while ops are read");
        let scope_base = scope.last().map_or(0, |outer| outer.scope_base + outer.count);
        scope.push(RegionValues { scope_base, count, file_base: self.values, defined: 0 });
        self.values += count;
        if u32::try_from(self.values).is_err() {
            return Err(cursor.error("more than 2^32 values"));
        }
        let mut region = Region { blocks: Vec::with_capacity(blocks) };
        for _ in 0..blocks {
            region.blocks.push(self.block(cursor)?);
        }
        let scope = self.scopes.last_mut().expect("a scope is open while ops are read");
        let values = scope.pop().expect("the region was opened above");
        if values.defined != values.count {
            return Err(cursor.error(format!("a region of {} values defines {}", values.count, values.defined)));
        }
        Ok(region)
    }

    fn block(&mut self, cursor: &mut Cursor<'a>) -> Result<Block, ReadError> {
        let (count, has_arguments) = cursor.varint_with_flag()?;
        let argument_types = if has_arguments { self.arguments(cursor)? } else { Vec::new() };
        let first_argument = self.define(argument_types.len(), cursor)?;
        let count = cursor.bounded(count, "ops of a block")?;
        let mut ops = Vec::new();
        for _ in 0..count {
            ops.push(self.op(cursor)?);
        }
        Ok(Block { first_argument, argument_types, ops })
    }

    fn arguments(&mut self, cursor: &mut Cursor<'a>) -> Result<Vec<TypeId>, ReadError> {
        let module = self.module;
        let types = cursor.list(|cursor| {
            if module.version < version::ELIDE_UNKNOWN_BLOCK_ARGUMENT_LOCATION {
                let ty = module.type_id(cursor)?;
                module.attribute_id(cursor)?;
                return Ok(ty);
            }
            let (ty, has_location) = cursor.varint_with_flag()?;
            let ty = TypeId(cursor.check_index(ty, module.types.len(), "type")? as u32);
            if has_location {
                module.attribute_id(cursor)?;
            }
            Ok(ty)
        })?;
        if module.version >= version::USE_LIST_ORDERING && cursor.byte()? & HAS_USE_LIST_ORDERS != 0 {
            skip_use_list_orders(cursor, types.len())?;
        }
        Ok(types)
    }

    /// Numbers `count` new values of the innermost region.
    fn define(&mut self, count: usize, cursor: &Cursor<'a>) -> Result<ValueIndex, ReadError> {
        let region =
            self.scopes.last_mut().and_then(|scope| scope.last_mut()).expect("a region is open while ops are read");
        if count > region.count - region.defined {
            return Err(cursor.error(format!("a region of {} values defines more", region.count)));
        }
        let first = region.file_base + region.defined;
        region.defined += count;
        Ok(ValueIndex(first as u32))
    }

    /// Reads an operand: a number inside the isolated scope.
    fn operand(&self, cursor: &mut Cursor<'a>) -> Result<ValueIndex, ReadError> {
        let index = cursor.size()?;
        let scope = self.scopes.last().expect("a scope is open while ops are read");
        scope
            .iter()
            .rev()
            .find(|region| region.scope_base <= index)
            .filter(|region| index - region.scope_base < region.count)
            .map(|region| ValueIndex((region.file_base + index - region.scope_base) as u32))
            .ok_or_else(|| cursor.error(format!("operand {index} is no value of an open region")))
    }
}

/// Skips the order of uses of `values` values, which has no meaning to a compiler.
fn skip_use_list_orders(cursor: &mut Cursor<'_>, values: usize) -> Result<(), ReadError> {
    let count = if values == 1 { 1 } else { cursor.count("use-list orders")? };
    for _ in 0..count {
        if values != 1 {
            cursor.index(values, "value")?;
        }
        let (indices, _) = cursor.varint_with_flag()?;
        for _ in 0..cursor.bounded(indices, "use-list indices")? {
            cursor.varint()?;
        }
    }
    Ok(())
}
