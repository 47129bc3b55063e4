//! What Rust files name of each other: enough of Rust's syntax to follow modules, `use` trees and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A `use` leaf or a path in the text.
#[derive(Debug)]
pub struct Reference {
    /// The file that it stands in, from the root of the package.
    pub file: String,
    pub line: usize,
    /// As written, a leaf of a `use` tree with what stands before it.
    pub path: String,
    /// The file of the module that it leads to, through re-exports.
    pub target: String,
    /// The module of the crate's root that it names, as written: what that re-exports is its own.
    pub layer: String,
    /// Whether it is compiled for tests only.
    pub test: bool,
    /// Whether it is a re-export of a module's own child.
    pub facade: bool,
}

/// All references to the crate's own modules.
#[derive(Debug, Default)]
pub struct Tree {
    pub files: BTreeSet<String>,
    pub references: Vec<Reference>,
}

impl Tree {
    /// Of the package in a folder.
    pub fn read(root: &Path) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![root.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(root).expect("inside").to_str().expect("unicode").replace('\\', "/");
                    files.push((name, std::fs::read_to_string(&path).expect("text")));
                }
            }
        }
        files.sort();
        Self::of(files)
    }

    /// Of files with their texts.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let modules: BTreeMap<Vec<String>, File> =
            files.into_iter().map(|(name, text)| (module(&name), File::scan(name, &text))).collect();
        let crate_ = Crate { modules };
        let mut references = Vec::new();
        for (module, file) in &crate_.modules {
            let test_module = crate_.is_test(module);
            for found in &file.found {
                let Some(path) = crate_.absolute(&found.module(module), &found.segments) else { continue };
                let Some(target) = crate_.target(&path, 0) else { continue };
                let below = target.starts_with(module) && target != *module;
                references.push(Reference {
                    file: file.name.clone(),
                    line: found.line,
                    path: found.segments.join("::"),
                    layer: path.first().map_or("lib", String::as_str).to_owned(),
                    target: crate_.modules[&target].name.clone(),
                    test: found.test || test_module,
                    facade: found.public && below,
                });
            }
        }
        references.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Self { files: crate_.modules.into_values().map(|file| file.name).collect(), references }
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` → `a::b`; `src/lib.rs` → the root.
fn module(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

struct Crate {
    modules: BTreeMap<Vec<String>, File>,
}

impl Crate {
    /// Whether the module or one around it is declared for tests only.
    fn is_test(&self, module: &[String]) -> bool {
        (1..=module.len()).any(|length| {
            let parent = self.modules.get(&module[..length - 1]);
            parent.is_some_and(|parent| parent.test_children.contains(&module[length - 1]))
        })
    }

    /// A path from the root; None for those of other crates, and for names of types.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<Vec<String>> {
        let mut rest = segments;
        let mut path = match rest[0].as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.to_vec(),
            name => {
                let mut child = module.to_vec();
                child.push(name.to_owned());
                if self.modules.contains_key(&child) {
                    return Some([module, segments].concat());
                }
                return None;
            }
        };
        while let Some(("crate" | "self" | "super", after)) = rest.split_first().map(|(first, after)| (&**first, after))
        {
            if rest[0] == "super" {
                path.pop();
            }
            rest = after;
        }
        path.extend_from_slice(rest);
        Some(path)
    }

    /// The module of a file that a path leads to.
    fn target(&self, path: &[String], depth: usize) -> Option<Vec<String>> {
        let length = (0..=path.len()).rev().find(|&length| self.modules.contains_key(&path[..length]))?;
        let (module, rest) = path.split_at(length);
        let file = &self.modules[module];
        let Some(name) = rest.first().filter(|name| depth < 16 && !file.defines.contains(*name)) else {
            return Some(module.to_vec());
        };
        let imports = file.found.iter().filter(|found| found.inline.is_empty());
        for found in imports {
            let Some(source) = self.absolute(module, &found.segments) else { continue };
            match &found.binds {
                Binds::Name(bound) if bound == name => {
                    return self.target(&[&source, &rest[1..]].concat(), depth + 1);
                }
                Binds::All if source != module => {
                    let there = self.target(&source, depth + 1)?;
                    if self.modules[&there].knows(name) {
                        return self.target(&[&there, rest].concat(), depth + 1);
                    }
                }
                _ => {}
            }
        }
        Some(module.to_vec())
    }
}

/// What a `use` leaf brings into its module; other paths bring nothing.
enum Binds {
    Nothing,
    Name(String),
    All,
}

/// A `use` leaf or a path.
struct Found {
    line: usize,
    segments: Vec<String>,
    /// The inline modules that it stands in.
    inline: Vec<String>,
    binds: Binds,
    public: bool,
    test: bool,
}

impl Found {
    fn module(&self, file: &[String]) -> Vec<String> {
        [file, &self.inline].concat()
    }
}

struct File {
    name: String,
    found: Vec<Found>,
    /// Names of items.
    defines: BTreeSet<String>,
    /// Modules in files of their own that are compiled for tests only.
    test_children: BTreeSet<String>,
}

impl File {
    fn knows(&self, name: &str) -> bool {
        let bound = |found: &Found| matches!(&found.binds, Binds::Name(bound) if bound == name);
        self.defines.contains(name) || self.found.iter().any(bound)
    }

    fn scan(name: String, text: &str) -> Self {
        let file = Self { name, found: Vec::new(), defines: BTreeSet::new(), test_children: BTreeSet::new() };
        let mut scanner = Scanner { tokens: tokens(text), at: 0, file, inline: Vec::new(), depth: 0, test_until: 0 };
        scanner.run();
        scanner.file
    }
}

struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

struct Scanner {
    tokens: Vec<Token>,
    at: usize,
    file: File,
    /// The inline modules around, with the depth of braces outside of them and whether they are for tests.
    inline: Vec<(String, usize, bool)>,
    depth: usize,
    /// Where an item that is for tests ends.
    test_until: usize,
}

impl Scanner {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn test(&self) -> bool {
        self.at < self.test_until || self.inline.iter().any(|(_, _, test)| *test)
    }

    fn run(&mut self) {
        while self.at < self.tokens.len() {
            match self.text(self.at) {
                "#" => self.attribute(),
                "mod" if self.text(self.at + 2) == "{" => {
                    self.inline.push((self.text(self.at + 1).to_owned(), self.depth, self.test()));
                    self.depth += 1;
                    self.at += 3;
                }
                "mod" if self.text(self.at + 2) == ";" => {
                    if self.test() {
                        self.file.test_children.insert(self.text(self.at + 1).to_owned());
                    }
                    self.at += 3;
                }
                "use" if self.text(self.at + 1) != "<" => {
                    let public = self.is_public();
                    self.at += 1;
                    self.tree(&[], public);
                }
                "{" => {
                    self.depth += 1;
                    self.at += 1;
                }
                "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.inline.last().is_some_and(|(_, depth, _)| *depth == self.depth) {
                        self.inline.pop();
                    }
                    self.at += 1;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" | "macro_rules" => {
                    let name = self.at + if self.text(self.at + 1) == "!" { 2 } else { 1 };
                    if self.inline.is_empty() {
                        self.file.defines.insert(self.text(name).to_owned());
                    }
                    self.at += 1;
                }
                _ if self.tokens[self.at].is_name() => self.path(),
                _ => self.at += 1,
            }
        }
    }

    /// `pub use`, `pub(crate) use`.
    fn is_public(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map_or("", |at| self.text(at));
        before(1) == "pub" || (before(1) == ")" && (2..8).any(|back| before(back) == "(" && before(back + 1) == "pub"))
    }

    /// Skips an attribute; one of tests marks the item behind it.
    fn attribute(&mut self) {
        let open = self.at + if self.text(self.at + 1) == "!" { 2 } else { 1 };
        let end = self.closing(open);
        let words: Vec<&str> = (open + 1..end).map(|at| self.text(at)).collect();
        let test = words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not");
        self.at = end + 1;
        if test {
            self.test_until = self.test_until.max(self.end_of_item(self.at));
        }
    }

    /// The bracket that closes the one there.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// Behind the `;` or the braces that end the item there.
    fn end_of_item(&self, mut at: usize) -> usize {
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at + 1,
                "{" if self.text(at - 1) == "::" => at = self.closing(at),
                "{" => return self.closing(at) + 1,
                ")" | "]" | "}" => return at,
                "(" | "[" => at = self.closing(at),
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn found(&mut self, line: usize, segments: Vec<String>, binds: Binds, public: bool) {
        let inline = self.inline.iter().map(|(name, ..)| name.clone()).collect();
        let test = self.test();
        self.file.found.push(Found { line, segments, inline, binds, public, test });
    }

    /// A `use` tree behind its prefix, up to the `;`, `,` or `}` that ends it.
    fn tree(&mut self, prefix: &[String], public: bool) {
        let mut segments = prefix.to_vec();
        let line = self.tokens[self.at].line;
        loop {
            match self.text(self.at) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(self.at), "}" | "") {
                        self.tree(&segments, public);
                        if self.text(self.at) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    return self.found(line, segments, Binds::All, public);
                }
                "as" => {
                    let alias = self.text(self.at + 1).to_owned();
                    self.at += 2;
                    return self.found(line, segments, Binds::Name(alias), public);
                }
                ";" | "," | "}" | "" => {
                    let name = segments.last().cloned().unwrap_or_default();
                    return self.found(line, segments, Binds::Name(name), public);
                }
                "self" if !segments.is_empty() => self.at += 1,
                name => {
                    segments.push(name.to_owned());
                    self.at += 1;
                }
            }
        }
    }

    fn path(&mut self) {
        let start = self.at;
        let mut segments = vec![self.text(start).to_owned()];
        while self.text(self.at + 1) == "::" && self.tokens.get(self.at + 2).is_some_and(Token::is_name) {
            segments.push(self.text(self.at + 2).to_owned());
            self.at += 2;
        }
        let before = |back: usize| start.checked_sub(back).map_or("", |at| self.text(at));
        let visibility = before(1) == "in" && before(2) == "(" && before(3) == "pub";
        if segments.len() > 1 && !matches!(before(1), "::" | ".") && !visibility {
            self.found(self.tokens[start].line, segments, Binds::Nothing, false);
        }
        self.at += 1;
    }
}

/// Names and signs, `::` as one; no comments, no literals.
fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut line) = (0, 1);
    let mut tokens = Vec::new();
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    while let Some(&letter) = text.get(at) {
        let next = text.get(at + 1).copied().unwrap_or(' ');
        let end = match letter {
            '/' if next == '/' => find(&text, at, |rest| rest[0] == '\n'),
            '/' if next == '*' => comment(&text, at),
            '"' => string(&text, at + 1),
            '\'' if next == '\\' => find(&text, at + 3, |rest| rest[0] == '\'') + 1,
            '\'' if text.get(at + 2) == Some(&'\'') => at + 3,
            'r' | 'b' | 'c' if raw(&text, at).is_some() => raw(&text, at).expect("just seen"),
            _ if is_word(letter) => find(&text, at, |rest| !is_word(rest[0])),
            ':' if next == ':' => at + 2,
            _ => at + 1,
        };
        let word = is_word(letter) && !text[at..end].contains(&'"');
        if word || (!letter.is_whitespace() && !matches!(letter, '"' | '\'') && end <= at + 2 && !is_word(letter)) {
            tokens.push(Token { text: text[at..end].iter().collect(), line });
        }
        line += text[at..end].iter().filter(|&&letter| letter == '\n').count();
        at = end;
    }
    tokens
}

/// The first place from there on at which the rest is as wanted.
fn find(text: &[char], from: usize, wanted: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len()).find(|&at| wanted(&text[at..])).unwrap_or(text.len())
}

/// Behind a comment in `/* */`, which may hold others.
fn comment(text: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Behind the quotation mark that ends a string.
fn string(text: &[char], from: usize) -> usize {
    let mut at = from;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Behind a literal such as `r#""#`, if there is one.
fn raw(text: &[char], from: usize) -> Option<usize> {
    let start = if text[from] == 'r' { from + 1 } else { from + 2 };
    if text.get(start - 1) != Some(&'r') || (from > 0 && (text[from - 1].is_alphanumeric() || text[from - 1] == '_')) {
        return None;
    }
    let hashes = text[start.min(text.len())..].iter().take_while(|&&letter| letter == '#').count();
    (text.get(start + hashes) == Some(&'"')).then(|| {
        let ends = |rest: &[char]| {
            rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&letter| letter == '#')
        };
        find(text, start + hashes + 1, ends) + 1 + hashes
    })
}
