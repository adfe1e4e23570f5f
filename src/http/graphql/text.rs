//! The words of documents and schemas.

use super::{Error, MAX_TOKENS};

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// One of `!$&()...:=@[]{|}`.
    Sign(&'static str),
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
}

/// The words of a text, and a place among them.
pub(super) struct Words {
    words: Vec<(Token, usize)>,
    at: usize,
    text: String,
}

const SIGNS: [&str; 14] = ["...", "!", "$", "&", "(", ")", ":", "=", "@", "[", "]", "{", "|", "}"];

impl Words {
    /// Reads a text.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let mut words = Self { words: Vec::new(), at: 0, text: text.to_owned() };
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
            if let Some(comment) = rest.strip_prefix('#') {
                rest = comment.split_once('\n').map_or("", |(_, after)| after);
                continue;
            }
            if rest.is_empty() {
                return Ok(words);
            }
            let place = text.len() - rest.len();
            let (token, after) = next(rest).map_err(|problem| words.error_at(place, &problem))?;
            if words.words.len() == MAX_TOKENS {
                return Err(Error::new(format!("the document has more than {MAX_TOKENS} tokens")));
            }
            words.words.push((token, place));
            rest = after;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.words.len()
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.words.get(self.at).map(|(token, _)| token)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Passes over a sign, if it is the next word.
    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over a name, if it is the next word.
    pub(super) fn takes_name(&mut self, name: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Name(found)) if found == name);
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    pub(super) fn name(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// The next word is not what was expected.
    pub(super) fn unexpected(&self, expected: &str) -> Error {
        match self.words.get(self.at) {
            Some((token, place)) => self.error_at(*place, &format!("unexpected {}; expected {expected}", shown(token))),
            None => Error::new(format!("syntax error: unexpected end of the document; expected {expected}")),
        }
    }

    fn error_at(&self, place: usize, problem: &str) -> Error {
        let before = self.text.get(..place).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
        Error::new(format!("syntax error at line {line}, column {column}: {problem}"))
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Sign(sign) => format!("{sign:?}"),
        Token::Name(name) => format!("{name:?}"),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Text(_) => "a text".to_owned(),
    }
}

/// The first word of a text, and what comes after it.
fn next(text: &str) -> Result<(Token, &str), String> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
        return Ok((Token::Sign(sign), &text[sign.len()..]));
    }
    if let Some(block) = text.strip_prefix("\"\"\"") {
        return block_text(block);
    }
    if let Some(rest) = text.strip_prefix('"') {
        return plain_text(rest);
    }
    let is_in_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
    match text.chars().next() {
        Some(first) if first.is_ascii_digit() || first == '-' => number(text),
        Some(first) if is_in_name(first) => {
            let end = text.find(|it| !is_in_name(it)).unwrap_or(text.len());
            Ok((Token::Name(text[..end].to_owned()), &text[end..]))
        }
        first => Err(format!("unexpected character {:?}", first.unwrap_or_default())),
    }
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '+' | '.' | '_');
    let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // Numbers are those of JSON.
    let token = match serde_json::from_str::<serde_json::Number>(digits) {
        Ok(number) => number.as_i64().map(Token::Int).or_else(|| number.as_f64().map(Token::Float)),
        Err(_) => None,
    };
    token.map(|token| (token, rest)).ok_or_else(|| format!("{digits:?} is no number"))
}

/// A text up to its quote.
fn plain_text(text: &str) -> Result<(Token, &str), String> {
    let mut found = String::new();
    let mut chars = text.char_indices();
    while let Some((place, character)) = chars.next() {
        match character {
            '"' => return Ok((Token::Text(found), &text[place + 1..])),
            '\\' => found.push(escaped(&mut chars)?),
            '\n' | '\r' => break,
            plain => found.push(plain),
        }
    }
    Err("a text has no end".to_owned())
}

fn escaped(chars: &mut std::str::CharIndices<'_>) -> Result<char, String> {
    let bad = || "a text has an escape that is none".to_owned();
    Ok(match chars.next().ok_or_else(bad)?.1 {
        plain @ ('"' | '\\' | '/') => plain,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(chars).ok_or_else(bad)?;
            let mut units = vec![first];
            // Half of a character that has two.
            if (0xd800..0xdc00).contains(&first) {
                let is_escape = chars.next().map(|it| it.1) == Some('\\') && chars.next().map(|it| it.1) == Some('u');
                units.push(is_escape.then(|| unit(chars)).flatten().ok_or_else(bad)?);
            }
            char::decode_utf16(units).next().and_then(Result::ok).ok_or_else(bad)?
        }
        _ => return Err(bad()),
    })
}

fn unit(chars: &mut std::str::CharIndices<'_>) -> Option<u16> {
    let digits: String = chars.take(4).map(|it| it.1).collect();
    (digits.len() == 4).then(|| u16::from_str_radix(&digits, 16).ok()).flatten()
}

/// A block text: its common indentation and its empty lines at both ends are not part of it.
fn block_text(text: &str) -> Result<(Token, &str), String> {
    let mut from = 0;
    let end = loop {
        let at = from + text[from..].find("\"\"\"").ok_or("a text has no end")?;
        if !text[..at].ends_with('\\') {
            break at;
        }
        from = at + 3;
    };
    let raw = text[..end].replace("\\\"\"\"", "\"\"\"");
    let lines: Vec<&str> = raw.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let is_blank = |line: &&str| line.trim_matches([' ', '\t']).is_empty();
    let indentation = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = lines.iter().skip(1).filter(|line| !is_blank(line)).map(indentation).min().unwrap_or(0);
    let cut = |(number, line): (usize, &&str)| {
        if number == 0 { (*line).to_owned() } else { line.get(common..).unwrap_or_default().to_owned() }
    };
    let cut: Vec<String> = lines.iter().enumerate().map(cut).collect();
    let first = cut.iter().position(|line| !is_blank(&line.as_str())).unwrap_or(cut.len());
    let last = cut.iter().rposition(|line| !is_blank(&line.as_str())).map_or(first, |last| last + 1);
    Ok((Token::Text(cut[first..last].join("\n")), &text[end + 3..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<Token>, Error> {
        let words = Words::read(text)?;
        Ok(words.words.into_iter().map(|(token, _)| token).collect())
    }

    #[test]
    fn words_of_every_kind() {
        let found = words("\u{feff}{ a_1(b: [-1, 2.5e1], c: \"x\\u0041\\n\\ud83d\\ude00\") ...F # no\n}").unwrap();
        let name = |name: &str| Token::Name(name.to_owned());
        let sign = Token::Sign;
        let expected = [
            sign("{"),
            name("a_1"),
            sign("("),
            name("b"),
            sign(":"),
            sign("["),
            Token::Int(-1),
            Token::Float(25.0),
            sign("]"),
            name("c"),
            sign(":"),
            Token::Text("xA\n😀".to_owned()),
            sign(")"),
            sign("..."),
            name("F"),
            sign("}"),
        ];
        assert_eq!(found, expected);
        assert_eq!(words("\"\"\"\n  a\n   \\\"\"\"b\n\"\"\"").unwrap(), [Token::Text("a\n \"\"\"b".to_owned())]);
    }

    #[test]
    fn what_is_no_word_is_named_by_its_place() {
        for (text, problem) in [
            ("{\n  a ~ }", "syntax error at line 2, column 5: unexpected character '~'"),
            ("\"a", "syntax error at line 1, column 1: a text has no end"),
            ("\"\"\"a", "syntax error at line 1, column 1: a text has no end"),
            ("\"\\q\"", "syntax error at line 1, column 1: a text has an escape that is none"),
            ("\"\\ud800\"", "syntax error at line 1, column 1: a text has an escape that is none"),
            ("01x", "syntax error at line 1, column 1: \"01x\" is no number"),
        ] {
            assert_eq!(words(text).unwrap_err().message, problem, "{text}");
        }
        assert!(words(&"a ".repeat(MAX_TOKENS + 1)).is_err());
    }
}
