//! Answers of an application gone wrong: whatever two readers may understand differently ends with its own exchange, and
//! nobody gets the answer to another's request (RFC 9112 sections 6.3 and 11.1; threats.md C-SMUG-7, C-RSP).

use crate::harness::browser::parse;
use crate::harness::{Agent, Answer, HOME, PAIE, Request, Who, World};

const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_taken_for_the_one_to_the_next_request() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (number, (method, answer)) in [
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{POISON}")),
        ("GET", format!("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello{POISON}")),
        ("GET", format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n{POISON}")),
        ("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 70\r\n\r\nok{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2, 70\r\n\r\nok{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok{POISON}")),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/wrong/{number}");
        world.upstream.answer(&path, Answer::bytes(answer.clone()));
        world.upstream.tolerates(&Agent::angela(), &format!("{method} {path}"));
        let mut connection = world.connect().await;
        let request = browser.with_cookies(&parse(HOME), Request::new(method, PAIE, &path));
        connection.send(request.to_bytes()).await;
        let first = connection.try_response(method).await;
        assert!(first.is_none_or(|first| !first.text().contains("poison") || first.status == 502), "{answer:?}");
        // Whoever asks next, on this connection or another, gets their own answer.
        world.upstream.tolerates(&Agent::angela(), "GET /mine");
        connection.send(browser.with_cookies(&parse(HOME), Request::get(PAIE, "/mine")).to_bytes()).await;
        let second = connection.try_response("GET").await;
        assert!(second.is_none_or(|second| second.text() == "application"), "{answer:?}");
        for _ in 0..3 {
            world.expects(Who::Public, "GET /public/theirs");
            let theirs = world.send(&Request::get(PAIE, "/public/theirs")).await;
            assert_eq!((theirs.status, theirs.text().as_str()), (200, "application"), "after {answer:?}");
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_passes_in_one_reading_or_not_at_all() {
    let world = World::start().await;
    let mut browser = world.logged_in(&Agent::angela()).await;
    for (number, (field, passes)) in [
        ("X: a\r\n b: c", Some(("x", "a b: c"))),
        ("X: a\nY: b", Some(("y", "b"))),
        ("Content-Length : 2", Some(("content-length", "2"))),
        ("X: a\rY: b", None),
        ("X: a\0b", None),
        (": nothing", None),
        ("no colon", None),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/head/{number}");
        world.upstream.answer(&path, Answer::bytes(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\nok")).close());
        world.upstream.tolerates(&Agent::angela(), &format!("GET {path}"));
        let mut connection = world.connect().await;
        connection.send(browser.with_cookies(&parse(HOME), Request::get(PAIE, &path)).to_bytes()).await;
        let answer = connection.response("GET").await;
        match passes {
            Some((name, value)) => assert_eq!(answer.header(name), Some(value), "{field:?}"),
            None => assert_eq!((answer.status, answer.is_own()), (502, true), "{field:?}"),
        }
    }
    world.finish().await;
}
