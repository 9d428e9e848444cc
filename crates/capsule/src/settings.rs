//! What the user set, and where each value came from: environment first, then `providers.yml`.

use std::fs;
use std::io::{ErrorKind as Io, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use capsule_core::http::parse_base;
use capsule_core::{Descriptor, Error, ErrorKind, OwnerId, Result, SettingValue, Settings};
use capsule_engine::Database;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml_ng::{Mapping, Value};

/// The directory that holds everything Capsule keeps: 0700, its files 0600.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The home that `given` or the user's own home directory names. Nothing is made yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if neither is there.
    pub fn locate(given: Option<&Path>) -> Result<Self> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => std::env::home_dir()
                .filter(|home| home.is_absolute())
                .map(|home| home.join(".capsule"))
                .ok_or_else(|| {
                    Error::new(ErrorKind::Config, "There is no home directory to keep state in.")
                        .with_hint("Set CAPSULE_HOME or use --home DIR.")
                })?,
        };
        Ok(Home { path })
    }

    /// The home that simulated clouds use: a folder of its own, so that real and simulated servers never meet.
    pub fn sandbox(&self) -> Home {
        Home { path: self.path.join("sandbox") }
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory, for its owner alone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the directory and the reason.
    pub fn create(&self) -> Result<()> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        let failed = |error: std::io::Error| unusable(&self.path, "used as Capsule's home", &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(failed)?;
        let mode = fs::metadata(&self.path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(())
    }

    /// Which installation this is; made at the first call.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read, written or understood.
    pub fn owner(&self) -> Result<OwnerId> {
        if let Some(owner) = self.known_owner()? {
            return Ok(owner);
        }
        self.create()?;
        let path = self.join("installation");
        let owner = OwnerId::random();
        // Two first runs at once: the file that got there first is the truth.
        match write_private(&path, format!("{owner}\n").as_bytes(), Existing::Keep) {
            Ok(()) => Ok(owner),
            Err(error) if error.kind() == Io::AlreadyExists => self.owner(),
            Err(error) => Err(unusable(&path, "written", &error)),
        }
    }

    /// Makes this the home of an installation whose file was lost.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if its file cannot be written.
    pub fn become_owner(&self, owner: &OwnerId) -> Result<()> {
        if self.known_owner()?.as_ref() == Some(owner) {
            return Ok(());
        }
        self.create()?;
        let path = self.join("installation");
        write_private(&path, format!("{owner}\n").as_bytes(), Existing::Replace)
            .map_err(|error| unusable(&path, "written", &error))
    }

    /// Which installation this is, if there was one before.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be read or understood.
    pub fn known_owner(&self) -> Result<Option<OwnerId>> {
        let path = self.join("installation");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| {
                Error::new(ErrorKind::Config, format!("{} does not hold an installation id.", path.display()))
                    .with_hint("Restore it from a backup: it marks which servers are yours.")
            }),
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(error) => Err(unusable(&path, "read", &error)),
        }
    }
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        Io::PermissionDenied => "Check who owns it, or use another place with --home DIR.",
        Io::StorageFull => "The disk is full; free some space.",
        _ => "Use another place with --home DIR or CAPSULE_HOME.",
    };
    Error::new(ErrorKind::Config, format!("{} cannot be {what}: {error}.", path.display())).with_hint(hint)
}

/// What to do with a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Keep,
    Replace,
}

/// Writes a whole file, 0600, so that readers see the old or the new one and nothing between.
fn write_private(path: &Path, bytes: &[u8], existing: Existing) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // Threads of one process write at once as well as processes do.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{write}.tmp", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| match existing {
        Existing::Replace => fs::rename(&fresh, path),
        // Unlike a rename, a link fails if there is one already.
        Existing::Keep => fs::hard_link(&fresh, path),
    });
    let _ = fs::remove_file(&fresh);
    placed
}

/// Replaces a file of ours in one step, 0600.
///
/// # Errors
/// [`ErrorKind::Config`] that names the file and the reason.
pub fn keep(path: &Path, bytes: &[u8]) -> Result<()> {
    write_private(path, bytes, Existing::Replace).map_err(|error| unusable(path, "written", &error))
}

/// Waits until no other process has this lock file; holds it until dropped.
///
/// # Errors
/// [`ErrorKind::Config`] that names the file and the reason.
pub fn lock(path: &Path) -> Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| unusable(path, "locked", &error))
}

/// `providers.yml`: provider to settings. Keys that we do not know are kept.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    root: Mapping,
}

impl ConfigFile {
    /// Reads the file; a missing one is empty, unless the user named it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with line and column of what is not YAML.
    pub fn read(path: PathBuf, named: bool) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == Io::NotFound && !named => String::new(),
            Err(error) => return Err(unusable(&path, "read", &error)),
        };
        let bad = |why: String| {
            Error::new(ErrorKind::Config, format!("{}: {why}.", path.display()))
                .with_hint("It maps each provider to its settings, such as\n    digitalocean:\n      api_key: ...")
        };
        let root: Value = serde_yaml_ng::from_str(&text).map_err(|error| bad(position(&error)))?;
        let root = match root {
            Value::Null => Mapping::new(),
            Value::Mapping(root) => root,
            _ => return Err(bad("the top is not a map of providers".to_owned())),
        };
        Ok(ConfigFile { path, root })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others than its owner may read it.
    pub fn is_exposed(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&self.path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
    }

    /// The journal's database: an entry that is no provider.
    fn database(&self) -> Result<Option<SecretString>> {
        match self.root.get("database") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(url)) => Ok(Some(url.trim().into())),
            Some(_) => {
                let message = format!("{}: `database` is not text.", self.path.display());
                Err(Error::new(ErrorKind::Config, message)
                    .with_hint("Write it as `database: postgres://USER:PASSWORD@HOST:5432/NAME`."))
            }
        }
    }

    /// A provider's entry, or that of another block, as text: numbers and words alike.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what is no text.
    pub fn value(&self, provider: &str, key: &str) -> Result<Option<String>> {
        let place = |why: &str| Error::new(ErrorKind::Config, format!("{}: `{provider}` {why}.", self.path.display()));
        let Some(entry) = self.root.get(provider) else { return Ok(None) };
        if entry.is_null() {
            return Ok(None);
        }
        let entry = entry
            .as_mapping()
            .ok_or_else(|| place("is not a map of settings").with_hint("Write its key below it as `api_key: ...`."))?;
        match entry.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(Value::Sequence(items)) => {
                let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                words
                    .map(|words| Some(words.join(",")))
                    .ok_or_else(|| place(&format!("has a `{key}` that is not a list of words")))
            }
            Some(_) => Err(place(&format!("has a `{key}` that is neither text nor number"))),
        }
    }

    /// A block's entry that is a map itself, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for anything else.
    pub fn pairs(&self, block: &str, key: &str) -> Result<Vec<(String, String)>> {
        let Some(entry) = self.root.get(block).and_then(|block| block.get(key)).filter(|entry| !entry.is_null()) else {
            return Ok(Vec::new());
        };
        let bad = || {
            let message = format!("{}: `{block}.{key}` is not a map of words.", self.path.display());
            Error::new(ErrorKind::Config, message).with_hint("Write each pair on a line of its own below it.")
        };
        let pair = |(name, value): (&Value, &Value)| {
            let value = value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()));
            Some((name.as_str()?.to_owned(), value?))
        };
        entry.as_mapping().ok_or_else(bad)?.iter().map(|entry| pair(entry).ok_or_else(bad)).collect()
    }

    /// Refuses a key of a block of ours that is none: it would be silently without effect.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the nearest one.
    pub fn refuse_unknown(&self, block: &str, keys: &[&str]) -> Result<()> {
        let Some(entry) = self.root.get(block).and_then(Value::as_mapping) else { return Ok(()) };
        match entry.keys().filter_map(Value::as_str).find(|key| !keys.contains(key)) {
            None => Ok(()),
            Some(key) => {
                let message = format!("{}: `{block}` has no `{key}`.", self.path.display());
                Err(Error::new(ErrorKind::Config, message)
                    .with_hint(capsule_core::nearest::hint(key, keys.iter().copied())))
            }
        }
    }

    /// Sets values of one provider and saves the file, 0600.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it cannot be written; the old file then stands.
    pub fn save(&mut self, provider: &str, values: &[(String, SecretString)]) -> Result<()> {
        let entry = self.root.entry(provider.into()).or_insert_with(|| Mapping::new().into());
        if !entry.is_mapping() {
            *entry = Mapping::new().into();
        }
        let entry = entry.as_mapping_mut().expect("it was made a mapping just now");
        for (key, value) in values {
            entry.insert(key.as_str().into(), value.expose_secret().into());
        }
        let text = serde_yaml_ng::to_string(&self.root).expect("what was read as YAML can be written as such");
        write_private(&self.path, text.as_bytes(), Existing::Replace)
            .map_err(|error| unusable(&self.path, "written", &error))
    }
}

/// Where the YAML is wrong, without quoting it: the line may hold a key.
fn position(error: &serde_yaml_ng::Error) -> String {
    match error.location() {
        Some(at) => format!("this is not valid YAML at line {}, column {}", at.line(), at.column()),
        None => "this is not valid YAML".to_owned(),
    }
}

/// The journal's database, where it is not the file in the home: what was typed, or else, outside the sandbox, what the
/// environment or the config file says.
///
/// # Errors
/// [`ErrorKind::Config`] for what is no URL of a database, without quoting it.
pub fn database(typed: Option<&SecretString>, file: &ConfigFile, sandbox: bool) -> Result<Option<Database>> {
    let named = |url: SecretString, source: String| {
        Database::parse(url).map(Some).map_err(|error| error.context(format!("{source} cannot be used")))
    };
    match typed {
        Some(url) => named(url.clone(), "--database".to_owned()),
        None if sandbox => Ok(None),
        None => match variable("CAPSULE_DATABASE")? {
            Some(url) => named(url.into(), "$CAPSULE_DATABASE".to_owned()),
            None => match file.database()? {
                Some(url) => named(url, format!("`database` in {}", file.path().display())),
                None => Ok(None),
            },
        },
    }
}

/// Whether a database's URL holds a password.
pub fn holds_password(url: &SecretString) -> bool {
    url::Url::parse(url.expose_secret())
        .is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password"))
}

/// Everything the user set for one provider.
///
/// # Errors
/// [`ErrorKind::Config`] for a malformed endpoint or entry.
pub fn resolve(descriptor: &Descriptor, file: &ConfigFile) -> Result<Settings> {
    let provider = descriptor.id.as_str();
    let mut settings = Settings::default();
    let endpoint_env = format!("CAPSULE_{}_ENDPOINT", provider.to_uppercase());
    for setting in descriptor.settings {
        if let Some((value, source)) = lookup(setting.env, file, provider, setting.key)? {
            settings.values.insert(setting.key.to_owned(), SettingValue { value: value.into(), source });
        }
    }
    if let Some((text, source)) = lookup(&[&endpoint_env], file, provider, "endpoint")? {
        settings.endpoint = Some(parse_base(&source, &text)?);
        settings.values.insert("endpoint".to_owned(), SettingValue { value: text.into(), source });
    }
    let regions_env = format!("CAPSULE_{}_REGIONS", provider.to_uppercase());
    if let Some((text, _)) = lookup(&[&regions_env], file, provider, "regions")? {
        settings.regions =
            text.split(',').map(str::trim).filter(|region| !region.is_empty()).map(str::to_owned).collect();
    }
    let limit_env = format!("CAPSULE_{}_LIMIT", provider.to_uppercase());
    if let Some((text, source)) = lookup(&[&limit_env], file, provider, "limit")? {
        settings.limit = Some(text.parse().map_err(|error: Error| error.context(source))?);
    }
    Ok(settings)
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(ErrorKind::Config, format!("${name} is not UTF-8.")).with_hint("Set it anew, or unset it."))
        }
    }
}

fn lookup(env: &[&str], file: &ConfigFile, provider: &str, key: &str) -> Result<Option<(String, String)>> {
    for name in env {
        if let Some(value) = variable(name)? {
            return Ok(Some((value, format!("${name}"))));
        }
    }
    Ok(file.value(provider, key)?.map(|value| (value, file.path().display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, Result<ConfigFile>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("providers.yml");
        fs::write(&path, text).unwrap();
        let read = ConfigFile::read(path, true);
        (dir, read)
    }

    #[test]
    fn broken_yaml_names_line_and_column_and_quotes_nothing() {
        let (_dir, read) = file("digitalocean:\n  api_key: [CANARY\n");
        let error = read.unwrap_err();
        assert!(error.message().contains("line "), "{error}");
        assert!(error.message().contains("column "), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"));
    }

    #[test]
    fn the_database_is_the_one_entry_that_is_no_provider() {
        let (_dir, read) = file("database: postgres://me:CANARY@db/capsule\ndigitalocean:\n  api_key: k\n");
        let config = read.unwrap();
        assert!(matches!(database(None, &config, false), Ok(Some(Database::Url(_)))));
        assert!(matches!(database(None, &config, true), Ok(None)), "the sandbox keeps to itself");
        assert!(!format!("{:?}", database(None, &config, false)).contains("CANARY"));
        for (text, why) in [("database: [CANARY]", "is not text"), ("database: mysql://CANARY", "providers.yml")] {
            let error = database(None, &file(text).1.unwrap(), false).unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.message().contains(why), "{error}");
            assert!(!format!("{error:?}").contains("CANARY"));
        }
    }

    #[test]
    fn a_password_in_a_url_is_seen() {
        for (url, holds) in [
            ("postgres://me@db/capsule", false),
            ("postgres://me:secret@db/capsule", true),
            ("postgres:///capsule?host=/run/postgresql&password=secret", true),
        ] {
            assert_eq!(holds_password(&url.into()), holds, "{url}");
        }
    }

    #[test]
    fn unknown_keys_survive_a_save() {
        let (dir, read) = file("digitalocean:\n  api_key: old\n  colour: blue\nhetzner:\n  api_key: other\n");
        let mut config = read.unwrap();
        config.save("digitalocean", &[("api_key".to_owned(), "new".into())]).unwrap();
        let text = fs::read_to_string(dir.path().join("providers.yml")).unwrap();
        for kept in ["api_key: new", "colour: blue", "hetzner:", "api_key: other"] {
            assert!(text.contains(kept), "{kept} is missing in {text}");
        }
        assert!(!config.is_exposed());
    }

    #[test]
    fn a_home_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(&dir.path().join("home"))).unwrap();
        let owner = home.owner().unwrap();
        assert_eq!(home.owner().unwrap(), owner);
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.join("installation")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
