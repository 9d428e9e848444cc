//! The text that turns a fresh server into an xNode at its first boot.

use std::borrow::Cow;
use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use capsule_core::{Error, ErrorKind, Result};

use crate::config::{XnodeConfig, shown};
use crate::encode::{nix_word, shell_word};

/// What cloud-init knows its own configuration by.
const CLOUD_CONFIG: &str = "#cloud-config";

/// The user-data of an xNode: one `runcmd` that hands the configuration to the XnodeOS installer and runs it.
///
/// It holds nothing secret unless [`XnodeConfig::user_password`] is set.
///
/// The two lines of installers read two families of names, and a name that is not read leaves the node open to anyone;
/// so both are exported. `DEBUG` never is: with it the newer installer waits for a person instead of rebooting.
pub fn user_data(config: &XnodeConfig) -> String {
    let mut script = String::new();
    for (names, word) in settings(config) {
        for name in names {
            line(&mut script, &format!("export {name}={word}"));
        }
    }
    // An installer that is run returns only when it failed: otherwise the new system has replaced this one by then.
    for text in [
        "installer=$(mktemp)",
        "{",
        &format!("  if curl -fsSL --retry 5 -o \"$installer\" {}; then", shell_word(config.installer_url.as_str())),
        "    bash \"$installer\"",
        "    echo \"capsule: the XnodeOS installer ended with status $?, and this is still the old system.\"",
        "  else",
        "    echo \"capsule: the XnodeOS installer was not downloaded, curl ended with status $?.\"",
        "  fi",
        "} 2>&1 | tee \"${TMPDIR:-/tmp}/xnodeos.log\"",
    ] {
        line(&mut script, text);
    }
    format!("{CLOUD_CONFIG}\nruncmd:\n  - |\n{script}")
}

/// The installer's variables, each with all its names and its value as a shell word.
fn settings(config: &XnodeConfig) -> Vec<(&'static [&'static str], String)> {
    let mut settings: Vec<(&'static [&'static str], String)> = vec![
        (&["VERSION"], shell_word(config.version.as_str())),
        (&["XNODE_OWNER", "OWNER"], shell_word(&config.owner.to_string())),
    ];
    if let Some(domain) = &config.domain {
        settings.push((&["DOMAIN"], shell_word(domain.as_str())));
    }
    if let Some(email) = &config.acme_email {
        settings.push((&["ACME_EMAIL", "EMAIL"], shell_word(email.as_str())));
    }
    if config.encrypted {
        // Any text turns it on, 0 too: off is no variable at all.
        settings.push((&["ENCRYPTED"], shell_word("1")));
    }
    if let Some(password) = &config.user_password {
        settings.push((&["USER_PASSWD"], shell_word(password.expose())));
    }
    if let Some(nix) = &config.initial_config {
        settings.push((&["INITIAL_CONFIG"], nix_word(nix.as_str())));
    }
    settings
}

/// One line of the script, indented as the block of YAML that it stands in.
fn line(script: &mut String, text: &str) {
    writeln!(script, "    {text}").expect("writing to a String cannot fail");
}

/// The user-data of an xNode and the user's own, as one multipart message for cloud-init.
///
/// The user's part does its work first: after the xNode's `runcmd` there is no old system left to work on.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the user's text is neither a cloud-config nor a script.
pub fn merge(xnode: &str, user: &str) -> Result<String> {
    let user_type = if is_cloud_config(user) {
        "text/cloud-config"
    } else if user.starts_with("#!") {
        // cloud-init runs scripts in the order of their file names: part-001 stands before runcmd.
        "text/x-shellscript"
    } else {
        let first = user.lines().next().unwrap_or_default();
        let message = format!("user-data cannot be joined with an xNode's: it starts with {}.", shown(first));
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(format!(
            "Start it with `{CLOUD_CONFIG}` or with `#!` and a shell, or deploy without an owner."
        )));
    };
    // Without the last header this runcmd would replace the user's. See cloud-init's "Merging user-data sections".
    let parts = [
        (user, format!("Content-Type: {user_type}; charset=\"utf-8\"")),
        (
            xnode,
            "Content-Type: text/cloud-config; charset=\"utf-8\"\n\
             Merge-Type: list(append)+dict(no_replace,recurse_list)+str()"
                .to_owned(),
        ),
    ];
    let boundary = boundary(&[xnode, user]);
    let mut message = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for (text, headers) in parts {
        let (encoding, body) = transfer(text);
        let part = format!("--{boundary}\n{headers}\nContent-Transfer-Encoding: {encoding}\n\n{body}\n");
        message.push_str(&part);
    }
    message.push_str(&format!("--{boundary}--\n"));
    Ok(message)
}

/// How a part is written: for people where it is ASCII. cloud-init garbles anything else that is not in base64.
fn transfer(text: &str) -> (&'static str, Cow<'_, str>) {
    if text.is_ascii() { ("7bit", text.into()) } else { ("base64", BASE64_STANDARD.encode(text).into()) }
}

/// cloud-init looks at the first line alone, and further words there make it another format.
fn is_cloud_config(text: &str) -> bool {
    text.lines().next().is_some_and(|first| first.trim_end() == CLOUD_CONFIG)
}

/// A line that none of `parts` holds.
fn boundary(parts: &[&str]) -> String {
    let mut boundary = "capsule-part".to_owned();
    while parts.iter().any(|part| part.contains(&boundary)) {
        boundary.push('-');
        boundary.push('x');
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Owner;

    fn plain() -> XnodeConfig {
        XnodeConfig::new("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse::<Owner>().unwrap())
    }

    #[test]
    fn the_plain_node_as_people_read_it() {
        let expected = r#"#cloud-config
runcmd:
  - |
    export VERSION='v1.0.0'
    export XNODE_OWNER='eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed'
    export OWNER='eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed'
    installer=$(mktemp)
    {
      if curl -fsSL --retry 5 -o "$installer" 'https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh'; then
        bash "$installer"
        echo "capsule: the XnodeOS installer ended with status $?, and this is still the old system."
      else
        echo "capsule: the XnodeOS installer was not downloaded, curl ended with status $?."
      fi
    } 2>&1 | tee "${TMPDIR:-/tmp}/xnodeos.log"
"#;
        assert_eq!(user_data(&plain()), expected);
    }

    #[test]
    fn only_what_is_a_cloud_config_or_a_script_is_merged() {
        let xnode = user_data(&plain());
        for good in ["#cloud-config\npackages: [jq]\n", "#cloud-config \r\na: 1", "#!/bin/sh\nid\n"] {
            assert!(merge(&xnode, good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "packages: [jq]",
            "echo hi",
            " #cloud-config\n",
            "#cloud-config-archive\n- a",
            "#cloud-config-jsonp\n[]",
            "## template: jinja\n#cloud-config\n",
            "#include\nhttps://a.io",
            "Content-Type: multipart/mixed; boundary=\"a\"\n",
            "\u{1f}\u{8b}",
        ] {
            let error = merge(&xnode, bad).unwrap_err();
            assert!(error.hint().is_some() && !error.message().contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn the_boundary_is_in_neither_part() {
        let user = "#!/bin/sh\n# --capsule-part\n# --capsule-part-x\n";
        let message = merge(&user_data(&plain()), user).unwrap();
        assert!(message.starts_with("Content-Type: multipart/mixed; boundary=\"capsule-part-x-x\"\n"), "{message}");
        assert_eq!(message.matches("\n--capsule-part-x-x").count(), 3);
    }
}
