//! Words of a text in MLIR's form.

use super::module::Place;

/// A word.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    /// `func.func`, `f32`, `tensor`: letters, digits, `_`, `$` and `.`.
    Word(String),
    /// `%name`, without the sign.
    Value(String),
    /// `@name`.
    Symbol(String),
    /// `!dialect.name`.
    Type(String),
    /// `#dialect.name`.
    Attr(String),
    /// `^bb0`.
    Block(String),
    /// A number as it is written.
    Number(String),
    /// A string, without quotes and escapes.
    Str(Vec<u8>),
    /// `->` or one character.
    Sign(&'static str),
    /// The end of the text.
    End,
}

impl Token {
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Word(t) | Token::Number(t) => format!("`{t}`"),
            Token::Value(t) => format!("`%{t}`"),
            Token::Symbol(t) => format!("`@{t}`"),
            Token::Type(t) => format!("`!{t}`"),
            Token::Attr(t) => format!("`#{t}`"),
            Token::Block(t) => format!("`^{t}`"),
            Token::Str(t) => format!("the string {:?}", String::from_utf8_lossy(t)),
            Token::Sign(t) => format!("`{t}`"),
            Token::End => "the end of the text".to_owned(),
        }
    }
}

const SIGNS: [&str; 20] =
    ["->", "::", "(", ")", "{", "}", "[", "]", "<", ">", ",", ":", "=", "-", "*", "?", "+", "/", "|", ";"];

/// Cuts a text into words.
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Lexer { bytes: text.as_bytes(), at: 0, line: 1, line_start: 0 }
    }

    /// The place of the next byte, as a byte offset.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        loop {
            match self.peek(0) {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' if self.peek(1) == b'/' => {
                    while self.at < self.bytes.len() && self.bytes[self.at] != b'\n' {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn run(&mut self, fits: impl Fn(u8) -> bool) -> String {
        let from = self.at;
        while self.at < self.bytes.len() && fits(self.bytes[self.at]) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[from..self.at]).into_owned()
    }

    /// The next word and where it begins: place and byte.
    pub(crate) fn next(&mut self) -> Result<(Token, Place, usize), (Place, String)> {
        self.blank();
        let from = self.at;
        let place = Place { line: self.line, column: (self.at - self.line_start + 1) as u32 };
        let name = |b: u8| b.is_ascii_alphanumeric() || b"_$.".contains(&b);
        let token = match self.peek(0) {
            0 if self.at >= self.bytes.len() => Token::End,
            b'"' => Token::Str(self.string(place)?),
            b'%' => {
                self.at += 1;
                Token::Value(self.run(|b| name(b) || b == b'-' || b == b'#'))
            }
            b'^' => {
                self.at += 1;
                Token::Block(self.run(name))
            }
            b'!' => {
                self.at += 1;
                Token::Type(self.run(name))
            }
            b'#' => {
                self.at += 1;
                Token::Attr(self.run(name))
            }
            b'@' => {
                self.at += 1;
                if self.peek(0) == b'"' {
                    let bytes = self.string(place)?;
                    Token::Symbol(String::from_utf8_lossy(&bytes).into_owned())
                } else {
                    Token::Symbol(self.run(name))
                }
            }
            b if b.is_ascii_alphabetic() || b == b'_' => Token::Word(self.run(name)),
            b if b.is_ascii_digit() => Token::Number(self.number()),
            _ => {
                let rest = &self.bytes[self.at..];
                match SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
                    Some(sign) => {
                        self.at += sign.len();
                        Token::Sign(sign)
                    }
                    None => return Err((place, format!("the byte 0x{:02X} begins no word", self.peek(0)))),
                }
            }
        };
        Ok((token, place, from))
    }

    fn number(&mut self) -> String {
        let from = self.at;
        if self.peek(0) == b'0' && self.peek(1) == b'x' && self.peek(2).is_ascii_hexdigit() {
            self.at += 2;
            self.run(|b| b.is_ascii_hexdigit());
        } else {
            self.run(|b| b.is_ascii_digit());
            if self.peek(0) == b'.' {
                self.at += 1;
                self.run(|b| b.is_ascii_digit());
                let signed = usize::from(matches!(self.peek(1), b'+' | b'-'));
                if matches!(self.peek(0), b'e' | b'E') && self.peek(1 + signed).is_ascii_digit() {
                    self.at += 1 + signed;
                    self.run(|b| b.is_ascii_digit());
                }
            }
        }
        String::from_utf8_lossy(&self.bytes[from..self.at]).into_owned()
    }

    fn string(&mut self, place: Place) -> Result<Vec<u8>, (Place, String)> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
                    let (byte, length) = match (self.peek(1), self.peek(2)) {
                        (b'"', _) => (b'"', 2),
                        (b'\\', _) => (b'\\', 2),
                        (b'n', _) => (b'\n', 2),
                        (b't', _) => (b'\t', 2),
                        (a, b) => match (hex(a), hex(b)) {
                            (Some(high), Some(low)) => (16 * high + low, 3),
                            _ => {
                                return Err((
                                    place,
                                    "an escape in a string is two hexadecimal digits".to_owned(),
                                ));
                            }
                        },
                    };
                    out.push(byte);
                    self.at += length;
                }
                b'\n' | 0 => return Err((place, "a string ends on its line".to_owned())),
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Takes an unsigned run of digits, as in the sizes of a tensor, where the lexer would read on (`4xf32`).
    pub(crate) fn digits(&mut self) -> Option<String> {
        self.blank();
        let digits = self.run(|b| b.is_ascii_digit());
        (!digits.is_empty()).then_some(digits)
    }

    /// Takes a byte if it comes next.
    pub(crate) fn byte(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.at < self.bytes.len() && self.bytes[self.at] == byte;
        self.at += usize::from(found);
        found
    }

    /// Goes back to a byte on the present line.
    pub(crate) fn back_to(&mut self, offset: usize, place: Place) {
        self.at = offset;
        self.line = place.line;
        self.line_start = (offset + 1).saturating_sub(place.column as usize);
    }

    /// The text between two bytes.
    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        String::from_utf8_lossy(&self.bytes[from..to]).into_owned()
    }
}
