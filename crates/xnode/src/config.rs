//! What the user decides about an xNode. Each field is a type of its own, so an [`XnodeConfig`] holds nothing unchecked.

use std::fmt;
use std::str::FromStr;

use capsule_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::encode::{Uncarried, Way, uncarried};
use crate::owner::Owner;

/// Everything an xNode is told at birth.
#[derive(Debug, Clone)]
pub struct XnodeConfig {
    /// Whose it will be. Without an owner the node would obey anyone, so there is no way to leave it out.
    pub owner: Owner,
    /// The name it answers to, beside `manager.xnode.local`. It must resolve to the server before a certificate comes.
    pub domain: Option<Domain>,
    /// Where the certificate authority writes to; the node's default is Openmesh's mailbox.
    pub acme_email: Option<Email>,
    /// The release that is installed. Always pinned: the newest one may read other variables.
    pub version: Version,
    /// Nix for the part of the node's configuration that is the user's.
    pub initial_config: Option<InitialConfig>,
    /// Encrypted disks. Needs TPM2 and UEFI Secure Boot; without them the install fails after the disks are wiped.
    pub encrypted: bool,
    /// A password for the console login of user `xnode`.
    pub user_password: Option<UserPassword>,
    /// Where the installer comes from.
    pub installer_url: InstallerUrl,
}

impl XnodeConfig {
    /// A node of `owner` with nothing special about it.
    pub fn new(owner: Owner) -> Self {
        XnodeConfig {
            owner,
            domain: None,
            acme_email: None,
            version: Version::default(),
            initial_config: None,
            encrypted: false,
            user_password: None,
            installer_url: InstallerUrl::default(),
        }
    }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                $check(text).map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

checked_text!(
    /// A fully qualified domain name in lower case, such as `manager.example.org`.
    Domain,
    domain
);
checked_text!(
    /// A mailbox, such as `ops@openmesh.network`.
    Email,
    email
);
checked_text!(
    /// A release tag of XnodeOS, such as `v1.0.0`.
    Version,
    version
);
checked_text!(
    /// Lines of Nix. Any Nix is taken; it is encoded for its way to the node when the user-data is composed.
    InitialConfig,
    initial_config
);
checked_text!(
    /// An https address of an installer script.
    InstallerUrl,
    installer_url
);

impl Default for Version {
    /// The release that production clients install.
    fn default() -> Self {
        Version("v1.0.0".to_owned())
    }
}

impl Default for InstallerUrl {
    /// The script that production clients run with [`Version::default`].
    fn default() -> Self {
        InstallerUrl("https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh".to_owned())
    }
}

/// A password that the user wants on the node in spite of [`UserPassword::RISK`].
#[derive(Clone)]
pub struct UserPassword(SecretString);

impl UserPassword {
    /// Why a password is a bad idea; to be shown before one is used.
    pub const RISK: &str = "The provider keeps user-data, with this password in clear, for as long as the server lives, and Capsule's \
        journal for ever: everyone with access to the account and every program on the first system can read it, the node stores it in \
        clear, and its manager shows it to whoever is logged in.";

    /// The password, if the user said explicitly that the risk is accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without that, for an empty password, and for characters that would not arrive.
    pub fn new(password: SecretString, risk_accepted: bool) -> Result<Self> {
        const FIELD: &str = "user password";
        if !risk_accepted {
            return Err(Error::new(ErrorKind::Invalid, format!("{FIELD} was not sent. {}", Self::RISK))
                .with_hint("Leave it out: the owner manages the node by wallet. Or accept the risk explicitly."));
        }
        let text = password.expose_secret();
        let hint = "Choose another one without \" ` $ \\ and control characters.";
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, format!("{FIELD} is empty.")).with_hint(hint));
        }
        // The character is not named: it is part of a secret.
        if let Some(found) = uncarried(text, Way::Setting) {
            let message = format!("{FIELD} holds a character that cannot be sent: {}.", found.why);
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(hint));
        }
        Ok(UserPassword(password))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserPassword(<hidden>)")
    }
}

fn domain(text: &str) -> Result<String> {
    let hint = "Write a full name of letters, digits, hyphens and dots, such as node.example.org.";
    let refuse = |why: &str| Err(refused("domain", text, why, hint));
    if !text.is_ascii() {
        return refuse("has characters beyond ASCII; write its xn-- form");
    }
    if text.len() > 253 {
        return refuse("is longer than 253 characters");
    }
    let labels: Vec<&str> = text.split('.').collect();
    if labels.len() < 2 {
        return refuse("has no dot");
    }
    for label in &labels {
        if label.is_empty() || label.len() > 63 {
            return refuse("has a part that is empty or longer than 63 characters");
        }
        let good = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good || label.starts_with('-') || label.ends_with('-') {
            return refuse("has a part that is not letters, digits and inner hyphens");
        }
    }
    let top = labels.last().expect("there are at least two").to_ascii_lowercase();
    if top.bytes().all(|b| b.is_ascii_digit()) {
        return refuse("is an address, not a name");
    }
    if top == "local" || top == "localhost" {
        return refuse("is known in a local network alone, so no certificate can be had for it");
    }
    Ok(text.to_ascii_lowercase())
}

fn email(text: &str) -> Result<String> {
    let hint = "Write a real mailbox, such as name@your-domain.";
    let refuse = |why: &str| Err(refused("acme email", text, why, hint));
    let Some((name, host)) = text.rsplit_once('@') else {
        return refuse("has no @");
    };
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if name.is_empty() || name.len() > 64 || !good || dots {
        return refuse("has no plain name before the @ (letters, digits and . _ % + -)");
    }
    let Ok(host) = domain(host) else {
        return refuse("has no domain name after the @");
    };
    // The certificate authority refuses these, and with them the certificate.
    if ["example.com", "example.org", "example.net"].contains(&host.as_str()) {
        return refuse("is an example, which the certificate authority refuses");
    }
    Ok(format!("{name}@{host}"))
}

fn version(text: &str) -> Result<String> {
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let digits = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    let numbers_good =
        numbers.strip_prefix('v').is_some_and(|rest| rest.split('.').count() == 3 && rest.split('.').all(digits));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let pre_good = pre.is_none_or(|pre| pre.len() <= 64 && pre.split('.').all(word));
    if !(numbers_good && pre_good) {
        let hint = "Write the tag of a release, such as v1.0.0.";
        return Err(refused("version", text, "is not of the form v1.0.0", hint));
    }
    Ok(text.to_owned())
}

fn initial_config(text: &str) -> Result<String> {
    let refuse = |why: &str, hint: &str| Err(Error::new(ErrorKind::Invalid, why.to_owned()).with_hint(hint));
    if text.trim().is_empty() {
        return refuse("initial config is empty.", "Leave it out, or give lines of Nix.");
    }
    if let Some(Uncarried { what, line, why }) = uncarried(text, Way::Nix) {
        let what = format!("initial config, line {line}: {what} cannot be sent: {why}.");
        return refuse(&what, "Save the file with Unix line ends and without control characters.");
    }
    // The node finds the user's part of its configuration between these two lines.
    if let Some(mark) = ["# START USER CONFIG", "# END USER CONFIG"].into_iter().find(|mark| text.contains(mark)) {
        let what = format!("initial config holds the line `{mark}`, which the node itself puts around it.");
        return refuse(&what, "Give only the lines between the two marks.");
    }
    Ok(text.to_owned())
}

fn installer_url(text: &str) -> Result<String> {
    let hint = "Write a plain https address of a script, without user, password and blanks.";
    let refuse = |why: &str| Err(refused("installer url", text, why, hint));
    // The URL parser drops line ends and trims blanks without a word.
    if text.chars().any(char::is_whitespace) || uncarried(text, Way::Setting).is_some() {
        return refuse("holds a character that cannot be sent");
    }
    let Ok(url) = Url::parse(text) else {
        return refuse("is not an address");
    };
    if url.scheme() != "https" || url.host_str().is_none_or(str::is_empty) {
        return refuse("is not an https address; whoever sits on the way could replace the system");
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it may be a secret.
        return Err(Error::new(ErrorKind::Invalid, "installer url holds a user or a password.").with_hint(hint));
    }
    // Glob characters mean something to curl.
    if text.contains(['[', ']', '{', '}']) {
        return refuse("holds brackets or braces");
    }
    Ok(url.into())
}

fn refused(field: &str, text: &str, why: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{field} {} {why}.", shown(text))).with_hint(hint)
}

/// What the user wrote, made fit for a terminal: escaped and cut.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let cut: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().count() > LONGEST { "..." } else { "" };
    format!("`{cut}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads each of `good` as itself (or as its second text) and refuses each of `bad` with the field's name and a hint.
    fn table<T: FromStr<Err = Error> + fmt::Display>(field: &str, good: &[(&str, &str)], bad: &[&str]) {
        for (text, normal) in good {
            let value: T = text.parse().unwrap_or_else(|error: Error| panic!("{text:?}: {error}"));
            assert_eq!(value.to_string(), *normal);
        }
        for text in bad {
            let Err(error) = text.parse::<T>() else { panic!("{field} took {text:?}") };
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().starts_with(field) && error.message().ends_with('.'), "{error}");
            assert!(!error.message().contains(char::is_control), "{error:?}");
            assert!(error.hint().is_some(), "{text:?}");
        }
    }

    /// What breaks out of somewhere. No strict field takes any of it, alone or behind a good value.
    const HOSTILE: [&str; 12] =
        ["$(id)", "`id`", "'", "\"", "\\", "\n", "; id", " && id", "|id", "é", "\0", "\u{2028}"];

    fn with_hostile(good: &str) -> Vec<String> {
        HOSTILE.iter().flat_map(|bad| [format!("{good}{bad}"), format!("{bad}{good}"), (*bad).to_owned()]).collect()
    }

    #[test]
    fn domains() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = format!("{}org", "abcdefghi.".repeat(26));
        let good = [("manager.example.org", "manager.example.org"), ("A-1.Example.ORG", "a-1.example.org")];
        let bad =
            ["", "node", "node.", ".org", "a..org", "-a.org", "a-.org", "a_b.org", "*.a.org", "1.2.3.4", "a:1.org"];
        table::<Domain>("domain", &good, &bad);
        table::<Domain>("domain", &[], &[&long, &longer, "manager.xnode.local", "https://a.org"]);
        table::<Domain>("domain", &[], &with_hostile("a.org").iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn emails() {
        let good = [("a.b+c@openmesh.network", "a.b+c@openmesh.network"), ("Ops@Sub.Dom.io", "Ops@sub.dom.io")];
        let bad = ["", "a", "@a.io", "a@", "a@b", "a@b@c.io", ".a@c.io", "a..b@c.io", "me@example.com", "a b@c.io"];
        table::<Email>("acme email", &good, &bad);
        table::<Email>("acme email", &[], &with_hostile("a@b.io").iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn versions() {
        let good = [("v1.0.0", "v1.0.0"), ("v12.3.45-rc.1", "v12.3.45-rc.1")];
        let bad = ["", "1.0.0", "v1", "v1.0", "v1.0.0.0", "v1.0.x", "v1..0", "v1.0.0-", "v1.0.0/..", "latest", "main"];
        table::<Version>("version", &good, &bad);
        table::<Version>("version", &[], &with_hostile("v1.0.0").iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn installer_urls() {
        let default = InstallerUrl::default();
        let good = [(default.as_str(), default.as_str()), ("https://opnm.sh/it's?a=1&b", "https://opnm.sh/it's?a=1&b")];
        let bad = [
            "",
            "install.sh",
            "http://a.io/i",
            "file:///etc/passwd",
            "https://",
            "https://a.io/a b",
            "https://a.io/$(id)",
            "https://a.io/`id`",
            "https://a.io/\"",
            "https://a.io/a\nb",
            "https://a.io/[1-9]",
            "https://a.io/{a,b}",
            "-o/etc/passwd",
        ];
        table::<InstallerUrl>("installer url", &good, &bad);
        let error = "https://me:hunter2@a.io/".parse::<InstallerUrl>().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn initial_configs() {
        let nix = "services.a.enable = true;\n\tx = \"${y}\" + ''\\n'';";
        let bad = [
            "",
            " \n",
            "a\r\nb",
            "a\0",
            "a\u{85}b",
            "a\u{feff}",
            "x\n# END USER CONFIG\n",
            "# START USER CONFIG",
            "# MIME-Version: 1.0",
        ];
        table::<InitialConfig>("initial config", &[(nix, nix)], &bad);
        let error = "a\nb\nc\r".parse::<InitialConfig>().unwrap_err();
        assert!(error.message().contains("line 3: U+000D"), "{error}");
    }

    #[test]
    fn passwords_need_the_risk_accepted() {
        let error = UserPassword::new("hunter2".into(), false).unwrap_err();
        assert!(error.message().contains(UserPassword::RISK));
        assert!(!format!("{error:?}").contains("hunter2"));
        let password = UserPassword::new("hunter2 'ü".into(), true).unwrap();
        assert_eq!(password.expose(), "hunter2 'ü");
        assert!(!format!("{password:?}").contains("hunter2"));
        for bad in ["", "a\"b", "a`b", "a$b", "a\\b", "a\nb", "a\tb"] {
            let error = UserPassword::new(bad.into(), true).unwrap_err();
            assert!(bad.is_empty() || !format!("{error:?}").contains(bad), "{error:?}");
        }
    }
}
