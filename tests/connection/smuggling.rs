//! What two readers could understand differently never reaches pingora, nor the upstream.

use tokio::io::AsyncWriteExt;

use crate::harness::{Running, ask, read_answer, read_to_end};

/// Each case: name, request, expected status and reason.
async fn assert_refused(cases: &[(&str, &str, &str)]) {
    let gateway = Running::start().await;
    for (request, status, reason) in cases {
        let answer = gateway.exchange(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.contains(&format!("x-reason: {reason}\r\n")), "{request:?}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "one answer only to {request:?}: {answer}");
        gateway.assert_untouched(request).await;
    }
    assert_eq!(gateway.counters.refused_heads(), cases.len() as u64);
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /public/a HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

async fn assert_fields_refused(reason: &str, fields: &[&str]) {
    let body = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let requests: Vec<String> = fields.iter().map(|fields| post(fields, body)).collect();
    let cases: Vec<_> = requests.iter().map(|request| (request.as_str(), "400", reason)).collect();
    assert_refused(&cases).await;
}

#[tokio::test]
async fn c_smug_1_both_framings() {
    assert_fields_refused(
        "content_length_with_transfer_encoding",
        &["Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"],
    )
    .await;
}

#[tokio::test]
async fn c_smug_2_content_lengths() {
    let twice = ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n"];
    assert_fields_refused("content_length_repeated", &twice).await;
    let values = ["5, 5", "5, 6", "+5", "05", "0x5", "5 ", "  5", "-0", "1e1", "", "18446744073709551616"];
    let fields: Vec<String> = values.iter().map(|value| format!("Content-Length: {value}\r\n")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_fields_refused("content_length_invalid", &fields).await;
}

#[tokio::test]
async fn c_smug_3_transfer_encodings() {
    let values = [
        "chunked, identity",
        "identity",
        "xchunked",
        "chunked, chunked",
        ",chunked",
        "chunked,",
        "chunked;x=1",
        "\tchunked",
        "chunked ",
    ];
    let mut fields: Vec<String> = values.iter().map(|value| format!("Transfer-Encoding: {value}\r\n")).collect();
    fields.push("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned());
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_fields_refused("transfer_encoding_unknown", &fields).await;
    assert_fields_refused("control_byte", &["Transfer-Encoding:\x0bchunked\r\n", "Transfer-Encoding: chunked\0\r\n"])
        .await;
    assert_fields_refused("control_byte", &["Transfer-Encoding:\x0cchunked\r\n"]).await;
    assert_fields_refused("transfer_encoding_unknown", &["Transfer-Encoding:\r\n chunked\r\n"]).await;
    assert_fields_refused("field_folded", &["Transfer-Encoding: chunked\r\n identity\r\n"]).await;
    assert_fields_refused("field_name_invalid", &["Transfer-Encoding : chunked\r\n"]).await;
    assert_fields_refused("field_name_disguised", &["Transfer_Encoding: chunked\r\n"]).await;
}

#[tokio::test]
async fn c_smug_4_versions() {
    assert_refused(&[
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
            "transfer_encoding_in_http_10",
        ),
        ("GET /\r\n\r\n", "400", "request_line_malformed"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505", "version_not_supported"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505", "version_not_supported"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505", "version_not_supported"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", "version_not_supported"),
    ])
    .await;
}

#[tokio::test]
async fn c_smug_4_http_10_has_no_body_without_a_length() {
    let gateway = Running::start().await;
    let request = "POST /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\nHost: a\r\n\r\n";
    let answer = gateway.exchange(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 "), "{answer}");
    let lines = gateway.upstream.take_lines();
    assert_eq!(lines[0], "POST /a HTTP/1.1");
    assert!(lines.iter().all(|line| line.starts_with("POST /a ") || line.starts_with("GET /b ")), "{lines:?}");
    gateway.assert_untouched("HTTP/1.0").await;
}

#[tokio::test]
async fn c_smug_6_trailers_are_dropped() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let trailers = "Content-Length: 7\r\nHost: b\r\nAuthorization: x\r\nX-Agent-Email: e\r\nCookie: c\r\n";
    let request = post("Transfer-Encoding: chunked\r\n", &format!("3\r\nabc\r\n0\r\n{trailers}\r\n"));
    let (_, body) = ask(&mut client, &request).await;
    assert_eq!(body, "/public/a 3\r\nabc\r\n0\r\n\r\n");
    let seen = gateway.upstream.take_seen().concat().to_lowercase();
    assert!(!seen.contains("x-agent-email") && !seen.contains("cookie") && !seen.contains("authorization"), "{seen}");
    let (_, body) = ask(&mut client, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(body, "/next ");
}

#[tokio::test]
async fn c_smug_7_a_body_belongs_to_its_request_whatever_the_method() {
    for (method, fields, body) in [
        ("GET", "Content-Length: 36\r\n", "GET /admin HTTP/1.1\r\nHost: a\r\nX: y\r\n"),
        ("OPTIONS", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let gateway = Running::start().await;
        let mut client = gateway.connect().await;
        let both =
            format!("{method} /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(both.as_bytes()).await.unwrap();
        assert!(read_answer(&mut client).await.1.starts_with("/a "));
        assert_eq!(read_answer(&mut client).await.1, "/next ");
        assert_eq!(gateway.upstream.take_lines(), [format!("{method} /a HTTP/1.1"), "GET /next HTTP/1.1".to_owned()]);
    }
}

#[tokio::test]
async fn c_smug_9_an_upgrade_that_is_not_made_opens_no_tunnel() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let both = "GET /public/a HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\nGET /b\0 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(both.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.1, "/public/a ");
    let refusal = read_to_end(&mut client).await;
    assert!(refusal.contains("x-reason: control_byte"), "the second request was judged: {refusal}");
    let seen = gateway.upstream.take_seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].to_lowercase().contains("upgrade"), "{seen:?}");
}

#[tokio::test]
async fn c_smug_10_an_upgrade_with_a_body() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_fields_refused(
        "upgrade_with_body",
        &[&format!("{upgrade}Content-Length: 5\r\n"), &format!("{upgrade}Transfer-Encoding: chunked\r\n")],
    )
    .await;
}

#[tokio::test]
async fn c_smug_11_and_c_hop_2_connection_names_a_field_we_rely_on() {
    let names = [
        "Content-Length",
        "Transfer-Encoding",
        "close, Content-Length",
        "Cookie",
        "authorization",
        "Signature",
        "Signature-Input",
        "X-Forwarded-For",
        "Forwarded",
        "Host",
        "Content-Digest",
        "close, X-Agent-Email",
        "X_AGENT_EMAIL",
    ];
    let mut fields: Vec<String> =
        names.iter().map(|name| format!("Connection: {name}\r\nContent-Length: 5\r\n")).collect();
    fields.push("Connection: close\r\nConnection: x-agent-email\r\n".to_owned());
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_fields_refused("connection_names_field", &fields).await;
}

#[tokio::test]
async fn c_smug_12_and_c_rsp_4_methods_that_no_gateway_serves() {
    assert_refused(&[
        ("CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test:443\r\n\r\n", "405", "method_not_allowed"),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "method_not_allowed"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n", "405", "method_not_allowed"),
    ])
    .await;
}

#[tokio::test]
async fn c_smug_17_a_refused_upload_still_reads_its_answer() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    // This client reads nothing before it has sent everything, as many do.
    let head = "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("no"), "{answer}");
    gateway.assert_untouched("a refused upload").await;
}

#[tokio::test]
async fn c_smug_18_malformed_lines() {
    assert_refused(&[
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "400", "control_byte"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400", "bare_carriage_return"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400", "bare_line_feed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: z\r\n\r\n", "400", "bare_line_feed"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400", "leading_empty_line"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400", "field_folded"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "400", "field_without_colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "400", "field_name_invalid"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Nom-é: x\r\n\r\n", "400", "field_name_invalid"),
        ("GE T / HTTP/1.1\r\nHost: a\r\n\r\n", "400", "request_line_malformed"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400", "request_line_malformed"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400", "request_line_malformed"),
        ("GET / \r\nHost: a\r\n\r\n", "400", "request_line_malformed"),
        ("\x16\x03\x01\x02\0\x01", "400", "control_byte"),
    ])
    .await;
}

#[tokio::test]
async fn hosts_and_targets() {
    assert_refused(&[
        ("GET / HTTP/1.1\r\n\r\n", "400", "host_missing"),
        ("GET / HTTP/1.0\r\n\r\n", "400", "host_missing"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400", "host_repeated"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400", "host_invalid"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400", "host_invalid"),
        ("GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", "400", "host_mismatch"),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_invalid"),
        ("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_invalid"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_invalid"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_fragment"),
        ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_illegal_byte"),
        ("GET /<b> HTTP/1.1\r\nHost: a\r\n\r\n", "400", "target_illegal_byte"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n\r\n", "417", "expectation_unknown"),
    ])
    .await;
}

#[tokio::test]
async fn c_path_1_the_upstream_gets_the_target_that_came() {
    let gateway = Running::start().await;
    for target in [
        "/",
        "//a//b/;c=d?",
        "/%2e%2E/%c3%a9",
        r#"/!$&'()*+,;=:@|{}[]^~?!$&'()*+,;=:@|{}[]^\~`/?"#,
        "/a?http://b/c",
        "/a+b%20c?x=%00",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        gateway.exchange(request.as_bytes()).await;
        assert_eq!(gateway.upstream.take_lines(), [format!("GET {target} HTTP/1.1")]);
    }
}

#[tokio::test]
async fn c_hdr_4_an_absolute_form_target_goes_on_in_origin_form() {
    let gateway = Running::start().await;
    for (target, expected) in [("http://a.example/b?c", "/b?c"), ("https://A.example", "/")] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let answer = gateway.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(gateway.upstream.take_lines(), [format!("GET {expected} HTTP/1.1")]);
    }
}

#[tokio::test]
async fn field_values_keep_their_bytes() {
    let gateway = Running::start().await;
    let mut client = gateway.connect().await;
    let (head, _) = ask(&mut client, "GET /a HTTP/1.1\r\nHost: a\r\nX-Nom: Éloïse\tD\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(gateway.upstream.take_seen()[0].contains("Éloïse\tD"));
}

#[tokio::test]
async fn malformed_chunks_never_pass_for_a_request() {
    let gateway = Running::start().await;
    for body in ["1\nx\n0\n\n", "-1\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"] {
        let smuggled = format!("{body}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
        let request = post("Transfer-Encoding: chunked\r\n", &smuggled);
        let answer = gateway.exchange(request.as_bytes()).await;
        assert!(!answer.contains("/admin"), "{body:?}: {answer}");
        assert!(gateway.upstream.take_lines().iter().all(|line| !line.contains("/admin")), "{body:?}");
    }
}
