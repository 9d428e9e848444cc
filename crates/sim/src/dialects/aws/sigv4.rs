//! Signature Version 4, checked by hand: the official signing crate stands on the client's side, so that the two
//! cannot share a mistake. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::wire::Request;

/// All that SigV4 writes as `%XX`: everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the `Authorization` header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim<'r> {
    pub(super) access_key: &'r str,
    /// The day of the scope, `YYYYMMDD`.
    pub(super) day: &'r str,
    pub(super) region: &'r str,
    pub(super) service: &'r str,
    /// `x-amz-date`.
    pub(super) moment: &'r str,
    signed_headers: &'r str,
    signature: &'r str,
}

impl<'r> Claim<'r> {
    /// Reads the header; `None` where it is absent or is not of this kind.
    pub(super) fn read(request: &'r Request) -> Option<Self> {
        let header = request.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256")?;
        let part = |name: &str| {
            header
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|v| !v.is_empty())
        };
        let mut scope = part("Credential")?.split('/');
        let claim = Claim {
            access_key: scope.next()?,
            day: scope.next()?,
            region: scope.next()?,
            service: scope.next()?,
            moment: request.header("x-amz-date")?,
            signed_headers: part("SignedHeaders")?,
            signature: part("Signature")?,
        };
        (scope.next() == Some("aws4_request") && scope.next().is_none()).then_some(claim)
    }

    /// Whether whoever signed held `secret`, and signed what arrived.
    pub(super) fn holds(&self, request: &Request, secret: &str) -> bool {
        // The host and the moment must be signed, or a captured signature would serve elsewhere and for ever.
        let covered = ["host", "x-amz-date"].iter().all(|name| self.signed_headers.split(';').any(|h| h == *name));
        covered
            && self.day == self.moment.get(..8).unwrap_or_default()
            && self.expected(request, secret) == self.signature
    }

    fn expected(&self, request: &Request, secret: &str) -> String {
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}/{}/{}/aws4_request\n{}",
            self.moment,
            self.day,
            self.region,
            self.service,
            hex(&Sha256::digest(self.canonical(request)))
        );
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), self.day.as_bytes());
        for part in [self.region, self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, to_sign.as_bytes()))
    }

    /// The request in the one form that both sides hash.
    fn canonical(&self, request: &Request) -> String {
        let path = if request.raw_path.is_empty() { "/" } else { &request.raw_path };
        // Each segment is encoded once more than it is on the way: only S3 does otherwise.
        let path: Vec<String> = path.split('/').map(|part| utf8_percent_encode(part, ENCODED).to_string()).collect();
        let mut query: Vec<(String, String)> = request
            .raw_query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (recode(name), recode(value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: String =
            self.signed_headers.split(';').map(|name| format!("{name}:{}\n", header(request, name))).collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            path.join("/"),
            query.join("&"),
            self.signed_headers,
            hex(&Sha256::digest(&request.body))
        )
    }
}

/// A signed header: all its values, each with its spaces folded.
fn header(request: &Request, name: &str) -> String {
    let values: Vec<String> = request
        .headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if values.is_empty() && name == "host" {
        // In process there is no connection to write a Host header for.
        return request.base.split("://").last().unwrap_or_default().to_owned();
    }
    values.join(",")
}

/// A query part, decoded and encoded again in the one way that counts. A plus is a plus: only forms make it a space.
fn recode(part: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(part).collect();
    percent_encoding::percent_encode(&decoded, ENCODED).to_string()
}

/// HMAC-SHA256, RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0; BLOCK];
    if key.len() > BLOCK {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(padded.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

    use super::*;

    /// The secret of the vendor's published signing test suite.
    const SUITE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn request(method: Method, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Request::new("https://example.amazonaws.com", method, &uri.parse::<Uri>().unwrap(), map, Bytes::from(body))
    }

    fn authorization(signed_headers: &str, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={signed_headers}, Signature={signature}"
        )
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// Request line, headers, body, signed headers, signature.
    type Vector =
        (Method, &'static str, &'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);

    #[test]
    fn the_vendors_signing_suite_holds() {
        const SESSION: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let vectors: [Vector; 5] = [
            (
                Method::GET,
                "/",
                &[],
                "",
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                Method::GET,
                "/",
                &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")],
                "",
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                Method::GET,
                "/",
                &[("x-amz-security-token", SESSION)],
                "",
                "host;x-amz-date;x-amz-security-token",
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            (
                Method::GET,
                "/?%E1%88%B4=bar",
                &[],
                "",
                "host;x-amz-date",
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
            ),
            (
                Method::POST,
                "/",
                &[
                    ("content-type", "application/x-www-form-urlencoded"),
                    ("content-length", "13"),
                    ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
                ],
                "Param1=value1",
                "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
        ];
        for (method, uri, headers, body, signed, signature) in vectors {
            let mut headers = headers.to_vec();
            let authorization = authorization(signed, signature);
            headers.extend([("x-amz-date", "20150830T123600Z"), ("authorization", &authorization)]);
            let request = request(method, uri, &headers, body);
            let claim = Claim::read(&request).unwrap();
            assert_eq!(claim.expected(&request, SUITE_SECRET), signature, "{uri} {signed}");
            assert!(claim.holds(&request, SUITE_SECRET));
            assert!(!claim.holds(&request, "another"));
            let tampered = Request { body: Bytes::from_static(b"Param1=value2"), ..request.clone() };
            assert!(!Claim::read(&tampered).unwrap().holds(&tampered, SUITE_SECRET));
        }
    }

    #[test]
    fn what_is_not_a_signature_is_none() {
        let dated = |authorization: &str| {
            request(Method::GET, "/", &[("x-amz-date", "20150830T123600Z"), ("authorization", authorization)], "")
        };
        for text in [
            "Bearer x",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=A/2/r/s/aws3_request, SignedHeaders=host, Signature=0",
            "AWS4-HMAC-SHA256 Credential=A/2/r/s/aws4_request, SignedHeaders=host",
        ] {
            assert_eq!(Claim::read(&dated(text)), None, "{text}");
        }
        // A date that nobody signed.
        let unsigned = dated(&authorization("host", "00"));
        assert!(!Claim::read(&unsigned).unwrap().holds(&unsigned, SUITE_SECRET));
    }
}
