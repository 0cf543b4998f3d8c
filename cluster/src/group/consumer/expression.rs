//! Regular expressions as subscriptions: RE2's language, which Kafka takes, in the words of
//! `regex`.
//!
//! Both run in linear time and mean the same by almost everything. What they do not is translated
//! here: braces and brackets that stand for themselves, `\Q…\E`, set operations that RE2 does not
//! know, repetitions of repetitions and above a thousand that it refuses. What RE2 takes and what
//! it does not has been seen with Kafka 4.3.1.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// How much memory an expression may take: a client's line must not cost more.
const MAX_EXPRESSION_BYTES: usize = 1 << 20;
/// The most repetitions that may be counted.
const MAX_REPEAT: u32 = 1000;
/// The classes that have names.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Makes an expression ready to match whole names.
///
/// # Errors
/// When it is none, or too large; says why.
pub(super) fn compile(expression: &str) -> Result<Regex, String> {
    let mut translation = Translation {
        rest: expression.chars().peekable(),
        written: String::with_capacity(expression.len()),
    };
    translation.run()?;
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).octal(true).size_limit(MAX_EXPRESSION_BYTES).build()
    };
    let translated = translation.written;
    // Alone first: an expression may not close the bracket that is put around it.
    build(&translated)
        .and_then(|_| build(&format!(r"\A(?:{translated})\z")))
        .map_err(|why| why.to_string().lines().last().unwrap_or_default().to_owned())
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    written: String,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut is_repeated = false;
        while let Some(character) = self.rest.next() {
            let counted = if character == '{' { self.count()? } else { None };
            let repeats = matches!(character, '*' | '+' | '?') || counted.is_some();
            if repeats && is_repeated {
                return Err("invalid nested repetition operator".to_owned());
            }
            is_repeated = repeats;
            match character {
                '*' | '+' | '?' => self.written.push(character),
                '{' => self.written.push_str(counted.as_deref().unwrap_or(r"\{")),
                '}' => self.written.push_str(r"\}"),
                '\\' if self.takes("Q") => self.quotation(),
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                other => self.written.push(other),
            }
            if repeats && self.takes("?") {
                self.written.push('?');
            }
        }
        Ok(())
    }

    /// Goes on behind a text if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let mut ahead = self.rest.clone();
        let is_next = text.chars().all(|character| ahead.next() == Some(character));
        if is_next {
            self.rest = ahead;
        }
        is_next
    }

    /// Takes everything up to a text, and that too; nothing where it does not come.
    fn take_until(&mut self, end: &str) -> Option<String> {
        let mut taken = String::new();
        let before = self.rest.clone();
        while !self.takes(end) {
            let Some(character) = self.rest.next() else {
                self.rest = before;
                return None;
            };
            taken.push(character);
        }
        Some(taken)
    }

    /// A counted repetition; a brace that begins none stands for itself.
    fn count(&mut self) -> Result<Option<String>, String> {
        let before = self.rest.clone();
        let inner = self.take_until("}").unwrap_or_default();
        let (least, most) = inner.split_once(',').unwrap_or((&inner, &inner));
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            self.rest = before;
            return Ok(None);
        }
        let is_small =
            |text: &str| text.is_empty() || text.parse().is_ok_and(|it: u32| it <= MAX_REPEAT);
        if is_small(least) && is_small(most) {
            Ok(Some(format!("{{{inner}}}")))
        } else {
            Err(format!("invalid repeat count: {{{inner}}}"))
        }
    }

    /// What stands between `\Q` and `\E` stands for itself.
    fn quotation(&mut self) {
        let quoted = self.take_until(r"\E").unwrap_or_else(|| self.rest.by_ref().collect());
        self.written.push_str(&regex::escape(&quoted));
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(character) = self.rest.next() else {
            return Err("trailing backslash at end of expression".to_owned());
        };
        let invalid = Err(format!(r"invalid escape sequence: \{character}"));
        match character {
            'p' | 'P' => self.property(character == 'P'),
            'x' if self.takes("{") => {
                let digits = self.take_until("}").unwrap_or_default();
                self.written.push_str(&format!(r"\x{{{digits}}}"));
            }
            // One digit alone would refer back, which takes more than linear time.
            '1'..='7' if !self.rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
                return invalid;
            }
            'u' | 'U' => return invalid,
            plain if !plain.is_ascii() || plain.is_ascii_punctuation() => {
                self.written.push_str(&literal(plain));
            }
            other => self.written.extend(['\\', other]),
        }
        Ok(())
    }

    /// A Unicode class, which a caret turns into everything else.
    fn property(&mut self, is_negative: bool) {
        let letter = |is_negative| if is_negative { 'P' } else { 'p' };
        let name = if self.takes("{") {
            self.take_until("}").unwrap_or_default()
        } else {
            self.rest.next().map(String::from).unwrap_or_default()
        };
        let positive = name.strip_prefix('^');
        let letter = letter(is_negative != positive.is_some());
        let name = positive.unwrap_or(&name);
        self.written.push_str(&format!(r"\{letter}{{{name}}}"));
    }

    /// A class: brackets in it, and what `regex` takes for set operations, stand for themselves.
    fn class(&mut self) -> Result<(), String> {
        self.written.push('[');
        if self.takes("^") {
            self.written.push('^');
        }
        if self.takes("]") {
            self.written.push_str(r"\]");
        }
        loop {
            let Some(character) = self.rest.next() else {
                return Err("missing closing ]".to_owned());
            };
            match character {
                ']' => break,
                '[' if self.takes(":") => self.named_class()?,
                '-' if self.rest.peek() == Some(&'-') => {
                    return Err("invalid character class range".to_owned());
                }
                '-' => self.written.push('-'),
                '\\' => {
                    let is_class = self.rest.peek().is_some_and(|it| "dDsSwWpP".contains(*it));
                    self.escape()?;
                    let begins_no_range = is_class && self.rest.peek() == Some(&'-');
                    if begins_no_range && self.takes("-") {
                        self.written.push_str(r"\-");
                    }
                }
                other => self.written.push_str(&literal(other)),
            }
        }
        self.written.push(']');
        Ok(())
    }

    fn named_class(&mut self) -> Result<(), String> {
        let name = self.take_until(":]").unwrap_or_default();
        if !CLASSES.contains(&name.trim_start_matches('^')) {
            return Err(format!("invalid character class range: [:{name}:]"));
        }
        self.written.push_str(&format!("[:{name}:]"));
        Ok(())
    }

    /// The beginning of a group, with its name or flags.
    fn group(&mut self) -> Result<(), String> {
        self.written.push('(');
        if !self.takes("?") {
            return Ok(());
        }
        self.written.push('?');
        let mut is_named = false;
        for character in self.rest.by_ref() {
            self.written.push(character);
            match character {
                ':' | ')' | '>' => break,
                '<' => is_named = true,
                // Flags that only `regex` has.
                'x' | 'u' | 'R' if !is_named => {
                    return Err(format!("invalid or unsupported flag: {character}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A character that stands for itself.
fn literal(character: char) -> String {
    regex::escape(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, name: &str) -> bool {
        compile(expression).unwrap().is_match(name)
    }

    /// A subscription would reach topics that only contain what it names, or miss its own.
    #[test]
    fn expressions_match_whole_names() {
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches("orders-.*", "orders-1") && !matches("orders-.*", "my-orders-1"));
        assert!(!matches("a", "a\n") && matches("(?i)A[[:alpha:]]\\d", "ab1"));
        assert!(matches(r"\Qa.b\E.", "a.bc") && !matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"a\\Q", r"a\Q") && matches(r"\Q(", "("));
        assert!(matches("a{2,3}?", "aa") && matches("a{,2}", "a{,2}") && matches("a{", "a{"));
        assert!(matches("[a&&b]+", "a&b") && matches("[[a]+", "[a") && matches("[]a]+", "]a"));
        assert!(matches(r"\164\x{74}", "tt") && matches(r"\<t", "<t") && matches(r"\é", "é"));
        assert!(
            matches(r"[\d-z]+", "1-z") && !matches(r"[\d-z]", "5z") && !matches(r"\p{^L}", "a")
        );
        assert!(matches("(?P<xu>a)(?:b)(?i:C)(?s).", "abcd"));
    }

    /// A client would be told that its expression is bad where Kafka takes it, or the other way.
    #[test]
    fn what_kafka_takes_is_taken_and_nothing_else() {
        let taken = [
            r#"a{"#,
            r#"t{1"#,
            r#"t*?"#,
            r#"[[:alpha:]]"#,
            r#"[[a]"#,
            r#"[t[]"#,
            r#"\_"#,
            r#"(?P<n>t)"#,
            r#"(?<n>t)"#,
            r#"\pL"#,
            r#"\p{L}"#,
            r#"\p{Greek}"#,
            r#"t{1000}"#,
            r#"(t{100}){100}"#,
            r#"\Qt"#,
            r#"\Qt\E"#,
            r#"(?i)T"#,
            r#"[a&&t]"#,
            r#"[s-u]"#,
            r#"[s~~t]"#,
            r#"\x74"#,
            r#"\x{74}"#,
            r#"[^]a]"#,
            r#"[]t]"#,
            r#"t{,2}"#,
            r#"t{0,2}"#,
            r#"(?U)t+"#,
            r#"\bt\b"#,
            r#"$t"#,
            r#"t$"#,
            r#"^t"#,
            r#"."#,
            r#"(?s)."#,
            r#"\At\z"#,
            r#"\164"#,
            r#"\07"#,
            r#"[\d-z]"#,
            r#"[\w-z]"#,
            r#"\-"#,
            r#"t|"#,
            r#"|"#,
            r#"(|t)"#,
            r#"()"#,
            r#"\pN"#,
            r#"\PN"#,
            r#"\p{^L}"#,
            r#"(?m)^t$"#,
            r#"(?i:T)"#,
            r#"(?-i)t"#,
            r#"\a"#,
            r#"\w"#,
            r#"\D"#,
            r#"[[:word:]]"#,
            r#"\\"#,
            r#"t "#,
            r#"\t"#,
            r#"(?:t)"#,
            r#"[&&t]"#,
            r#"t-"#,
            r#"[a-t-z]"#,
            r#"\<t\>"#,
            r#"%t"#,
            r#"\%"#,
            r#"\'"#,
            r#"\ "#,
            r#"é"#,
            r#"\é"#,
        ];
        let refused = [
            r#"t**"#,
            r#"t++"#,
            r#"t+*"#,
            r#"t{1001}"#,
            r#"t{2000}"#,
            r#"\C"#,
            r#"[s--u]"#,
            r#"t\Z"#,
            r#"\ct"#,
            r#"(?=t)"#,
            r#"(?!x)t"#,
            r#"(t"#,
            r#"t)"#,
            r#"\8"#,
            r#"\1"#,
            r#"(t)\1"#,
            r#"[\Qt\E]"#,
            r#"(?x)t #"#,
            r#"\h"#,
            r#"[[:foo:]]"#,
            r#"[a-\d]"#,
            r#"[z-a]"#,
            r#"t{2,1}"#,
            r#"\E"#,
            r#"t\E"#,
            r#"(?#c)t"#,
            r#"\u0074"#,
            r#"\N"#,
            r#"\R"#,
            r#"\X"#,
        ];
        taken.iter().for_each(|it| assert!(compile(it).is_ok(), "{it} {:?}", compile(it)));
        refused.iter().for_each(|it| assert!(compile(it).is_err(), "{it}"));
    }

    /// A line from a client could take a broker's memory.
    #[test]
    fn an_expression_may_not_be_large() {
        assert!(compile("(((a{100}){100}){100}){100}").is_err());
        assert!(compile(&"(".repeat(100_000)).is_err());
    }
}
