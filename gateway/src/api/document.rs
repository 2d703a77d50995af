//! `GET /v1/openapi.json`: the document, made once.

use std::sync::LazyLock;

use super::routes::ROUTES;
use super::{Call, openapi};
use crate::answer::{Answer, Fixed, Reply};

/// The document as it is served.
static DOCUMENT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("application/json", openapi::document(ROUTES).to_string()));

pub(super) async fn openapi(_: &Call<'_>) -> Reply {
    Ok(Answer::Fixed(&DOCUMENT))
}
