//! `GET /docs`: the table of calls as a page for people. It has no script and asks nobody else for anything.

use std::fmt::Write;
use std::sync::LazyLock;

use http::header::{ALLOW, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response};
use needledrop_http::{Body, Request};

use super::openapi::{of_kind, tag};
use super::param::Param;
use super::route::{Gives, Route};
use super::routes::ROUTES;
use crate::answer::{self, Fixed};

/// Where it is.
pub const PATH: &str = "/docs";

const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static PAGE: LazyLock<Fixed> = LazyLock::new(|| Fixed::new("text/html; charset=utf-8", page(ROUTES)));

/// The answer to a request for it.
pub fn answer(request: &Request) -> Response<Body> {
    let mut response = match request.method {
        Method::GET | Method::HEAD => answer::fixed(request, &PAGE),
        _ => {
            let mut response = answer::not_this_way(&[]);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn page(routes: &[Route]) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>needledrop: the API</title>\n\
         <link rel=\"icon\" href=\"/web/icon.svg\">\n<link rel=\"stylesheet\" href=\"/web/css/docs.css\">\n</head>\n<body>\n\
         <main>\n<h1>The API</h1>\n<p>For programs: <a href=\"/v1/openapi.json\">openapi.json</a> (OpenAPI 3.1) says all of this \
         with the form of every body. Send <code>Authorization: Bearer KEY</code>; make keys in the player, or with \
         <code>POST /v1/me/credentials</code>. Refusals are <code>application/problem+json</code>.</p>\n",
    );
    let mut tags: Vec<&str> = routes.iter().map(tag).collect();
    tags.sort_unstable();
    tags.dedup();
    for name in tags {
        write!(page, "<section>\n<h2>{}</h2>\n", escaped(name)).expect("writing to a String cannot fail");
        for route in routes.iter().filter(|route| tag(route) == name) {
            push_route(&mut page, route);
        }
        page.push_str("</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn push_route(page: &mut String, route: &Route) {
    let may = match route.scope() {
        _ if route.is_open() => "anybody".to_owned(),
        None => "any credential".to_owned(),
        Some(scope) => format!("scope {}", scope.name()),
    };
    let gives = match route.gives {
        Gives::Json(schema) | Gives::Entity(schema) => format!("200 {schema}"),
        Gives::Created(schema) => format!("201 {schema}"),
        Gives::Nothing => "204".to_owned(),
    };
    let takes = route.body.map(|schema| format!(", takes {schema}")).unwrap_or_default();
    let mut say = |text: &str| page.push_str(text);
    say(&format!(
        "<article id=\"{}\">\n<h3><b>{}</b> <code>{}</code></h3>\n",
        route.name,
        route.verb.name(),
        escaped(route.template)
    ));
    say(&format!("<p>{}. {}</p>\n", escaped(route.summary), escaped(route.about)));
    say(&format!("<p class=\"soft\">{}{takes}, gives {gives}</p>\n", escaped(&may)));
    if route.each_param().next().is_some() {
        say("<dl>\n");
        route.each_param().for_each(|param| say(&described(param)));
        say("</dl>\n");
    }
    say("</article>\n");
}

fn described(param: &Param) -> String {
    let needed = if param.is_required { " (needed)" } else { "" };
    let kind = of_kind(&param.kind).to_string();
    format!(
        "<dt><code>{}</code>{needed}</dt><dd>{} <code class=\"soft\">{}</code></dd>\n",
        escaped(param.name),
        escaped(param.about),
        escaped(&kind)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_on_the_page() {
        let page = page(ROUTES);
        for route in ROUTES {
            assert!(page.contains(&format!("<article id=\"{}\">", route.name)), "{}", route.name);
        }
        assert!(!page.contains("<script"));
        assert_eq!(escaped("<a href=\"&\">"), "&lt;a href=&quot;&amp;&quot;&gt;");
    }
}
