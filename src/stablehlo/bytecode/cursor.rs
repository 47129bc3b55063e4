//! Primitive encodings of MLIR bytecode: bytes, variable-width integers, strings, sections.
#![forbid(unsafe_code)]

use crate::stablehlo::ReadError;

/// Padding before aligned data.
const ALIGNMENT_BYTE: u8 = 0xCB;

/// A position in a slice of the input; knows where the slice lies in the input, for messages and for alignment.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    base: usize,
}

/// A section's code and contents.
pub(crate) struct Section<'a> {
    /// Section code.
    pub code: u8,
    /// Contents.
    pub contents: Cursor<'a>,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`, which lie at `base` in the input.
    pub fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, position: 0, base }
    }

    /// Position in the input.
    pub fn offset(&self) -> usize {
        self.base + self.position
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// True at the end.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the present position.
    pub fn error(&self, message: impl Into<String>) -> ReadError {
        ReadError::malformed(self.offset(), message)
    }

    /// Fails unless everything was read.
    pub fn finish(&self, what: &str) -> Result<(), ReadError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.error(format!("{} bytes left after {what}", self.remaining())))
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, ReadError> {
        let byte = *self.bytes.get(self.position).ok_or_else(|| self.error("expected a byte, came the end"))?;
        self.position += 1;
        Ok(byte)
    }

    /// `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        if length > self.remaining() {
            return Err(self.error(format!("expected {length} bytes, {} are left", self.remaining())));
        }
        let bytes = &self.bytes[self.position..self.position + length];
        self.position += length;
        Ok(bytes)
    }

    /// `length` bytes as a cursor of their own.
    pub fn split(&mut self, length: usize) -> Result<Cursor<'a>, ReadError> {
        let base = self.offset();
        Ok(Cursor::new(self.bytes(length)?, base))
    }

    /// A variable-width integer: the trailing zeros of the first byte count the bytes that follow it.
    pub fn varint(&mut self) -> Result<u64, ReadError> {
        let first = self.byte()?;
        if first & 1 == 1 {
            return Ok(u64::from(first >> 1));
        }
        let extra = first.trailing_zeros() as usize;
        let mut wide = [0u8; 8];
        if extra == 8 {
            wide.copy_from_slice(self.bytes(8)?);
            return Ok(u64::from_le_bytes(wide));
        }
        wide[0] = first;
        wide[1..=extra].copy_from_slice(self.bytes(extra)?);
        Ok(u64::from_le_bytes(wide) >> (extra + 1))
    }

    /// A variable-width integer whose low bit is a flag.
    pub fn varint_with_flag(&mut self) -> Result<(u64, bool), ReadError> {
        let value = self.varint()?;
        Ok((value >> 1, value & 1 == 1))
    }

    /// A signed variable-width integer (zigzag).
    pub fn signed_varint(&mut self) -> Result<i64, ReadError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A size or an index that fits the machine.
    pub fn size(&mut self) -> Result<usize, ReadError> {
        let value = self.varint()?;
        usize::try_from(value).map_err(|_| self.error(format!("size {value} is too large")))
    }

    /// A number of elements of at least one byte each, so that reserving space for them is justified by the input.
    pub fn count(&mut self, what: &str) -> Result<usize, ReadError> {
        let count = self.varint()?;
        self.bounded(count, what)
    }

    /// Checks a number of elements of at least one byte each.
    pub fn bounded(&self, count: u64, what: &str) -> Result<usize, ReadError> {
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => Err(self.error(format!("{count} {what}, but only {} bytes are left", self.remaining()))),
        }
    }

    /// An index below `length`.
    pub fn index(&mut self, length: usize, what: &str) -> Result<usize, ReadError> {
        let index = self.varint()?;
        self.check_index(index, length, what)
    }

    /// Checks that an index lies below `length`.
    pub fn check_index(&self, index: u64, length: usize, what: &str) -> Result<usize, ReadError> {
        match usize::try_from(index) {
            Ok(index) if index < length => Ok(index),
            _ => Err(self.error(format!("{what} index {index} of {length}"))),
        }
    }

    /// A length and that many bytes.
    pub fn blob(&mut self) -> Result<&'a [u8], ReadError> {
        let length = self.size()?;
        self.bytes(length)
    }

    /// A list: its length, then elements of at least one byte each.
    pub fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
        let count = self.count("list elements")?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    /// A list of signed integers.
    pub fn signed_varints(&mut self) -> Result<Vec<i64>, ReadError> {
        self.list(Cursor::signed_varint)
    }

    /// The bits of an integer of known width (up to 64), zero-extended.
    pub fn integer_bits(&mut self, width: u32) -> Result<u64, ReadError> {
        if width <= 8 {
            return Ok(u64::from(self.byte()?) & mask(width));
        }
        Ok(self.signed_varint()? as u64 & mask(width))
    }

    /// Bytes up to a NUL, which is consumed.
    pub fn nul_terminated(&mut self) -> Result<&'a [u8], ReadError> {
        let rest = &self.bytes[self.position..];
        let length =
            rest.iter().position(|&byte| byte == 0).ok_or_else(|| self.error("expected a NUL, came the end"))?;
        self.position += length + 1;
        Ok(&rest[..length])
    }

    /// Skips padding up to a multiple of `alignment` in the input.
    pub fn align(&mut self, alignment: u64) -> Result<(), ReadError> {
        if !alignment.is_power_of_two() {
            return Err(self.error(format!("alignment {alignment} is no power of two")));
        }
        while !(self.offset() as u64).is_multiple_of(alignment) {
            let byte = self.byte()?;
            if byte != ALIGNMENT_BYTE {
                return Err(self.error(format!("expected padding 0xCB, came {byte:#04x}")));
            }
        }
        Ok(())
    }

    /// A section.
    pub fn section(&mut self) -> Result<Section<'a>, ReadError> {
        let head = self.byte()?;
        let length = self.size()?;
        if head & 0x80 != 0 {
            let alignment = self.varint()?;
            self.align(alignment)?;
        }
        Ok(Section { code: head & 0x7f, contents: self.split(length)? })
    }
}

/// The low `width` bits.
fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1u64 << width) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(bytes: &[u8]) -> Cursor<'_> {
        Cursor::new(bytes, 0)
    }

    #[test]
    fn varints_of_every_width() {
        for bits in 0..64u32 {
            let value = (1u64 << bits) | 1;
            for extra in 0..8u32 {
                if bits >= 7 * (extra + 1) {
                    continue;
                }
                let encoded = (u128::from(value) << (extra + 1) | 1 << extra).to_le_bytes();
                let mut cursor = cursor(&encoded[..=extra as usize]);
                assert_eq!(cursor.varint().expect("well-formed"), value, "{bits} bits, {extra} extra bytes");
                assert!(cursor.is_empty());
            }
            let mut nine = vec![0];
            nine.extend_from_slice(&value.to_le_bytes());
            assert_eq!(cursor(&nine).varint().expect("well-formed"), value);
        }
    }

    #[test]
    fn signed_varints() {
        assert_eq!(cursor(&[0b0000_0101]).signed_varint().expect("one byte"), 1);
        assert_eq!(cursor(&[0b0000_0011]).signed_varint().expect("one byte"), -1);
        let minimum = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(cursor(&minimum).signed_varint().expect("nine bytes"), i64::MIN);
    }

    #[test]
    fn lengths_beyond_the_input_are_refused() {
        assert!(cursor(&[]).varint().is_err());
        assert!(cursor(&[0b0000_0010]).varint().is_err());
        assert!(cursor(&[0, 1, 2]).varint().is_err());
        assert!(cursor(&[0x0b, 1, 2]).blob().is_err());
        assert!(cursor(&[0x0b, 1, 2]).signed_varints().is_err());
        assert!(cursor(b"ab").nul_terminated().is_err());
        assert!(cursor(&[4, 0x21, 1]).section().is_err());
    }

    #[test]
    fn alignment_is_relative_to_the_input() {
        let mut cursor = Cursor::new(&[0xCB, 0xCB, 7], 6);
        cursor.align(8).expect("two bytes of padding");
        assert_eq!(cursor.byte().expect("a byte"), 7);
        assert!(Cursor::new(&[0], 1).align(2).is_err());
        assert!(Cursor::new(&[0], 1).align(3).is_err());
    }
}
