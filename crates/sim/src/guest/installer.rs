//! What comes of a server's user-data: the old system for ever, a dead machine, or a node.

use std::collections::BTreeMap;

use super::cloud_init::first_boot;
use super::shell::{Boot, INSTALLER, Outside};
use crate::guest::Trouble;

/// Where the installer lies, and has lain.
const INSTALLERS: [&str; 4] = [
    "https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh",
    "https://raw.githubusercontent.com/Openmesh-Network/xnodeos/refs/heads/main/install.sh",
    "https://raw.githubusercontent.com/Openmesh-Network/xnode-manager/main/os/install.sh",
    "https://opnm.sh/install",
];

/// Less memory than this is too little to load the installer into.
const LEAST_MEMORY_MIB: u64 = 1025;

/// The two lines of XnodeOS. They read different variables and offer different APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// What `VERSION=v1...` installs: reads `XNODE_OWNER`, `ACME_EMAIL`, `USER_PASSWD`, `ENCRYPTED`.
    V1,
    /// What any later version installs, and no version at all: reads `OWNER`, `EMAIL`, `DEBUG`.
    V2,
}

/// What a node was told at its birth, under the names that its installer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which line was installed.
    pub line: Line,
    /// Whose it is; nobody's, and so everybody's, if open.
    pub owner: Option<String>,
    /// The name it answers to, beside `manager.xnode.local`.
    pub domain: Option<String>,
    /// For certificates.
    pub acme_email: Option<String>,
    /// For the console.
    pub user_passwd: Option<String>,
    /// Nix of the user's.
    pub initial_config: Option<String>,
    /// Everything that was exported to the installer, read or not.
    pub environment: BTreeMap<String, String>,
}

/// What comes of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// It stays what it was ordered as, with port 22 open; and why.
    Never(String),
    /// The installer starts, and nothing answers any more; and why.
    Dies(String),
    /// A node.
    Node(Told),
}

/// What of a server an installation depends on, beside the user-data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hardware {
    pub(crate) memory_mib: u64,
    pub(crate) is_x86_64: bool,
}

/// What comes of a server with that user-data.
pub(crate) fn install(user_data: Option<&str>, hardware: Hardware, troubles: &[Trouble]) -> Install {
    let Some(user_data) = user_data.filter(|text| !text.is_empty()) else {
        return Install::Never("the server was ordered without user-data".to_owned());
    };
    let first = first_boot(user_data);
    let mut web = Web { is_there: !troubles.contains(&Trouble::NoInstaller), hardware, install: None, missed: None };
    let mut boot = Boot::new(&mut web);
    for (path, text) in &first.files {
        boot.write(path, text);
    }
    let mut goes_on = true;
    for (flavor, script) in &first.scripts {
        goes_on = goes_on && boot.run(script, *flavor);
    }
    let skipped = boot.skipped().join(", ");
    let mut install = web.install.unwrap_or_else(|| {
        let why = match (web.missed, first.problems.first(), goes_on) {
            (Some(url), _, _) => format!("there is no installer at {url}"),
            (None, Some(problem), _) => format!("the user-data cannot be used: {problem}"),
            (None, None, false) => "the user-data never comes to an end".to_owned(),
            (None, None, true) if skipped.is_empty() => "the user-data runs no installer".to_owned(),
            (None, None, true) => format!("the user-data runs no installer; {skipped} are not followed here"),
        };
        Install::Never(why)
    });
    if let Install::Node(told) = &mut install {
        if troubles.contains(&Trouble::DeadInstall) {
            return Install::Dies("a fault says so".to_owned());
        }
        if troubles.contains(&Trouble::Unclaimed) {
            told.owner = None;
        }
    }
    install
}

/// The web as first boots see it: an installer, and nothing else.
struct Web {
    is_there: bool,
    hardware: Hardware,
    install: Option<Install>,
    /// The last address with nothing behind it.
    missed: Option<String>,
}

impl Outside for Web {
    fn fetch(&self, url: &str) -> Option<String> {
        let is_known = self.is_there && INSTALLERS.contains(&url);
        is_known.then(|| format!("#!/usr/bin/env bash\n{INSTALLER}\n"))
    }

    fn missed(&mut self, url: &str) {
        self.missed = Some(url.to_owned());
    }

    fn install(&mut self, environment: &BTreeMap<String, String>) -> bool {
        let install = installed(environment, self.hardware);
        let is_gone = !matches!(install, Install::Never(_));
        self.install = Some(install);
        is_gone
    }
}

/// What the installer makes of its variables.
fn installed(environment: &BTreeMap<String, String>, hardware: Hardware) -> Install {
    let read = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let version = read("VERSION");
    let line = match version.as_deref().map(|version| version.trim_start_matches('v').split('.').next().unwrap_or("")) {
        Some("1") => Line::V1,
        None | Some("2") => Line::V2,
        Some(_) => return Install::Never(format!("there is no release {}", version.unwrap_or_default())),
    };
    if !hardware.is_x86_64 {
        return Install::Never("releases hold no installer for this processor".to_owned());
    }
    if hardware.memory_mib < LEAST_MEMORY_MIB {
        return Install::Dies(format!("{} MiB of memory cannot hold the installer", hardware.memory_mib));
    }
    let (owner, email, password) = match line {
        Line::V1 => ("XNODE_OWNER", "ACME_EMAIL", "USER_PASSWD"),
        Line::V2 => ("OWNER", "EMAIL", "DEBUG"),
    };
    match line {
        Line::V1 if read("ENCRYPTED").is_some() => {
            return Install::Dies("encryption needs a TPM, and simulated servers have none".to_owned());
        }
        Line::V2 if read("DEBUG").is_some() => {
            return Install::Dies("with DEBUG the installer waits for a person instead of rebooting".to_owned());
        }
        _ => {}
    }
    Install::Node(Told {
        line,
        owner: read(owner),
        domain: read("DOMAIN"),
        acme_email: read(email),
        user_passwd: read(password),
        initial_config: read("INITIAL_CONFIG"),
        environment: environment.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: Hardware = Hardware { memory_mib: 4096, is_x86_64: true };
    const OWNER: &str = "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";

    /// One entry of `runcmd`, with `{url}` for the installer's address.
    fn run(script: &str) -> Install {
        let script = script.replace("{url}", INSTALLERS[0]);
        let lines: String = script.lines().map(|line| format!("    {line}\n")).collect();
        install(Some(&format!("#cloud-config\nruncmd:\n  - |\n{lines}")), BIG, &[])
    }

    fn owner(script: &str) -> Option<String> {
        match run(script) {
            Install::Node(told) => told.owner,
            other => panic!("{script}: {other:?}"),
        }
    }

    #[test]
    fn every_way_to_start_an_installer_hands_on_what_a_shell_hands_on() {
        let set = format!("export VERSION=v1.0.0\nexport XNODE_OWNER={OWNER}\n");
        for start in [
            "curl -fsSL {url} | bash",
            "curl {url} | bash 2>&1 | tee /tmp/xnodeos.log",
            "curl -s {url} | bash -s -- --yes",
            "wget -qO- {url} | bash",
            "wget -O /opt/i.sh {url} && bash /opt/i.sh",
            "cd /root; wget {url}; bash install.sh",
            "bash -c \"$(curl -fsSL {url})\"",
            "sh -c 'curl {url} | bash'",
            "eval \"`curl {url}`\"",
            "curl {url} -o /tmp/i; chmod +x /tmp/i; /tmp/i",
            "curl {url} | sudo -E bash",
            "curl {url} | sudo --preserve-env=VERSION,XNODE_OWNER bash",
            "bash <<EOF\n$(curl {url})\nEOF",
            "i=$(mktemp)\n{ if curl -fsSL --retry 5 -o \"$i\" '{url}'; then bash \"$i\"; fi; } 2>&1 | tee \"${TMPDIR:-/tmp}/log\"",
            "until curl -fo i {url}; do sleep 1; done\nnohup bash i &",
            "start() { curl \"$1\" | bash; }\nstart {url}",
            "for u in {url}; do curl $u | bash; done",
            "case $(uname -m) in *) curl {url} | bash;; esac",
            "false || curl {url} | bash",
            "[ -n \"$XNODE_OWNER\" ] && curl {url} | bash",
        ] {
            assert_eq!(owner(&format!("{set}{start}")).as_deref(), Some(OWNER), "{start}");
        }
    }

    #[test]
    fn what_is_not_exported_does_not_arrive() {
        for script in [
            format!("XNODE_OWNER={OWNER}\nexport VERSION=v1.0.0\ncurl {{url}} | bash"),
            format!("export VERSION=v1.0.0; (export XNODE_OWNER={OWNER}); curl {{url}} | bash"),
            format!("export VERSION=v1.0.0; XNODE_OWNER={OWNER} curl {{url}} | bash"),
            format!("export VERSION=v1.0.0 OWNER={OWNER}\ncurl {{url}} | bash"),
            format!("export VERSION=v1.0.0 Xnode_Owner={OWNER}\ncurl {{url}} | bash"),
            "export VERSION=v1.0.0 XNODE_OWNER=\ncurl {url} | bash".to_owned(),
            format!("export XNODE_OWNER={OWNER} VERSION=v1.0.0\nenv -i VERSION=v1.0.0 bash -c \"$(curl {{url}})\""),
        ] {
            assert_eq!(owner(&script), None, "{script}");
        }
        // The trap of sudo: not even the version arrives, so another line is installed.
        let Install::Node(told) = run(&format!("export VERSION=v1.0.0 XNODE_OWNER={OWNER}\ncurl {{url}} | sudo bash"))
        else {
            panic!("it is a node")
        };
        assert_eq!((told.line, told.owner), (Line::V2, None));
    }

    #[test]
    fn each_line_reads_its_own_names() {
        let both = |version: &str| {
            run(&format!(
                "export VERSION={version} XNODE_OWNER=eth:one OWNER=eth:two ACME_EMAIL=a EMAIL=b\ncurl {{url}} | bash"
            ))
        };
        for (version, line, owner, email) in
            [("v1.0.0", Line::V1, "eth:one", "a"), ("v2.3.0", Line::V2, "eth:two", "b"), ("", Line::V2, "eth:two", "b")]
        {
            let Install::Node(told) = both(version) else { panic!("it is a node") };
            assert_eq!(
                (told.line, told.owner.as_deref(), told.acme_email.as_deref()),
                (line, Some(owner), Some(email))
            );
        }
        assert!(matches!(both("v9.0.0"), Install::Never(why) if why.contains("v9.0.0")));
    }

    #[test]
    fn values_arrive_as_a_shell_hands_them_on() {
        let value = |script: &str| match run(&format!("export VERSION=v1.0.0\n{script}\ncurl {{url}} | bash")) {
            Install::Node(told) => told.environment.get("X").cloned().unwrap_or_default(),
            other => panic!("{script}: {other:?}"),
        };
        for (script, expected) in [
            ("export X='a b  c'", "a b  c"),
            ("export X='it'\\''s \"$x\" `y` \\n'", "it's \"$x\" `y` \\n"),
            ("export X=\"a\\\"b\\$c\\\\d\"", "a\"b$c\\d"),
            ("export X='a\nb'", "a\nb"),
            ("Y='1  2'; export X=$Y", "1  2"),
            ("Y=1; export X=\"${Y}-${Z:-none}-${Y:+set}-${#Y}\"", "1-none-set-1"),
            ("export X=$(printf '%s-%s' a b)", "a-b"),
            ("Y=0xAB; export X=${Y#0x}", "AB"),
            ("set -a; X=1; set +a", "1"),
            ("cat > /e <<'EOF'\nexport X=\"q\"\nEOF\n. /e", "q"),
            ("Y=7; cat > /e <<EOF\nexport X=\"$Y\"\nEOF\n. /e", "7"),
        ] {
            assert_eq!(value(script), expected, "{script}");
        }
    }

    #[test]
    fn what_never_starts_an_installer_stays_what_it_was() {
        for (script, why) in [
            ("true", "runs no installer"),
            ("curl -f https://example.org/install.sh | bash", "https://example.org/install.sh"),
            ("curl {url}.txt | bash", "install.sh.txt"),
            ("if false; then curl {url} | bash; fi", "runs no installer"),
            ("set -e; false; curl {url} | bash", "runs no installer"),
            ("exit 0; curl {url} | bash", "runs no installer"),
            ("# curl {url} | bash", "runs no installer"),
            ("echo 'curl {url} | bash'", "runs no installer"),
            ("while true; do :; done", "never comes to an end"),
            ("f() { f; }; f", "never comes to an end"),
            ("export A='", "runs no installer"),
            // The first boot's shell is the plain one.
            ("bash <(curl {url})", "runs no installer"),
            ("[[ a == a ]] && curl {url} | bash", "runs no installer"),
            ("source /dev/null && curl {url} | bash", "runs no installer"),
            ("perl -e 'x'", "perl"),
        ] {
            let Install::Never(reason) = run(script) else { panic!("{script} installs") };
            assert!(reason.contains(why), "{script}: {reason}");
        }
        assert!(matches!(install(None, BIG, &[]), Install::Never(_)));
    }

    #[test]
    fn bash_is_bash_where_it_is_asked_for() {
        let script =
            format!("#!/bin/bash\nexport VERSION=v1.0.0 XNODE_OWNER={OWNER}\nbash <(curl {})\n", INSTALLERS[3]);
        assert!(
            matches!(install(Some(&script), BIG, &[]), Install::Node(told) if told.owner.as_deref() == Some(OWNER))
        );
    }

    #[test]
    fn some_installations_end_in_the_dark() {
        let script = format!("#!/bin/sh\nexport VERSION=v1.0.0 XNODE_OWNER={OWNER}\ncurl {} | bash\n", INSTALLERS[0]);
        let with = |memory_mib, troubles: &[Trouble]| install(Some(&script), Hardware { memory_mib, ..BIG }, troubles);
        assert!(matches!(with(2048, &[]), Install::Node(_)));
        assert!(matches!(with(1024, &[]), Install::Dies(why) if why.contains("1024 MiB")));
        assert!(matches!(with(2048, &[Trouble::DeadInstall]), Install::Dies(_)));
        assert!(matches!(with(2048, &[Trouble::NoInstaller]), Install::Never(why) if why.contains("no installer at")));
        assert!(matches!(with(2048, &[Trouble::Unclaimed]), Install::Node(told) if told.owner.is_none()));
        let encrypted = script.replace("curl", "export ENCRYPTED=0\ncurl");
        assert!(matches!(install(Some(&encrypted), BIG, &[]), Install::Dies(why) if why.contains("TPM")));
        let debug = script.replace("v1.0.0", "v2.0.0").replace("curl", "export DEBUG=x\ncurl");
        assert!(matches!(install(Some(&debug), BIG, &[]), Install::Dies(why) if why.contains("DEBUG")));
        let arm = Hardware { is_x86_64: false, ..BIG };
        assert!(matches!(install(Some(&script), arm, &[]), Install::Never(_)));
    }
}
