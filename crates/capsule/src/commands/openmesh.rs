mod table;

use std::ffi::OsString;

use capsule_core::{Error, ErrorKind, nearest};
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::table::{Flag, KEY_GIVEN, KEYS, NAMELESS, NO_PACKAGES, Now, PACKAGES, ROWS, Row};
use super::{Outcome, confirm};
use crate::cli::{Cli, Command, Global};
use crate::failure::Failure;
use crate::output;

/// The commands of the original, carried out by those of today
///
/// Each either does what it is called, and says which command does it, or says in one line what there is instead and exits
/// with 2. `capsule openmesh providers`, `templates`, `deploy`, `inventory`, `cost-report`, `provider configure`, `monitor`
/// and `xnode`.
#[derive(Debug, Args)]
pub struct Openmesh {
    #[command(subcommand)]
    command: Option<Original>,
}

/// What the original's commands for NixOS are called elsewhere
#[derive(Debug, Args)]
pub struct Nixos {
    #[command(subcommand)]
    command: Option<Original>,
}

/// Words of the original, with their flags.
#[derive(Debug, Subcommand)]
pub(super) enum Original {
    #[command(external_subcommand)]
    Words(Vec<OsString>),
}

impl Openmesh {
    pub(super) fn words(self) -> Vec<OsString> {
        words("openmesh", self.command)
    }
}

impl Nixos {
    pub(super) fn words(self) -> Vec<OsString> {
        words("nixos", self.command)
    }
}

fn words(first: &str, command: Option<Original>) -> Vec<OsString> {
    let rest = command.map(|Original::Words(words)| words).unwrap_or_default();
    std::iter::once(first.into()).chain(rest).collect()
}

/// Carries a command of the original out by today's.
pub(super) async fn run(global: Global, words: Vec<OsString>) -> Outcome {
    let words = words.into_iter().map(OsString::into_string).collect::<Result<Vec<String>, _>>();
    let words = words.map_err(|_| Error::new(ErrorKind::Invalid, "What was typed is not UTF-8."))?;
    let Today { args, asks } = today(&words)?;
    // What is said of the whole program stands before the command; the database's URL may hold a password and stays apart.
    let (before, database) = (prefix(&global), global.database);
    let all = std::iter::once("capsule".to_owned()).chain(before).chain(args.iter().cloned());
    let mut cli = match Cli::try_parse_from(all) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Err(Failure { errors: Vec::new(), code: 2 }) } else { Ok(()) };
        }
    };
    cli.global.database = cli.global.database.or(database);
    output::set_format(cli.global.output);
    let shown = format!("capsule {}", args.join(" "));
    output::note(format!("This is `{shown}` today."));
    if asks && !args.iter().any(|arg| arg == "--dry-run") {
        confirm::can_order(&shown)?;
        if let Command::Deploy(deploy) = &mut cli.command {
            deploy.ask = true;
        }
    }
    Box::pin(super::run(cli)).await
}

/// Today's command for one of the original.
#[derive(Debug, PartialEq, Eq)]
struct Today {
    /// Its words and flags, after `capsule`.
    args: Vec<String>,
    /// Whether the user has to agree first.
    asks: bool,
}

/// What was typed, in today's words.
///
/// # Errors
/// [`ErrorKind::Unsupported`] with the line that says what there is instead, [`ErrorKind::Invalid`] for what never was one.
fn today(words: &[String]) -> Result<Today, Error> {
    if words.iter().any(|word| KEYS.iter().any(|flag| is_flag(word, flag))) {
        return Err(Error::new(ErrorKind::Unsupported, KEY_GIVEN));
    }
    let (row, typed) = row_of(words)?;
    let runs = match &row.now {
        Now::Says(line) => return Err(Error::new(ErrorKind::Unsupported, *line)),
        Now::Runs(runs) => runs,
    };
    let mut args: Vec<String> = runs.command.split(' ').map(str::to_owned).collect();
    let mut asks = runs.orders;
    let mut is_named = typed.first().is_some_and(|word| !word.starts_with('-'));
    let mut typed = typed.iter();
    while let Some(word) = typed.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        if asks && matches!(name, "--yes" | "-y") {
            asks = false;
            continue;
        }
        let Some((_, flag)) = runs.flags.iter().find(|(names, _)| names.contains(&name)) else {
            args.push(word.clone());
            continue;
        };
        let mut value = || {
            value.clone().or_else(|| typed.next().cloned()).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("{name} needs a value.")).with_hint("Write it after the flag.")
            })
        };
        match flag {
            Flag::Always => {}
            Flag::Gone(line) => return Err(Error::new(ErrorKind::Unsupported, *line)),
            Flag::Value => {
                is_named = true;
                args.push(value()?);
            }
            Flag::Is(flag) => args.extend([(*flag).to_owned(), value()?]),
            Flag::Seconds(flag) => args.extend([(*flag).to_owned(), format!("{}s", value()?)]),
            Flag::Each(flag) => {
                let values = value()?;
                let each = values.split(',').map(str::trim).filter(|value| !value.is_empty());
                args.extend(each.flat_map(|value| [(*flag).to_owned(), value.to_owned()]));
            }
        }
    }
    let is_given = |args: &[String], flag: &str| args.iter().any(|arg| is_flag(arg, flag));
    for (flag, value) in runs.unless_given {
        if !is_given(&args, flag) && !is_given(&args, "--plan") {
            args.extend([(*flag).to_owned(), (*value).to_owned()]);
        }
    }
    if runs.orders && !is_named {
        args.push(NAMELESS.to_owned());
    }
    Ok(Today { args, asks })
}

/// What is said of a command that set up packages, which the original did as well; `None` for what it never had.
pub(crate) fn packages(word: &str) -> Option<Error> {
    PACKAGES.split(' ').any(|known| known == word).then(|| Error::new(ErrorKind::Unsupported, NO_PACKAGES))
}

fn is_flag(arg: &str, flag: &str) -> bool {
    arg.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// The row with the most words of what was typed, and what is left of it.
fn row_of(words: &[String]) -> Result<(&'static Row, &[String]), Error> {
    let words = match words {
        [first, second, ..] if first == "openmesh" && second == "xnode" => &words[1..],
        _ => words,
    };
    let plain = words.iter().take_while(|word| !word.starts_with('-')).count();
    let row = (1..=plain.min(3)).rev().find_map(|count| {
        let typed = words[..count].join(" ");
        ROWS.iter().find(|row| row.was == typed).map(|row| (row, &words[count..]))
    });
    match row {
        // A group's name with a word after it that is none of its commands; some were moved into the other group.
        Some((Row { was: "openmesh", .. }, [next, rest @ ..])) if !next.starts_with('-') => {
            let moved = format!("xnode {next}");
            ROWS.iter().find(|row| row.was == moved).map(|row| (row, rest)).ok_or_else(|| unknown(words))
        }
        Some(found) => Ok(found),
        None => Err(unknown(words)),
    }
}

fn unknown(words: &[String]) -> Error {
    let typed: Vec<&str> = words.iter().take(3).take_while(|word| !word.starts_with('-')).map(String::as_str).collect();
    let typed = typed.join(" ");
    let group = words.first().map(String::as_str).unwrap_or_default();
    let known = ROWS.iter().map(|row| row.was).filter(|was| was.starts_with(group));
    Error::new(ErrorKind::Invalid, format!("The original had no `{typed}`.")).with_hint(nearest::hint(&typed, known))
}

/// The flags of the whole program, as they are typed.
fn prefix(global: &Global) -> Vec<String> {
    let output = global.output.to_possible_value().expect("no format is hidden");
    let mut flags = vec!["--output".to_owned(), output.get_name().to_owned()];
    if global.sandbox {
        flags.push("--sandbox".to_owned());
    }
    for (flag, path) in [("--config", &global.config), ("--home", &global.home)] {
        if let Some(path) = path {
            flags.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
        }
    }
    flags.extend((0..global.verbose).map(|_| "--verbose".to_owned()));
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &str) -> Vec<String> {
        typed.split(' ').map(str::to_owned).collect()
    }

    /// Every command that the original had, Python or Rust, as it was typed, and what it leads to.
    const TYPED: &[(&str, &str)] = &[
        ("openmesh", "providers"),
        ("openmesh configure --region us-east-1", "-"),
        ("openmesh xnodes --status running --region nyc1", "list --managed --status running --region nyc1"),
        ("openmesh providers --detailed", "providers"),
        ("openmesh provider configure vultr", "provider login vultr"),
        ("openmesh provider templates linode", "plans --provider linode"),
        (
            "openmesh templates --provider vultr --min-cpu 2 --min-memory 4 --max-price 0.1 --gpu",
            "plans --provider vultr --min-cpu 2 --min-memory 4 --max-hourly 0.1 --gpu",
        ),
        (
            "openmesh inventory --provider aws --status running --tags prod,web",
            "inventory --provider aws --status running --any-tag prod --any-tag web",
        ),
        ("openmesh cost-report", "cost"),
        (
            "openmesh deploy --name web --max-price=0.05 --provider vultr --tags a,b",
            "deploy web --max-hourly 0.05 --provider vultr --tag a --tag b --min-cpu 2 --min-memory 4",
        ),
        ("openmesh deploy --name web --min-cpu 8", "deploy web --min-cpu 8 --min-memory 4"),
        ("openmesh deploy --name web --gpu", "deploy web --gpu --min-cpu 2 --min-memory 4"),
        (
            "openmesh deploy -n web -p vultr -t vultr-vc2-2 -r ewr",
            "deploy web --provider vultr --plan vultr-vc2-2 --region ewr",
        ),
        (
            "openmesh deploy --min-cpu 4 --budget 0.10",
            "deploy --min-cpu 4 --max-hourly 0.10 --min-memory 4 xnode-instance",
        ),
        ("openmesh deploy --name web --profile webserver", "-"),
        ("openmesh xnode browse --region nyc1", "plans --region nyc1"),
        ("openmesh xnode browse --size small", "-"),
        (
            "openmesh xnode deploy --template do-basic-2 --name web --region nyc1",
            "deploy --plan do-basic-2 web --region nyc1",
        ),
        ("openmesh xnode deploy --template do-basic-2 --name web --auto-configure", "-"),
        (
            "openmesh xnode deploy-with-provider --provider vultr --template vultr-vc2-2 --name web --region ewr --tags a",
            "deploy --provider vultr --plan vultr-vc2-2 web --region ewr --tag a",
        ),
        ("openmesh xnode deploy-with-provider --provider vultr --template vultr-vc2-2 --name web --profile web", "-"),
        ("openmesh xnode launch web", "start web"),
        ("openmesh xnode restart web", "reboot web"),
        ("openmesh xnode restart web --force", "-"),
        ("openmesh xnode stop web", "stop web"),
        ("openmesh xnode tunnel web --local-port 8080 --remote-port 80 --background", "-"),
        ("openmesh xnode manage web", "show web"),
        ("openmesh monitor status --detailed", "health --all"),
        ("openmesh monitor health web --run-check", "health web"),
        ("openmesh monitor metrics web --collect", "health web"),
        ("openmesh monitor alerts --severity critical --xnode-id web", "-"),
        ("openmesh monitor ack 1", "-"),
        ("openmesh monitor resolve 1", "-"),
        ("openmesh monitor config --show --check-interval 60 --cpu-warning 75 --enable-email", "-"),
        ("openmesh monitor watch --interval 5", "health --all --watch --interval 5s"),
        ("nixos generate -o out --hostname web --all", "-"),
        ("nixos validate configuration.nix", "-"),
        ("nixos test out", "-"),
        ("nixos apply out --target web --port 22 --dry-run", "-"),
        ("nixos rollback -g 3", "-"),
        ("nixos list-generations", "-"),
        ("xnode providers", "providers"),
        ("xnode templates --gpu", "plans --gpu"),
        (
            "xnode deploy -p vultr -t vultr-vc2-2 -n web -r ewr --min-cpu 2 --min-memory 4",
            "deploy --provider vultr --plan vultr-vc2-2 web --region ewr --min-cpu 2 --min-memory 4",
        ),
        ("xnode deploy -n web --budget 20", "deploy web --max-hourly 20 --min-cpu 1 --min-memory 1"),
        ("xnode list --status running --provider aws", "inventory --status running --provider aws"),
        ("xnode ls", "inventory"),
        ("xnode inventory", "inventory"),
        ("xnode cost-report", "cost"),
        ("xnode stats", "cost"),
        ("xnode export servers.json", "-"),
        ("xnode import inventory.json", "import inventory --adopt inventory.json"),
        ("xnode history --limit 5", "ops --limit 5"),
        ("xnode history --xnode-id 7", "-"),
        ("xnode history --provider aws", "-"),
        ("xnode cleanup 90", "-"),
        ("openmesh stats", "cost"),
        ("openmesh export servers.csv", "-"),
        ("openmesh import servers.csv", "import inventory --adopt servers.csv"),
        ("openmesh history --limit 5", "ops --limit 5"),
        ("openmesh cleanup 30", "-"),
    ];

    #[test]
    fn every_command_of_the_original_runs_one_of_today_or_says_what_there_is() {
        for (typed, leads_to) in TYPED {
            match (today(&words(typed)), *leads_to) {
                (Err(error), "-") => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{typed}: {error}");
                    assert!(error.hint().is_none() && !error.message().contains('\n'), "{typed}: one line says it all");
                }
                (Ok(today), expected) => {
                    assert_eq!(today.args.join(" "), expected, "{typed}");
                    let all = std::iter::once("capsule".to_owned()).chain(today.args);
                    assert!(Cli::try_parse_from(all).is_ok(), "`{typed}` leads to what cannot be typed");
                }
                (Err(error), _) => panic!("{typed}: {error}"),
            }
        }
        for row in ROWS {
            let is_tried =
                TYPED.iter().any(|(typed, _)| row_of(&words(typed)).is_ok_and(|(found, _)| found.was == row.was));
            assert!(is_tried, "`{}` is tried by nothing", row.was);
        }
    }

    #[test]
    fn a_key_in_the_arguments_is_refused_and_not_repeated() {
        for typed in [
            "openmesh provider configure vultr --api-key CANARY",
            "openmesh configure --api-key=CANARY --api-secret CANARY",
            "openmesh providers --api-secret CANARY",
        ] {
            let error = today(&words(typed)).unwrap_err();
            assert!(
                error.message().contains("provider login") && !format!("{error:?}").contains("CANARY"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn orders_ask_as_they_did() {
        for (typed, asks) in [
            ("openmesh deploy --name web", true),
            ("openmesh deploy --name web --yes", false),
            ("xnode deploy -n web -y", false),
            ("openmesh xnode stop web", false),
        ] {
            let today = today(&words(typed)).unwrap();
            assert_eq!(today.asks, asks, "{typed}");
            assert!(!today.args.iter().any(|arg| arg == "--yes" || arg == "-y"));
        }
    }

    #[test]
    fn what_never_was_one_is_told_with_the_nearest() {
        let error = today(&words("openmesh provders --detailed")).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Invalid, Some("Did you mean `openmesh providers`?")));
        assert!(today(&words("xnode fly")).is_err());
        assert!(today(&words("nixos")).is_err());
    }
}
