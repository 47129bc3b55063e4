//! Attributes in text form: what a dialect without an encoding of its own leaves in the file. Only the simple builtin
//! ones are understood; the others stay text.
#![forbid(unsafe_code)]

/// An attribute from text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextAttribute<'a> {
    Unit,
    Bool(bool),
    /// Value and type, `i64` when none is written.
    Integer(i128, &'a str),
    /// Value and type, `f64` when none is written.
    Float(f64, &'a str),
    String(String),
    Symbol(&'a str),
    /// Not understood.
    Other(&'a str),
}

impl<'a> TextAttribute<'a> {
    /// Parses an attribute. Never fails: what is not understood is `Other`.
    pub fn parse(text: &'a str) -> Self {
        let trimmed = text.trim();
        match trimmed {
            "unit" => return TextAttribute::Unit,
            "true" => return TextAttribute::Bool(true),
            "false" => return TextAttribute::Bool(false),
            _ => {}
        }
        if let Some(name) = trimmed.strip_prefix('@')
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte))
        {
            return TextAttribute::Symbol(name);
        }
        if let Some(string) = quoted(trimmed) {
            return TextAttribute::String(string);
        }
        let (value, ty) = match trimmed.split_once(':') {
            Some((value, ty)) => (value.trim(), Some(ty.trim())),
            None => (trimmed, None),
        };
        let starts_like_number = value.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        if starts_like_number && ty.is_none_or(is_scalar_type) {
            if !ty.is_some_and(|ty| ty.starts_with(['f', 'b']))
                && let Ok(value) = value.parse::<i128>()
            {
                return TextAttribute::Integer(value, ty.unwrap_or("i64"));
            }
            if let Ok(float) = value.parse::<f64>()
                && value.contains(['.', 'e'])
            {
                return TextAttribute::Float(float, ty.unwrap_or("f64"));
            }
        }
        TextAttribute::Other(text)
    }
}

fn is_scalar_type(text: &str) -> bool {
    let digits = text.trim_start_matches(|first: char| first.is_ascii_alphabetic());
    text == "index" || (text.starts_with(['i', 'u', 's', 'f', 'b']) && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The contents of a string literal that is the whole text.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = inner.bytes();
    let mut out = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'n' => out.push(b'\n'),
                b't' => out.push(b'\t'),
                escaped @ (b'\\' | b'"') => out.push(escaped),
                high => {
                    let digit = |digit: u8| char::from(digit).to_digit(16);
                    let low = bytes.next()?;
                    out.push((digit(high)? * 16 + digit(low)?) as u8);
                }
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_attributes() {
        use TextAttribute::*;
        for (text, expected) in [
            ("unit", Unit),
            ("true", Bool(true)),
            ("4 : i32", Integer(4, "i32")),
            ("-7", Integer(-7, "i64")),
            ("3 : index", Integer(3, "index")),
            ("1.5e+00 : f32", Float(1.5, "f32")),
            ("@mesh_0", Symbol("mesh_0")),
            (r#""a\"b\0A""#, String("a\"b\n".into())),
            ("affine_map<(d0) -> (d0)>", Other("affine_map<(d0) -> (d0)>")),
            ("dense<1> : tensor<i32>", Other("dense<1> : tensor<i32>")),
            (r#""a" : "b""#, Other(r#""a" : "b""#)),
            ("@a::@b", Other("@a::@b")),
            ("", Other("")),
        ] {
            assert_eq!(TextAttribute::parse(text), expected, "{text}");
        }
    }
}
