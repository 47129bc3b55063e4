//! A parser of MLIR's generic text, as far as jaxlib prints StableHLO with it.

/// An op of the text.
#[derive(Debug)]
pub(super) struct TextOp {
    /// Names of the results: `%0`, or `%0#1` of several.
    pub results: Vec<String>,
    /// Name with dialect.
    pub name: String,
    /// Names of the operands.
    pub operands: Vec<String>,
    /// Inherent attributes: name and text, empty for units.
    pub properties: Vec<(String, String)>,
    /// Discardable attributes.
    pub attributes: Vec<(String, String)>,
    /// Regions.
    pub regions: Vec<TextBlock>,
    /// Types of the operands.
    pub operand_types: Vec<String>,
    /// Types of the results.
    pub result_types: Vec<String>,
}

/// The only block of a region.
#[derive(Debug, Default)]
pub(super) struct TextBlock {
    /// Names and types.
    pub arguments: Vec<(String, String)>,
    /// Ops, terminator included.
    pub ops: Vec<TextOp>,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

/// Parses the text of a module.
pub(super) fn parse(text: &str) -> TextOp {
    let mut parser = Parser { text, at: 0 };
    let op = parser.op();
    assert_eq!(parser.rest().trim(), "", "text after the module");
    op
}

/// Splits at commas outside of brackets and strings.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut parser = Parser { text, at: 0 };
    while !parser.rest().trim().is_empty() {
        let start = parser.at;
        parser.balanced(",");
        parts.push(text[start..parser.at].trim());
        parser.at = (parser.at + 1).min(text.len());
    }
    parts
}

/// The entries of a dictionary, given without its braces: name and text, empty for units.
pub(super) fn entries(text: &str) -> Vec<(String, String)> {
    split(text)
        .into_iter()
        .map(|entry| match entry.split_once(" = ") {
            Some((name, value)) => (name.trim_matches('"').to_owned(), value.to_owned()),
            None => (entry.trim_matches('"').to_owned(), String::new()),
        })
        .collect()
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn try_eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn eat(&mut self, token: &str) {
        assert!(self.try_eat(token), "expected {token:?} at {:.80}", self.rest());
    }

    /// Moves to the first of `ends` that stands outside of brackets and strings, or to the end.
    fn balanced(&mut self, ends: &str) {
        let mut depth = 0;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            if depth == 0 && ends.as_bytes().contains(&byte) {
                return;
            }
            match byte {
                b'"' => {
                    self.at += 1;
                    while bytes[self.at] != b'"' {
                        self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
                    }
                }
                b'-' if bytes.get(self.at + 1) == Some(&b'>') => self.at += 1,
                b'(' | b'[' | b'{' | b'<' => depth += 1,
                b')' | b']' | b'}' | b'>' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The text up to the bracket that closes the one just read.
    fn inside(&mut self, close: &str) -> &'a str {
        let start = self.at;
        self.balanced(close);
        let text = &self.text[start..self.at];
        self.at += close.len();
        text
    }

    fn op(&mut self) -> TextOp {
        self.space();
        let mut results = Vec::new();
        if self.rest().starts_with('%') {
            let (names, _) = self.rest().split_once(" = ").expect("results are followed by `=`");
            self.at += names.len() + 3;
            match names.split_once(':') {
                Some((name, count)) => {
                    let count: usize = count.parse().expect("a number of results");
                    results.extend((0..count).map(|index| format!("{name}#{index}")));
                }
                None => results.push(names.to_owned()),
            }
        }
        self.eat("\"");
        let name = self.inside("\"").to_owned();
        self.eat("(");
        let operands = split(self.inside(")")).into_iter().map(str::to_owned).collect();
        let properties = if self.try_eat("<{") {
            let text = self.inside("}");
            self.eat(">");
            entries(text)
        } else {
            Vec::new()
        };
        let mut regions = Vec::new();
        if self.try_eat("({") {
            loop {
                regions.push(self.block());
                if !self.try_eat(", {") {
                    break;
                }
            }
            self.eat(")");
        }
        let attributes = if self.try_eat("{") { entries(self.inside("}")) } else { Vec::new() };
        self.eat(":");
        let start = self.at;
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        let (operand_types, result_types) = function_type(self.text[start..self.at].trim());
        TextOp { results, name, operands, properties, attributes, regions, operand_types, result_types }
    }

    fn block(&mut self) -> TextBlock {
        let mut block = TextBlock::default();
        if self.try_eat("^bb0") {
            if self.try_eat("(") {
                block.arguments = split(self.inside(")"))
                    .into_iter()
                    .map(|argument| {
                        let (name, ty) = argument.split_once(": ").expect("an argument has a type");
                        (name.to_owned(), ty.to_owned())
                    })
                    .collect();
            }
            self.eat(":");
        }
        while !self.try_eat("}") {
            block.ops.push(self.op());
        }
        block
    }
}

/// Types of operands and results of `(a, b) -> c` or `(a, b) -> (c, d)`.
pub(super) fn function_type(text: &str) -> (Vec<String>, Vec<String>) {
    let mut parser = Parser { text, at: 0 };
    parser.eat("(");
    let operands = parser.inside(")");
    parser.eat("->");
    let results = parser.rest().trim();
    let results = results.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(results);
    let owned = |text: &str| split(text).into_iter().map(str::to_owned).collect();
    (owned(operands), owned(results))
}
