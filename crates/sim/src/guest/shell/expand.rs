//! Words: from what was written to what a program is handed.

use brush_parser::ast::{BinaryPredicate, ExtendedTestExpr, UnaryPredicate};
use brush_parser::word::{
    self, Parameter, ParameterExpr, ParameterTestType, SpecialParameter, WordPiece, WordPieceWithSource,
};

use super::{Boot, Done, Flavor, Halt, Shell};

/// The words that one word comes to.
#[derive(Default)]
struct Fields {
    done: Vec<String>,
    open: Option<String>,
}

impl Fields {
    fn push(&mut self, text: &str) {
        self.open.get_or_insert_default().push_str(text);
    }

    /// Text from an expansion outside quotes: it ends words where it is blank.
    fn split(&mut self, text: &str) {
        let mut parts = text.split([' ', '\t', '\n']);
        if let Some(first) = parts.next().filter(|first| !first.is_empty()) {
            self.push(first);
        }
        for part in parts {
            self.done.extend(self.open.take());
            if !part.is_empty() {
                self.push(part);
            }
        }
    }
}

impl Shell {
    /// The words that `text` comes to, split where it is not quoted.
    pub(super) fn fields(&mut self, boot: &mut Boot<'_>, text: &str) -> Done<Vec<String>> {
        let mut fields = Fields::default();
        self.pieces(boot, &self.parsed(text)?, &mut fields, false)?;
        fields.done.extend(fields.open);
        Ok(fields.done)
    }

    /// The one word that `text` comes to.
    pub(super) fn word(&mut self, boot: &mut Boot<'_>, text: &str) -> Done<String> {
        let mut fields = Fields::default();
        self.pieces(boot, &self.parsed(text)?, &mut fields, true)?;
        Ok(fields.open.unwrap_or_default())
    }

    /// The text of a here-document, in which quotes mean nothing.
    pub(super) fn document(&mut self, boot: &mut Boot<'_>, text: &str) -> Done<String> {
        let mut quoted = String::from("\"");
        let mut escaped = false;
        for character in text.chars() {
            if character == '"' {
                // A backslash before a quote is an ordinary character here.
                quoted.push_str(if escaped { "\\\\\"" } else { "\\\"" });
                escaped = false;
                continue;
            }
            escaped = character == '\\' && !escaped;
            quoted.push(character);
        }
        quoted.push('"');
        self.word(boot, &quoted)
    }

    fn parsed(&self, text: &str) -> Done<Vec<WordPieceWithSource>> {
        // What is no word is a syntax error.
        word::parse(text, &self.options()).map_err(|_| Halt::Exit(2))
    }

    fn pieces(
        &mut self,
        boot: &mut Boot<'_>,
        pieces: &[WordPieceWithSource],
        into: &mut Fields,
        quoted: bool,
    ) -> Done<()> {
        for piece in pieces {
            boot.step()?;
            match &piece.piece {
                WordPiece::Text(text) | WordPiece::SingleQuotedText(text) => into.push(text),
                // The plain shell does not know it: the dollar stays.
                WordPiece::AnsiCQuotedText(text) if self.flavor == Flavor::Sh => into.push(&format!("${text}")),
                WordPiece::AnsiCQuotedText(text) => into.push(&ansi_c(text)),
                WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                    into.push("");
                    self.pieces(boot, inner, into, true)?;
                }
                WordPiece::TildePrefix(user) if user.is_empty() => into.push("/root"),
                WordPiece::TildePrefix(user) => into.push(&format!("/home/{user}")),
                WordPiece::EscapeSequence(text) if text == "\\\n" => {}
                WordPiece::EscapeSequence(text) => into.push(text.strip_prefix('\\').unwrap_or(text)),
                WordPiece::CommandSubstitution(script) => {
                    let out = self.substituted(boot, script)?;
                    expanded(into, &out, quoted);
                }
                WordPiece::BackquotedCommandSubstitution(script) => {
                    let script = script.replace("\\`", "`").replace("\\$", "$").replace("\\\\", "\\");
                    let out = self.substituted(boot, &script)?;
                    expanded(into, &out, quoted);
                }
                WordPiece::ArithmeticExpression(_) => into.push("0"),
                WordPiece::ParameterExpansion(ParameterExpr::Parameter {
                    parameter: Parameter::Special(SpecialParameter::AllPositionalParameters { concatenate: false }),
                    ..
                }) if quoted => {
                    // The arguments as they are, each a word.
                    for (index, argument) in self.arguments.clone()[1..].iter().enumerate() {
                        if index > 0 {
                            into.done.extend(into.open.take());
                        }
                        into.push(argument);
                    }
                }
                WordPiece::ParameterExpansion(expression) => {
                    let value = self.parameter(boot, expression, quoted)?;
                    expanded(into, &value, quoted);
                }
            }
        }
        Ok(())
    }

    /// What a command writes, without the line ends behind it.
    fn substituted(&mut self, boot: &mut Boot<'_>, script: &str) -> Done<String> {
        let out = self.captured(|shell| shell.text(boot, script, String::new()))?;
        Ok(out.trim_end_matches('\n').to_owned())
    }

    fn parameter(&mut self, boot: &mut Boot<'_>, expression: &ParameterExpr, quoted: bool) -> Done<String> {
        let missing = |value: &Option<String>, test: &ParameterTestType| match test {
            ParameterTestType::UnsetOrNull => value.as_ref().is_none_or(String::is_empty),
            ParameterTestType::Unset => value.is_none(),
        };
        match expression {
            ParameterExpr::Parameter { parameter, indirect } => {
                let value = self.value(parameter).unwrap_or_default();
                Ok(if *indirect { self.value(&Parameter::Named(value)).unwrap_or_default() } else { value })
            }
            ParameterExpr::UseDefaultValues { parameter, test_type, default_value, .. } => {
                let value = self.value(parameter);
                if missing(&value, test_type) {
                    self.inner(boot, default_value, quoted)
                } else {
                    Ok(value.unwrap_or_default())
                }
            }
            ParameterExpr::AssignDefaultValues { parameter, test_type, default_value, .. } => {
                let value = self.value(parameter);
                if !missing(&value, test_type) {
                    return Ok(value.unwrap_or_default());
                }
                let value = self.inner(boot, default_value, quoted)?;
                if let Parameter::Named(name) = parameter {
                    self.set(name, &value, false);
                }
                Ok(value)
            }
            ParameterExpr::IndicateErrorIfNullOrUnset { parameter, test_type, .. } => {
                let value = self.value(parameter);
                if missing(&value, test_type) { Err(Halt::Exit(1)) } else { Ok(value.unwrap_or_default()) }
            }
            ParameterExpr::UseAlternativeValue { parameter, test_type, alternative_value, .. } => {
                let value = self.value(parameter);
                if missing(&value, test_type) { Ok(String::new()) } else { self.inner(boot, alternative_value, quoted) }
            }
            ParameterExpr::ParameterLength { parameter, .. } => {
                Ok(self.value(parameter).unwrap_or_default().chars().count().to_string())
            }
            ParameterExpr::RemoveSmallestPrefixPattern { parameter, pattern, .. }
            | ParameterExpr::RemoveLargestPrefixPattern { parameter, pattern, .. } => {
                let longest = matches!(expression, ParameterExpr::RemoveLargestPrefixPattern { .. });
                let (value, pattern) = (self.value(parameter).unwrap_or_default(), self.inner(boot, pattern, false)?);
                let mut ends: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
                if longest {
                    ends.reverse();
                }
                let end = ends.into_iter().find(|end| matches(&pattern, &value[..*end])).unwrap_or(0);
                Ok(value[end..].to_owned())
            }
            ParameterExpr::RemoveSmallestSuffixPattern { parameter, pattern, .. }
            | ParameterExpr::RemoveLargestSuffixPattern { parameter, pattern, .. } => {
                let longest = matches!(expression, ParameterExpr::RemoveLargestSuffixPattern { .. });
                let (value, pattern) = (self.value(parameter).unwrap_or_default(), self.inner(boot, pattern, false)?);
                let mut starts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
                if !longest {
                    starts.reverse();
                }
                let start = starts.into_iter().find(|start| matches(&pattern, &value[*start..]));
                Ok(value[..start.unwrap_or(value.len())].to_owned())
            }
            ParameterExpr::LowercasePattern { parameter, pattern: None, .. } => {
                Ok(self.value(parameter).unwrap_or_default().to_lowercase())
            }
            ParameterExpr::UppercasePattern { parameter, pattern: None, .. } => {
                Ok(self.value(parameter).unwrap_or_default().to_uppercase())
            }
            // Not understood here: a script that needs it comes to nothing rather than to something else.
            _ => Err(Halt::Exit(1)),
        }
    }

    /// The word inside braces. Between double quotes it is as if they were its own.
    fn inner(&mut self, boot: &mut Boot<'_>, text: &Option<String>, quoted: bool) -> Done<String> {
        match text {
            None => Ok(String::new()),
            Some(text) if quoted && !text.contains('"') => self.word(boot, &format!("\"{text}\"")),
            Some(text) => self.word(boot, text),
        }
    }

    fn value(&self, parameter: &Parameter) -> Option<String> {
        match parameter {
            Parameter::Named(name) => self.variables.get(name).map(|variable| variable.value.clone()),
            Parameter::Positional(number) => self.arguments.get(usize::try_from(*number).ok()?).cloned(),
            Parameter::Special(SpecialParameter::AllPositionalParameters { .. }) => Some(self.arguments[1..].join(" ")),
            Parameter::Special(SpecialParameter::PositionalParameterCount) => {
                Some((self.arguments.len() - 1).to_string())
            }
            Parameter::Special(SpecialParameter::LastExitStatus) => Some(self.status.to_string()),
            Parameter::Special(SpecialParameter::ShellName) => Some(self.arguments[0].clone()),
            Parameter::Special(SpecialParameter::ProcessId | SpecialParameter::LastBackgroundProcessId) => {
                Some("1000".to_owned())
            }
            _ => None,
        }
    }

    /// What `[[ ]]` asks.
    pub(super) fn holds(&mut self, boot: &mut Boot<'_>, test: &ExtendedTestExpr) -> Done<bool> {
        Ok(match test {
            ExtendedTestExpr::And(left, right) => self.holds(boot, left)? && self.holds(boot, right)?,
            ExtendedTestExpr::Or(left, right) => self.holds(boot, left)? || self.holds(boot, right)?,
            ExtendedTestExpr::Not(inner) => !self.holds(boot, inner)?,
            ExtendedTestExpr::Parenthesized(inner) => self.holds(boot, inner)?,
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let value = self.word(boot, &word.value)?;
                match predicate {
                    UnaryPredicate::StringHasZeroLength => value.is_empty(),
                    UnaryPredicate::StringHasNonZeroLength => !value.is_empty(),
                    UnaryPredicate::ShellVariableIsSetAndAssigned => self.variables.contains_key(&value),
                    UnaryPredicate::FileExistsAndIsNotZeroLength => {
                        boot.files.get(&value).is_some_and(|text| !text.is_empty())
                    }
                    UnaryPredicate::FdIsOpenTerminal | UnaryPredicate::ShellOptionEnabled => false,
                    _ => boot.files.contains_key(&value),
                }
            }
            ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                let (left, right) = (self.word(boot, &left.value)?, self.word(boot, &right.value)?);
                match predicate {
                    BinaryPredicate::StringExactlyMatchesPattern => matches(&right, &left),
                    BinaryPredicate::StringDoesNotExactlyMatchPattern => !matches(&right, &left),
                    BinaryPredicate::StringExactlyMatchesString => left == right,
                    BinaryPredicate::StringDoesNotExactlyMatchString => left != right,
                    BinaryPredicate::StringContainsSubstring => left.contains(&right),
                    BinaryPredicate::ArithmeticEqualTo => left.trim() == right.trim(),
                    BinaryPredicate::ArithmeticNotEqualTo => left.trim() != right.trim(),
                    _ => false,
                }
            }
        })
    }
}

fn expanded(into: &mut Fields, text: &str, quoted: bool) {
    if quoted { into.push(text) } else { into.split(text) }
}

/// Whether a text is of a pattern with `*` and `?`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|wanted| *wanted == '?' || *wanted == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The text between `$'` and `'`.
pub(super) fn ansi_c(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other @ ('\\' | '\'' | '"' | '?')) => out.push(other),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
