//! A pingora proxy that does nothing but proxy: what `make bench` measures the gateway beside.
//!
//! `bare_pingora LISTEN UPSTREAM THREADS [HEADERS]`: with HEADERS, a file of `Name: value` lines, every request goes on
//! with those fields and without the client's Cookie, so that the same bytes come in and go out as at the gateway, at
//! no other work: the fair floor.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::COOKIE;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use pingora::prelude::{HttpPeer, ProxyHttp, Result, Session};
use pingora::proxy::http_proxy_service;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Arguments::parse(&arguments) {
        Ok(arguments) => serve(arguments),
        Err(error) => {
            eprintln!("bare_pingora LISTEN UPSTREAM THREADS [HEADERS]: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(Arguments { listen, threads, proxy }: Arguments) -> ExitCode {
    let configuration = ServerConf { threads, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever()
}

struct Arguments {
    listen: String,
    threads: usize,
    proxy: Bare,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        let [listen, upstream, threads, headers @ ..] = arguments else { return Err("too few arguments".into()) };
        let headers = headers.first().map(std::fs::read_to_string).transpose()?;
        let headers = headers.as_deref().map(parse_headers).transpose()?;
        let proxy = Bare { upstream: upstream.parse()?, headers: headers.map(Into::into) };
        Ok(Self { listen: listen.clone(), threads: threads.parse()?, proxy })
    }
}

type Headers = Vec<(HeaderName, HeaderValue)>;

fn parse_headers(text: &str) -> Result<Headers, Box<dyn std::error::Error>> {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(": ").ok_or("a line is not `Name: value`")?;
            Ok((name.parse()?, value.parse()?))
        })
        .collect()
}

struct Bare {
    upstream: SocketAddr,
    headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(&self, _: &mut Session, request: &mut RequestHeader, _: &mut ()) -> Result<()> {
        let Some(headers) = &self.headers else { return Ok(()) };
        request.remove_header(&COOKIE);
        for (name, value) in headers.iter() {
            request.insert_header(name.clone(), value.clone())?;
        }
        Ok(())
    }
}
