//! The user-data as a fresh server runs it: by a real shell, with `curl` and the installer replaced by a recorder, and
//! then INITIAL_CONFIG through the two steps that the real installer takes it through.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use capsule_xnode::{UserPassword, XnodeConfig, user_data};
use proptest::prelude::*;
use tempfile::TempDir;

/// The programs that the old system offers, beside `curl`. `touch` is there for injected commands to use.
const PROGRAMS: [&str; 8] = ["sh", "bash", "env", "mktemp", "tee", "touch", "cat", "sed"];

/// A server before its first boot.
struct Server {
    dir: TempDir,
}

impl Server {
    /// `curl` is a shell script here; `$INSTALLER` in it is where the download goes, and `$URL` what was asked for.
    fn new(curl: &str) -> Self {
        let server = Server { dir: TempDir::new().unwrap() };
        for dir in ["bin", "tmp", "home"] {
            fs::create_dir(server.path(dir)).unwrap();
        }
        let path = std::env::var_os("PATH").unwrap();
        for program in PROGRAMS {
            let mut found = std::env::split_paths(&path).map(|dir| dir.join(program));
            let real = found.find(|path| path.is_file()).unwrap_or_else(|| panic!("{program} is missing"));
            symlink(real, server.path("bin").join(program)).unwrap();
        }
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = -o ] && INSTALLER=$2; shift; done\nURL=$1\n\
             printf '%s' \"$URL\" > '{}'\n{curl}\n",
            server.path("url").display()
        );
        server.program("curl", &script);
        server
    }

    /// One whose installer notes its environment, byte for byte.
    fn recording() -> Self {
        Server::new(r#"echo 'env -0 > "$TMPDIR/../record"' > "$INSTALLER""#)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs what `user_data` wants to be run, as cloud-init does, under `shell`; answers the log.
    fn boot(&self, shell: &str, user_data: &str) -> String {
        let config: serde_yaml_ng::Value = serde_yaml_ng::from_str(user_data).unwrap();
        let commands = config["runcmd"].as_sequence().unwrap();
        assert_eq!((config.as_mapping().unwrap().len(), commands.len()), (1, 1));
        let script = self.path("runcmd");
        fs::write(&script, commands[0].as_str().unwrap()).unwrap();
        self.run(shell, &script);
        fs::read_to_string(self.path("tmp").join("xnodeos.log")).unwrap()
    }

    fn run(&self, shell: &str, script: &Path) -> String {
        let mut command = Command::new(self.path("bin").join(shell));
        command.arg(script).current_dir(self.path("home")).env_clear();
        command.env("PATH", self.path("bin")).env("TMPDIR", self.path("tmp")).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What the installer found in its environment, without what any shell puts there.
    fn record(&self) -> BTreeMap<String, String> {
        let bytes = fs::read(self.path("record")).unwrap();
        let pairs = bytes.split(|byte| *byte == 0).filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| String::from_utf8(pair.to_vec()).unwrap());
        let pairs = pairs.map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap());
        pairs.filter(|(name, _)| !["PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())).collect()
    }

    /// Files that nothing but an injected command can have made.
    fn stray(&self) -> Vec<PathBuf> {
        let mut stray: Vec<_> = fs::read_dir(self.path("home")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let known = ["bin", "tmp", "home", "url", "record", "runcmd", "env", "first", "second", "result"];
        let top = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        stray.extend(top.filter(|path| !known.iter().any(|name| path.ends_with(name))));
        stray
    }

    /// What `name` is for the second system when the first had `value`: the installer writes a file of exports with an
    /// expanding here-document, and sources it there.
    fn carried(&self, name: &str, value: &str, then: &str) -> String {
        let (first, second, env) = (self.path("first"), self.path("second"), self.path("env"));
        let quoted = format!("'{}'", value.replace('\'', r"'\''"));
        let write = format!("{name}={quoted}\ncat << EOF > '{}'\nexport {name}=\"${{{name}}}\"\nEOF\n", env.display());
        fs::write(&first, write).unwrap();
        fs::write(&second, format!("set -e\nsource '{}'\n{then}\n", env.display())).unwrap();
        assert_eq!(self.run("bash", &first), "");
        assert_eq!(self.run("bash", &second), "");
        fs::read_to_string(self.path("result")).unwrap()
    }

    /// What the node's configuration holds between its marks after [`Server::carried`] and sed's `c` command.
    fn installed(&self, value: &str) -> String {
        fs::write(self.path("result"), "{\n  # START USER CONFIG\n\n  # END USER CONFIG\n}\n").unwrap();
        let change = r##""/# START USER CONFIG/,/# END USER CONFIG/c\# START USER CONFIG\n${INITIAL_CONFIG}\n# END USER CONFIG""##;
        let then = format!("sed -i {change} \"$TMPDIR/../result\"");
        let flake = self.carried("INITIAL_CONFIG", value, &then);
        let inner = flake.strip_prefix("{\n# START USER CONFIG\n").expect(&flake);
        inner.strip_suffix("\n# END USER CONFIG\n}\n").expect(inner).to_owned()
    }
}

const OWNER: &str = "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";

fn plain() -> XnodeConfig {
    XnodeConfig::new(OWNER.parse().unwrap())
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let always = [("VERSION", "v1.0.0"), ("XNODE_OWNER", OWNER), ("OWNER", OWNER)];
    always.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_plain_node_gets_owner_and_version_and_nothing_else() {
    for shell in ["sh", "bash"] {
        let server = Server::recording();
        server.boot(shell, &user_data(&plain()));
        assert_eq!(server.record(), expected(&[]));
        let url = fs::read_to_string(server.path("url")).unwrap();
        assert_eq!(url, "https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh");
    }
}

#[test]
fn every_setting_arrives_under_all_its_names() {
    let mut config = plain();
    config.domain = Some("Node.Example.org".parse().unwrap());
    config.acme_email = Some("ops@openmesh.network".parse().unwrap());
    config.version = "v1.2.3".parse().unwrap();
    config.encrypted = true;
    config.user_password = Some(UserPassword::new("it's # a: 'pass'".into(), true).unwrap());
    config.installer_url = "https://opnm.sh/it's?a=1&b=;touch%20x".parse().unwrap();
    let server = Server::recording();
    server.boot("sh", &user_data(&config));
    let mut all = expected(&[
        ("DOMAIN", "node.example.org"),
        ("ACME_EMAIL", "ops@openmesh.network"),
        ("EMAIL", "ops@openmesh.network"),
        ("ENCRYPTED", "1"),
        ("USER_PASSWD", "it's # a: 'pass'"),
    ]);
    all.insert("VERSION".to_owned(), "v1.2.3".to_owned());
    assert_eq!(server.record(), all);
    assert_eq!(fs::read_to_string(server.path("url")).unwrap(), "https://opnm.sh/it's?a=1&b=;touch%20x");
    assert_eq!(server.stray(), Vec::<PathBuf>::new());
}

#[test]
fn a_missing_installer_is_not_run_and_leaves_a_mark() {
    // What `curl -f` does with a 404; even a body that it left behind must not run.
    let server = Server::new("echo 'touch garbage-ran' > \"$INSTALLER\"; echo 'error: 404' >&2; exit 22");
    let log = server.boot("sh", &user_data(&plain()));
    assert_eq!(log, "error: 404\ncapsule: the XnodeOS installer was not downloaded, curl ended with status 22.\n");
    assert_eq!(server.stray(), Vec::<PathBuf>::new());
}

#[test]
fn an_installer_that_fails_leaves_a_mark_behind_its_own_words() {
    let server = Server::new("printf 'echo out; echo err >&2; exit 3\\n' > \"$INSTALLER\"");
    let log = server.boot("sh", &user_data(&plain()));
    let mark = "capsule: the XnodeOS installer ended with status 3, and this is still the old system.";
    assert_eq!(log, format!("out\nerr\n{mark}\n"));
}

/// Pieces that mean something to YAML, a shell, a here-document, sed or curl.
fn hostile_piece() -> impl Strategy<Value = String> {
    let known = [
        "'",
        "\"",
        "\\",
        "$",
        "`",
        "\n",
        "\t",
        " ",
        "''",
        "${",
        "}",
        "$(touch canary)",
        "`touch canary`",
        "';touch canary;'",
        "\";touch canary;\"",
        "\ntouch canary\n",
        "\nEOF\ntouch canary\n",
        "${HOME}",
        "''${x}",
        "\\n",
        "\\\\n",
        "\\t",
        "\\x41",
        "\\o101",
        "\\d065",
        "\\cA",
        "\\\n",
        "\\'",
        "\\\"",
        "\\$",
        "#",
        ": ",
        "- ",
        "&",
        "%",
        "!",
        "|",
        "{{ v1 }}",
        "é",
        "日本",
        "🦀",
        "\u{a0}",
        "/# END",
        "w canary",
        "e touch canary",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{1,8}", 1 => "\\PC{1,4}"]
}

fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(hostile_piece(), 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    // Each case starts several programs.
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_nix_arrives_byte_for_byte_and_nothing_else_runs(nix in hostile(), bash in any::<bool>()) {
        let mut config = plain();
        let Ok(initial) = nix.parse() else { return Err(TestCaseError::reject("refused")) };
        config.initial_config = Some(initial);
        let server = Server::recording();
        let log = server.boot(if bash { "bash" } else { "sh" }, &user_data(&config));
        prop_assert!(log.starts_with("capsule: ") && log.lines().count() == 1, "{}", log);
        let mut record = server.record();
        let value = record.remove("INITIAL_CONFIG").unwrap();
        prop_assert_eq!(record, expected(&[]));
        prop_assert_eq!(server.installed(&value), nix);
        prop_assert_eq!(server.stray(), Vec::<PathBuf>::new());
    }

    #[test]
    fn any_password_that_is_taken_arrives_byte_for_byte(text in hostile()) {
        let mut config = plain();
        let text: String = text.chars().filter(|c| !"\"`$\\\n\t".contains(*c)).collect();
        let Ok(password) = UserPassword::new(text.as_str().into(), true) else {
            return Err(TestCaseError::reject("refused"));
        };
        config.user_password = Some(password);
        let server = Server::recording();
        server.boot("sh", &user_data(&config));
        prop_assert_eq!(server.record(), expected(&[("USER_PASSWD", &text)]));
        let then = "printf '%s' \"$USER_PASSWD\" > \"$TMPDIR/../result\"";
        prop_assert_eq!(server.carried("USER_PASSWD", &text, then), text);
        prop_assert_eq!(server.stray(), Vec::<PathBuf>::new());
    }
}

#[test]
fn real_nix_arrives() {
    let nix = "  services.openssh.enable = true;\n\n  environment.etc.\"motd\".text = ''\n    it's \\n ''${HOME} ${pkgs.jq}\n  '';\n";
    let mut config = plain();
    config.initial_config = Some(nix.parse().unwrap());
    let server = Server::recording();
    server.boot("sh", &user_data(&config));
    assert_eq!(server.installed(&server.record()["INITIAL_CONFIG"]), nix);
}
