//! What a script comes to, without running anything: the text goes through a real shell parser, and what it says is
//! carried out on variables and files that exist only here.
//!
//! The user-data of a sandbox is its user's own, and no simulator runs that on its user's machine. So programs are not
//! started: those that installers are started with (`curl`, `wget`, `bash`, `sudo`, `env`, `tee`, ...) are played, see
//! [`programs`]; any other is taken to succeed and to say nothing. Standard error goes nowhere, patterns are not matched
//! against file names, and arithmetic is not done. The parser takes several blanks between braces, as in `${A:-b  c}`, for
//! one.

mod expand;
mod programs;

pub(super) use programs::flavor_of;

use std::collections::BTreeMap;

use brush_parser::ast::{
    AndOr, AndOrList, Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem, CompoundCommand,
    CompoundList, FunctionBody, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline, SimpleCommand,
};
use brush_parser::{Parser, ParserOptions, SourceInfo};

/// How much is done before a script is taken to go on for ever.
const MOST_STEPS: u32 = 20_000;
/// How deep scripts may call scripts.
const DEEPEST: u32 = 24;
/// How many brackets may lie within one another, and how many compound commands a text may hold: the parser calls itself
/// for each, and tries some texts twice.
const MOST_BRACKETS: usize = 16;
const MOST_COMPOUND: usize = 100;
/// How large a text may become.
const LONGEST: usize = 1 << 20;

/// What the world outside a script offers to it.
pub(super) trait Outside {
    /// The text behind an address, if there is one.
    fn fetch(&self, url: &str) -> Option<String>;

    /// There was nothing behind that address.
    fn missed(&mut self, url: &str);

    /// The installer starts, with the variables that it was handed. `true` if it never comes back.
    fn install(&mut self, environment: &BTreeMap<String, String>) -> bool;
}

/// The program that every text of an installer calls; no real one is called so.
pub(super) const INSTALLER: &str = "capsule-sandbox-installer";

/// Which shell reads: the first boot's is the plain one, which knows no process substitution and no `[[`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    Sh,
    Bash,
}

/// Why a shell stops before its text ends.
#[derive(Debug, PartialEq, Eq)]
enum Halt {
    /// It said so, or failed under `set -e`.
    Exit(i32),
    /// A function ended early.
    Return(i32),
    /// A loop ended early, or its turn did.
    Break,
    Continue,
    /// The system is no more, or will never come so far.
    Over,
}

type Done<T> = Result<T, Halt>;

#[derive(Debug, Clone)]
struct Variable {
    value: String,
    exported: bool,
}

/// What all shells of one boot share.
pub(super) struct Boot<'a> {
    outside: &'a mut dyn Outside,
    files: BTreeMap<String, String>,
    steps: u32,
    made: u32,
    /// Programs that were asked for and are not played.
    skipped: Vec<String>,
}

impl<'a> Boot<'a> {
    pub(super) fn new(outside: &'a mut dyn Outside) -> Self {
        Boot { outside, files: BTreeMap::new(), steps: 0, made: 0, skipped: Vec::new() }
    }

    /// Puts a file there.
    pub(super) fn write(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// Runs a script as the boot does. `false` if the system is gone, or will never be done with it.
    pub(super) fn run(&mut self, script: &str, flavor: Flavor) -> bool {
        let mut shell = Shell { flavor, ..Shell::new() };
        shell.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", true);
        shell.set("HOME", "/root", false);
        !matches!(shell.script(self, script, String::new()), Err(Halt::Over))
    }

    pub(super) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The text behind an address.
    fn fetch(&mut self, url: &str) -> Option<String> {
        let text = self.outside.fetch(url);
        if text.is_none() {
            self.outside.missed(url);
        }
        text
    }

    fn step(&mut self) -> Done<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS { Err(Halt::Over) } else { Ok(()) }
    }
}

/// One shell process.
#[derive(Clone)]
struct Shell {
    flavor: Flavor,
    variables: BTreeMap<String, Variable>,
    functions: BTreeMap<String, FunctionBody>,
    arguments: Vec<String>,
    status: i32,
    /// `set -e`, `set -a` and `set -o pipefail`.
    stops_on_failure: bool,
    exports_all: bool,
    pipefail: bool,
    /// Inside a condition, where failing is an answer.
    asking: u32,
    depth: u32,
}

/// What a command wrote, and whether it went well.
struct Ran {
    out: String,
    status: i32,
}

impl Ran {
    fn silent(status: i32) -> Self {
        Ran { out: String::new(), status }
    }
}

impl Shell {
    fn new() -> Self {
        Shell {
            flavor: Flavor::Bash,
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            arguments: vec!["sh".to_owned()],
            status: 0,
            stops_on_failure: false,
            exports_all: false,
            pipefail: false,
            asking: 0,
            depth: 0,
        }
    }

    /// A program started from here: it sees what is exported, and nothing else.
    fn child(&self) -> Self {
        let exported = self.variables.iter().filter(|(_, variable)| variable.exported);
        Shell {
            variables: exported.map(|(name, variable)| (name.clone(), variable.clone())).collect(),
            depth: self.depth + 1,
            ..Shell::new()
        }
    }

    /// A copy that keeps its changes to itself.
    fn subshell(&self) -> Self {
        Shell { depth: self.depth + 1, ..self.clone() }
    }

    fn set(&mut self, name: &str, value: &str, export: bool) {
        let exported = export || self.exports_all || self.variables.get(name).is_some_and(|variable| variable.exported);
        self.variables.insert(name.to_owned(), Variable { value: value.to_owned(), exported });
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let exported = self.variables.iter().filter(|(_, variable)| variable.exported);
        exported.map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
    }

    fn options(&self) -> ParserOptions {
        ParserOptions { sh_mode: self.flavor == Flavor::Sh, ..ParserOptions::default() }
    }

    /// A whole script with what it is fed: the end of a process.
    fn script(&mut self, boot: &mut Boot<'_>, text: &str, input: String) -> Done<Ran> {
        match self.text(boot, text, input) {
            Err(Halt::Exit(status) | Halt::Return(status)) => Ok(Ran::silent(status)),
            Err(Halt::Break | Halt::Continue) => Ok(Ran::silent(0)),
            other => other,
        }
    }

    /// Text in this shell. What cannot be parsed is not run, as far as it goes.
    fn text(&mut self, boot: &mut Boot<'_>, text: &str, input: String) -> Done<Ran> {
        if self.depth > DEEPEST || text.len() > LONGEST || is_too_deep(text) {
            return Err(Halt::Over);
        }
        let parsed = Parser::new(text.as_bytes(), &self.options(), &SourceInfo::default()).parse_program();
        let Ok(program) = parsed else {
            return Ok(Ran::silent(2));
        };
        let mut all = Ran::silent(0);
        let mut input = Some(input);
        for list in &program.complete_commands {
            let ran = self.list(boot, list, input.take().unwrap_or_default())?;
            all.out.push_str(&ran.out);
            all.status = ran.status;
        }
        Ok(all)
    }

    fn list(&mut self, boot: &mut Boot<'_>, list: &CompoundList, input: String) -> Done<Ran> {
        let mut all = Ran::silent(0);
        let mut input = Some(input);
        for item in &list.0 {
            // In the background or not: here it is done at once.
            let ran = self.and_or(boot, &item.0, input.take().unwrap_or_default())?;
            all.out.push_str(&ran.out);
            all.status = ran.status;
            if all.out.len() > LONGEST {
                return Err(Halt::Over);
            }
        }
        Ok(all)
    }

    fn and_or(&mut self, boot: &mut Boot<'_>, list: &AndOrList, input: String) -> Done<Ran> {
        let last = list.additional.len();
        let mut ran = self.pipeline(boot, &list.first, input, last > 0)?;
        for (index, next) in list.additional.iter().enumerate() {
            let (wanted, pipeline) = match next {
                AndOr::And(pipeline) => (ran.status == 0, pipeline),
                AndOr::Or(pipeline) => (ran.status != 0, pipeline),
            };
            if wanted {
                let more = self.pipeline(boot, pipeline, String::new(), index + 1 < last)?;
                ran.out.push_str(&more.out);
                ran.status = more.status;
            }
        }
        Ok(ran)
    }

    fn pipeline(&mut self, boot: &mut Boot<'_>, pipeline: &Pipeline, input: String, is_asked: bool) -> Done<Ran> {
        let asks = u32::from(is_asked || pipeline.bang);
        self.asking += asks;
        let ran = self.piped(boot, pipeline, input);
        self.asking -= asks;
        let mut ran = ran?;
        if pipeline.bang {
            ran.status = i32::from(ran.status == 0);
        }
        self.status = ran.status;
        if ran.status != 0 && self.stops_on_failure && self.asking == 0 {
            return Err(Halt::Exit(ran.status));
        }
        Ok(ran)
    }

    fn piped(&mut self, boot: &mut Boot<'_>, pipeline: &Pipeline, input: String) -> Done<Ran> {
        if let [command] = &pipeline.seq[..] {
            return self.command(boot, command, input);
        }
        let mut ran = Ran { out: input, status: 0 };
        let mut failed = 0;
        for command in &pipeline.seq {
            let mut part = self.subshell();
            ran = match part.command(boot, command, ran.out) {
                Err(Halt::Over) => return Err(Halt::Over),
                Err(Halt::Exit(status) | Halt::Return(status)) => Ran::silent(status),
                Err(Halt::Break | Halt::Continue) => Ran::silent(0),
                Ok(ran) => ran,
            };
            if ran.status != 0 {
                failed = ran.status;
            }
        }
        if self.pipefail && failed != 0 {
            ran.status = failed;
        }
        Ok(ran)
    }

    fn command(&mut self, boot: &mut Boot<'_>, command: &Command, input: String) -> Done<Ran> {
        boot.step()?;
        match command {
            Command::Simple(simple) => self.simple(boot, simple, input),
            Command::Compound(compound, redirects) => {
                let redirects = redirects.as_ref().map_or(&[][..], |list| &list.0[..]);
                let (input, outputs) = self.redirected(boot, redirects, input)?;
                let ran = self.compound(boot, compound, input)?;
                Ok(poured(boot, ran, outputs))
            }
            Command::Function(function) => {
                let name = self.word(boot, &function.fname.value)?;
                self.functions.insert(name, function.body.clone());
                Ok(Ran::silent(0))
            }
            Command::ExtendedTest(_) if self.flavor == Flavor::Sh => Ok(Ran::silent(127)),
            Command::ExtendedTest(test) => {
                let holds = self.holds(boot, &test.expr)?;
                Ok(Ran::silent(i32::from(!holds)))
            }
        }
    }

    fn compound(&mut self, boot: &mut Boot<'_>, compound: &CompoundCommand, input: String) -> Done<Ran> {
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(boot, &group.list, input),
            CompoundCommand::Subshell(subshell) => {
                let mut inner = self.subshell();
                match inner.list(boot, &subshell.list, input) {
                    Err(Halt::Exit(status) | Halt::Return(status)) => Ok(Ran::silent(status)),
                    other => other,
                }
            }
            CompoundCommand::IfClause(clause) => {
                let mut all = self.condition(boot, &clause.condition, input)?;
                let mut chosen = (all.status == 0).then_some(&clause.then);
                for other in clause.elses.iter().flatten() {
                    if chosen.is_some() {
                        break;
                    }
                    let holds = match &other.condition {
                        None => true,
                        Some(condition) => {
                            let ran = self.condition(boot, condition, String::new())?;
                            all.out.push_str(&ran.out);
                            ran.status == 0
                        }
                    };
                    chosen = holds.then_some(&other.body);
                }
                all.status = 0;
                if let Some(body) = chosen {
                    let ran = self.list(boot, body, String::new())?;
                    all.out.push_str(&ran.out);
                    all.status = ran.status;
                }
                Ok(all)
            }
            CompoundCommand::WhileClause(clause) => self.repeat(boot, &clause.0, true, &clause.1.list),
            CompoundCommand::UntilClause(clause) => self.repeat(boot, &clause.0, false, &clause.1.list),
            CompoundCommand::ForClause(clause) => {
                let values = match &clause.values {
                    None => self.arguments[1..].to_vec(),
                    Some(words) => {
                        let mut values = Vec::new();
                        for word in words {
                            values.extend(self.fields(boot, &word.value)?);
                        }
                        values
                    }
                };
                let mut all = Ran::silent(0);
                for value in values {
                    self.set(&clause.variable_name, &value, false);
                    if self.turn(boot, &clause.body.list, &mut all)? {
                        break;
                    }
                }
                Ok(all)
            }
            CompoundCommand::CaseClause(clause) => {
                let value = self.word(boot, &clause.value.value)?;
                for case in &clause.cases {
                    let mut matches = false;
                    for pattern in &case.patterns {
                        let pattern = self.word(boot, &pattern.value)?;
                        matches = matches || expand::matches(&pattern, &value);
                    }
                    if matches {
                        return case.cmd.as_ref().map_or(Ok(Ran::silent(0)), |list| self.list(boot, list, input));
                    }
                }
                Ok(Ran::silent(0))
            }
            // No number is ever worked out here.
            CompoundCommand::Arithmetic(_) | CompoundCommand::ArithmeticForClause(_) => Ok(Ran::silent(0)),
        }
    }

    /// A list whose failing is an answer.
    fn condition(&mut self, boot: &mut Boot<'_>, list: &CompoundList, input: String) -> Done<Ran> {
        self.asking += 1;
        let ran = self.list(boot, list, input);
        self.asking -= 1;
        ran
    }

    fn repeat(
        &mut self,
        boot: &mut Boot<'_>,
        condition: &CompoundList,
        while_it: bool,
        body: &CompoundList,
    ) -> Done<Ran> {
        let mut all = Ran::silent(0);
        loop {
            boot.step()?;
            let asked = self.condition(boot, condition, String::new())?;
            all.out.push_str(&asked.out);
            if (asked.status == 0) != while_it || self.turn(boot, body, &mut all)? {
                return Ok(all);
            }
        }
    }

    /// One turn of a loop; whether it was the last.
    fn turn(&mut self, boot: &mut Boot<'_>, body: &CompoundList, all: &mut Ran) -> Done<bool> {
        match self.list(boot, body, String::new()) {
            Ok(ran) => {
                all.out.push_str(&ran.out);
                all.status = ran.status;
                Ok(false)
            }
            Err(Halt::Break) => Ok(true),
            Err(Halt::Continue) => Ok(false),
            Err(halt) => Err(halt),
        }
    }

    fn simple(&mut self, boot: &mut Boot<'_>, simple: &SimpleCommand, input: String) -> Done<Ran> {
        let mut assignments: Vec<(String, String)> = Vec::new();
        let mut redirects = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                    assignments.push(self.assigned(boot, assignment)?);
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect.clone()),
                CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => {}
            }
        }
        if let Some(name) = &simple.word_or_name {
            words.extend(self.fields(boot, &name.value)?);
        }
        // `export A=$B` takes B as one word; anywhere else it is split.
        let declares = words.first().is_some_and(|name| programs::DECLARING.contains(&name.as_str()));
        for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) if declares => {
                    let (name, value) = self.assigned(boot, assignment)?;
                    words.push(format!("{name}={value}"));
                }
                CommandPrefixOrSuffixItem::Word(word) | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    words.extend(self.fields(boot, &word.value)?);
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect.clone()),
                CommandPrefixOrSuffixItem::ProcessSubstitution(_, inner) => {
                    words.push(self.substituted_process(boot, &inner.list)?);
                }
            }
        }
        let (input, outputs) = self.redirected(boot, &redirects, input)?;
        if words.is_empty() {
            for (name, value) in assignments {
                self.set(&name, &value, false);
            }
            return Ok(poured(boot, Ran::silent(self.status_of_substitution()), outputs));
        }
        // Assignments before a command are for that command alone.
        let before: Vec<_> =
            assignments.iter().map(|(name, _)| (name.clone(), self.variables.get(name).cloned())).collect();
        for (name, value) in &assignments {
            self.set(name, value, true);
        }
        let ran = self.call(boot, &words, input);
        for (name, variable) in before {
            match variable {
                Some(variable) => self.variables.insert(name, variable),
                None => self.variables.remove(&name),
            };
        }
        Ok(poured(boot, ran?, outputs))
    }

    /// A function of the script, or a program.
    fn call(&mut self, boot: &mut Boot<'_>, words: &[String], input: String) -> Done<Ran> {
        let Some(body) = self.functions.get(&words[0]).cloned() else {
            return self.program(boot, words, input);
        };
        if self.depth > DEEPEST {
            return Err(Halt::Over);
        }
        self.depth += 1;
        let mut arguments = vec![self.arguments[0].clone()];
        arguments.extend_from_slice(&words[1..]);
        let outer = std::mem::replace(&mut self.arguments, arguments);
        let ran = self.compound(boot, &body.0, input);
        self.arguments = outer;
        self.depth -= 1;
        match ran {
            Err(Halt::Return(status)) => Ok(Ran::silent(status)),
            other => other,
        }
    }

    fn assigned(&mut self, boot: &mut Boot<'_>, assignment: &Assignment) -> Done<(String, String)> {
        let name = match &assignment.name {
            AssignmentName::VariableName(name) | AssignmentName::ArrayElementName(name, _) => name.clone(),
        };
        let value = match &assignment.value {
            AssignmentValue::Scalar(word) => self.word(boot, &word.value)?,
            // Arrays reach no program.
            AssignmentValue::Array(_) => String::new(),
        };
        let before = self.variables.get(&name).filter(|_| assignment.append).map(|variable| variable.value.clone());
        Ok((name, before.unwrap_or_default() + &value))
    }

    /// What a command is fed, and where its output goes.
    fn redirected(
        &mut self,
        boot: &mut Boot<'_>,
        redirects: &[IoRedirect],
        mut input: String,
    ) -> Done<(String, Option<Output>)> {
        let mut output = None;
        for redirect in redirects {
            match redirect {
                IoRedirect::HereDocument(_, document) => {
                    let text = &document.doc.value;
                    input = if document.requires_expansion { self.document(boot, text)? } else { text.clone() };
                    if document.remove_tabs {
                        input = input.lines().map(|line| format!("{}\n", line.trim_start_matches('\t'))).collect();
                    }
                }
                IoRedirect::HereString(_, word) => input = self.word(boot, &word.value)? + "\n",
                IoRedirect::OutputAndError(word, append) => {
                    output = Some(Output { path: self.word(boot, &word.value)?, append: *append });
                }
                IoRedirect::File(descriptor, kind, target) => {
                    let path = match target {
                        IoFileRedirectTarget::Filename(word) => self.word(boot, &word.value)?,
                        IoFileRedirectTarget::ProcessSubstitution(_, inner) => {
                            self.substituted_process(boot, &inner.list)?
                        }
                        IoFileRedirectTarget::Fd(_) | IoFileRedirectTarget::Duplicate(_) => continue,
                    };
                    match kind {
                        IoFileRedirectKind::Read | IoFileRedirectKind::ReadAndWrite => {
                            input = boot.files.get(&path).cloned().unwrap_or_default();
                        }
                        IoFileRedirectKind::Write | IoFileRedirectKind::Clobber | IoFileRedirectKind::Append
                            if descriptor.is_none_or(|descriptor| descriptor == 1) =>
                        {
                            output = Some(Output { path, append: matches!(kind, IoFileRedirectKind::Append) });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok((input, output))
    }

    /// A name under which the output of a list can be read.
    fn substituted_process(&mut self, boot: &mut Boot<'_>, list: &CompoundList) -> Done<String> {
        if self.flavor == Flavor::Sh {
            // A syntax error there, and nothing of the script is done from here on.
            return Err(Halt::Exit(2));
        }
        let out = self.captured(|shell| shell.list(boot, list, String::new()))?;
        boot.made += 1;
        let path = format!("/dev/fd/{}", 62 + boot.made);
        boot.write(&path, &out);
        Ok(path)
    }

    /// What is written by something that is done in a copy of this shell.
    fn captured(&mut self, work: impl FnOnce(&mut Shell) -> Done<Ran>) -> Done<String> {
        let mut inner = self.subshell();
        let ran = match work(&mut inner) {
            Err(Halt::Over) => return Err(Halt::Over),
            Err(Halt::Exit(status) | Halt::Return(status)) => Ran::silent(status),
            Err(Halt::Break | Halt::Continue) => Ran::silent(0),
            Ok(ran) => ran,
        };
        self.status = ran.status;
        Ok(ran.out)
    }

    /// The status of an assignment alone is that of the last command substitution in it.
    fn status_of_substitution(&self) -> i32 {
        self.status
    }
}

/// Whether a text can be nested deeper than the parser goes: brackets, and words that begin a compound command, counted
/// whether or not they are quoted.
fn is_too_deep(text: &str) -> bool {
    let (mut open, mut deepest) = (0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '{' => open += 1,
            ')' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    let begins = |word: &&str| matches!(*word, "if" | "while" | "until" | "for" | "case");
    deepest > MOST_BRACKETS || text.split(|c: char| !c.is_ascii_alphabetic()).filter(begins).count() > MOST_COMPOUND
}

/// A file that output goes to.
struct Output {
    path: String,
    append: bool,
}

fn poured(boot: &mut Boot<'_>, ran: Ran, output: Option<Output>) -> Ran {
    let Some(Output { path, append }) = output else { return ran };
    if path != "/dev/null" {
        let file = boot.files.entry(path).or_default();
        if !append {
            file.clear();
        }
        file.push_str(&ran.out);
    }
    Ran::silent(ran.status)
}

#[cfg(test)]
mod tests;
