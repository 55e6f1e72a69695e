//! The way to the provider: straight, or through an outbound HTTP proxy with CONNECT (RFC 9110 section 9.3.6).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use crate::secret::Secret;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Opening<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Opens TCP connections to a destination, through the proxy where there is one.
#[derive(Clone)]
pub(super) struct Tunnel {
    tcp: HttpConnector,
    proxy: Option<Arc<Proxy>>,
}

struct Proxy {
    uri: Uri,
    /// The whole `Proxy-Authorization` line, CRLF included; empty where the proxy wants no credentials.
    authorization: Secret<String>,
}

impl Tunnel {
    /// A way through `proxy`, or straight. None where the proxy's URL names no usable host.
    pub(super) fn new(proxy: Option<&Url>, connect_timeout: Duration) -> Option<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.set_nodelay(true);
        let proxy = proxy.map(|url| Proxy::new(url).ok_or(())).transpose().ok()?.map(Arc::new);
        Some(Self { tcp, proxy })
    }
}

impl Service<Uri> for Tunnel {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Opening<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.clone() else {
            let connecting = self.tcp.call(destination);
            return Box::pin(async move { Ok(connecting.await?) });
        };
        let connecting = self.tcp.call(proxy.uri.clone());
        Box::pin(async move {
            let mut stream = connecting.await?.into_inner();
            proxy.connect(&mut stream, &destination).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl Proxy {
    fn new(url: &Url) -> Option<Self> {
        let uri = format!("http://{}:{}", url.host_str()?, url.port_or_known_default()?).parse().ok()?;
        Some(Self { uri, authorization: Secret::new(authorization(url)) })
    }

    async fn connect(&self, stream: &mut TcpStream, destination: &Uri) -> Result<(), BoxError> {
        let host = destination.host().ok_or_else(|| io::Error::other("the destination has no host"))?;
        let default = if destination.scheme_str() == Some("http") { 80 } else { 443 };
        let authority = format!("{host}:{}", destination.port_u16().unwrap_or(default));
        let authorization = self.authorization.expose();
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        status_of(&read_head(stream).await?)
    }
}

/// `Basic` of the credentials in the proxy's URL, which are percent-encoded there.
fn authorization(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return String::new();
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials))
}

/// The head of the proxy's answer, and not a byte of what comes after: that belongs to the destination.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Result<(), BoxError> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = line
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(io::Error::other(format!("the proxy answered {status}")).into()),
        None => Err(io::Error::other("the proxy's answer is not HTTP").into()),
    }
}

/// A connector that gives up after a while, handshakes included.
#[derive(Clone)]
pub(super) struct Deadline<C> {
    connector: C,
    limit: Duration,
}

impl<C> Deadline<C> {
    pub(super) const fn new(connector: C, limit: Duration) -> Self {
        Self { connector, limit }
    }
}

impl<C> Service<Uri> for Deadline<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Opening<C::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.connector.call(destination));
        Box::pin(async move { connecting.await?.map_err(Into::into) })
    }
}

const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_before_they_are_sent() {
        let url = |text: &str| Url::parse(text).unwrap();
        let expected = STANDARD.encode("agent:p@ss:word");
        assert_eq!(
            authorization(&url("http://agent:p%40ss:word@proxy.example:3128")),
            format!("Proxy-Authorization: Basic {expected}\r\n")
        );
        assert_eq!(authorization(&url("http://proxy.example")), "");
    }

    #[test]
    fn only_a_2xx_of_http_1_opens_the_tunnel() {
        assert!(status_of(b"HTTP/1.1 200 Connection established\r\n\r\n").is_ok());
        assert!(status_of(b"HTTP/1.0 200\r\n\r\n").is_ok());
        for refused in [&b"HTTP/1.1 407 Authenticate\r\n\r\n"[..], b"HTTP/1.1 20\r\n\r\n", b"SSH-2.0\r\n\r\n", b""] {
            assert!(status_of(refused).is_err());
        }
    }
}
