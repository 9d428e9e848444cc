//! The programs that are played: what installers are fetched and started with.

use super::expand::ansi_c;
use super::{Boot, Done, Flavor, Halt, INSTALLER, Ran, Shell};

/// Whose arguments are assignments.
pub(super) const DECLARING: [&str; 5] = ["export", "readonly", "local", "declare", "typeset"];

/// Programs of every system that change nothing of what is followed here.
const HARMLESS: [&str; 24] = [
    ":",
    "true",
    "apt",
    "apt-get",
    "chmod",
    "chown",
    "date",
    "dnf",
    "hostnamectl",
    "ip",
    "logger",
    "ls",
    "mkdir",
    "sleep",
    "swapoff",
    "swapon",
    "sync",
    "systemctl",
    "trap",
    "ufw",
    "ulimit",
    "umask",
    "wait",
    "cd",
];

impl Shell {
    pub(super) fn program(&mut self, boot: &mut Boot<'_>, words: &[String], input: String) -> Done<Ran> {
        let (name, arguments) = (words[0].rsplit('/').next().unwrap_or_default(), &words[1..]);
        if let Some(script) = boot.files.get(&words[0]).filter(|_| words[0].contains('/')).cloned() {
            return self.run_file(boot, &words[0], &script, arguments, input);
        }
        match name {
            name if HARMLESS.contains(&name) => Ok(Ran::silent(0)),
            "false" => Ok(Ran::silent(1)),
            name if DECLARING.contains(&name) => Ok(self.declare(name, arguments)),
            "unset" => {
                for name in arguments.iter().filter(|word| !word.starts_with('-')) {
                    self.variables.remove(name);
                }
                Ok(Ran::silent(0))
            }
            "set" => Ok(self.options_set(arguments)),
            "shift" => {
                if self.arguments.len() > 1 {
                    self.arguments.remove(1);
                }
                Ok(Ran::silent(0))
            }
            "exit" => Err(Halt::Exit(status(arguments, self.status))),
            "return" => Err(Halt::Return(status(arguments, self.status))),
            "break" => Err(Halt::Break),
            "continue" => Err(Halt::Continue),
            "eval" => self.text(boot, &arguments.join(" "), input),
            "source" | "[[" if self.flavor == Flavor::Sh => Ok(Ran::silent(127)),
            "." | "source" => self.sourced(boot, arguments, input),
            "command" | "builtin" | "nohup" | "time" | "setsid" | "stdbuf" | "ionice" => {
                self.handed_on(boot, arguments, input)
            }
            "exec" if arguments.is_empty() => Ok(Ran::silent(0)),
            "exec" => {
                let ran = self.handed_on(boot, arguments, input)?;
                Err(Halt::Exit(ran.status))
            }
            "timeout" | "nice" => {
                let start = arguments.iter().position(|word| !word.starts_with('-') && !is_number(word));
                self.handed_on(boot, &arguments[start.unwrap_or(arguments.len())..], input)
            }
            "env" => self.env(boot, arguments, input),
            "sudo" => self.sudo(boot, arguments, input),
            "sh" | "dash" => self.shell(boot, Flavor::Sh, arguments, input),
            "bash" => self.shell(boot, Flavor::Bash, arguments, input),
            "curl" => Ok(curl(boot, arguments)),
            "wget" => Ok(wget(boot, arguments)),
            "cat" => Ok(cat(boot, arguments, input)),
            "tee" => {
                let append = arguments.iter().any(|word| word == "-a" || word == "--append");
                for path in arguments.iter().filter(|word| !word.starts_with('-')) {
                    let before = boot.files.get(path).filter(|_| append).cloned().unwrap_or_default();
                    boot.write(path, &(before + &input));
                }
                Ok(Ran { out: input, status: 0 })
            }
            "echo" => Ok(echo(arguments)),
            "printf" => Ok(printf(arguments)),
            "mktemp" => {
                boot.made += 1;
                let path = format!("/tmp/tmp.{:06}", boot.made);
                boot.write(&path, "");
                Ok(Ran { out: path + "\n", status: 0 })
            }
            "rm" => {
                for path in arguments {
                    boot.files.remove(path);
                }
                Ok(Ran::silent(0))
            }
            "mv" | "cp" => Ok(copy(boot, arguments, name == "mv")),
            "test" | "[" => {
                Ok(Ran::silent(i32::from(!test(boot, arguments.strip_suffix(&["]".to_owned()]).unwrap_or(arguments)))))
            }
            INSTALLER => {
                if boot.outside.install(&self.environment()) {
                    Err(Halt::Over)
                } else {
                    Ok(Ran::silent(1))
                }
            }
            name => {
                if !boot.skipped.iter().any(|known| known == name) && boot.skipped.len() < 20 {
                    boot.skipped.push(name.to_owned());
                }
                Ok(Ran::silent(0))
            }
        }
    }

    fn declare(&mut self, command: &str, arguments: &[String]) -> Ran {
        let flags: Vec<&String> = arguments.iter().take_while(|word| word.starts_with('-')).collect();
        let has = |letter: char| flags.iter().any(|flag| flag.contains(letter));
        let (export, withdraw) = (command == "export" && !has('n') || has('x'), command == "export" && has('n'));
        for word in &arguments[flags.len()..] {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            if let Some(value) = value {
                self.set(name, value, export);
            }
            if let Some(variable) = self.variables.get_mut(name) {
                variable.exported = (variable.exported || export) && !withdraw;
            }
        }
        Ran::silent(0)
    }

    fn options_set(&mut self, arguments: &[String]) -> Ran {
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let on = word.starts_with('-');
            if word == "--" || !(on || word.starts_with('+')) {
                let rest = words.by_ref().cloned();
                let first = (word != "--").then(|| word.clone());
                self.arguments = self.arguments.iter().take(1).cloned().chain(first).chain(rest).collect();
                break;
            }
            for letter in word[1..].chars() {
                match letter {
                    'e' => self.stops_on_failure = on,
                    'a' => self.exports_all = on,
                    'o' => match words.next().map(String::as_str) {
                        Some("pipefail") => self.pipefail = on,
                        Some("errexit") => self.stops_on_failure = on,
                        Some("allexport") => self.exports_all = on,
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
        Ran::silent(0)
    }

    fn sourced(&mut self, boot: &mut Boot<'_>, arguments: &[String], input: String) -> Done<Ran> {
        let Some(text) = arguments.first().and_then(|path| boot.files.get(path)).cloned() else {
            return Ok(Ran::silent(1));
        };
        self.depth += 1;
        let ran = self.text(boot, &text, input);
        self.depth -= 1;
        match ran {
            Err(Halt::Return(status)) => Ok(Ran::silent(status)),
            other => other,
        }
    }

    fn handed_on(&mut self, boot: &mut Boot<'_>, words: &[String], input: String) -> Done<Ran> {
        let start = words.iter().position(|word| !word.starts_with('-')).unwrap_or(words.len());
        if start == words.len() { Ok(Ran::silent(0)) } else { self.program(boot, &words[start..], input) }
    }

    fn env(&mut self, boot: &mut Boot<'_>, arguments: &[String], input: String) -> Done<Ran> {
        let mut child = self.child();
        child.flavor = self.flavor;
        let mut words = arguments.iter().enumerate();
        while let Some((at, word)) = words.next() {
            match word.as_str() {
                "-i" | "-" | "--ignore-environment" => child.variables.clear(),
                "-u" | "--unset" => {
                    if let Some((_, name)) = words.next() {
                        child.variables.remove(name);
                    }
                }
                "--" => {}
                word if word.starts_with('-') => {}
                word => match word.split_once('=') {
                    Some((name, value)) => child.set(name, value, true),
                    None => return child.program(boot, &arguments[at..], input),
                },
            }
        }
        let lines = child.environment().into_iter().map(|(name, value)| format!("{name}={value}\n"));
        Ok(Ran { out: lines.collect(), status: 0 })
    }

    /// It hands on no variable unless it is told to: the trap of `curl ... | sudo bash`.
    fn sudo(&mut self, boot: &mut Boot<'_>, arguments: &[String], input: String) -> Done<Ran> {
        let mut child = self.child();
        child.flavor = self.flavor;
        let keeps = arguments.iter().take_while(|word| word.starts_with('-'));
        let keeps_all = keeps.clone().any(|word| word == "-E" || word == "--preserve-env");
        let kept: Vec<String> = keeps
            .filter_map(|word| word.strip_prefix("--preserve-env="))
            .flat_map(|names| names.split(',').map(str::to_owned))
            .collect();
        child.variables.retain(|name, _| keeps_all || name == "PATH" || kept.contains(name));
        let mut words = arguments.iter().enumerate();
        while let Some((at, word)) = words.next() {
            match word.as_str() {
                "-u" | "-g" | "-h" | "-p" => {
                    words.next();
                }
                word if word.starts_with('-') => {}
                word => match word.split_once('=') {
                    Some((name, value)) => child.set(name, value, true),
                    None => return child.program(boot, &arguments[at..], input),
                },
            }
        }
        Ok(Ran::silent(0))
    }

    /// Another shell: a text, a file, or what it is fed.
    fn shell(&mut self, boot: &mut Boot<'_>, flavor: Flavor, arguments: &[String], input: String) -> Done<Ran> {
        let mut child = Shell { flavor, ..self.child() };
        let mut is_text = false;
        let mut words = arguments.iter().enumerate();
        let mut start = arguments.len();
        while let Some((at, word)) = words.next() {
            let flags = match word.as_str() {
                "-" | "--" => continue,
                "-o" | "+o" => {
                    child.options_set(&arguments[at..(at + 2).min(arguments.len())]);
                    words.next();
                    continue;
                }
                word if word.starts_with("--") => continue,
                word => word.strip_prefix('-'),
            };
            let Some(flags) = flags else {
                start = at;
                break;
            };
            is_text = is_text || flags.contains('c');
            child.stops_on_failure = child.stops_on_failure || flags.contains('e');
            if flags.contains('s') {
                start = arguments.len();
                child.arguments.extend_from_slice(&arguments[at + 1..]);
                break;
            }
        }
        let operands = &arguments[start..];
        match operands.first() {
            Some(text) if is_text => {
                child.arguments = vec!["sh".to_owned()];
                if let Some(more) = operands.get(1..).filter(|more| !more.is_empty()) {
                    child.arguments = more.to_vec();
                }
                child.script(boot, text, input)
            }
            Some(path) => match boot.files.get(path).cloned() {
                Some(text) => {
                    child.arguments = operands.to_vec();
                    child.script(boot, &text, input)
                }
                None => Ok(Ran::silent(127)),
            },
            None => child.script(boot, &input, String::new()),
        }
    }

    /// A script that is called by its path.
    fn run_file(
        &mut self,
        boot: &mut Boot<'_>,
        path: &str,
        text: &str,
        arguments: &[String],
        input: String,
    ) -> Done<Ran> {
        let mut child = self.child();
        child.flavor = flavor_of(text).unwrap_or(self.flavor);
        child.arguments = std::iter::once(path.to_owned()).chain(arguments.iter().cloned()).collect();
        child.script(boot, text, input)
    }
}

/// The shell that a script asks for in its first line.
pub(in crate::guest) fn flavor_of(script: &str) -> Option<Flavor> {
    let first = script.lines().next()?.strip_prefix("#!")?;
    let program =
        first.split_whitespace().filter(|word| !word.ends_with("/env")).find(|word| !word.starts_with('-'))?;
    match program.rsplit('/').next()? {
        "bash" => Some(Flavor::Bash),
        "sh" | "dash" => Some(Flavor::Sh),
        _ => None,
    }
}

fn status(arguments: &[String], otherwise: i32) -> i32 {
    arguments.first().and_then(|word| word.parse().ok()).unwrap_or(otherwise)
}

fn is_number(word: &str) -> bool {
    word.trim_end_matches(['s', 'm', 'h']).parse::<f64>().is_ok()
}

fn curl(boot: &mut Boot<'_>, arguments: &[String]) -> Ran {
    /// Options that take a word of their own.
    const TAKING: [&str; 14] = [
        "--retry",
        "--retry-delay",
        "--retry-max-time",
        "--max-time",
        "--connect-timeout",
        "--header",
        "--user-agent",
        "--proto",
        "--cacert",
        "-H",
        "-A",
        "-m",
        "-e",
        "-x",
    ];
    let (mut fails, mut into, mut names, mut urls) = (false, None, false, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fail" | "--fail-with-body" => fails = true,
            "--output" => into = words.next().cloned(),
            "--remote-name" => names = true,
            "--url" => urls.extend(words.next().cloned()),
            word if TAKING.contains(&word) => {
                words.next();
            }
            word if word.starts_with("--") => {}
            word if word.len() > 1 && word.starts_with('-') => {
                let flags = &word[1..];
                fails = fails || flags.contains('f');
                names = names || flags.contains('O');
                if let Some((_, path)) = flags.split_once('o') {
                    into = if path.is_empty() { words.next().cloned() } else { Some(path.to_owned()) };
                }
            }
            url => urls.push(url.to_owned()),
        }
    }
    let mut out = String::new();
    for url in &urls {
        match boot.fetch(url) {
            Some(text) => out.push_str(&text),
            None if fails => return Ran::silent(22),
            None => out.push_str("404: Not Found"),
        }
    }
    let into = into.filter(|path| path != "-").or_else(|| names.then(|| base_name(urls.first())));
    match into {
        Some(path) => {
            boot.write(&path, &out);
            Ran::silent(0)
        }
        None => Ran { out, status: 0 },
    }
}

fn wget(boot: &mut Boot<'_>, arguments: &[String]) -> Ran {
    let (mut into, mut urls) = (None, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--output-document" | "-O" | "-qO" | "-nvO" => into = words.next().cloned(),
            "--tries" | "-t" | "-T" | "--header" | "-U" => {
                words.next();
            }
            "-qO-" | "-O-" | "-nvO-" => into = Some("-".to_owned()),
            word if word.starts_with("--output-document=") => {
                into = word.split_once('=').map(|(_, path)| path.to_owned())
            }
            word if word.starts_with('-') => {}
            url => urls.push(url.to_owned()),
        }
    }
    let texts: Option<Vec<String>> = urls.iter().map(|url| boot.fetch(url)).collect();
    let Some(texts) = texts else { return Ran::silent(8) };
    match into {
        Some(path) if path == "-" => Ran { out: texts.concat(), status: 0 },
        into => {
            boot.write(&into.unwrap_or_else(|| base_name(urls.first())), &texts.concat());
            Ran::silent(0)
        }
    }
}

fn base_name(url: Option<&String>) -> String {
    url.and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn cat(boot: &Boot<'_>, arguments: &[String], input: String) -> Ran {
    let paths: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-') || *word == "-").collect();
    if paths.is_empty() {
        return Ran { out: input, status: 0 };
    }
    let mut ran = Ran::silent(0);
    for path in paths {
        match boot.files.get(path) {
            _ if path == "-" => ran.out.push_str(&input),
            Some(text) => ran.out.push_str(text),
            None => ran.status = 1,
        }
    }
    ran
}

fn echo(arguments: &[String]) -> Ran {
    let flags = arguments.iter().take_while(|word| matches!(word.as_str(), "-n" | "-e" | "-ne" | "-en"));
    let (count, all) = (flags.clone().count(), flags.map(String::as_str).collect::<String>());
    let mut out = arguments[count..].join(" ");
    if all.contains('e') {
        out = ansi_c(&out);
    }
    if !all.contains('n') {
        out.push('\n');
    }
    Ran { out, status: 0 }
}

/// As far as texts need it: `%s`, `%b`, `%d` and `%%`, the format again while there are arguments.
fn printf(arguments: &[String]) -> Ran {
    let Some((format, mut rest)) = arguments.split_first() else { return Ran::silent(2) };
    let format = ansi_c(format);
    let mut out = String::new();
    loop {
        let before = rest.len();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            match characters.next() {
                Some('%') => out.push('%'),
                Some(kind @ ('s' | 'b' | 'd' | 'q')) => {
                    if let Some((first, others)) = rest.split_first() {
                        out.push_str(&if kind == 'b' { ansi_c(first) } else { first.clone() });
                        rest = others;
                    }
                }
                _ => return Ran { out, status: 1 },
            }
        }
        if rest.is_empty() || rest.len() == before {
            return Ran { out, status: 0 };
        }
    }
}

fn copy(boot: &mut Boot<'_>, arguments: &[String], moves: bool) -> Ran {
    let paths: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let [from, to] = paths[..] else { return Ran::silent(1) };
    let Some(text) = boot.files.get(from).cloned() else { return Ran::silent(1) };
    boot.write(to, &text);
    if moves {
        boot.files.remove(from);
    }
    Ran::silent(0)
}

/// What `[` asks.
fn test(boot: &Boot<'_>, words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => false,
        ["!", ..] => !test(boot, &words[1..].iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()),
        [word] => !word.is_empty(),
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        ["-s", path] => boot.files.get(path).is_some_and(|text| !text.is_empty()),
        ["-e" | "-f" | "-r" | "-w" | "-x" | "-d", path] => boot.files.contains_key(path),
        [left, "=" | "==" | "-eq", right] => left == right,
        [left, "!=" | "-ne", right] => left != right,
        _ => false,
    }
}
