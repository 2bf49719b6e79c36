//! An OpenID Connect issuer with real keys behind real TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Made for these tests, and trusted by nobody.
const RSA: &[u8] = include_bytes!("rsa.pk8");

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(crate) struct Key {
    pub(crate) id: String,
    pair: Pair,
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub(crate) fn all() -> [Key; 4] {
        let random = SystemRandom::new();
        let ec = |algorithm| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
        };
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        [
            Key { id: "rsa".into(), pair: Pair::Rsa(RsaKeyPair::from_pkcs8(RSA).unwrap()) },
            Key { id: "p256".into(), pair: Pair::P256(ec(&ECDSA_P256_SHA256_FIXED_SIGNING)) },
            Key { id: "p384".into(), pair: Pair::P384(ec(&ECDSA_P384_SHA384_FIXED_SIGNING)) },
            Key { id: "ed25519".into(), pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap()) },
        ]
    }

    pub(crate) fn algorithms(&self) -> &'static [&'static str] {
        match self.pair {
            Pair::Rsa(_) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            Pair::P256(_) => &["ES256"],
            Pair::P384(_) => &["ES384"],
            Pair::Ed25519(_) => &["EdDSA"],
        }
    }

    pub(crate) fn public_jwk(&self) -> Value {
        let point = |curve: &str, key: &[u8]| {
            let (x, y) = key[1..].split_at((key.len() - 1) / 2);
            json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)})
        };
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let public: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": text(public.n), "e": text(public.e)})
            }
            Pair::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Pair::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key())}),
        };
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    pub(crate) fn sign(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let padding: &'static dyn ring::signature::RsaEncoding = match algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    _ => &RSA_PSS_SHA512,
                };
                pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", text(signature))
    }
}

/// A token "signed" with a secret.
pub(crate) fn hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    format!("{message}.{}", text(ring::hmac::sign(&key, message.as_bytes())))
}

/// How the issuer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Properly,
    Redirect,
    /// More bytes than anybody should read.
    Flood,
    OtherIssuer,
    NoKeys,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) authority_pem: String,
    /// How often its keys were asked for.
    pub(crate) fetches: Arc<AtomicUsize>,
}

impl Issuer {
    pub(crate) async fn start(keys: &[&Key]) -> Self {
        Self::start_answering(keys, Answer::Properly).await
    }

    pub(crate) async fn start_answering(keys: &[&Key], answer: Answer) -> Self {
        let keys: Vec<Value> = keys.iter().map(|key| key.public_jwk()).collect();
        Self::serve(json!({"keys": keys}), answer).await
    }

    pub(crate) async fn serve(keys: Value, answer: Answer) -> Self {
        let authority = Authority::generate("issuer", SystemTime::now()).unwrap();
        let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
        let tls = server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/realm", listener.local_addr().unwrap());
        let fetches = Arc::new(AtomicUsize::new(0));
        let site = Arc::new(Site { url: url.clone(), keys, answer, fetches: fetches.clone() });
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, site) = (acceptor.clone(), site.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let handle = hyper::service::service_fn(move |request| {
                        let answer = site.respond(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handle).await;
                });
            }
        });
        Self { url, authority_pem: authority.certificate_pem().to_owned(), fetches }
    }

    /// The same issuer once more.
    pub(crate) fn shallow(&self) -> Self {
        Self { url: self.url.clone(), authority_pem: self.authority_pem.clone(), fetches: self.fetches.clone() }
    }
}

struct Site {
    url: String,
    keys: Value,
    answer: Answer,
    fetches: Arc<AtomicUsize>,
}

impl Site {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let json = |value: Value| Response::new(Full::from(value.to_string()));
        match request.uri().path() {
            "/realm/.well-known/openid-configuration" if self.answer == Answer::Redirect => Response::builder()
                .status(302)
                .header("location", format!("{}/elsewhere", self.url))
                .body(Full::default())
                .unwrap(),
            "/realm/.well-known/openid-configuration" | "/realm/elsewhere" => {
                let url = if self.answer == Answer::OtherIssuer { "https://other" } else { &*self.url };
                json(json!({"issuer": url, "jwks_uri": format!("{}/keys", self.url)}))
            }
            "/realm/keys" => {
                self.fetches.fetch_add(1, Ordering::SeqCst);
                match self.answer {
                    Answer::Flood => {
                        let mut keys = self.keys.clone();
                        keys["padding"] = "x".repeat(2 << 20).into();
                        json(keys)
                    }
                    Answer::NoKeys => json(json!({"keys": []})),
                    _ => json(self.keys.clone()),
                }
            }
            _ => Response::builder().status(404).body(Full::default()).unwrap(),
        }
    }
}
