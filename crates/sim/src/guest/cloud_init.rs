//! What a fresh system reads out of its user-data: which files it writes and which scripts it runs, in order.
//!
//! Cloud-configs, scripts, and MIME messages of both, merged as cloud-init merges them. Of a cloud-config `write_files`
//! and `runcmd` are followed; templates, includes, archives and compressed data are not read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mail_parser::{HeaderName, MessageParser, MimeHeaders, PartType};
use serde_yaml_ng::{Mapping, Value};

use super::shell::Flavor;

/// What the first boot does with the user-data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FirstBoot {
    /// Files that are written first: path and text.
    pub(super) files: Vec<(String, String)>,
    /// Scripts, in order.
    pub(super) scripts: Vec<(Flavor, String)>,
    /// What could not be used, for people.
    pub(super) problems: Vec<String>,
}

/// How a part of a message changes what earlier parts said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merge {
    Replace,
    Keep,
    Append,
    Prepend,
}

/// Reads user-data, as it arrived.
pub(super) fn first_boot(user_data: &str) -> FirstBoot {
    let mut boot = FirstBoot::default();
    let mut config = Mapping::new();
    read(user_data, None, &mut boot, &mut config);
    for file in config.get("write_files").and_then(Value::as_sequence).into_iter().flatten() {
        boot.files.extend(written(file));
    }
    if let Some(commands) = config.get("runcmd") {
        match runcmd(commands) {
            // The scripts of other parts have earlier names than this one, and run before it.
            Some(script) => boot.scripts.push((Flavor::Sh, script)),
            None => boot.problems.push("runcmd is neither a list of texts nor of lists of words".to_owned()),
        }
    }
    boot
}

fn read(text: &str, merge: Option<&str>, boot: &mut FirstBoot, config: &mut Mapping) {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first == "#cloud-config" {
        match serde_yaml_ng::from_str::<Value>(text) {
            Ok(Value::Mapping(more)) => merge_into(config, more, merge),
            Ok(Value::Null) => {}
            _ => boot.problems.push("the cloud-config is not YAML with keys".to_owned()),
        }
    } else if first.starts_with("#!") {
        match super::shell::flavor_of(text) {
            Some(flavor) => boot.scripts.push((flavor, text.to_owned())),
            None => boot.problems.push(format!("a script wants another interpreter than a shell: {first}")),
        }
    } else if is_message(text) {
        match MessageParser::default().parse(text) {
            Some(message) => {
                for part in &message.parts {
                    let merge = part.headers.iter().find_map(|header| match &header.name {
                        HeaderName::Other(name) if name.eq_ignore_ascii_case("Merge-Type") => header.value.as_text(),
                        HeaderName::Other(name) if name.eq_ignore_ascii_case("X-Merge-Type") => header.value.as_text(),
                        _ => None,
                    });
                    let body = match &part.body {
                        PartType::Text(text) | PartType::Html(text) => text.to_string(),
                        PartType::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                        _ => continue,
                    };
                    let kind = part.content_type().map(|kind| (kind.ctype(), kind.subtype().unwrap_or_default()));
                    match kind {
                        Some(("text", "cloud-config" | "x-shellscript" | "plain")) | None => {
                            read(&body, merge, boot, config);
                        }
                        Some((kind, subtype)) => {
                            boot.problems.push(format!("a part of type {kind}/{subtype} is not read"));
                        }
                    }
                }
            }
            None => boot.problems.push("the MIME message cannot be read".to_owned()),
        }
    } else if !text.trim().is_empty() {
        boot.problems.push("its first line is none that cloud-init knows, or none that is followed here".to_owned());
    }
}

fn is_message(text: &str) -> bool {
    let head = text.lines().take_while(|line| !line.trim().is_empty()).take(20);
    head.map(str::to_ascii_lowercase).any(|line| line.starts_with("content-type:") || line.starts_with("mime-version:"))
}

/// See cloud-init's "Merging user-data sections": without a word, what comes later replaces what was there.
fn merge_into(config: &mut Mapping, more: Mapping, header: Option<&str>) {
    let named = |key: &str| more.get(key).and_then(Value::as_str).map(str::to_owned);
    let how = header.map(str::to_owned).or_else(|| named("merge_how")).or_else(|| named("merge_type"));
    let how = how.unwrap_or_default();
    let keeps = how.contains("no_replace");
    let lists = how.contains("recurse_list") || how.contains("recurse_array");
    let merge = match () {
        () if lists && how.contains("append") => Merge::Append,
        () if lists && how.contains("prepend") => Merge::Prepend,
        () if keeps => Merge::Keep,
        () => Merge::Replace,
    };
    for (key, value) in more {
        match (config.get_mut(&key), value, merge) {
            (Some(Value::Sequence(old)), Value::Sequence(new), Merge::Append) => old.extend(new),
            (Some(Value::Sequence(old)), Value::Sequence(new), Merge::Prepend) => {
                old.splice(0..0, new);
            }
            (Some(_), _, Merge::Append | Merge::Prepend | Merge::Keep) if keeps => {}
            (_, value, _) => {
                config.insert(key, value);
            }
        }
    }
}

/// All entries are one script of the plain shell: what one exports, the next one has.
fn runcmd(commands: &Value) -> Option<String> {
    let mut script = String::from("#!/bin/sh\n");
    for command in commands.as_sequence()? {
        match command {
            Value::String(text) => script.push_str(text),
            Value::Sequence(words) => {
                let words: Option<Vec<String>> = words.iter().map(scalar).collect();
                let quoted = words?.into_iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
                script.push_str(&quoted.collect::<Vec<_>>().join(" "));
            }
            Value::Null => continue,
            other => script.push_str(&scalar(other)?),
        }
        script.push('\n');
    }
    Some(script)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn written(file: &Value) -> Option<(String, String)> {
    let path = file.get("path")?.as_str()?.to_owned();
    let content = file.get("content").and_then(Value::as_str).unwrap_or_default();
    let content = match file.get("encoding").and_then(Value::as_str).unwrap_or("text/plain") {
        "text/plain" => content.to_owned(),
        "b64" | "base64" => {
            let bytes = BASE64_STANDARD.decode(content.split_ascii_whitespace().collect::<String>()).ok()?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return None,
    };
    Some((path, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(user_data: &str) -> Vec<String> {
        first_boot(user_data).scripts.into_iter().map(|(_, script)| script).collect()
    }

    #[test]
    fn a_cloud_config_is_one_script_of_the_plain_shell() {
        let boot = first_boot("#cloud-config\nruncmd:\n  - export A=1\n  - [echo, \"it's\", 2]\n  - |\n    b\n    c\n");
        let expected = "#!/bin/sh\nexport A=1\n'echo' 'it'\\''s' '2'\nb\nc\n\n";
        assert_eq!(boot.scripts, [(Flavor::Sh, expected.to_owned())]);
        assert_eq!(boot.problems, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_user_data_is_a_problem_and_no_script() {
        for bad in ["runcmd: [a]", "#cloud-config\n- a", "#cloud-config\nruncmd: a", "#!/usr/bin/python3\n", "\u{1f}x"]
        {
            let boot = first_boot(bad);
            assert_eq!((boot.scripts.len(), boot.problems.len()), (0, 1), "{bad:?}");
        }
        assert_eq!(first_boot(""), FirstBoot::default());
        assert_eq!(first_boot("#cloud-config\n"), FirstBoot::default());
    }

    #[test]
    fn files_are_written_as_they_are_encoded() {
        let boot = first_boot(
            "#cloud-config\nwrite_files:\n- {path: /a, content: x}\n- {path: /b, content: eQ==, encoding: b64}\n",
        );
        assert_eq!(boot.files, [("/a".into(), "x".into()), ("/b".into(), "y".into())]);
    }

    fn message(parts: &[(&str, &str)]) -> String {
        let mut text = "Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n".to_owned();
        for (headers, body) in parts {
            text.push_str(&format!("--b\n{headers}\n\n{body}\n"));
        }
        text + "--b--\n"
    }

    #[test]
    fn parts_of_a_message_are_merged_as_they_say() {
        let config = "Content-Type: text/cloud-config; charset=\"utf-8\"\nContent-Transfer-Encoding: 7bit";
        let appending = format!("{config}\nMerge-Type: list(append)+dict(no_replace,recurse_list)+str()");
        let (one, two) = ("#cloud-config\nruncmd: [one]\n", "#cloud-config\nruncmd: [two]\n");
        assert_eq!(scripts(&message(&[(config, one), (config, two)])), ["#!/bin/sh\ntwo\n"]);
        assert_eq!(scripts(&message(&[(config, one), (&appending, two)])), ["#!/bin/sh\none\ntwo\n"]);
        let script = "Content-Type: text/x-shellscript; charset=\"utf-8\"\nContent-Transfer-Encoding: base64";
        let encoded = BASE64_STANDARD.encode("#!/bin/bash\necho é\n");
        let both = scripts(&message(&[(script, &encoded), (&appending, two)]));
        assert_eq!(both, ["#!/bin/bash\necho é\n", "#!/bin/sh\ntwo\n"]);
    }
}
