//! The webhook: what the API server asks before it stores an MCPServer.

use http::StatusCode;

use super::{Answer, Site, WRITE};
use crate::admission::{PATH, Reviewer};

impl Site for Reviewer {
    fn methods(&self) -> &'static str {
        WRITE
    }

    fn answer(&self, _path: &str, _query: Option<&str>) -> Option<Answer> {
        None
    }

    fn receive(&self, path: &str, body: &[u8]) -> Option<Answer> {
        if path != PATH {
            return None;
        }
        Some(match self.review(body) {
            Ok(body) => Answer { status: StatusCode::OK, content_type: "application/json", body },
            Err(malformed) => {
                tracing::debug!(error = %malformed, "refused a review");
                Answer::text(StatusCode::BAD_REQUEST, format!("{malformed}\n"))
            }
        })
    }
}
