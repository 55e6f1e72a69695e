//! Server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use crate::demo::site::Body;

/// A stream of numbered events, `pause` apart.
pub(super) fn stream(pause: Duration) -> Response<Body> {
    let events = stream::unfold(1_u32, move |number| async move {
        if number > LAST {
            return None;
        }
        if number > 1 {
            tokio::time::sleep(pause).await;
        }
        let event = format!("id: {number}\ndata: Événement n°\u{a0}{number}\n\n");
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), number + 1))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const LAST: u32 = 60;
