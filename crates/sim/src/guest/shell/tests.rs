//! Against a shell that we did not write.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::{Boot, Flavor, INSTALLER, Outside};

#[derive(Default)]
struct Nowhere {
    environment: Option<BTreeMap<String, String>>,
}

impl Outside for Nowhere {
    fn fetch(&self, _: &str) -> Option<String> {
        None
    }

    fn missed(&mut self, _: &str) {}

    fn install(&mut self, environment: &BTreeMap<String, String>) -> bool {
        self.environment = Some(environment.clone());
        true
    }
}

/// What `X` is after `script`, as read here.
fn ours(script: &str) -> Option<String> {
    let mut outside = Nowhere::default();
    Boot::new(&mut outside).run(&format!("{script}\nexport X\n{INSTALLER}\n"), Flavor::Bash);
    outside.environment?.remove("X")
}

/// The same by bash, which runs nothing here but builtins.
fn theirs(script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-c", &format!("PATH=/nonexistent\n{script}\nprintf '%s' \"$X\"")]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A piece of a word: quoted text that means something elsewhere, or an expansion of what is set.
fn piece() -> impl Strategy<Value = String> {
    let hostile = "[ -&(-~éü\n\t]{0,8}";
    let expansions = [
        "$A",
        "${A}",
        "\"$A\"",
        "\"${A} $B\"",
        "${#A}",
        "${N:-no ne}",
        "\"${N:-no ne}\"",
        "${N-x}",
        "${A:+set}",
        "${N:+set}",
        "${A#o}",
        "${A##* }",
        "${A%e}",
        "${A%% *}",
        "$(printf '%s' \"$A\")",
        "\"$(printf '%s\\n' a '' b)\"",
        "`printf x`",
        "$#",
        "\"$1\"",
        "\"$*\"",
        "\\$A",
        "\\\\",
        "\\'",
        "\\\"",
        "\\ ",
        "a",
        "b=c",
        "/x",
        "\"\\$A\\\\\\\"\"",
        "$'a\\tb\\n\\''",
        "\"\"",
        "''",
        "{",
        "\"a\nb\"",
    ];
    prop_oneof![
        3 => prop::sample::select(expansions.to_vec()).prop_map(str::to_owned),
        1 => hostile.prop_map(|text| format!("'{text}'")),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    // Each case starts two programs.
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_come_to_what_they_come_to_in_bash(first in word(), second in word()) {
        let setting = "A='one  two e'; B=; set -- 'p  q' r";
        let assigned = format!("{setting}\nX={first}");
        prop_assert_eq!(ours(&assigned), Some(theirs(&assigned)), "{}", assigned);
        let split = format!("{setting}\nset -- {first} {second}\nX=\"$#\"; for w; do X=\"$X<$w>\"; done");
        prop_assert_eq!(ours(&split), Some(theirs(&split)), "{}", split);
    }
}

#[test]
fn control_flows_as_in_bash() {
    for script in [
        "X=1; if false; then X=2; elif true; then X=3; else X=4; fi",
        "X=; for i in a b c; do [ $i = b ] && continue; X=$X$i; done",
        "X=; for i in a b c; do [ $i = b ] && break; X=$X$i; done",
        "X=0; while [ ${#X} -ne 5 ]; do X=${X}1; done",
        "X=0; until [ ${#X} = 3 ]; do X=${X}1; done",
        "case abc in x) X=1;; a*) X=2;; *) X=3;; esac",
        "f() { X=$1; return 3; }; f a; X=$X$?",
        "X=a; (X=b); X=$X$?",
        "X=a; { X=b; }",
        "X=a; X=b true; X=$X",
        "X=a; printf b | { X=c; }",
        "! true; X=$?",
        "false || true && X=yes",
        "true && false; X=$?",
        "set -o pipefail; false | true; X=$?",
        "X=$(false; printf x; true)$?",
        "X=$(printf '%s-' 1 2 3)",
        "X=1; X+=2",
        "eval 'X=\"a b\"'",
        "X=$(set -e; false; printf no)",
        "X=$(f() { printf '%s,' \"$@\"; }; f 'a b' c)",
        "unset Q; X=${Q:=set}$Q",
        "[[ abc == a* && -n x ]] && X=yes",
        "[[ ! a == b || x == y ]] && X=yes",
        "[ ! a = b ] && X=yes",
        "export X='a'; unset X; X=${X-unset}",
        "X=$(printf '%b' 'a\\tb')",
        "X=$(echo -n a; echo -e 'b\\tc')",
        "set a b c; shift; X=$*",
    ] {
        assert_eq!(ours(script), Some(theirs(script)), "{script}");
    }
}

/// The parser calls itself, and tries again where a text can mean two things.
#[test]
fn deep_texts_end() {
    for (open, close) in [
        ("( ", ")"),
        ("(", ")"),
        ("{ ", ";}"),
        ("$(", ")"),
        ("\"$(", ")\""),
        ("${A:-", "}"),
        ("if ", "fi"),
        ("if x; then\n", "\nfi"),
        ("while x; do\n", "\ndone"),
    ] {
        for depth in [8, 100, 30_000] {
            ours(&format!("{}true\n{}", open.repeat(depth), close.repeat(depth)));
            ours(&format!("X={}x{}", open.repeat(depth), close.repeat(depth)));
        }
    }
}
