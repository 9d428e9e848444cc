//! Every command that the original had for OpenMesh and NixOS, and what it is now.

/// One command of the original.
#[derive(Debug)]
pub(super) struct Row {
    /// Its words after `capsule`; `xnode ...` is also reached as `openmesh xnode ...`, and as `openmesh ...` where that is
    /// nothing else: the original was changed from one to the other.
    pub(super) was: &'static str,
    /// What it is now.
    pub(super) now: Now,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Now {
    /// It is carried out by this one.
    Runs(Runs),
    /// There is none like it: the one line that says what to do instead.
    Says(&'static str),
}

/// How a command is carried out today.
#[derive(Debug)]
pub(super) struct Runs {
    /// The words of today's command.
    pub(super) command: &'static str,
    /// What became of its flags, by every name they had; others are passed on as they are.
    pub(super) flags: &'static [(&'static [&'static str], Flag)],
    /// Today's flags where none of them is given, since the original assumed them.
    pub(super) unless_given: &'static [(&'static str, &'static str)],
    /// Whether it orders a server: the original asked before it did, and had a name for one that was given none.
    pub(super) orders: bool,
}

/// What became of a flag.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flag {
    /// It is called so now.
    Is(&'static str),
    /// Its value stands without a flag.
    Value,
    /// Each of its values, parted by commas, has a flag of its own.
    Each(&'static str),
    /// Its value counts seconds.
    Seconds(&'static str),
    /// Today's command does it without being asked to.
    Always,
    /// It is refused, with this line.
    Gone(&'static str),
}

use Flag::{Always, Each, Gone, Is, Seconds, Value};

type Flags = &'static [(&'static [&'static str], Flag)];

const fn runs(was: &'static str, command: &'static str, flags: Flags) -> Row {
    Row { was, now: Now::Runs(Runs { command, flags, unless_given: &[], orders: false }) }
}

const fn orders(was: &'static str, unless_given: &'static [(&'static str, &'static str)]) -> Row {
    Row { was, now: Now::Runs(Runs { command: "deploy", flags: ORDER, unless_given, orders: true }) }
}

const fn says(was: &'static str, line: &'static str) -> Row {
    Row { was, now: Now::Says(line) }
}

/// Flags that took a secret, which no command takes as an argument.
pub(super) const KEYS: [&str; 2] = ["--api-key", "--api-secret"];

/// What is said of them.
pub(super) const KEY_GIVEN: &str = "Keys are not taken as arguments, where others on this machine can read them: `capsule provider login NAME` asks for it, \
     or takes it from standard input; replace a key that was shown so.";

/// What the original's three commands for an order took, one or the other of them.
const ORDER: Flags = &[
    (&["--name", "-n"], Value),
    (&["--template", "-t"], Is("--plan")),
    (&["--provider", "-p"], Is("--provider")),
    (&["--region", "-r"], Is("--region")),
    // Both were for an hour.
    (&["--max-price", "--budget"], Is("--max-hourly")),
    (&["--tags"], Each("--tag")),
    (
        &["--profile"],
        Gone(
            "--profile never had an effect: leave it out. What a server is to be is said with --owner, --image or \
             --user-data.",
        ),
    ),
    (
        &["--auto-configure"],
        Gone("--auto-configure never had an effect: --owner eth:ADDRESS makes the server an xNode of yours."),
    ),
];

/// What a server is called that was given no name.
pub(super) const NAMELESS: &str = "xnode-instance";

const FORCE: Flag =
    Gone("A reboot cannot be forced: `capsule stop ID --force` cuts the power, `capsule start ID` starts it again.");
const ALERTS: &str = "This program keeps no alerts, as Python's `capsule_package.monitoring` does: `capsule health --all` tells what is wrong \
     now and exits 1 then; --watch looks again.";

/// What the original did beside OpenMesh: it set up packages on machines.
pub(super) const PACKAGES: &str = "add backup bootstrap check config docs edit pkg plant preview profile profiles remove reset \
     restore setup sprout sprouts stacks update";

/// What is said of that.
pub(super) const NO_PACKAGES: &str = "Capsule sets up no packages on machines any more: `nix profile install` does, and Python's \
     `capsule_package.nixos_generator` writes a profile's NixOS files.";

/// Every command that the original had for OpenMesh and NixOS.
pub(super) const ROWS: &[Row] = &[
    runs("openmesh", "providers", &[]),
    says(
        "openmesh configure",
        "There is no OpenMesh account to configure: `capsule provider login NAME` stores a provider's key.",
    ),
    runs("openmesh xnodes", "list --managed", &[]),
    runs("openmesh providers", "providers", &[(&["--detailed"], Always)]),
    runs("openmesh provider configure", "provider login", &[]),
    runs("openmesh provider templates", "plans --provider", &[]),
    runs("openmesh templates", "plans", &[(&["--max-price"], Is("--max-hourly"))]),
    runs("openmesh inventory", "inventory", &[(&["--tags"], Each("--any-tag"))]),
    runs("openmesh cost-report", "cost", &[]),
    orders("openmesh deploy", &[("--min-cpu", "2"), ("--min-memory", "4")]),
    runs("openmesh monitor status", "health --all", &[(&["--detailed"], Always)]),
    runs("openmesh monitor health", "health", &[(&["--run-check"], Always)]),
    runs("openmesh monitor metrics", "health", &[(&["--collect"], Always)]),
    runs("openmesh monitor watch", "health --all --watch", &[(&["--interval"], Seconds("--interval"))]),
    says("openmesh monitor alerts", ALERTS),
    says("openmesh monitor ack", ALERTS),
    says("openmesh monitor resolve", ALERTS),
    says(
        "openmesh monitor config",
        "This program has no thresholds, as Python's `capsule_package.monitoring` has in monitoring.yml: `capsule health --all \
         -o json` gives the figures to whatever sends your alerts.",
    ),
    runs("xnode providers", "providers", &[(&["--detailed"], Always)]),
    runs("xnode templates", "plans", &[(&["--max-price"], Is("--max-hourly"))]),
    runs(
        "xnode browse",
        "plans",
        &[(&["--size"], Gone("Sizes had no effect: --min-cpu N and --min-memory GB say what a server needs."))],
    ),
    orders("xnode deploy", &[("--min-cpu", "1"), ("--min-memory", "1")]),
    orders("xnode deploy-with-provider", &[]),
    runs("xnode launch", "start", &[]),
    runs("xnode restart", "reboot", &[(&["--force", "-f"], FORCE)]),
    runs("xnode stop", "stop", &[]),
    runs("xnode manage", "show", &[]),
    says(
        "xnode tunnel",
        "An xNode has no SSH to tunnel through: it answers on ports 80 and 443, and `capsule xnode domain ID NAME` gives it \
         a name.",
    ),
    runs("xnode list", "inventory", &[]),
    runs("xnode ls", "inventory", &[]),
    runs("xnode inventory", "inventory", &[(&["--tags"], Each("--any-tag"))]),
    runs("xnode cost-report", "cost", &[]),
    runs("xnode stats", "cost", &[]),
    says("xnode export", "`capsule inventory -o csv > FILE` writes the inventory; -o json and -o yaml as well."),
    runs("xnode import", "import inventory --adopt", &[]),
    runs(
        "xnode history",
        "ops",
        &[
            (&["--xnode-id"], Gone("The journal is searched by name: `capsule ops --name NAME`.")),
            (&["--provider"], Gone("The journal is searched by name: `capsule ops --name NAME`.")),
        ],
    ),
    says("xnode cleanup", "Nothing is to be cleaned up: the journal is what `capsule cost` reckons the past from."),
    says(
        "nixos generate",
        "This program writes no NixOS files, as Python's `capsule_package.nixos_generator` does; an xNode brings its own, and \
         `initial_config` under `xnode:` in providers.yml adds Nix lines of yours.",
    ),
    says("nixos validate", "Nix itself checks a file: `nix-instantiate --parse FILE`."),
    says("nixos test", "NixOS itself builds a machine to try: `nixos-rebuild build-vm`."),
    says(
        "nixos apply",
        "NixOS itself applies a configuration: `nixos-rebuild switch --target-host HOST`; an xNode has no SSH, and is changed \
         through its manager.",
    ),
    says("nixos rollback", "NixOS itself goes back: `nixos-rebuild switch --rollback`."),
    says("nixos list-generations", "NixOS itself lists them: `nixos-rebuild list-generations`."),
];
