//! Where the keys come from: the settings, or else Amazon's own chain (environment, profiles, SSO, web identity,
//! container, instance), which sends through our transport.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use capsule_core::http::Transport;
use capsule_core::{Clock, Connect, Error, ErrorKind, Result, Settings};
use futures_util::StreamExt;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::sync::{Mutex, OnceCell};

/// New credentials are fetched this long before the old ones end, so that no request in flight is too late.
const EARLY: Duration = Duration::from_secs(300);

/// The account's credentials.
pub(super) enum Keys {
    /// Set by the user as they are.
    Fixed(Credentials),
    /// Found by the vendor's chain on first use.
    Chain(Box<Chain>),
}

/// Amazon's chain, loaded lazily, and what it gave last.
pub(super) struct Chain {
    profile: Option<String>,
    region: String,
    wire: Wire,
    provider: OnceCell<SharedCredentialsProvider>,
    current: Mutex<Option<Credentials>>,
}

/// Whether there is a sign of credentials: a setting, a profile file, or a role by web identity or container. An
/// instance's role shows no sign and is asked only for whoever names this provider.
pub(crate) fn has_credentials(settings: &Settings) -> bool {
    let set = ["access_key", "profile"].iter().any(|key| settings.get(key).is_some());
    let env =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let file = |variable: &str, name: &str| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.or_else(|| std::env::home_dir().map(|home| home.join(".aws").join(name)))
            .is_some_and(|path| path.is_file())
    };
    set || env.iter().any(|name| std::env::var_os(name).is_some())
        || file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        || file("AWS_CONFIG_FILE", "config")
}

impl Keys {
    /// The keys that the settings hold, or the chain.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for half a pair.
    pub(super) fn new(connect: &Connect, region: &str) -> Result<Keys> {
        let text = |key: &str| {
            connect
                .settings
                .get(key)
                .map(|value| value.expose_secret().trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        match (text("access_key"), text("secret_key")) {
            (Some(access), Some(secret)) => Ok(Keys::fixed(&access, &secret, text("session_token").as_deref())),
            (None, None) => Ok(Keys::Chain(Box::new(Chain {
                profile: text("profile"),
                region: region.to_owned(),
                wire: Wire { transport: connect.transport.clone(), clock: connect.clock.clone(), limit: None },
                provider: OnceCell::new(),
                current: Mutex::new(None),
            }))),
            (access, _) => {
                let missing = if access.is_some() { "secret_key" } else { "access_key" };
                let message = format!("AWS has only one half of its key pair: `{missing}` is missing.");
                Err(Error::new(ErrorKind::Unauthenticated, message)
                    .with_hint("Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither to use a profile."))
            }
        }
    }

    pub(super) fn fixed(access: &str, secret: &str, session: Option<&str>) -> Keys {
        Keys::Fixed(Credentials::new(access, secret, session.map(str::to_owned), None, "capsule-settings"))
    }

    /// What tells this account from others on this machine.
    pub(super) fn account(&self) -> &str {
        match self {
            Keys::Fixed(credentials) => credentials.access_key_id(),
            Keys::Chain(chain) => chain.profile.as_deref().unwrap_or_default(),
        }
    }

    /// The credentials to sign with now.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if there are none.
    pub(super) async fn get(&self, now: Timestamp) -> Result<Credentials> {
        match self {
            Keys::Fixed(credentials) => Ok(credentials.clone()),
            Keys::Chain(chain) => chain.get(now).await,
        }
    }
}

/// Says where the keys come from, never what they are.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keys::Fixed(_) => "Keys(settings)",
            Keys::Chain(_) => "Keys(chain)",
        })
    }
}

impl Chain {
    async fn get(&self, now: Timestamp) -> Result<Credentials> {
        // Held while fetching: a crowd of requests must not ask the instance service a hundred times.
        let mut current = self.current.lock().await;
        let limit = SystemTime::from(now) + EARLY;
        if let Some(credentials) = current.as_ref().filter(|held| held.expiry().is_none_or(|end| end > limit)) {
            return Ok(credentials.clone());
        }
        let provider = self.provider.get_or_try_init(|| self.load()).await?;
        match provider.provide_credentials().await {
            Ok(fresh) => Ok(current.insert(fresh).clone()),
            // The old ones do for a few more minutes, and the next request asks again.
            Err(error) => {
                let held = current.as_ref().filter(|held| held.expiry().is_some_and(|end| end > SystemTime::from(now)));
                held.cloned().ok_or_else(|| no_credentials(&error))
            }
        }
    }

    async fn load(&self) -> Result<SharedCredentialsProvider> {
        self.loader()
            .load()
            .await
            .credentials_provider()
            .ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "AWS has no credentials.").with_hint(HINT))
    }

    fn loader(&self) -> aws_config::ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .http_client(self.wire.clone())
            .time_source(WireTime(self.wire.clock.clone()))
            .sleep_impl(TokioSleep::new());
        match &self.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        }
    }
}

const HINT: &str =
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run `aws sso login`.";

fn no_credentials(error: &CredentialsError) -> Error {
    let message = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "No AWS credentials were found in any of the usual places.".to_owned()
        }
        CredentialsError::ProviderTimedOut(_) => "The source of the AWS credentials did not answer in time.".to_owned(),
        // Names the profile or key at fault; answers of other services never stand in it.
        CredentialsError::InvalidConfiguration(_) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            format!("The AWS configuration cannot be used: {}.", cause.to_string().trim_end_matches('.'))
        }
        _ => "The source of the AWS credentials failed.".to_owned(),
    };
    Error::new(ErrorKind::Unauthenticated, message).with_hint(HINT)
}

/// Our transport in the words of Amazon's crates.
#[derive(Debug, Clone)]
struct Wire {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// How long one exchange may take: short for the instance service, which most machines do not have.
    limit: Option<Duration>,
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let limit = match (settings.connect_timeout(), settings.read_timeout()) {
            (None, None) => None,
            (connect, read) => Some(connect.unwrap_or_default() + read.unwrap_or(Duration::from_secs(30))),
        };
        SharedHttpConnector::new(Wire { limit, ..self.clone() })
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Wire { transport, clock, limit } = self.clone();
        HttpConnectorFuture::new(async move {
            let end = clock.now() + limit.unwrap_or(Duration::from_secs(30));
            tokio::select! {
                biased;
                answer = exchange(&*transport, request) => answer,
                () = clock.until(end) => Err(ConnectorError::timeout("no answer in time".into())),
            }
        })
    }
}

async fn exchange(transport: &dyn Transport, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    /// No answer about credentials is longer.
    const LIMIT: usize = 1 << 20;
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let body =
        body.bytes().map(Bytes::copy_from_slice).ok_or_else(|| ConnectorError::user("a streamed body".into()))?;
    let response = transport
        .send(http::Request::from_parts(head, body))
        .await
        .map_err(|error| ConnectorError::io(error.message.into()))?;
    let (head, mut chunks) = response.into_parts();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| ConnectorError::io(error.message.into()))?;
        if whole.len() + chunk.len() > LIMIT {
            return Err(ConnectorError::io("an answer of more than 1 MiB".into()));
        }
        whole.extend_from_slice(&chunk);
    }
    http::Response::from_parts(head, SdkBody::from(whole))
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))
}

/// Our clock in the words of Amazon's crates.
#[derive(Debug)]
struct WireTime(Arc<dyn Clock>);

impl TimeSource for WireTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use capsule_core::http::transport::{ByteStream, SendError, whole};
    use capsule_core::{ManualClock, Settings};

    use super::*;

    /// A machine's instance service, whose keys hold for an hour.
    #[derive(Debug)]
    struct InstanceService {
        clock: Arc<ManualClock>,
        given: AtomicUsize,
    }

    #[async_trait]
    impl Transport for InstanceService {
        async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
            assert_eq!(request.uri().host(), Some("169.254.169.254"));
            let body = match request.uri().path() {
                "/latest/api/token" => "metadata-token".to_owned(),
                path if path.ends_with("/security-credentials/") => "role".to_owned(),
                path if path.ends_with("/role") => {
                    let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
                    let end = self.clock.now() + Duration::from_secs(3600);
                    format!(
                        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"AKID{number}","SecretAccessKey":"secret","Token":"session","Expiration":"{end}"}}"#
                    )
                }
                _ => return Ok(http::Response::builder().status(404).body(whole("")).unwrap()),
            };
            let reply = http::Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
            Ok(reply.body(whole(body)).unwrap())
        }
    }

    #[tokio::test]
    async fn keys_of_a_role_are_kept_until_shortly_before_their_end() {
        let clock = Arc::new(ManualClock::default());
        let service = Arc::new(InstanceService { clock: clock.clone(), given: AtomicUsize::new(0) });
        let (settings, ledgers) = (Settings::default(), capsule_core::http::Ledgers::default());
        let connect = Connect { settings, transport: service.clone(), clock: clock.clone(), ledgers };
        let Keys::Chain(chain) = Keys::new(&connect, "eu-west-1").unwrap() else { panic!("no keys were set") };
        // The machine that runs the tests may have keys of its own: without HOME no profile is found either.
        let config = chain.loader().empty_test_environment().load().await;
        chain.provider.set(config.credentials_provider().unwrap()).unwrap();

        let first = chain.get(clock.now()).await.unwrap();
        assert_eq!((first.access_key_id(), first.session_token()), ("AKID1", Some("session")));
        clock.advance(Duration::from_secs(3200));
        assert_eq!(chain.get(clock.now()).await.unwrap().access_key_id(), "AKID1");
        clock.advance(Duration::from_secs(200));
        assert_eq!(chain.get(clock.now()).await.unwrap().access_key_id(), "AKID2");
        assert_eq!(service.given.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn keys_are_never_shown() {
        let shown = format!("{:?}", Keys::fixed("AKIDEXAMPLE", "secret", None));
        assert_eq!(shown, "Keys(settings)");
    }
}
